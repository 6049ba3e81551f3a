//! Sends back what it receives, on port 7000.

use raddle::net::TcpListener;
use std::io;

fn main() -> io::Result<()> {
    raddle::run(|| {
        let listener = TcpListener::bind("127.0.0.1:7000")?;
        loop {
            let (stream, peer) = listener.accept()?; // parks this fiber; its worker goes on
            raddle::spawn(move || match io::copy(&mut &stream, &mut &stream) {
                Ok(bytes) => println!("{peer}: {bytes} bytes"),
                Err(error) => eprintln!("{peer}: {error}"),
            });
        }
    })
}
