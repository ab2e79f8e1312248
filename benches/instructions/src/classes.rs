//! The classes of packets: what a tap sees most, and what it is there for.

use canarytap::engine::limits::Limits;

use crate::packets::{Connection, From, Kind};
use crate::quic;
use crate::sealing::{self, Sealer, Suite};
use crate::{Class, Play, Size};

/// All of them, in the order of the table.
pub const ALL: &[Class] = &[
    Class {
        name: "other-port",
        make: other_port,
    },
    Class {
        name: "stray",
        make: stray,
    },
    Class {
        name: "other-host",
        make: other_host,
    },
    Class {
        name: "new-flow",
        make: new_flow,
    },
    Class {
        name: "many-flows",
        make: many_flows,
    },
    Class {
        name: "full-table",
        make: full_table,
    },
    Class {
        name: "in-order",
        make: in_order,
    },
    Class {
        name: "out-of-order",
        make: out_of_order,
    },
    Class {
        name: "usual",
        make: usual,
    },
    Class {
        name: "head",
        make: head,
    },
    Class {
        name: "match",
        make: canary,
    },
    Class {
        name: "hello",
        make: hello,
    },
    Class {
        name: "record",
        make: record,
    },
    Class {
        name: "kept-other",
        make: kept_other,
    },
    Class {
        name: "kept-watched",
        make: kept_watched,
    },
    Class {
        name: "kept-visit",
        make: kept_visit,
    },
    Class {
        name: "quic-other",
        make: quic_other,
    },
    Class {
        name: "quic-watched",
        make: quic_watched,
    },
];

const MSS: usize = 1448;
const SECRET: [u8; 32] = [7; 32];
const PACKETS: u32 = 20_000;
/// Visitors from here on have no flow yet.
const BEYOND: u32 = 1 << 24;

/// QUIC for a host that is not watched: a server's datagrams, every third one the client's.
fn quic_other(_: &Size) -> Play {
    datagrams("flood.example.net", 0)
}

/// For one that is, whose keys are not known.
fn quic_watched(size: &Size) -> Play {
    datagrams(&watched(size), 1)
}

fn datagrams(host: &str, events: u64) -> Play {
    let frames = (0..PACKETS).map(|number| match number % 3 {
        2 => quic::short(From::Client, 40),
        _ => quic::short(From::Server, 1200),
    });
    Play {
        before: vec![quic::initial(host)],
        frames: frames.collect(),
        events,
        ..Play::default()
    }
}

/// 13 characters, spread by a multiplier that is odd.
pub fn token(number: u32) -> String {
    let spread = (u128::from(number) + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835);
    format!("{:013x}", spread >> 76)
}

/// Acknowledgements on a port that is not read.
fn other_port(_: &Size) -> Play {
    acknowledgements(9000)
}

/// Acknowledgements on a watched port, of connections without a flow.
fn stray(_: &Size) -> Play {
    acknowledgements(80)
}

fn acknowledgements(port: u16) -> Play {
    let frames = (0..PACKETS)
        .map(|number| Connection::new(number % 1024 * 7, port).send(From::Client, b""))
        .collect();
    Play {
        frames,
        ..Play::default()
    }
}

/// A long answer, acknowledged every second segment, from a host that is not watched.
fn other_host(_: &Size) -> Play {
    answer("flood.example.net", 0)
}

/// The same from one that is.
fn in_order(size: &Size) -> Play {
    answer(&watched(size), 1)
}

/// The name of the last host that is watched.
fn watched(size: &Size) -> String {
    format!("host{}.example.org", size.hosts - 1)
}

/// The answer of a host that is not watched, while packets of visits are kept.
fn kept_other(size: &Size) -> Play {
    Play {
        keeps: true,
        ..other_host(size)
    }
}

/// Of one that is, for what is no canary: it waits for a visit on its connection.
fn kept_watched(size: &Size) -> Play {
    Play {
        keeps: true,
        ..in_order(size)
    }
}

