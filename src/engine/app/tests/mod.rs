//! Conversations as scripts: `>` is the client, `<` the server; `\r\n` is written `|`.

mod cuttings;
mod http1;
mod losses;

use std::net::SocketAddr;

use proptest::prelude::*;

use super::*;
use crate::event::Scheme;
use crate::link::Scope;
use crate::transport::{Chunk, Direction, FlowState, Interest};

/// What was observed, one line each: `HEAD www.example.org /target`, `1: 200`, `1: -`.
#[derive(Debug, Default)]
pub(super) struct Notes {
    pub(super) lines: Vec<String>,
    last: u64,
    pub(super) counters: Counters,
    /// Whether requests that name no host are not wanted.
    needs_host: bool,
}

impl Observer for Notes {
    fn is_watched(&self, authority: &[u8]) -> bool {
        !(authority.starts_with(b"other") || self.needs_host && authority.is_empty())
    }

    fn on_request(&mut self, context: &StreamContext, head: &RequestHead<'_>) -> Option<EventId> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let flags: Vec<&str> = context.flags.with(head.flags).names().collect();
        self.lines.push(
            format!(
                "{} {} {} {}",
                text(head.method),
                head.authority.map_or("-".into(), text),
                text(head.target),
                flags.join(" ")
            )
            .trim_end()
            .to_owned(),
        );
        self.last += 1;
        Some(EventId(self.last))
    }

    fn on_status(&mut self, _time: Timestamp, request: EventId, status: u16) {
        self.lines.push(format!("{}: {status}", request.0));
    }

    fn on_unanswered(&mut self, request: EventId) {
        self.lines.push(format!("{}: -", request.0));
    }

    fn counters(&mut self) -> &mut Counters {
        &mut self.counters
    }
}

pub(super) fn context(direction: Direction, flags: Flags) -> StreamContext {
    let client: SocketAddr = "203.0.113.9:50000".parse().unwrap();
    let server: SocketAddr = "192.168.1.10:80".parse().unwrap();
    let (src, dst) = match direction {
        Direction::ToServer => (client, server),
        Direction::ToClient => (server, client),
    };
    StreamContext {
        time: Timestamp::default(),
        scope: Scope::default(),
        offset: 0,
        acked: None,
        src,
        dst,
        direction,
        flags,
        scheme: Scheme::Http,
    }
}

fn line_of(line: &str) -> (Direction, Vec<u8>) {
    let (side, text) = line.split_at(1);
    let direction = match side {
        ">" => Direction::ToServer,
        _ => Direction::ToClient,
    };
    (direction, text.replace('|', "\r\n").into_bytes())
}

fn play_with(flags: Flags, script: &[&str]) -> Notes {
    play_to(Notes::default(), flags, script)
}

fn play_to(mut notes: Notes, flags: Flags, script: &[&str]) -> Notes {
    let mut session = Session::new();
    for line in script {
        let (direction, bytes) = line_of(line);
        let context = context(direction, flags);
        match bytes.as_slice() {
            b"FIN" => session.on_chunk(&context, Chunk::Fin, &mut notes),
            b"RST" => session.on_chunk(&context, Chunk::Reset, &mut notes),
            [b'G', b'A', b'P', length @ ..] => {
                let length = String::from_utf8_lossy(length).parse().unwrap();
                session.on_chunk(&context, Chunk::Gap(length), &mut notes);
            }
            bytes => session.on_chunk(&context, Chunk::Data(bytes), &mut notes),
        }
    }
    session.on_close(Timestamp::default(), &mut notes);
    notes
}

fn play(script: &[&str]) -> Vec<String> {
    play_with(Flags::NONE, script).lines
}

#[test]
fn a_request_and_its_answer() {
    assert_eq!(
        play(&[">HEAD /x HTTP/1.1|Host: h||", "<HTTP/1.1 200 OK||"]),
        ["HEAD h /x", "1: 200"]
    );
}

#[test]
fn a_head_that_comes_in_pieces() {
    assert_eq!(
        play(&[">GE", ">T /x HT", ">TP/1.1|Ho", ">st: h|", ">|"]),
        ["GET h /x", "1: -"]
    );
}

