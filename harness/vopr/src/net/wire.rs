//! Segments on their way: how long they take, what happens to them, and what they do on arrival.

use std::collections::VecDeque;

use raddle_platform::driver::Interest;

use super::Net;
use super::connection::{CLIENT, Connection, End, SERVER, Stage};
use super::socket::{Kind as What, Socket};
use crate::agenda::Event;
use crate::decisions::Kind;
use crate::faults::FaultKind;
use crate::history::Name;
use crate::world::{Failed, World};

/// How long a segment takes, in nanoseconds, if nothing is wrong.
const LATENCIES: [u64; 4] = [20_000, 50_000, 100_000, 200_000];
/// How long a sender waits at first before it sends again: a segment, and the first of all.
const RETRY: u64 = 200_000_000;
pub(super) const FIRST_RETRY: u64 = 1_000_000_000;
/// The longest such wait.
const RETRY_MAX: u64 = 120_000_000_000;
/// How often it waits until it gives up: for 924.6 and for 127 seconds, as on Linux.
const RETRIES: u32 = 16;
const FIRST_RETRIES: u32 = 7;

/// What is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Payload {
    /// The three words of the handshake.
    Hello,
    Welcome,
    Thanks,
    Data(Vec<u8>),
    /// So many bytes were received by the program.
    Room(usize),
    /// The last word.
    End,
    Reset,
}

#[derive(Debug)]
struct Segment {
    payload: Payload,
    due: u64,
    /// How many segments were sent before it.
    number: u64,
}

/// One direction of a connection: what is in flight, in order.
#[derive(Debug, Default)]
pub(super) struct Lane {
    segments: VecDeque<Segment>,
    /// How often the first was lost.
    lost: u32,
    /// When the last that was sent arrives.
    last: u64,
}

impl Lane {
    pub(super) fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }
}

/// Nothing comes through from one node to another.
#[derive(Debug)]
pub(super) struct Cut {
    number: u64,
    nodes: [usize; 2],
    /// Only from the first to the second; where both are one node, only from that end of each
    /// connection.
    one_way: Option<usize>,
}

impl Cut {
    fn covers(&self, from: &End, to: &End, end: usize) -> bool {
        let there = [from.node, to.node] == self.nodes;
        let back = [to.node, from.node] == self.nodes;
        match self.one_way {
            None => there || back,
            Some(only) => there && (from.node != to.node || only == end),
        }
    }
}

impl Net {
    /// Cuts two nodes off from one another, or only what the first sends.
    pub(crate) fn partition(&mut self, nodes: [usize; 2], one_way: bool) {
        let number = self.number();
        self.cuts.push(Cut { number, nodes, one_way: one_way.then_some(CLIENT) });
    }

    pub(crate) fn heal(&mut self) {
        self.cuts.clear();
    }

    pub(crate) fn heal_one(&mut self, number: u64) {
        self.cuts.retain(|cut| cut.number != number);
    }

    fn is_cut(&self, connection: &Connection, from: usize) -> bool {
        let [near, far] = [&connection.ends[from], &connection.ends[1 - from]];
        connection.wire && self.cuts.iter().any(|cut| cut.covers(near, far, from))
    }

    /// Whether a segment of another connection that was sent before `number` is still on its way.
    fn overtakes(&self, id: u64, number: u64) -> bool {
        let others = self.connections.iter().filter(|(other, with)| **other != id && with.wire);
        let lanes = others.flat_map(|(_, other)| &other.lanes);
        let mut first = lanes.filter_map(|lane| lane.segments.front());
        first.any(|segment| segment.number < number)
    }
}

