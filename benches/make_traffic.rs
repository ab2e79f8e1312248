//! Makes the captures that the benchmarks read: seeded, so that every run measures the same.
//!
//! `make-traffic KIND SCALE OUT.pcap` writes the capture, and beside it `OUT.expected`: one line
//! `METHOD host target` for each request in it, sorted. SCALE is in per cent of full size.
//!
//! - `mix`: 20,000 requests to 50 hosts: keep-alive, pipelined, cut, reordered, retransmitted,
//!   IPv4, IPv6, VLAN, with their answers; about a million packets, 1 GB.
//! - `small`: 10,000,000 frames of 60 bytes with 1,000 requests among them.
//! - `flows`: a million flows that open, send half a request and never close, with 1,000 whole
//!   requests, half of them begun before the flood and finished after it.
//! - `bulk`: 900 requests whose answers are a megabyte each: nine of ten frames are a server's data.
//! - `tls`: 1,000 connections of TLS 1.3, each a GET and an upload of 1 MB in records of 16 KB, by
//!   three suites in turn; 1 GB. `OUT.keys` is its key log.
//! - `hellos`: 100,000 connections that bring a hello of TLS 1.3 and nothing else.
//! - `keys`: one request, and in `OUT.keys` 100,000 lines of connections that never come.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "what is made here is as long as it is made"
)]

use std::collections::VecDeque;
use std::error::Error;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use etherparse::PacketBuilder;
use sealing::{Sealer, Suite};

mod sealing;

const START_SECONDS: u32 = 1_767_225_600; // 2026-01-01
const MSS: usize = 1448;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [kind, scale, path] = arguments.as_slice() else {
        return Err(
            "usage: make-traffic mix|small|flows|bulk|tls|hellos|keys PERCENT OUT.pcap".into(),
        );
    };
    let percent: u64 = scale.parse()?;
    let mut capture = Capture::create(path)?;
    match kind.as_str() {
        "mix" => mix(&mut capture, 200 * percent)?,
        "small" => small(&mut capture, 100_000 * percent, 10 * percent)?,
        "flows" => flows(&mut capture, 10_000 * percent, 10 * percent)?,
        "bulk" => bulk(&mut capture, 9 * percent)?,
        "tls" => tls(&mut capture, 10 * percent)?,
        "hellos" => hellos(&mut capture, 1_000 * percent)?,
        "keys" => keys(&mut capture, 1_000 * percent)?,
        other => return Err(format!("{other} is no kind of traffic").into()),
    }
    capture.finish(path)
}

/// splitmix64: enough for test data, the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.next() as u8)
    }
}

/// A capture file in the making, and what is to be found in it.
struct Capture {
    out: BufWriter<File>,
    microseconds: u64,
    expected: Vec<String>,
    /// Lines of a key log.
    keys: Vec<String>,
    random: Random,
}

impl Capture {
    fn create(path: &str) -> Result<Self, Box<dyn Error>> {
        let mut out = BufWriter::with_capacity(1 << 20, File::create(path)?);
        let header: [u32; 6] = [0xa1b2_c3d4, 0x0004_0002, 0, 0, 262_144, 1];
        for word in header {
            out.write_all(&word.to_le_bytes())?;
        }
        Ok(Self {
            out,
            microseconds: 0,
            expected: Vec::new(),
            keys: Vec::new(),
            random: Random(2013),
        })
    }

    fn frame(&mut self, bytes: &[u8]) -> Result<(), Box<dyn Error>> {
        self.microseconds += 7;
        let seconds = START_SECONDS + u32::try_from(self.microseconds / 1_000_000)?;
        let fraction = u32::try_from(self.microseconds % 1_000_000)?;
        let length = u32::try_from(bytes.len())?;
        for word in [seconds, fraction, length, length] {
            self.out.write_all(&word.to_le_bytes())?;
        }
        Ok(self.out.write_all(bytes)?)
    }

