//! Orders about time, and the places where an execution stands still for somebody outside of it.
//!
//! An [`Execution`](crate::Execution) is run as far as its owner says, and time comes only as far as
//! its owner lets it. Both must be the same in a replay, where there is no owner: so each order about
//! time is kept with the step before which it was given, and is a part of the [trace](crate::Trace).
//! Standing still is no order: it changes nothing.

use core::fmt;
use core::str::FromStr;
use std::collections::VecDeque;
use std::rc::Rc;

use crate::faults::Plan;
use crate::simulation::Limits;
use crate::world::{self, Class, Failed, World, switch, with};

/// The number of no thread: nobody can run.
pub(crate) const NOBODY: u32 = u32::MAX;

/// How far time may come by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Order {
    /// Before which operation.
    step: u64,
    /// Up to this virtual time, in nanoseconds; none: as far as it likes.
    until: Option<u64>,
}

/// The orders about time of one execution, oldest first. Empty for an execution that ran by itself:
/// there time comes as far as it likes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Script(Vec<Order>);

impl Script {
    /// Whether time was left to itself.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// `1:0,532:1000000,600:free`: steps, and nanoseconds.
impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, Order { step, until }) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            match until {
                Some(until) => write!(f, "{comma}{step}:{until}")?,
                None => write!(f, "{comma}{step}:free")?,
            }
        }
        Ok(())
    }
}

impl FromStr for Script {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let order = |word: &str| {
            let (step, until) = word.split_once(':')?;
            let until = match until {
                "free" => None,
                until => Some(until.parse().ok()?),
            };
            Some(Order { step: step.parse().ok()?, until })
        };
        let words = text.split(',').filter(|word| !word.is_empty());
        let orders = words.map(|word| order(word).ok_or_else(|| format!("no order: {word:?}")));
        let script = Self(orders.collect::<Result<_, _>>()?);
        match script.0.is_sorted_by_key(|order| order.step) {
            true => Ok(script),
            false => Err("the orders are not in the order of their steps".to_owned()),
        }
    }
}

/// Renders something that the program keeps, for whoever looks at a standing execution.
pub(crate) type Render = Rc<dyn Fn() -> String>;

/// When the execution is to stand still.
pub(crate) type Goal = Box<dyn FnMut(&World) -> bool>;

/// What of an execution is in other hands.
#[derive(Default)]
pub(crate) struct Control {
    /// What is still to be obeyed.
    orders: VecDeque<Order>,
    /// What was.
    obeyed: Script,
    /// How far time may come by itself.
    until: Option<u64>,
    /// Somebody waits for the execution to stand still.
    owned: bool,
    goal: Option<Goal>,
    /// It does: before an operation of the current thread, or where nobody can run.
    pub(crate) paused: bool,
    pub(crate) renders: Vec<(String, Render)>,
}

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Control").field("orders", &self.orders).field("until", &self.until).finish()
    }
}

impl Control {
    /// One that obeys `script`; `owned` says whether somebody is there for more.
    pub(crate) fn new(script: &Script, renders: Vec<(String, Render)>, owned: bool) -> Self {
        let orders = script.0.iter().copied().collect();
        Self { orders, owned, renders, ..Self::default() }
    }

    /// What was obeyed so far.
    pub(crate) fn obeyed(&self) -> Script {
        self.obeyed.clone()
    }

    fn obey(&mut self) -> bool {
        let Some(order) = self.orders.pop_front() else { return false };
        self.until = order.until;
        self.obeyed.0.push(order);
        true
    }
}

/// The last step that is passed without looking, before anybody has given an order.
pub(crate) fn first_stop(limits: &Limits, plan: &Plan, control: &Control) -> u64 {
    let calm = plan.calm_after.map_or(u64::MAX, |(steps, _)| steps);
    let order = control.orders.front().map_or(u64::MAX, |order| order.step.saturating_sub(1));
    limits.steps.min(calm).min(order)
}

impl World {
    /// The last step that is passed without looking.
    pub(crate) fn next_stop(&self) -> u64 {
        if self.control.goal.is_some() {
            return 0;
        }
        let order = self.control.orders.front();
        let order = order.map_or(u64::MAX, |order| order.step.saturating_sub(1));
        self.end_of_phase().min(order)
    }

    /// The step after which the faults end, or the execution.
    fn end_of_phase(&self) -> u64 {
        match (self.plan.calm, self.plan.calm_after) {
            (None, Some((steps, _))) => self.limits.steps.min(steps),
            _ => self.limits.steps,
        }
    }

    /// An operation has begun after the step that is not passed without looking.
    #[cold]
    pub(crate) fn at_stop(&mut self) -> Result<(), Failed> {
        while self.control.orders.front().is_some_and(|order| order.step <= self.steps) {
            self.control.obey();
        }
        if self.steps > self.end_of_phase() {
            self.at_limit()?;
        }
        self.stop_at = self.next_stop();
        if let Some(mut goal) = self.control.goal.take() {
            let reached = goal(self);
            self.control.goal = Some(goal);
            if reached {
                self.control.paused = true;
                return Err(Failed);
            }
        }
        Ok(())
    }

    /// Whether the next deadline may come.
    #[inline]
    pub(crate) fn time_may_come(&self) -> bool {
        match self.control.until {
            None => true,
            Some(until) => self.next_deadline().is_some_and(|next| next <= until),
        }
    }

