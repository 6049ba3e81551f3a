//! A driver over the sockets of [`net`](crate::net).
//!
//! An operation completes at a tick or wait of its owner that finds it possible, as on a ring whose
//! work is done when its owner enters the kernel. Which of several comes first, and whether a cancel
//! beats a result that is there, is decided by the log. What becomes possible while the owner
//! waits ends the wait.
//!
//! The driver has a token of its own, so a wait on it neither takes nor leaves the thread's
//! parking token.

use core::panic::Location;
use std::io;
use std::net::{Shutdown, SocketAddr};

use raddle_platform::driver::{
    Completion, Config, Driver, Handle, Interest, Notify, Op, Signal, Token,
};
use raddle_platform::{Instant, Platform};

use crate::decisions::Kind;
use crate::disk::Owner;
use crate::faults::FaultKind;
use crate::history::{Effect, Name, Operation};
use crate::net::{self, Refusal, target};
use crate::parker::set_token;
use crate::platform::Sim;
use crate::schedule::wait;
use crate::world::{Class, Failed, Woken, World, operate, stop, try_with, with};

/// See the [module](self).
#[derive(Debug)]
pub struct SimDriver {
    /// Its own: a wait neither takes nor leaves the thread's parking token.
    token: u32,
    serial: u64,
    /// In flight, the oldest first.
    operations: Vec<(Op, Token)>,
    /// Completed, and not handed over yet.
    ended: Vec<Completion>,
}

/// Ends a driver's wait.
#[derive(Debug)]
pub struct SimNotifier {
    token: u32,
    serial: u64,
}

impl Notify for SimNotifier {
    fn notify(&self) {
        set_token(Name::Notify, self.token, self.serial);
    }
}

/// What the history says of a result.
fn effect<T>(result: &net::Result<T>, value: impl FnOnce(&T) -> Effect) -> Effect {
    match result {
        Ok(done) => value(done),
        Err(Refusal::Errno(number)) => Effect::Errno(*number),
        Err(Refusal::Failed) => Effect::Done,
    }
}

fn settle<T>(result: net::Result<T>) -> io::Result<T> {
    match result {
        Ok(done) => Ok(done),
        Err(Refusal::Errno(number)) => Err(io::Error::from_raw_os_error(number)),
        Err(Refusal::Failed) => stop(),
    }
}

/// A call on a socket, as a step of the calling thread.
#[track_caller]
fn call<T>(
    name: Name,
    handle: Handle,
    f: impl FnOnce(&mut World) -> net::Result<T>,
) -> io::Result<T> {
    let operation = Operation::socket(name, handle.0);
    settle(operate(operation, Class::Blocking, |world, _| {
        world.counts.driver += 1;
        world.counts.io += 1;
        let result = f(world);
        let effect = effect(&result, |_| Effect::Done);
        Ok((result, effect))
    }))
}

/// As [`call`], for what moves bytes.
#[track_caller]
fn transfer(
    name: Name,
    handle: Handle,
    f: impl FnOnce(&mut World) -> net::Result<usize>,
) -> io::Result<usize> {
    let operation = Operation::socket(name, handle.0);
    settle(operate(operation, Class::Blocking, |world, _| {
        world.counts.driver += 1;
        world.counts.io += 1;
        let result = match world.strikes(FaultKind::WouldBlock, 2) {
            Ok(0) => f(world),
            Ok(_) => Err(Refusal::Errno(libc::EAGAIN)),
            Err(Failed) => Err(Refusal::Failed),
        };
        let effect = effect(&result, |count| Effect::Value(*count as u64));
        Ok((result, effect))
    }))
}

/// What needs no decision, because nobody else can tell when it happens.
fn ask<T>(f: impl FnOnce(&mut World) -> net::Result<T>) -> io::Result<T> {
    settle(with(|world| {
        world.counts.driver += 1;
        world.counts.io += 1;
        f(world)
    }))
}