    /// All frames of a connection that are made and not yet written.
    fn frames_of(&mut self, connection: &mut Connection) -> Result<(), Box<dyn Error>> {
        while let Some(frame) = connection.frames.pop_front() {
            self.frame(&frame)?;
        }
        Ok(())
    }

    fn finish(mut self, path: &str) -> Result<(), Box<dyn Error>> {
        self.out.flush()?;
        self.expected.sort();
        let mut list = BufWriter::new(File::create(format!("{path}.expected"))?);
        for line in &self.expected {
            writeln!(list, "{line}")?;
        }
        list.flush()?;
        if !self.keys.is_empty() {
            std::fs::write(format!("{path}.keys"), self.keys.concat())?;
        }
        Ok(())
    }
}

/// One end of a connection.
#[derive(Clone, Copy)]
struct End {
    address: IpAddr,
    port: u16,
    sequence: u32,
}

/// A connection whose frames are made one after the other.
struct Connection {
    client: End,
    server: End,
    vlan: Option<u16>,
    /// Whether its request is HEAD, which is answered without body.
    asks_head: bool,
    frames: VecDeque<Vec<u8>>,
}

#[derive(Clone, Copy, PartialEq)]
enum From {
    Client,
    Server,
}

const SYN: u8 = 1;
const ACK: u8 = 2;
const FIN: u8 = 4;

impl Connection {
    fn new(random: &mut Random, number: u64) -> Self {
        let six = random.one_in(5);
        let client = End {
            address: client_address(number, six),
            port: u16::try_from(1024 + number % 60_000).unwrap_or(1024),
            sequence: random.next() as u32,
        };
        let server = End {
            address: server_address(six),
            port: 80,
            sequence: random.next() as u32,
        };
        Self {
            client,
            server,
            vlan: random.one_in(4).then_some(10),
            asks_head: false,
            frames: VecDeque::new(),
        }
    }

    fn ends(&self, from: From) -> (End, End) {
        match from {
            From::Client => (self.client, self.server),
            From::Server => (self.server, self.client),
        }
    }

    fn advance(&mut self, from: From, bytes: usize) {
        let end = match from {
            From::Client => &mut self.client,
            From::Server => &mut self.server,
        };
        end.sequence = end.sequence.wrapping_add(bytes as u32);
    }

    fn segment(&self, from: From, flags: u8, payload: &[u8]) -> Vec<u8> {
        let (source, target) = self.ends(from);
        build(source, target, self.vlan, flags, payload)
    }

    fn send(&mut self, from: From, flags: u8, payload: &[u8]) {
        let frame = self.segment(from, flags, payload);
        self.frames.push_back(frame);
        let extra = usize::from(flags & SYN != 0) + usize::from(flags & FIN != 0);
        self.advance(from, payload.len() + extra);
    }

    fn open(&mut self) {
        self.send(From::Client, SYN, b"");
        self.send(From::Server, SYN | ACK, b"");
        self.send(From::Client, ACK, b"");
    }

    fn close(&mut self) {
        self.send(From::Client, FIN | ACK, b"");
        self.send(From::Server, FIN | ACK, b"");
        self.send(From::Client, ACK, b"");
    }

    /// Bytes in segments of the usual size, acknowledged every second one.
    fn stream(&mut self, from: From, bytes: &[u8], size: usize) {
        self.stream_acknowledged(from, bytes, size, 2);
    }

    fn stream_acknowledged(&mut self, from: From, bytes: &[u8], size: usize, every: usize) {
        let other = if from == From::Client {
            From::Server
        } else {
            From::Client
        };
        for (number, piece) in bytes.chunks(size).enumerate() {
            self.send(from, ACK, piece);
            if number % every == every - 1 {
                self.send(other, ACK, b"");
            }
        }
    }

    /// Swaps neighbours and repeats frames after the handshake, as networks do.
    fn disturb(&mut self, random: &mut Random) {
        for at in 3..self.frames.len().saturating_sub(4) {
            if random.one_in(40) {
                self.frames.swap(at, at + 1);
            }
            if random.one_in(60) {
                if let Some(again) = self.frames.get(at).cloned() {
                    self.frames.insert(at + 1, again);
                }
            }
        }
    }
}

