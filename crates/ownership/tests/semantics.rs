//! What a program can observe of an Arc is what it can observe of std's.

use std::cell::Cell;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::{AssertUnwindSafe, RefUnwindSafe, UnwindSafe, catch_unwind};
use std::rc::Rc;

use raddle_ownership::{Arc, Weak, unsize};

/// Counts its drops.
#[derive(Clone)]
struct Counted(Rc<Cell<usize>>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
    }
}

fn counted() -> (Rc<Cell<usize>>, Counted) {
    let drops = Rc::new(Cell::new(0));
    (Rc::clone(&drops), Counted(drops))
}

#[test]
fn the_value_is_dropped_once_with_the_last_arc() {
    let (drops, value) = counted();
    let first = Arc::new(value);
    let second = Arc::clone(&first);
    let weak = Arc::downgrade(&first);
    drop(first);
    assert_eq!(drops.get(), 0);
    drop(second);
    assert_eq!(drops.get(), 1);
    drop(weak);
    assert_eq!(drops.get(), 1);
}

#[test]
fn counts_are_those_of_the_pointers_that_exist() {
    let first = Arc::new(());
    assert_eq!((Arc::strong_count(&first), Arc::weak_count(&first)), (1, 0));
    let weak = Arc::downgrade(&first);
    let more = weak.clone();
    let second = first.clone();
    assert_eq!((Arc::strong_count(&first), Arc::weak_count(&first)), (2, 2));
    assert_eq!((weak.strong_count(), weak.weak_count()), (2, 2));
    drop((first, second, more));
    assert_eq!((weak.strong_count(), weak.weak_count()), (0, 0));
}

#[test]
fn a_weak_gives_an_arc_only_while_there_is_one() {
    let arc = Arc::new(7);
    let weak = Arc::downgrade(&arc);
    assert_eq!(weak.upgrade().as_deref(), Some(&7));
    drop(arc);
    assert!(weak.upgrade().is_none());
    assert!(weak.clone().upgrade().is_none());
}

#[test]
fn a_new_weak_points_nowhere() {
    static NOWHERE: Weak<u32> = Weak::new();
    let weak = NOWHERE.clone();
    assert!(weak.upgrade().is_none());
    assert_eq!((weak.strong_count(), weak.weak_count()), (0, 0));
    assert!(weak.ptr_eq(&Weak::default()));
    assert!(!weak.ptr_eq(&Arc::downgrade(&Arc::new(1))));
    assert_eq!(format!("{weak:?}"), "(Weak)");
}

#[test]
fn new_cyclic_gives_a_weak_to_the_value_itself() {
    struct Knot {
        me: Weak<Knot>,
        _counted: Counted,
    }
    let (drops, counted) = counted();
    let knot: Arc<Knot> = Arc::new_cyclic(|me| {
        assert!(me.upgrade().is_none(), "there is no value yet");
        assert_eq!((me.strong_count(), me.weak_count()), (0, 0));
        Knot { me: me.clone(), _counted: counted }
    });
    assert_eq!((Arc::strong_count(&knot), Arc::weak_count(&knot)), (1, 1));
    let again = knot.me.upgrade().expect("the value is there");
    assert!(Arc::ptr_eq(&knot, &again));
    drop((knot, again));
    assert_eq!(drops.get(), 1);
}

#[test]
fn a_panic_in_new_cyclic_leaves_an_empty_weak() {
    let kept = Cell::new(Weak::<String>::new());
    let result = catch_unwind(AssertUnwindSafe(|| {
        Arc::<String>::new_cyclic(|me| {
            kept.set(me.clone());
            panic!("no value");
        })
    }));
    assert!(result.is_err());
    assert!(kept.take().upgrade().is_none());
}

#[test]
fn get_mut_wants_to_be_alone() {
    let mut arc = Arc::new(1);
    *Arc::get_mut(&mut arc).expect("alone") = 2;
    let other = arc.clone();
    assert!(Arc::get_mut(&mut arc).is_none());
    drop(other);
    let weak = Arc::downgrade(&arc);
    assert!(Arc::get_mut(&mut arc).is_none());
    drop(weak);
    assert_eq!(Arc::get_mut(&mut arc), Some(&mut 2));
    assert_eq!((Arc::strong_count(&arc), Arc::weak_count(&arc)), (1, 0), "the lock is open again");
}

