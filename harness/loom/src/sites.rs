//! The sites that the operations of a check come from, and what was done there.
//!
//! An operation is noted under the address of its `Location`, which costs one look into a table.
//! The same site may have several such addresses (generic code has one per crate that instantiates
//! it): they are joined at the end, by their text.

use core::cell::RefCell;
use core::hash::BuildHasherDefault;
use core::panic::Location;
use std::collections::{BTreeMap, HashMap};

use raddle_coverage::{AddressHasher, Hit, Hits, Operation as Operated, Site, is_production};

use crate::history::Operation;

/// The address of a `Location`, and that of the operation's name.
type Key = (usize, usize);

/// What is known of all sites.
#[derive(Debug, Default)]
pub(crate) struct Sites {
    table: RefCell<HashMap<Key, Noted, BuildHasherDefault<AddressHasher>>>,
    wakes: RefCell<HashMap<usize, (&'static Location<'static>, u64)>>,
}

/// What is known of one site.
#[derive(Debug)]
struct Noted {
    site: &'static Location<'static>,
    operation: Operation,
    /// An operation of production code, and no remark.
    counted: bool,
    count: u64,
    succeeded: u64,
    failed: u64,
    threads: u64,
}

impl Sites {
    /// `thread` does `operation` at `site`. Returns whether it is one of production code.
    pub(crate) fn note(
        &self,
        thread: usize,
        operation: Operation,
        site: &'static Location<'static>,
    ) -> bool {
        let mut table = self.table.borrow_mut();
        let noted = table.entry(key(operation, site)).or_insert_with(|| Noted {
            site,
            operation,
            counted: is_production(site.file()) && !operation.name.contains(' '),
            count: 0,
            succeeded: 0,
            failed: 0,
            threads: 0,
        });
        noted.count += 1;
        noted.threads |= 1 << thread;
        noted.counted
    }

    /// A thread whose last operation in production code was the one at `site` wakes a thread.
    pub(crate) fn note_wake(&self, site: &'static Location<'static>) {
        let mut wakes = self.wakes.borrow_mut();
        wakes.entry(core::ptr::from_ref(site).addr()).or_insert((site, 0)).1 += 1;
    }

    /// The compare-exchange that was noted last at `site` took effect, or did not.
    pub(crate) fn outcome(
        &self,
        operation: Operation,
        site: &'static Location<'static>,
        succeeded: bool,
    ) {
        if let Some(noted) = self.table.borrow_mut().get_mut(&key(operation, site)) {
            *(if succeeded { &mut noted.succeeded } else { &mut noted.failed }) += 1;
        }
    }

    /// The sites in the production crates.
    ///
    /// # Errors
    /// One site did two different things.
    pub(crate) fn hits(&self) -> Result<Hits, String> {
        let mut hits = Hits::default();
        for noted in self.table.borrow().values().filter(|noted| noted.counted) {
            hits.note(Site::from(noted.site), noted.hit())?;
        }
        Ok(hits)
    }

    /// After which sites threads were woken, and how often.
    pub(crate) fn wakes(&self) -> BTreeMap<String, u64> {
        let mut wakes = BTreeMap::new();
        for (site, count) in self.wakes.borrow().values() {
            *wakes.entry(Site::from(*site).to_string()).or_default() += count;
        }
        wakes
    }
}

fn key(operation: Operation, site: &'static Location<'static>) -> Key {
    (core::ptr::from_ref(site).addr(), operation.name.as_ptr().addr())
}

impl Noted {
    fn hit(&self) -> Hit {
        let Operation { name, order, failure, .. } = self.operation;
        let orderings = order.into_iter().chain(failure).map(|order| format!("{order:?}"));
        Hit {
            operation: Operated { name: name.to_owned(), orderings: orderings.collect() },
            count: self.count,
            succeeded: self.succeeded,
            failed: self.failed,
            threads: self.threads,
        }
    }
}
