//! The same requests to a session and to a real redis-server: the replies must be the same bytes.
//!
//! Where redis-server is not installed, the tests say so and have nothing to compare with.

mod common;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::{Local, encode};

/// A redis-server of its own, on a port of its own.
struct Redis {
    process: Child,
    port: u16,
}

impl Redis {
    fn start() -> Option<Self> {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let process = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--save", "", "--appendonly", "no"])
            .stdout(Stdio::null())
            .spawn();
        let Ok(process) = process else {
            eprintln!("left out: redis-server is not installed");
            return None;
        };
        let redis = Self { process, port };
        let start = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(start.elapsed() < Duration::from_secs(20), "redis-server does not start");
            std::thread::yield_now();
        }
        Some(redis)
    }

    fn connect(&self) -> Remote {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.set_nodelay(true).unwrap();
        Remote { stream }
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

struct Remote {
    stream: TcpStream,
}

impl Remote {
    /// Sends `request` and then an `ECHO` that marks the end; returns what comes before that, and
    /// whether the connection was closed.
    fn raw(&mut self, request: &[u8]) -> (Vec<u8>, bool) {
        const MARK: &[u8] = b"$13\r\nthat's the end\r\n";
        let mark = b"*2\r\n$4\r\nECHO\r\n$14\r\nthat's the end\r\n";
        let expected = [&b"$14\r\n"[..], &MARK[5..]].concat();
        let _ = self.stream.write_all(&[request, mark].concat());
        let mut reply = Vec::new();
        let mut buffer = [0; 65536];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return (reply, true),
                Ok(n) => reply.extend_from_slice(&buffer[..n]),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {
                    return (reply, true);
                }
                Err(error) => panic!("{error} after {:?}", String::from_utf8_lossy(&reply)),
            }
            if reply.ends_with(&expected) {
                reply.truncate(reply.len() - expected.len());
                return (reply, false);
            }
        }
    }
}

fn show(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).escape_debug().to_string()
}

/// Both ends of a comparison.
struct Pair {
    ours: Local,
    theirs: Remote,
}

impl Pair {
    fn same(&mut self, request: &[u8]) {
        let theirs = self.theirs.raw(request);
        let ours = self.ours.raw(request);
        assert_eq!(
            (show(&ours.0), ours.1),
            (show(&theirs.0), theirs.1),
            "ours (left) and redis-server's (right) to {}",
            show(&request[..request.len().min(300)])
        );
    }

    fn lines(&mut self, lines: &str) {
        for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
            self.same(format!("{line}\r\n").as_bytes());
        }
    }
}

