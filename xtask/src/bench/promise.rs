//! The bounds that the project sets itself, and whether a run kept them.
//!
//! A missed one is printed as missed and fails nothing, for no timed test decides pass or fail.

use super::record::{Case, Run, Subject, is_rival};

/// A ratio or a time that is not to be exceeded.
pub(super) struct Promise {
    group: &'static str,
    case: &'static str,
    ours: &'static str,
    against: Against,
    bound: f64,
}

/// What ours is divided by.
enum Against {
    /// A subject of the same case.
    Subject(&'static str),
    /// The fastest rival of the same case.
    Best,
    /// The same subject in another case.
    Case(&'static str),
    /// Nothing: the bound is a time, in nanoseconds.
    Time,
    /// A rival, after the time of `alone`, the work that all of them have to do, is taken off both. Claimed
    /// only where the quartiles of the two do not overlap.
    Overhead { rival: &'static str, alone: &'static str },
}

use Against::{Best, Overhead, Subject as Than, Time};

const fn promise(
    group: &'static str,
    case: &'static str,
    ours: &'static str,
    against: Against,
    bound: f64,
) -> Promise {
    Promise { group, case, ours, against, bound }
}

/// In the order of the groups.
const PROMISES: &[Promise] = &[
    promise("tasks", "yield", "raddle", Than("may"), 0.6),
    promise("tasks", "spawn_join/1_workers", "raddle", Than("tokio"), 0.8),
    promise("tasks", "spawn_join/2_workers", "raddle", Than("tokio"), 0.8),
    promise("tasks", "ping_pong/1_workers", "raddle", Than("tokio_semaphores"), 0.8),
    promise("tasks", "ping_pong/1_workers", "raddle", Than("tokio_mpsc"), 0.8),
    promise("tasks", "ping_pong/2_workers", "raddle", Than("tokio_semaphores"), 0.8),
    promise("tasks", "ping_pong/2_workers", "raddle", Than("tokio_mpsc"), 0.8),
    promise("locks", "mutex_uncontended", "raddle", Than("parking_lot"), 1.1),
    promise("locks", "mutex_2_threads/1_ns", "raddle", Than("parking_lot"), 1.2),
    promise("locks", "mutex_2_threads/100_ns", "raddle", Than("parking_lot"), 1.2),
    promise("locks", "mutex_8_threads/1_ns", "raddle", Than("parking_lot"), 1.2),
    promise("locks", "mutex_8_threads/100_ns", "raddle", Than("parking_lot"), 1.2),
    promise("locks", "mutex_8_fibers_2_workers", "raddle", Than("tokio"), 0.2),
    promise("channel", "spsc/bounded_0", "raddle", Best, 1.2),
    promise("channel", "spsc/bounded_1", "raddle", Best, 1.2),
    promise("channel", "spsc/bounded_1024", "raddle", Best, 1.2),
    promise("channel", "mpsc/bounded_0", "raddle", Best, 1.2),
    promise("channel", "mpsc/bounded_1", "raddle", Best, 1.2),
    promise("channel", "mpsc/bounded_1024", "raddle", Best, 1.2),
    promise("channel", "fibers_1_workers/spsc_1", "raddle", Than("tokio-mpsc"), 0.5),
    promise("channel", "fibers_1_workers/spsc_1024", "raddle", Than("tokio-mpsc"), 0.5),
    promise("channel", "fibers_1_workers/mpsc_1024", "raddle", Than("tokio-mpsc"), 0.5),
    promise("channel", "fibers_2_workers/spsc_1", "raddle", Than("tokio-mpsc"), 0.5),
    promise("channel", "fibers_2_workers/spsc_1024", "raddle", Than("tokio-mpsc"), 0.5),
    promise("channel", "fibers_2_workers/mpsc_1024", "raddle", Than("tokio-mpsc"), 0.5),
    // Four times the deliveries of one rival, and ten times those of the other.
    promise("pubsub", "1x64/work=0", "raddle", Than("tokio-broadcast"), 0.25),
    promise("pubsub", "1x64/work=0", "raddle", Than("crossbeam-64"), 0.1),
    promise("pubsub", "4x8/work=0", "raddle", Than("tokio-broadcast"), 0.25),
    promise(
        "pubsub",
        "1x64/work=200",
        "raddle",
        Overhead { rival: "tokio-broadcast", alone: "work-alone" },
        0.3,
    ),
    promise("pubsub", "1x64/work=0", "raddle-parking", Than("raddle-std"), 1.1),
    promise("pubsub", "4x8/work=0", "raddle-parking", Than("raddle-std"), 1.1),
    promise("versioned", "100_0/1_readers", "raddle", Than("arc-swap"), 0.6),
    promise("versioned", "100_0/2_readers", "raddle", Than("arc-swap"), 0.6),
    promise("versioned", "100_0/2_readers", "raddle", Against::Case("100_0/1_readers"), 1.15),
    promise("versioned", "snapshot_64", "raddle", Than("raddle-64-reads"), 1.2),
    // Eight million decisions in a second, recorded.
    promise("vopr", "decisions", "raddle_recorded", Time, 125.0),
    promise("vopr", "decisions", "raddle_recorded", Than("raddle"), 1.2),
    promise("vopr", "bounded_buffer", "raddle", Than("shuttle"), 0.2),
    // Twenty thousand commands in a second.
    promise("vopr", "kv_command", "raddle", Time, 50_000.0),
];

/// A promise, and what a run has to say about it.
pub(super) struct Judged {
    pub(super) group: &'static str,
    /// The case and the two sides of the ratio.
    pub(super) what: String,
    pub(super) bound: String,
    /// None if it was not measured.
    pub(super) value: Option<String>,
    pub(super) state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Kept,
    Missed,
    /// The quartiles of both sides overlap: this run says nothing.
    Unclear,
    NotMeasured,
}

impl State {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::Missed => "missed",
            Self::Unclear => "unclear: the quartiles overlap",
            Self::NotMeasured => "not measured",
        }
    }
}

