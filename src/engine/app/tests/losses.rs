//! Conversations of which a mirror loses, doubles and mixes up frames: whatever is lost, no status
//! is given to a request that was answered otherwise.

use std::fmt;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::limits::Limits;
use crate::net::IpPacket;
use crate::transport::{FlowTable, Segment, StreamHandler};

impl StreamHandler<Session> for Notes {
    fn on_open(&mut self) -> Session {
        Session::new()
    }

    fn on_chunk(
        &mut self,
        context: &StreamContext,
        chunk: Chunk<'_>,
        state: &mut Session,
        _counters: &mut Counters,
    ) {
        state.on_chunk(context, chunk, self);
    }

    fn on_close(&mut self, time: Timestamp, state: Session, _counters: &mut Counters) {
        state.on_close(time, self);
    }
}

/// A TCP segment as it would stand in its packet.
#[derive(Clone)]
pub(super) struct Frame {
    from_client: bool,
    bytes: Vec<u8>,
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = |at| u32::from_be_bytes(*self.bytes[at..].first_chunk().unwrap());
        let text = String::from_utf8_lossy(&self.bytes[20..]);
        let side = if self.from_client { '>' } else { '<' };
        write!(f, "\n{side} {} ack {} {text:?}", number(4), number(8))
    }
}

impl Frame {
    /// The same from the other side.
    pub(super) fn turn(&mut self) {
        self.from_client = !self.from_client;
        let (from, to) = self.bytes[..4].split_at_mut(2);
        from.swap_with_slice(to);
    }

    /// The same with other flags, and with `byte` all over its payload.
    pub(super) fn change(&mut self, flags: impl Fn(u8) -> u8, byte: u8) {
        self.bytes[13] = flags(self.bytes[13]);
        self.bytes[20..].fill(byte);
        self.sign();
    }

    /// The same with another payload and the checksum as it was, which no host takes.
    fn with_payload(&self, payload: &[u8]) -> Self {
        let header = self.bytes.iter().take(20);
        Self {
            bytes: header.chain(payload).copied().collect(),
            ..*self
        }
    }

    /// Puts the right checksum in (RFC 1071): both directions have the same.
    fn sign(&mut self) {
        self.bytes[16..18].fill(0);
        let pseudo = [CLIENT, SERVER, [0, 6, 0, 0]].concat();
        let words = pseudo.chunks(2).chain(self.bytes.chunks(2));
        let value =
            |word: &[u8]| u64::from(word[0]) << 8 | word.get(1).map_or(0, |low| (*low).into());
        let mut sum = words.map(value).sum::<u64>() + self.bytes.len() as u64;
        while sum >> 16 > 0 {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        self.bytes[16..18].copy_from_slice(&(!sum as u16).to_be_bytes());
    }
}

/// Both ends of a connection, writing frames.
pub(super) struct Wire {
    pub(super) frames: Vec<Frame>,
    /// The number that each side's next byte has.
    pub(super) sent: [u32; 2],
}

const CLIENT: [u8; 4] = [203, 0, 113, 9];
const SERVER: [u8; 4] = [192, 168, 1, 10];
const SYN: u8 = 0x02;
pub(super) const ACK: u8 = 0x10;

impl Wire {
    fn open() -> Self {
        Self::open_at([1000, 9000])
    }

    /// In the middle of a connection.
    pub(super) fn at(sent: [u32; 2]) -> Self {
        Self {
            frames: Vec::new(),
            sent,
        }
    }

    /// A connection whose sides begin with these numbers.
    pub(super) fn open_at(first: [u32; 2]) -> Self {
        let mut wire = Self::at(first);
        wire.send(true, SYN, b"");
        wire.send(false, SYN | ACK, b"");
        wire.send(true, ACK, b"");
        wire
    }

