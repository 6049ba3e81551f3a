//! std's threads, and a small array of thread-local slots.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::threads::{SlotKey, Threads};

/// Threads of the operating system.
#[derive(Debug)]
pub struct NativeThreads;

thread_local! {
    static SLOTS: [Cell<*mut ()>; SlotKey::COUNT] =
        const { [const { Cell::new(core::ptr::null_mut()) }; SlotKey::COUNT] };
    static ID: Cell<u64> = const { Cell::new(0) };
    static EXITS: Exits = const { Exits(RefCell::new(Vec::new())) };
}

/// Runs what was registered when the thread ends.
struct Exits(RefCell<Vec<Box<dyn FnOnce()>>>);

impl Drop for Exits {
    fn drop(&mut self) {
        while let Some(exit) = self.0.get_mut().pop() {
            exit();
        }
    }
}

impl Threads for NativeThreads {
    type JoinHandle = std::thread::JoinHandle<()>;

    fn spawn(name: String, body: Box<dyn FnOnce() + Send>) -> io::Result<Self::JoinHandle> {
        std::thread::Builder::new().name(name).spawn(body)
    }

    fn join(handle: Self::JoinHandle) -> Result<(), Box<dyn Any + Send>> {
        handle.join()
    }

    fn id() -> u64 {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        ID.with(|id| {
            if id.get() == 0 {
                id.set(NEXT.fetch_add(1, Ordering::Relaxed));
            }
            id.get()
        })
    }

    fn yield_now() {
        std::thread::yield_now();
    }

    fn available_parallelism() -> usize {
        std::thread::available_parallelism().map_or(1, usize::from)
    }

    // Not inlined: LLVM assumes that a thread-local's address never changes inside a function,
    // which a stack switch would break (rust-lang/unsafe-code-guidelines#602).
    #[inline(never)]
    fn slot(key: SlotKey) -> *mut () {
        SLOTS.with(|slots| slots[key as usize].get())
    }

    #[inline(never)]
    fn set_slot(key: SlotKey, value: *mut ()) -> *mut () {
        SLOTS.with(|slots| slots[key as usize].replace(value))
    }

    fn on_exit(f: Box<dyn FnOnce()>) -> bool {
        EXITS.try_with(|exits| exits.0.borrow_mut().push(f)).is_ok()
    }

    fn panicking() -> bool {
        std::thread::panicking()
    }

    fn tearing_down() -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn each_thread_has_its_own_slots() {
        let mine = core::ptr::without_provenance_mut(8);
        NativeThreads::set_slot(SlotKey::Epoch, mine);
        let other = std::thread::spawn(|| NativeThreads::slot(SlotKey::Epoch).addr());
        assert_eq!(other.join().expect("the thread ends"), 0);
        assert_eq!(NativeThreads::set_slot(SlotKey::Epoch, core::ptr::null_mut()), mine);
    }

    /// Thread-locals are destroyed in an order that nobody promises; whoever comes after the exits
    /// must learn that.
    #[test]
    fn an_exit_that_registers_an_exit_is_told_no() {
        let (sender, receiver) = mpsc::channel();
        let body = Box::new(move || {
            let late = move || {
                let told = NativeThreads::on_exit(Box::new(|| ()));
                sender.send(told).expect("received");
            };
            assert!(NativeThreads::on_exit(Box::new(late)));
        });
        let thread = NativeThreads::spawn("late".into(), body).expect("a thread");
        NativeThreads::join(thread).expect("no panic");
        assert!(!receiver.recv().expect("told"));
    }

    #[test]
    fn exits_run_in_reverse_when_the_thread_ends() {
        let (sender, receiver) = mpsc::channel();
        let body = Box::new(move || {
            for order in 0..3 {
                let sender = sender.clone();
                NativeThreads::on_exit(Box::new(move || sender.send(order).expect("received")));
            }
        });
        let thread = NativeThreads::spawn("exits".into(), body).expect("a thread");
        NativeThreads::join(thread).expect("no panic");
        assert_eq!(receiver.into_iter().collect::<Vec<_>>(), [2, 1, 0]);
    }
}