/// Of a canary: every packet is handed out.
fn kept_visit(size: &Size) -> Play {
    let path = format!("/share/{}", token((size.hosts - 1) % size.canaries));
    Play {
        keeps: true,
        alerts: 1,
        ..answer_to(&watched(size), &path, 1)
    }
}

fn answer(host: &str, events: u64) -> Play {
    answer_to(host, "/", events)
}

fn answer_to(host: &str, path: &str, events: u64) -> Play {
    let mut connection = Connection::new(BEYOND, 80);
    let before = asked(&mut connection, host, path);
    let mut frames = Vec::new();
    for number in 0..PACKETS {
        frames.push(match number % 3 {
            2 => connection.send(From::Client, b""),
            _ => connection.send(From::Server, &[b'x'; MSS]),
        });
    }
    Play {
        before,
        frames,
        events,
        ..Play::default()
    }
}

/// An answer of which each two neighbours changed places.
fn out_of_order(size: &Size) -> Play {
    let mut play = answer(&watched(size), 1);
    let server = |frame: &Vec<u8>| frame.len() > MSS;
    play.frames.retain(server);
    for pair in play.frames.chunks_exact_mut(2) {
        pair.swap(0, 1);
    }
    play
}

/// A connection opened, a request, and the head of an endless answer.
fn asked(connection: &mut Connection, host: &str, path: &str) -> Vec<Vec<u8>> {
    let mut frames = connection.open();
    frames.push(connection.send(From::Client, &request(host, path)));
    frames.push(connection.send(
        From::Server,
        b"HTTP/1.1 200 OK\r\nServer: nginx\r\nContent-Length: 99999999999\r\n\r\n",
    ));
    frames
}

/// Connections that open, send half a request for a host that is not watched, and stay so.
fn new_flow(_: &Size) -> Play {
    let frames = (0..PACKETS / 4).map(|number| half_request(BEYOND + number));
    Play {
        frames: frames.flatten().collect(),
        ..Play::default()
    }
}

/// The same where there is no room: for each that comes one is forgotten.
fn full_table(size: &Size) -> Play {
    let (memory_bytes, flows) = match size.flows {
        0 => (2 << 20, 16_000),
        _ => (Limits::default().memory_bytes, 0),
    };
    Play {
        before: (0..flows).flat_map(half_request).collect(),
        memory_bytes,
        ..new_flow(size)
    }
}

/// One such connection.
pub fn half_request(visitor: u32) -> Vec<Vec<u8>> {
    half_sent(visitor).1
}

fn half_sent(visitor: u32) -> (Connection, Vec<Vec<u8>>) {
    let half = b"GET /flood HTTP/1.1\r\nHost: flood.example.net\r\nUser-Agent: flood\r\nX-Fill: ";
    let mut connection = Connection::new(visitor, 80);
    let mut frames = connection.open();
    frames.push(connection.send(From::Client, half));
    (connection, frames)
}

/// Many connections of which each sends a little more of its head, in turn.
fn many_flows(size: &Size) -> Play {
    let flows = if size.flows == 0 { 1000 } else { size.flows };
    let (mut before, mut connections) = (Vec::new(), Vec::new());
    for number in 0..PACKETS.min(flows) {
        // Spread over all, by a multiplier that is odd.
        let visitor = u64::from(number) * 7_368_787 % u64::from(flows);
        let (connection, opened) = half_sent(visitor as u32);
        connections.push(connection);
        if size.flows == 0 {
            before.extend(opened);
        }
    }
    let rounds = PACKETS / connections.len() as u32;
    let frames = (0..rounds)
        .flat_map(|_| {
            let more = |one: &mut Connection| one.send(From::Client, b"and so on, ");
            connections.iter_mut().map(more).collect::<Vec<_>>()
        })
        .collect();
    Play {
        before,
        frames,
        ..Play::default()
    }
}