#[test]
fn requests_one_after_the_other_and_all_at_once() {
    let one = play(&[
        ">GET /1 HTTP/1.1|Host: h||",
        "<HTTP/1.1 200 OK|Content-Length: 3||abc",
        ">GET /2 HTTP/1.1|Host: h||",
        "<HTTP/1.1 404 No|Content-Length: 0||",
    ]);
    assert_eq!(one, ["GET h /1", "1: 200", "GET h /2", "2: 404"]);
    let piped = play(&[
        ">GET /1 HTTP/1.1|Host: h||GET /2 HTTP/1.1|Host: h||",
        "<HTTP/1.1 200 OK|Content-Length: 3||abcHTTP/1.1 404 No|Content-Length: 0||",
    ]);
    assert_eq!(piped, ["GET h /1", "GET h /2", "1: 200", "2: 404"]);
}

#[test]
fn an_answer_to_head_has_no_body_whatever_its_length_says() {
    let lines = play(&[
        ">HEAD /1 HTTP/1.1|Host: h||GET /2 HTTP/1.1|Host: h||",
        "<HTTP/1.1 200 OK|Content-Length: 99||HTTP/1.1 404 No|Content-Length: 0||",
    ]);
    assert_eq!(lines, ["HEAD h /1", "GET h /2", "1: 200", "2: 404"]);
}

#[test]
fn interim_answers_are_none() {
    let lines = play(&[
        ">PUT /1 HTTP/1.1|Host: h|Expect: 100-continue|Content-Length: 2||",
        "<HTTP/1.1 100 Continue||",
        ">ab",
        "<HTTP/1.1 103 Early Hints||HTTP/1.1 201 Created||",
    ]);
    assert_eq!(lines, ["PUT h /1", "1: 201"]);
}

#[test]
fn a_request_inside_a_body_is_none() {
    let fake = "GET /canary HTTP/1.1|Host: h||";
    let length = fake.replace('|', "\r\n").len();
    let by_length = format!(">POST / HTTP/1.1|Host: h|Content-Length: {length}||{fake}");
    assert_eq!(play(&[&by_length]), ["POST h /", "1: -"]);
    let chunked = format!(
        ">POST / HTTP/1.1|Host: h|Transfer-Encoding: chunked||{length:x};x=y|{fake}|0|T: v||GET /2 HTTP/1.1|Host: h||"
    );
    assert_eq!(play(&[&chunked]), ["POST h /", "GET h /2", "1: -", "2: -"]);
}

#[test]
fn chunked_goes_before_a_length() {
    let lines = play(&[
        ">POST / HTTP/1.1|Host: h|Content-Length: 5|Transfer-Encoding: chunked||3|abc|0||GET /2 HTTP/1.1|Host: h||",
    ]);
    assert_eq!(lines, ["POST h /", "GET h /2", "1: -", "2: -"]);
}

#[test]
fn lengths_that_contradict_each_other_lose_the_way_and_it_is_found_again() {
    let lines = play(&[
        ">POST / HTTP/1.1|Host: h|Content-Length: 5|Content-Length: 6||abcde\n",
        ">GET /2 HTTP/1.1|Host: h||",
    ]);
    assert_eq!(lines.first().map(String::as_str), Some("POST h /"));
    assert!(
        lines.iter().any(|line| line.starts_with("GET h /2")),
        "{lines:?}"
    );
}

#[test]
fn what_real_servers_forgive_is_read() {
    assert_eq!(play(&[">\r\n\r\nGET /x HTTP/1.1|Host: h||"])[0], "GET h /x");
    assert_eq!(play(&[">GET /x HTTP/1.1\nHost: h\n\n"])[0], "GET h /x");
    assert_eq!(
        play(&[">GET /x HTTP/1.1|A: b| folded|\tagain|Host:\th \t||"])[0],
        "GET h /x"
    );
    assert_eq!(
        play(&[">GET /\u{e9} HTTP/1.1|hOST: h||"])[0],
        "GET h /\u{e9}"
    );
    assert_eq!(play(&[">GET /x HTTP/1.0||"])[0], "GET - /x");
}

#[test]
fn an_absolute_targets_authority_goes_before_the_host_field() {
    assert_eq!(
        play(&[">GET http://one/x HTTP/1.1|Host: two||"])[0],
        "GET one http://one/x"
    );
}

