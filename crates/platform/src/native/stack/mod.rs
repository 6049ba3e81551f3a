//! Stacks for fibers.
//!
//! A fiber wants a stack that is large if it needs one and costs next to nothing if it does not.
//! A mapping per stack, as threads have, costs 10 µs to make and runs into `vm.max_map_count`
//! (65,530) at half as many stacks, because a guard page that is protected otherwise than its
//! neighbours is a mapping of its own. So stacks come from *slabs*, one mapping for up to 64 of
//! them, and the guard pages are `MADV_GUARD_INSTALL` (Linux 6.13): marks in the page table that
//! split no mapping. Older kernels get `mprotect` and its limit.
//!
//! ```text
//!  slab                                                                      high addresses →
//!  ┌───────┬──────────────────────────┬─┬───────┬──────────────────────────┬─┬───
//!  │ guard │ ← stack 0 grows this way │c│ guard │ ← stack 1 grows this way │c│ …
//!  └───────┴──────────────────────────┴─┴───────┴──────────────────────────┴─┴───
//!  ↑ limit()                          ↑ base(): `c` is the stack's colour
//! ```
//!
//! **Colour.** The tops of all stacks would lie at the same offset in a page, so the hottest
//! lines of thousands of fibers would fight for the same sets of the first-level cache. Each of
//! sixteen neighbours starts 64 bytes lower than the one before.
//!
//! **Who owns what.** A [`StackPool`] belongs to one worker and hands out [`Stack`]s without any
//! atomic operation, the one given back last first, since its pages are in the cache. A stack
//! that is dropped anywhere else marks itself in its slab; the pool collects the marks before it
//! maps another slab. A slab is unmapped when its pool and all of its stacks are gone, so a stack
//! that is leaked on purpose stays mapped for good.
//!
//! **Memory.** A stack's pages appear as they are touched: none before it first runs, one or two
//! for a usual fiber; the page table takes another 520 bytes. Huge pages are refused: one would
//! cost 2 MiB for the first byte. [`StackPool::trim`] gives the pages of idle stacks back.
//!
//! **Overflow** hits the guard page. [`install_overflow_handler`] turns the fault into a message
//! that names the fiber ([`Stack::set_label`]) and an abort.

mod altstack;
mod overflow;
mod pool;
mod registry;
mod slab;

pub use altstack::prepare_thread;
pub use overflow::install_overflow_handler;
pub use pool::StackPool;
pub use slab::{Guard, MapError, Stack};

/// The usable size of a stack unless the program asks for another: 256 KiB of addresses.
pub const DEFAULT_STACK_SIZE: usize = 256 << 10;