impl World {
    /// Sends a segment.
    pub(super) fn send_segment(
        &mut self,
        id: u64,
        from: usize,
        payload: Payload,
    ) -> Result<(), Failed> {
        let Some(connection) = self.net.connections.get(&id) else { return Ok(()) };
        if !connection.wire {
            if payload == Payload::Hello && self.refuses_for_now(id) {
                self.put_off(id, payload);
                return Ok(());
            }
            return self.deliver(id, from, payload);
        }
        if connection.dead {
            // Only what is sent again until somebody gives up matters yet.
            if matches!(payload, Payload::Data(_) | Payload::Hello | Payload::End) {
                self.put(id, from, payload, RETRY);
            }
            return Ok(());
        }
        self.cut(id, from)?;
        if let Payload::Data(_) = payload {
            if self.strikes(FaultKind::HalfOpen, 2)? > 0 {
                self.put(id, from, payload, RETRY);
                if let Some(connection) = self.net.connections.get_mut(&id) {
                    connection.dead = true;
                }
                return Ok(());
            }
            match self.strikes(FaultKind::Reset, 3)? {
                0 => {}
                1 => return self.sever(id, None),
                _ => {
                    let latency = self.latency()?;
                    self.put(id, from, payload, latency);
                    return self.sever(id, Some(from));
                }
            }
        }
        let latency = self.latency()?;
        self.put(id, from, payload, latency);
        Ok(())
    }

    pub(super) fn put(&mut self, id: u64, from: usize, payload: Payload, latency: u64) {
        let Some(connection) = self.net.connections.get_mut(&id) else { return };
        let lane = &mut connection.lanes[from];
        let due = lane.last.max(self.now + latency);
        lane.last = due;
        self.net.sent += 1;
        lane.segments.push_back(Segment { payload, due, number: self.net.sent });
        if lane.segments.len() == 1 {
            self.agenda.add(due, Event::Arrival { connection: id, from });
        }
    }

    /// The listener has no room for the first segment of all, which goes over loopback.
    fn put_off(&mut self, id: u64, payload: Payload) {
        let Some(connection) = self.net.connections.get_mut(&id) else { return };
        let (due, number) = (self.now, self.net.sent);
        connection.lanes[CLIENT].segments.push_back(Segment { payload, due, number });
        self.lose(id, CLIENT);
    }

    fn latency(&mut self) -> Result<u64, Failed> {
        let mut latency = LATENCIES[self.choose(Kind::Network, LATENCIES.len())?];
        latency <<= self.strikes(FaultKind::Latency, 12)?;
        latency += RETRY * ((1 << self.strikes(FaultKind::Retransmission, 5)?) - 1);
        if self.draw_fault(FaultKind::Reorder, 2)? > 0 {
            latency += 5 * LATENCIES[LATENCIES.len() - 1];
        }
        Ok(latency)
    }

    /// The network may fall apart, if it is whole.
    fn cut(&mut self, id: u64, from: usize) -> Result<(), Failed> {
        if !self.net.cuts.is_empty() {
            return Ok(());
        }
        let both = self.strikes(FaultKind::Partition, 2)? > 0;
        if !both && self.strikes(FaultKind::OneWayPartition, 2)? == 0 {
            return Ok(());
        }
        let length = 1_000_000 << (2 * self.choose(Kind::Network, 8)?);
        let from = if both { from } else { from ^ self.choose(Kind::Network, 2)? };
        let Some(connection) = self.net.connections.get(&id) else { return Ok(()) };
        let nodes = [connection.ends[from].node, connection.ends[1 - from].node];
        let number = self.net.number();
        self.net.cuts.push(Cut { number, nodes, one_way: (!both).then_some(from) });
        self.agenda.add(self.now + length, Event::Heal(number));
        Ok(())
    }

    /// Resets a connection from the middle. What is in flight is lost, but for what the end `kept`
    /// has sent.
    fn sever(&mut self, id: u64, kept: Option<usize>) -> Result<(), Failed> {
        for from in [CLIENT, SERVER] {
            let latency = self.latency()?;
            let Some(connection) = self.net.connections.get_mut(&id) else { return Ok(()) };
            let lane = &mut connection.lanes[from];
            if kept != Some(from) {
                // The first has an event to come already.
                lane.segments.truncate(1);
                if let Some(first) = lane.segments.front_mut() {
                    first.payload = Payload::Reset;
                    continue;
                }
            }
            self.put(id, from, Payload::Reset, latency);
        }
        Ok(())
    }

