//! What a name means: `use`, `as`, `extern crate`, globs and shadowing, as far as paths into other
//! crates are concerned.
//!
//! Only what can begin a path is kept: modules, types, traits and imports, not functions and
//! constants. A path resolves to the path that another crate has for it
//! (`use std as s; s::sync::Arc` to `std::sync::Arc`), to a module of its own crate, or to
//! something else of its own crate, about which nothing more is asked.

use std::collections::HashMap;

use syn::{Ident, Item, UseTree};

use super::modules::{ModuleId, Modules};

/// The names that one module or block declares.
#[derive(Debug, Default)]
pub(crate) struct Names {
    named: HashMap<String, Binding>,
    globs: Vec<Written>,
}

#[derive(Debug)]
enum Binding {
    Module(ModuleId),
    Import(Written),
    Crate(String),
    /// A type, trait or the like of this crate.
    Item,
}

/// A path as it stands in the source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) segments: Vec<String>,
    /// Whether it begins with `::`.
    pub(crate) absolute: bool,
}

/// A path into another crate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Foreign {
    /// The names, the crate's first.
    pub segments: Vec<String>,
    /// How many of the first segments an import spelled out, elsewhere. (A glob does not spell
    /// out the names that it brings.)
    pub imported: usize,
}

#[derive(Clone, Debug)]
pub(crate) enum Meaning {
    Foreign(Foreign),
    Module(ModuleId),
    Local,
}

/// What one leaf of a `use` tree brings into scope.
pub(crate) struct Leaf<'a> {
    pub(crate) segments: Vec<&'a Ident>,
    /// The name that it gets; none for a glob and for `_`.
    pub(crate) name: Option<&'a Ident>,
    pub(crate) glob: bool,
}

/// The leaves of a `use` tree; `a::{self}` becomes `a`.
pub(crate) fn leaves(tree: &UseTree) -> Vec<Leaf<'_>> {
    fn go<'a>(tree: &'a UseTree, prefix: &[&'a Ident], leaves: &mut Vec<Leaf<'a>>) {
        let mut with = |ident: &'a Ident, name: &'a Ident| {
            let mut segments = prefix.to_vec();
            if ident != "self" || segments.is_empty() {
                segments.push(ident);
            }
            let name = if name == "self" { segments.last().copied() } else { Some(name) };
            let name = name.filter(|name| *name != "_");
            leaves.push(Leaf { segments, name, glob: false });
        };
        match tree {
            UseTree::Path(path) => go(&path.tree, &[prefix, &[&path.ident]].concat(), leaves),
            UseTree::Name(name) => with(&name.ident, &name.ident),
            UseTree::Rename(rename) => with(&rename.ident, &rename.rename),
            UseTree::Glob(_) => {
                leaves.push(Leaf { segments: prefix.to_vec(), name: None, glob: true });
            }
            UseTree::Group(group) => {
                for tree in &group.items {
                    go(tree, prefix, leaves);
                }
            }
        }
    }
    let mut found = Vec::new();
    go(tree, &[], &mut found);
    found
}

impl Names {
    /// The names that `items` declare; `module_of` knows the modules among them.
    pub(crate) fn collect<'a>(
        items: impl IntoIterator<Item = &'a Item>,
        module_of: impl Fn(&syn::ItemMod) -> Option<ModuleId>,
    ) -> Self {
        let mut names = Self::default();
        for item in items {
            let (ident, binding) = match item {
                Item::Use(import) => {
                    names.import(import);
                    continue;
                }
                Item::ExternCrate(item) => {
                    let name = item.rename.as_ref().map_or(&item.ident, |(_, rename)| rename);
                    (name, Binding::Crate(item.ident.to_string()))
                }
                Item::Mod(item) => {
                    (&item.ident, module_of(item).map_or(Binding::Item, Binding::Module))
                }
                Item::Enum(item) => (&item.ident, Binding::Item),
                Item::Struct(item) => (&item.ident, Binding::Item),
                Item::Trait(item) => (&item.ident, Binding::Item),
                Item::TraitAlias(item) => (&item.ident, Binding::Item),
                Item::Type(item) => (&item.ident, Binding::Item),
                Item::Union(item) => (&item.ident, Binding::Item),
                _ => continue,
            };
            names.named.insert(ident.to_string(), binding);
        }
        names
    }

    fn import(&mut self, import: &syn::ItemUse) {
        for leaf in leaves(&import.tree) {
            let written = Written {
                segments: leaf.segments.iter().map(ToString::to_string).collect(),
                absolute: import.leading_colon.is_some(),
            };
            if leaf.glob {
                self.globs.push(written);
            } else if let Some(name) = leaf.name {
                self.named.insert(name.to_string(), Binding::Import(written));
            }
        }
    }
}

/// Where a path stands: the blocks around it, innermost last, inside a module.
#[derive(Clone, Copy)]
pub(crate) struct Scope<'a> {
    pub(crate) modules: &'a Modules,
    pub(crate) module: ModuleId,
    pub(crate) blocks: &'a [Names],
}

/// The names being looked up, so that `use std as std` and circular imports end.
type Pending = Vec<(*const Names, String)>;