#[test]
fn requests_for_hosts_that_are_not_watched_are_framed_and_not_told() {
    let notes = play_with(
        Flags::NONE,
        &[
            ">POST / HTTP/1.1|Host: other|Content-Length: 4||GET GET /2 HTTP/1.1|Host: h||",
            "<HTTP/1.1 200 OK|Content-Length: 2||okHTTP/1.1 204 No||",
        ],
    );
    assert_eq!(notes.lines, ["GET h /2", "1: 204"]);
    assert_eq!(notes.counters.requests_not_watched, 1);
}

#[test]
fn after_an_upgrade_and_after_connect_nothing_is_read() {
    let upgrade = play(&[
        ">GET /ws HTTP/1.1|Host: h|Upgrade: websocket||",
        "<HTTP/1.1 101 Switching||",
        ">GET /fake HTTP/1.1|Host: h||",
    ]);
    assert_eq!(upgrade, ["GET h /ws", "1: 101"]);
    let connect = play(&[
        ">CONNECT h:443 HTTP/1.1|Host: h:443||",
        "<HTTP/1.1 200 OK||",
        ">GET /fake HTTP/1.1|Host: h||",
    ]);
    assert_eq!(connect, ["CONNECT h:443 h:443", "1: 200"]);
}

#[test]
fn bytes_missing_in_a_body_of_known_length_lose_nothing() {
    let lines = play(&[
        ">POST / HTTP/1.1|Host: h|Content-Length: 100||0123456789",
        ">GAP80",
        ">0123456789GET /2 HTTP/1.1|Host: h||",
    ]);
    assert_eq!(lines[1], "GET h /2");
}

#[test]
fn bytes_missing_in_a_head_cost_that_request_and_flag_the_next() {
    let lines = play(&[
        ">GET /1 HTTP/1.1|Ho",
        ">GAP20",
        ">: x||GET /2 HTTP/1.1|Host: h||GET /3 HTTP/1.1|Host: h||",
    ]);
    let requests: Vec<_> = lines.iter().filter(|line| line.contains("GET")).collect();
    assert_eq!(requests, ["GET h /2 gap", "GET h /3"]);
}

#[test]
fn after_a_hole_among_requests_no_answer_is_given_to_the_wrong_one() {
    let lines = play(&[
        ">GET /1 HTTP/1.1|Host: h||",
        ">GAP60",
        ">GET /3 HTTP/1.1|Host: h||",
        "<HTTP/1.1 200 OK|Content-Length: 0||HTTP/1.1 404 No|Content-Length: 0||",
    ]);
    assert_eq!(lines, ["GET h /1", "GET h /3 gap", "2: -", "1: 200"]);
}

#[test]
fn from_the_middle_reading_begins_at_the_next_request_line() {
    let notes = play_with(
        Flags::MIDSTREAM,
        &[">rest of a body\r\nGET /2 HTTP/1.1|Host: h||"],
    );
    assert_eq!(notes.lines[0], "GET h /2 midstream");
}

#[test]
fn a_request_line_is_found_however_its_bytes_are_cut_and_never_in_the_middle_of_a_line() {
    let script = ">body GET /fake HTTP/1.1\r\nGET /2 HTTP/1.1|Host: h||";
    let (_, bytes) = line_of(script);
    for size in 1..bytes.len() {
        let (mut session, mut notes) = (Session::new(), Notes::default());
        for piece in bytes.chunks(size) {
            let context = context(Direction::ToServer, Flags::MIDSTREAM);
            session.on_chunk(&context, Chunk::Data(piece), &mut notes);
        }
        assert_eq!(notes.lines, ["GET h /2 midstream"], "in pieces of {size}");
    }
}

#[test]
fn from_the_middle_the_side_that_asks_is_told_by_what_it_says() {
    let notes = play_with(
        Flags::MIDSTREAM,
        &["<GET /x HTTP/1.1|Host: h||", ">HTTP/1.1 200 OK||"],
    );
    assert_eq!(notes.lines, ["GET h /x midstream", "1: 200"]);
}

#[test]
fn an_answer_without_its_request_is_not_given_to_the_next() {
    let notes = play_with(
        Flags::MIDSTREAM,
        &[
            "<HTTP/1.1 500 Oops|Content-Length: 0||",
            ">GET /x HTTP/1.1|Host: h||",
            "<HTTP/1.1 200 OK||",
        ],
    );
    assert_eq!(notes.lines, ["GET h /x midstream", "1: 200"]);
}

