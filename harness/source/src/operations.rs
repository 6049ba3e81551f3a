//! The platform's operations, and how to tell them in the source.
//!
//! `Location::caller()` names the place of an operation at run time; this module names the same
//! places from the text. No types are known here, so each operation is told by what is reliable:
//! a path through the platform (`P::Clock::now`), a method's name that tidy keeps for it (`load`,
//! `with_mut`), or the receiver's name where the method's is common (`driver.wait`, `race.read`),
//! which tidy demands as well.

use proc_macro2::Span;
use syn::spanned::Spanned;
use syn::{Expr, ExprCall, ExprMethodCall, ExprPath};

use super::Path;

/// What an operation acts on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Category {
    /// A shared variable.
    Atomic,
    /// A memory fence.
    Fence,
    /// Unsynchronised shared data.
    Cell,
    /// One turn of a busy wait.
    Spin,
    /// An optimistic loop that starts over.
    Retry,
    /// The blocking and waking of threads.
    Parker,
    /// The time.
    Clock,
    /// Randomness.
    Rng,
    /// The start and the end of threads.
    Thread,
    /// Input and output.
    Driver,
    /// Choices, events, values of the world.
    Other,
}

impl Category {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Atomic,
        Self::Fence,
        Self::Cell,
        Self::Spin,
        Self::Retry,
        Self::Parker,
        Self::Clock,
        Self::Rng,
        Self::Thread,
        Self::Driver,
        Self::Other,
    ];

    /// In lower case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Atomic => "atomic",
            Self::Fence => "fence",
            Self::Cell => "cell",
            Self::Spin => "spin",
            Self::Retry => "retry",
            Self::Parker => "parker",
            Self::Clock => "clock",
            Self::Rng => "rng",
            Self::Thread => "thread",
            Self::Driver => "driver",
            Self::Other => "other",
        }
    }
}

/// An operation at its place.
#[derive(Clone, Debug)]
pub struct Operation {
    /// The method's name.
    pub name: String,
    /// What it acts on.
    pub category: Category,
    /// The orderings, as they are written: two for a compare-exchange, none where there is none.
    pub orderings: Vec<String>,
    /// What `Location::caller()` gives the place of: a method's name, or all of `path(…)`.
    pub span: Span,
}

/// Methods of shared variables, apart from `fetch_*`.
const ATOMIC: &[&str] = &["load", "store", "swap", "compare_exchange", "compare_exchange_weak"];

/// Methods of `RaceCell`.
const CELL: &[&str] = &["with", "with_mut", "open", "open_mut"];

/// Associated functions of the platform itself whose names say enough.
const OWN: &[(&str, Category)] = &[
    ("fence", Category::Fence),
    ("fence_heavy", Category::Fence),
    ("fence_light", Category::Fence),
    ("retry", Category::Retry),
    ("spin_loop", Category::Spin),
];

/// Operations that other things have too, so that only a path through the platform tells.
const ASSOCIATED: &[(&str, Category)] = &[
    ("accept", Category::Driver),
    ("block_on", Category::Driver),
    ("block_until_ready", Category::Driver),
    ("buggify", Category::Other),
    ("cancel", Category::Driver),
    ("choose", Category::Other),
    ("close", Category::Driver),
    ("connect", Category::Driver),
    ("end", Category::Driver),
    ("event", Category::Other),
    ("fill", Category::Rng),
    ("global", Category::Other),
    ("join", Category::Thread),
    ("notify", Category::Driver),
    ("notify_other", Category::Driver),
    ("now", Category::Clock),
    ("open", Category::Cell),
    ("open_mut", Category::Cell),
    ("park", Category::Parker),
    ("park_until", Category::Parker),
    ("peek", Category::Driver),
    ("read", Category::Cell),
    ("recv", Category::Driver),
    ("send", Category::Driver),
    ("shutdown", Category::Driver),
    ("spawn", Category::Thread),
    ("submit", Category::Driver),
    ("take_error", Category::Driver),
    ("tick", Category::Driver),
    ("u64", Category::Rng),
    ("wait", Category::Driver),
    ("waker", Category::Parker),
    ("wall", Category::Clock),
    ("with", Category::Cell),
    ("with_mut", Category::Cell),
    ("write", Category::Cell),
    ("yield_now", Category::Thread),
];

/// What a path goes through that leads to an operation.
const PLATFORM: &[&str] = &[
    "Atomic",
    "AtomicInt",
    "Clock",
    "Context",
    "Driver",
    "Native",
    "Notify",
    "Parker",
    "Platform",
    "Race",
    "RaceCell",
    "Rng",
    "Threads",
];

/// Methods that other things have too: the name that the receiver has, the method, how many
/// arguments it takes.
const OF_RECEIVER: &[(&str, &str, usize, Category)] = &[
    ("race", "read", 0, Category::Cell),
    ("race", "write", 0, Category::Cell),
    ("driver", "submit", 2, Category::Driver),
    ("driver", "cancel", 1, Category::Driver),
    ("driver", "notify_other", 1, Category::Driver),
    ("driver", "tick", 1, Category::Driver),
    ("driver", "wait", 2, Category::Driver),
    ("driver", "end", 1, Category::Driver),
    ("notifier", "notify", 0, Category::Driver),
    // Through the suspender of the calling thread, which may be the platform's.
    ("current", "yield_now", 0, Category::Thread),
];

