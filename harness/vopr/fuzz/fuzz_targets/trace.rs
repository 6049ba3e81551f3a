//! Reads arbitrary bytes as a trace file.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../read.rs"]
mod read;

fuzz_target!(|bytes: &[u8]| read::read(bytes));
