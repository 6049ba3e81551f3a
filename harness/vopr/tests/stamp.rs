//! Lines of a log say where in the execution they were written, the same in each run.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use raddle_platform::{Clock, Parker, Platform};
use raddle_runtime::{Runtime, runtime, scope, sleep};
use raddle_vopr::node::Node;
use raddle_vopr::{Report, Sim, Simulation, Stamp, Strategy};
use tracing_subscriber::fmt::MakeWriter;

/// Where a subscriber writes.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no panic").extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Lines {
    type Writer = Self;
    fn make_writer(&self) -> Self {
        self.clone()
    }
}

fn logged(simulation: &Simulation, program: impl Fn()) -> (Report, Vec<String>) {
    let lines = Lines::default();
    let subscriber = tracing_subscriber::fmt()
        .with_timer(Stamp)
        .with_ansi(false)
        .with_target(false)
        .with_writer(lines.clone())
        .finish();
    let report = tracing::subscriber::with_default(subscriber, || {
        let report = simulation.run(program);
        tracing::info!("after");
        report
    });
    let text = String::from_utf8(lines.0.lock().expect("no panic").clone()).expect("text");
    (report, text.lines().map(str::to_owned).collect())
}

fn nodes() {
    let server = Node::start("server", || {
        let later = <Sim as Platform>::Clock::now() + Duration::from_millis(5);
        while <Sim as Platform>::Clock::now() < later {
            <Sim as Platform>::Parker::park_until(later);
        }
        tracing::info!("served");
    });
    server.wait();
    let runtime: Runtime<Sim> =
        runtime::Builder::new_in().workers(1).build().expect("a runtime starts");
    let done = runtime.run(|| {
        scope::<Sim, _, _>(|fibers| {
            fibers.spawn(|| {
                sleep::<Sim>(Duration::from_millis(1)).expect("nobody cancels");
                tracing::info!(request = 7, "asked");
            });
        });
    });
    done.expect("it does not panic");
    runtime.shutdown(Duration::from_secs(60)).expect("it ends");
}

#[test]
fn lines_are_stamped_with_the_place_in_the_execution() {
    let simulation = Simulation::new().seed(3).strategy(Strategy::RoundRobin);
    let (report, lines) = logged(&simulation, nodes);
    report.unwrap();
    let [served, asked, after] = &lines[..] else { panic!("{lines:?}") };
    assert!(served.starts_with("5ms node 1 (server) thread 1 step "), "{served}");
    assert!(served.ends_with("INFO served"), "{served}");
    assert!(asked.starts_with("6ms node 0 thread 2 task "), "{asked}");
    assert!(asked.ends_with("INFO asked request=7"), "{asked}");
    assert!(after.starts_with("outside of a simulation"), "{after}");
}

#[test]
fn a_log_is_the_same_in_each_run_and_changes_none() {
    for seed in 0..20 {
        // (PCT runs a program once more, to measure it.)
        let simulation = Simulation::new().seed(seed).strategy(Strategy::Random);
        let (report, lines) = logged(&simulation, nodes);
        report.unwrap();
        assert_eq!(simulation.run(nodes).certificate, report.certificate);
        let (again, same) = logged(&simulation.replay(report.trace.clone()), nodes);
        assert_eq!((again.certificate, same), (report.certificate, lines));
    }
}