fn client_address(number: u64, six: bool) -> IpAddr {
    let low = (number / 60_000) as u16;
    if six {
        return Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, low, 9).into();
    }
    Ipv4Addr::new(203, 0, 113, 1 + (low % 250) as u8).into()
}

fn server_address(six: bool) -> IpAddr {
    if six {
        return Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x10).into();
    }
    Ipv4Addr::new(192, 168, 1, 10).into()
}

fn build(source: End, target: End, vlan: Option<u16>, flags: u8, payload: &[u8]) -> Vec<u8> {
    let link = PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]);
    let tcp = match (source.address, target.address, vlan) {
        (IpAddr::V4(from), IpAddr::V4(to), None) => link.ipv4(from.octets(), to.octets(), 60),
        (IpAddr::V4(from), IpAddr::V4(to), Some(id)) => link
            .single_vlan(etherparse::VlanId::try_new(id).unwrap_or_default())
            .ipv4(from.octets(), to.octets(), 60),
        (IpAddr::V6(from), IpAddr::V6(to), None) => link.ipv6(from.octets(), to.octets(), 60),
        (IpAddr::V6(from), IpAddr::V6(to), Some(id)) => link
            .single_vlan(etherparse::VlanId::try_new(id).unwrap_or_default())
            .ipv6(from.octets(), to.octets(), 60),
        _ => return Vec::new(), // both ends of a connection share one family
    };
    let mut tcp = tcp.tcp(source.port, target.port, source.sequence, 64_240);
    if flags & SYN != 0 {
        tcp = tcp.syn();
    }
    if flags & ACK != 0 {
        tcp = tcp.ack(target.sequence);
    }
    if flags & FIN != 0 {
        tcp = tcp.fin();
    }
    let mut frame = Vec::with_capacity(payload.len() + 78);
    let written = tcp.write(&mut frame, payload);
    debug_assert!(written.is_ok());
    frame.resize(frame.len().max(60), 0); // Ethernet pads
    frame
}

fn request(random: &mut Random, number: u64) -> (String, String) {
    let host = format!("host{}.example.org", random.below(50));
    let method = if random.one_in(4) { "HEAD" } else { "GET" };
    let target = format!("/page/{number}/index.html?q={}", random.below(1_000_000));
    let head = format!(
        "{method} {target} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\nAccept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\nAccept-Language: en-US,en;q=0.5\r\nAccept-Encoding: gzip, deflate\r\nReferer: http://{host}/page/{}\r\nConnection: keep-alive\r\n\r\n",
        number / 2
    );
    (head, format!("{method} {host} {target}"))
}

fn response(head: bool, length: usize) -> Vec<u8> {
    let mut bytes =
        format!("HTTP/1.1 200 OK\r\nServer: nginx\r\nContent-Type: text/html\r\nContent-Length: {length}\r\n\r\n")
            .into_bytes();
    if !head {
        bytes.resize(bytes.len() + length, b'x');
    }
    bytes
}

fn mix(capture: &mut Capture, requests: u64) -> Result<(), Box<dyn Error>> {
    let mut active: Vec<Connection> = Vec::new();
    let mut number = 0;
    while number < requests || !active.is_empty() {
        while number < requests && active.len() < 64 {
            let connection = exchange(capture, &mut number);
            active.push(connection);
        }
        let pick = usize::try_from(capture.random.below(active.len() as u64))?;
        for _ in 0..=capture.random.below(4) {
            match active.get_mut(pick).and_then(|one| one.frames.pop_front()) {
                Some(frame) => capture.frame(&frame)?,
                None => {
                    active.swap_remove(pick);
                    break;
                }
            }
        }
    }
    Ok(())
}