#[test]
fn make_mut_clones_what_is_shared() {
    let (drops, value) = counted();
    let mut mine = Arc::new(value);
    let theirs = mine.clone();
    Arc::make_mut(&mut mine);
    assert!(!Arc::ptr_eq(&mine, &theirs));
    assert_eq!((Arc::strong_count(&mine), Arc::strong_count(&theirs)), (1, 1));
    drop((mine, theirs));
    assert_eq!(drops.get(), 2);
}

#[test]
fn make_mut_moves_the_value_away_from_weaks() {
    let (drops, value) = counted();
    let mut arc = Arc::new(value);
    let before = Arc::as_ptr(&arc);
    let weak = Arc::downgrade(&arc);
    Arc::make_mut(&mut arc);
    assert_ne!(Arc::as_ptr(&arc), before);
    assert!(weak.upgrade().is_none());
    assert_eq!((Arc::strong_count(&arc), Arc::weak_count(&arc)), (1, 0));
    drop(arc);
    assert_eq!(drops.get(), 1, "moved, neither cloned nor dropped");
}

#[test]
fn make_mut_of_the_only_pointer_stays_in_place() {
    let mut arc = Arc::new(1);
    let before = Arc::as_ptr(&arc);
    *Arc::make_mut(&mut arc) += 1;
    assert_eq!((*arc, Arc::as_ptr(&arc)), (2, before));
    assert_eq!(Arc::downgrade(&arc).upgrade().as_deref(), Some(&2));
}

#[test]
fn the_value_comes_out_of_the_last_arc() {
    let (drops, value) = counted();
    let first = Arc::new(value);
    let second = first.clone();
    let weak = Arc::downgrade(&first);
    let Err(first) = Arc::try_unwrap(first) else { panic!("shared") };
    assert!(Arc::into_inner(second).is_none());
    let Ok(value) = Arc::try_unwrap(first) else { panic!("not shared") };
    assert!(weak.upgrade().is_none());
    drop(weak);
    assert_eq!(drops.get(), 0, "moved out, not dropped");
    drop(value);
    assert_eq!(drops.get(), 1);
    assert_eq!(Arc::into_inner(Arc::new(3)), Some(3));
}

#[test]
fn unwrap_or_clone_clones_only_what_is_shared() {
    let (drops, value) = counted();
    let first = Arc::new(value);
    let second = first.clone();
    drop(Arc::unwrap_or_clone(first));
    assert_eq!(drops.get(), 1, "the clone");
    drop(Arc::unwrap_or_clone(second));
    assert_eq!(drops.get(), 2, "the value");
}

#[test]
fn a_panicking_destructor_leaves_no_memory_behind_and_no_value() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("boom");
        }
    }
    let arc = Arc::new(Bomb);
    let weak = Arc::downgrade(&arc);
    assert!(catch_unwind(AssertUnwindSafe(|| drop(arc))).is_err());
    assert!(weak.upgrade().is_none());
    assert_eq!(weak.strong_count(), 0);
}

#[test]
fn raw_pointers_keep_the_count() {
    let arc: Arc<u16> = Arc::new(9);
    let raw = Arc::into_raw(arc.clone());
    assert_eq!(Arc::strong_count(&arc), 2);
    // SAFETY: `raw` came from `into_raw`, is taken back once, and two balanced changes between.
    unsafe {
        Arc::<u16>::increment_strong_count(raw);
        assert_eq!(Arc::strong_count(&arc), 3);
        Arc::<u16>::decrement_strong_count(raw);
        assert_eq!((*raw, Arc::strong_count(&arc)), (9, 2));
        assert!(Arc::ptr_eq(&arc, &Arc::from_raw(raw)));
    }
    assert_eq!(Arc::strong_count(&arc), 1);
}

#[test]
fn raw_pointers_work_at_every_alignment_and_unsized() {
    #[repr(align(256))]
    #[derive(Debug)]
    struct Wide(u8);
    let wide = Arc::<Wide>::new(Wide(1));
    assert_eq!(Arc::as_ptr(&wide).addr() % 256, 0);
    // SAFETY: taken back once.
    let wide: Arc<Wide> = unsafe { Arc::from_raw(Arc::into_raw(wide)) };
    assert_eq!(wide.0, 1);
    let shown: Arc<dyn std::fmt::Debug> = unsize!(wide => dyn std::fmt::Debug);
    // SAFETY: taken back once.
    let shown: Arc<dyn std::fmt::Debug> = unsafe { Arc::from_raw(Arc::into_raw(shown)) };
    assert_eq!(format!("{shown:?}"), "Wide(1)");
}

