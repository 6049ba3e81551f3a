//! One mapping of many stacks, and the handle of a stack.

use core::ops::Range;
use std::fmt;
use std::io;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, Ordering};

use super::super::counted::Counted;
use super::registry::{self, Geometry, Label, Record};

/// At most this many stacks share a mapping: one bit each in a word.
const SLAB_STACKS: usize = u64::BITS as usize;
/// A slab of large stacks has fewer of them, down to one.
const SLAB_BYTES_MAX: usize = 64 << 20;
/// Neighbours start this much lower than one another: a cache line.
const COLOUR_BYTES: usize = 64;
const COLOURS: usize = 16;
/// Since Linux 6.13; not in the libc crate yet.
const MADV_GUARD_INSTALL: libc::c_int = 102;

/// How guard pages are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    /// `MADV_GUARD_INSTALL`: costs no mapping. Linux 6.13 and later.
    Madvise,
    /// `mprotect`: two mappings a stack, of which a process has 65,530 by default.
    Mprotect,
}

/// The kernel refuses memory for a stack. Comes as the inner error of an [`io::Error`] of the
/// same kind; the kernel's own error is the [`source`](std::error::Error::source).
#[derive(Debug)]
pub struct MapError {
    failed: &'static str,
    advice: &'static str,
    source: io::Error,
}

impl fmt::Display for MapError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {} a fiber's stack: {}; {}", self.failed, self.source, self.advice)
    }
}

impl std::error::Error for MapError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// `errno`, with what was tried and what to do.
fn refused(failed: &'static str, advice: &'static str) -> io::Error {
    let source = io::Error::last_os_error();
    io::Error::new(source.kind(), MapError { failed, advice, source })
}

pub(super) fn page_size() -> usize {
    // SAFETY: `sysconf` reads a constant.
    let bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(bytes).expect("Linux tells its page size")
}

/// The slab that stacks of `size` usable bytes come from.
pub(super) fn geometry(size: usize) -> Geometry {
    let page = page_size();
    // Two pages at least, so that a whole one is left below the colour. The upper end is out of
    // every kernel's reach and far from overflow.
    let usable = size.clamp(2 * page, 1 << 50).next_multiple_of(page);
    let count = (SLAB_BYTES_MAX / (page + usable)).clamp(1, SLAB_STACKS);
    Geometry { guard: page, usable, count }
}

/// One mapping. Shared by its pool and its stacks; the last one unmaps it.
#[derive(Debug)]
pub(super) struct Slab {
    start: NonZeroUsize,
    geometry: Geometry,
    record: &'static Record,
    /// Bit `i` is set while stack `i` was dropped elsewhere and the pool does not know yet.
    returned: AtomicU64,
}

impl Slab {
    pub(super) fn map(geometry: Geometry) -> io::Result<Counted<Self>> {
        // NORESERVE: most of a slab is never touched, so it must not count as promised memory.
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_STACK;
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let bytes = geometry.bytes();
        // SAFETY: a new anonymous mapping at an address of the kernel's choice.
        let memory = unsafe { libc::mmap(core::ptr::null_mut(), bytes, protection, flags, -1, 0) };
        if memory == libc::MAP_FAILED {
            return Err(refused(
                "map",
                "there are too few addresses, mappings or promised memory left: look at \
                 `ulimit -v`, vm.max_map_count and vm.overcommit_memory, or use smaller stacks",
            ));
        }
        // A kernel that is built without huge pages answers EINVAL, and is as good.
        // SAFETY: advice on the mapping that was just made; it changes no contents.
        unsafe { libc::madvise(memory, bytes, libc::MADV_NOHUGEPAGE) };
        // Exposed: the stack pointer, from which the fiber's code reaches this memory, is made
        // from an integer.
        let start = NonZeroUsize::new(memory.expose_provenance()).expect("mmap never returns 0");
        let record = registry::register(geometry, start.get());
        Ok(Counted::new(Self { start, geometry, record, returned: AtomicU64::new(0) }))
    }

    fn limit_of(&self, index: usize) -> usize {
        self.start.get() + index * self.geometry.stride()
    }

    /// Makes the guard page of stack `index`; answers how, which is `Mprotect` if the kernel does
    /// not know the other.
    pub(super) fn protect(&self, index: usize, guard: Guard) -> io::Result<Guard> {
        let page = core::ptr::with_exposed_provenance_mut(self.limit_of(index));
        if guard == Guard::Madvise {
            // SAFETY: the page lies in this slab's mapping, and nothing uses it: stacks end above.
            let status = unsafe { libc::madvise(page, self.geometry.guard, MADV_GUARD_INSTALL) };
            if status == 0 {
                return Ok(Guard::Madvise);
            }
            // EINVAL from an old kernel, or for locked memory (mlockall) from most.
            if io::Error::last_os_error().raw_os_error() != Some(libc::EINVAL) {
                return Err(refused(
                    "make the guard page of",
                    "the kernel has no memory left for its page table",
                ));
            }
        }
        // SAFETY: as above.
        if unsafe { libc::mprotect(page, self.geometry.guard, libc::PROT_NONE) } == 0 {
            return Ok(Guard::Mprotect);
        }
        Err(refused(
            "protect the guard page of",
            "each stack takes two mappings on kernels before Linux 6.13: raise vm.max_map_count \
             or use fewer fibers",
        ))
    }

