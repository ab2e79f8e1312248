//! HTTP/3 by situation: what is sent on which stream, and what of it is told.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::app::quic::varint;
use crate::app::tests::{Notes, context};
use crate::limits::{
    EARLY_RESPONSES_MAX, HOLE_WAIT, QPACK_BLOCKED_MAX, QUIC_STREAM_BYTES_MAX, STREAMS_MAX,
};

const CLIENT: Direction = Direction::ToServer;
const SERVER: Direction = Direction::ToClient;
/// The streams on which each side fills its table, in these tests.
const CLIENT_ENCODER: u64 = 6;
const SERVER_ENCODER: u64 = 7;

fn frame(kind: u64, payload: &[u8]) -> Vec<u8> {
    let length = varint::write(payload.len() as u64);
    [&varint::write(kind)[..], &length, payload].concat()
}

/// A HEADERS frame of literal fields.
fn head(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut section = vec![0, 0];
    for (name, value) in fields {
        section.push(0x27); // a literal name of 7 bytes and more
        section.push(u8::try_from(name.len() - 7).unwrap());
        section.extend(name.bytes());
        section.push(u8::try_from(value.len()).unwrap());
        section.extend(value.bytes());
    }
    frame(0x01, &section)
}

fn request(method: &str, host: &str, path: &str) -> Vec<u8> {
    // Literal names shorter than 7 bytes would need another first byte: `:path` is static 1.
    let mut section = vec![0, 0, 0x51, u8::try_from(path.len()).unwrap()];
    section.extend(path.bytes());
    let pseudo = [
        (":method", method),
        (":authority", host),
        (":scheme", "https"),
    ];
    section.extend(&head(&pseudo)[4..]);
    frame(0x01, &section)
}

fn response(status: &str) -> Vec<u8> {
    head(&[(":status", status), ("server-timing", "x")])
}

/// A connection and what is told of it.
struct Tap {
    http3: Http3,
    notes: Notes,
    seconds: u64,
}

impl Tap {
    fn new() -> Self {
        Self {
            http3: Http3::default(),
            notes: Notes::default(),
            seconds: 0,
        }
    }

    fn context(&self, direction: Direction) -> StreamContext {
        StreamContext {
            time: Timestamp::from_secs_nanos(self.seconds, 0),
            ..context(direction, Flags::NONE)
        }
    }

    fn send(&mut self, direction: Direction, id: u64, offset: usize, data: &[u8], is_last: bool) {
        let context = self.context(direction);
        let piece = StreamPiece {
            id,
            offset: offset as u64,
            data,
            is_last,
        };
        self.http3.on_stream(piece, &context, &mut self.notes);
    }

    /// A whole stream in one piece.
    fn whole(&mut self, direction: Direction, id: u64, data: &[u8]) {
        self.send(direction, id, 0, data, true);
    }

    fn end(mut self) -> Notes {
        let context = self.context(CLIENT);
        self.http3.close(&context, &mut self.notes);
        self.notes
    }
}

#[test]
fn requests_and_their_responses() {
    let mut tap = Tap::new();
    let get = [request("GET", "h", "/1"), frame(0, b"body")].concat();
    tap.whole(CLIENT, 0, &get);
    tap.whole(CLIENT, 4, &request("HEAD", "h", "/2"));
    tap.whole(CLIENT, 8, &request("POST", "i", "/3"));
    tap.whole(SERVER, 4, &response("404"));
    let interim = [response("103"), response("100"), response("200")].concat();
    let trailers = head(&[("trailer-field", "y")]);
    tap.whole(SERVER, 0, &[interim, frame(0, &[7; 9]), trailers].concat());
    tap.whole(SERVER, 8, &response("204"));
    let notes = tap.end();
    assert_eq!(
        notes.lines,
        [
            "GET h /1",
            "HEAD h /2",
            "POST i /3",
            "2: 404",
            "1: 200",
            "3: 204"
        ]
    );
    assert_eq!((notes.counters.requests, notes.counters.responses), (3, 3));
}

#[test]
fn only_requests_for_watched_hosts_are_told() {
    let mut tap = Tap::new();
    tap.whole(CLIENT, 0, &request("GET", "other", "/1"));
    tap.whole(SERVER, 0, &response("200"));
    let notes = tap.end();
    assert!(notes.lines.is_empty());
    assert_eq!(notes.counters.requests_not_watched, 1);
}

