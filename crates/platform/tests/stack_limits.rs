//! How many stacks a process can have. Alone in its process: it uses up the mappings of all.

use std::fs;

use raddle_platform::native::stack::{DEFAULT_STACK_SIZE, Guard, MapError, StackPool};

fn mappings_max() -> usize {
    let max = fs::read_to_string("/proc/sys/vm/max_map_count").expect("every Linux has it");
    max.trim().parse().expect("a number")
}

fn mappings() -> usize {
    fs::read_to_string("/proc/self/maps").expect("own mappings").lines().count()
}

/// One test, since both halves are about the same process-wide number.
#[test]
fn guard_marks_allow_as_many_stacks_as_memory_does_and_mprotect_says_what_it_runs_out_of() {
    let mut pool = StackPool::new(DEFAULT_STACK_SIZE);
    drop(pool.take().expect("a stack"));
    if pool.guard() == Guard::Madvise {
        let before = mappings();
        // 26 GB of addresses. With a mapping for each guard page, half of them would be too many.
        let stacks: Vec<_> = (0..100_000).map(|_| pool.take().expect("a stack")).collect();
        assert_eq!(pool.guard(), Guard::Madvise, "no fallback on the way");
        let slabs = stacks.len().div_ceil(64);
        assert!(mappings() <= before + slabs, "one mapping a slab at most: {}", mappings());
        drop(pool);
        drop(stacks);
        assert!(mappings() <= before, "and all of them are gone: {}", mappings());
    }

    let max = mappings_max();
    if max > 1 << 18 {
        eprintln!("vm.max_map_count is {max}: too many to run out of in a test");
        return;
    }
    let mut pool = StackPool::with_guard(DEFAULT_STACK_SIZE, Guard::Mprotect);
    let mut stacks = Vec::new();
    let error = loop {
        match pool.take() {
            Ok(stack) => stacks.push(stack),
            Err(error) => break error,
        }
        assert!(stacks.len() <= max, "each of them is a mapping");
    };
    assert!(stacks.len() > max / 3, "{} of {max}", stacks.len());
    assert_eq!(error.kind(), std::io::ErrorKind::OutOfMemory);
    assert!(error.to_string().contains("vm.max_map_count"), "{error}");
    let inner = error.get_ref().expect("an inner error");
    assert!(inner.is::<MapError>());

    // The pool works on: what comes back can be taken again.
    let limit = stacks.last().expect("many").limit();
    pool.give(stacks.pop().expect("many"));
    assert_eq!(pool.take().expect("the one just given").limit(), limit);
}
