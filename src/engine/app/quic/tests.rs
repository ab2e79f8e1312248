//! Connections by situation: which datagrams come, and what is told of them.

use std::net::SocketAddr;

use proptest::prelude::*;

use super::*;
use crate::app::quic::packet::ConnectionId;
use crate::app::quic::seal::Sealer;
use crate::app::quic::varint;
use crate::app::quic::vectors::{self, bytes};
use crate::app::quic::version::{LongKind, Version};
use crate::app::tls::facts::TlsFacts;
use crate::app::tls::keylog::{KeyLabel, KeyLogEntry, Secret};
use crate::app::tls::secrets::{Secrets, Waiter};
use crate::app::{Observer, RequestHead};
use crate::counters::Counters;
use crate::event::EventId;
use crate::frame::Timestamp;
use crate::limits::{Limits, QUIC_IDLE, QUIC_MEMORY_DIVISOR};
use crate::link::Scope;
use crate::transport::{Datagram, StreamContext};

const CLIENT: &str = "203.0.113.9:50000";
const SERVER: &str = "192.168.1.10:443";
const SUITE: u16 = 0x1301;

/// What was told, one line each.
#[derive(Default)]
struct Notes {
    lines: Vec<String>,
    secrets: Secrets,
    counters: Counters,
    unwatched: bool,
    last: u64,
}

impl Notes {
    fn next(&mut self, line: String) -> Option<EventId> {
        self.lines.push(line.trim_end().to_owned());
        self.last += 1;
        Some(EventId(self.last))
    }
}

impl Observer for Notes {
    fn is_watched(&self, _: &[u8]) -> bool {
        !self.unwatched
    }

    fn on_request(&mut self, context: &StreamContext, head: &RequestHead<'_>) -> Option<EventId> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let flags: Vec<&str> = context.flags.with(head.flags).names().collect();
        let words = [
            text(head.method),
            text(head.target),
            context.src.to_string(),
        ];
        self.next(format!("{} {}", words.join(" "), flags.join(" ")))
    }

    fn on_hello(&mut self, context: &StreamContext, facts: &TlsFacts) -> Option<EventId> {
        let name = facts.sni.clone().unwrap_or_default();
        let flags: Vec<&str> = context.flags.names().collect();
        let words = [&name, &facts.ja4[..10], &flags.join(" ")];
        self.next(format!("hello {}", words.join(" ")))
    }

    fn on_status(&mut self, _: Timestamp, request: EventId, status: u16) {
        self.lines.push(format!("{}: {status}", request.0));
    }

    fn on_unanswered(&mut self, _: EventId) {}

    fn secrets(&mut self) -> Option<&mut Secrets> {
        Some(&mut self.secrets)
    }

    fn counters(&mut self) -> &mut Counters {
        &mut self.counters
    }
}

struct Tap {
    connections: Connections,
    notes: Notes,
    now: Timestamp,
}

impl Tap {
    fn new() -> Self {
        Self::within(Limits::default())
    }

    fn within(limits: Limits) -> Self {
        Self {
            connections: Connections::new(limits),
            notes: Notes::default(),
            now: Timestamp::from_secs_nanos(1_000, 0),
        }
    }

    fn pass(&mut self, src: &str, dst: &str, payload: &[u8]) {
        let datagram = Datagram {
            scope: Scope::default(),
            src: src.parse::<SocketAddr>().unwrap(),
            dst: dst.parse().unwrap(),
            payload,
        };
        self.connections
            .on_datagram(&datagram, self.now, &mut self.notes);
    }

    fn up(&mut self, payload: &[u8]) {
        self.pass(CLIENT, SERVER, payload);
    }

    fn down(&mut self, payload: &[u8]) {
        self.pass(SERVER, CLIENT, payload);
    }

    fn key(&mut self, label: KeyLabel, byte: u8) {
        let entry = KeyLogEntry {
            client_random: random(),
            label,
            secret: secret(byte),
        };
        let (waiters, _) = self.notes.secrets.add(&entry, self.now);
        for waiter in waiters {
            let Waiter::Quic(number) = waiter else {
                panic!("{waiter:?}");
            };
            self.connections.wake(number, self.now, &mut self.notes);
        }
    }

