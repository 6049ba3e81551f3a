//! The simulated world, as the lists of properties need it.

use std::ffi::CString;

use raddle_platform::driver::{Handle, Kind, Op, OpenOptions};
use raddle_platform::{Driver, Platform, Threads};
use raddle_scenarios::scope;
use raddle_vopr::node::Node;
use raddle_vopr::{FaultKind, Faults, Sim, Simulation, Strategy, net};

pub(crate) type World = Sim;
pub(crate) type Io = <World as Platform>::Driver;

/// The length of a file that is not read at once.
pub(crate) const LARGE: usize = 1 << 14;

/// Runs a property under some seeds, and under some in which a cancel may beat a result.
pub(crate) fn simulate(property: impl Fn()) {
    for seed in 0..10 {
        let cancels = Faults::none().rate(FaultKind::Cancelled, 1 << 15);
        for faults in [Faults::none(), cancels] {
            let simulation = Simulation::new().seed(seed).strategy(Strategy::Random);
            let program = || {
                net::set_room(1 << 16);
                property();
            };
            simulation.spurious_wakes(false).faults(faults).run(program).unwrap();
        }
    }
}

/// Runs each property over the simulator's driver, under the name `simulated::<property>`.
macro_rules! over_all_drivers {
    ($($property:ident,)*) => {
        mod simulated {
            use raddle_platform::driver::Kind;
            $(#[test]
            fn $property() {
                crate::world::simulate(|| super::$property(Kind::default()));
            })*
        }
    };
}
pub(crate) use over_all_drivers;

/// Properties of threads that have no driver.
macro_rules! without_a_driver {
    ($($property:ident,)*) => {
        mod no_driver {
            $(#[test]
            fn $property() {
                crate::world::simulate(super::$property);
            })*
        }
    };
}
pub(crate) use without_a_driver;

/// What the driver calls itself.
pub(crate) fn name(_: Kind) -> &'static str {
    "vopr"
}

/// Runs both at the same time.
pub(crate) fn beside(other: impl FnOnce() + Send, this: impl FnOnce()) {
    scope::<Sim, _>(|threads| {
        threads.spawn(other);
        this();
    });
}

/// Lets others run.
pub(crate) fn yield_now() {
    <Sim as Platform>::Threads::yield_now();
}

/// No program executes another one here.
pub(crate) fn check_closed_on_exec(_: Handle) {}

/// A number that no descriptor has.
pub(crate) fn closed() -> Handle {
    Handle(5_000)
}

/// The directory of the test.
pub(crate) struct Directory;

const NAME: &str = "directory";

fn c_path(path: &str) -> CString {
    CString::new(path).expect("no zero in it")
}

impl Directory {
    pub(crate) fn new() -> Self {
        Node::here().disk().make_directory(NAME);
        Self
    }

    pub(crate) fn itself(&self) -> CString {
        c_path(NAME)
    }

    pub(crate) fn path(&self, name: &str) -> CString {
        c_path(&format!("{NAME}/{name}"))
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        Node::here().disk().read(&format!("{NAME}/{name}")).expect("the file is there")
    }

    /// By a program's own operations: the file is the same if it was there.
    pub(crate) fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.path(name);
        let options =
            OpenOptions { write: true, create: true, truncate: true, ..OpenOptions::NONE };
        // SAFETY: the memory is valid for the length of the calls.
        let perform = |op| unsafe { Io::block_on(op) };
        let handle = Handle(perform(Op::Open { path: path.as_ptr(), options }));
        let (buffer, length) = (bytes.as_ptr(), bytes.len() as u32);
        let written = perform(Op::WriteAt { handle, buffer, length, offset: 0 });
        assert_eq!(written as u32, length, "room");
        Io::close(handle);
    }

    /// The names in it.
    pub(crate) fn names(&self) -> Vec<String> {
        let names = Node::here().disk().names();
        let inside = |name: &String| Some(name.strip_prefix(NAME)?.strip_prefix('/')?.to_owned());
        names.iter().filter_map(inside).collect()
    }

    /// Files have no permissions here.
    pub(crate) fn check_mode(&self, _: &str, _: u32) {}

    /// An empty file on a disk without room.
    pub(crate) fn full(&self) -> CString {
        self.write("full", b"");
        Node::here().disk().set_capacity(0);
        self.path("full")
    }
}