#[test]
fn a_response_may_come_before_its_request_but_not_too_many() {
    let mut tap = Tap::new();
    tap.whole(SERVER, 0, &response("200"));
    tap.whole(CLIENT, 0, &request("GET", "h", "/1"));
    let count = EARLY_RESPONSES_MAX as u64 + 3;
    for number in 1..=count {
        tap.whole(SERVER, number * 4, &response("200"));
    }
    let notes = tap.end();
    assert_eq!(notes.lines, ["GET h /1", "1: 200"]);
    assert_eq!(notes.counters.responses_unmatched, count);
}

#[test]
fn streams_that_are_given_up_have_no_response() {
    let mut tap = Tap::new();
    for id in [0, 4, 8] {
        tap.whole(CLIENT, id, &request("GET", "h", "/1"));
    }
    let (client, server) = (tap.context(CLIENT), tap.context(SERVER));
    tap.http3.on_reset(0, &client, &mut tap.notes); // an answer may be on its way all the same
    tap.http3.on_reset(4, &server, &mut tap.notes);
    tap.whole(SERVER, 0, &response("200"));
    tap.whole(SERVER, 4, &response("200"));
    tap.whole(SERVER, 8, &[]);
    let notes = tap.end();
    assert_eq!(notes.lines[3..], ["2: -", "1: 200", "3: -"]);
}

#[test]
fn a_server_that_goes_away_answers_what_came_before() {
    let mut tap = Tap::new();
    for id in [0, 4, 8] {
        tap.whole(CLIENT, id, &request("GET", "h", "/1"));
    }
    let control = [vec![0], frame(4, &[]), frame(7, &[4])].concat();
    tap.send(SERVER, 3, 0, &control, false);
    tap.whole(SERVER, 0, &response("200"));
    assert_eq!(tap.end().lines[3..], ["2: -", "3: -", "1: 200"]);
}

#[test]
fn streams_of_other_kinds_are_passed_over() {
    let mut tap = Tap::new();
    let grease = [varint::write(0x21), request("GET", "h", "/1")].concat();
    let push = [vec![1, 0], request("GET", "h", "/2")].concat();
    tap.send(CLIENT, 2, 0, &grease, false);
    tap.send(CLIENT, 2, grease.len(), &request("GET", "h", "/1"), false);
    tap.send(SERVER, 3, 0, &push, false);
    tap.send(CLIENT, 10, 0, &[3, 0x80, 0x81], false);
    tap.whole(SERVER, 1, &request("GET", "h", "/3"));
    tap.whole(CLIENT, 3, &request("GET", "h", "/4"));
    assert!(!tap.http3.waits());
    let notes = tap.end();
    assert!(notes.lines.is_empty());
    assert_eq!(notes.counters.http3_malformed, 0);
}

#[test]
fn what_breaks_a_rule_costs_its_own_stream_only() {
    let mut tap = Tap::new();
    let twice = [(":method", "GET"), (":method", "GET")];
    tap.whole(CLIENT, 0, &head(&twice));
    tap.whole(CLIENT, 4, &frame(0x02, &[0; 5]));
    tap.whole(CLIENT, 8, &frame(0x01, &[0, 0, 0xff, 0xff]));
    tap.whole(CLIENT, 12, &request("GET", "h", "/4"));
    tap.whole(SERVER, 12, &frame(0x01, &[0, 0, 0x80]));
    tap.whole(CLIENT, 16, &request("GET", "h", "/5"));
    tap.whole(SERVER, 16, &head(&[(":status", "2000")]));
    let notes = tap.end();
    assert_eq!(notes.lines, ["GET h /4", "1: -", "GET h /5", "2: -"]);
    assert_eq!(notes.counters.http3_malformed, 5);
}

/// An encoder stream that inserts `:authority: www.example.com` and `:path: /sample/path`, and a
/// GET that refers to both (RFC 9204 §B.2).
fn dynamic() -> (Vec<u8>, Vec<u8>) {
    let mut instructions = vec![2, 0x3f, 0xbd, 0x01, 0xc0, 0x0f];
    instructions.extend(b"www.example.com");
    instructions.extend([0xc1, 0x0c]);
    instructions.extend(b"/sample/path");
    (instructions, frame(0x01, &[0x03, 0x81, 0xd1, 0x10, 0x11]))
}

