//! Counted pointers: [`Arc`], [`Weak`].

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use raddle_ownership::{Arc, Weak};
use raddle_platform::{Atomic, AtomicInt, Ordering, Platform, Threads};
use raddle_vopr::Sim;
use raddle_vopr::linear::{Call, Model};

use crate::{CLIENTS, Client, holds, is_found, run};

/// How many strong pointers there are, and nothing else: each client begins with one.
struct Counted;

#[derive(Clone, Copy, Debug)]
enum Ask {
    Clone,
    /// Whether this drops the value.
    Drop,
    /// Whether the value is the caller's.
    IntoInner,
    /// As above; if not, the pointer is kept.
    TryUnwrap,
    /// Whether there is a value.
    Upgrade,
    Count,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Answer {
    Done,
    Whether(bool),
    Count(usize),
}

impl Model for Counted {
    type State = usize;
    type Operation = Ask;
    type Outcome = Answer;

    fn initial(&self) -> usize {
        CLIENTS as usize
    }

    fn step(&self, count: &usize, call: &Call<Ask, Answer>) -> Option<usize> {
        let (answer, next) = match call.operation {
            Ask::Clone => (Answer::Done, count + 1),
            Ask::Drop | Ask::IntoInner => (Answer::Whether(*count == 1), count.checked_sub(1)?),
            Ask::TryUnwrap if *count == 1 => (Answer::Whether(true), 0),
            Ask::TryUnwrap => (Answer::Whether(false), *count),
            Ask::Upgrade if *count == 0 => (Answer::Whether(false), 0),
            Ask::Upgrade => (Answer::Whether(true), count + 1),
            Ask::Count => (Answer::Count(*count), *count),
        };
        (call.outcome() == Some(&answer)).then_some(next)
    }

    fn refusal(&self, count: &usize, _: &Call<Ask, Answer>) -> String {
        format!("has {count} strong pointers")
    }
}

/// What a client may do with its strong pointers, and with a weak one that each keeps.
trait Strong: Sized {
    type Weak;
    fn count(weak: &Self::Weak) -> usize;
    fn upgrade(weak: &Self::Weak) -> Option<Self>;
    fn another(&self) -> Self;
    /// Whether that was the last one.
    fn drop(self) -> bool;
    fn into_inner(self) -> bool;
    fn try_unwrap(self) -> Result<(), Self>;
}

fn rounds<S: Strong>(mut client: Client<'_, Counted>, first: S, weak: &S::Weak) {
    let mut strong = vec![first];
    for _ in 0..6 {
        match (client.random.below(6), strong.pop()) {
            (0, Some(it)) => {
                client.call(Ask::Clone, || {
                    strong.push(it.another());
                    Answer::Done
                });
                strong.push(it);
            }
            (1 | 2, Some(it)) => {
                client.call(Ask::Drop, || Answer::Whether(it.drop()));
            }
            (3, Some(it)) => {
                client.call(Ask::IntoInner, || Answer::Whether(it.into_inner()));
            }
            (4, Some(it)) => {
                client.call(Ask::TryUnwrap, || match it.try_unwrap() {
                    Ok(()) => Answer::Whether(true),
                    Err(it) => {
                        strong.push(it);
                        Answer::Whether(false)
                    }
                });
            }
            (way, kept) => {
                strong.extend(kept);
                if way % 2 == 0 {
                    client.call(Ask::Count, || Answer::Count(S::count(weak)));
                } else {
                    client.call(Ask::Upgrade, || {
                        let upgraded = S::upgrade(weak);
                        let there = upgraded.is_some();
                        strong.extend(upgraded);
                        Answer::Whether(there)
                    });
                }
            }
        }
        client.dawdle();
    }
    for it in strong {
        client.call(Ask::Drop, || Answer::Whether(it.drop()));
    }
}

/// Notes in a variable outside of the simulation which thread drops it.
struct Payload<'a>(&'a AtomicU64);

