//! What the core's rooms cost, one by one: frames decoded, segments put in order, heads read.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "figures, for the project's own eyes"
)]

use std::hint::black_box;
use std::net::SocketAddr;

use canarytap::engine::app::{Observer, RequestHead, Session};
use canarytap::engine::counters::Counters;
use canarytap::engine::event::{EventId, Flags, Scheme};
use canarytap::engine::frame::{Frame, LinkType, Timestamp};
use canarytap::engine::limits::Limits;
use canarytap::engine::link::Scope;
use canarytap::engine::net::{Decoder, IpPacket, Plain};
use canarytap::engine::transport::{
    Chunk, Direction, FlowState, FlowTable, Interest, Segment, StreamContext, StreamHandler,
};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use etherparse::PacketBuilder;

criterion_group!(benches, decode, assembler, heads);
criterion_main!(benches);

/// As long as segments mostly are.
const MSS: usize = 1448;

// ── decode ──

fn decode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode");
    group.throughput(Throughput::Elements(1));
    let plain = [ether([0x08, 0x00]), ip4()].concat();
    let tagged = [ether([0x81, 0x00]), vec![0, 10, 8, 0], ip4()].concat();
    let gre = [ether([0x08, 0x00]), outer(47), vec![0, 0, 8, 0], ip4()].concat();
    for (name, bytes) in [("plain", &plain), ("one VLAN tag", &tagged), ("GRE", &gre)] {
        group.bench_function(name, |bencher| {
            let (mut decoder, mut counters) = (Decoder::default(), Counters::default());
            let frame = Frame {
                time: Timestamp::from_nanos(1),
                link: LinkType::Ethernet,
                bytes,
                wire_len: u32::try_from(bytes.len()).unwrap(),
            };
            bencher.iter(|| {
                let mut bytes = 0;
                match Plain::of(black_box(&frame)) {
                    Some(plain) => {
                        assert!(decoder.admits(&plain, &mut counters));
                        bytes += plain.segment().len();
                    }
                    None => decoder.on_frame(&frame, &mut counters, &mut |packet, _| {
                        bytes += packet.payload.len();
                    }),
                }
                assert!(bytes >= MSS);
                bytes
            });
        });
    }
    group.finish();
}

fn ether(kind: [u8; 2]) -> Vec<u8> {
    [&[2; 6], &[4; 6], kind.as_slice()].concat()
}

/// An IPv4 packet with a segment.
fn ip4() -> Vec<u8> {
    packet(1, false, &[b'x'; MSS])
}

fn packet(seq: u32, syn: bool, payload: &[u8]) -> Vec<u8> {
    let mut tcp =
        PacketBuilder::ipv4([203, 0, 113, 9], [192, 168, 1, 10], 60).tcp(50_000, 80, seq, 1000);
    tcp = match syn {
        true => tcp.syn(),
        false => tcp.ack(1),
    };
    let mut bytes = Vec::new();
    tcp.write(&mut bytes, payload).unwrap();
    bytes
}

/// The header of a packet that carries [`ip4`] behind four bytes.
fn outer(protocol: u8) -> Vec<u8> {
    let length = u16::try_from(4 + ip4().len()).unwrap();
    let header = etherparse::Ipv4Header::new(length, 60, protocol.into(), [10; 4], [11; 4]);
    let mut bytes = Vec::new();
    header.unwrap().write(&mut bytes).unwrap();
    bytes
}

// ── assembler ──

/// Hears bytes and keeps none.
#[derive(Default)]
struct Heard(u64);

struct Nothing;

impl FlowState for Nothing {
    fn interest(&self) -> Interest {
        Interest::Idle
    }
    fn heap_bytes(&self) -> usize {
        0
    }
}

impl StreamHandler<Nothing> for Heard {
    fn on_open(&mut self) -> Nothing {
        Nothing
    }
    fn on_chunk(&mut self, _: &StreamContext, chunk: Chunk<'_>, _: &mut Nothing, _: &mut Counters) {
        if let Chunk::Data(bytes) = chunk {
            self.0 += bytes.len() as u64;
        }
    }
    fn on_close(&mut self, _: Timestamp, _: Nothing, _: &mut Counters) {}
}