const SAMPLE: &str = "GET www.example.com /sample/path";

#[test]
fn a_head_waits_for_the_fields_that_it_refers_to() {
    let (instructions, get) = dynamic();
    let mut tap = Tap::new();
    tap.whole(CLIENT, 0, &get);
    tap.whole(SERVER, 0, &response("200"));
    assert!(tap.notes.lines.is_empty() && tap.http3.waits());
    for (place, byte) in instructions.iter().enumerate() {
        tap.send(CLIENT, CLIENT_ENCODER, place, &[*byte], false);
    }
    assert_eq!(tap.notes.lines, [SAMPLE, "1: 200"]);
    assert!(!tap.http3.waits());
    tap.whole(CLIENT, 4, &get);
    assert_eq!(tap.end().lines[2..], [SAMPLE, "2: -"]);
}

#[test]
fn the_other_sides_settings_bound_the_table() {
    let (instructions, get) = dynamic();
    for (capacity, is_read) in [(220, true), (31, false)] {
        let mut tap = Tap::new();
        let settings = [&[0x07, 0x10, 0x01][..], &varint::write(capacity)].concat();
        let control = [vec![0], frame(4, &settings)].concat();
        tap.send(SERVER, 3, 0, &control, false);
        tap.send(CLIENT, CLIENT_ENCODER, 0, &instructions, false);
        tap.whole(CLIENT, 0, &get);
        assert_eq!(!tap.end().lines.is_empty(), is_read, "{capacity}");
    }
}

#[test]
fn responses_have_a_table_of_their_own() {
    let mut tap = Tap::new();
    tap.whole(CLIENT, 0, &request("GET", "h", "/1"));
    // `:status: 299`, by the name of static 25
    let instructions = [&[2, 0x3f, 0xbd, 0x01, 0xd9, 3][..], b"299"].concat();
    tap.whole(SERVER, 0, &frame(0x01, &[0x02, 0x80, 0x10]));
    tap.send(SERVER, SERVER_ENCODER, 0, &instructions, false);
    assert_eq!(tap.end().lines, ["GET h /1", "1: 299"]);
}

#[test]
fn fields_that_never_come_are_done_without_in_the_end() {
    let (instructions, get) = dynamic();
    // The path is there literally, the authority is not.
    let half = frame(0x01, &[0x03, 0x81, 0xd1, 0x51, 0x02, b'/', b'x', 0x10]);
    let mut tap = Tap::new();
    tap.whole(CLIENT, 0, &get);
    tap.whole(CLIENT, 4, &half);
    tap.send(CLIENT, CLIENT_ENCODER, 4, &instructions[4..], false); // its start is missing
    tap.seconds = HOLE_WAIT.as_secs() - 1;
    let context = tap.context(SERVER);
    tap.http3.give_up_holes(&context, &mut tap.notes);
    assert!(tap.notes.lines.is_empty() && tap.http3.waits());
    tap.seconds += 1;
    let context = tap.context(SERVER);
    tap.http3.give_up_holes(&context, &mut tap.notes);
    assert_eq!(tap.notes.lines, ["GET - /x gap"]);
    assert!(!tap.http3.waits());
    let notes = tap.end();
    assert_eq!(notes.counters.http3_lost, 2); // the encoder stream, and a head without a path
}

#[test]
fn a_hole_in_a_head_is_given_up_and_one_in_a_body_does_not_matter() {
    let get = request("GET", "h", "/1");
    let mut tap = Tap::new();
    tap.send(CLIENT, 0, 0, &get[..4], false);
    tap.send(CLIENT, 0, 7, &get[7..], true);
    tap.send(CLIENT, 4, 0, &get, false);
    tap.send(CLIENT, 4, 5000, &[7; 1000], true);
    assert_eq!(tap.notes.lines, ["GET h /1"]);
    let waiting = tap.http3.heap_bytes();
    assert!(waiting < 2000, "{waiting}");
    tap.seconds = HOLE_WAIT.as_secs() + 1;
    let context = tap.context(CLIENT);
    tap.http3.give_up_holes(&context, &mut tap.notes);
    let notes = tap.end();
    assert_eq!(notes.counters.http3_lost, 1);
}

