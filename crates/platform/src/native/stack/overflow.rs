//! Says which fiber ran out of stack.
//!
//! Without this, a fiber's overflow is "Segmentation fault" and nothing else: std knows only the
//! guard pages of its own threads. The handler here recognises the fibers' guard pages, writes one
//! line and aborts; every other fault goes to the handler that was there before, so that std's
//! message for threads, a crash reporter or the default action work as they did.
//!
//! It runs on the alternate signal stack, for the fiber's is used up, and calls only what
//! signal-safety(7) allows: no allocation, no lock, no formatting machinery.

use std::io;
use std::sync::OnceLock;

use super::super::lock::Lock;
use super::registry::{self, Overflow};

/// A guard page is SIGSEGV on Linux; std also listens to SIGBUS, and so does this.
const SIGNALS: [libc::c_int; 2] = [libc::SIGSEGV, libc::SIGBUS];
/// Who handled each of [`SIGNALS`] before. Read in the handler: a set `OnceLock` is only a load.
static PREVIOUS: [OnceLock<libc::sigaction>; 2] = [const { OnceLock::new() }; 2];

/// Makes the process report a fiber's stack overflow by name, and abort. The first call installs
/// the handler, later ones do nothing. Threads that run fibers also call
/// [`prepare_thread`](super::prepare_thread).
///
/// # Errors
///
/// The kernel refuses the handler; none is known to.
pub fn install_overflow_handler() -> io::Result<()> {
    static INSTALLED: Lock<bool> = Lock::new(false);
    let mut installed = INSTALLED.lock();
    if *installed {
        return Ok(());
    }
    for (signal, previous) in SIGNALS.into_iter().zip(&PREVIOUS) {
        // Read before the handler goes in: a fault on another thread may come at once. It is set
        // already only if an earlier call failed halfway.
        let before = action(signal, None)?;
        let _ = previous.set(before);
        // SAFETY: all-zero is a valid `sigaction`: default action, empty mask, no flags.
        let mut ours: libc::sigaction = unsafe { core::mem::zeroed() };
        ours.sa_sigaction = on_fault as *const () as usize;
        ours.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        action(signal, Some(&ours))?;
    }
    *installed = true;
    Ok(())
}

/// Sets what `signal` does, if an action is given, and answers what it did before.
fn action(signal: libc::c_int, new: Option<&libc::sigaction>) -> io::Result<libc::sigaction> {
    // SAFETY: all-zero is a valid `sigaction`.
    let mut old: libc::sigaction = unsafe { core::mem::zeroed() };
    let new = new.map_or(core::ptr::null(), core::ptr::from_ref);
    // SAFETY: `new` is null or valid and its handler, if any, has the signature for its flags.
    if unsafe { libc::sigaction(signal, new, &mut old) } == 0 {
        Ok(old)
    } else {
        Err(io::Error::last_os_error())
    }
}

extern "C" fn on_fault(
    signal: libc::c_int,
    info: *mut libc::siginfo_t,
    context: *mut libc::c_void,
) {
    // SAFETY: the kernel passes a valid siginfo and, with SA_SIGINFO, a valid ucontext.
    let (code, address, stack_pointer) =
        unsafe { ((*info).si_code, (*info).si_addr().addr(), stack_pointer(&*context.cast())) };
    // Codes above zero come from the kernel: a fault, not somebody's kill(2).
    let fault = code > 0;
    if fault && let Some(overflow) = registry::overflowed(address, stack_pointer) {
        report(&overflow);
        // SAFETY: ends the process.
        unsafe { libc::abort() };
    }
    chain(signal, info, context, fault);
}

#[cfg(target_arch = "x86_64")]
fn stack_pointer(context: &libc::ucontext_t) -> usize {
    context.uc_mcontext.gregs[libc::REG_RSP as usize] as usize
}

#[cfg(target_arch = "aarch64")]
fn stack_pointer(context: &libc::ucontext_t) -> usize {
    context.uc_mcontext.sp as usize
}