/// Connections that open, ask once and are answered in eight segments, every second one of a host
/// that is watched.
fn usual(size: &Size) -> Play {
    const CONNECTIONS: u32 = 1000;
    let hosts = ["flood.example.net".to_owned(), watched(size)];
    let mut frames = Vec::new();
    for (number, host) in (0..CONNECTIONS).zip(hosts.iter().cycle()) {
        let mut connection = Connection::new(BEYOND + number, 80);
        frames.extend(asked(&mut connection, host, "/"));
        for part in 0..8 {
            frames.push(connection.send(From::Server, &[b'x'; MSS]));
            if part % 2 == 1 {
                frames.push(connection.send(From::Client, b""));
            }
        }
    }
    Play {
        frames,
        events: u64::from(CONNECTIONS / 2),
        ..Play::default()
    }
}

/// Requests for a watched host, each answered, on one connection.
fn head(size: &Size) -> Play {
    exchanges(size, 0, |number| {
        format!("/page/{number}/index.html?q={}", number * 7919)
    })
}

/// The same for canaries.
fn canary(size: &Size) -> Play {
    // Of twenty canaries, those of the last host that is watched.
    exchanges(size, 2000, |number| {
        let ours = (number % 20 * size.hosts + size.hosts - 1) % size.canaries;
        format!("/share/{}", token(ours))
    })
}

fn exchanges(size: &Size, alerts: u64, target: impl Fn(u32) -> String) -> Play {
    const EXCHANGES: u32 = 2000;
    let mut connection = Connection::new(BEYOND, 80);
    let before = connection.open();
    let mut frames = Vec::new();
    for number in 0..EXCHANGES {
        let request = request(&watched(size), &target(number));
        frames.push(connection.send(From::Client, &request));
        frames.push(connection.send(
            From::Server,
            b"HTTP/1.1 200 OK\r\nServer: nginx\r\nContent-Length: 5\r\n\r\nhello",
        ));
    }
    Play {
        before,
        frames,
        events: u64::from(EXCHANGES),
        alerts,
        ..Play::default()
    }
}

fn request(host: &str, target: &str) -> Vec<u8> {
    format!(
        "GET {target} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\nAccept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\nAccept-Language: en-US,en;q=0.5\r\nAccept-Encoding: gzip, deflate\r\nReferer: http://{host}/start\r\nConnection: keep-alive\r\n\r\n"
    )
    .into_bytes()
}

/// Hellos for a watched host, each on a connection that is open.
fn hello(size: &Size) -> Play {
    const HELLOS: u32 = 2000;
    let (mut before, mut frames) = (Vec::new(), Vec::new());
    for number in 0..HELLOS {
        let mut connection = Connection::new(number, 443);
        before.extend(connection.open());
        let hello = sealing::client_hello(&watched(size), [number as u8; 32]);
        frames.push(connection.send(From::Client, &hello));
    }
    Play {
        before,
        frames,
        events: u64::from(HELLOS),
        ..Play::default()
    }
}

/// A long upload in records of 16,000 bytes, whose key is known.
fn record(size: &Size) -> Play {
    const RECORDS: usize = 200;
    let random = [9; 32];
    let mut connection = Connection::new(1, 443);
    let mut before = connection.open();
    let hello = sealing::client_hello(&watched(size), random);
    before.push(connection.send(From::Client, &hello));
    let mut sealer = Sealer::new(Suite::aes_128_gcm(), &SECRET);
    let head = format!(
        "POST / HTTP/1.1\r\nHost: {}\r\nContent-Length: 99999999999\r\n\r\n",
        watched(size)
    );
    before.push(connection.send(From::Client, &sealer.seal(head.as_bytes())));
    let records: Vec<u8> = (0..RECORDS)
        .flat_map(|_| sealer.seal(&[b'x'; 16_000]))
        .collect();
    let frames = records
        .chunks(MSS)
        .map(|part| connection.segment(From::Client, Kind::Plain, part))
        .collect();
    Play {
        before,
        frames,
        secrets: vec![sealing::entry(random, &SECRET)],
        ..Play::default()
    }
}