#[test]
fn nothing_grows_beyond_its_bound() {
    let mut tap = Tap::new();
    let (_, get) = dynamic();
    for number in 0..QPACK_BLOCKED_MAX as u64 + 5 {
        tap.whole(CLIENT, number * 4, &get);
    }
    assert_eq!(tap.notes.counters.http3_lost, 2 * 5); // no room to wait, and no path without it
    let first = 4 * (QPACK_BLOCKED_MAX as u64 + 5);
    for number in 0..STREAMS_MAX as u64 + 5 {
        tap.send(CLIENT, first + number * 4, 1, &[7; 100], false);
        tap.send(SERVER, first + number * 4, 0, &[1, 0x40], false);
    }
    assert_eq!(tap.notes.counters.http3_streams_dropped, 2 * 5);
    let id = first + 4 * STREAMS_MAX as u64;
    for place in 1..1000 {
        tap.send(CLIENT, id, place * 2000, &[7; 1000], false);
    }
    assert!(tap.notes.counters.quic_bytes_dropped > 0);
    let bytes = tap.http3.heap_bytes();
    assert!(bytes < 2 * QUIC_STREAM_BYTES_MAX, "{bytes}");
}

proptest! {
    /// Whatever the order in which pieces come, and however often, the same is told.
    #[test]
    fn pieces_in_any_order_tell_the_same(
        size in 1_usize..40,
        order in prop::collection::vec(any::<u16>(), 400),
    ) {
        let (instructions, get) = dynamic();
        let streams = [
            (CLIENT, CLIENT_ENCODER, instructions),
            (CLIENT, 0, get.clone()),
            (CLIENT, 4, [request("POST", "h", "/1"), frame(0, &[9; 50])].concat()),
            (CLIENT, 8, get),
            (SERVER, 0, [response("103"), response("200")].concat()),
            (SERVER, 4, response("404")),
        ];
        let mut pieces = Vec::new();
        for (direction, id, data) in &streams {
            let count = data.chunks(size).count();
            for (place, chunk) in data.chunks(size).enumerate() {
                pieces.push((*direction, *id, place * size, chunk, place + 1 == count));
            }
        }
        let mut ranked: Vec<_> = pieces.iter().zip(order.iter().cycle()).collect();
        ranked.sort_by_key(|(_, rank)| **rank);
        let mut tap = Tap::new();
        for ((direction, id, offset, data, is_last), rank) in ranked {
            let is_last = *is_last && *id != CLIENT_ENCODER;
            for _ in 0..=rank % 2 {
                tap.send(*direction, *id, *offset, data, is_last);
            }
        }
        let mut told: Vec<String> = tap.end().lines;
        let mut statuses: Vec<String> = Vec::new();
        told.retain(|line| {
            let is_status = line.as_bytes()[1] == b':';
            if is_status {
                statuses.push(line[3..].to_owned());
            }
            !is_status
        });
        told.sort();
        statuses.sort();
        prop_assert_eq!(told, [SAMPLE, SAMPLE, "POST h /1"]);
        prop_assert_eq!(statuses, ["-", "200", "404"]);
    }

    #[test]
    fn any_bytes_are_read_or_refused(
        pieces in prop::collection::vec((any::<bool>(), 0_u64..9, 0_usize..30, any::<Vec<u8>>(), any::<bool>()), 0..60),
    ) {
        let mut tap = Tap::new();
        for (from_client, id, offset, data, is_last) in pieces {
            let direction = if from_client { CLIENT } else { SERVER };
            tap.send(direction, id, offset, &data, is_last);
            tap.seconds += 1;
        }
        tap.seconds += Duration::from_secs(60).as_secs();
        let context = tap.context(CLIENT);
        tap.http3.give_up_holes(&context, &mut tap.notes);
        prop_assert!(!tap.http3.waits());
        let lines = tap.end().lines;
        let told = lines.iter().filter(|line| line.as_bytes().get(1) != Some(&b':'));
        let settled = lines.iter().filter(|line| line.as_bytes().get(1) == Some(&b':'));
        prop_assert!(settled.count() <= told.count());
    }
}