    fn wait(&mut self, seconds: u64) {
        self.now = self.now.plus(std::time::Duration::from_secs(seconds));
        self.connections.on_tick(self.now, &mut self.notes);
        while let Some(Waiter::Quic(number)) = self.notes.secrets.take_due(self.now) {
            self.connections.wake(number, self.now, &mut self.notes);
        }
    }

    fn end(mut self) -> Notes {
        self.connections.finish(self.now, &mut self.notes);
        assert_eq!(
            (self.connections.len(), self.connections.heap_bytes()),
            (0, 0)
        );
        self.notes
    }
}

fn hello() -> Vec<u8> {
    bytes(vectors::CLIENT_FRAMES)[4..].to_vec()
}

fn random() -> [u8; 32] {
    hello()[6..38].try_into().unwrap()
}

fn secret(byte: u8) -> Secret {
    Secret::new(&[byte; 32]).unwrap()
}

fn id(name: &[u8]) -> ConnectionId {
    ConnectionId::new(name).unwrap()
}

fn crypto(offset: usize, data: &[u8]) -> Vec<u8> {
    let head = [
        varint::write(offset as u64),
        varint::write(data.len() as u64),
    ];
    [&[6][..], &head[0], &head[1], data].concat()
}

fn stream(id: u64, data: &[u8]) -> Vec<u8> {
    [&[0x09][..], &varint::write(id), data].concat()
}

/// GET with indexed fields and literals of QPACK's static table (RFC 9204 §A).
fn get(path: &str) -> Vec<u8> {
    let literal = |first: u8, value: &str| {
        [
            &[first, u8::try_from(value.len()).unwrap()][..],
            value.as_bytes(),
        ]
        .concat()
    };
    let section = [
        vec![0, 0, 0xd1, 0xd7],
        literal(0x50, "example.com"),
        literal(0x51, path),
    ]
    .concat();
    [&[1, u8::try_from(section.len()).unwrap()][..], &section].concat()
}

/// A client's first packet, with all of its hello.
fn first(name: &[u8], own: &[u8]) -> Vec<u8> {
    let [mut client, _] = Sealer::initial(Version::V1, &id(name));
    client.long(LongKind::Initial, [name, own], &crypto(0, &hello()))
}

#[test]
fn the_published_packet_of_a_client_is_a_hello() {
    for set in [&vectors::V1, &vectors::V2] {
        let mut tap = Tap::new();
        tap.up(&bytes(set.client_initial));
        tap.down(&bytes(set.server_initial));
        let notes = tap.end();
        assert_eq!(notes.lines, ["hello example.com q13d0211an"]);
        assert_eq!(notes.counters.quic_connections, 1);
    }
}

#[test]
fn a_hello_may_come_in_any_order() {
    let hello = hello();
    let pieces = [(0, 60), (60, 150), (150, hello.len())];
    for order in [
        [0, 1, 2],
        [0, 2, 1],
        [1, 0, 2],
        [1, 2, 0],
        [2, 0, 1],
        [2, 1, 0],
    ] {
        let [mut client, _] = Sealer::initial(Version::V2, &id(&[7; 8]));
        let packets = pieces.map(|(from, to)| {
            let frames = crypto(from, &hello[from..to]);
            client.long(LongKind::Initial, [&[7; 8], &[1; 4]], &frames)
        });
        let mut tap = Tap::new();
        for place in order {
            assert!(tap.notes.lines.is_empty());
            tap.up(&packets[place]);
        }
        assert_eq!(tap.notes.lines.len(), 1, "{order:?}");
    }
}

#[test]
fn after_a_retry_the_hello_is_still_the_same() {
    for own in [&[1; 4][..], &[]] {
        let mut tap = Tap::new();
        tap.up(&first(&[7; 8], own));
        tap.up(&first(&[8; 8], own)); // the Retry itself was missed
        tap.up(&first(&[8; 8], own));
        let notes = tap.end();
        assert_eq!(notes.lines, ["hello example.com q13d0211an"], "{own:?}");
    }
}