    pub(super) fn send(&mut self, from_client: bool, flags: u8, payload: &[u8]) {
        let (ours, theirs) = if from_client { (0, 1) } else { (1, 0) };
        let (from, to) = if from_client {
            (50_000u16, 80u16)
        } else {
            (80, 50_000)
        };
        let mut bytes = [from.to_be_bytes(), to.to_be_bytes()].concat();
        bytes.extend(self.sent[ours].to_be_bytes());
        bytes.extend(self.sent[theirs].to_be_bytes());
        bytes.extend([0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
        bytes.extend(payload);
        let mut frame = Frame { from_client, bytes };
        frame.sign();
        self.frames.push(frame);
        let length = payload.len() as u32 + u32::from(flags & SYN != 0);
        self.sent[ours] = self.sent[ours].wrapping_add(length);
    }

    fn send_in_pieces(&mut self, from_client: bool, payload: &[u8], size: usize) {
        for piece in payload.chunks(size) {
            self.send(from_client, ACK, piece);
        }
    }
}

fn request(number: usize) -> Vec<u8> {
    format!("GET /{number} HTTP/1.1\r\nHost: h\r\n\r\n").into_bytes()
}

fn answer(number: usize) -> Vec<u8> {
    format!(
        "HTTP/1.1 {} X\r\nContent-Length: 5\r\n\r\nabcde",
        200 + number
    )
    .into_bytes()
}

/// What a tap makes of frames that are all right.
pub(super) fn tap(frames: &[Frame], gap: Duration) -> Vec<String> {
    let (lines, counters) = tap_any(frames, gap);
    assert_eq!(counters.tcp_checksum_wrong, 0);
    lines
}

fn tap_any(frames: &[Frame], gap: Duration) -> (Vec<String>, Counters) {
    let mut table = FlowTable::new(Limits::default());
    let (mut notes, mut counters) = (Notes::default(), Counters::default());
    let mut now = Timestamp::from_secs_nanos(1_000_000, 0);
    for frame in frames {
        let (client, server) = (CLIENT.into(), SERVER.into());
        let (src, dst) = if frame.from_client {
            (client, server)
        } else {
            (server, client)
        };
        let packet = IpPacket {
            scope: Scope::default(),
            src,
            dst,
            protocol: 6,
            payload: &frame.bytes,
            hops: 64,
            missing: 0,
        };
        now = now.plus(gap);
        let segment = Segment::parse(&packet).unwrap();
        table.on_segment(&segment, now, &mut counters, &mut notes);
    }
    table.finish(now, &mut counters, &mut notes);
    (notes.lines, counters)
}

/// The status that each request was given, if any, by its number.
fn statuses(lines: &[String]) -> Vec<(usize, Option<usize>)> {
    let asked = lines.iter().filter(|line| line.starts_with("GET"));
    asked
        .enumerate()
        .map(|(place, line)| {
            let target = line.split(' ').nth(2).unwrap();
            let start = format!("{}: ", place + 1);
            let settled = lines.iter().find_map(|line| line.strip_prefix(&start));
            (
                target.trim_start_matches('/').parse().unwrap(),
                settled.and_then(|status| status.parse().ok()),
            )
        })
        .collect()
}

/// What happens to one frame: it is seen so many times, so far behind its place.
type Fate = (usize, usize);

fn fates(lost: u32) -> impl Strategy<Value = Vec<Fate>> {
    let copies = prop_oneof![lost => Just(0usize), 20 => Just(1usize), 2 => Just(2usize)];
    let delay = prop_oneof![10 => Just(0usize), 1 => 1usize..4];
    proptest::collection::vec((copies, delay), 80)
}

/// The frames as the mirror shows them.
fn mirrored(frames: &[Frame], fates: &[Fate]) -> Vec<Frame> {
    let mut placed = Vec::new();
    for (at, (frame, (copies, delay))) in frames.iter().zip(fates.iter().cycle()).enumerate() {
        placed.extend((0..*copies).map(|copy| (at + delay + copy, frame.clone())));
    }
    placed.sort_by_key(|(at, _)| *at);
    placed.into_iter().map(|(_, frame)| frame).collect()
}

/// A client that waits for each answer, or sends `at_once` requests before it does.
fn conversation(count: usize, at_once: usize, sizes: (usize, usize)) -> Vec<Frame> {
    let mut wire = Wire::open();
    for first in (0..count).step_by(at_once) {
        let numbers = first..(first + at_once).min(count);
        for number in numbers.clone() {
            wire.send_in_pieces(true, &request(number), sizes.0);
        }
        for number in numbers {
            wire.send_in_pieces(false, &answer(number), sizes.1);
            wire.send(true, ACK, b"");
        }
    }
    wire.frames
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_mirror_that_only_doubles_and_mixes_up_costs_nothing(
        count in 1usize..6,
        at_once in 1usize..4,
        sizes in (5usize..80, 5usize..80),
        fates in fates(0),
    ) {
        let frames = conversation(count, at_once, sizes);
        let lines = tap(&mirrored(&frames, &fates), Duration::from_millis(1));
        let expected: Vec<_> = (0..count).map(|number| (number, Some(200 + number))).collect();
        prop_assert_eq!(statuses(&lines), expected, "{:?}", lines);
    }

    #[test]
    fn whatever_a_mirror_loses_no_status_goes_to_another_request(
        count in 1usize..6,
        sizes in (5usize..80, 5usize..80),
        fates in fates(4),
        begin in 0usize..12,
        slow in any::<bool>(),
    ) {
        let frames = conversation(count, 1, sizes);
        let seen = mirrored(frames.get(begin..).unwrap_or_default(), &fates);
        check(count, &seen, slow)?;
    }

    /// Of a client that does not wait for answers that is so only as long as those are seen: what
    /// was lost of either side is then as many bytes in one message as in several.
    #[test]
    fn of_requests_sent_at_once_none_is_given_the_status_of_one_that_was_lost(
        count in 2usize..6,
        sizes in (5usize..80, 5usize..80),
        fates in fates(4),
        slow in any::<bool>(),
    ) {
        let frames = conversation(count, 2, sizes);
        let start = |at: usize, frame: &Frame| at < 3 || !frame.from_client;
        let fates: Vec<Fate> = frames.iter().zip(fates).enumerate().map(|(at, (frame, fate))| {
            if start(at, frame) { (fate.0.max(1), fate.1) } else { fate }
        }).collect();
        let (start, rest) = frames.split_at(3);
        let seen = [start.to_vec(), mirrored(rest, &fates[3..])].concat();
        check(count, &seen, slow)?;
    }
}

/// Whether what is told of frames is true.
fn check(count: usize, seen: &[Frame], slow: bool) -> Result<(), TestCaseError> {
    let gap = Duration::from_millis(if slow { 400 } else { 1 });
    let lines = tap(seen, gap);
    let statuses = statuses(&lines);
    for (number, status) in &statuses {
        prop_assert!(*number < count, "{:?}", lines);
        let right = status.is_none_or(|status| status == 200 + number);
        prop_assert!(right, "{:?} of {:?}", lines, seen);
    }
    let mut numbers: Vec<_> = statuses.iter().map(|(number, _)| *number).collect();
    numbers.dedup();
    prop_assert_eq!(numbers.len(), statuses.len(), "told twice: {:?}", lines);
    Ok(())
}

/// Two requests at once, and their answers, the first one's body in three pieces; a forged frame
/// with this payload comes before the middle one.
fn with_forged_bytes_in_a_body(payload: &[u8]) -> (Vec<(usize, Option<usize>)>, Counters) {
    let mut wire = Wire::open();
    wire.send(true, ACK, &[request(0), request(1)].concat());
    wire.send(
        false,
        ACK,
        b"HTTP/1.1 200 X\r\nContent-Length: 3000\r\n\r\n",
    );
    wire.send_in_pieces(false, &[b'a'; 3000], 1000);
    wire.send(false, ACK, &answer(1));
    let middle = wire.frames.len() - 3;
    let forged = wire.frames[middle].with_payload(payload);
    wire.frames.insert(middle, forged);
    let (lines, counters) = tap_any(&wire.frames, Duration::from_millis(1));
    (statuses(&lines), counters)
}

#[test]
fn forged_bytes_within_a_body_are_nothing_but_a_bodys() {
    let forged = b"HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n".repeat(20);
    let (statuses, counters) = with_forged_bytes_in_a_body(&forged);
    assert_eq!(statuses, [(0, Some(200)), (1, Some(201))]);
    assert_eq!(counters.tcp_checksum_wrong, 0);
}

#[test]
fn forged_bytes_beyond_a_body_are_no_answer() {
    let body = [b'x'; 2000].as_slice();
    let forged = [body, b"HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n"].concat();
    let (statuses, counters) = with_forged_bytes_in_a_body(&forged);
    assert_eq!(statuses, [(0, Some(200)), (1, Some(201))]);
    assert_eq!(counters.tcp_checksum_wrong, 1);
}