/// The promises about the groups of a run.
pub(super) fn judge(run: &Run) -> Vec<Judged> {
    let mut judged: Vec<_> = PROMISES.iter().filter_map(|promise| promise.judge(run)).collect();
    let place = |it: &Judged| run.groups.iter().position(|group| group.group == it.group);
    judged.sort_by_key(place);
    judged
}

pub(super) fn print(judged: &[Judged]) {
    if judged.is_empty() {
        return;
    }
    let columns = |what: &str, value: &str, bound: &str, state: &str| {
        println!("{what:<66} {value:>12} {bound:>11}  {state}");
    };
    println!();
    columns("promise", "measured", "bound", "");
    for it in judged {
        let value = it.value.as_deref().unwrap_or("-");
        columns(&format!("{} {}", it.group, it.what), value, &it.bound, it.state.name());
    }
    let missed = judged.iter().filter(|it| it.state == State::Missed).count();
    println!("{} promises, {missed} missed", judged.len());
}

impl Promise {
    /// None if the run does not have the group.
    fn judge(&self, run: &Run) -> Option<Judged> {
        let group = run.group(self.group)?;
        let measured = group.case(self.case).and_then(|case| {
            let other =
                if let Against::Case(name) = self.against { group.case(name)? } else { case };
            self.measure(case, other)
        });
        let unit = |value: f64| match self.against {
            Time => format!("{value:.0} ns"),
            _ => format!("{value:.2}"),
        };
        let state = match measured {
            None => State::NotMeasured,
            Some((_, false)) => State::Unclear,
            Some((value, true)) if value <= self.bound => State::Kept,
            Some(_) => State::Missed,
        };
        Some(Judged {
            group: self.group,
            what: self.what(),
            bound: match self.against {
                Time => format!("≤ {:.0} ns", self.bound),
                _ => format!("≤ {}", self.bound),
            },
            value: measured.map(|(value, _)| unit(value)),
            state,
        })
    }