#[test]
fn raw_weaks_keep_the_count() {
    let arc: Arc<u64> = Arc::new(3);
    let raw = Arc::downgrade(&arc).into_raw();
    assert_eq!((Arc::weak_count(&arc), raw), (1, Arc::as_ptr(&arc)));
    // SAFETY: taken back once.
    let weak: Weak<u64> = unsafe { Weak::from_raw(raw) };
    assert_eq!(weak.upgrade().as_deref(), Some(&3));
    let nowhere = Weak::<u64>::new().into_raw();
    // SAFETY: taken back once.
    let nowhere: Weak<u64> = unsafe { Weak::from_raw(nowhere) };
    assert!(nowhere.upgrade().is_none());
}

#[test]
fn an_unsized_arc_shares_the_counts_and_drops_the_value() {
    trait Speak {
        fn speak(&self) -> &'static str;
    }
    impl Speak for Counted {
        fn speak(&self) -> &'static str {
            "here"
        }
    }
    let (drops, value) = counted();
    let concrete = Arc::new(value);
    let weak = Arc::downgrade(&concrete);
    let erased: Arc<dyn Speak> = unsize!(concrete.clone() => dyn Speak);
    assert_eq!(erased.speak(), "here");
    assert_eq!(Arc::strong_count(&erased), 2);
    let weak_erased = Arc::downgrade(&erased);
    drop(concrete);
    assert_eq!(drops.get(), 0);
    drop(erased);
    assert_eq!(drops.get(), 1);
    assert!(weak.upgrade().is_none() && weak_erased.upgrade().is_none());
}

#[test]
fn an_arc_stands_for_its_value() {
    fn hash(value: impl Hash) -> u64 {
        let mut hasher = DefaultHasher::new();
        value.hash(&mut hasher);
        hasher.finish()
    }
    let other: Arc<String> = Arc::from("text".to_owned());
    assert_eq!(hash(&other), hash("text".to_owned()));
    assert!(Arc::<i32>::new(1) < Arc::new(2));
    assert_eq!(Arc::<i32>::new(1), Arc::new(1));
    assert_eq!(format!("{other} {other:?}"), "text \"text\"");
    assert_eq!(*Arc::<i32>::default(), 0);
    let map: HashMap<Arc<String>, i32> = [(other.clone(), 1)].into();
    let key: &String = &other;
    assert_eq!(map.get(key), Some(&1), "by Borrow");
    assert_eq!(AsRef::<String>::as_ref(&other), "text");
    assert_eq!(format!("{other:p}"), format!("{:p}", Arc::as_ptr(&other)));
}

#[test]
fn pinned_values_stay_where_they_are() {
    let pinned = Arc::pin(5);
    let other = pinned.clone();
    assert!(std::ptr::eq(&raw const *pinned, &raw const *other));
}

#[test]
fn pointers_are_one_word_with_a_niche() {
    assert_eq!(size_of::<Arc<[u8; 100]>>(), 8);
    assert_eq!(size_of::<Option<Arc<u8>>>(), 8);
    assert_eq!(size_of::<Weak<u8>>(), 8);
    assert_eq!(size_of::<Option<Weak<u8>>>(), 8);
    assert_eq!(size_of::<Arc<dyn Send>>(), 16);
}

#[test]
fn auto_traits_are_those_of_std() {
    fn all<T: Send + Sync + Unpin + UnwindSafe + RefUnwindSafe>() {}
    all::<Arc<u8>>();
    all::<Weak<u8>>();
    all::<Arc<std::sync::Mutex<std::marker::PhantomPinned>>>();
}

#[test]
fn threads_share_and_the_last_one_drops() {
    use std::sync::atomic::{AtomicUsize, Ordering};
    static DROPS: AtomicUsize = AtomicUsize::new(0);
    struct Shared(Vec<u32>);
    impl Drop for Shared {
        fn drop(&mut self) {
            assert_eq!(self.0.len(), 3);
            DROPS.fetch_add(1, Ordering::Relaxed);
        }
    }
    for round in 1..=100 {
        let arc = Arc::new(Shared(vec![1, 2, 3]));
        let weak = Arc::downgrade(&arc);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                let (arc, weak) = (arc.clone(), weak.clone());
                scope.spawn(move || {
                    assert_eq!(arc.0[2], 3);
                    drop(arc);
                    if let Some(arc) = weak.upgrade() {
                        assert_eq!(arc.0[0], 1);
                    }
                });
            }
            drop(arc);
        });
        assert!(weak.upgrade().is_none());
        assert_eq!(DROPS.load(Ordering::Relaxed), round);
    }
}