/// One connection with one to eight requests: keep-alive or pipelined, whole or cut small.
fn exchange(capture: &mut Capture, number: &mut u64) -> Connection {
    let random = &mut capture.random;
    let mut connection = Connection::new(random, *number);
    connection.open();
    let count = 1 + random.below(8);
    let pipelined = random.one_in(3);
    let size = if random.one_in(5) {
        1 + random.below(200) as usize
    } else {
        MSS
    };
    let mut answers = Vec::new();
    let mut asked = Vec::new();
    for _ in 0..count {
        let (head, line) = request(random, *number);
        let answer = response(head.starts_with("HEAD"), 1 + random.below(127_000) as usize);
        capture.expected.push(line);
        *number += 1;
        if pipelined {
            asked.extend(head.into_bytes());
            answers.extend(answer);
        } else {
            connection.stream(From::Client, head.as_bytes(), size);
            connection.stream(From::Server, &answer, MSS);
        }
    }
    connection.stream(From::Client, &asked, size);
    connection.stream(From::Server, &answers, MSS);
    connection.close();
    connection.disturb(random);
    connection
}

fn small(capture: &mut Capture, frames: u64, requests: u64) -> Result<(), Box<dyn Error>> {
    let every = frames / requests.max(1);
    let fillers = fillers(&mut capture.random);
    for number in 0..frames {
        let pick = usize::try_from(capture.random.below(fillers.len() as u64))?;
        if let Some(filler) = fillers.get(pick) {
            capture.frame(filler)?;
        }
        if number % every.max(1) == 0 && number / every.max(1) < requests {
            whole_request(capture, number / every.max(1))?;
        }
    }
    Ok(())
}

/// Frames of 60 bytes: bare acknowledgements on watched and other ports, of 4,096 connections.
fn fillers(random: &mut Random) -> Vec<Vec<u8>> {
    (0..4096)
        .map(|number| {
            let mut connection = Connection::new(random, 10_000_000 + number * 7);
            connection.client.address = client_address(0, false);
            connection.server.address = server_address(false);
            connection.vlan = None;
            connection.server.port = if number % 2 == 0 { 80 } else { 9000 };
            connection.segment(From::Client, ACK, b"")
        })
        .collect()
}

/// Answers so long that a receiver's offload acknowledges a dozen segments at once.
fn bulk(capture: &mut Capture, requests: u64) -> Result<(), Box<dyn Error>> {
    for number in 0..requests {
        let mut connection = Connection::new(&mut capture.random, number);
        let (head, line) = request(&mut capture.random, number);
        capture.expected.push(line);
        connection.open();
        connection.stream(From::Client, head.as_bytes(), MSS);
        let answer = response(head.starts_with("HEAD"), 1_000_000);
        connection.stream_acknowledged(From::Server, &answer, MSS, 12);
        connection.close();
        while let Some(frame) = connection.frames.pop_front() {
            capture.frame(&frame)?;
        }
    }
    Ok(())
}

fn whole_request(capture: &mut Capture, number: u64) -> Result<(), Box<dyn Error>> {
    let mut connection = Connection::new(&mut capture.random, number);
    let (head, line) = request(&mut capture.random, number);
    capture.expected.push(line);
    connection.open();
    connection.stream(From::Client, head.as_bytes(), MSS);
    connection.stream(From::Server, &response(head.starts_with("HEAD"), 200), MSS);
    connection.close();
    capture.frames_of(&mut connection)?;
    Ok(())
}

fn flows(capture: &mut Capture, flood: u64, requests: u64) -> Result<(), Box<dyn Error>> {
    let mut begun = Vec::new();
    for number in 0..requests / 2 {
        begun.push(half_request(capture, number)?);
    }
    let every = flood / (requests - requests / 2).max(1);
    for number in 0..flood {
        flood_flow(capture, number)?;
        if number % every.max(1) == 0 && number / every.max(1) < requests - requests / 2 {
            whole_request(capture, requests / 2 + number / every.max(1))?;
        }
    }
    for (mut connection, rest) in begun {
        connection.stream(From::Client, &rest, MSS);
        connection.stream(From::Server, &response(connection.asks_head, 200), MSS);
        connection.close();
        capture.frames_of(&mut connection)?;
    }
    Ok(())
}