/// The names by which receivers are told, and the type whose values have them: the last segment of
/// a path through the platform.
pub const RECEIVERS: &[(&str, &str)] =
    &[("Race", "race"), ("Driver", "driver"), ("Notifier", "notifier")];

/// The orderings that the standard library has.
pub const ORDERINGS: &[&str] = &["Relaxed", "Acquire", "Release", "AcqRel", "SeqCst"];

/// Whether a method of this name is an operation on a shared variable.
pub fn is_atomic(name: &str) -> bool {
    ATOMIC.contains(&name) || name.starts_with("fetch_")
}

/// Whether production code keeps this name for methods of the platform, because the name is what
/// tells them.
pub fn is_reserved(name: &str) -> bool {
    is_atomic(name) || CELL.contains(&name) || is_own(name)
}

/// Whether an operation has one of two outcomes that count apart.
pub fn is_compare_exchange(name: &str) -> bool {
    matches!(name, "compare_exchange" | "compare_exchange_weak")
}

/// Whether a function of this name is taken for the platform's, whatever path leads to it.
pub fn is_own(name: &str) -> bool {
    OWN.iter().any(|(own, _)| *own == name)
}

/// Every name, with its category: what a `#[track_caller]` in the platform's source must be among.
pub fn known() -> impl Iterator<Item = (&'static str, Category)> {
    let atomic = ATOMIC.iter().map(|name| (*name, Category::Atomic));
    atomic.chain(OWN.iter().copied()).chain(ASSOCIATED.iter().copied())
}

/// The operation that a path names, called or not.
pub fn of_path(path: &Path) -> Option<Category> {
    let names = path.segments.iter().map(|segment| segment.name.as_str());
    let names: Vec<_> = path.self_type().chain(names).collect();
    of_names(&names, path.of_type())
}

/// Whether `name` after a path or type of these names is an operation.
pub fn is_through_platform(names: &[String], name: &str) -> bool {
    let names: Vec<_> = names.iter().map(String::as_str).chain([name]).collect();
    of_names(&names, true).is_some()
}

fn of_names(names: &[&str], of_type: bool) -> Option<Category> {
    let (last, qualifier) = names.split_last()?;
    if qualifier.is_empty() && !of_type {
        return None;
    }
    if is_atomic(last) {
        return Some(Category::Atomic);
    }
    let named = |table: &[(&str, Category)]| {
        table.iter().find(|(name, _)| name == last).map(|(_, category)| *category)
    };
    if let Some(category) = named(OWN) {
        return Some(category);
    }
    // A generic platform is called `P`.
    let through_platform = qualifier
        .iter()
        .enumerate()
        .any(|(index, name)| PLATFORM.contains(name) || (index == 0 && *name == "P"));
    if through_platform { named(ASSOCIATED) } else { None }
}

/// The operation that `receiver.method(…)` is.
pub fn of_method(call: &ExprMethodCall) -> Option<Operation> {
    let name = call.method.to_string();
    let arguments: Vec<_> = call.args.iter().collect();
    let orderings = ordering_arguments(&name, arguments.len());
    let category = if is_atomic(&name) {
        // Slices have a `swap` of two arguments as well.
        let swaps = name != "swap" || ordering(arguments.last()?).is_some();
        (!orderings.is_empty() && swaps).then_some(Category::Atomic)?
    } else if CELL.contains(&name.as_str()) {
        let count = usize::from(name.starts_with("with"));
        (arguments.len() == count).then_some(Category::Cell)?
    } else {
        let receiver = receiver_name(&call.receiver)?;
        of_receiver(&receiver, &name, arguments.len())?
    };
    let orderings = literals(orderings, &arguments);
    Some(Operation { name, category, orderings, span: call.method.span() })
}

/// The operation that the method of something called `receiver` is.
pub fn of_receiver(receiver: &str, method: &str, arguments: usize) -> Option<Category> {
    OF_RECEIVER
        .iter()
        .find(|(of, name, count, _)| (*of, *name, *count) == (receiver, method, arguments))
        .map(|(.., category)| *category)
}

/// The operation that `path(…)` is.
pub fn of_call(call: &ExprCall) -> Option<Operation> {
    let Expr::Path(ExprPath { path, qself, .. }) = &*call.func else { return None };
    let path = Path::new(path, qself.as_ref(), super::Home::Callee);
    let category = of_path(&path)?;
    let name = path.last()?.name.clone();
    // `Atomic::load(&a, …)` has the receiver first.
    let receiver = usize::from(is_atomic(&name));
    let arguments: Vec<_> = call.args.iter().skip(receiver).collect();
    let positions = ordering_arguments(&name, arguments.len());
    // `mem::swap` and its like.
    if category == Category::Atomic && literals(positions, &arguments).is_empty() {
        return None;
    }
    let orderings = literals(positions, &arguments);
    Some(Operation { name, category, orderings, span: call.span() })
}

