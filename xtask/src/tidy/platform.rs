//! `platform`: production code reaches the machine only through `P: Platform`.
//!
//! This is the determinism contract: what the platform does not know of, no harness controls,
//! records or replays. Names are resolved, so `use std as s; s::sync::Arc` is found, and a module
//! of this crate that is called `sync` is left alone. A path is reported where the forbidden part
//! is written: once at the import, not at each use.

use syn::visit::Visit;
use syn::{Item, StaticMutability};

use super::report::Report;
use super::tree::{Scope, Tree};
use super::{Check, Rule};
use crate::workspace::{Kind, Role, Target};
use raddle_source::{Context, Foreign, Home, Node, Path, Place, macro_calls};

pub(crate) const RULE: Rule = Rule {
    name: "platform",
    holds: "production code names no clock, thread, socket, file, lock or random state of std",
    checks: &[Check::Nodes(Scope::Production, inspect), Check::Tree(check_roots)],
};

fn inspect(context: &Context<'_>, node: &Node<'_>, report: &mut Report<'_>) {
    match node {
        Node::Path(path) => check_path(context, path, report),
        Node::Item(Item::Static(item)) => check_static(context, item, report),
        Node::Macro(mac) => {
            if let Some(last) = mac.path.segments.last()
                && last.ident == "thread_local"
            {
                report.at(&context.spot(last.ident.span()), THREAD_LOCAL);
            }
        }
        Node::Tokens(tokens) => macro_calls(tokens, &mut |name, span| {
            if name == "thread_local" {
                report.at(&context.spot(span), THREAD_LOCAL);
            }
        }),
        _ => {}
    }
}

/// With this the root of a crate asks clippy for the same, which finds it while one types.
const LINTS: &str = "not(test), deny(clippy::disallowed_methods, clippy::disallowed_types)";

fn check_roots(tree: &Tree, report: &mut Report<'_>) {
    for package in tree.workspace.packages.iter().filter(|p| p.role == Role::Production) {
        let ships = |target: &&Target| matches!(target.kind, Kind::Library | Kind::Binary);
        for target in package.targets.iter().filter(ships) {
            let Some(id) = tree.file_id(&target.file) else { continue };
            if !tree.files[id.0].syntax.attrs.iter().any(is_lints) {
                let message =
                    format!("the root of a production crate: write `#![cfg_attr({LINTS})]`");
                report.in_file(id, Place::START, message);
            }
        }
    }
}

fn is_lints(attribute: &syn::Attribute) -> bool {
    let compact = |text: &str| text.replace([' ', '\n'], "");
    match &attribute.meta {
        syn::Meta::List(list) if list.path.is_ident("cfg_attr") => {
            compact(&list.tokens.to_string()) == compact(LINTS)
        }
        _ => false,
    }
}

const THREAD_LOCAL: &str =
    "a thread-local variable is not fresh for each simulated thread: use `P::Threads::slot`";

/// The forbidden paths below `std`, `core` and `alloc`, and what to write instead. The longest
/// that fits counts.
const FORBIDDEN: &[(&[&str], &str)] = &[
    (&["sync"], "the primitives of raddle-parking-lot, which take `P`"),
    (&["sync", "Arc"], "`raddle_ownership::Arc`"),
    (&["sync", "Weak"], "`raddle_ownership::Weak`"),
    (&["sync", "atomic"], "`P::AtomicU32` and its like, and `raddle_platform::Ordering`"),
    (&["sync", "atomic", "fence"], "`P::fence`"),
    (&["sync", "OnceLock"], "`P::global`"),
    (&["sync", "LazyLock"], "`P::global`"),
    (&["sync", "mpsc"], "a queue over `P`"),
    (&["time"], "`core::time::Duration` alone, and `P::Clock`"),
    (&["time", "Instant"], "`raddle_platform::Instant`, from `P::Clock::now`"),
    (&["time", "SystemTime"], "`P::Clock::wall`"),
    (&["thread"], "`P::Threads`"),
    (&["thread", "park"], "`suspend::wait::<P, _>`"),
    (&["thread", "sleep"], "a timer of the runtime"),
    (&["thread", "panicking"], "`P::Threads::panicking`"),
    (&["fs"], "operations of `P::Driver`"),
    (&["net"], "operations of `P::Driver`"),
    (&["env"], "`P::variable`"),
    (&["process"], "a result that `main` returns"),
    (&["os", "unix", "fs"], "operations of `P::Driver`"),
    (&["os", "unix", "net"], "operations of `P::Driver`"),
    (&["os", "unix", "process"], "a result that `main` returns"),
    (&["os", "unix", "thread"], "`P::Threads`"),
    (&["os", "linux", "fs"], "operations of `P::Driver`"),
    (&["os", "linux", "net"], "operations of `P::Driver`"),
    (&["os", "linux", "process"], "a result that `main` returns"),
    (&["hint", "spin_loop"], "`P::spin_loop`"),
    (&["hash", "RandomState"], "a hasher with keys from `P::Rng`"),
    (&["collections", "hash_map", "RandomState"], "a hasher with keys from `P::Rng`"),
];