/// A connection with a request of which the first half was sent, and the other half.
fn half_request(
    capture: &mut Capture,
    number: u64,
) -> Result<(Connection, Vec<u8>), Box<dyn Error>> {
    let mut connection = Connection::new(&mut capture.random, number);
    let (head, line) = request(&mut capture.random, number);
    capture.expected.push(line);
    connection.asks_head = head.starts_with("HEAD");
    connection.open();
    let (first, rest) = head.as_bytes().split_at(head.len() / 2);
    connection.stream(From::Client, first, MSS);
    capture.frames_of(&mut connection)?;
    Ok((connection, rest.to_vec()))
}

fn flood_flow(capture: &mut Capture, number: u64) -> Result<(), Box<dyn Error>> {
    let mut connection = Connection::new(&mut capture.random, 0);
    connection.client.address = Ipv4Addr::from(0xc612_0000 + (number / 50_000) as u32).into(); // 198.18.0.0/15
    connection.client.port = 10_000 + (number % 50_000) as u16;
    connection.server.address = server_address(false);
    connection.vlan = None;
    connection.open();
    connection.stream(
        From::Client,
        b"GET /flood HTTP/1.1\r\nHost: flood.example.net\r\nUser-Agent: flood\r\nX-Fill: ",
        MSS,
    );
    capture.frames_of(&mut connection)?;
    Ok(())
}

fn tls(capture: &mut Capture, connections: u64) -> Result<(), Box<dyn Error>> {
    let body = vec![b'x'; 16_000];
    for number in 0..connections {
        let suite = Suite::all()[(number % 3) as usize];
        let (random, secret) = (capture.random.bytes(), capture.random.bytes::<48>());
        let secret = &secret[..suite.secret_len];
        capture.keys.push(key_line(&random, secret));
        let mut connection = Connection::new(&mut capture.random, number);
        connection.server.port = 443;
        let host = format!("host{number}.example.org");
        connection.open();
        connection.stream(From::Client, &sealing::client_hello(&host, random), MSS);
        connection.stream(From::Server, &sealing::server_hello(suite), MSS);
        let target = format!("/tls/{number}");
        capture.expected.push(format!("GET {host} {target}"));
        let mut sealer = Sealer::new(suite, secret);
        let get = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        let post = format!(
            "POST /upload HTTP/1.1\r\nHost: {host}\r\nContent-Length: {}\r\n\r\n",
            60 * body.len()
        );
        let mut records = [get, post]
            .map(|head| sealer.seal(head.as_bytes()))
            .concat();
        for _ in 0..60 {
            records.extend(sealer.seal(&body));
        }
        connection.stream(From::Client, &records, MSS);
        connection.close();
        capture.frames_of(&mut connection)?;
    }
    Ok(())
}

fn hellos(capture: &mut Capture, count: u64) -> Result<(), Box<dyn Error>> {
    for number in 0..count {
        let mut connection = Connection::new(&mut capture.random, number);
        connection.server.port = 443;
        let host = format!("host{}.example.org", number % 1_000);
        connection.open();
        let hello = sealing::client_hello(&host, capture.random.bytes());
        connection.stream(From::Client, &hello, MSS);
        connection.close();
        capture.expected.push(format!("hello {host} "));
        capture.frames_of(&mut connection)?;
    }
    Ok(())
}

fn keys(capture: &mut Capture, lines: u64) -> Result<(), Box<dyn Error>> {
    for _ in 0..lines {
        let (random, secret) = (capture.random.bytes::<32>(), capture.random.bytes::<32>());
        capture.keys.push(key_line(&random, &secret));
    }
    whole_request(capture, 0)
}

/// A line of a key log (RFC 9850 §2).
fn key_line(random: &[u8], secret: &[u8]) -> String {
    let [random, secret] = [random, secret].map(|bytes| -> String {
        let digits = bytes.iter().map(|byte| format!("{byte:02x}"));
        digits.collect()
    });
    format!("CLIENT_TRAFFIC_SECRET_0 {random} {secret}\n")
}
