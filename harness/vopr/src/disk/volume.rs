//! The files and names of one disk, and what operations do to them when nothing is wrong.

use std::collections::{BTreeMap, BTreeSet};

use raddle_platform::driver::OpenOptions;

use super::file::{Change, File, SECTOR};
use super::names::{Names, Path, parent};
use crate::net::{Refusal, Result};

/// The longest file, so that nothing overflows: more than any simulation has memory for.
const LENGTH_MAX: u64 = 1 << 30;

/// What a handle stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Open {
    File { file: u64, read: bool, write: bool, append: bool },
    Directory(Path),
}

/// A disk.
#[derive(Clone, Debug)]
pub(crate) struct Volume {
    pub(super) names: Names,
    /// By number, in the order in which they were made.
    pub(super) files: BTreeMap<u64, File>,
    made: u64,
    pub(super) capacity: u64,
}

impl Default for Volume {
    fn default() -> Self {
        let (names, files) = (Names::default(), BTreeMap::new());
        Self { names, files, made: 0, capacity: u64::MAX }
    }
}

pub(super) fn errno<T>(number: i32) -> Result<T> {
    Err(Refusal::Errno(number))
}

impl Volume {
    fn make(&mut self, file: File) -> u64 {
        self.made += 1;
        self.files.insert(self.made, file);
        self.made
    }

    pub(super) fn put(&mut self, path: Path, bytes: Vec<u8>) {
        let file = self.make(File::synced(bytes));
        self.names.link_durably(path, file);
        self.collect();
    }

    /// Forgets files that nobody can ever reach.
    pub(super) fn collect(&mut self) {
        let names = &self.names;
        self.files.retain(|number, file| file.opens > 0 || names.mentions(*number));
    }

    pub(super) fn used(&self) -> u64 {
        let names: BTreeSet<_> = self.names.iter().map(|(_, file)| file).collect();
        let there = |(number, file): &(&u64, &File)| file.opens > 0 || names.contains(number);
        self.files.iter().filter(there).map(|(_, file)| file.len() as u64).sum()
    }

    fn room(&self) -> u64 {
        self.capacity.saturating_sub(self.used())
    }

    pub(super) fn open(&mut self, path: Path, options: &OpenOptions) -> Result<Open> {
        if !options.are_valid() {
            return errno(libc::EINVAL);
        }
        let OpenOptions { read, write, append, .. } = *options;
        if self.names.is_directory(&path) {
            return match write || append || options.create_new {
                true if options.create_new => errno(libc::EEXIST),
                true => errno(libc::EISDIR),
                false => Ok(Open::Directory(path)),
            };
        }
        if !self.names.is_directory(parent(&path)) {
            let above = self.names.get(parent(&path));
            return errno(if above.is_some() { libc::ENOTDIR } else { libc::ENOENT });
        }
        let file = match self.names.get(&path) {
            Some(_) if options.directory => return errno(libc::ENOTDIR),
            Some(_) if options.create_new => return errno(libc::EEXIST),
            Some(file) => file,
            None if options.create || options.create_new => {
                if self.room() == 0 {
                    return errno(libc::ENOSPC);
                }
                let file = self.make(File::default());
                self.names.link(path, file);
                file
            }
            None => return errno(libc::ENOENT),
        };
        let Some(contents) = self.files.get_mut(&file) else { return errno(libc::EIO) };
        if contents.opens == 0 && contents.is_clean() {
            // Nobody has kept what memory knew, and the platter may know better.
            contents.forget_memory();
        }
        contents.opens += 1;
        if options.truncate && contents.len() > 0 {
            contents.change(Change::SetLength(0));
        }
        Ok(Open::File { file, read, write: write || append, append })
    }

    /// A handle is gone.
    pub(super) fn close(&mut self, open: &Open) {
        let Open::File { file, .. } = open else { return };
        if let Some(file) = self.files.get_mut(file) {
            file.opens = file.opens.saturating_sub(1);
        }
        self.collect();
    }

