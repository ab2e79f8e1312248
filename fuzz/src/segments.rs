//! TCP reassembly against the stream in one piece.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use canarytap::engine::counters::Counters;
use canarytap::engine::frame::Timestamp;
use canarytap::engine::limits::Limits;
use canarytap::engine::link::Scope;
use canarytap::engine::net::IpPacket;
use canarytap::engine::transport::{
    Chunk, Direction, FlowState, FlowTable, Interest, Segment, StreamContext, StreamHandler,
};

use super::input::Input;

/// The first byte says whether what follows are cuttings of two streams, or any segments.
pub fn segments(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    match input.u8() % 2 {
        0 => any_cutting(&mut input),
        _ => any_segments(&mut input),
    }
}

/// Both sides send a stream, cut, doubled and mixed up as `input` says, and in the end all that
/// was left out: the handler is told both, whole and once.
fn any_cutting(input: &mut Input<'_>) {
    let mut sides = [
        Side::new(CLIENT, SERVER, input.u32(), input.u16()),
        Side::new(SERVER, CLIENT, input.u32(), input.u16()),
    ];
    let mut tap = Tap::new();
    let acks = [None, Some(sides[0].isn.wrapping_add(1))];
    for (side, ack) in sides.iter().zip(acks) {
        tap.feed(&side.segment(side.isn, ack, SYN, b""));
    }
    // A hole is skipped after 30 s, and after 500 ms when it is acknowledged: less passes here.
    for _ in 0..200 {
        if input.is_empty() {
            break;
        }
        let (choice, at, length) = (input.u8(), input.u16(), input.u8());
        tap.pass(Duration::from_millis(u64::from(choice >> 4)));
        let [one, other] = &mut sides;
        let (side, peer) = if choice & 1 == 0 {
            (one, other)
        } else {
            (other, one)
        };
        let ack = peer.isn.wrapping_add(1 + peer.contiguous());
        tap.feed(&side.piece(usize::from(at), usize::from(length), ack));
    }
    let acks = [sides[1].isn, sides[0].isn].map(|isn| isn.wrapping_add(1));
    for (side, ack) in sides.iter_mut().zip(acks) {
        for at in (0..=side.bytes.len()).step_by(200) {
            tap.feed(&side.piece(at, 200, ack));
        }
    }
    for (side, heard) in sides
        .iter()
        .zip([&tap.heard.to_server, &tap.heard.to_client])
    {
        assert_eq!(heard.bytes, side.bytes);
        // The end of a side that said nothing need not be told.
        assert!(heard.ends == 1 || (heard.ends == 0 && heard.bytes.is_empty()));
    }
    assert_eq!((tap.counters.gaps, tap.counters.overlap_bytes), (0, 0));
    tap.end();
}

/// Segments that keep no rule: the bound on memory holds, and each flow that was opened is closed.
fn any_segments(input: &mut Input<'_>) {
    let mut tap = Tap::new();
    while !input.is_empty() {
        let (choice, flags, step) = (input.u8(), input.u8(), input.u8());
        let side = match choice & 1 {
            0 => Side::new(CLIENT, SERVER, 0, 0),
            _ => Side::new(SERVER, CLIENT, 0, 0),
        };
        // Small numbers are near each other, as those of a connection are.
        let near = choice & 2 == 0;
        let mut number = || {
            if near {
                u32::from(input.u16())
            } else {
                input.u32()
            }
        };
        let (seq, ack) = (number(), number());
        let length = usize::from(input.u16() % 1500);
        let payload = &PAYLOAD[..length];
        tap.pass(Duration::from_millis(
            u64::from(step) * u64::from(choice >> 2),
        ));
        tap.feed(&side.segment(seq, Some(ack), flags, payload));
        assert!(tap.table.heap_bytes() <= MEMORY);
    }
    tap.end();
}

/// One side of a connection: its ends, its first number and all that it says.
struct Side {
    from: (Ipv4Addr, u16),
    to: (Ipv4Addr, u16),
    isn: u32,
    bytes: Vec<u8>,
    sent: Vec<bool>,
}

impl Side {
    fn new(from: (Ipv4Addr, u16), to: (Ipv4Addr, u16), isn: u32, length: u16) -> Self {
        let length = usize::from(length % 2000);
        let byte = |at: usize| (at * 7 % 251) as u8;
        Self {
            from,
            to,
            isn,
            bytes: (0..length).map(byte).collect(),
            sent: vec![false; length],
        }
    }

    /// How many bytes from the first on were sent.
    fn contiguous(&self) -> u32 {
        self.sent.iter().take_while(|sent| **sent).count() as u32
    }

    /// A piece of the stream; with its end comes the FIN.
    fn piece(&mut self, at: usize, length: usize, ack: u32) -> Vec<u8> {
        let start = at % (self.bytes.len() + 1);
        let end = (start + length).min(self.bytes.len());
        self.sent[start..end].fill(true);
        let flags = if end == self.bytes.len() { FIN } else { 0 };
        let seq = self.isn.wrapping_add(1 + start as u32);
        self.segment(seq, Some(ack), flags, &self.bytes[start..end])
    }

