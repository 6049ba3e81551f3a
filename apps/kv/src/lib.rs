//! A Redis-protocol server on Raddle.