    /// Nobody can run, and nothing is due that may come. Whether to look again: otherwise the
    /// execution stands still.
    #[cold]
    pub(crate) fn at_rest(&mut self) -> Result<bool, Failed> {
        let Some(until) = self.control.until else { return Err(self.stuck()) };
        if self.now < until {
            self.come_to(until)?;
            return Ok(true);
        }
        let next = self.control.orders.front();
        if next.is_some_and(|order| order.step <= self.steps + 1) {
            self.control.obey();
            return Ok(true);
        }
        if self.next_deadline().is_none() {
            return Err(self.stuck());
        }
        if !self.control.owned {
            self.control.until = None;
            return Ok(true);
        }
        self.control.paused = true;
        self.next = NOBODY;
        Ok(false)
    }

    /// Whether nobody can run until time comes.
    pub(crate) fn is_at_rest(&self) -> bool {
        self.control.paused && self.next == NOBODY
    }

    /// From the next operation on, or at once if nobody can run, time may come up to `until`.
    pub(crate) fn order(&mut self, until: Option<u64>) {
        let step = self.steps + u64::from(!self.stands_before_operation());
        self.control.orders.push_back(Order { step, until });
        self.stop_at = self.next_stop();
    }

    /// Lets the execution go on until `goal` says that it has come far enough, or nobody can run.
    pub(crate) fn go_until(&mut self, goal: Option<Goal>) {
        self.control.goal = goal;
        self.stop_at = self.next_stop();
        self.control.paused = false;
        if self.next == NOBODY && self.failure.is_none() {
            // What has failed is kept in the world.
            let _: Result<(), Failed> = self.decide(false);
        }
    }

    /// Nobody holds time any more.
    pub(crate) fn release(&mut self) {
        let held = self.control.until.is_some() || !self.control.orders.is_empty();
        if core::mem::take(&mut self.control.owned) && held && self.failure.is_none() {
            self.order(None);
        }
    }

    /// Whether no thread is to be resumed now.
    #[inline]
    pub(crate) fn stands_still(&self) -> bool {
        self.failure.is_some() || self.control.paused
    }

    /// Whether the current thread stands before an operation that has begun.
    pub(crate) fn stands_before_operation(&self) -> bool {
        self.control.paused && self.next != NOBODY
    }

    /// The rest of an operation's beginning, after a pause.
    fn begin_again(&mut self, class: Class) -> Result<bool, Failed> {
        if self.failure.is_some() {
            return Err(Failed);
        }
        if self.steps > self.stop_at {
            self.at_stop()?;
        }
        self.admit(class)
    }
}

/// After an operation was refused its beginning: whether to do it now, because the execution only
/// stood still before it. If not, it has failed.
#[cold]
pub(crate) fn goes_on(class: Class) -> bool {
    loop {
        if !with(|world| world.control.paused) {
            return false;
        }
        switch();
        match with(|world| world.begin_again(class)) {
            Ok(false) => return true,
            Ok(true) => {
                switch();
                return true;
            }
            Err(Failed) => {}
        }
    }
}

/// Shows `render`'s text to whoever looks at the execution while it stands still: the debugger's
/// `state`, [`Execution::state`](crate::Execution::state), the artifacts of a failure. From now to
/// the end of the execution; a second one of that name takes the place of the first.
///
/// `render` runs while nothing else does, so it must not use the platform: no atomics, no locks of
/// the world under test. What it shows is kept beside, in types of the standard library.
///
/// ```
/// use std::sync::{Arc, Mutex};
/// use raddle_vopr::{Simulation, inspect};
///
/// let mut execution = Simulation::new().start(|| {
///     let balance = Arc::new(Mutex::new(0));
///     let shown = Arc::clone(&balance);
///     inspect("balance", move || shown.lock().unwrap().to_string());
///     *balance.lock().unwrap() = 7;
/// });
/// execution.run_until_quiescent();
/// assert_eq!(execution.state(), [("balance".to_owned(), "7".to_owned())]);
/// ```
///
/// # Panics
/// Outside of a simulation.
pub fn inspect(name: &str, render: impl Fn() -> String + 'static) {
    world::with(|world| add(&mut world.control.renders, name, Rc::new(render)));
}

/// Adds a text to show; the last one of a name counts.
pub(crate) fn add(renders: &mut Vec<(String, Render)>, name: &str, render: Render) {
    match renders.iter_mut().find(|(known, _)| known == name) {
        Some((_, known)) => *known = render,
        None => renders.push((name.to_owned(), render)),
    }
}

/// All texts, by name in the order in which they were added.
pub(crate) fn render_all(renders: &[(String, Render)]) -> Vec<(String, String)> {
    let render = |render: &Render| {
        let text = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| render()));
        text.unwrap_or_else(|_| "(it cannot be shown: its hook panicked)".to_owned())
    };
    renders.iter().map(|(name, it)| (name.clone(), render(it))).collect()
}

#[cfg(test)]
mod tests {
    use super::Script;

    #[test]
    fn orders_are_read_as_they_are_written() {
        for text in ["", "1:0", "1:0,532:1000000,600:free"] {
            assert_eq!(text.parse::<Script>().map(|it| it.to_string()), Ok(text.to_owned()));
        }
        for wrong in ["x", "1", "1:y", "5:0,4:0"] {
            assert!(wrong.parse::<Script>().is_err(), "{wrong}");
        }
    }
}