    /// A segment with a right checksum, behind its addresses.
    fn segment(&self, seq: u32, ack: Option<u32>, flags: u8, payload: &[u8]) -> Vec<u8> {
        let flags = flags & !ACK | if ack.is_some() { ACK } else { 0 };
        let mut bytes = [self.from.0.octets(), self.to.0.octets()].concat();
        bytes.extend(self.from.1.to_be_bytes());
        bytes.extend(self.to.1.to_be_bytes());
        bytes.extend(seq.to_be_bytes());
        bytes.extend(ack.unwrap_or(0).to_be_bytes());
        bytes.extend([5 << 4, flags, 0x10, 0, 0, 0, 0, 0]);
        bytes.extend(payload);
        let sum = checksum(&bytes).to_be_bytes();
        bytes[ADDRESSES + 16..][..2].copy_from_slice(&sum);
        bytes
    }
}

/// A table, and what it told.
struct Tap {
    table: FlowTable<Nothing>,
    heard: Heard,
    counters: Counters,
    now: Timestamp,
}

impl Tap {
    fn new() -> Self {
        Self {
            table: FlowTable::new(Limits {
                memory_bytes: MEMORY,
            }),
            heard: Heard::default(),
            counters: Counters::default(),
            now: Timestamp::from_secs_nanos(1_367_342_912, 0),
        }
    }

    fn feed(&mut self, bytes: &[u8]) {
        let (addresses, payload) = bytes.split_at(ADDRESSES);
        let address = |at: usize| {
            let octets: [u8; 4] = addresses[at..at + 4].try_into().expect("four bytes");
            IpAddr::from(octets)
        };
        let packet = IpPacket {
            scope: Scope::default(),
            src: address(0),
            dst: address(4),
            protocol: 6,
            payload,
            hops: 64,
            missing: 0,
        };
        let segment = Segment::parse(&packet).expect("a whole header");
        self.table
            .on_segment(&segment, self.now, &mut self.counters, &mut self.heard);
    }

    fn pass(&mut self, duration: Duration) {
        self.now = self.now.plus(duration);
        self.table
            .on_tick(self.now, &mut self.counters, &mut self.heard);
    }

    fn end(mut self) {
        self.table
            .finish(self.now, &mut self.counters, &mut self.heard);
        assert!(self.table.is_empty());
        assert_eq!(self.heard.opened, self.heard.closed);
    }
}

/// What was told of both directions.
#[derive(Default)]
struct Heard {
    to_server: Stream,
    to_client: Stream,
    opened: u32,
    closed: u32,
}

#[derive(Default)]
struct Stream {
    bytes: Vec<u8>,
    ends: u32,
}

/// Nothing is kept for a flow.
struct Nothing;

impl FlowState for Nothing {
    fn interest(&self) -> Interest {
        Interest::Undecided
    }

    fn heap_bytes(&self) -> usize {
        0
    }
}

impl StreamHandler<Nothing> for Heard {
    fn on_open(&mut self) -> Nothing {
        self.opened += 1;
        Nothing
    }

    fn on_chunk(
        &mut self,
        context: &StreamContext,
        chunk: Chunk<'_>,
        _state: &mut Nothing,
        _counters: &mut Counters,
    ) {
        let stream = match context.direction {
            Direction::ToServer => &mut self.to_server,
            Direction::ToClient => &mut self.to_client,
        };
        match chunk {
            Chunk::Data(bytes) => {
                assert!(!bytes.is_empty());
                stream.bytes.extend_from_slice(bytes);
            }
            Chunk::Fin => stream.ends += 1,
            Chunk::Gap(length) => assert!(length > 0),
            Chunk::Reset => {}
        }
    }

    fn on_close(&mut self, _time: Timestamp, _state: Nothing, _counters: &mut Counters) {
        self.closed += 1;
    }
}

/// RFC 1071 over addresses, protocol, length and segment (RFC 9293 §3.1).
fn checksum(bytes: &[u8]) -> u16 {
    let mut total = 6 + (bytes.len() - ADDRESSES) as u32;
    for pair in bytes.chunks(2) {
        let low = pair.get(1).copied().unwrap_or(0);
        total += u32::from(u16::from_be_bytes([pair[0], low]));
    }
    while total >> 16 != 0 {
        total = (total & 0xffff) + (total >> 16);
    }
    !(total as u16)
}

const CLIENT: (Ipv4Addr, u16) = (Ipv4Addr::new(203, 0, 113, 9), 50000);
const SERVER: (Ipv4Addr, u16) = (Ipv4Addr::new(192, 168, 1, 10), 80);
/// Bytes of source and target address in front of a segment.
const ADDRESSES: usize = 8;
const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const ACK: u8 = 0x10;
const PAYLOAD: [u8; 1500] = [b'x'; 1500];
/// A small bound, so that it is reached.
const MEMORY: usize = 256 * 1024;
