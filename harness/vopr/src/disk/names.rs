//! Names of files: what a program sees, and what is left of them after a crash.
//!
//! A name that is made, changed or removed is so for good only when its directory was synced.
//! Until then each such change may be lost or not, whatever becomes of the others.

use std::collections::{BTreeMap, BTreeSet};

/// A path from the root of the disk: its parts, joined by slashes. The root itself has none.
pub(super) type Path = Vec<u8>;

/// As a program writes it: relative to the root, which is every program's working directory.
/// Nothing if it has no place on the disk.
pub(super) fn normal(path: &[u8]) -> Path {
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in path.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join(&b'/')
}

/// The directory that a path is in.
pub(super) fn parent(path: &[u8]) -> &[u8] {
    let end = path.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
    &path[..end]
}

/// A change that waits for the sync of its directory.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Change {
    Link {
        name: Path,
        file: u64,
    },
    Unlink {
        name: Path,
        file: u64,
    },
    /// Within one directory, at once.
    Rename {
        from: Path,
        to: Path,
        file: u64,
    },
}

impl Change {
    fn directory(&self) -> &[u8] {
        match self {
            Self::Link { name, .. } | Self::Unlink { name, .. } => parent(name),
            Self::Rename { to, .. } => parent(to),
        }
    }

    fn apply(&self, names: &mut BTreeMap<Path, u64>) {
        match self {
            Self::Link { name, file } => {
                names.insert(name.clone(), *file);
            }
            Self::Unlink { name, file } => remove(names, name, *file),
            Self::Rename { from, to, file } => {
                remove(names, from, *file);
                names.insert(to.clone(), *file);
            }
        }
    }

    fn file(&self) -> u64 {
        match self {
            Self::Link { file, .. } | Self::Unlink { file, .. } | Self::Rename { file, .. } => {
                *file
            }
        }
    }
}

/// Removes a name, if it is that file's.
fn remove(names: &mut BTreeMap<Path, u64>, name: &Path, file: u64) {
    if names.get(name) == Some(&file) {
        names.remove(name);
    }
}

/// All names of a disk.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    visible: BTreeMap<Path, u64>,
    durable: BTreeMap<Path, u64>,
    changes: Vec<Change>,
    /// Made by the test, and durable from the beginning. The root is always there.
    directories: BTreeSet<Path>,
}

impl Names {
    pub(super) fn make_directory(&mut self, path: Path) {
        let mut part: &[u8] = &path;
        while !part.is_empty() {
            self.directories.insert(part.to_vec());
            part = parent(part);
        }
    }

    pub(super) fn is_directory(&self, path: &[u8]) -> bool {
        path.is_empty() || self.directories.contains(path)
    }

    pub(super) fn get(&self, path: &[u8]) -> Option<u64> {
        self.visible.get(path).copied()
    }

    /// As after a crash that loses all that it can.
    pub(super) fn get_durable(&self, path: &[u8]) -> Option<u64> {
        self.durable.get(path).copied()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Path, u64)> {
        self.visible.iter().map(|(path, file)| (path, *file))
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.visible);
        self.changes.push(change);
    }

    pub(super) fn link(&mut self, name: Path, file: u64) {
        self.change(Change::Link { name, file });
    }

    /// As [`link`](Self::link), and durable at once.
    pub(super) fn link_durably(&mut self, name: Path, file: u64) {
        let change = Change::Link { name, file };
        change.apply(&mut self.visible);
        change.apply(&mut self.durable);
    }

    pub(super) fn unlink(&mut self, name: Path, file: u64) {
        self.change(Change::Unlink { name, file });
    }

    pub(super) fn rename(&mut self, from: Path, to: Path, file: u64) {
        if parent(&from) == parent(&to) {
            return self.change(Change::Rename { from, to, file });
        }
        // Two directories, and each is synced for itself.
        self.change(Change::Link { name: to, file });
        self.change(Change::Unlink { name: from, file });
    }

    /// What was changed in a directory is so for good.
    pub(super) fn sync(&mut self, directory: &[u8]) {
        let durable = &mut self.durable;
        self.changes.retain(|change| {
            let other = change.directory() != directory;
            if !other {
                change.apply(durable);
            }
            other
        });
    }

    /// The changes that wait for a sync, by the name that each is about.
    pub(super) fn pending(&self) -> impl Iterator<Item = &Path> {
        self.changes.iter().map(|change| match change {
            Change::Link { name, .. } | Change::Unlink { name, .. } => name,
            Change::Rename { to, .. } => to,
        })
    }

    /// Power is lost: of what waits for a sync so much is kept.
    pub(super) fn crash(&mut self, kept: &[bool]) {
        for (change, kept) in core::mem::take(&mut self.changes).iter().zip(kept) {
            if *kept {
                change.apply(&mut self.durable);
            }
        }
        self.visible.clone_from(&self.durable);
    }

    /// Whether a file has a name, or could have one after a crash.
    pub(super) fn mentions(&self, file: u64) -> bool {
        let names = self.visible.values().chain(self.durable.values()).copied();
        names.chain(self.changes.iter().map(Change::file)).any(|known| known == file)
    }
}

#[cfg(test)]
mod tests {
    use super::{Names, normal, parent};

    #[test]
    fn paths_are_brought_to_one_form() {
        let same = |path: &str| String::from_utf8(normal(path.as_bytes())).expect("text");
        assert_eq!(same("/a//b/./c"), "a/b/c");
        assert_eq!(
            (same("./x"), same("a/../x"), same("../x")),
            ("x".into(), "x".into(), "x".into())
        );
        assert_eq!((same("/"), same(".")), (String::new(), String::new()));
        assert_eq!(
            (parent(b"a/b/c"), parent(b"a"), parent(b"")),
            (&b"a/b"[..], &b""[..], &b""[..])
        );
    }

    #[test]
    fn a_name_is_durable_when_its_directory_is_synced() {
        let mut names = Names::default();
        names.make_directory(normal(b"d/e"));
        assert!(names.is_directory(b"d") && names.is_directory(b"") && !names.is_directory(b"f"));
        names.link(b"a".to_vec(), 1);
        names.link(b"d/b".to_vec(), 2);
        names.sync(b"d");
        assert_eq!((names.get(b"a"), names.get_durable(b"a")), (Some(1), None));
        assert_eq!(names.get_durable(b"d/b"), Some(2));
        names.crash(&[false]);
        assert_eq!((names.get(b"a"), names.get(b"d/b")), (None, Some(2)));
        assert!(!names.mentions(1) && names.mentions(2));
    }

    #[test]
    fn a_rename_happens_or_does_not() {
        let mut names = Names::default();
        names.link_durably(b"old".to_vec(), 1);
        names.link(b"new".to_vec(), 2);
        names.rename(b"new".to_vec(), b"old".to_vec(), 2);
        assert_eq!((names.get(b"old"), names.get(b"new")), (Some(2), None));
        for (kept, old, new) in [
            ([false, false], Some(1), None),
            ([true, false], Some(1), Some(2)),
            ([false, true], Some(2), None),
            ([true, true], Some(2), None),
        ] {
            let mut crashed = names.clone();
            crashed.crash(&kept);
            assert_eq!((crashed.get(b"old"), crashed.get(b"new")), (old, new), "{kept:?}");
        }
        // From one directory to another it is two changes.
        names.make_directory(b"d".to_vec());
        names.sync(b"");
        names.rename(b"old".to_vec(), b"d/old".to_vec(), 2);
        names.sync(b"d");
        names.crash(&[false]);
        assert_eq!((names.get(b"old"), names.get(b"d/old")), (Some(2), Some(2)));
    }
}
