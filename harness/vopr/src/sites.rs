//! The sites that the operations of executions come from, and what was done there.
//!
//! An operation is noted under the address of its `Location`, which costs one look into a table.
//! The same site may have several such addresses (generic code has one per crate that instantiates
//! it): they are joined at the end, by their text, so that no order of addresses shows. Nothing
//! that an execution does depends on the table.

use core::cell::RefCell;
use core::fmt;
use core::hash::BuildHasherDefault;
use core::panic::Location;
use core::sync::atomic::Ordering;
use std::collections::HashMap;

use raddle_coverage::{AddressHasher, Hit, Hits, Operation as Operated, Site, is_production};

use crate::history::{Effect, Name, Operation};
use crate::world::World;

/// The address of a `Location`, and that of the operation's name.
type Key = (usize, usize);

/// What the executions of some simulations did, by site:
/// [`Simulation::sites`](crate::Simulation::sites).
#[derive(Default)]
pub struct Sites {
    table: RefCell<HashMap<Key, Noted, BuildHasherDefault<AddressHasher>>>,
}

/// What is known of one site.
struct Noted {
    site: &'static Location<'static>,
    name: &'static str,
    /// None, one, or the two of a compare-exchange.
    orders: [Option<Ordering>; 2],
    /// In production code.
    counted: bool,
    count: u64,
    succeeded: u64,
    failed: u64,
    threads: u64,
}

impl fmt::Debug for Sites {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sites").field("noted", &self.table.borrow().len()).finish()
    }
}

impl Sites {
    fn note(
        &self,
        thread: u32,
        name: &'static str,
        orders: [Option<Ordering>; 2],
        site: &'static Location<'static>,
        exchanged: Option<bool>,
    ) {
        let key = (core::ptr::from_ref(site).addr(), name.as_ptr().addr());
        let mut table = self.table.borrow_mut();
        let noted = table.entry(key).or_insert_with(|| Noted {
            site,
            name,
            orders,
            counted: is_production(site.file()),
            count: 0,
            succeeded: 0,
            failed: 0,
            threads: 0,
        });
        noted.count += 1;
        noted.succeeded += u64::from(exchanged == Some(true));
        noted.failed += u64::from(exchanged == Some(false));
        noted.threads |= 1 << (thread % 64);
    }

    /// The sites in the production crates.
    ///
    /// # Errors
    /// One site did two different things.
    pub fn hits(&self) -> Result<Hits, String> {
        let mut hits = Hits::default();
        for noted in self.table.borrow().values().filter(|noted| noted.counted) {
            hits.note(Site::from(noted.site), noted.hit())?;
        }
        Ok(hits)
    }
}

impl World {
    /// An operation that has taken effect, for whoever counts sites.
    #[inline]
    pub(crate) fn reach(
        &self,
        thread: u32,
        operation: Operation,
        site: &'static Location<'static>,
    ) {
        if let Some(sites) = &self.sites
            && is_operation(operation.name)
        {
            let orders = [operation.order, None];
            sites.note(thread, operation.name.text(), orders, site, None);
        }
    }

    /// As [`reach`](Self::reach), for what is not an operation of the history.
    pub(crate) fn reach_by_name(&self, name: &'static str, site: &'static Location<'static>) {
        if let Some(sites) = &self.sites {
            sites.note(self.current, name, [None, None], site, None);
        }
    }

    /// As [`reach`](Self::reach), for a compare-exchange.
    pub(crate) fn reach_exchange(
        &self,
        name: Name,
        (success, failure): (Ordering, Ordering),
        effect: Effect,
        site: &'static Location<'static>,
    ) {
        if let Some(sites) = &self.sites {
            // One that failed for no reason has found no other value.
            let exchanged = match effect {
                Effect::Change(..) => Some(true),
                Effect::Refused { .. } => Some(false),
                _ => None,
            };
            let orders = [Some(success), Some(failure)];
            sites.note(self.current, name.text(), orders, site, exchanged);
        }
    }
}

/// Whether the code asked for it: not the end of an object, and nothing that came in between.
/// Compare-exchanges are noted with both of their orderings.
fn is_operation(name: Name) -> bool {
    let exchange = matches!(name, Name::CompareExchange | Name::CompareExchangeWeak);
    let in_between = name.text().contains(' ');
    name != Name::Drop && !exchange && !in_between
}

impl Noted {
    fn hit(&self) -> Hit {
        let orderings = self.orders.iter().flatten().map(|order| format!("{order:?}"));
        Hit {
            operation: Operated { name: self.name.to_owned(), orderings: orderings.collect() },
            count: self.count,
            succeeded: self.succeeded,
            failed: self.failed,
            threads: self.threads,
        }
    }
}
