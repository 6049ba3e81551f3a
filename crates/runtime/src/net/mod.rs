//! TCP, in std's shape.
//!
//! Each operation has a blocking form, which parks the calling fiber (or blocks a plain thread),
//! and an asynchronous one. Blocking forms are cancellation points: when the calling fiber is
//! cancelled they return an error for which
//! [`is_cancelled_error`](crate::is_cancelled_error) holds, after the kernel has given the buffer
//! back. A future may be dropped or forgotten at any time: it waits for readiness and never lends
//! its buffer to the kernel.

mod address;
mod listener;
mod stream;

pub use address::Address;
pub use listener::{Incoming, TcpListener};
pub use raddle_platform::driver::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr};
pub use stream::TcpStream;