    /// The first segment of a lane has had its time.
    pub(crate) fn arrive(&mut self, id: u64, from: usize) -> Result<(), Failed> {
        let Some(connection) = self.net.connections.get(&id) else { return Ok(()) };
        let unheard = !self.net.is_up(connection.ends[1 - from].node);
        if connection.dead || unheard || self.net.is_cut(connection, from) {
            self.lose(id, from);
            return Ok(());
        }
        let Some(connection) = self.net.connections.get_mut(&id) else { return Ok(()) };
        let lane = &mut connection.lanes[from];
        let Some(segment) = lane.segments.front() else { return Ok(()) };
        if segment.due > self.now {
            // What the event was for is gone.
            return Ok(());
        }
        let (payload, number) = (segment.payload.clone(), segment.number);
        if payload == Payload::Hello && self.refuses_for_now(id) {
            self.lose(id, from);
            return Ok(());
        }
        self.remark(Name::Arrival, id);
        if self.net.overtakes(id, number) {
            self.fired(FaultKind::Reorder);
        }
        if let Some(connection) = self.net.connections.get_mut(&id) {
            let lane = &mut connection.lanes[from];
            lane.segments.pop_front();
            lane.lost = 0;
            if let Some(next) = lane.segments.front() {
                let at = next.due.max(self.now);
                self.agenda.add(at, Event::Arrival { connection: id, from });
            }
        }
        self.deliver(id, from, payload)?;
        self.bury(id);
        Ok(())
    }

    /// The first segment of a lane is lost: it is sent again, or given up.
    pub(super) fn lose(&mut self, id: u64, from: usize) {
        let Some(connection) = self.net.connections.get_mut(&id) else { return };
        let lane = &mut connection.lanes[from];
        if connection.ends[from].stage == Stage::Forgotten {
            // Nobody sends it again.
            lane.segments.clear();
            return self.bury(id);
        }
        let Some(segment) = lane.segments.front() else { return };
        let hello = segment.payload == Payload::Hello;
        lane.lost += 1;
        let limit = if hello { FIRST_RETRIES } else { RETRIES };
        if lane.lost <= limit {
            let first = if hello { FIRST_RETRY } else { RETRY };
            let again = (first << (lane.lost - 1)).min(RETRY_MAX);
            self.agenda.add(self.now + again, Event::Arrival { connection: id, from });
            return;
        }
        lane.segments.clear();
        let end = &mut connection.ends[from];
        if matches!(end.stage, Stage::Connecting | Stage::Open) {
            end.break_down(libc::ETIMEDOUT);
            if from == SERVER && end.socket.is_none() {
                self.give_up_handshake(id);
            }
            self.wake_end(id, from, None);
        }
        self.bury(id);
    }

    /// Whether the listener has no room: the first word of a handshake is then lost.
    pub(super) fn refuses_for_now(&self, id: u64) -> bool {
        let Some(connection) = self.net.connections.get(&id) else { return false };
        let end = &connection.ends[SERVER];
        let listener = self.net.listener(end.node, end.address);
        let listener = listener.and_then(|listener| self.net.sockets.get(&listener));
        match listener {
            Some(Socket { kind: What::Listener(listener), .. }) => listener.is_full(),
            _ => false,
        }
    }

    /// Forgets a connection that nobody can tell of.
    pub(super) fn bury(&mut self, id: u64) {
        if self.net.connections.get(&id).is_some_and(Connection::is_over) {
            self.net.connections.remove(&id);
        }
    }

