//! Operations in every form in which production code calls them, each of which notes the place of
//! its caller.

use super::world::{Atomic, Cell, Clock, Driver, Ordering, Platform, World};

macro_rules! own {
    ($value:expr) => {
        assert_eq!($value, 7)
    };
}

struct Word<P> {
    word: Atomic,
    cell: Cell,
    driver: std::cell::RefCell<Driver>,
    platform: P,
}

impl<P: Platform> Word<P> {
    fn methods(&self) -> u32 {
        self.word.load(Ordering::Relaxed) + self.word.load(Ordering::Acquire)
    }

    fn over_lines(&self) -> bool {
        let _ = self.word.compare_exchange(0, 1, Ordering::AcqRel, Ordering::Relaxed);
        "ä".len() == 2 && self.word.fetch_add(1, Ordering::Relaxed) > 0
    }

    fn in_macros(&self) {
        assert!(self.word.load(Ordering::Relaxed) < 100, "{}", self.word.load(Ordering::Relaxed));
        assert_eq!(self.word.swap(7, Ordering::AcqRel), 2);
        assert!(matches!(self.word.load(Ordering::Relaxed), 7 if P::Clock::now() > 0));
        let text = format!("ä {}", P::Clock::now());
        assert!(!text.is_empty());
        own!(self.word.load(Ordering::Relaxed));
        debug_assert!(self.word.load(Ordering::Relaxed) == 7);
    }

    fn through_paths(&self) {
        P::fence(Ordering::SeqCst, &[]);
        <P as Platform>::retry("again");
        if <P::Clock as Clock>::now() > 0 {
            P::spin_loop()
        }
        Atomic::store(&self.word, 7, Ordering::Release);
    }

    fn cells(&self) {
        let add = |value: u32| self.cell.with(|kept| *kept + value);
        let _ = add(1);
        // SAFETY: one thread has the cell.
        unsafe { self.cell.with_mut(|kept| *kept += 1) };
        self.driver.borrow_mut().tick(&mut Vec::new());
        let mut slice = [1, 2];
        slice.swap(0, 1);
    }
}

/// Calls everything.
pub(crate) fn all() {
    let word = Word {
        word: Atomic::default(),
        cell: Cell::default(),
        driver: std::cell::RefCell::new(Driver),
        platform: World,
    };
    let World = word.platform;
    word.methods();
    word.over_lines();
    word.in_macros();
    word.through_paths();
    word.cells();
}

#[cfg(test)]
mod tests {
    fn not_listed(word: &super::Atomic) -> u32 {
        word.load(super::Ordering::Relaxed)
    }

    #[test]
    fn calls_nothing_that_counts() {
        let _ = not_listed;
    }
}
