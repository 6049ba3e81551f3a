//! TCP, in std's shape; see [`raddle_runtime::net`].
//!
//! ```
//! use raddle::net::{TcpListener, TcpStream};
//! use std::io::{Read, Write};
//!
//! raddle::run(|| {
//!     let listener = TcpListener::bind("127.0.0.1:0")?;
//!     let address = listener.local_addr()?;
//!     let server = raddle::spawn(move || listener.accept()?.0.write_all(b"welcome"));
//!     let mut greeting = String::new();
//!     TcpStream::connect(address)?.read_to_string(&mut greeting)?;
//!     assert_eq!(greeting, "welcome");
//!     server.join().unwrap()
//! })?;
//! # Ok::<(), std::io::Error>(())
//! ```

use raddle_platform::Native;

pub use raddle_runtime::net::{Address, IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr};

/// Accepts connections; see [`raddle_runtime::net::TcpListener`].
pub type TcpListener = raddle_runtime::net::TcpListener<Native>;

/// A connection; see [`raddle_runtime::net::TcpStream`].
pub type TcpStream = raddle_runtime::net::TcpStream<Native>;
