//! The simulator's driver has the properties that those of production have: the same lists, over
//! another world.

#[path = "../../../../crates/platform/tests/driver/files.rs"]
mod files;
#[path = "../../../../crates/platform/tests/driver/operations.rs"]
mod operations;
#[path = "../../../../crates/platform/tests/driver/support.rs"]
mod support;
mod world;
