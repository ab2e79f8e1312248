//! HTTP/2 by situation: what is said, and what of it is told.

mod talk;

use proptest::prelude::*;

use self::talk::{Act, Talk, Tap, frame, play, play_with, talk};
use super::*;
use crate::app::tests::Notes;
use crate::event::Flags;
use crate::limits::{EARLY_RESPONSES_MAX, HEAD_BYTES_MAX, STREAMS_MAX};
use crate::transport::FlowState;

/// A situation: its name, the conversation, what is told.
type Case<'a> = (&'a str, &'a [&'a str], &'a [&'a str]);

/// Plays each in one piece and, unless bytes are missing, cut in many ways.
fn check(flags: Flags, cases: &[Case<'_>]) {
    for (name, script, expected) in cases {
        let talk = talk(script);
        assert_eq!(play_with(flags, &talk).lines, *expected, "{name}");
        if script.iter().any(|line| line.starts_with('~')) {
            continue;
        }
        for size in [1, 2, 3, 7, 16, 61] {
            let mut tap = Tap::new(flags);
            tap.hear_all(&talk, std::iter::repeat(size));
            assert_eq!(tap.end().lines, *expected, "{name}, in pieces of {size}");
        }
    }
}

#[test]
fn requests_and_their_answers() {
    check(
        Flags::NONE,
        &[
            (
                "one request",
                &[
                    ">start ; get 1 h /x",
                    "<start ; ack ; status 1 200 ; data 1 5",
                ],
                &["GET h /x", "1: 200"],
            ),
            (
                "neither side sends settings",
                &[">text PRI * HTTP/2.0||SM|| ; get 1 h /x", "<status 1 200"],
                &["GET h /x", "1: 200"],
            ),
            (
                "the server begins",
                &["<start", ">start ; ack ; get 1 h /x", "<status 1 404"],
                &["GET h /x", "1: 404"],
            ),
            (
                "streams that are answered in another order",
                &[
                    ">start ; get 1 h /1 ; get 3 h /2 ; post 5 i /3 ; data 5 9 ; get 9 h /4",
                    "<start ; status 5 200 ; status 1 404 ; data 5 7 ; status 9 304 ; status 3 204",
                ],
                &[
                    "GET h /1",
                    "GET h /2",
                    "POST i /3",
                    "GET h /4",
                    "3: 200",
                    "1: 404",
                    "4: 304",
                    "2: 204",
                ],
            ),
            (
                "a head in many frames",
                &[
                    ">start ; pieces 1 h /a/long/path 3 ; pieces 3 h /b 1",
                    "<start ; status 1 200",
                ],
                &["GET h /a/long/path", "GET h /b", "1: 200", "2: -"],
            ),
            (
                "padding and priority",
                &[">start ; padded 1 h /x ; frame 2 0 3 0000000010 ; get 3 h /y"],
                &["GET h /x", "GET h /y", "1: -", "2: -"],
            ),
            (
                "trailers are no requests and no answers",
                &[
                    ">start ; post 1 h /x ; data 1 3 ; trailers 1",
                    "<start ; status 1 200 ; data 1 3 ; trailers 1",
                    ">get 3 h /y",
                ],
                &["POST h /x", "1: 200", "GET h /y", "2: -"],
            ),
            (
                "interim answers are none",
                &[
                    ">start ; post 1 h /x",
                    "<start ; status 1 100",
                    ">data 1 3",
                    "<status 1 103 ; status 1 200",
                ],
                &["POST h /x", "1: 200"],
            ),
            (
                "what the server promises is no visit",
                &[
                    ">start ; get 1 h /x",
                    "<start ; promise 1 2 h /style.css ; status 1 200 ; status 2 404",
                ],
                &["GET h /x", "1: 200"],
            ),
            (
                "the server resets, the client gives up",
                &[
                    ">start ; get 1 h /1 ; get 3 h /2",
                    "<start ; rst 1",
                    ">rst 3",
                    "<status 3 200",
                ],
                &["GET h /1", "GET h /2", "1: -", "2: 200"],
            ),
            (
                "the server goes away",
                &[
                    ">start ; get 1 h /1 ; get 3 h /2 ; get 5 h /3",
                    "<start ; goaway 3 ; status 3 200",
                ],
                &["GET h /1", "GET h /2", "GET h /3", "3: -", "2: 200", "1: -"],
            ),
            (
                "the server ends",
                &[">start ; get 1 h /1", "<start ; data 1 1", "<fin"],
                &["GET h /1", "1: -"],
            ),
            (
                "a reset",
                &[">start ; get 1 h /1", ">reset"],
                &["GET h /1", "1: -"],
            ),
            (
                "frames of unknown types, and empty ones",
                &[
                    ">start ; frame 16 0 0 753d30 ; frame 255 255 77 0102 ; post 1 h /x ; data 1 0",
                    ">data 1 0 ; frame 0 9 1 0200000000 ; frame 6 0 0 0000000000000000 ; get 3 h /y",
                ],
                &["POST h /x", "GET h /y", "1: -", "2: -"],
            ),
            (
                "what looks like a request inside a body",
                &[
                    ">start ; post 1 h /x ; body 1 |GET /fake HTTP/1.1|Host: h|| ; get 3 h /y",
                    "<start ; status 1 200 ; body 1 HTTP/1.1 404 Not Found|| ; status 3 204",
                ],
                &["POST h /x", "GET h /y", "1: 200", "2: 204"],
            ),
            (
                "CONNECT",
                &[">start ; fields 1 :method=CONNECT :authority=h:443"],
                &["CONNECT h:443 h:443", "1: -"],
            ),
            (
                "a host field instead of an authority",
                &[">start ; fields 1 :method=GET :path=/x :scheme=http host=h"],
                &["GET h /x", "1: -"],
            ),
            (
                "a PROXY protocol header in front",
                &[">text PROXY TCP4 203.0.113.9 192.168.1.10 50000 80| ; start ; get 1 h /x"],
                &["GET h /x", "1: -"],
            ),
        ],
    );
}

#[test]
fn bodies_in_frames_that_look_like_heads_are_passed_over() {
    let mut fake = vec![(Direction::ToServer, Act::Bytes(Vec::new()))];
    let head = talk(&[">get 3 h /fake"]);
    let Act::Bytes(head) = &head[0].1 else {
        panic!()
    };
    let start = talk(&[">start ; post 1 h /x"]).remove(0);
    fake[0].1 = Act::Bytes(frame(0, 1, 1, head));
    assert_eq!(
        play_with(Flags::NONE, &vec![start, fake.remove(0)]).lines,
        ["POST h /x", "1: -"]
    );
}

#[test]
fn one_side_alone_is_enough_for_what_it_says() {
    let asks = play(&[">start ; get 1 h /x ; get 3 h /y"]);
    assert_eq!(asks.lines, ["GET h /x", "GET h /y", "1: -", "2: -"]);
    let answers = play(&["<start ; status 1 200 ; data 1 3 ; status 3 404"]);
    assert!(answers.lines.is_empty());
    assert_eq!(answers.counters.responses, 2);
    assert_eq!(answers.counters.responses_unmatched, 2);
    assert_eq!(answers.counters.http2_malformed, 0);
}

#[test]
fn an_answer_that_a_mirror_puts_before_its_request_is_given_to_it() {
    check(
        Flags::NONE,
        &[(
            "early",
            &[
                ">start",
                "<start ; status 3 404 ; status 1 200",
                ">get 1 h /x ; get 3 other /y",
            ],
            &["GET h /x", "1: 200"],
        )],
    );
}

#[test]
fn hosts_that_are_not_watched_are_counted_only() {
    let notes = play(&[
        ">start ; get 1 other /x ; get 3 h /y ; get 5 other /z",
        "<start ; status 1 200 ; status 5 200 ; status 3 204",
    ]);
    assert_eq!(notes.lines, ["GET h /y", "1: 204"]);
    assert_eq!(notes.counters.requests, 3);
    assert_eq!(notes.counters.requests_not_watched, 2);
    assert_eq!(notes.counters.responses_unmatched, 0);
}

#[test]
fn tables_change_their_size_as_the_sender_says() {
    // 0, then all there may be, then a field that is kept and used.
    check(
        Flags::NONE,
        &[(
            "sizes",
            &[
                ">start ; get 1 h /1",
                ">frame 1 5 3 20 3fe1ffffff0f 82 86 4101 68 0402 2f32",
                ">frame 1 5 5 82 86 be 0402 2f33",
            ],
            &["GET h /1", "GET h /2", "GET h /3", "1: -", "2: -", "3: -"],
        )],
    );
}

// ── missing bytes ──

#[test]
fn missing_bytes_of_a_body_lose_nothing() {
    let mut talk = talk(&[">start ; post 1 h /1", ">data 1 100", ">get 3 h /2"]);
    let Act::Bytes(body) = talk[1].1.clone() else {
        panic!()
    };
    let direction = Direction::ToServer;
    talk.splice(
        1..2,
        [
            (direction, Act::Bytes(body[..20].to_vec())),
            (direction, Act::Missing(60)),
            (direction, Act::Bytes(body[80..].to_vec())),
        ],
    );
    let notes = play_with(Flags::NONE, &talk);
    assert_eq!(notes.lines, ["POST h /1", "GET h /2", "1: -", "2: -"]);
    assert_eq!(notes.counters.http2_lost, 0);
}

#[test]
fn after_missing_frames_what_does_not_refer_to_them_is_told() {
    let notes = play(&[
        ">start ; get 1 h /1",
        "~>get 3 i /2",
        // h and the browser's name were kept before: not known any more
        ">get 5 h /3",
        // here all is said anew
        ">get 7 k /4 ; get 9 k /5",
        "<start ; status 1 200 ; status 3 204 ; status 7 404 ; status 5 200",
    ]);
    assert_eq!(
        notes.lines,
        [
            "GET h /1",
            "GET - /3 gap",
            "GET k /4 gap",
            "GET k /5 gap",
            "1: 200",
            "3: 404",
            "2: 200",
            "4: -"
        ]
    );
    assert_eq!(notes.counters.http2_lost, 1);
    assert_eq!(notes.counters.http2_malformed, 0);
}

#[test]
fn after_missing_bytes_reading_begins_at_a_segment_that_is_frames_all_through() {
    let notes = play(&[
        ">start ; post 1 h /1",
        "~>data 1 300",
        ">text rest of a body that was begun in what is missing ; get 3 h /not-at-the-start",
        ">text GET /fake HTTP/1.1|Host: h||",
        ">data 1 5 ; fields 5 :method=GET :scheme=http :path=/5 :authority=j",
        ">fields 7 :method=GET :scheme=http :path=/7 :authority=j",
    ]);
    assert_eq!(
        notes.lines,
        [
            "POST h /1",
            "GET j /5 gap",
            "GET j /7",
            "1: -",
            "2: -",
            "3: -"
        ]
    );
}

#[test]
fn a_hole_in_a_head_costs_that_head_and_no_frame_after_it() {
    let mut talk = talk(&[">start ; get 1 h /1", ">get 3 h /2", ">get 5 k /3"]);
    let Act::Bytes(head) = talk[1].1.clone() else {
        panic!()
    };
    let Act::Bytes(next) = talk[2].1.clone() else {
        panic!()
    };
    let (direction, after) = (Direction::ToServer, [&head[13..], &next].concat());
    talk.splice(
        1..3,
        [
            (direction, Act::Bytes(head[..11].to_vec())),
            (direction, Act::Missing(2)),
            (direction, Act::Bytes(after)),
        ],
    );
    let notes = play_with(Flags::NONE, &talk);
    assert_eq!(notes.lines, ["GET h /1", "GET k /3 gap", "1: -", "2: -"]);
    assert_eq!(notes.counters.http2_heads_lost, 1);
}

#[test]
fn a_frame_that_the_snap_length_cut_gives_what_it_holds() {
    let mut talk = talk(&[">start", ">get 1 h /1"]);
    let Act::Bytes(head) = talk[1].1.clone() else {
        panic!()
    };
    let (direction, kept) = (Direction::ToServer, head.len() - 3); // within the browser's name
    talk.truncate(1);
    talk.push((direction, Act::Bytes(head[..kept].to_vec())));
    talk.push((direction, Act::Missing(3)));
    let notes = play_with(Flags::TRUNCATED, &talk);
    assert_eq!(notes.lines, ["GET h /1 gap truncated", "1: -"]);
    talk[1].1 = Act::Bytes(head[..12].to_vec()); // within the authority
    talk[2].1 = Act::Missing((head.len() - 12) as u64);
    let notes = play_with(Flags::TRUNCATED, &talk);
    assert!(notes.lines.is_empty());
    assert_eq!(notes.counters.http2_heads_lost, 1);
}

// ── from the middle ──

#[test]
fn from_the_middle_only_what_is_certain_is_told() {
    for (name, script, expected) in [
        (
            "the handshake was not seen, the preface was",
            &[">start ; get 1 h /x", "<start ; status 1 200"][..],
            &["GET h /x midstream", "1: 200"][..],
        ),
        (
            "all is said in the request",
            &[">get 11 h /x", "<status 11 200", ">get 13 h /y"],
            &["GET h /x midstream", "1: 200", "GET h /y midstream", "2: -"],
        ),
        (
            "the authority was said before",
            &["~>get 11 h /x", ">get 13 h /y"],
            &["GET - /y midstream gap", "1: -"],
        ),
        (
            "the server's side is seen first",
            &[
                "<status 9 200",
                "<data 9 100",
                ">get 11 h /x",
                "<status 11 404",
            ],
            &["GET h /x midstream", "1: 404"],
        ),
        (
            "a body is under way",
            &[">text ...a body", ">data 1 10", ">data 1 10 ; get 3 h /y"],
            &["GET h /y midstream", "1: -"],
        ),
        (
            "trailers of a request that was not seen",
            &[">trailers 7", ">get 9 h /x ; trailers 7"],
            &["GET h /x midstream", "1: -"],
        ),
        (
            "what is no request",
            &[">trailers 7", "<trailers 7", ">data 1 5"],
            &[],
        ),
    ] {
        let notes = play_with(Flags::MIDSTREAM, &talk(script));
        assert_eq!(notes.lines, expected, "{name}");
        assert_eq!(notes.counters.http2_malformed, 0, "{name}");
    }
}

#[test]
fn a_preface_is_found_however_it_is_cut_and_by_whoever_speaks_first() {
    let talk = talk(&["<start", ">start ; get 1 h /x", "<ack", "<status 1 200"]);
    for size in [1, 5, 23, 24, 25, 1000] {
        let mut tap = Tap::new(Flags::MIDSTREAM);
        tap.hear_all(&talk, std::iter::repeat(size));
        assert_eq!(tap.end().lines[0], "GET h /x midstream", "{size}");
    }
}

#[test]
fn from_the_middle_the_side_that_asks_is_told_by_what_it_says() {
    let asks = talk(&["<get 1 h /x", ">status 1 200"]);
    let lines = play_with(Flags::MIDSTREAM, &asks).lines;
    assert_eq!(lines, ["GET h /x midstream", "1: 200"]);
}

// ── upgrade from HTTP/1 ──

const UPGRADE: &str = ">text GET /1 HTTP/1.1|Host: h|Connection: Upgrade, HTTP2-Settings|Upgrade: h2c|HTTP2-Settings: AAMAAABk||";
const SWITCH: &str = "HTTP/1.1 101 Switching Protocols|Connection: Upgrade|Upgrade: h2c||";

#[test]
fn a_connection_that_is_upgraded_goes_on_in_http2() {
    let together = format!("<text {SWITCH} ; start ; status 1 200 ; data 1 3");
    let alone = format!("<text {SWITCH}");
    check(
        Flags::NONE,
        &[
            (
                "the answer comes on stream 1",
                &[UPGRADE, &together, ">start ; get 3 h /2", "<status 3 404"],
                &["GET h /1", "1: 200", "GET h /2", "2: 404"],
            ),
            (
                "the answer comes after the preface",
                &[
                    UPGRADE,
                    &alone,
                    ">start",
                    "<start ; status 1 200",
                    ">get 3 h /2",
                ],
                &["GET h /1", "1: 200", "GET h /2", "2: -"],
            ),
            (
                "the preface is seen before the 101",
                &[UPGRADE, ">start ; get 3 h /2", &together, "<status 3 204"],
                &["GET h /1", "GET h /2", "1: 200", "2: 204"],
            ),
            (
                "the client alone",
                &[UPGRADE, ">start ; get 3 h /2 ; get 5 h /3"],
                &["GET h /1", "GET h /2", "GET h /3", "1: -", "2: -", "3: -"],
            ),
            (
                "nothing follows the 101",
                &[UPGRADE, &alone, "<start"],
                &["GET h /1", "1: -"],
            ),
            (
                "the client answers in something else",
                &[UPGRADE, &alone, ">text GET /fake HTTP/1.1|Host: h||"],
                &["GET h /1", "1: 101"],
            ),
            (
                "the server goes on in something else",
                &[UPGRADE, &alone, "<text \u{1}hello"],
                &["GET h /1", "1: 101"],
            ),
            (
                "the connection ends after the 101",
                &[UPGRADE, &alone],
                &["GET h /1", "1: 101"],
            ),
            (
                "the upgrade is refused",
                &[
                    UPGRADE,
                    "<text HTTP/1.1 200 OK|Content-Length: 2||ok",
                    ">text GET /2 HTTP/1.1|Host: h||",
                    "<text HTTP/1.1 404 No|Content-Length: 0||",
                ],
                &["GET h /1", "1: 200", "GET h /2", "2: 404"],
            ),
        ],
    );
    let missed = play(&[
        UPGRADE,
        ">start ; get 3 h /2",
        "~<text HTTP/1.1 101 Switching Protocols|",
        "<text Upgrade: h2c|| ; start",
        "<status 1 200 ; status 3 204",
    ]);
    assert_eq!(missed.lines, ["GET h /1", "GET h /2", "1: 200", "2: 204"]);
}

#[test]
fn an_upgraded_request_that_is_not_watched_uses_up_its_stream_all_the_same() {
    let upgrade = UPGRADE.replace("Host: h", "Host: other");
    let together = format!("<text {SWITCH} ; start ; status 1 200");
    let notes = play(&[&upgrade, &together, ">start ; get 3 h /2", "<status 3 404"]);
    assert_eq!(notes.lines, ["GET h /2", "1: 404"]);
    assert_eq!(notes.counters.http1_upgraded, 0);
    assert_eq!(notes.counters.responses, 2);
}

// ── what breaks the rules ──

#[test]
fn what_is_not_http2_after_all_is_not_read_as_such() {
    let other = play(&["<start", ">text SSH-2.0-x|"]);
    assert_eq!((other.lines.len(), other.counters.streams_unknown), (0, 1));
    let nearly = play(&[">text PRI * HTTP/2.0||SX||"]);
    assert_eq!(
        (nearly.lines.len(), nearly.counters.streams_unknown),
        (0, 1)
    );
    let answer = play(&[">start ; get 1 h /x", "<text HTTP/1.1 400 Bad Request||"]);
    assert_eq!(answer.lines, ["GET h /x", "1: -"]);
    assert_eq!(answer.counters.http2_malformed, 1);
}

#[test]
fn heads_that_break_the_rules_are_counted_and_the_connection_is_read_on() {
    for head in [
        "fields 1 :method=GET :scheme=http",
        "fields 1 :path=/x :scheme=http",
        "fields 1 :method=GET :path=/x :path=/y",
        "fields 1 :method=GET :path=/x a=b :authority=h",
        "fields 1 :method=GET :path=/x :strange=b",
        "fields 1 a=b",
    ] {
        let notes = play(&[&format!(">start ; {head} ; get 3 h /y")]);
        assert_eq!(notes.lines, ["GET h /y", "1: -"], "{head}");
        assert_eq!(notes.counters.http2_malformed, 1, "{head}");
    }
    let notes = play(&[">start ; get 1 h /x", "<start ; fields 1 a=b"]);
    assert_eq!(notes.lines, ["GET h /x", "1: -"]);
    assert_eq!(notes.counters.http2_malformed, 1);
}

#[test]
fn frames_that_break_the_rules_lose_the_place_until_the_next_segment() {
    for wrong in [
        "frame 1 5 0 8286",             // a head on no stream
        "frame 1 5 2 8286",             // a client's head on a server's stream
        "frame 0 0 0 00",               // data of no stream
        "frame 3 0 1 00",               // too short
        "frame 4 0 0 00",               // no pairs
        "frame 4 0 1",                  // settings of a stream
        "frame 9 4 1 82",               // continues nothing
        "frame 5 4 1 0000000282",       // a client promises nothing
        "frame 1 13 1 ff82",            // more padding than payload
        "frame 1 5 1 80",               // an index at which nothing stands
        "frame 1 0 1 82 ; data 1 3",    // data within a head
        "frame 1 0 1 82 ; frame 9 4 3", // another stream's continuation
    ] {
        let cut_off = format!(">start ; {wrong} ; get 5 h /cut-off");
        let notes = play(&[&cut_off, ">get 7 j /next"]);
        assert_eq!(notes.lines, ["GET j /next gap", "1: -"], "{wrong}");
        assert_eq!(notes.counters.http2_malformed, 1, "{wrong}");
    }
}

#[test]
fn a_stream_is_used_once() {
    let notes = play(&[">start ; get 5 h /1 ; get 5 h /again ; get 3 h /lower ; get 7 h /2"]);
    assert_eq!(notes.lines, ["GET h /1", "GET h /2", "1: -", "2: -"]);
    assert_eq!(notes.counters.http2_malformed, 2);
}

// ── bounds ──

#[test]
fn a_flood_of_continuations_is_cut_at_the_bound_and_told_as_far_as_it_goes() {
    let mut tap = Tap::new(Flags::NONE);
    let start = talk(&[">start ; get 1 h /1"]);
    tap.hear_all(&start, std::iter::repeat(usize::MAX));
    let to_server = Direction::ToServer;
    let head = [
        &[0x82, 0x86, 0x41, 1, b'h', 4, 2, b'/', b'x'][..],
        &[0x40, 1, b'a', 0x7f],
    ]
    .concat();
    tap.hear(
        to_server,
        Chunk::Data(&frame(1, 0, 3, &[head, vec![0xff, 0xff, 0x7f]].concat())),
    );
    let more = frame(9, 0, 3, &[b'x'; 1000]);
    for _ in 0..2 * HEAD_BYTES_MAX / 1000 {
        tap.hear(to_server, Chunk::Data(&more));
        assert!(tap.session.heap_bytes() <= 3 * HEAD_BYTES_MAX);
    }
    assert!(tap.session.heap_bytes() <= 4096);
    tap.hear(to_server, Chunk::Data(&frame(9, 4, 3, &[])));
    let after = talk(&[">get 5 k /2"]);
    tap.hear_all(&after, std::iter::repeat(usize::MAX));
    let notes = tap.end();
    assert_eq!(
        notes.lines,
        [
            "GET h /1",
            "GET h /x truncated",
            "GET k /2",
            "1: -",
            "2: -",
            "3: -"
        ]
    );
    assert_eq!(notes.counters.http2_lost, 1);
}

#[test]
fn a_head_in_one_frame_beyond_the_bound_is_told_as_far_as_it_goes() {
    let length = 2 * HEAD_BYTES_MAX;
    let mut payload = vec![
        0x82, 0x86, 0x41, 1, b'h', 4, 2, b'/', b'x', 0, 1, b'a', 0x7f, 0xff, 0xff, 0x7f,
    ];
    payload.resize(length, b'x');
    let to_server = Direction::ToServer;
    let mut all = talk(&[">start"]);
    all.push((to_server, Act::Bytes(frame(1, 5, 1, &payload))));
    all.extend(talk(&[">get 3 k /y"]));
    for size in [1000, usize::MAX] {
        let mut tap = Tap::new(Flags::NONE);
        tap.hear_all(&all, std::iter::repeat(size));
        assert!(tap.session.heap_bytes() <= 8192);
        let lines = tap.end().lines;
        assert_eq!(lines, ["GET h /x truncated", "GET k /y", "1: -", "2: -"]);
    }
}

#[test]
fn streams_that_nobody_answers_are_bounded_and_counted() {
    let mut tap = Tap::new(Flags::NONE);
    let mut script = vec![">start".to_owned()];
    let count = STREAMS_MAX + 10;
    script.extend((0..count).map(|number| format!(">get {} h /", 2 * number + 1)));
    let script: Vec<&str> = script.iter().map(String::as_str).collect();
    tap.hear_all(&talk(&script), std::iter::repeat(usize::MAX));
    assert!(tap.session.heap_bytes() <= 32 * STREAMS_MAX);
    let unanswered = |notes: &Notes| {
        notes
            .lines
            .iter()
            .filter(|line| line.ends_with('-'))
            .count()
    };
    assert_eq!(unanswered(&tap.notes), 10);
    let notes = tap.end();
    assert_eq!(notes.counters.http2_streams_dropped, 10);
    assert_eq!(unanswered(&notes), count);
}

#[test]
fn answers_without_requests_are_bounded_and_counted() {
    let script: Vec<String> = (0..100)
        .map(|number| format!("<status {} 200", 2 * number + 1))
        .collect();
    let mut lines = vec!["<start"];
    lines.extend(script.iter().map(String::as_str));
    let mut tap = Tap::new(Flags::NONE);
    tap.hear_all(&talk(&lines), std::iter::repeat(usize::MAX));
    assert_eq!(
        tap.notes.counters.responses_unmatched,
        100 - EARLY_RESPONSES_MAX as u64
    );
    assert!(tap.session.heap_bytes() <= 4096);
    assert_eq!(tap.end().counters.responses_unmatched, 100);
}

#[test]
fn bodies_cost_no_memory_however_they_are_cut() {
    let mut tap = Tap::new(Flags::NONE);
    let start = talk(&[">start ; post 1 h /x"]);
    tap.hear_all(&start, std::iter::repeat(usize::MAX));
    let before = tap.session.heap_bytes();
    let body = frame(0, 0, 1, &[0; 5000]);
    for size in [1, 4, 9, 1448, 5009] {
        for piece in body.chunks(size) {
            tap.hear(Direction::ToServer, Chunk::Data(piece));
            assert_eq!(tap.session.heap_bytes(), before);
        }
    }
}

#[test]
fn what_a_connection_is_worth_grows_with_what_is_known_of_it() {
    let mut tap = Tap::new(Flags::NONE);
    let mut hear = |script: &[&str], size: usize| {
        tap.hear_all(
            &talk(script),
            std::iter::once(size).chain(std::iter::repeat(usize::MAX)),
        );
        tap.session.interest()
    };
    assert_eq!(hear(&[">start"], usize::MAX), Interest::Idle);
    assert_eq!(hear(&[">get 1 other /x"], usize::MAX), Interest::Idle);
    assert_eq!(hear(&[">frame 1 0 3 82"], usize::MAX), Interest::Undecided);
    assert_eq!(
        hear(&[">frame 9 4 3 86840105 6f74686572"], usize::MAX),
        Interest::Idle
    );
    assert_eq!(
        hear(&[">frame 1 4 5 82868441 01 68"], usize::MAX),
        Interest::Undecided
    );
    assert_eq!(hear(&[">frame 1 0 7 82"], usize::MAX), Interest::Watched);
}

// ── any cutting ──

/// A conversation with everything in it.
const CONVERSATION: [&str; 9] = [
    ">start ; get 1 h /1 ; pieces 3 h /2?x=y 2",
    "<start ; ack ; status 1 100 ; status 3 200 ; data 3 70",
    ">ack ; post 5 h /3 ; body 5 |GET /fake HTTP/1.1|Host: h|| ; data 5 300 ; trailers 5",
    "<promise 1 2 h /style ; status 1 304 ; status 2 200 ; data 2 9 ; data 3 70 ; trailers 3",
    ">frame 2 0 9 0000000010 ; padded 7 other /4 ; frame 8 0 0 00000001 ; get 9 i /5 ; rst 9",
    "<status 5 204 ; frame 6 0 0 0000000000000000 ; status 7 404 ; status 9 404",
    ">frame 16 0 0 753d30 ; get 11 h / ; get 13 h /6",
    "<rst 11 ; goaway 11",
    "<fin",
];

proptest! {
    #[test]
    fn any_cutting_of_a_conversation_says_the_same(
        cuts in prop::collection::vec(1_usize..60, 1..60),
    ) {
        let talk = talk(&CONVERSATION);
        let mut tap = Tap::new(Flags::NONE);
        tap.hear_all(&talk, cuts.into_iter().cycle());
        let notes = tap.end();
        prop_assert_eq!(&notes.lines, &[
            "GET h /1", "GET h /2?x=y", "2: 200", "POST h /3", "1: 304", "GET i /5", "3: 204",
            "4: 404", "GET h /", "GET h /6", "5: -", "6: -",
        ]);
        prop_assert_eq!(notes.counters.http2_malformed, 0);
    }

    /// With holes anywhere nothing is told that was not said. (Behind a hole a body may hold the
    /// very bytes of a request: that one, which nobody could tell apart, is left out here.)
    #[test]
    fn holes_invent_nothing(
        cuts in prop::collection::vec((1_usize..60, 0_u8..8), 1..60),
        midstream: bool,
    ) {
        let flags = if midstream { Flags::MIDSTREAM } else { Flags::NONE };
        let plain = CONVERSATION.map(|line| line.replace("body 5 |GET /fake HTTP/1.1|Host: h||", "data 5 40"));
        let (talk, mut tap) = (talk(&plain.each_ref().map(String::as_str)), Tap::new(flags));
        let mut cuts = cuts.into_iter().cycle();
        for (direction, act) in &talk {
            let Act::Bytes(bytes) = act else { continue };
            let mut rest = bytes.as_slice();
            while !rest.is_empty() {
                let (size, fate) = cuts.next().unwrap();
                let (piece, after) = rest.split_at(size.min(rest.len()));
                match fate {
                    0 => tap.hear(*direction, Chunk::Gap(piece.len() as u64)),
                    _ => tap.hear(*direction, Chunk::Data(piece)),
                }
                rest = after;
            }
        }
        let said = [("h", "/1"), ("h", "/2?x=y"), ("h", "/3"), ("i", "/5"), ("h", "/"), ("h", "/6")];
        for line in tap.end().lines {
            let words: Vec<&str> = line.split(' ').collect();
            if let ["GET" | "POST", authority, target, ..] = words.as_slice() {
                let was_said = |(host, path): &(&str, &str)| {
                    path == target && (*authority == "-" || host == authority)
                };
                prop_assert!(said.iter().any(was_said), "{}", line);
            }
        }
    }

    #[test]
    fn arbitrary_frames_do_no_harm(
        frames in prop::collection::vec(
            (any::<bool>(), 0_u8..12, any::<u8>(), 0_u32..6, prop::collection::vec(any::<u8>(), 0..80)),
            1..60,
        ),
        cut in 1_usize..100,
        gap in 0_u64..50,
    ) {
        let mut tap = Tap::new(Flags::NONE);
        tap.hear_all(&talk(&[">start", "<start"]), std::iter::repeat(usize::MAX));
        for (from_client, kind, flags, stream, payload) in frames {
            let direction = if from_client { Direction::ToServer } else { Direction::ToClient };
            for piece in frame(kind, flags, stream, &payload).chunks(cut) {
                tap.hear(direction, Chunk::Data(piece));
            }
            if gap > 40 {
                tap.hear(direction, Chunk::Gap(gap));
            }
            prop_assert!(tap.session.heap_bytes() <= 64 * 1024);
        }
        tap.end();
    }

    #[test]
    fn arbitrary_bytes_after_a_start_do_no_harm(
        chunks in prop::collection::vec(
            (any::<bool>(), prop::collection::vec(any::<u8>(), 1..200)), 1..40,
        ),
    ) {
        let mut tap = Tap::new(Flags::NONE);
        tap.hear_all(&talk(&[">start", "<start"]), std::iter::repeat(usize::MAX));
        for (from_client, bytes) in chunks {
            let direction = if from_client { Direction::ToServer } else { Direction::ToClient };
            tap.hear(direction, Chunk::Data(&bytes));
        }
        tap.end();
    }
}

/// Keeps the compiler from forgetting what a conversation is made of.
#[test]
fn a_script_says_what_it_means() {
    let all: Talk = talk(&[">get 1 h /", "<status 1 200", "~>data 1 3", "<fin"]);
    assert!(matches!(all[2].1, Act::Missing(12)));
    let Act::Bytes(bytes) = &all[0].1 else {
        panic!()
    };
    assert_eq!(bytes[..9], [0, 0, bytes.len() as u8 - 9, 1, 5, 0, 0, 0, 1]);
    assert_eq!(bytes[9..12], [0x82, 0x86, 0x41]);
}
