//! What HTTPS costs: hellos, records with and without their keys, key logs that wait.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "figures, for the project's own eyes"
)]

use std::hint::black_box;
use std::sync::Arc;

use canarytap::engine::Engine;
use canarytap::engine::app::tls::keylog::KeyLogEntry;
use canarytap::engine::canary::{Home, HostPattern, Matcher, PortSet, Watch};
use canarytap::engine::event::{Detail, Event, EventId, EventSink};
use canarytap::engine::frame::{Frame, LinkType, Timestamp};
use canarytap::engine::limits::Limits;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use sealing::{Sealer, Suite, client_hello, entry};

mod sealing;

const SECRET: [u8; 32] = [7; 32];
const RANDOM: [u8; 32] = [9; 32];
/// Enough for a steady figure: costs do not depend on how much it is.
const RECORDS_BYTES: usize = 64 << 20;
const HELLOS: u32 = 10_000;
const LINES: u32 = 100_000;

criterion_group!(benches, records, hellos, key_log);
criterion_main!(benches);

fn records(criterion: &mut Criterion) {
    let frames = upload();
    let bytes: usize = frames.iter().map(Vec::len).sum();
    let mut group = criterion.benchmark_group("TLS 1.3 records of a client, AES-128-GCM");
    group.throughput(Throughput::Bytes(bytes as u64));
    group.sample_size(10);
    for (name, keys) in [("with keys", true), ("without keys", false)] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let mut engine = engine();
                if keys {
                    engine.on_secret(&entry(RANDOM, &SECRET), &mut Deaf);
                }
                play(&mut engine, &frames);
                assert_eq!(engine.counters().requests, u64::from(keys));
            });
        });
    }
    group.finish();
}

fn hellos(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("hellos");
    group.throughput(Throughput::Elements(u64::from(HELLOS)));
    group.sample_size(10);
    for (name, host) in [
        ("watched", "www.example.org"),
        ("not watched", "other.example.org"),
    ] {
        let hello = client_hello(host, RANDOM);
        let frames: Vec<_> = (0..HELLOS)
            .flat_map(|number| [segment(number, 0, 2, &[]), segment(number, 1, 0x18, &hello)])
            .collect();
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let mut engine = engine();
                play(&mut engine, &frames);
                assert_eq!(engine.counters().tls_hellos, u64::from(HELLOS));
            });
        });
    }
    group.finish();
}

fn key_log(criterion: &mut Criterion) {
    let lines: Vec<String> = (0..LINES)
        .map(|number| {
            let secret = "0f".repeat(32);
            format!("CLIENT_TRAFFIC_SECRET_0 {number:064x} {secret}\n")
        })
        .collect();
    let mut group = criterion.benchmark_group("lines of a key log");
    group.throughput(Throughput::Elements(u64::from(LINES)));
    group.sample_size(10);
    group.bench_function("read, and left waiting", |bencher| {
        bencher.iter(|| {
            let mut engine = engine();
            for line in &lines {
                let entry = KeyLogEntry::parse(line.as_bytes()).unwrap();
                engine.on_secret(&entry, &mut Deaf);
            }
            assert_eq!(engine.counters().secrets_dropped, 0);
            black_box(engine.heap_bytes())
        });
    });
    group.finish();
}

struct Deaf;

impl EventSink for Deaf {
    fn on_event(&mut self, event: Event) {
        black_box(event);
    }
    fn on_detail(&mut self, _: Detail) {}
    fn on_settled(&mut self, _: EventId) {}
}

fn engine() -> Engine {
    let watch = Watch {
        all_hosts: false,
        hosts: vec![HostPattern::parse("www.example.org").unwrap()],
        ports: PortSet::All,
        canaries: Vec::new(),
        home: Home::private(),
    };
    Engine::new(Limits::default(), Arc::new(Matcher::new(watch)))
}

fn play(engine: &mut Engine, frames: &[Vec<u8>]) {
    for (number, bytes) in (0..).zip(frames) {
        let frame = Frame {
            time: Timestamp::from_nanos(number * 1000),
            link: LinkType::RawIp,
            wire_len: u32::try_from(bytes.len()).unwrap(),
            bytes,
        };
        engine.on_frame(&frame, &mut Deaf);
    }
    engine.finish(&mut Deaf);
}

/// One connection: a hello, then a POST with a long body in records of 16 KiB.
fn upload() -> Vec<Vec<u8>> {
    let mut stream = client_hello("www.example.org", RANDOM);
    let head = format!(
        "POST / HTTP/1.1\r\nHost: www.example.org\r\nContent-Length: {RECORDS_BYTES}\r\n\r\n"
    );
    let mut sealer = Sealer::new(Suite::aes_128_gcm(), &SECRET);
    let body = vec![b'x'; 16_000];
    let contents = std::iter::once(head.as_bytes()).chain(std::iter::repeat(&body[..]));
    for content in contents.take(RECORDS_BYTES / body.len()) {
        stream.extend(sealer.seal(content));
    }
    let mut frames = vec![segment(0, 0, 2, &[])];
    let mut sequence = 1;
    for part in stream.chunks(1400) {
        frames.push(segment(0, sequence, 0x18, part));
        sequence = sequence.wrapping_add(u32::try_from(part.len()).unwrap());
    }
    frames
}

/// A packet of one of many visitors to one server.
fn segment(visitor: u32, sequence: u32, flags: u8, bytes: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x45, 0];
    packet.extend(u16::try_from(40 + bytes.len()).unwrap().to_be_bytes());
    packet.extend([0, 0, 0x40, 0, 64, 6, 0, 0]);
    packet.extend((0xcb00_0000 + visitor).to_be_bytes());
    packet.extend([192, 168, 1, 10, 0x9c, 0x41, 1, 0xbb]);
    packet.extend(sequence.to_be_bytes());
    packet.extend([0; 4]);
    packet.extend([0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    packet.extend(bytes);
    packet
}
