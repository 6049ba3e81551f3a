//! `raddle-kv` and its clients, each with a key of its own.

use std::io::{self, Read, Write};
use std::net::SocketAddr;

use raddle_kv::config::{Config, Log};
use raddle_kv::server::Server;
use raddle_runtime::net::TcpStream;
use raddle_runtime::{scope, spawn};
use raddle_scenarios::Scenario;

use super::{ON_RUNTIME, Program, connect, on_runtime, usual};
use crate::faults::calm;
use crate::net;
use crate::platform::Sim;

pub(super) fn list() -> Vec<Program> {
    let scenario = Scenario::new(
        "faults/kv",
        "a counter of raddle-kv is between what was acknowledged and what was asked for",
        program,
    );
    vec![Program::new(scenario.needs(ON_RUNTIME.rng().io()), usual())]
}

/// Sends a command of one line, and reads its reply of one line.
fn call(stream: &TcpStream<Sim>, command: &str) -> io::Result<i64> {
    let mut stream = stream;
    let words: Vec<_> = command.split(' ').collect();
    let mut request = format!("*{}\r\n", words.len());
    words.iter().for_each(|word| request += &format!("${}\r\n{word}\r\n", word.len()));
    stream.write_all(request.as_bytes())?;
    let mut line = Vec::new();
    while !line.ends_with(b"\r\n") {
        let mut byte = [0];
        match stream.read(&mut byte) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) => line.push(byte[0]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    let text = String::from_utf8_lossy(&line);
    let number = text.trim_end().strip_prefix(':').and_then(|number| number.parse().ok());
    Ok(number.unwrap_or_else(|| panic!("{command} gives {text:?}")))
}

/// Counts on its own key: what was acknowledged, and what was asked for.
fn count(address: SocketAddr, key: &str) -> (i64, i64) {
    let (mut acknowledged, mut asked) = (0, 0);
    for _ in 0..2 {
        let Ok(stream) = connect::<Sim>(address) else { continue };
        for _ in 0..3 {
            asked += 1;
            let Ok(value) = call(&stream, &format!("INCR {key}")) else { break };
            acknowledged += 1;
            assert!((acknowledged..=asked).contains(&value), "{value} of {asked}");
        }
    }
    (acknowledged, asked)
}

fn program() {
    on_runtime::<Sim, _>(|| {
        let config = Config { port: 0, bind: net::address(0), log: Log::Off, ..Config::default() };
        let server = Server::<Sim>::bind(config).expect("a port");
        let (address, stop) = (server.local_addr().expect("an address"), server.stop_token());
        let serving = spawn::<Sim, _, _>(move || server.run());
        let keys = ["warp", "weft"];
        let counts = scope::<Sim, _, _>(|fibers| {
            let clients = keys.map(|key| fibers.spawn(move || count(address, key)));
            clients.map(|client| client.join().expect("no panic"))
        });
        calm();
        for (key, (acknowledged, asked)) in keys.into_iter().zip(counts) {
            let value = loop {
                let read = |stream| call(&stream, &format!("INCRBY {key} 0"));
                if let Ok(value) = connect::<Sim>(address).and_then(read) {
                    break value;
                }
            };
            assert!((acknowledged..=asked).contains(&value), "{acknowledged} ≤ {value} ≤ {asked}");
        }
        stop.cancel();
        serving.join().expect("no panic").expect("all connections end");
    });
}