/// A thousand segments of one direction, in several orders.
fn assembler(criterion: &mut Criterion) {
    const SEGMENTS: u32 = 1000;
    let mut group = criterion.benchmark_group("assembler");
    group.throughput(Throughput::Elements(u64::from(SEGMENTS)));
    let in_order: Vec<u32> = (0..SEGMENTS).collect();
    let open = packet(0, true, &[]);
    let packets: Vec<Vec<u8>> = in_order
        .iter()
        .map(|number| packet(1 + number * MSS as u32, false, &[b'x'; MSS]))
        .collect();
    let swapped: Vec<u32> = (0..SEGMENTS).map(|number| number ^ 1).collect();
    let twice: Vec<u32> = (0..2 * SEGMENTS).map(|number| number / 2).collect();
    for (name, order) in [
        ("in order", in_order),
        ("neighbours swapped", swapped),
        ("each one twice", twice),
    ] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let mut flows = FlowTable::new(Limits::default());
                let (mut counters, mut heard) = (Counters::default(), Heard::default());
                let ordered = order.iter().map(|number| &packets[*number as usize]);
                for packet in std::iter::once(&open).chain(ordered) {
                    let now = Timestamp::from_nanos(1);
                    flows.on_segment(&segment(packet), now, &mut counters, &mut heard);
                }
                assert_eq!(heard.0, u64::from(SEGMENTS) * MSS as u64);
            });
        });
    }
    group.finish();
}

fn segment(packet: &[u8]) -> Segment<'_> {
    let (src, dst) = ends(Direction::ToServer);
    let packet = IpPacket {
        scope: Scope::default(),
        src: src.ip(),
        dst: dst.ip(),
        protocol: 6,
        payload: &packet[20..],
        hops: 60,
        missing: 0,
    };
    Segment::parse(&packet).unwrap()
}

// ── heads ──

/// Asks for everything and waits for nothing.
#[derive(Default)]
struct Reader {
    heads: u64,
    counters: Counters,
}

impl Observer for Reader {
    fn is_watched(&self, authority: &[u8]) -> bool {
        authority.starts_with(b"www")
    }
    fn on_request(&mut self, _: &StreamContext, head: &RequestHead<'_>) -> Option<EventId> {
        self.heads += 1;
        black_box(head);
        None
    }
    fn on_status(&mut self, _: Timestamp, _: EventId, _: u16) {}
    fn on_unanswered(&mut self, _: EventId) {}
    fn counters(&mut self) -> &mut Counters {
        &mut self.counters
    }
}

fn heads(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("head and answer");
    group.throughput(Throughput::Elements(1));
    for (name, host, size) in [
        ("watched", "www.example.org", usize::MAX),
        ("not watched", "other.example.org", usize::MAX),
        ("watched, in pieces of 50 bytes", "www.example.org", 50),
    ] {
        let head = request(host);
        group.bench_function(name, |bencher| {
            let (mut session, mut reader) = (Session::new(), Reader::default());
            let (asks, answers) = (context(Direction::ToServer), context(Direction::ToClient));
            bencher.iter(|| {
                for piece in head.chunks(size) {
                    session.on_chunk(&asks, Chunk::Data(piece), &mut reader);
                }
                session.on_chunk(&answers, Chunk::Data(ANSWER), &mut reader);
            });
            let counters = &reader.counters;
            assert_eq!(counters.requests, counters.responses);
            assert_eq!(reader.heads > 0, host.starts_with("www"));
        });
    }
    group.finish();
}

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nServer: nginx\r\nContent-Length: 2\r\n\r\nok";

/// What a browser sends.
fn request(host: &str) -> Vec<u8> {
    format!(
        "GET /page/17/index.html?q=4711 HTTP/1.1\r\nHost: {host}\r\n\
         User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n\
         Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n\
         Accept-Language: en-US,en;q=0.5\r\nAccept-Encoding: gzip, deflate\r\n\
         Referer: http://{host}/page/16\r\nConnection: keep-alive\r\n\r\n"
    )
    .into_bytes()
}

fn ends(direction: Direction) -> (SocketAddr, SocketAddr) {
    let client = ([203, 0, 113, 9], 50_000).into();
    let server = ([192, 168, 1, 10], 80).into();
    match direction {
        Direction::ToServer => (client, server),
        Direction::ToClient => (server, client),
    }
}

fn context(direction: Direction) -> StreamContext {
    let (src, dst) = ends(direction);
    StreamContext {
        time: Timestamp::default(),
        scope: Scope::default(),
        offset: 0,
        acked: None,
        src,
        dst,
        direction,
        flags: Flags::NONE,
        scheme: Scheme::Http,
    }
}