    /// The file of a handle, for reading or for writing.
    pub(super) fn file(&mut self, open: &Open, to_write: bool) -> Result<&mut File> {
        let (number, permitted) = match open {
            Open::Directory(_) if to_write => return errno(libc::EBADF),
            Open::Directory(_) => return errno(libc::EISDIR),
            Open::File { file, write, .. } if to_write => (file, *write),
            Open::File { file, read, .. } => (file, *read),
        };
        match self.files.get_mut(number) {
            _ if !permitted => errno(libc::EBADF),
            Some(file) => Ok(file),
            None => errno(libc::EIO),
        }
    }

    /// How many of `length` bytes a read from `offset` gives.
    pub(super) fn readable(&mut self, open: &Open, offset: u64, length: usize) -> Result<usize> {
        let there = self.file(open, false)?.len() as u64;
        Ok(usize::try_from(there.saturating_sub(offset)).unwrap_or(0).min(length))
    }

    /// Where a write goes, and how much of it there is room for.
    pub(super) fn writable(
        &mut self,
        open: &Open,
        offset: u64,
        length: usize,
    ) -> Result<(usize, usize)> {
        let room = self.room();
        let at_end = matches!(open, Open::File { append: true, .. });
        let file = self.file(open, true)?;
        let there = file.len() as u64;
        let offset = if at_end { there } else { offset };
        if offset > LENGTH_MAX || offset + length as u64 > LENGTH_MAX {
            return errno(libc::EFBIG);
        }
        // What is overwritten needs no room; a hole does.
        let end =
            there.max(offset).saturating_add(room).saturating_sub(offset.saturating_sub(there));
        let count = end.saturating_sub(offset).min(length as u64) as usize;
        if count == 0 && length > 0 {
            return errno(libc::ENOSPC);
        }
        Ok((offset as usize, count))
    }

    pub(super) fn set_length(&mut self, open: &Open, length: u64) -> Result<()> {
        let room = self.room();
        let file = match self.file(open, true) {
            Err(Refusal::Errno(libc::EBADF)) => return errno(libc::EINVAL),
            file => file?,
        };
        if length > LENGTH_MAX {
            return errno(libc::EFBIG);
        }
        if length.saturating_sub(file.len() as u64) > room {
            return errno(libc::ENOSPC);
        }
        file.change(Change::SetLength(length as usize));
        Ok(())
    }

    pub(super) fn rename(&mut self, from: Path, to: Path) -> Result<()> {
        let to_directory = self.names.is_directory(&to);
        let Some(file) = self.names.get(&from) else {
            let directory = self.names.is_directory(&from);
            // Directories stay where they are.
            return errno(if directory { libc::EBUSY } else { libc::ENOENT });
        };
        if to_directory {
            return errno(libc::EISDIR);
        }
        if !self.names.is_directory(parent(&to)) {
            return errno(libc::ENOENT);
        }
        if from != to {
            self.names.rename(from, to, file);
            self.collect();
        }
        Ok(())
    }

    pub(super) fn remove(&mut self, path: Path) -> Result<()> {
        if self.names.is_directory(&path) {
            return errno(libc::EISDIR);
        }
        match self.names.get(&path) {
            None => errno(libc::ENOENT),
            Some(file) => {
                self.names.unlink(path, file);
                self.collect();
                Ok(())
            }
        }
    }

    /// All sectors that the platter has of its files, in order.
    pub(super) fn sectors(&self) -> usize {
        self.files.values().map(File::sectors).sum()
    }

    /// The file that has the sector of that number among [all](Self::sectors), and which of its.
    pub(super) fn find_sector(&self, mut number: usize) -> Option<(u64, usize)> {
        for (file, contents) in &self.files {
            if number < contents.sectors() {
                return Some((*file, number));
            }
            number -= contents.sectors();
        }
        None
    }
}

/// The sectors that these bytes are in.
pub(super) fn sectors(offset: usize, length: usize) -> core::ops::Range<usize> {
    offset / SECTOR..(offset + length).div_ceil(SECTOR)
}