#[test]
fn a_retry_between_the_pieces_of_a_hello() {
    let hello = hello();
    for own in [&[1; 4][..], &[]] {
        let mut tap = Tap::new();
        let [mut client, _] = Sealer::initial(Version::V1, &id(&[7; 8]));
        tap.up(&client.long(LongKind::Initial, [&[7; 8], own], &crypto(0, &hello[..99])));
        let [mut client, _] = Sealer::initial(Version::V1, &id(&[8; 8]));
        for (from, to) in [(99, hello.len()), (0, 99)] {
            let frames = crypto(from, &hello[from..to]);
            tap.up(&client.long(LongKind::Initial, [&[8; 8], own], &frames));
        }
        assert_eq!(tap.end().lines.len(), 1, "{own:?}");
    }
}

#[test]
fn what_is_said_under_keys_is_read_whenever_they_come() {
    for late in [false, true] {
        let mut tap = Tap::new();
        tap.notes.secrets.follow();
        if !late {
            tap.key(KeyLabel::ClientTraffic, 1);
            tap.key(KeyLabel::ServerTraffic, 2);
        }
        tap.up(&first(&[7; 8], &[1; 4]));
        let mut client = Sealer::new(Version::V1, SUITE, &secret(1));
        tap.up(&client.short(&[9; 5], &stream(0, &get("/x"))));
        let mut server = Sealer::new(Version::V1, SUITE, &secret(2));
        tap.down(&server.short(&[1; 4], &stream(0, &[1, 3, 0, 0, 0xd9])));
        assert_eq!(tap.notes.lines.is_empty(), late);
        if late {
            tap.key(KeyLabel::ServerTraffic, 2);
            tap.key(KeyLabel::ClientTraffic, 1);
        }
        let request = "GET /x 203.0.113.9:50000";
        let flags = if late { " late_key" } else { "" };
        let notes = tap.end();
        assert_eq!(notes.lines, [format!("{request}{flags}"), "1: 200".into()]);
    }
}

#[test]
fn without_keys_the_hello_is_told_when_they_can_no_longer_come() {
    let mut tap = Tap::new();
    tap.notes.secrets.follow();
    tap.up(&first(&[7; 8], &[1; 4]));
    let mut client = Sealer::new(Version::V1, SUITE, &secret(1));
    tap.up(&client.short(&[9; 5], &stream(0, &get("/x"))));
    tap.wait(59);
    assert!(tap.notes.lines.is_empty());
    tap.wait(2);
    assert_eq!(tap.notes.lines.len(), 1);
    assert_eq!(tap.notes.counters.quic_packets_dropped, 1);
    tap.key(KeyLabel::ClientTraffic, 1);
    assert_eq!(tap.end().lines.len(), 1);
}

#[test]
fn data_with_a_hello_whose_key_no_log_has_is_a_hello_beside_what_was_read() {
    let unread = "hello example.com q13d0211an early_unread";
    for ends in [false, true] {
        let mut tap = Tap::new();
        tap.notes.secrets.follow();
        tap.key(KeyLabel::ClientTraffic, 1);
        tap.up(&first(&[7; 8], &[1; 4]));
        let mut early = Sealer::new(Version::V1, SUITE, &secret(3));
        let sealed = early.long(
            LongKind::ZeroRtt,
            [&[7; 8], &[1; 4]],
            &stream(0, &get("/0")),
        );
        tap.up(&sealed);
        let mut client = Sealer::new(Version::V1, SUITE, &secret(1));
        tap.up(&client.short(&[9; 5], &stream(4, &get("/1"))));
        assert_eq!(tap.notes.lines, ["GET /1 203.0.113.9:50000"]);
        if !ends {
            tap.wait(61);
            assert_eq!(tap.notes.lines[1..], [unread]);
        }
        assert_eq!(tap.end().lines[1..], [unread], "{ends}");
    }
}