#[test]
fn replies_are_those_of_redis() {
    let Some(redis) = Redis::start() else { return };
    let mut pair = Pair { ours: Local::alone(), theirs: redis.connect() };
    pair.lines(
        r#"
        PING
        PING hello
        PING a b
        ECHO hi
        ECHO
        nosuch
        NOSUCH a "b c" 'd'
        "no\nsuch" "a\r\nb"
        get
        get a b
        set a
        SET a 1
        GET a
        get nothing
        set a 2 nx
        set b 2 nx
        set c 3 xx
        set a 5 xx get
        set zz 5 nx get
        set zz 6 nx get
        set zz 6 xx nx
        set zz 6 foo
        set zz 6 ex
        set zz 6 ex 0
        set zz 6 ex -1
        set zz 6 ex 9223372036854775807
        set zz 6 px 9223372036854775807
        set zz 6 ex 9223372036854775
        set zz 6 px x
        set zz 6 ex 10 px 10
        set zz 6 ex 10 ex 100
        set zz 6 ex 10 keepttl
        set zz 6 keepttl ex 10
        ttl zz
        set zz 7 keepttl
        ttl zz
        set zz 8
        ttl zz
        set zz 9 exat 1
        get zz
        set zz 9 pxat 99999999999999
        set zz 9 exat 0
        setnx zz 1
        setnx yy 1
        setex yy 100 v
        setex yy 0 v
        setex yy x v
        psetex yy -5 v
        psetex yy 100000 v
        ttl yy
        getset yy w
        ttl yy
        getdel yy
        getdel yy
        getdel
        del a b c
        del a b c
        del
        exists zz zz nothing
        unlink zz
        touch zz zz
        incr n
        incr n
        decr n
        incrby n 10
        incrby n x
        incrby n 9223372036854775807
        incrby n -9223372036854775808
        decrby n -9223372036854775808
        decrby n 5
        incrby n
        set s abc
        incr s
        set s " 1"
        incr s
        set s 01
        incr s
        set s ""
        incr s
        set s 9223372036854775807
        incr s
        set s -9223372036854775808
        decr s
        set s +1
        incr s
        append s xyz
        append new abc
        append new ""
        get new
        strlen new
        strlen nothing
        mset k1 v1 k2 v2 k1 v3
        mset k1
        mset k1 v1 k2
        mget k1 k2 nothing k1
        mget
        expire nothing 10
        expire k1 100
        ttl k1
        expire k1 x
        expire k1 10 foo
        expire k1 10 nx xx
        expire k1 10 gt lt
        expire k1 10 nx gt
        expire k1 200 nx
        expire k1 200 xx
        expire k1 100 gt
        expire k1 300 gt
        expire k1 400 lt
        expire k1 200 lt
        ttl k1
        expire k2 10 gt
        expire k2 10 lt
        expire k2 9223372036854775807
        expire k2 -9223372036854775808
        pexpire k2 9223372036854775807
        expire k2 9223372036854775
        pexpire k1 50000
        ttl k1
        persist k1
        persist k1
        persist nothing
        ttl k1
        ttl nothing
        pttl nothing
        pttl k1
        expire k1 -1
        exists k1
        set k1 v
        expire k1 0
        exists k1
        expireat k2 1
        exists k2
        set k2 v
        pexpireat k2 9999999999999
        ttl nothing
        type k2
        type nothing
        keys
        keys nothing*
        scan
        scan x
        scan 0 match
        scan 0 count 0
        scan 0 count x
        scan 0 foo bar
        scan 0 count 10 type
        dbsize
        flushall foo
        flushall sync async
        flushall
        flushdb async
        dbsize
        keys *
        scan 0
        scan 0 type hash
        select 0
        select x
        select 99
        hello 1
        hello x
        hello 2 foo
        hello 2 auth a
        hello 2 auth a b
        hello 2 setname "a b"
        hello 99999999999999999999
        auth x
        auth default x
        auth a b
        auth a b c
        client
        client foo
        client id x
        client getname
        client setname
        client setname "a b"
        client setname "a\nb"
        client setname me
        client getname
        client list foo
        client list type foo
        client list id x
        client list type
        config
        config foo
        config get
        config get nothing
        config get save
        config get SAV?
        config get [a]ppend*ly
        command foo
        command count x
        command info nothing
        command docs nothing
        command list x
        pubsub
        pubsub foo
        pubsub channels
        pubsub numsub
        pubsub numsub a b
        pubsub numpat
        publish a b
        publish a
        info nothing
        reset
        client getname
        dbsize x
        "#,
    );
}

#[test]
fn pushes_are_those_of_redis() {
    let Some(redis) = Redis::start() else { return };
    for protocol in ["hello 2 setname x", "hello 3 setname x"] {
        let mut pair = Pair { ours: Local::alone(), theirs: redis.connect() };
        pair.theirs.raw(format!("{protocol}\r\n").as_bytes());
        pair.ours.line(protocol);
        pair.lines(
            r#"
            get nothing
            config get save
            pubsub numsub a
            unsubscribe
            punsubscribe
            unsubscribe a b
            "#,
        );
        if protocol.starts_with("hello 3") {
            // In the old protocol the comparison's own ECHO would be refused from here on.
            pair.lines(
                r#"
                subscribe a b a
                psubscribe a*
                psubscribe [b]
                pubsub numpat
                pubsub numsub a b c
                pubsub channels a*
                pubsub channels x*
                get nothing
                ping
                ping hello
                unsubscribe a x
                unsubscribe
                punsubscribe a*
                punsubscribe
                get nothing
                subscribe a
                reset
                get nothing
                "#,
            );
        }
    }
}

#[test]
fn subscribers_of_the_old_protocol_are_restricted_as_by_redis() {
    let Some(redis) = Redis::start() else { return };
    let (mut ours, mut theirs) = (Local::alone(), redis.connect());
    let refused = "-ERR Can't execute 'echo': only";
    for line in [
        "subscribe a",
        "get x",
        "ping",
        "ping hello",
        "ping a b",
        "client id",
        "hello 3",
        "config get x",
        "nosuch",
        "subscribe",
        "psubscribe p* q*",
        "unsubscribe a",
        "publish a b",
    ] {
        // Here the mark at the end is an error.
        let request = format!("{line}\r\nECHO end\r\n");
        theirs.stream.write_all(request.as_bytes()).unwrap();
        let mut reply = Vec::new();
        while !String::from_utf8_lossy(&reply).contains(refused) {
            let mut buffer = [0; 4096];
            let n = theirs.stream.read(&mut buffer).unwrap();
            assert!(n > 0, "closed after {}", show(&reply));
            reply.extend_from_slice(&buffer[..n]);
        }
        let ours = ours.raw(request.as_bytes()).0;
        assert_eq!(show(&ours), show(&reply), "ours (left), redis-server's (right) to {line}");
    }
}

