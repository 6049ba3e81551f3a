//! Connections over both drivers, while tasks are stolen.

use core::time::Duration;
use std::io::{Read, Write};

use raddle_platform::Platform;
use raddle_platform::driver::Kind;
use raddle_runtime::net::{Shutdown, TcpListener, TcpStream};
use raddle_runtime::runtime::Builder;
use raddle_runtime::{Runtime, spawn, spawn_async, yield_now};

use super::{Budget, Stress};

pub(super) fn list<P: Platform>() -> Vec<Stress> {
    vec![
        Stress::new(
            "stress/net_storm_on_io_uring",
            "every connection gets back what it sent, by io_uring where the kernel has it",
            &["completion", "uring-wait"],
            |budget| net_storm::<P>(budget, Kind::Probe),
        ),
        Stress::new(
            "stress/net_storm_on_epoll",
            "every connection gets back what it sent, by epoll",
            &["completion", "epoll-wait"],
            |budget| net_storm::<P>(budget, Kind::Epoll),
        ),
    ]
}

const CONNECTIONS: u64 = 24;
const MESSAGES: u64 = 12;
const BYTES: usize = 512;

fn message(connection: u64, number: u64) -> [u8; BYTES] {
    core::array::from_fn(|index| (connection * 31 + number * 7 + index as u64) as u8)
}

/// Else the storm would wait for acknowledgements most of the time.
fn at_once<P: Platform>(stream: &TcpStream<P>) {
    stream.set_nodelay(true).expect("a connection");
}

/// Sends back what comes, until the end.
fn echo<P: Platform>(stream: &TcpStream<P>) -> u64 {
    at_once(stream);
    let (mut reader, mut writer) = (stream, stream);
    let mut buffer = [0; 300];
    let mut echoed = 0;
    loop {
        let count = reader.read(&mut buffer).expect("no error");
        if count == 0 {
            return echoed;
        }
        writer.write_all(&buffer[..count]).expect("no error");
        echoed += count as u64;
    }
}

fn client<P: Platform>(address: std::net::SocketAddr, name: u64) -> u64 {
    let stream = TcpStream::<P>::connect(address).expect("it listens");
    at_once(&stream);
    let (mut reader, mut writer) = (&stream, &stream);
    for number in 0..MESSAGES {
        writer.write_all(&message(name, number)).expect("no error");
        if number % 3 == 0 {
            yield_now::<P>();
        }
        let mut answer = [0; BYTES];
        reader.read_exact(&mut answer).expect("no error");
        assert_eq!(answer, message(name, number), "what connection {name} sent as {number}");
    }
    stream.shutdown(Shutdown::Write).expect("no error");
    assert_eq!(reader.read(&mut [0]).expect("no error"), 0, "the end comes back, too");
    MESSAGES
}

/// As [`client`], as a future.
async fn client_async<P: Platform>(address: std::net::SocketAddr, name: u64) -> u64 {
    let stream = TcpStream::<P>::connect_async(address).await.expect("it listens");
    at_once(&stream);
    for number in 0..MESSAGES {
        stream.write_all_async(&message(name, number)).await.expect("no error");
        let mut answer = [0; BYTES];
        let mut length = 0;
        while length < BYTES {
            let count = stream.read_async(&mut answer[length..]).await.expect("no error");
            assert_ne!(count, 0, "too short an answer");
            length += count;
        }
        assert_eq!(answer, message(name, number), "what connection {name} sent as {number}");
    }
    MESSAGES
}

fn net_storm<P: Platform>(budget: &Budget, kind: Kind) -> u64 {
    let runtime: Runtime<P> =
        Builder::new_in().workers(4).driver(kind).build().expect("a runtime with this driver");
    let operations = budget.rounds(|| {
        let (sent, echoed) = runtime
            .run(|| {
                let listener = TcpListener::<P>::bind("127.0.0.1:0").expect("a port");
                let address = listener.local_addr().expect("an address");
                let clients: Vec<_> = (0..CONNECTIONS)
                    .map(|name| {
                        if name % 2 == 0 {
                            spawn::<P, _, _>(move || client::<P>(address, name))
                        } else {
                            spawn_async::<P, _>(client_async::<P>(address, name))
                        }
                    })
                    .collect();
                let servers: Vec<_> = (0..CONNECTIONS)
                    .map(|_| {
                        let (stream, _) = listener.accept().expect("it connects");
                        spawn::<P, _, _>(move || echo(&stream))
                    })
                    .collect();
                let sent: u64 = clients.into_iter().map(|it| it.join().expect("no panic")).sum();
                let echoed: u64 = servers.into_iter().map(|it| it.join().expect("no panic")).sum();
                (sent, echoed)
            })
            .expect("no panic");
        assert_eq!(echoed, sent * BYTES as u64, "every byte came back");
        sent
    });
    assert_eq!(runtime.shutdown(Duration::from_secs(60)), Ok(()), "no task is left");
    operations
}