#[test]
fn a_client_that_moves_is_known_by_the_names_of_its_server() {
    let mut tap = Tap::new();
    tap.notes.secrets.follow();
    tap.key(KeyLabel::ClientTraffic, 1);
    tap.key(KeyLabel::ServerTraffic, 2);
    tap.up(&first(&[7; 8], &[1; 4]));
    let [_, mut server] = Sealer::initial(Version::V1, &id(&[7; 8]));
    let answer = server.long(LongKind::Initial, [&[1; 4], &[9; 5]], &[1]);
    tap.down(&answer);
    let mut server = Sealer::new(Version::V1, SUITE, &secret(2));
    let name = [&[0x18, 1, 0, 6][..], &[5; 6], &[0; 16]].concat();
    tap.down(&server.short(&[1; 4], &name));
    let mut client = Sealer::new(Version::V1, SUITE, &secret(1));
    tap.pass(
        "203.0.113.9:50001",
        SERVER,
        &client.short(&[9; 5], &stream(0, &get("/1"))),
    );
    tap.pass(
        "198.51.100.7:9",
        SERVER,
        &client.short(&[5; 6], &stream(4, &get("/2"))),
    );
    tap.pass(
        "198.51.100.8:9",
        SERVER,
        &client.short(&[6; 6], &stream(8, &get("/3"))),
    );
    let notes = tap.end();
    assert_eq!(
        notes.lines,
        ["GET /1 203.0.113.9:50001", "GET /2 198.51.100.7:9"]
    );
    assert_eq!(
        (notes.counters.quic_migrations, notes.counters.quic_unknown),
        (2, 1)
    );
}

#[test]
fn one_address_may_have_several_connections_at_once() {
    let mut tap = Tap::new();
    tap.up(&first(&[7; 8], &[1; 4]));
    let mut other = hello();
    other[6] ^= 1;
    let [mut client, _] = Sealer::initial(Version::V1, &id(&[8; 8]));
    tap.up(&client.long(LongKind::Initial, [&[8; 8], &[2; 4]], &crypto(0, &other)));
    let notes = tap.end();
    assert_eq!((notes.lines.len(), notes.counters.quic_connections), (2, 2));
}

/// The published hello, for another server: one letter of its name differs.
fn hello_for_another() -> Vec<u8> {
    let mut hello = hello();
    let place = hello.windows(7).position(|part| part == b"example");
    hello[place.unwrap()] = b'X';
    hello
}

#[test]
fn a_hello_cannot_be_hidden_behind_another_that_has_its_names_and_random_bytes() {
    for (name, followed) in [(7, false), (8, false), (7, true), (8, true)] {
        let mut tap = Tap::new();
        if followed {
            tap.notes.secrets.follow();
        }
        tap.up(&first(&[7; 8], &[1; 4]));
        let [_, mut server] = Sealer::initial(Version::V1, &id(&[7; 8]));
        if followed {
            // Its client closes the first one, so that its server forgets it.
            tap.down(&server.long(LongKind::Initial, [&[1; 4], &[9; 5]], &[0x1c, 0, 0, 0]));
        }
        let [mut client, _] = Sealer::initial(Version::V1, &id(&[name; 8]));
        let frames = crypto(0, &hello_for_another());
        tap.up(&client.long(LongKind::Initial, [&[name; 8], &[1; 4]], &frames));
        let mut lines = tap.end().lines;
        lines.sort();
        let expected = ["Xxample", "example"].map(|name| format!("hello {name}.com q13d0211an"));
        assert_eq!(lines, expected, "{name} {followed}");
    }
}

#[test]
fn packets_that_come_before_the_first_of_their_connection_are_not_lost() {
    let mut tap = Tap::new();
    tap.notes.secrets.follow();
    tap.key(KeyLabel::ClientEarly, 3);
    let mut early = Sealer::new(Version::V1, SUITE, &secret(3));
    let request = stream(0, &get("/early"));
    tap.up(&early.long(LongKind::ZeroRtt, [&[7; 8], &[1; 4]], &request));
    tap.up(&first(&[7; 8], &[1; 4]));
    let notes = tap.end();
    assert_eq!(notes.lines, ["GET /early 203.0.113.9:50000"]);
}