/// An operation on a socket, for a thread without a driver.
fn block_on_socket(op: Op, site: &'static Location<'static>) -> i32 {
    let (handle, interest) = target(&op);
    let operation = Operation::socket(Name::BlockOn, handle.0);
    loop {
        let tried = operate(operation, Class::Blocking, |world, _| {
            world.counts.driver += 1;
            world.counts.io += 1;
            if world.net.is_possible(&op) {
                // SAFETY: by the promise of the caller of `block_on`.
                let result = unsafe { world.operate_on_socket(&op) };
                return Ok((result.map(Ok), Effect::Done));
            }
            let token = world.waiting_token();
            world.net.wait_for(handle, interest, token);
            Ok((Ok(Err(token)), Effect::Done))
        });
        match tried.unwrap_or_else(|Failed| stop()) {
            Ok(result) if result != -libc::EAGAIN => return result,
            Ok(_) => {}
            Err(token) => {
                wait(operation, site, token, None);
                with(|world| world.net.wait_no_more(handle, token));
            }
        }
    }
}

impl SimDriver {
    /// Does `f` as a step of this driver.
    #[track_caller]
    fn step(&mut self, name: Name, f: impl FnOnce(&mut Self, &mut World) -> Result<u64, Failed>) {
        let done = operate(Operation::plain(name), Class::Blocking, |world, _| {
            world.counts.driver += 1;
            let done = f(self, world);
            let effect = Effect::Value(*done.as_ref().unwrap_or(&0));
            Ok((done, effect))
        });
        if let Err(Failed) = done {
            stop();
        }
    }

    fn owner(&self) -> Owner {
        Owner { token: self.token }
    }

    /// Takes what has completed on disks.
    fn collect(&mut self, world: &mut World) {
        self.ended.append(&mut world.disks.take(self.owner()));
    }

    /// Completes what is possible, in an order that the log decides.
    fn advance(&mut self, world: &mut World) -> Result<(), Failed> {
        self.collect(world);
        loop {
            let possible: Vec<_> = (0..self.operations.len())
                .filter(|index| world.net.is_possible(&self.operations[*index].0))
                .collect();
            if possible.is_empty() {
                return Ok(());
            }
            let chosen = possible[world.choose(Kind::Network, possible.len())?];
            let (op, token) = self.operations.remove(chosen);
            self.perform(world, &op, token)?;
        }
    }

    fn perform(&mut self, world: &mut World, op: &Op, token: Token) -> Result<(), Failed> {
        // SAFETY: the submitter keeps the memory valid and unused until the completion.
        let result = unsafe { world.operate_on_socket(op) }?;
        self.complete(world, op, token, result);
        Ok(())
    }

    fn complete(&mut self, world: &mut World, op: &Op, token: Token, result: i32) {
        world.net.count_in_flight(op, -1);
        self.ended.push(Completion { token, result });
    }

    /// Ends an operation that its submitter has given up: with its own result, if that came first.
    fn end_early(&mut self, world: &mut World, op: &Op, token: Token) -> Result<(), Failed> {
        if world.net.is_possible(op) && world.strikes(FaultKind::Cancelled, 2)? == 0 {
            return self.perform(world, op, token);
        }
        self.complete(world, op, token, -libc::ECANCELED);
        Ok(())
    }

    fn hand_over(&mut self, completions: &mut Vec<Completion>) {
        let batch = self.ended.len().min(Sim::BOUNDS.completion_batch);
        completions.extend(self.ended.drain(..batch));
    }

    /// Leaves the token with all sockets that something is waited for at, or takes it back.
    fn wait_at_sockets(&self, world: &mut World, begin: bool) {
        for (op, _) in &self.operations {
            let (handle, interest) = target(op);
            if begin {
                world.net.wait_for(handle, interest, self.token);
            } else {
                world.net.wait_no_more(handle, self.token);
            }
        }
    }
}

