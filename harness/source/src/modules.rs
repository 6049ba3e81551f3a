//! Which file is which module: follows `mod` from the roots of the crates, as rustc does.

use std::collections::{BTreeSet, HashMap};
use std::path::{Component, Path, PathBuf};

use syn::visit::{self, Visit};

use super::file::{File, FileId};
use super::names::Names;
use super::{Place, attributes};

/// Index of a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ModuleId(usize);

/// A module of some crate.
#[derive(Debug)]
pub(crate) struct Module {
    pub(crate) parent: Option<ModuleId>,
    /// The crate's root.
    pub(crate) root: ModuleId,
    /// Whether it exists in test builds only.
    pub(crate) test: bool,
    pub(crate) names: Names,
}

/// Where a crate begins.
#[derive(Debug)]
pub struct Root {
    /// The file with its root module.
    pub file: PathBuf,
    /// Whether the crate is a test, a benchmark, an example or a build script.
    pub test: bool,
}

/// The module trees of all crates.
#[derive(Debug, Default)]
pub struct Modules {
    all: Vec<Module>,
    of_file: HashMap<FileId, ModuleId>,
    /// By the place of the name in `mod name`.
    declared: HashMap<(FileId, Place), ModuleId>,
    included: BTreeSet<FileId>,
    strays: BTreeSet<FileId>,
}

impl Modules {
    /// Follows the modules from each of `roots` in turn. A file that several crates share counts
    /// as a module of the first; a file that none has is a crate of its own, so that no rule
    /// overlooks it.
    pub fn build(files: &[File], roots: &[Root]) -> Self {
        let by_path = files
            .iter()
            .enumerate()
            .map(|(index, file)| (file.path.as_path(), FileId(index)))
            .collect();
        let mut loader = Loader { files, by_path, modules: Self::default(), position: None };
        for root in roots {
            if let Some(&file) = loader.by_path.get(root.file.as_path()) {
                loader.root(file, root.test);
            }
        }
        for file in (0..files.len()).map(FileId) {
            if !loader.modules.of_file.contains_key(&file) {
                loader.root(file, false);
                if !loader.modules.included.contains(&file) {
                    loader.modules.strays.insert(file);
                }
            }
        }
        loader.modules
    }

    /// The module with this id.
    pub(crate) fn get(&self, id: ModuleId) -> &Module {
        &self.all[id.0]
    }

    /// The module that a file is.
    pub(crate) fn of_file(&self, file: FileId) -> ModuleId {
        self.of_file[&file]
    }

    /// The module that `item` of `file` declares.
    pub(crate) fn declared(&self, file: FileId, item: &syn::ItemMod) -> Option<ModuleId> {
        self.declared.get(&(file, Place::of(item.ident.span()))).copied()
    }

    /// Whether an `include!` takes the file in, whatever it is then.
    pub fn is_included(&self, file: FileId) -> bool {
        self.included.contains(&file)
    }

    /// The files to which no root, `mod` or `include!` leads.
    pub fn strays(&self) -> impl Iterator<Item = FileId> {
        self.strays.iter().copied()
    }
}

struct Loader<'a> {
    files: &'a [File],
    by_path: HashMap<&'a Path, FileId>,
    modules: Modules,
    position: Option<Position>,
}

/// What is being read.
#[derive(Clone)]
struct Position {
    file: FileId,
    module: ModuleId,
    /// Where `mod name;` looks for its file.
    directory: PathBuf,
    /// Whether an inline module is around.
    inline: bool,
    /// The files on the way from the root, so that a circle ends.
    path: Vec<FileId>,
    /// The modules that were declared directly in this one.
    children: Vec<(Place, ModuleId)>,
}

