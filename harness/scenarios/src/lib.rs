//! What must hold, written once for every harness.
