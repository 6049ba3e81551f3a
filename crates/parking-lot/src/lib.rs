//! Locks whose waiters are threads, fibers or futures.
