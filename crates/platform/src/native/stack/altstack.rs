//! Where a signal handler runs when the stack that faulted has no room.

use std::cell::OnceCell;
use std::io;

use super::slab::page_size;

/// What the handler needs beside the registers that the kernel saves.
const HANDLER_BYTES: usize = 32 << 10;

/// A signal stack that this crate made; unmapped when its thread ends.
struct AltStack {
    start: *mut libc::c_void,
    bytes: usize,
}

thread_local! {
    static OWN: OnceCell<AltStack> = const { OnceCell::new() };
}

/// Sees to it that the calling thread can report an overflow: it needs an alternate signal stack.
/// std gives one to the main thread and to each that it spawns, unless the program's entry is not
/// Rust's; other threads get one here. Every worker calls this before its first fiber.
///
/// # Errors
///
/// The kernel has no memory or no mapping left.
pub fn prepare_thread() -> io::Result<()> {
    let current = exchange(None)?;
    if current.ss_flags & libc::SS_DISABLE == 0 {
        return Ok(());
    }
    let own = AltStack::map()?;
    exchange(Some(&own.stack()))?;
    OWN.with(|slot| {
        // Occupied only if the program has disabled ours behind our back: then the new one stays,
        // and this small leak is its price.
        if let Err(again) = slot.set(own) {
            core::mem::forget(again);
        }
    });
    Ok(())
}

/// Sets the thread's signal stack, if one is given, and answers the one before.
fn exchange(new: Option<&libc::stack_t>) -> io::Result<libc::stack_t> {
    let mut old =
        libc::stack_t { ss_sp: core::ptr::null_mut(), ss_flags: libc::SS_DISABLE, ss_size: 0 };
    let new = new.map_or(core::ptr::null(), core::ptr::from_ref);
    // SAFETY: both are null or valid; a new stack is mapped until its thread disables it.
    if unsafe { libc::sigaltstack(new, &mut old) } == 0 {
        Ok(old)
    } else {
        Err(io::Error::last_os_error())
    }
}

impl AltStack {
    fn map() -> io::Result<Self> {
        // The registers alone can take several KiB (AVX-512, AMX, SVE); the kernel says how much.
        // SAFETY: reads the vector that the kernel passed at the program's start.
        let registers = unsafe { libc::getauxval(libc::AT_MINSIGSTKSZ) } as usize;
        let guard = page_size();
        let bytes = guard + (registers + HANDLER_BYTES).next_multiple_of(guard);
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_STACK;
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new anonymous mapping at an address of the kernel's choice.
        let start = unsafe { libc::mmap(core::ptr::null_mut(), bytes, protection, flags, -1, 0) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let own = Self { start, bytes };
        // SAFETY: the lowest page of the mapping just made, which nothing uses.
        if unsafe { libc::mprotect(start, guard, libc::PROT_NONE) } != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(own)
    }

    fn stack(&self) -> libc::stack_t {
        let guard = page_size();
        libc::stack_t {
            ss_sp: self.start.wrapping_byte_add(guard),
            ss_flags: 0,
            ss_size: self.bytes - guard,
        }
    }
}

impl Drop for AltStack {
    fn drop(&mut self) {
        let own = self.stack();
        if let Ok(current) = exchange(None)
            && current.ss_sp == own.ss_sp
        {
            let none = libc::stack_t { ss_flags: libc::SS_DISABLE, ..own };
            // Cannot fail: the thread is not on its signal stack while its values are dropped.
            let _ = exchange(Some(&none));
        }
        // SAFETY: mapped by `map`, and no longer the thread's signal stack.
        unsafe { libc::munmap(self.start, self.bytes) };
    }
}