    /// What the end `from` has sent is there.
    fn deliver(&mut self, id: u64, from: usize, payload: Payload) -> Result<(), Failed> {
        let to = 1 - from;
        let Some(connection) = self.net.connections.get_mut(&id) else { return Ok(()) };
        let end = &mut connection.ends[to];
        match (payload, end.stage) {
            (Payload::Reset, Stage::Forgotten) => {}
            (_, Stage::Forgotten) => return self.send_segment(id, to, Payload::Reset),
            (Payload::Hello, _) => return self.greet(id),
            (Payload::Welcome, Stage::Connecting) => {
                end.stage = Stage::Open;
                self.wake_end(id, to, Some(Interest::Writable));
                return self.send_segment(id, to, Payload::Thanks);
            }
            (Payload::Thanks, Stage::Connecting) => return self.enqueue(id),
            (Payload::Data(bytes), Stage::Open) => {
                end.received.extend(bytes);
                self.wake_end(id, to, Some(Interest::Readable));
            }
            (Payload::Room(count), Stage::Open) => {
                end.outstanding = end.outstanding.saturating_sub(count);
                self.wake_end(id, to, Some(Interest::Writable));
            }
            (Payload::End, Stage::Open) => {
                end.peer_ended = true;
                self.wake_end(id, to, Some(Interest::Readable));
            }
            (Payload::Reset, Stage::Connecting | Stage::Open) => {
                let refused = to == CLIENT && end.stage == Stage::Connecting;
                let error = match end.peer_ended {
                    _ if refused => libc::ECONNREFUSED,
                    true => libc::EPIPE,
                    false => libc::ECONNRESET,
                };
                end.break_down(error);
                if to == SERVER && end.socket.is_none() {
                    self.give_up_handshake(id);
                }
                self.wake_end(id, to, None);
            }
            (Payload::Data(_) | Payload::Welcome, Stage::Closed | Stage::Broken) => {
                return self.send_segment(id, to, Payload::Reset);
            }
            _ => {}
        }
        Ok(())
    }

    /// The first word of a handshake is there.
    fn greet(&mut self, id: u64) -> Result<(), Failed> {
        let Some(connection) = self.net.connections.get_mut(&id) else { return Ok(()) };
        let end = &mut connection.ends[SERVER];
        let (node, address) = (end.node, end.address);
        let listener = self.net.listener(node, address);
        let socket = listener.and_then(|listener| self.net.sockets.get_mut(&listener));
        let Some(Socket { kind: What::Listener(found), .. }) = socket else {
            return self.send_segment(id, SERVER, Payload::Reset);
        };
        found.begun += 1;
        if let Some(connection) = self.net.connections.get_mut(&id) {
            connection.listener = listener;
            connection.ends[SERVER].stage = Stage::Connecting;
        }
        self.send_segment(id, SERVER, Payload::Welcome)
    }

    /// The last word of a handshake is there.
    fn enqueue(&mut self, id: u64) -> Result<(), Failed> {
        let Some(connection) = self.net.connections.get_mut(&id) else { return Ok(()) };
        let listener = connection.listener.unwrap_or(0);
        match self.net.sockets.get_mut(&listener) {
            Some(Socket { kind: What::Listener(found), .. }) if !found.ended => {
                found.begun -= 1;
                found.backlog.push_back(id);
                connection.ends[SERVER].stage = Stage::Open;
                self.wake_socket(listener, Some(Interest::Readable));
                Ok(())
            }
            _ => {
                connection.ends[SERVER].stage = Stage::Closed;
                self.send_segment(id, SERVER, Payload::Reset)
            }
        }
    }

    /// A connection that the server was asked for will not be.
    fn give_up_handshake(&mut self, id: u64) {
        let Some(connection) = self.net.connections.get_mut(&id) else { return };
        let listener = connection.listener.unwrap_or(0);
        let socket = self.net.sockets.get_mut(&listener);
        if let Some(Socket { kind: What::Listener(found), .. }) = socket
            && !found.backlog.contains(&id)
        {
            found.begun = found.begun.saturating_sub(1);
            connection.ends[SERVER].stage = Stage::Closed;
        }
    }

    /// Wakes who waits for something at an end of a connection.
    pub(super) fn wake_end(&mut self, id: u64, end: usize, interest: Option<Interest>) {
        let connection = self.net.connections.get(&id);
        if let Some(socket) = connection.and_then(|connection| connection.ends[end].socket) {
            self.wake_socket(socket, interest);
        }
    }
}
