//! Fibers and async tasks that can be tested.
