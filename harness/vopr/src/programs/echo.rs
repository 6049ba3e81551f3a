//! A server that sends back what it receives, and clients that try again.

use std::io::{self, Read, Write};
use std::net::SocketAddr;

use raddle_platform::Platform;
use raddle_runtime::net::TcpStream;
use raddle_runtime::scope;
use raddle_scenarios::Scenario;

use super::{ON_RUNTIME, PATIENCE, Program, connect, listen, on_runtime, usual};
use crate::faults::calm;
use crate::platform::Sim;

pub(super) fn list() -> Vec<Program> {
    let scenario = Scenario::new(
        "faults/echo",
        "whatever is at fault, what comes back is what was sent; and all comes when the faults end",
        program,
    );
    vec![Program::new(scenario.needs(ON_RUNTIME.io()), usual())]
}

/// Sends back what it receives.
pub(super) fn echo<P: Platform>(mut stream: TcpStream<P>) {
    // One whose client is gone without a word must not stay for ever.
    let _ = stream.set_read_timeout(Some(10 * PATIENCE));
    let mut buffer = [0; 16];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return,
            Ok(count) => {
                if stream.write_all(&buffer[..count]).is_err() {
                    return;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}

/// One connection: what comes back is what was sent, as far as it comes.
pub(super) fn converse<P: Platform>(address: SocketAddr, salt: u8) -> io::Result<()> {
    let stream = connect::<P>(address)?;
    for round in 0..3_u8 {
        // As many as there is always room for: who does not read while he writes may wait for ever.
        let message: Vec<u8> = (0..8).map(|index| index ^ salt ^ (round << 5)).collect();
        (&stream).write_all(&message)?;
        let (mut answer, mut length) = ([0; 8], 0);
        while length < answer.len() {
            match (&stream).read(&mut answer[length..]) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => length += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
            assert_eq!(answer[..length], message[..length], "every byte in its order");
        }
    }
    Ok(())
}

fn program() {
    on_runtime::<Sim, _>(|| {
        let (address, server) = listen::<Sim>(0, echo);
        scope::<Sim, _, _>(|fibers| {
            for salt in 0..2 {
                fibers.spawn(move || (0..2).for_each(|_| _ = converse::<Sim>(address, salt)));
            }
        });
        calm();
        while converse::<Sim>(address, 7).is_err() {}
        server.cancel();
    });
}