impl Loader<'_> {
    fn root(&mut self, file: FileId, test: bool) -> ModuleId {
        let directory = self.files[file.0].directory().to_path_buf();
        let id = ModuleId(self.modules.all.len());
        let test = test || attributes::test_only(&self.files[file.0].syntax.attrs);
        self.add(Module { parent: None, root: id, test, names: Names::default() });
        self.enter(
            Position {
                file,
                module: id,
                directory,
                inline: false,
                path: vec![file],
                children: Vec::new(),
            },
            None,
        );
        id
    }

    fn add(&mut self, module: Module) -> ModuleId {
        self.modules.all.push(module);
        ModuleId(self.modules.all.len() - 1)
    }

    /// Reads the items at `position` (those of the file, if none are given) and comes back.
    fn enter(&mut self, position: Position, items: Option<&[syn::Item]>) {
        let (file, module) = (position.file, position.module);
        if !position.inline {
            self.modules.of_file.entry(file).or_insert(module);
        }
        let files = self.files;
        let items = items.unwrap_or(&files[file.0].syntax.items);
        let outer = self.position.replace(position);
        for item in items {
            self.visit_item(item);
        }
        let inner = std::mem::replace(&mut self.position, outer);
        let children = inner.map(|inner| inner.children).unwrap_or_default();
        self.modules.all[module.0].names = Names::collect(items, |item| {
            let place = Place::of(item.ident.span());
            children.iter().find(|(declared, _)| *declared == place).map(|(_, id)| *id)
        });
    }
}

impl<'ast> Visit<'ast> for Loader<'_> {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        let Some(here) = self.position.clone() else { return };
        let parent = self.modules.get(here.module);
        let root = parent.root;
        let mut test = parent.test || attributes::test_only(&item.attrs);
        let name = item.ident.to_string();
        let path = attributes::value(&item.attrs, "path");
        let position = if item.content.is_some() {
            let directory = normal(&here.directory.join(path.unwrap_or(name)));
            Position { directory, inline: true, ..here.clone() }
        } else {
            let own = self.files[here.file.0].directory();
            let candidates = match &path {
                Some(path) if here.inline => vec![here.directory.join(path)],
                Some(path) => vec![own.join(path)],
                None => vec![
                    here.directory.join(format!("{name}.rs")),
                    here.directory.join(&name).join("mod.rs"),
                ],
            };
            let found = candidates
                .iter()
                .find_map(|candidate| self.by_path.get(normal(candidate).as_path()).copied());
            let Some(file) = found.filter(|file| !here.path.contains(file)) else { return };
            let source = &self.files[file.0];
            test |= attributes::test_only(&source.syntax.attrs);
            let owns_directory = path.is_some() || source.path.ends_with("mod.rs");
            let directory = if owns_directory {
                source.directory().to_path_buf()
            } else {
                source.path.with_extension("")
            };
            let path = [here.path.as_slice(), &[file]].concat();
            Position { file, directory, inline: false, path, ..here.clone() }
        };
        let parent = Some(here.module);
        let id = self.add(Module { parent, root, test, names: Names::default() });
        let place = Place::of(item.ident.span());
        self.modules.declared.entry((here.file, place)).or_insert(id);
        if let Some(here) = &mut self.position {
            here.children.push((place, id));
        }
        let items = item.content.as_ref().map(|(_, items)| items.as_slice());
        self.enter(Position { module: id, children: Vec::new(), ..position }, items);
    }

    fn visit_macro(&mut self, mac: &'ast syn::Macro) {
        let included = mac.path.segments.last().filter(|last| last.ident == "include");
        if let (Some(_), Ok(literal)) = (included, mac.parse_body::<syn::LitStr>())
            && let Some(here) = &self.position
        {
            let path = normal(&self.files[here.file.0].directory().join(literal.value()));
            if let Some(&file) = self.by_path.get(path.as_path()) {
                self.modules.included.insert(file);
            }
        }
        visit::visit_macro(self, mac);
    }
}

/// `path` without `.` and `..`.
pub fn normal(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut path, component| {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                path.pop();
            }
            component => path.push(component),
        }
        path
    })
}