/// The positions of the orderings among the arguments of a method call with `count` arguments.
pub fn ordering_arguments(method: &str, count: usize) -> &'static [usize] {
    match (method, count) {
        ("load", 1) | ("fence", 2) => &[0],
        ("store" | "swap", 2) => &[1],
        ("compare_exchange" | "compare_exchange_weak", 4) => &[2, 3],
        ("fetch_update", 3) => &[0, 1],
        (_, 2) if method.starts_with("fetch_") => &[1],
        _ => &[],
    }
}

fn literals(positions: &[usize], arguments: &[&Expr]) -> Vec<String> {
    positions.iter().filter_map(|&position| ordering(arguments[position])).collect()
}

/// The ordering that is written there.
fn ordering(argument: &Expr) -> Option<String> {
    let Expr::Path(path) = argument else { return None };
    let last = path.path.segments.last()?.ident.to_string();
    ORDERINGS.contains(&last.as_str()).then_some(last)
}

/// What a receiver is called: `driver` in `self.driver.borrow_mut()`.
fn receiver_name(receiver: &Expr) -> Option<String> {
    match receiver {
        Expr::Path(path) => path.path.segments.last().map(|last| last.ident.to_string()),
        Expr::Field(field) => match &field.member {
            syn::Member::Named(name) => Some(name.to_string()),
            syn::Member::Unnamed(_) => None,
        },
        Expr::MethodCall(call) => {
            let through = [
                "as_deref",
                "as_deref_mut",
                "as_mut",
                "as_ref",
                "borrow",
                "borrow_mut",
                "get_mut",
                "unwrap",
            ];
            let name = call.method.to_string();
            through.contains(&name.as_str()).then(|| receiver_name(&call.receiver))?
        }
        Expr::Paren(paren) => receiver_name(&paren.expr),
        Expr::Reference(reference) => receiver_name(&reference.expr),
        Expr::Unary(unary) => receiver_name(&unary.expr),
        Expr::Try(attempt) => receiver_name(&attempt.expr),
        Expr::Index(index) => receiver_name(&index.expr),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Category, of_call, of_method};
    use syn::{Expr, parse_str};

    fn told(code: &str) -> Option<(String, Category, usize, Vec<String>)> {
        let operation = match parse_str::<Expr>(code).expect("an expression") {
            Expr::MethodCall(call) => of_method(&call),
            Expr::Call(call) => of_call(&call),
            _ => None,
        }?;
        let column = operation.span.start().column + 1;
        Some((operation.name, operation.category, column, operation.orderings))
    }

    #[test]
    fn operations_are_told_where_the_location_of_a_caller_is() {
        let cases: [(&str, Option<(Category, usize)>); 22] = [
            ("self.word.load(Ordering::Relaxed)", Some((Category::Atomic, 11))),
            ("a.swap(1, Ordering::AcqRel)", Some((Category::Atomic, 3))),
            ("slice.swap(0, 1)", None),
            ("mem::swap(&mut a, &mut b)", None),
            ("Atomic::load(&a, Ordering::Relaxed)", Some((Category::Atomic, 1))),
            ("<P::AtomicU32>::swap(&a, 1, Ordering::Relaxed)", Some((Category::Atomic, 1))),
            ("P::fence(Ordering::SeqCst, &[])", Some((Category::Fence, 1))),
            ("P::Clock::now()", Some((Category::Clock, 1))),
            ("Instant::now()", None),
            ("<P::Driver as Driver>::accept(handle)", Some((Category::Driver, 1))),
            ("<P::Driver>::accept(handle)", Some((Category::Driver, 1))),
            ("listener.accept(handle)", None),
            ("self.driver.borrow_mut().wait(deadline, completions)", Some((Category::Driver, 26))),
            ("self.tasks.wait()", None),
            ("notifier.notify()", Some((Category::Driver, 10))),
            ("self.condvar.notify()", None),
            ("self.header.race.write()", Some((Category::Cell, 18))),
            ("lock.write()", None),
            ("cell.with_mut(|value| *value = 1)", Some((Category::Cell, 6))),
            ("lock.value.open()", Some((Category::Cell, 12))),
            ("P::AtomicUsize::new(0)", None),
            ("P::Threads::slot(key)", None),
        ];
        for (code, expected) in cases {
            let found = told(code).map(|(_, category, column, _)| (category, column));
            assert_eq!(found, expected, "{code}");
        }
    }

    #[test]
    fn orderings_are_read_as_they_are_written() {
        let code = "a.compare_exchange(0, 1, Ordering::AcqRel, Ordering::Acquire)";
        let (name, _, _, orderings) = told(code).expect("an operation");
        assert_eq!(
            (name.as_str(), orderings.join(" ")),
            ("compare_exchange", "AcqRel Acquire".into())
        );
    }
}
