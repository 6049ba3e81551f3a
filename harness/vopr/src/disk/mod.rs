//! The simulated disk: each [node](crate::node) has one.
//!
//! ```text
//!   driver ─▶ operations ─▶ agenda ─▶ volume ─▶ names ─▶ files
//!                                        ▲
//!             power is lost ─▶ crash ────┘
//! ```
//!
//! An operation takes virtual time and happens at its end: several in flight happen in any order.
//! A write is in memory then, where every read sees it, and lasts when a later sync of the file has
//! succeeded; a name lasts when its directory was synced. When the node loses its power, each write
//! that was not synced is kept, lost, or torn at sectors of 512 bytes, each name that was made,
//! changed or removed is so or not, and all in any combination: what one file system does better
//! than another is not counted on. Log and seed decide.
//!
//! What else may go wrong is in two classes of [faults](crate::FaultClass). *Disk* has what a sound
//! program must survive without loss: short reads and writes, `ENOSPC`, `EIO`, operations that
//! hang, and syncs that fail, after which what was not synced may be lost and no later sync tells.
//! *Corruption* has what a program can only detect: bits that rot, sectors that cannot be read,
//! and writes that were synced and are not there, or in another place.
//!
//! Handles are descriptors of the node, as those of sockets are.

mod crash;
mod file;
mod names;
mod operations;
mod struck;
mod volume;

pub(crate) use operations::{Disks, Owner};
pub(crate) use volume::Open;

use crate::world::{World, with};
use names::normal;
use volume::Volume;

/// The disk of a node, in the hands of a test: what is done here takes no time, cannot fail, and is
/// no step of the execution.
///
/// Paths are relative to the root of the disk.
///
/// ```
/// use raddle_vopr::Simulation;
/// use raddle_vopr::node::Node;
///
/// let report = Simulation::new().run(|| {
///     let disk = Node::here().disk();
///     disk.make_directory("data");
///     disk.write("data/log", b"abc");
///     assert_eq!(disk.read("data/log").as_deref(), Some(&b"abc"[..]));
///     assert_eq!(disk.names(), ["data/log"]);
///     disk.flip("data/log", 1, 0x01);
///     assert_eq!(disk.durable("data/log").as_deref(), Some(&b"acc"[..]));
/// });
/// report.unwrap();
/// ```
///
/// # Panics
/// All methods do in another simulation than the node's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disk {
    pub(crate) node: usize,
    pub(crate) serial: u64,
}

impl Disk {
    fn with<R>(&self, f: impl FnOnce(&mut Volume) -> R) -> R {
        with(|world: &mut World| {
            assert_eq!(world.serial, self.serial, "a disk of another simulation");
            f(&mut world.disks.volumes[self.node])
        })
    }

    /// Makes a directory, and those above it. They are always there: no crash takes them away.
    pub fn make_directory(&self, path: &str) {
        self.with(|volume| volume.names.make_directory(normal(path.as_bytes())));
    }

    /// What a program would read.
    pub fn read(&self, path: &str) -> Option<Vec<u8>> {
        self.with(|volume| {
            let file = volume.names.get(&normal(path.as_bytes()))?;
            Some(volume.files.get(&file)?.bytes().to_vec())
        })
    }

    /// What would be there after a crash that loses all that was not synced.
    pub fn durable(&self, path: &str) -> Option<Vec<u8>> {
        self.with(|volume| {
            let file = volume.names.get_durable(&normal(path.as_bytes()))?;
            Some(volume.files.get(&file)?.durable().to_vec())
        })
    }

    /// Puts a file there, as if it had been made and synced long ago.
    pub fn write(&self, path: &str, bytes: &[u8]) {
        self.with(|volume| volume.put(normal(path.as_bytes()), bytes.to_vec()));
    }

    /// Flips the bits of `mask` in one byte of a file, on the platter and wherever memory has it:
    /// `false` if there is no such byte, or memory has another one there that was not synced.
    pub fn flip(&self, path: &str, offset: usize, mask: u8) -> bool {
        self.with(|volume| {
            let file = volume.names.get(&normal(path.as_bytes()));
            let file = file.and_then(|file| volume.files.get_mut(&file));
            file.is_some_and(|file| file.rot(offset, mask))
        })
    }

    /// The names of all files, in order.
    pub fn names(&self) -> Vec<String> {
        self.with(|volume| {
            let name = |path: &[u8]| String::from_utf8_lossy(path).into_owned();
            volume.names.iter().map(|(path, _)| name(path)).collect()
        })
    }

    /// Gives it room for so many bytes of files. There is no limit at first.
    pub fn set_capacity(&self, bytes: u64) {
        self.with(|volume| volume.capacity = bytes);
    }

    /// How many bytes its files have.
    pub fn used(&self) -> u64 {
        self.with(|volume| volume.used())
    }
}
