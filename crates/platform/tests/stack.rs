//! What a pool of fiber stacks promises while nothing goes wrong.

use std::collections::HashSet;
use std::fs::File;
use std::io::Read;
use std::sync::mpsc;

use raddle_platform::native::stack::{DEFAULT_STACK_SIZE, Guard, Stack, StackPool};

/// A slab holds at most this many stacks.
const SLAB: usize = 64;

fn page() -> usize {
    // SAFETY: reads a constant.
    unsafe { libc::sysconf(libc::_SC_PAGESIZE) as usize }
}

fn take(pool: &mut StackPool, count: usize) -> Vec<Stack> {
    (0..count).map(|_| pool.take().expect("a stack")).collect()
}

/// Whether the byte at `address` can be written, found out by letting the kernel do it: read(2)
/// into a bad address is EFAULT, where an access of our own would be a signal.
fn writable(address: usize) -> bool {
    use std::os::fd::AsRawFd;
    let zero = File::open("/dev/zero").expect("every Linux has it");
    let byte = std::ptr::with_exposed_provenance_mut(address);
    // SAFETY: the kernel checks the address; the callers own the stack around it.
    let count = unsafe { libc::read(zero.as_raw_fd(), byte, 1) };
    if count < 0 {
        let errno = std::io::Error::last_os_error().raw_os_error();
        assert_eq!(errno, Some(libc::EFAULT), "no other reason to refuse");
    }
    count == 1
}

/// How many pages of the stack are in memory.
fn resident_pages(stack: &Stack) -> usize {
    let low = stack.limit().get() + page();
    let mut pages = vec![0_u8; stack.size() / page()];
    let start = std::ptr::with_exposed_provenance_mut(low);
    // SAFETY: the range is mapped, and `pages` has a byte for each page.
    let status = unsafe { libc::mincore(start, stack.size(), pages.as_mut_ptr()) };
    assert_eq!(status, 0);
    pages.iter().filter(|&&page| page & 1 == 1).count()
}

/// Touches every page.
fn dirty(stack: &Stack) {
    for low in (stack.limit().get() + page()..stack.base().get()).step_by(page()) {
        assert!(writable(low));
    }
}

#[test]
fn every_stack_has_its_own_memory_and_a_guard_page_below() {
    for kind in [Guard::Madvise, Guard::Mprotect] {
        let mut pool = StackPool::with_guard(16 << 10, kind);
        let stacks = take(&mut pool, 2 * SLAB + 3);
        for stack in &stacks {
            let (limit, base) = (stack.limit().get(), stack.base().get());
            assert_eq!((limit % page(), base % 16), (0, 0), "{stack:?}");
            let room = base - limit - page();
            assert!(room <= stack.size() && stack.size() - room < 1024, "{stack:?}");
            for guard in [limit, limit + page() / 2, limit + page() - 1] {
                assert!(!writable(guard), "{kind:?}: {guard:#x} of {stack:?}");
            }
            for inside in [limit + page(), base - 1] {
                assert!(writable(inside), "{kind:?}: {inside:#x} of {stack:?}");
            }
        }
        let mut ranges: Vec<_> = stacks.iter().map(|s| (s.limit(), s.base())).collect();
        ranges.sort_unstable();
        assert!(ranges.windows(2).all(|pair| pair[0].1 <= pair[1].0), "no overlap");
    }
}

/// From here on the kernel answers EINVAL to the calling thread's MADV_GUARD_INSTALL, as kernels
/// before Linux 6.13 do.
fn refuse_guard_marks() {
    const SYSCALL_OFFSET: u32 = 0;
    const THIRD_ARGUMENT_OFFSET: u32 = 16 + 2 * 8;
    let step = |code: u32, k: u32, jt, jf| libc::sock_filter { code: code as u16, jt, jf, k };
    let load = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    let equal = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
    let answer = libc::BPF_RET | libc::BPF_K;
    let mut filter = [
        step(load, SYSCALL_OFFSET, 0, 0),
        step(equal, libc::SYS_madvise as u32, 0, 3),
        step(load, THIRD_ARGUMENT_OFFSET, 0, 0),
        step(equal, 102, 0, 1),
        step(answer, libc::SECCOMP_RET_ERRNO | libc::EINVAL as u32, 0, 0),
        step(answer, libc::SECCOMP_RET_ALLOW, 0, 0),
    ];
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    // SAFETY: the program is valid for the call, which copies it.
    unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        let mode = libc::SECCOMP_MODE_FILTER;
        assert_eq!(libc::prctl(libc::PR_SET_SECCOMP, mode, &raw const program), 0);
    }
}

