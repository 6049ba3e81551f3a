//! Trace files: what determines an execution, and what was observed of it, kept for another day.
//!
//! A trace file is a row of chunks. Each stands for itself: it has its own checksum, and nothing in
//! it refers to another chunk. So a reader can begin anywhere, and what is whole can be read
//! whatever became of the rest.
//!
//! ```text
//!   offset 0   ┌──────────────────────────────────────────────────────────────┐
//!              │ magic  89 'R' 'D' 'L' 'T' 0d 0a 1a │ version u16 │ zero u16   │ 12 bytes
//!              ├──────────────────────────────────────────────────────────────┤
//!              │ Header     scenario, build, settings and their hash, root     │
//!              │            seed, strategy                                     │
//!              ├──────────────────────────────────────────────────────────────┤
//!              │ Decisions  the first 4096, with the certificate before them   │
//!              ├──────────────────────────────────────────────────────────────┤
//!              │ Decisions  the next 4096 …                                    │
//!              ├──────────────────────────────────────────────────────────────┤
//!              │ Events     what was observed, if anybody wanted it …          │
//!              ├──────────────────────────────────────────────────────────────┤
//!              │ Ending     counts, the certificate, the verdict               │
//!              ├──────────────────────────────────────────────────────────────┤
//!              │ Index      kind, offset and contents of every chunk above     │
//!              ├──────────────────────────────────────────────────────────────┤
//!   end - 16   │ offset of the index u64 │ its CRC32C u32 │ 'R' 'D' 'L' 'X'     │ 16 bytes
//!              └──────────────────────────────────────────────────────────────┘
//!
//!   a chunk    │ kind u8 │ length u32 │ CRC32C u32 of kind, length, payload │ payload │
//! ```
//!
//! Numbers of a fixed width are little-endian; all others are LEB128. Kinds of chunks from `80` on,
//! fields of header and ending, and kinds of events may come to be: a reader passes over what it
//! does not know. Anything else that changes raises the version.
//!
//! # Decisions
//!
//! A decision is one byte, or two. The high half of the first is the certificate's last four bits
//! after the decision, so that a replay notices at once that it goes another way; after every 64
//! decisions the certificate stands there in full, so that two traces are compared by binary
//! search. The low half says what was decided:
//!
//! ```text
//!   0 … 11   who runs: this option, of as many as the last time
//!   12       who runs: a second byte has the number of options (high half) and the option
//!   13, 14   a weak exchange takes effect, or fails for no reason
//!   15       anything else: a second byte has the kind (high half) and the option, of as many as
//!            the last time; or 15, and then their number and the option follow
//! ```
//!
//! # Loss
//!
//! A file that was cut off, or damaged in the middle, is read up to the damage, and the reader says
//! [what is missing](Loss). Whatever the bytes are, reading them neither panics nor takes more
//! memory than a small multiple of the file's size.
//!
//! ```
//! use raddle_platform::{Parker, Platform};
//! use raddle_vopr::{Sim, Simulation, trace};
//!
//! let program = || <Sim as Platform>::Parker::park();
//! let simulation = Simulation::new().spurious_wakes(false);
//! let report = simulation.run(program);
//! assert!(report.failure().is_some(), "nobody wakes it");
//!
//! // Every report can become a file, and the file leads to the same failure.
//! let bytes = trace::encode(&simulation.recording("examples/park", &report))?;
//! let recording = trace::decode(&bytes)?;
//! let again = recording.simulation()?.run(program);
//! assert_eq!(again.failure(), report.failure());
//! # Ok::<(), trace::Error>(())
//! ```

mod chunk;
mod codec;
mod diff;
mod error;
mod event;
mod fields;
mod header;
mod index;
mod observed;
mod perfetto;
mod reader;
mod record;
mod settings;
mod tap;
mod varint;
mod writer;

pub use diff::{Difference, First, diff};
pub use error::{Broken, Error, Loss};
pub use event::{Contents, Effect, Event, Events, Object, What, Word};
pub use header::{Build, Ending, Header};
pub use index::{ChunkKind, Place};
pub use observed::Observed;
pub use perfetto::export as export_perfetto;
pub use reader::{Reader, Recording, decode, load};
pub use record::{Filter, Level, Overflow, Record};
pub use settings::Settings;
pub use tap::{Flow, Moment, Observer, Occasion, ThreadState};
pub use writer::{Writer, encode, save};

pub(crate) use tap::{Running, Tap, running, take_apart};

/// The version of the format that this build writes, and the only one that it reads.
pub const VERSION: u16 = 1;

/// The first bytes of every trace file. The first is no ASCII, and the last ones are what a
/// transfer as text would change.
pub const MAGIC: [u8; 8] = *b"\x89RDLT\r\n\x1a";

/// The last four bytes of a file that is whole.
pub(crate) const END_MAGIC: [u8; 4] = *b"RDLX";
/// Magic, version, zeros.
pub(crate) const PREAMBLE_BYTES: u64 = 12;
/// Where the index is, its checksum, magic.
pub(crate) const TRAILER_BYTES: u64 = 16;