#[test]
fn a_reset_and_the_servers_end_leave_requests_unanswered() {
    assert_eq!(
        play(&[">GET /x HTTP/1.1|Host: h||", "<RST"]),
        ["GET h /x", "1: -"]
    );
    assert_eq!(
        play(&[">GET /x HTTP/1.1|Host: h||", "<FIN"]),
        ["GET h /x", "1: -"]
    );
}

#[test]
fn a_head_beyond_the_bound_is_given_up_and_counted() {
    let long = format!(">GET /{} HTTP/1.1|Host: h", "x".repeat(300_000));
    let notes = play_with(Flags::NONE, &[&long, ">\nGET /2 HTTP/1.1|Host: h||"]);
    assert_eq!(notes.counters.http1_head_too_long, 1);
    assert!(notes.lines[0].starts_with("GET h /2"), "{:?}", notes.lines);
}

#[test]
fn what_a_flow_says_grows_with_what_is_known_of_it() {
    let mut session = Session::new();
    let mut notes = Notes::default();
    let context = context(Direction::ToServer, Flags::NONE);
    // Nothing is lost with it: a flood of handshakes goes before the first half head.
    assert_eq!(session.interest(), Interest::Idle);
    session.on_chunk(&context, Chunk::Data(b"GET /x HTTP/1.1\r\n"), &mut notes);
    assert_eq!(session.interest(), Interest::Undecided);
    session.on_chunk(&context, Chunk::Data(b"Host: h\r\n"), &mut notes);
    assert_eq!(session.interest(), Interest::Watched);
    let mut session = Session::new();
    let head = b"GET /x HTTP/1.1\r\nHost: other\r\n";
    session.on_chunk(&context, Chunk::Data(head), &mut notes);
    assert_eq!(session.interest(), Interest::Idle);
}

/// A conversation with everything in it.
const CONVERSATION: [&str; 6] = [
    ">GET /1 HTTP/1.1|Host: h|A: b||HEAD /2?x=y HTTP/1.1|Host: h||",
    "<HTTP/1.1 200 OK|Transfer-Encoding: chunked||5;e=1|abcde|0|T: v||HTTP/1.1 304 Not||",
    ">POST /3 HTTP/1.1|Host: h|Transfer-Encoding: chunked||21|GET /fake HTTP/1.1|Host: h||..|0||",
    "<HTTP/1.1 100 Continue||HTTP/1.1 200 OK|Content-Length: 4||body",
    ">\r\nOPTIONS * HTTP/1.1|Host: h||",
    "<HTTP/1.1 204 None||",
];

proptest! {
    #[test]
    fn any_cutting_of_a_conversation_says_the_same(cuts in proptest::collection::vec(1usize..40, 1..60)) {
        let whole = play(&CONVERSATION);
        let (mut session, mut notes) = (Session::new(), Notes::default());
        let mut cuts = cuts.into_iter().cycle();
        for line in CONVERSATION {
            let (direction, bytes) = line_of(line);
            let context = context(direction, Flags::NONE);
            let mut rest = bytes.as_slice();
            while !rest.is_empty() {
                let (piece, after) = rest.split_at(cuts.next().unwrap().min(rest.len()));
                session.on_chunk(&context, Chunk::Data(piece), &mut notes);
                rest = after;
            }
        }
        session.on_close(Timestamp::default(), &mut notes);
        prop_assert_eq!(notes.lines, whole);
    }

    #[test]
    fn arbitrary_bytes_do_no_harm(
        chunks in proptest::collection::vec(
            (any::<bool>(), proptest::collection::vec(any::<u8>(), 1..200), 0u64..3), 1..40
        ),
        midstream in any::<bool>(),
    ) {
        let flags = if midstream { Flags::MIDSTREAM } else { Flags::NONE };
        let (mut session, mut notes) = (Session::new(), Notes::default());
        for (client, bytes, gap) in chunks {
            let direction = if client { Direction::ToServer } else { Direction::ToClient };
            let context = context(direction, flags);
            session.on_chunk(&context, Chunk::Data(&bytes), &mut notes);
            if gap > 0 {
                session.on_chunk(&context, Chunk::Gap(gap), &mut notes);
            }
            prop_assert!(session.heap_bytes() <= 3 * crate::limits::HEAD_BYTES_MAX);
        }
        session.on_close(Timestamp::default(), &mut notes);
    }
}