#[test]
fn a_kernel_that_refuses_guard_marks_gets_mprotect() {
    let thread = std::thread::spawn(|| {
        refuse_guard_marks();
        let mut pool = StackPool::new(0);
        assert_eq!(pool.guard(), Guard::Madvise, "not tried yet");
        let stacks = take(&mut pool, SLAB + 1);
        assert_eq!(pool.guard(), Guard::Mprotect);
        for stack in &stacks {
            assert!(!writable(stack.limit().get() + page() - 1));
            assert!(writable(stack.limit().get() + page()));
        }
    });
    thread.join().expect("no assertion failed");
}

#[test]
fn sizes_are_rounded_up_to_pages_and_two_at_least() {
    for (asked, got) in [(0, 2 * page()), (2 * page() + 1, 3 * page()), (64 * page(), 64 * page())]
    {
        let mut pool = StackPool::new(asked);
        assert_eq!((pool.stack_size(), pool.take().expect("a stack").size()), (got, got));
    }
    assert_eq!(StackPool::new(DEFAULT_STACK_SIZE).stack_size(), 256 << 10);
}

#[test]
fn a_size_that_no_machine_has_is_an_error_and_not_a_panic() {
    let mut pool = StackPool::new(usize::MAX);
    let error = pool.take().expect_err("too large");
    let inner = error.get_ref().and_then(|inner| inner.source()).expect("keeps the cause");
    let cause = inner.downcast_ref::<std::io::Error>().expect("the kernel's error");
    assert_eq!((error.kind(), cause.raw_os_error()), (cause.kind(), Some(libc::ENOMEM)));
    assert!(pool.take().is_err(), "and again");
    assert_eq!((pool.made(), pool.idle()), (0, 0));
}

#[test]
fn stacks_larger_than_a_slab_work() {
    let mut pool = StackPool::new(100 << 20);
    let stacks = take(&mut pool, 3);
    for stack in &stacks {
        assert!(writable(stack.base().get() - 1) && writable(stack.limit().get() + page()));
        assert!(!writable(stack.limit().get()));
    }
    assert_eq!(pool.made(), 3);
}

#[test]
fn the_stack_given_back_last_is_taken_first() {
    let mut pool = StackPool::new(0);
    let stacks = take(&mut pool, SLAB + 1);
    let order: Vec<_> = stacks.iter().map(Stack::limit).collect();
    stacks.into_iter().for_each(|stack| pool.give(stack));
    assert_eq!(pool.idle(), SLAB + 1);
    let again: Vec<_> = take(&mut pool, SLAB + 1).iter().map(Stack::limit).collect();
    assert!(again.iter().eq(order.iter().rev()));
    assert_eq!(pool.made(), SLAB + 1, "nothing new was mapped");
}

#[test]
fn stacks_dropped_on_another_thread_come_back_before_anything_new_is_mapped() {
    let mut pool = StackPool::new(0);
    let stacks = take(&mut pool, 2 * SLAB);
    let before: HashSet<_> = stacks.iter().map(Stack::limit).collect();
    std::thread::spawn(move || drop(stacks)).join().expect("dropping does not panic");
    assert_eq!(pool.idle(), 0, "the pool has not looked yet");
    let again = take(&mut pool, 2 * SLAB);
    assert!(again.iter().map(Stack::limit).collect::<HashSet<_>>() == before);
    assert_eq!(pool.made(), 2 * SLAB);
}

#[test]
fn a_stack_that_is_dropped_while_the_pool_collects_is_neither_lost_nor_doubled() {
    let mut pool = StackPool::new(0);
    let mut known = HashSet::new();
    let (sender, receiver) = mpsc::channel::<Stack>();
    let dropper = std::thread::spawn(move || receiver.into_iter().for_each(drop));
    for _ in 0..20_000 {
        let stack = pool.take().expect("a stack");
        known.insert(stack.limit());
        sender.send(stack).expect("the dropper runs");
    }
    drop(sender);
    dropper.join().expect("dropping does not panic");
    assert_eq!(known.len(), pool.made());
    let mapped = known.len().next_multiple_of(SLAB);
    let all: HashSet<_> = take(&mut pool, mapped).iter().map(Stack::limit).collect();
    assert_eq!(all.len(), mapped, "each once");
    assert!(all.is_superset(&known), "none is lost");
    assert_eq!(pool.made(), mapped, "and no slab was mapped for them");
}

#[test]
fn a_stack_of_another_pool_is_kept_if_it_fits_and_returned_if_not() {
    let (mut small, mut large) = (StackPool::new(0), StackPool::new(1 << 20));
    let mut twin = StackPool::new(0);
    let stack = small.take().expect("a stack");
    let limit = stack.limit();
    large.give(stack);
    assert_eq!(large.idle(), 0);
    let rest = take(&mut small, SLAB - 1);
    let stack = small.take().expect("the one that went home");
    assert_eq!(stack.limit(), limit);
    twin.give(stack);
    drop((small, rest));
    let stack = twin.take().expect("a stack");
    assert_eq!(stack.limit(), limit);
    dirty(&stack);
}