impl<'a> Scope<'a> {
    /// What `path` means here.
    pub(crate) fn resolve(self, path: &Written) -> Meaning {
        self.resolve_pending(path, &mut Pending::new())
    }

    fn resolve_pending(self, path: &Written, pending: &mut Pending) -> Meaning {
        let Some((first, rest)) = path.segments.split_first() else { return Meaning::Local };
        let module = self.modules.get(self.module);
        let foreign = || Meaning::Foreign(Foreign { segments: vec![first.clone()], imported: 0 });
        let mut meaning = match first.as_str() {
            _ if path.absolute => foreign(),
            "crate" | "$crate" => Meaning::Module(module.root),
            "self" => Meaning::Module(self.module),
            "super" => Meaning::Module(module.parent.unwrap_or(module.root)),
            "Self" => Meaning::Local,
            // What no scope declares is another crate, or a generic parameter, about which no
            // rule asks.
            name => self.lookup(name, pending).unwrap_or_else(foreign),
        };
        for segment in rest {
            meaning = match meaning {
                Meaning::Foreign(mut foreign) => {
                    foreign.segments.push(segment.clone());
                    Meaning::Foreign(foreign)
                }
                Meaning::Module(id) => self.member(id, segment, pending),
                Meaning::Local => Meaning::Local,
            };
        }
        meaning
    }

    fn member(self, module: ModuleId, name: &str, pending: &mut Pending) -> Meaning {
        let data = self.modules.get(module);
        match name {
            "self" => Meaning::Module(module),
            "super" => Meaning::Module(data.parent.unwrap_or(data.root)),
            _ => {
                let scope = Scope { module, blocks: &[], ..self };
                scope.declared(&data.names, name, pending).unwrap_or(Meaning::Local)
            }
        }
    }

    /// `name`, from the innermost block outwards, then in the module.
    fn lookup(mut self, name: &str, pending: &mut Pending) -> Option<Meaning> {
        while let Some((names, outer)) = self.blocks.split_last() {
            if let Some(meaning) = self.declared(names, name, pending) {
                return Some(meaning);
            }
            self.blocks = outer;
        }
        self.declared(&self.modules.get(self.module).names, name, pending)
    }

    /// `name` among `names`, which are those of this scope's innermost block or module.
    fn declared(self, names: &'a Names, name: &str, pending: &mut Pending) -> Option<Meaning> {
        let key = (std::ptr::from_ref(names), name.to_owned());
        if pending.contains(&key) {
            return None;
        }
        pending.push(key);
        let meaning = match names.named.get(name) {
            Some(Binding::Module(id)) => Some(Meaning::Module(*id)),
            Some(Binding::Item) => Some(Meaning::Local),
            Some(Binding::Crate(name)) => {
                Some(Meaning::Foreign(Foreign { segments: vec![name.clone()], imported: 1 }))
            }
            Some(Binding::Import(path)) => Some(match self.resolve_pending(path, pending) {
                Meaning::Foreign(foreign) => {
                    let imported = foreign.segments.len();
                    Meaning::Foreign(Foreign { imported, ..foreign })
                }
                meaning => meaning,
            }),
            None => names.globs.iter().find_map(|glob| self.through_glob(glob, name, pending)),
        };
        pending.pop();
        meaning
    }

    fn through_glob(self, glob: &Written, name: &str, pending: &mut Pending) -> Option<Meaning> {
        match self.resolve_pending(glob, pending) {
            Meaning::Module(id) => {
                let scope = Scope { module: id, blocks: &[], ..self };
                scope.declared(&self.modules.get(id).names, name, pending)
            }
            Meaning::Foreign(mut foreign) => known_member(&foreign.segments, name).then(|| {
                foreign.imported = foreign.segments.len();
                foreign.segments.push(name.to_owned());
                Meaning::Foreign(foreign)
            }),
            Meaning::Local => None,
        }
    }
}

/// Whether a glob import of the foreign module brings `name`. Not known of other crates; of std it
/// matters for the names that some rule asks about.
fn known_member(module: &[String], name: &str) -> bool {
    let module: Vec<_> = module.iter().map(String::as_str).collect();
    let names: &[&str] = match module.as_slice() {
        ["std" | "core" | "alloc"] => &[
            "cell",
            "cmp",
            "collections",
            "env",
            "fs",
            "hash",
            "hint",
            "io",
            "net",
            "os",
            "process",
            "ptr",
            "sync",
            "task",
            "thread",
            "time",
        ],
        ["std", "collections"] => &["HashMap", "HashSet", "hash_map", "hash_set"],
        ["std", "collections", "hash_map"] => &["HashMap", "RandomState"],
        ["std", "collections", "hash_set"] => &["HashSet"],
        ["std", "hash"] => &["RandomState"],
        ["std" | "core", "hint"] => &["spin_loop"],
        ["std" | "core", "cmp"] | ["raddle_platform"] => &["Ordering"],
        [.., "Ordering"] => &["Relaxed", "Acquire", "Release", "AcqRel", "SeqCst"],
        _ => &[],
    };
    names.contains(&name)
}