    fn what(&self) -> String {
        let Self { case, ours, .. } = self;
        match self.against {
            Than(rival) => format!("{case}: {ours} / {rival}"),
            Best => format!("{case}: {ours} / best rival"),
            Against::Case(other) => format!("{case}: {ours} / itself in {other}"),
            Time => format!("{case}: {ours}"),
            Overhead { rival, alone } => format!("{case}: overhead over {alone}, {ours} / {rival}"),
        }
    }

    /// The value, and whether it can be claimed.
    fn measure(&self, case: &Case, other: &Case) -> Option<(f64, bool)> {
        let ours = case.subject(self.ours)?;
        let over = |theirs: &Subject| (ours.median_ns / theirs.median_ns, true);
        match self.against {
            Than(rival) => case.subject(rival).map(over),
            Best => {
                let rivals = case.subjects.iter().filter(|it| is_rival(&it.subject));
                rivals.min_by(|a, b| a.median_ns.total_cmp(&b.median_ns)).map(over)
            }
            Against::Case(_) => other.subject(self.ours).map(over),
            Time => Some((ours.median_ns, true)),
            Overhead { rival, alone } => {
                let rival = case.subject(rival)?;
                let alone = case.subject(alone)?.median_ns;
                let value = (ours.median_ns - alone) / (rival.median_ns - alone);
                let apart = ours.q3_ns < rival.q1_ns || rival.q3_ns < ours.q1_ns;
                Some((value, apart && rival.median_ns > alone))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::GROUPS;
    use super::super::record::tests::{case, run};
    use super::{Against, Best, Overhead, PROMISES, State, Than, Time, judge, promise};

    fn state(against: Against, bound: f64, medians: &[(&str, f64)]) -> (State, Option<String>) {
        let run = run("g", vec![case("c", medians), case("d", &[("raddle", 5.0)])]);
        let judged =
            promise("g", "c", "raddle", against, bound).judge(&run).expect("its group ran");
        (judged.state, judged.value)
    }

    const MEDIANS: [(&str, f64); 5] =
        [("raddle", 10.0), ("raddle-std", 1.0), ("work-alone", 2.0), ("a", 20.0), ("b", 8.0)];

    #[test]
    fn each_kind_of_promise_can_be_kept_and_missed() {
        for (against, value) in [
            (Than("a"), 0.5),
            (Best, 1.25),
            (Against::Case("d"), 2.0),
            (Time, 10.0),
            (Overhead { rival: "a", alone: "b" }, 2.0 / 12.0),
        ] {
            let judged = |bound| state(against_again(&against), bound, &MEDIANS);
            let (kept, shown) = judged(value + 0.01);
            assert_eq!(kept, State::Kept, "{shown:?}");
            assert_eq!(judged(value - 0.01).0, State::Missed, "{shown:?}");
        }
    }

    fn against_again(against: &Against) -> Against {
        match *against {
            Than(rival) => Than(rival),
            Best => Best,
            Against::Case(case) => Against::Case(case),
            Time => Time,
            Overhead { rival, alone } => Overhead { rival, alone },
        }
    }

    #[test]
    fn an_overhead_is_claimed_only_where_the_quartiles_are_apart() {
        let overhead = || Overhead { rival: "a", alone: "b" };
        let near = [("raddle", 19.0), ("a", 20.0), ("b", 8.0)];
        assert_eq!(state(overhead(), 5.0, &near).0, State::Unclear);
    }

    #[test]
    fn what_was_not_measured_is_not_kept() {
        assert_eq!(state(Than("nobody"), 9.0, &MEDIANS), (State::NotMeasured, None));
        assert!(judge(&run("elsewhere", Vec::new())).is_empty());
    }

    #[test]
    fn promises_are_about_groups_that_exist() {
        for promise in PROMISES {
            assert!(GROUPS.iter().any(|group| group.name == promise.group), "{}", promise.group);
        }
    }
}