#[test]
fn a_slab_stays_mapped_until_its_pool_and_its_last_stack_are_gone() {
    let mut pool = StackPool::new(1 << 20);
    let mut stacks = take(&mut pool, 5);
    let kept = stacks.swap_remove(2);
    let low = kept.limit().get() + page();
    let idle = stacks.pop().expect("five");
    pool.give(idle);
    drop((pool, stacks));
    dirty(&kept);
    // Another mapping may take the place at once, so ask for this one by a mark in it.
    // SAFETY: the stack is owned and nothing runs on it.
    unsafe { *std::ptr::with_exposed_provenance_mut::<u64>(low) = 0x5157_ac4e };
    assert_eq!(read_own_memory(low), Some(0x5157_ac4e));
    drop(kept);
    assert_ne!(read_own_memory(low), Some(0x5157_ac4e));
}

/// The word at `address`, or `None` if nothing is mapped there.
fn read_own_memory(address: usize) -> Option<u64> {
    use std::io::{Seek, SeekFrom};
    let mut memory = File::open("/proc/self/mem").expect("own memory");
    memory.seek(SeekFrom::Start(address as u64)).expect("a file position");
    let mut word = [0; 8];
    memory.read_exact(&mut word).ok().map(|()| u64::from_ne_bytes(word))
}

#[test]
fn a_stack_takes_no_memory_before_it_is_used_and_none_after_it_is_trimmed() {
    let mut pool = StackPool::new(DEFAULT_STACK_SIZE);
    let stacks = take(&mut pool, 4);
    assert!(stacks.iter().all(|stack| resident_pages(stack) == 0));
    stacks.iter().for_each(dirty);
    assert!(stacks.iter().all(|stack| resident_pages(stack) == stack.size() / page()));
    stacks.into_iter().for_each(|stack| pool.give(stack));

    pool.trim(1);
    let pages: Vec<_> = take(&mut pool, 4).iter().map(resident_pages).collect();
    assert_eq!(pages, [DEFAULT_STACK_SIZE / page(), 0, 0, 0], "all but the hottest one");
}

#[test]
fn trimming_again_reaches_the_stacks_that_were_used_since() {
    let mut pool = StackPool::new(0);
    let stacks = take(&mut pool, 8);
    stacks.iter().for_each(dirty);
    stacks.into_iter().for_each(|stack| pool.give(stack));
    pool.trim(0);
    let used = take(&mut pool, 3);
    used.iter().for_each(dirty);
    used.into_iter().for_each(|stack| pool.give(stack));
    pool.trim(2);
    pool.trim(usize::MAX);
    let pages: Vec<_> = take(&mut pool, 8).iter().map(resident_pages).collect();
    assert_eq!(pages, [2, 2, 0, 0, 0, 0, 0, 0]);
}

#[test]
fn the_guard_page_survives_a_trim() {
    for kind in [Guard::Madvise, Guard::Mprotect] {
        let mut pool = StackPool::with_guard(0, kind);
        let stack = pool.take().expect("a stack");
        let limit = stack.limit().get();
        pool.give(stack);
        pool.trim(0);
        let _again = pool.take().expect("the same stack");
        assert!(!writable(limit) && writable(limit + page()));
    }
}

#[test]
fn neighbours_start_in_different_cache_lines() {
    let mut pool = StackPool::new(DEFAULT_STACK_SIZE);
    let stacks = take(&mut pool, 16);
    let lines: HashSet<_> = stacks.iter().map(|stack| stack.base().get() % 4096 / 64).collect();
    assert_eq!(lines.len(), 16);
}

#[test]
fn a_fiber_runs_on_a_stack() {
    struct OnStack(Stack);
    // SAFETY: the pool's stacks have a guard page and at least a page above it.
    unsafe impl corosensei::stack::Stack for OnStack {
        fn base(&self) -> std::num::NonZeroUsize {
            self.0.base()
        }
        fn limit(&self) -> std::num::NonZeroUsize {
            self.0.limit()
        }
    }
    fn sum(depth: u64) -> u64 {
        let frame = std::hint::black_box([depth; 32]);
        if depth == 0 { 0 } else { frame[7] + sum(depth - 1) }
    }
    let mut pool = StackPool::new(DEFAULT_STACK_SIZE);
    let stack = pool.take().expect("a stack");
    let mut fiber = corosensei::Coroutine::with_stack(OnStack(stack), |yielder, depth: u64| {
        let more = yielder.suspend(sum(depth));
        sum(more)
    });
    assert_eq!(fiber.resume(100).as_yield(), Some(5050));
    assert_eq!(fiber.resume(10).as_return(), Some(55));
    pool.give(fiber.into_stack().0);
    assert_eq!(pool.idle(), 1);
}
