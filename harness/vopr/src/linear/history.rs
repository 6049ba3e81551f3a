//! What clients asked, when, and what they were told.

use core::fmt::Debug;

/// When something happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moment {
    /// The step of the simulation. For readers: what counts is the order of the calls of
    /// [`History`]'s methods.
    pub step: u64,
    /// Virtual time in nanoseconds, by one clock for the whole history. For deadlines.
    pub time: u64,
}

/// Names a call of a [`History`]: its index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallId(pub(crate) usize);

/// One operation of one client.
#[derive(Clone, Debug)]
pub struct Call<O, R> {
    /// The client.
    pub process: u32,
    /// What it asked for.
    pub operation: O,
    /// When.
    pub invoked: Moment,
    /// When it got the answer, and the answer; nothing if it never got one.
    pub returned: Option<(Moment, R)>,
    /// Its two places among all events of the history; the second is the end of time if it never
    /// came.
    pub(crate) from: u64,
    pub(crate) to: u64,
}

impl<O, R> Call<O, R> {
    /// What came back.
    pub fn outcome(&self) -> Option<&R> {
        self.returned.as_ref().map(|(_, outcome)| outcome)
    }

    /// The virtual time before which it took effect, if it did.
    pub fn latest(&self) -> u64 {
        self.returned.as_ref().map_or(u64::MAX, |(at, _)| at.time)
    }
}

impl<O: Debug, R: Debug> Call<O, R> {
    /// For a reader: `client 1, steps 40 to 52: Read -> Value(7)`.
    pub(crate) fn describe(&self) -> String {
        let Self { process, operation, invoked, .. } = self;
        let from = invoked.step;
        match &self.returned {
            Some((at, outcome)) => {
                let to = at.step;
                format!("client {process}, steps {from} to {to}: {operation:?} -> {outcome:?}")
            }
            None => format!("client {process}, from step {from}: {operation:?}, never answered"),
        }
    }
}

/// A concurrent history: calls, in the order of their invocations.
#[derive(Clone, Debug)]
pub struct History<O, R> {
    pub(crate) calls: Vec<Call<O, R>>,
    events: u64,
    last: Moment,
}

impl<O, R> Default for History<O, R> {
    fn default() -> Self {
        Self { calls: Vec::new(), events: 0, last: Moment::default() }
    }
}

impl<O, R> History<O, R> {
    /// `process` asks for `operation`. Invocations and returns are told in the order in which they
    /// happened: an operation precedes another if it returned before that one was invoked.
    ///
    /// # Panics
    /// When `at` is before what was told last.
    pub fn invoke(&mut self, process: u32, operation: O, at: Moment) -> CallId {
        let from = self.event(at);
        let call = Call { process, operation, invoked: at, returned: None, from, to: u64::MAX };
        self.calls.push(call);
        CallId(self.calls.len() - 1)
    }

    /// A call returns. One that may or may not have been carried out is left as it is.
    ///
    /// # Panics
    /// When it has returned already, or `at` is before what was told last.
    pub fn complete(&mut self, id: CallId, outcome: R, at: Moment) {
        let to = self.event(at);
        let call = &mut self.calls[id.0];
        assert!(call.returned.is_none(), "call {} returns twice", id.0);
        call.returned = Some((at, outcome));
        call.to = to;
    }

    fn event(&mut self, at: Moment) -> u64 {
        let in_order = self.last.step <= at.step && self.last.time <= at.time;
        assert!(in_order, "{at:?} is told after {:?}", self.last);
        self.last = at;
        self.events += 1;
        self.events
    }

    /// All calls.
    pub fn calls(&self) -> &[Call<O, R>] {
        &self.calls
    }
}