/// Hands the signal to whoever had it before.
fn chain(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void, fault: bool) {
    let index = usize::from(signal != SIGNALS[0]);
    let Some(previous) = PREVIOUS[index].get() else { return };
    match previous.sa_sigaction {
        // Returning repeats the faulting instruction, then under the action that was there: the
        // kernel kills, with the signal as the cause and the registers of the fault in the core.
        libc::SIG_DFL | libc::SIG_IGN if fault => drop(action(signal, Some(previous))),
        libc::SIG_IGN => {}
        libc::SIG_DFL => {
            drop(action(signal, Some(previous)));
            // It is blocked now and comes again when this handler returns.
            // SAFETY: sends a signal to this thread.
            unsafe { libc::raise(signal) };
        }
        handler if previous.sa_flags & libc::SA_SIGINFO != 0 => {
            // SAFETY: with SA_SIGINFO the handler takes three arguments, and gets the kernel's.
            unsafe {
                let handler: extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void) =
                    core::mem::transmute(handler);
                handler(signal, info, context);
            }
        }
        handler => {
            // SAFETY: without SA_SIGINFO the handler takes the signal only.
            unsafe {
                let handler: extern "C" fn(libc::c_int) = core::mem::transmute(handler);
                handler(signal);
            }
        }
    }
}

/// Writes the line to standard error.
fn report(overflow: &Overflow) {
    // SAFETY: the faulting thread, which runs this, occupies the stack.
    let name = unsafe { overflow.label.name() };
    let mut line = Line::default();
    line.push(b"\nfiber ");
    if !name.is_empty() {
        line.push(b"'");
        line.push_name(name);
        line.push(b"' ");
    }
    line.push(b"(id ");
    line.push_number(overflow.label.id());
    line.push(b") overflowed its stack of ");
    line.push_number(overflow.usable as u64 / 1024);
    line.push(b" KiB; give it more with Builder::stack_size\n");
    let mut rest = &line.bytes[..line.filled];
    // A line fits a pipe at once; only a program that is flooded with signals needs more rounds.
    for _ in 0..256 {
        // SAFETY: `rest` is a valid buffer of its length.
        let written = unsafe { libc::write(libc::STDERR_FILENO, rest.as_ptr().cast(), rest.len()) };
        match usize::try_from(written) {
            Ok(count) => rest = rest.get(count..).unwrap_or_default(),
            Err(_) if io::Error::last_os_error().raw_os_error() == Some(libc::EINTR) => {}
            Err(_) => return,
        }
        if rest.is_empty() {
            return;
        }
    }
}

/// Longer names are cut: the line has a fixed size.
const NAME_BYTES_MAX: usize = 128;

/// A line of text on the stack. What does not fit is dropped: nothing here may panic.
struct Line {
    bytes: [u8; 256],
    filled: usize,
}

impl Default for Line {
    fn default() -> Self {
        Self { bytes: [0; 256], filled: 0 }
    }
}

impl Line {
    fn push(&mut self, text: &[u8]) {
        for (place, &byte) in self.bytes.iter_mut().skip(self.filled).zip(text) {
            *place = byte;
            self.filled += 1;
        }
    }

    fn push_name(&mut self, name: &[u8]) {
        let mut end = name.len().min(NAME_BYTES_MAX);
        // Not inside a character of UTF-8, whose later bytes are 0b10xxxxxx.
        while name.get(end).is_some_and(|byte| byte & 0xc0 == 0x80) {
            end = end.saturating_sub(1);
        }
        self.push(name.get(..end).unwrap_or_default());
        if end < name.len() {
            self.push(b"...");
        }
    }

    fn push_number(&mut self, number: u64) {
        let mut divisor = 1;
        while number / divisor >= 10 {
            divisor *= 10;
        }
        while divisor > 0 {
            self.push(&[b'0' + (number / divisor % 10) as u8]);
            divisor /= 10;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(line: &Line) -> &str {
        core::str::from_utf8(&line.bytes[..line.filled]).expect("whole characters")
    }

    #[test]
    fn numbers_are_decimal() {
        for number in [0, 9, 10, 256, 1_000_000, u64::MAX] {
            let mut line = Line::default();
            line.push_number(number);
            assert_eq!(text(&line), number.to_string());
        }
    }

    #[test]
    fn a_long_name_is_cut_between_characters() {
        for prefix in 0..3 {
            let name = "x".repeat(prefix) + &"€".repeat(100);
            let mut line = Line::default();
            line.push_name(name.as_bytes());
            let cut = text(&line).strip_suffix("...").expect("cut");
            assert!(name.starts_with(cut) && cut.len() > NAME_BYTES_MAX - 3);
        }
    }

    #[test]
    fn a_line_never_grows_beyond_its_buffer() {
        let mut line = Line::default();
        line.push(&[b'x'; 200]);
        line.push(&[b'y'; 200]);
        assert_eq!(line.filled, 256);
    }
}