impl Drop for SimDriver {
    fn drop(&mut self) {
        // Nobody else may find the sockets busy for ever.
        let operations = core::mem::take(&mut self.operations);
        let _: Option<()> = try_with(|world| {
            if world.serial == self.serial {
                operations.iter().for_each(|(op, _)| world.net.count_in_flight(op, -1));
                // Whatever goes wrong here has failed the execution.
                let _: Result<(), Failed> = world.end_all_on_disk(self.owner());
                world.disks.take(self.owner());
            }
        });
    }
}

impl Driver for SimDriver {
    type Notifier = SimNotifier;

    fn new(_: &Config) -> io::Result<Self> {
        let (token, serial) = with(|world| (world.add_token(), world.serial));
        Ok(Self { token, serial, operations: Vec::new(), ended: Vec::new() })
    }

    fn name(&self) -> &'static str {
        "vopr"
    }

    fn notifier(&self) -> SimNotifier {
        SimNotifier { token: self.token, serial: self.serial }
    }

    unsafe fn submit(&mut self, op: Op, token: Token) {
        self.step(Name::Submit, |driver, world| {
            world.counts.io += 1;
            if op.is_on_files() {
                world.begin_on_disk(op, driver.owner(), token)?;
                return Ok(world.disks.in_flight(driver.owner()) as u64);
            }
            world.net.count_in_flight(&op, 1);
            driver.operations.push((op, token));
            Ok(driver.operations.len() as u64)
        });
    }

    fn cancel(&mut self, token: Token) {
        self.step(Name::Cancel, |driver, world| {
            let known = driver.operations.iter().position(|(_, known)| *known == token);
            if let Some(place) = known {
                let (op, token) = driver.operations.remove(place);
                driver.end_early(world, &op, token)?;
                return Ok(1);
            }
            world.cancel_on_disk(driver.owner(), token).map(u64::from)
        });
    }

    fn tick(&mut self, completions: &mut Vec<Completion>) {
        self.step(Name::Tick, |driver, world| {
            driver.advance(world)?;
            driver.hand_over(completions);
            Ok(completions.len() as u64)
        });
    }

    fn wait(&mut self, deadline: Option<Instant>, completions: &mut Vec<Completion>) {
        let sleeps = with(|world| {
            world.counts.driver += 1;
            world.counts.clock += u64::from(deadline.is_some());
            self.advance(world)?;
            let empty = world.strikes(FaultKind::EmptyWait, 2)? > 0;
            let sleeps = self.ended.is_empty() && !empty;
            if sleeps {
                // Before the decision who runs: what comes meanwhile is not missed.
                self.wait_at_sockets(world, true);
            }
            Ok(sleeps)
        });
        let sleeps = sleeps.unwrap_or_else(|Failed| stop());
        if sleeps {
            wait(Operation::plain(Name::Wait), Location::caller(), self.token, deadline);
            let advanced = with(|world| {
                self.wait_at_sockets(world, false);
                self.advance(world)
            });
            advanced.unwrap_or_else(|Failed| stop());
        }
        self.hand_over(completions);
    }

    fn end(&mut self, completions: &mut Vec<Completion>) {
        self.step(Name::End, |driver, world| {
            for (op, token) in core::mem::take(&mut driver.operations) {
                driver.end_early(world, &op, token)?;
            }
            world.end_all_on_disk(driver.owner())?;
            driver.collect(world);
            completions.append(&mut driver.ended);
            Ok(completions.len() as u64)
        });
    }

    fn in_flight(&self) -> usize {
        let on_disk = with(|world| world.disks.in_flight(self.owner()));
        self.operations.len() + self.ended.len() + on_disk
    }

    fn listen(addr: SocketAddr, backlog: u32) -> io::Result<Handle> {
        call(Name::Listen, Handle(0), |world| world.net.listen(addr, backlog))
    }

    fn accept(listener: Handle) -> io::Result<(Handle, SocketAddr)> {
        call(Name::Accept, listener, |world| world.accept(listener))
    }

    fn connect(addr: SocketAddr) -> io::Result<Handle> {
        call(Name::Connect, Handle(0), |world| world.connect(addr))
    }

    fn take_error(handle: Handle) -> io::Result<()> {
        call(Name::TakeError, handle, |world| world.net.take_error(handle))
    }

    fn recv(handle: Handle, buffer: &mut [u8]) -> io::Result<usize> {
        transfer(Name::Recv, handle, |world| world.receive(handle, buffer, true))
    }

    fn peek(handle: Handle, buffer: &mut [u8]) -> io::Result<usize> {
        transfer(Name::Peek, handle, |world| world.receive(handle, buffer, false))
    }

    fn send(handle: Handle, buffer: &[u8]) -> io::Result<usize> {
        transfer(Name::Send, handle, |world| world.transmit(handle, buffer))
    }

    fn shutdown(handle: Handle, how: Shutdown) -> io::Result<()> {
        call(Name::Shutdown, handle, |world| world.shut_down(handle, how))
    }

    fn local_addr(handle: Handle) -> io::Result<SocketAddr> {
        ask(|world| world.net.addresses(handle).map(|(local, _)| local))
    }

    fn peer_addr(handle: Handle) -> io::Result<SocketAddr> {
        let peer = ask(|world| world.net.addresses(handle).map(|(_, peer)| peer))?;
        peer.ok_or_else(|| io::Error::from_raw_os_error(libc::ENOTCONN))
    }

    fn set_nodelay(handle: Handle, on: bool) -> io::Result<()> {
        ask(|world| world.net.nodelay(handle, Some(on)).map(drop))
    }

    fn nodelay(handle: Handle) -> io::Result<bool> {
        ask(|world| world.net.nodelay(handle, None))
    }

    fn close(handle: Handle) {
        // A refusal is a failure of the execution, and does not come here.
        let _: io::Result<()> = call(Name::Close, handle, |world| world.close(handle));
    }

    fn block_until_ready(
        handle: Handle,
        interest: Interest,
        deadline: Option<Instant>,
    ) -> io::Result<bool> {
        let operation = Operation::socket(Name::BlockUntilReady, handle.0);
        loop {
            let token = ask(|world| {
                if world.net.is_ready(handle, interest)? {
                    return Ok(None);
                }
                let token = world.waiting_token();
                world.net.wait_for(handle, interest, token);
                Ok(Some(token))
            })?;
            let Some(token) = token else { return Ok(true) };
            let woken = wait(operation, Location::caller(), token, deadline);
            with(|world| world.net.wait_no_more(handle, token));
            if woken == Woken::TimedOut {
                return ask(|world| world.net.is_ready(handle, interest));
            }
        }
    }

    unsafe fn block_on(op: Op) -> i32 {
        let site = Location::caller();
        if !op.is_on_files() {
            return block_on_socket(op, site);
        }
        let operation = Operation::plain(Name::BlockOn);
        let token = operate(operation, Class::Blocking, |world, _| {
            world.counts.driver += 1;
            world.counts.io += 1;
            let token = world.waiting_token();
            let begun = world.begin_on_disk(op, Owner { token }, Token(0));
            Ok((begun.map(|()| token), Effect::Done))
        });
        let token = token.unwrap_or_else(|Failed| stop());
        loop {
            if let Some(ended) = with(|world| world.disks.take(Owner { token }).pop()) {
                return ended.result;
            }
            wait(operation, site, token, None);
        }
    }

    fn file_length(handle: Handle) -> io::Result<u64> {
        let operation = Operation::socket(Name::FileLength, handle.0);
        settle(operate(operation, Class::Blocking, |world, _| {
            world.counts.driver += 1;
            world.counts.io += 1;
            let length = world.file_length(handle);
            let effect = effect(&length, |length| Effect::Value(*length));
            Ok((length, effect))
        }))
    }

    fn signal(signal: Signal) -> io::Result<Handle> {
        ask(|world| world.net.signal(signal))
    }

    fn take_signal(handle: Handle) -> io::Result<bool> {
        ask(|world| world.net.take_signal(handle))
    }
}