#[test]
fn of_hosts_that_are_not_watched_nothing_is_held() {
    let mut tap = Tap::new();
    tap.notes.unwatched = true;
    tap.notes.secrets.follow();
    tap.up(&first(&[7; 8], &[1; 4]));
    let bytes = tap.connections.heap_bytes();
    let mut client = Sealer::new(Version::V1, SUITE, &secret(1));
    for _ in 0..100 {
        tap.up(&client.short(&[9; 5], &[1; 1000]));
    }
    assert!(
        bytes < 1000 && tap.connections.heap_bytes() == bytes,
        "{bytes}"
    );
    tap.wait(QUIC_IDLE.as_secs() + 1);
    assert!(tap.connections.is_empty());
    assert!(tap.end().lines.is_empty());
}

#[test]
fn a_flood_of_hellos_stays_within_its_memory() {
    let limits = Limits {
        memory_bytes: 1 << 20,
    };
    let mut tap = Tap::within(limits);
    tap.notes.secrets.follow();
    let half = crypto(0, &hello()[..100]);
    for number in 0..2000_u32 {
        let name = [&[0; 4][..], &number.to_be_bytes()].concat();
        let [mut client, _] = Sealer::initial(Version::V1, &id(&name));
        let source = format!("198.51.100.1:{}", 1024 + number);
        let packet = client.long(LongKind::Initial, [&name, &name], &half);
        tap.pass(&source, SERVER, &packet);
        assert!(tap.connections.heap_bytes() <= limits.memory_bytes / QUIC_MEMORY_DIVISOR);
    }
    tap.up(&first(&[7; 8], &[1; 4]));
    let evicted = tap.notes.counters.quic_evicted;
    assert!(evicted > 1000, "{evicted}");
    assert_eq!(tap.end().lines, ["hello example.com q13d0211an"]);
}

#[test]
fn what_is_no_quic_leaves_nothing_behind() {
    let mut tap = Tap::new();
    for payload in [&b""[..], b"\0", b"GET / HTTP/1.1", &[0xff; 40], &[0x40; 40]] {
        tap.up(payload);
    }
    assert!(tap.connections.is_empty());
    assert_eq!(tap.notes.counters.quic_unknown, 5);
    let refused = bytes(vectors::V1.client_initial);
    let mut changed = refused.clone();
    changed[600] ^= 1;
    tap.up(&changed);
    assert_eq!(tap.notes.counters.quic_initials_refused, 1);
    assert!(tap.connections.is_empty());
}

proptest! {
    #[test]
    fn any_datagrams_are_borne(
        packets in prop::collection::vec((any::<bool>(), 0..4_usize, prop::collection::vec(any::<u8>(), 0..80)), 0..12),
    ) {
        let mut tap = Tap::new();
        tap.notes.secrets.follow();
        tap.key(KeyLabel::ClientTraffic, 1);
        tap.up(&first(&[7; 8], &[1; 4]));
        let [mut initial, mut other] = Sealer::initial(Version::V1, &id(&[7; 8]));
        let mut traffic = Sealer::new(Version::V1, SUITE, &secret(1));
        for (up, kind, frames) in packets {
            let packet = match kind {
                0 => frames,
                1 => traffic.short(&[9; 5], &frames),
                2 if up => initial.long(LongKind::Initial, [&[7; 8], &[1; 4]], &frames),
                2 => other.long(LongKind::Initial, [&[1; 4], &[9; 5]], &frames),
                _ => traffic.long(LongKind::Handshake, [&[9; 5], &[1; 4]], &frames),
            };
            match up {
                true => tap.up(&packet),
                false => tap.down(&packet),
            }
        }
        tap.wait(61);
        tap.end();
    }
}
