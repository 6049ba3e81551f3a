//! Where on a disk a fault has struck, for whoever reads a trace or a report.

use core::fmt;

use raddle_platform::driver::Op;

use super::file::{Change, SECTOR};
use super::names::{Names, Path};
use super::operations::{handle, read_path};
use super::volume::{Open, Volume};
use crate::faults::FaultKind;
use crate::history::Name;
use crate::trace::Contents;
use crate::world::{Failed, World};

/// A place on a disk, and the bytes there that were lost, torn, changed, or not read or written as
/// they should have been.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Struck {
    node: usize,
    path: String,
    /// Offset and length; nothing where it is about a name, or about a file as such.
    bytes: Option<(u64, u64)>,
    /// Where the bytes are instead: path and offset.
    into: Option<(String, u64)>,
}

fn sector(offset: u64) -> u64 {
    offset / SECTOR as u64
}

fn text(path: &[u8]) -> String {
    match path {
        // A program's root, and its working directory.
        b"" => ".".to_owned(),
        path => String::from_utf8_lossy(path).into_owned(),
    }
}

/// A file as its name; one without a name as its number.
fn name_of(names: &Names, file: u64) -> String {
    match names.iter().find(|(_, known)| *known == file) {
        Some((path, _)) => text(path),
        None => format!("file {file} without a name"),
    }
}

impl Struck {
    /// Something with that name.
    pub(super) fn at(node: usize, path: &[u8]) -> Self {
        Self { node, path: text(path), ..Self::default() }
    }

    /// The file of that number.
    pub(super) fn file(node: usize, names: &Names, file: u64) -> Self {
        Self { node, path: name_of(names, file), ..Self::default() }
    }

    /// What a handle stands for.
    pub(super) fn open(node: usize, volume: &Volume, open: &Open) -> Self {
        match open {
            Open::File { file, .. } => Self::file(node, &volume.names, *file),
            Open::Directory(path) => Self::at(node, path),
        }
    }

    /// These bytes of it.
    pub(super) fn bytes(mut self, offset: usize, length: usize) -> Self {
        self.bytes = Some((offset as u64, length as u64));
        self
    }

    /// One sector of it.
    pub(super) fn sector(self, sector: usize) -> Self {
        self.bytes(sector * SECTOR, SECTOR)
    }

    /// The bytes of changes, from the first to the last.
    pub(super) fn changes(self, changes: &[Change]) -> Self {
        let spans = || changes.iter().filter_map(Change::span);
        let start = spans().map(|span| span.start).min();
        match (start, spans().map(|span| span.end).max()) {
            (Some(start), Some(end)) => self.bytes(start, end - start),
            _ => self,
        }
    }

    /// They went into another sector instead.
    pub(super) fn into_sector(mut self, names: &Names, file: u64, sector: usize) -> Self {
        self.into = Some((name_of(names, file), (sector * SECTOR) as u64));
        self
    }

    fn fields(&self, kind: FaultKind) -> Vec<(String, Contents)> {
        let mut fields = Vec::with_capacity(9);
        let number = |name: &str, number| (name.to_owned(), Contents::Number(number));
        let words = |name: &str, text: &str| (name.to_owned(), Contents::Text(text.into()));
        fields.extend([
            words("kind", kind.name()),
            number("node", self.node as u64),
            words("path", &self.path),
        ]);
        if let Some((offset, length)) = self.bytes {
            fields.extend([
                number("sector", sector(offset)),
                number("offset", offset),
                number("length", length),
            ]);
        }
        if let Some((path, offset)) = &self.into {
            fields.extend([
                words("into_path", path),
                number("into_sector", sector(*offset)),
                number("into_offset", *offset),
            ]);
        }
        fields
    }
}

impl fmt::Display for Struck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "node {} {}", self.node, self.path)?;
        if let Some((offset, length)) = self.bytes {
            write!(f, " sector {} offset {offset} length {length}", sector(offset))?;
        }
        if let Some((path, offset)) = &self.into {
            write!(f, " into {path} sector {} offset {offset}", sector(*offset))?;
        }
        Ok(())
    }
}

impl World {
    /// As [`fired`](Self::fired), and says where.
    pub(super) fn fired_at(&mut self, kind: FaultKind, place: &Struck) {
        self.count_fault(kind);
        if self.tap.is_some() {
            self.tell_fault(&place.fields(kind));
        }
        let before = self.watch.history.count();
        self.remark(Name::Fault, kind as u64);
        if self.watch.history.count() > before {
            self.watch.history.explain(place.to_string());
        }
    }

    /// As [`strikes`](Self::strikes), and says where.
    pub(super) fn strikes_at(
        &mut self,
        kind: FaultKind,
        options: usize,
        place: impl FnOnce(&mut Self) -> Struck,
    ) -> Result<usize, Failed> {
        if !self.plan.is_on(kind) {
            return Ok(0);
        }
        let chosen = self.draw_fault(kind, options)?;
        if chosen > 0 {
            let place = place(self);
            self.fired_at(kind, &place);
        }
        Ok(chosen)
    }

    /// What an operation of `node` is about.
    ///
    /// # Safety
    /// The memory that `op` names is valid.
    pub(super) unsafe fn place_of(&mut self, node: usize, op: &Op) -> Struck {
        let path: Result<Path, _> = match *op {
            // SAFETY: by the caller's promise.
            Op::Open { path, .. } | Op::Remove { path } => unsafe { read_path(path) },
            // SAFETY: by the caller's promise.
            Op::Rename { from, .. } => unsafe { read_path(from) },
            _ => Ok(Path::new()),
        };
        let here = core::mem::replace(&mut self.net.here, node);
        let open = handle(op).map(|handle| self.net.opened(handle));
        self.net.here = here;
        let volume = &self.disks.volumes[node];
        let open = match open {
            None => return Struck::at(node, &path.unwrap_or_default()),
            Some(Err(_)) => {
                return Struck { node, path: "no file".to_owned(), ..Struck::default() };
            }
            Some(Ok(open)) => open,
        };
        let place = Struck::open(node, volume, &open);
        let file = match open {
            Open::File { file, .. } => volume.files.get(&file),
            Open::Directory(_) => None,
        };
        let Some(file) = file else { return place };
        match *op {
            Op::ReadAt { length, offset, .. } | Op::WriteAt { length, offset, .. } => {
                place.bytes(offset as usize, length as usize)
            }
            Op::Append { length, .. } => place.bytes(file.len(), length as usize),
            Op::Sync { .. } => place.changes(file.changes()),
            _ => place,
        }
    }
}