impl Drop for Payload<'_> {
    fn drop(&mut self) {
        let before = self.0.swap(<Sim as Platform>::Threads::id(), Relaxed);
        assert_eq!(before, 0, "a value is dropped once");
    }
}

/// A production pointer to a payload, and the same variable.
struct Real<'a>(Arc<Payload<'a>, Sim>, &'a AtomicU64);

impl<'a> Strong for Real<'a> {
    type Weak = (Weak<Payload<'a>, Sim>, &'a AtomicU64);

    fn count(weak: &Self::Weak) -> usize {
        weak.0.strong_count()
    }
    fn upgrade(weak: &Self::Weak) -> Option<Self> {
        weak.0.upgrade().map(|strong| Self(strong, weak.1))
    }
    fn another(&self) -> Self {
        Self(self.0.clone(), self.1)
    }
    fn drop(self) -> bool {
        let Self(strong, dropped) = self;
        assert_eq!(dropped.load(Relaxed), 0, "the value is there");
        drop(strong);
        dropped.load(Relaxed) == <Sim as Platform>::Threads::id()
    }
    fn into_inner(self) -> bool {
        Arc::into_inner(self.0).is_some()
    }
    fn try_unwrap(self) -> Result<(), Self> {
        Arc::try_unwrap(self.0).map(drop).map_err(|strong| Self(strong, self.1))
    }
}

#[test]
fn counted_pointers_keep_their_value_as_long_as_they_must() {
    holds(|seed| {
        let dropped = AtomicU64::new(0);
        let strong = Arc::<_, Sim>::new_in(Payload(&dropped));
        let weak = Arc::downgrade(&strong);
        let first = Firsts::new([strong.clone(), strong.clone(), strong]);
        run(&Counted, seed, |client| {
            let strong = first.take(client.process);
            rounds(client, Real(strong, &dropped), &(weak.clone(), &dropped));
        });
        assert_ne!(dropped.load(Relaxed), 0, "the last pointer drops the value");
    });
}

/// What each client begins with.
struct Firsts<T>([std::sync::Mutex<Option<T>>; CLIENTS as usize]);

impl<T> Firsts<T> {
    fn new(firsts: [T; CLIENTS as usize]) -> Self {
        Self(firsts.map(|first| std::sync::Mutex::new(Some(first))))
    }

    fn take(&self, client: u32) -> T {
        self.0[client as usize].lock().expect("unpoisoned").take().expect("taken once")
    }
}

/// A count whose upgrade looks first, and then adds.
struct Twin<'a>(&'a <Sim as Platform>::AtomicUsize);

impl<'a> Strong for Twin<'a> {
    type Weak = &'a <Sim as Platform>::AtomicUsize;

    fn count(weak: &Self::Weak) -> usize {
        weak.load(Ordering::Relaxed)
    }
    fn upgrade(weak: &Self::Weak) -> Option<Self> {
        if weak.load(Ordering::Relaxed) == 0 {
            return None;
        }
        weak.fetch_add(1, Ordering::Relaxed);
        Some(Self(weak))
    }
    fn another(&self) -> Self {
        self.0.fetch_add(1, Ordering::Relaxed);
        Self(self.0)
    }
    fn drop(self) -> bool {
        self.0.fetch_sub(1, Ordering::Relaxed) == 1
    }
    fn into_inner(self) -> bool {
        self.drop()
    }
    fn try_unwrap(self) -> Result<(), Self> {
        let (one, none) = (1, 0);
        let result = self.0.compare_exchange(one, none, Ordering::Relaxed, Ordering::Relaxed);
        result.map(drop).map_err(|_| self)
    }
}

#[test]
fn an_upgrade_that_looks_first_is_found() {
    is_found(|seed| {
        let count = <Sim as Platform>::AtomicUsize::new(CLIENTS as usize);
        run(&Counted, seed, |client| rounds(client, Twin(&count), &&count));
    });
}
