//! How often each site was visited, for the coverage of wait loops.

use core::panic::Location;
use core::ptr;
use core::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

use crate::settings::{COUNTS, set};

/// A site and its visits. Written without a lock: a table that made threads wait for one another
/// would order what it watches.
struct Entry {
    site: AtomicPtr<Location<'static>>,
    visits: AtomicU64,
}

/// Several times the sites that there are. A power of two.
const ENTRIES: usize = 1 << 14;

static TABLE: [Entry; ENTRIES] =
    [const { Entry { site: AtomicPtr::new(ptr::null_mut()), visits: AtomicU64::new(0) } }; ENTRIES];

/// Begins to count.
pub fn count_sites() {
    set(COUNTS, true);
}

/// By the address of the location: one site may have several, in several codegen units.
pub(crate) fn count(site: &'static Location<'static>) {
    let wanted = ptr::from_ref(site).cast_mut();
    let first = (wanted.addr() >> 3).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 50;
    for index in first..first + ENTRIES {
        let entry = &TABLE[index % ENTRIES];
        let found = entry.site.compare_exchange(
            ptr::null_mut(),
            wanted,
            Ordering::Relaxed,
            Ordering::Relaxed,
        );
        if found.is_ok() || found == Err(wanted) {
            entry.visits.fetch_add(1, Ordering::Relaxed);
            return;
        }
    }
}

/// A place in the source, and how often it was visited.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Visits {
    /// The file, as the compiler was told it.
    pub file: String,
    /// The line, from 1.
    pub line: u32,
    /// The column, from 1.
    pub column: u32,
    /// How often.
    pub count: u64,
}

/// All sites that were visited since counting began, in order.
pub fn visited_sites() -> Vec<Visits> {
    let mut sites: Vec<Visits> = Vec::new();
    for entry in &TABLE {
        // SAFETY: written by `count` only, from a static reference.
        let Some(site) = (unsafe { entry.site.load(Ordering::Relaxed).as_ref() }) else { continue };
        sites.push(Visits {
            file: site.file().to_owned(),
            line: site.line(),
            column: site.column(),
            count: entry.visits.load(Ordering::Relaxed),
        });
    }
    sites.sort();
    sites.dedup_by(|next, kept| {
        let same = (&next.file, next.line, next.column) == (&kept.file, kept.line, kept.column);
        kept.count += if same { next.count } else { 0 };
        same
    });
    sites
}
