//! What the network has left of a node that is gone.

use super::connection::{CLIENT, End, SERVER, Stage};
use super::socket::Kind as What;
use super::wire::{FIRST_RETRY, Lane, Payload};
use super::{Net, Refusal};
use crate::world::{Failed, World};

impl Net {
    /// The descriptors of a node, all at once: their sockets, by number.
    fn forget_all(&mut self, node: usize) -> Vec<What> {
        let descriptors = core::mem::take(&mut self.nodes[node].descriptors);
        let sockets = descriptors.into_iter().flatten();
        sockets.filter_map(|id| self.sockets.remove(&id)).map(|socket| socket.kind).collect()
    }

    /// The ends of connections on a node.
    fn ends_on(&self, node: usize) -> Vec<(u64, usize)> {
        let all = self.connections.iter();
        let ends = all.flat_map(|(id, with)| [(*id, CLIENT, with), (*id, SERVER, with)]);
        let there = |end: &End| end.node == node && end.stage != Stage::Forgotten;
        ends.filter(|(_, end, with)| there(&with.ends[*end]))
            .map(|(id, end, _)| (id, end))
            .collect()
    }
}

impl World {
    /// A node has lost its power: its sockets are gone, and nobody is told. What it had sent still
    /// arrives. Whoever sends to it hears nothing until it is up again, and then that nobody there
    /// knows of the connection.
    pub(crate) fn lose_sockets(&mut self, node: usize) {
        self.net.set_up(node, false);
        self.net.forget_all(node);
        for (id, end) in self.net.ends_on(node) {
            self.forget_end(id, end);
        }
    }

    fn forget_end(&mut self, id: u64, number: usize) {
        let Some(connection) = self.net.connections.get_mut(&id) else { return };
        let (near, far) = (&connection.ends[number], &connection.ends[1 - number]);
        let (node, address) = (near.node, near.address);
        if !connection.wire || far.stage == Stage::Forgotten {
            self.net.connections.remove(&id);
            return;
        }
        if number == CLIENT || far.stage != Stage::Connecting {
            connection.ends[number].stage = Stage::Forgotten;
            connection.ends[number].socket = None;
            return self.bury(id);
        }
        // The other still asks for the connection, again and again, and whoever is there then may
        // take it.
        connection.ends[SERVER] = End::new(node, address, Stage::Absent);
        connection.lanes[SERVER] = Lane::default();
        connection.listener = None;
        if connection.lanes[CLIENT].is_empty() {
            self.put(id, CLIENT, Payload::Hello, FIRST_RETRY);
        }
    }

    /// A program has been killed: the kernel closes what it had open.
    pub(crate) fn close_sockets(&mut self, node: usize) -> Result<(), Failed> {
        for kind in self.net.forget_all(node) {
            let closed = match kind {
                What::Signal { .. } => Ok(()),
                What::Listener(listener) => {
                    listener.backlog.into_iter().try_for_each(|id| self.abandon(id))
                }
                What::Stream { connection, end } => self.close_end(connection, end),
                What::File(open) => {
                    self.close_file(node, &open);
                    Ok(())
                }
            };
            match closed {
                Err(Refusal::Failed) => return Err(Failed),
                // There is nobody to tell.
                Ok(()) | Err(Refusal::Errno(_)) => {}
            }
        }
        Ok(())
    }
}