    /// The handle of stack `index`.
    ///
    /// The caller sees to it that no other handle of this stack exists.
    pub(super) fn stack(this: &Counted<Self>, index: usize) -> Stack {
        Stack { slab: this.clone(), index }
    }

    /// Takes the stacks that were dropped elsewhere.
    pub(super) fn collect(this: &Counted<Self>, mut into: impl FnMut(Stack)) {
        if this.returned.load(Ordering::Relaxed) == 0 {
            return;
        }
        // ORDERING: pairs with the releasing `fetch_or` in `Stack::drop`: the last user's
        // accesses to the stack happen before the next user's.
        let mut bits = this.returned.swap(0, Ordering::Acquire);
        while bits != 0 {
            into(Self::stack(this, bits.trailing_zeros() as usize));
            bits &= bits - 1;
        }
    }
}

impl Drop for Slab {
    fn drop(&mut self) {
        self.record.retire();
        let start = core::ptr::with_exposed_provenance_mut(self.start.get());
        // SAFETY: the mapping was made by `map` with this size, and no stack of it is left.
        let status = unsafe { libc::munmap(start, self.geometry.bytes()) };
        debug_assert_eq!(status, 0, "the mapping is whole");
    }
}

/// One stack, owned. Dropping it returns it to its slab from any thread;
/// [`StackPool::give`](super::StackPool::give) is cheaper.
pub struct Stack {
    slab: Counted<Slab>,
    index: usize,
}

impl Stack {
    /// The highest address, exclusive: where the stack pointer starts. Aligned to 16 bytes.
    #[inline]
    pub fn base(&self) -> NonZeroUsize {
        let top = self.slab.limit_of(self.index) + self.slab.geometry.stride();
        let base = top - self.index % COLOURS * COLOUR_BYTES;
        NonZeroUsize::new(base).expect("the mapping does not start at 0")
    }

    /// The lowest address, that of the guard page. Aligned to a page.
    #[inline]
    pub fn limit(&self) -> NonZeroUsize {
        let limit = self.slab.limit_of(self.index);
        NonZeroUsize::new(limit).expect("the mapping does not start at 0")
    }

    /// The addresses that whoever runs on the stack may touch: those above the guard page.
    #[inline]
    pub fn usable(&self) -> Range<usize> {
        self.limit().get() + self.slab.geometry.guard..self.base().get()
    }

    /// The size that the pool was made for, in bytes: what lies between guard page and
    /// [`base`](Self::base), and the colour (less than 1 KiB) above.
    #[inline]
    pub fn size(&self) -> usize {
        self.slab.geometry.usable
    }

    /// Says who runs on this stack, for the message of an overflow. `name` may be empty. Three
    /// stores: cheap enough for every spawn.
    ///
    /// # Safety
    ///
    /// `name` stays alive until the stack is given back or dropped or gets another label.
    #[inline]
    pub unsafe fn set_label(&self, id: u64, name: &str) {
        // SAFETY: the caller's promise; `clear_label` is called where a stack ends its use.
        unsafe { self.label().set(id, name) };
    }

    #[inline]
    pub(super) fn clear_label(&self) {
        self.label().clear();
    }

    #[inline]
    fn label(&self) -> &'static Label {
        self.slab.record.label(self.index)
    }

    /// Gives the pages back to the kernel; they read as zero afterwards.
    pub(super) fn discard_pages(&mut self) {
        let low = self.limit().get() + self.slab.geometry.guard;
        let low = core::ptr::with_exposed_provenance_mut(low);
        // SAFETY: the pages are those of this stack, whose handle is borrowed exclusively: no
        // frame is on it. Failure leaves the pages as they are, which is only waste.
        unsafe { libc::madvise(low, self.slab.geometry.usable, libc::MADV_DONTNEED) };
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        self.clear_label();
        // ORDERING: pairs with the acquiring swap in `Slab::collect`.
        self.slab.returned.fetch_or(1 << self.index, Ordering::Release);
    }
}

impl fmt::Debug for Stack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stack")
            .field("limit", &format_args!("{:#x}", self.limit()))
            .field("base", &format_args!("{:#x}", self.base()))
            .field("id", &self.label().id())
            .finish()
    }
}