#[test]
fn protocol_errors_are_those_of_redis() {
    let Some(redis) = Redis::start() else { return };
    let long = "a".repeat(70_000);
    for request in [
        "*x\r\n",
        "*01\r\n",
        "*1\r\nfoo\r\n",
        "*1\r\n\r\n",
        "*2\r\n$3\r\nget\r\nx\r\n",
        "*1\r\n$-1\r\n",
        "*1\r\n$x\r\n",
        "*1\r\n$\r\n",
        "*1\r\n$536870913\r\n",
        "*99999999999\r\n",
        "get \"a\r\n",
        "get 'a\r\n",
        "get \"a\"b\r\n",
        "quit\r\nping\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\n",
        "ping\r\n*0\r\n*-1\r\n\r\n  \r\nping\r\n",
        "*1\r\n$4\r\nPINGxxping\r\n",
        &format!("*1\r\n${long}"),
        &format!("*{long}"),
        &long,
    ] {
        // Nothing may follow: bytes that Redis does not read would reset the connection.
        let mut theirs = redis.connect();
        theirs.stream.write_all(request.as_bytes()).unwrap();
        theirs.stream.shutdown(Shutdown::Write).unwrap();
        let mut reply = Vec::new();
        theirs.stream.read_to_end(&mut reply).unwrap();
        let (ours, closed) = Local::alone().raw(request.as_bytes());
        assert_eq!(
            show(&ours),
            show(&reply),
            "{}",
            show(request[..40.min(request.len())].as_ref())
        );
        assert!(closed || !show(&ours).contains("Protocol error"), "an error closes");
    }
}

/// A small generator, so that a failure comes back (SplitMix64).
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ z >> 31) % n as u64) as usize
    }

    fn pick<'a>(&mut self, list: &[&'a str]) -> &'a str {
        list[self.below(list.len())]
    }
}

#[test]
fn random_commands_have_the_replies_of_redis() {
    const KEYS: [&str; 6] = ["a", "b", "c", "dd", "a key that is longer than others", ""];
    const VALUES: [&str; 10] = [
        "1",
        "-7",
        "x",
        "",
        "9223372036854775807",
        "10.5",
        "00",
        "a value of thirty bytes or so",
        "a value that is certainly longer than thirty bytes",
        "42",
    ];
    const WORDS: [&str; 12] =
        ["nx", "XX", "get", "ex", "PX", "keepttl", "1000", "-3", "gt", "lt", "foo", "exat"];
    const COMMANDS: [&str; 27] = [
        "set", "set", "set", "get", "get", "getdel", "del", "exists", "incr", "decr", "incrby",
        "decrby", "append", "strlen", "mget", "mset", "expire", "pexpire", "ttl", "persist",
        "type", "dbsize", "setnx", "getset", "unlink", "setex", "flushall",
    ];
    let Some(redis) = Redis::start() else { return };
    let mut random = Random(1);
    let mut pair = Pair { ours: Local::alone(), theirs: redis.connect() };
    for round in 0..400 {
        // Many at a time, to make fewer round trips.
        let mut batch = Vec::new();
        for _ in 0..50 {
            let command = COMMANDS[random.below(COMMANDS.len() - usize::from(round % 8 != 0))];
            let mut arguments = vec![command.as_bytes()];
            for position in 0..random.below(6) {
                let list: &[&str] = match (command, position) {
                    ("mset", 1 | 3 | 5) | (_, 1) => &VALUES,
                    ("set" | "expire" | "pexpire", 2..) => &WORDS,
                    _ => &KEYS,
                };
                arguments.push(random.pick(list).as_bytes());
            }
            batch.extend_from_slice(&encode(&arguments));
        }
        pair.same(&batch);
    }
}

#[test]
fn globs_match_as_in_redis() {
    let Some(redis) = Redis::start() else { return };
    let mut pair = Pair { ours: Local::alone(), theirs: redis.connect() };
    pair.lines("set k 1");
    let mut random = Random(2);
    const PIECES: [&str; 14] =
        ["a", "b", "c", "*", "?", "[ab]", "[^a]", "[a-c]", "[", "]", "\\", "\\*", "-", "^"];
    let pieces = |random: &mut Random, from: usize, n: usize| -> String {
        (0..random.below(n)).map(|_| PIECES[random.below(from)]).collect()
    };
    for _ in 0..300 {
        let mut batch = Vec::new();
        for _ in 0..50 {
            let key = match random.below(3) {
                0 => pieces(&mut random, 3, 6),
                _ => pieces(&mut random, PIECES.len(), 5),
            };
            let pattern = pieces(&mut random, PIECES.len(), 6);
            // The empty key is special to Redis, which does not try to match it with `**`.
            let key = format!("{key}.");
            let pattern = format!("{pattern}.");
            batch.extend_from_slice(&encode(&[b"flushall"]));
            batch.extend_from_slice(&encode(&[b"set", key.as_bytes(), b"1"]));
            batch.extend_from_slice(&encode(&[b"keys", pattern.as_bytes()]));
        }
        pair.same(&batch);
    }
}
