//! The server in production. See the library for what it does.

#![cfg_attr(not(test), deny(clippy::disallowed_methods, clippy::disallowed_types))]

use clap::Parser as _;
use raddle::on::Native;
use raddle_kv::config::Config;
use raddle_kv::start::{StartError, start};

fn main() -> Result<(), StartError> {
    start::<Native>(Config::parse())
}
