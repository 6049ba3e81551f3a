//! Fibers, tasks, timers and I/O.