/// What is fine below a forbidden path.
const FINE: &[&[&str]] = &[&["sync", "atomic", "Ordering"], &["time", "Duration"]];

/// The maps whose default hasher is random, and how many generic arguments name another.
const MAPS: &[(&str, usize)] = &[("HashMap", 3), ("HashSet", 2)];

/// What only exists for the default hasher.
const RANDOM_CONSTRUCTORS: &[&str] = &["new", "with_capacity", "from"];

fn check_path(context: &Context<'_>, path: &Path, report: &mut Report<'_>) {
    let Some(foreign) = context.resolve(path) else { return };
    let segments: Vec<_> = foreign.segments.iter().map(String::as_str).collect();
    let [root, below @ ..] = segments.as_slice() else { return };
    if *root == "crossbeam_utils" {
        check_crossbeam(context, path, &foreign, report);
    }
    if !matches!(*root, "std" | "core" | "alloc") {
        return;
    }
    check_map(context, path, below, report);
    if FINE.iter().any(|fine| below.starts_with(fine)) {
        return;
    }
    let fitting = || FORBIDDEN.iter().filter(|(forbidden, _)| below.starts_with(forbidden));
    let (Some(shortest), Some((_, instead))) = (
        fitting().map(|(forbidden, _)| forbidden.len()).min(),
        fitting().max_by_key(|(forbidden, _)| forbidden.len()),
    ) else {
        return;
    };
    // How many segments name the first forbidden thing; if an import spelled them, it was found.
    let naming = shortest + 1;
    if naming <= foreign.imported {
        return;
    }
    let written = match path.home {
        // An import is one leaf of a tree: its last segment tells it from its neighbours.
        Home::Import { .. } => path.segments.len() - 1,
        _ => (naming + path.segments.len()).saturating_sub(segments.len() + 1),
    };
    let message = format!("`{}` bypasses the platform: use {instead}", segments.join("::"));
    report.at(&context.spot(path.segments[written].span), message);
}

/// `HashMap<K, V>` and `HashMap::new`: both mean the random hasher of std.
fn check_map(context: &Context<'_>, path: &Path, below: &[&str], report: &mut Report<'_>) {
    let (map, rest) = match below {
        ["collections", "hash_map" | "hash_set", map, rest @ ..] => (map, rest),
        ["collections", map, rest @ ..] => (map, rest),
        _ => return,
    };
    let Some((_, wanted)) = MAPS.iter().find(|(name, _)| name == map) else { return };
    let Some(last) = path.last() else { return };
    let random = match (path.home, rest) {
        (Home::Type, []) => last.arguments < *wanted,
        (Home::Value | Home::Callee | Home::Tokens, [constructor]) => {
            RANDOM_CONSTRUCTORS.contains(constructor)
        }
        _ => false,
    };
    if random {
        let message = format!(
            "`{map}` with std's random hasher iterates in another order in each run: name a \
             hasher, or use `BTree{}`",
            map.trim_start_matches("Hash")
        );
        report.at(&context.spot(path.segments[0].span), message);
    }
}

/// Of crossbeam-utils only `CachePadded` does nothing that the platform should know of.
fn check_crossbeam(context: &Context<'_>, path: &Path, foreign: &Foreign, report: &mut Report<'_>) {
    if let Some(item) = foreign.segments.get(1)
        && item != "CachePadded"
        && foreign.imported < 2
        && let Some(last) = path.last()
    {
        let message = format!("`crossbeam_utils::{item}` bypasses the platform: write it over `P`");
        report.at(&context.spot(last.span), message);
    }
}

fn check_static(context: &Context<'_>, item: &syn::ItemStatic, report: &mut Report<'_>) {
    if let StaticMutability::Mut(_) = item.mutability {
        let message = "a mutable static outlives every simulated world: use `P::global`";
        report.at(&context.spot(item.static_token.span), message);
        return;
    }
    let mut cells = Cells { found: None };
    cells.visit_type(&item.ty);
    if let Some(found) = cells.found {
        let message =
            format!("a static `{found}` is shared by all simulated worlds: use `P::global`");
        report.at(&context.spot(item.static_token.span), message);
    }
}

/// Types that change behind a shared reference.
const CELLS: &[&str] = &[
    "Cell",
    "Condvar",
    "LazyCell",
    "LazyLock",
    "Mutex",
    "Once",
    "OnceCell",
    "OnceLock",
    "RaceCell",
    "RefCell",
    "RwLock",
    "Semaphore",
    "UnsafeCell",
];

/// The first such type inside a type.
struct Cells {
    found: Option<String>,
}

impl<'ast> Visit<'ast> for Cells {
    fn visit_path_segment(&mut self, segment: &'ast syn::PathSegment) {
        let name = segment.ident.to_string();
        let stem = name.strip_prefix("Parking").unwrap_or(&name);
        if self.found.is_none() && (stem.starts_with("Atomic") || CELLS.contains(&stem)) {
            self.found = Some(name);
        }
        syn::visit::visit_path_segment(self, segment);
    }
}
