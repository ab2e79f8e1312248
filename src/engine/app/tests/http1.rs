//! HTTP/1 by situation: what is said, and what of it is told.

use proptest::prelude::*;

use super::*;
use crate::limits::{HEAD_BYTES_MAX, PIPELINED_REQUESTS_MAX};

/// A situation: its name, the conversation, what is told.
type Case<'a> = (&'a str, &'a [&'a str], &'a [&'a str]);

/// Plays each in one piece and, unless bytes are missing, cut in many ways, passing over what may be.
fn check(flags: Flags, cases: &[Case<'_>]) {
    for (name, script, expected) in cases {
        assert_eq!(play_with(flags, script).lines, *expected, "{name}");
        if script.iter().any(|line| line.contains("GAP")) {
            continue;
        }
        for size in [1, 2, 3, 7, 16, 61] {
            let cut = play_in_pieces(flags, script, size);
            assert_eq!(cut, *expected, "{name}, in pieces of {size}");
        }
    }
}

fn play_in_pieces(flags: Flags, script: &[&str], size: usize) -> Vec<String> {
    let (mut session, mut notes) = (Session::new(), Notes::default());
    for line in script {
        let (direction, bytes) = line_of(line);
        let context = context(direction, flags);
        match bytes.as_slice() {
            b"FIN" => session.on_chunk(&context, Chunk::Fin, &mut notes),
            b"RST" => session.on_chunk(&context, Chunk::Reset, &mut notes),
            bytes => {
                for piece in bytes.chunks(size) {
                    if !session.pass_over(direction, context.offset, piece) {
                        session.on_chunk(&context, Chunk::Data(piece), &mut notes);
                    }
                }
            }
        }
    }
    session.on_close(Timestamp::default(), &mut notes);
    notes.lines
}

#[test]
fn request_lines_and_hosts() {
    check(
        Flags::NONE,
        &[
            (
                "lower-case method",
                &[">get /x HTTP/1.1|Host: h||"],
                &["get h /x", "1: -"],
            ),
            (
                "unknown method",
                &[">BREW /x HTTP/1.1|Host: h||"],
                &["BREW h /x", "1: -"],
            ),
            (
                "HTTP/1.0 without Host",
                &[">GET /x HTTP/1.0||"],
                &["GET - /x", "1: -"],
            ),
            (
                "HTTP/1.1 without Host",
                &[">GET /x HTTP/1.1|A: b||"],
                &["GET - /x", "1: -"],
            ),
            (
                "empty Host",
                &[">GET /x HTTP/1.1|Host:||"],
                &["GET - /x", "1: -"],
            ),
            (
                "port kept",
                &[">GET /x HTTP/1.1|Host: h:8080||"],
                &["GET h:8080 /x", "1: -"],
            ),
            (
                "case and dot kept",
                &[">GET /x HTTP/1.1|HOST:H.||"],
                &["GET H. /x", "1: -"],
            ),
            (
                "blank before the colon",
                &[">GET /x HTTP/1.1|Host : h||"],
                &["GET h /x", "1: -"],
            ),
            (
                "tabs",
                &[">GET\t/x\tHTTP/1.1|Host:\t\th\t||"],
                &["GET h /x", "1: -"],
            ),
            (
                "blanks at the line's end",
                &[">GET /x HTTP/1.1  |Host: h||"],
                &["GET h /x", "1: -"],
            ),
            (
                "blank in the target",
                &[">GET /x y HTTP/1.1|Host: h||"],
                &["GET h /x y", "1: -"],
            ),
            (
                "two hosts: the first counts",
                &[">GET / HTTP/1.1|Host: h|Host: other||"],
                &["GET h /", "1: -"],
            ),
            (
                "two hosts: the first is not watched",
                &[">GET / HTTP/1.1|Host: other|Host: h||"],
                &[],
            ),
            (
                "empty and then a host",
                &[">GET / HTTP/1.1|Host:|Host: h||"],
                &["GET h /", "1: -"],
            ),
            (
                "host on a folded line",
                &[">GET / HTTP/1.1|Host:| h||"],
                &["GET h /", "1: -"],
            ),
            (
                "something folded behind a host",
                &[">GET / HTTP/1.1|Host: h| x||"],
                &["GET h /", "1: -"],
            ),
            (
                "a fold that looks like Host",
                &[">GET / HTTP/1.1|A: b| Host: other|Host: h||"],
                &["GET h /", "1: -"],
            ),
            (
                "fold before any field",
                &[">GET / HTTP/1.1| x|Host: h||"],
                &["GET h /", "1: -"],
            ),
            (
                "absolute target",
                &[">GET http://h/x HTTP/1.1||"],
                &["GET h http://h/x", "1: -"],
            ),
            (
                "absolute target, not watched",
                &[">GET http://other/ HTTP/1.1|Host: h||"],
                &[],
            ),
            (
                "absolute target with user",
                &[">GET http://u:p@h/x HTTP/1.1|Host: z||"],
                &["GET h http://u:p@h/x", "1: -"],
            ),
            (
                "absolute target, upper case",
                &[">GET HTTPS://H HTTP/1.1||"],
                &["GET H HTTPS://H", "1: -"],
            ),
            (
                "no authority in it",
                &[">GET http:///x HTTP/1.1|Host: h||"],
                &["GET h http:///x", "1: -"],
            ),
            (
                "asterisk",
                &[">OPTIONS * HTTP/1.1|Host: h||"],
                &["OPTIONS h *", "1: -"],
            ),
            (
                "authority form",
                &[">CONNECT h:443 HTTP/1.1|Host: z||"],
                &["CONNECT h:443 h:443", "1: -"],
            ),
            (
                "fragment in the target",
                &[">GET /x#y HTTP/1.1|Host: h||"],
                &["GET h /x#y", "1: -"],
            ),
            (
                "above 127",
                &[">GET /\u{e4} HTTP/1.1|Host: h||"],
                &["GET h /\u{e4}", "1: -"],
            ),
            (
                "version 1.9",
                &[">GET /x HTTP/1.9|Host: h||"],
                &["GET h /x", "1: -"],
            ),
            (
                "version 2.0 in HTTP/1",
                &[">GET /x HTTP/2.0|Host: h||"],
                &["GET h /x", "1: -"],
            ),
            (
                "bare line feeds",
                &[">GET /x HTTP/1.1\nHost: h\n\n"],
                &["GET h /x", "1: -"],
            ),
            (
                "both line ends",
                &[">GET /x HTTP/1.1|Host: h\nA: b|\n"],
                &["GET h /x", "1: -"],
            ),
            (
                "empty lines before",
                &[">||\n\n|GET /x HTTP/1.1|Host: h||"],
                &["GET h /x", "1: -"],
            ),
            (
                "lines that are no fields",
                &[">GET /x HTTP/1.1|nonsense|: x|Host: h||"],
                &["GET h /x", "1: -"],
            ),
            (
                "control bytes in a value",
                &[">GET /x HTTP/1.1|A: \u{1}\u{2}|Host: h||"],
                &["GET h /x", "1: -"],
            ),
            (
                "a lone CR in a value",
                &[">GET /x HTTP/1.1|A: b\rHost: z|Host: h||"],
                &["GET h /x", "1: -"],
            ),
        ],
    );
}

#[test]
fn what_is_no_request() {
    check(
        Flags::NONE,
        &[
            ("half a head", &[">GET /x HTTP/1.1|Host: h|"], &[]),
            ("half a line", &[">GET /x HTT"], &[]),
            (
                "control byte in the target",
                &[">GET /\u{1} HTTP/1.1|Host: h||"],
                &[],
            ),
            ("nul in the target", &[">GET /\0 HTTP/1.1|Host: h||"], &[]),
            (
                "after one that is none, the next is flagged",
                &[
                    ">GET /\u{1} HTTP/1.1|Host: h||GET /2 HTTP/1.1|Host: h||GET /3 HTTP/1.1|Host: h||",
                ],
                &["GET h /2 gap", "GET h /3", "1: -", "2: -"],
            ),
            (
                "SSH",
                &[
                    "<SSH-2.0-x|",
                    ">SSH-2.0-OpenSSH_9 Debian-2|GET /x HTTP/1.1|Host: h||",
                ],
                &[],
            ),
            (
                "mail",
                &[
                    "<220 mail ESMTP|",
                    ">EHLO h|",
                    "<250 ok|",
                    ">GET /x HTTP/1.1|Host: h||",
                ],
                &[],
            ),
            (
                "mail that speaks first",
                &[">EHLO h|GET /x HTTP/1.1|Host: h||"],
                &[],
            ),
            (
                "a key-value store",
                &[">GET key|GET /x HTTP/1.1|Host: h||"],
                &[],
            ),
            (
                "TLS",
                &[">\u{16}\u{3}\u{1}\0GET /x HTTP/1.1|Host: h||"],
                &[],
            ),
            ("binary", &[">\0\u{1}|GET /x HTTP/1.1|Host: h||"], &[]),
            ("JSON", &[">{\"a\":1}\nGET /x HTTP/1.1|Host: h||"], &[]),
        ],
    );
}

#[test]
fn bodies_of_requests() {
    const FAKE: &str = "GET /fake HTTP/1.1|Host: h||"; // 31 bytes
    let with = |head: &str, after: &str| {
        format!(">POST / HTTP/1.1|Host: h|{head}||{after}GET /2 HTTP/1.1|Host: h||")
    };
    for (head, body) in [
        ("Content-Length: 31", FAKE.to_owned()),
        ("Content-Length: 31, 31", FAKE.to_owned()),
        ("content-length:31|Content-Length: 31", FAKE.to_owned()),
        ("Content-Length:| 31", FAKE.to_owned()),
        ("Content-Length: 0", String::new()),
        ("Content-Length: 31", format!("{FAKE}|")),
        ("Transfer-Encoding: chunked", format!("1f|{FAKE}|0||")),
        (
            "Transfer-Encoding: chunked",
            format!("1F;a=b;c=\"d\"|{FAKE}|0;x||"),
        ),
        (
            "Transfer-Encoding: chunked",
            format!("001f  |{FAKE}|000|T: v|U: w||"),
        ),
        ("Transfer-Encoding: chunked", format!("1f\n{FAKE}\n0\n\n")),
        (
            "Transfer-Encoding: chunked",
            format!("1|G|1e|{}|0||", &FAKE[1..]),
        ),
        (
            "Transfer-Encoding: chunked|Content-Length: 3",
            format!("1f|{FAKE}|0||"),
        ),
        ("Transfer-Encoding: gzip, chunked", format!("1f|{FAKE}|0||")),
        ("Transfer-Encoding: chunked", format!("0|{FAKE}")),
        (
            "Transfer-Encoding: identity|Content-Length: 31",
            FAKE.to_owned(),
        ),
        (
            "Upgrade-Insecure-Requests: 1|Content-Length: 31",
            FAKE.to_owned(),
        ),
    ] {
        let script = with(head, &body);
        let expected: &[&str] = &["POST h /", "GET h /2", "1: -", "2: -"];
        check(
            Flags::NONE,
            &[(&format!("{head} {body}"), &[&script], expected)],
        );
        let unwatched = script.replacen("Host: h", "Host: other", 1);
        check(Flags::NONE, &[(head, &[&unwatched], &["GET h /2", "1: -"])]);
    }
}

#[test]
fn bodies_whose_end_is_unsure_hide_what_is_in_them() {
    for head in [
        "Content-Length: 5|Content-Length: 6",
        "Content-Length: x",
        "Content-Length: -1",
        "Transfer-Encoding: chunked, gzip",
        "Transfer-Encoding: xchunked",
    ] {
        let script = format!(
            ">POST / HTTP/1.1|Host: h|{head}||GET /fake HTTP/1.1|Host: h||GET /2 HTTP/1.1|Host: h||"
        );
        check(
            Flags::NONE,
            &[(
                head,
                &[&script],
                &["POST h /", "GET h /2 gap", "2: -", "1: -"],
            )],
        );
    }
    check(
        Flags::NONE,
        &[(
            "no chunk where one must be",
            &[
                ">POST / HTTP/1.1|Host: h|Transfer-Encoding: chunked||3|abcd|0||GET /2 HTTP/1.1|Host: h||",
            ],
            &["POST h /", "GET h /2 gap", "2: -", "1: -"],
        )],
    );
}

#[test]
fn answers_find_their_requests() {
    const GET: &str = ">GET /x HTTP/1.1|Host: h||";
    const HEAD: &str = ">HEAD /x HTTP/1.1|Host: h||";
    const OTHER: &str = ">GET /x HTTP/1.1|Host: other||";
    const OTHER_HEAD: &str = ">HEAD /x HTTP/1.1|Host: other||";
    check(
        Flags::NONE,
        &[
            (
                "until the close",
                &[GET, "<HTTP/1.1 200 OK||HTTP/1.1 500 No||"],
                &["GET h /x", "1: 200"],
            ),
            (
                "without reason",
                &[GET, "<HTTP/1.1 404\nContent-Length: 0\n\n"],
                &["GET h /x", "1: 404"],
            ),
            (
                "head without end",
                &[GET, "<HTTP/1.1 301 Moved|Loc"],
                &["GET h /x", "1: 301"],
            ),
            (
                "line without end",
                &[GET, "<HTTP/1.1 20"],
                &["GET h /x", "1: -"],
            ),
            (
                "interim",
                &[
                    GET,
                    "<HTTP/1.1 102 P||HTTP/1.1 103 E|Link: x||HTTP/1.1 200 OK||",
                ],
                &["GET h /x", "1: 200"],
            ),
            (
                "only interim",
                &[GET, "<HTTP/1.1 100 Continue||"],
                &["GET h /x", "1: -"],
            ),
            (
                "after HEAD there is no body",
                &[
                    HEAD,
                    "<HTTP/1.1 200 OK|Content-Length: 9||",
                    GET,
                    "<HTTP/1.1 404 No||",
                ],
                &["HEAD h /x", "1: 200", "GET h /x", "2: 404"],
            ),
            (
                "nor when nobody watches",
                &[
                    OTHER_HEAD,
                    "<HTTP/1.1 200 OK|Transfer-Encoding: chunked||",
                    GET,
                    "<HTTP/1.1 404 No||",
                ],
                &["GET h /x", "1: 404"],
            ),
            (
                "204 and 304 have no body",
                &[
                    GET,
                    "<HTTP/1.1 304 N|Content-Length: 9||",
                    GET,
                    "<HTTP/1.1 204 N||",
                    GET,
                    "<HTTP/1.1 200 OK||",
                ],
                &[
                    "GET h /x", "1: 304", "GET h /x", "2: 204", "GET h /x", "3: 200",
                ],
            ),
            (
                "a fake answer in a body",
                &[
                    GET,
                    "<HTTP/1.1 200 OK|Content-Length: 19||HTTP/1.1 500 Oops||",
                    GET,
                    "<HTTP/1.1 404 No||",
                ],
                &["GET h /x", "1: 200", "GET h /x", "2: 404"],
            ),
            (
                "pipelined, some unwatched",
                &[
                    GET,
                    OTHER,
                    HEAD,
                    OTHER,
                    GET,
                    "<HTTP/1.1 201 A|Content-Length: 1||aHTTP/1.1 202 B|Content-Length: 0||HTTP/1.1 203 C|Content-Length: 5||",
                    "<HTTP/1.1 400 D|Transfer-Encoding: chunked||1|x|0||HTTP/1.1 205 E|Content-Length: 0||",
                ],
                &[
                    "GET h /x",
                    "HEAD h /x",
                    "GET h /x",
                    "1: 201",
                    "2: 203",
                    "3: 205",
                ],
            ),
            (
                "an answer before its request",
                &[
                    "<HTTP/1.1 200 OK|Content-Length: 2||ok",
                    GET,
                    GET,
                    "<HTTP/1.1 404 No||",
                ],
                &["GET h /x", "1: 200", "GET h /x", "2: 404"],
            ),
            (
                "an answer before its HEAD",
                &[
                    "<HTTP/1.1 200 OK|Content-Length: 2||",
                    HEAD,
                    GET,
                    "<HTTP/1.1 404 No||",
                ],
                &["HEAD h /x", "1: 200", "GET h /x", "2: 404"],
            ),
            (
                "the server ends first",
                &[GET, "<FIN"],
                &["GET h /x", "1: -"],
            ),
            (
                "the client ends first",
                &[GET, ">FIN", "<HTTP/1.1 200 OK||"],
                &["GET h /x", "1: 200"],
            ),
            (
                "nonsense for an answer",
                &[GET, "<hello|", GET, "<HTTP/1.1 200 OK||"],
                &["GET h /x", "1: -", "GET h /x", "2: 200"],
            ),
            (
                "only answers",
                &["<HTTP/1.1 200 OK|Content-Length: 0||HTTP/1.1 404 No|Content-Length: 0||"],
                &[],
            ),
            (
                "only requests",
                &[GET, GET, GET],
                &["GET h /x", "GET h /x", "GET h /x", "1: -", "2: -", "3: -"],
            ),
        ],
    );
}

#[test]
fn ways_out_of_http_1() {
    const FAKE: &str = ">GET /fake HTTP/1.1|Host: h||";
    const GET: &str = ">GET /x HTTP/1.1|Host: h||";
    check(
        Flags::NONE,
        &[
            (
                "101",
                &[
                    ">GET /ws HTTP/1.1|Host: h|Upgrade: websocket||",
                    "<HTTP/1.1 101 S|Upgrade: websocket||",
                    FAKE,
                ],
                &["GET h /ws", "1: 101"],
            ),
            (
                "101 that is seen before the rest of its request",
                &[
                    ">GET /ws HTTP/1.1|Ho",
                    "<HTTP/1.1 101 S|Upgrade: websocket||",
                    ">st: h|Upgrade: websocket||",
                    FAKE,
                ],
                &["GET h /ws", "1: 101"],
            ),
            (
                "101 that is seen before its request",
                &[
                    "<HTTP/1.1 101 S|Upgrade: websocket||bytes of the socket",
                    ">GET /ws HTTP/1.1|Host: h|Upgrade: websocket||",
                    FAKE,
                ],
                &["GET h /ws", "1: 101"],
            ),
            (
                "101 before a request for a host that is not watched",
                &[
                    ">GET /ws HTTP/1.1|Ho",
                    "<HTTP/1.1 101 S|Upgrade: websocket||",
                    ">st: other|Upgrade: websocket||",
                    FAKE,
                ],
                &[],
            ),
            (
                "101 before a request whose body cannot be framed",
                &[
                    ">GET /ws HTTP/1.1|Ho",
                    "<HTTP/1.1 101 S||",
                    ">st: h|Transfer-Encoding: odd||",
                    FAKE,
                ],
                &["GET h /ws", "1: 101"],
            ),
            (
                "101 before a request that is lost",
                &[
                    ">GET /ws HTTP/1.1|Ho",
                    "<HTTP/1.1 101 S|Upgrade: websocket||",
                    ">GAP20",
                    FAKE,
                ],
                &[],
            ),
            (
                "upgrade refused",
                &[
                    ">GET /ws HTTP/1.1|Host: h|Upgrade: websocket||",
                    "<HTTP/1.1 200 OK|Content-Length: 0||",
                    GET,
                    "<HTTP/1.1 404 No||",
                ],
                &["GET h /ws", "1: 200", "GET h /x", "2: 404"],
            ),
            (
                "CONNECT",
                &[">CONNECT h:80 HTTP/1.1||", "<HTTP/1.1 200 OK||", FAKE],
                &["CONNECT h:80 h:80", "1: 200"],
            ),
            (
                "CONNECT refused",
                &[
                    ">CONNECT h:80 HTTP/1.1||",
                    "<HTTP/1.1 405 No|Content-Length: 0||",
                    GET,
                    "<HTTP/1.1 200 OK||",
                ],
                &["CONNECT h:80 h:80", "1: 405", "GET h /x", "2: 200"],
            ),
            (
                "CONNECT for another host",
                &[">CONNECT other:80 HTTP/1.1||", "<HTTP/1.1 200 OK||", FAKE],
                &[],
            ),
            (
                "HTTP/0.9",
                &[">GET /x|", "<<html>HTTP/1.1 200 OK|"],
                &["GET - /x", "1: -"],
            ),
            (
                "HTTP/0.9 answered with a status",
                &[">GET /x|", "<HTTP/1.1 400 No||"],
                &["GET - /x", "1: 400"],
            ),
            (
                "HTTP/0.9 later on is none",
                &[GET, ">GET /y|A: b||", GET],
                &["GET h /x", "GET h /x gap", "2: -", "1: -"],
            ),
        ],
    );
}

#[test]
fn from_the_middle() {
    const GET: &str = ">GET /x HTTP/1.1|Host: h||";
    check(
        Flags::MIDSTREAM,
        &[
            (
                "at a request",
                &[GET, "<HTTP/1.1 200 OK||"],
                &["GET h /x midstream", "1: 200"],
            ),
            (
                "in a body",
                &[">abc GET /fake HTTP/1.1|x|GET /x HTTP/1.1|Host: h||"],
                &["GET h /x midstream", "1: -"],
            ),
            (
                "unknown methods do not count",
                &[">BREW /x HTTP/1.1|Host: h||"],
                &[],
            ),
            (
                "later they do",
                &[GET, ">BREW /x HTTP/1.1|Host: h||"],
                &["GET h /x midstream", "BREW h /x midstream", "1: -", "2: -"],
            ),
            ("simple requests do not count", &[">GET /x|"], &[]),
            (
                "the sides are told by what they say",
                &["<GET /x HTTP/1.1|Host: h||", ">HTTP/1.1 200 OK||"],
                &["GET h /x midstream", "1: 200"],
            ),
            (
                "the server speaks first",
                &[
                    ">HTTP/1.1 200 OK|Content-Length: 0||",
                    "<GET /x HTTP/1.1|Host: h||",
                    ">HTTP/1.1 404 No||",
                ],
                &["GET h /x midstream", "1: 404"],
            ),
            (
                "in an answer's body",
                &["<abc|def", GET, "<|HTTP/1.1 200 OK||"],
                &["GET h /x midstream", "1: 200"],
            ),
            (
                "keep-alive",
                &[
                    GET,
                    "<HTTP/1.1 200 OK|Content-Length: 1||a",
                    GET,
                    "<HTTP/1.1 404 No||",
                ],
                &[
                    "GET h /x midstream",
                    "1: 200",
                    "GET h /x midstream",
                    "2: 404",
                ],
            ),
            (
                "pipelined: nothing is matched",
                &[
                    GET,
                    GET,
                    "<HTTP/1.1 200 OK|Content-Length: 0||",
                    GET,
                    "<HTTP/1.1 404 No||",
                ],
                &[
                    "GET h /x midstream",
                    "GET h /x midstream",
                    "1: -",
                    "2: -",
                    "GET h /x midstream",
                    "3: -",
                ],
            ),
            (
                "TLS",
                &[">\u{17}\u{3}\u{3}\0\u{10}|GET /x HTTP/1.1|Host: h||"],
                &[],
            ),
        ],
    );
}

#[test]
fn where_bytes_are_missing() {
    const GET: &str = ">GET /x HTTP/1.1|Host: h||";
    check(
        Flags::NONE,
        &[
            (
                "between requests",
                &[
                    GET,
                    "<HTTP/1.1 200 OK|Content-Length: 0||",
                    ">GAP9",
                    GET,
                    "<HTTP/1.1 404 No||",
                    GET,
                ],
                &[
                    "GET h /x",
                    "1: 200",
                    "GET h /x gap",
                    "2: 404",
                    "GET h /x",
                    "3: -",
                ],
            ),
            (
                "at the start",
                &[">GAP9", GET, "<HTTP/1.1 200 OK||"],
                &["GET h /x gap", "1: 200"],
            ),
            (
                "after a few bytes",
                &[">GE", ">GAP9", GET],
                &["GET h /x gap", "1: -"],
            ),
            (
                "in a head",
                &[">GET /1 HTTP/1.1|Host: h|A", ">GAP9", ">b||", GET],
                &["GET h /x gap", "1: -"],
            ),
            (
                "in a head that nobody wants",
                &[">GET /1 HTTP/1.1|Host: other|A", ">GAP9", ">b||", GET],
                &["GET h /x gap", "1: -"],
            ),
            (
                "in a body of known length",
                &[
                    ">PUT / HTTP/1.1|Host: h|Content-Length: 99||a",
                    ">GAP98",
                    GET,
                ],
                &["PUT h /", "GET h /x", "1: -", "2: -"],
            ),
            (
                "beyond a body of known length",
                &[
                    ">PUT / HTTP/1.1|Host: h|Content-Length: 99||a",
                    ">GAP99",
                    GET,
                ],
                &["PUT h /", "GET h /x gap", "2: -", "1: -"],
            ),
            (
                "in a chunk",
                &[
                    ">PUT / HTTP/1.1|Host: h|Transfer-Encoding: chunked||9|abc",
                    ">GAP4",
                    ">hi|0||",
                    GET,
                ],
                &["PUT h /", "GET h /x", "1: -", "2: -"],
            ),
            (
                "up to a chunk's end",
                &[
                    ">PUT / HTTP/1.1|Host: h|Transfer-Encoding: chunked||9|abc",
                    ">GAP6",
                    ">|0||",
                    GET,
                ],
                &["PUT h /", "GET h /x", "1: -", "2: -"],
            ),
            (
                "beyond a chunk",
                &[
                    ">PUT / HTTP/1.1|Host: h|Transfer-Encoding: chunked||9|abc",
                    ">GAP7",
                    ">\n0||",
                    GET,
                ],
                &["PUT h /", "GET h /x gap", "2: -", "1: -"],
            ),
            (
                "in an answer's body",
                &[
                    GET,
                    "<HTTP/1.1 200 OK|Content-Length: 99||a",
                    "<GAP98",
                    GET,
                    "<HTTP/1.1 404 No||",
                ],
                &["GET h /x", "1: 200", "GET h /x", "2: 404"],
            ),
            (
                "an answer is gone",
                &[GET, "<GAP40", GET, "<HTTP/1.1 404 No||"],
                &["GET h /x", "1: -", "GET h /x", "2: 404"],
            ),
            (
                "one of several answers is gone",
                &[GET, GET, "<GAP40", GET, "<HTTP/1.1 404 No||"],
                &["GET h /x", "GET h /x", "1: -", "2: -", "GET h /x", "3: -"],
            ),
            (
                "the server's greeting is gone",
                &["<GAP40", GET, "<HTTP/1.1 404 No||"],
                &["GET h /x", "1: 404"],
            ),
            (
                "after an answer until the close",
                &[GET, "<HTTP/1.1 200 OK||a", "<GAP40", "<HTTP/1.1 404 No||"],
                &["GET h /x", "1: 200"],
            ),
        ],
    );
}

/// Frames cut in a head, behind Host, in Host, in the version and in the target.
const CUT: [&str; 12] = [
    ">GET /x HTTP/1.1|Host: h|Cookie: abc",
    ">GAP200",
    ">GET /y HTTP/1.1|Host: other|Cookie: abc",
    ">GAP200",
    ">GET /z HTTP/1.1|Hos",
    ">GAP200",
    ">GET /u HT",
    ">GAP200",
    ">GET http://h/v ",
    ">GAP200",
    ">GET /w",
    ">GAP200",
];

#[test]
fn a_frame_cut_by_the_snap_length_gives_what_it_holds() {
    let needs_host = Notes {
        needs_host: true,
        ..Notes::default()
    };
    let notes = play_to(needs_host, Flags::TRUNCATED, &CUT[..6]);
    assert_eq!(notes.lines, ["GET h /x truncated", "1: -"]);
    assert_eq!(notes.counters.http1_heads_lost, 2);
}

#[test]
fn of_all_hosts_a_cut_head_is_told_once_its_target_is_complete() {
    let notes = play_with(Flags::TRUNCATED, &CUT);
    let told: Vec<_> = notes
        .lines
        .iter()
        .filter(|line| line.contains("GET"))
        .collect();
    assert_eq!(
        told,
        [
            "GET h /x truncated",
            "GET - /z gap truncated",
            "GET - /u gap truncated",
            "GET h http://h/v gap truncated"
        ]
    );
    assert_eq!(notes.counters.http1_heads_lost, 2);
}

#[test]
fn the_answer_to_a_cut_head_is_its_own() {
    for head in [
        ">GET /x HTTP/1.1|Host: h|Coo",
        ">GET /x HTTP/1.1|Host: other|Coo",
    ] {
        let notes = play_with(
            Flags::TRUNCATED,
            &[
                head,
                ">GAP200",
                "<HTTP/1.1 404 No|Content-Length: 0||",
                ">GET /y HTTP/1.1|Host: h||",
                "<HTTP/1.1 200 OK||",
            ],
        );
        let found = |line: &str| notes.lines.iter().any(|one| one.contains(line));
        assert!(found(": 200"), "{:?}", notes.lines);
        assert_eq!(
            found(": 404"),
            head.contains("Host: h|"),
            "{:?}",
            notes.lines
        );
    }
}

#[test]
fn a_watched_head_beyond_the_bound_is_told_as_far_as_it_is_known() {
    let filler = "A: b\r\n".repeat(HEAD_BYTES_MAX / 6);
    let long = format!(">GET /x HTTP/1.1|Host: h|{filler}");
    let late = format!(">GET /x HTTP/1.1|{filler}Host: h|");
    let other = format!(">GET /x HTTP/1.1|Host: other|{filler}");
    let next = ">|GET /2 HTTP/1.1|Host: h||";
    check(
        Flags::NONE,
        &[
            (
                "host first",
                &[&long, next],
                &["GET h /x truncated", "GET h /2 gap", "2: -", "1: -"],
            ),
            (
                "host beyond the bound",
                &[&late, next],
                &["GET h /2 gap", "1: -"],
            ),
            (
                "not watched: any length",
                &[&other, next],
                &["GET h /2", "1: -"],
            ),
        ],
    );
}

#[test]
fn requests_beyond_the_bound_on_pipelining_are_read_and_answered_to_nobody() {
    let count = PIPELINED_REQUESTS_MAX + 10;
    let requests = format!(">{}", "GET /x HTTP/1.1|Host: h||".repeat(count));
    let responses = format!("<{}", "HTTP/1.1 200 OK|Content-Length: 0||".repeat(count));
    let script = [
        &requests,
        &responses,
        ">GET /y HTTP/1.1|Host: h||",
        "<HTTP/1.1 404 No||",
    ];
    let lines = play(&script);
    let with = |end: &str| lines.iter().filter(|line| line.ends_with(end)).count();
    assert_eq!(with("GET h /x"), count);
    assert_eq!(with(": 200"), PIPELINED_REQUESTS_MAX);
    assert_eq!(with(": -"), 10);
    assert_eq!(lines.last(), Some(&format!("{}: 404", count + 1)));
}

#[test]
fn a_hundred_fields_and_a_target_of_64_kib_are_read_however_they_are_cut() {
    let target = format!("/{}", "x".repeat(65_535));
    let fields: String = (0..100).map(|n| format!("X-{n}: {n}|")).collect();
    let script = format!(">GET {target} HTTP/1.1|{fields}Host: h||");
    let expected = format!("GET h {target}");
    for size in [1, 1460, 1_000_000] {
        let lines = play_in_pieces(Flags::NONE, &[&script], size);
        assert_eq!(lines, [expected.as_str(), "1: -"], "{size}");
    }
}

#[test]
fn who_spoke_to_the_proxy_in_front_is_told_with_every_request() {
    struct Proxied(Vec<Option<IpAddr>>, Counters);
    impl Observer for Proxied {
        fn is_watched(&self, _authority: &[u8]) -> bool {
            true
        }
        fn on_request(&mut self, _: &StreamContext, head: &RequestHead<'_>) -> Option<EventId> {
            self.0.push(head.proxied_for);
            None
        }
        fn on_status(&mut self, _: Timestamp, _: EventId, _: u16) {}
        fn on_unanswered(&mut self, _: EventId) {}
        fn counters(&mut self) -> &mut Counters {
            &mut self.1
        }
    }
    let (_, bytes) = line_of(
        ">PROXY TCP4 203.0.113.77 192.0.2.1 5 80|GET / HTTP/1.1|Host: h||GET / HTTP/1.1|Host: h||",
    );
    for size in 1..bytes.len() {
        let (mut session, mut observer) =
            (Session::new(), Proxied(Vec::new(), Counters::default()));
        for piece in bytes.chunks(size) {
            let context = context(Direction::ToServer, Flags::NONE);
            session.on_chunk(&context, Chunk::Data(piece), &mut observer);
        }
        let client = "203.0.113.77".parse().ok();
        assert_eq!(observer.0, [client, client], "in pieces of {size}");
    }
}

#[test]
fn streams_that_are_not_read_are_counted_once_and_hold_nothing() {
    for (script, tls) in [
        ([">\u{16}\u{3}\u{1}\0\u{4}\u{1}\0\0\0", ">more", "<more"], 1),
        ([">\0\0", ">more", "<more"], 0),
        ([">EHLO h|", ">GET / HTTP/1.1|Host: h||", "<250 ok|"], 0),
    ] {
        let (mut session, mut notes) = (Session::new(), Notes::default());
        for line in script {
            let (direction, bytes) = line_of(line);
            let context = context(direction, Flags::NONE);
            session.on_chunk(&context, Chunk::Data(&bytes), &mut notes);
        }
        assert_eq!(
            (session.heap_bytes(), session.interest()),
            (0, Interest::Idle)
        );
        let counters = notes.counters;
        assert_eq!(
            (counters.streams_tls, counters.streams_unknown),
            (tls, 1 - tls)
        );
    }
}

#[test]
fn half_a_head_that_nobody_wants_holds_nothing() {
    for head in [
        ">GET /x HTTP/1.1|Host: other|",
        ">GET /x HTTP/1.1|Host: other|User-Agent: x",
        ">GET http://other/ HTTP/1.1|",
    ] {
        for size in [1, 7, 1000] {
            let (direction, bytes) = line_of(head);
            let context = context(direction, Flags::NONE);
            let (mut session, mut notes) = (Session::new(), Notes::default());
            for piece in bytes.chunks(size) {
                session.on_chunk(&context, Chunk::Data(piece), &mut notes);
            }
            assert_eq!(
                (session.heap_bytes(), session.interest()),
                (0, Interest::Idle),
                "{head}"
            );
        }
    }
}

#[test]
fn half_a_head_that_is_wanted_holds_little_more_than_its_bytes() {
    let (direction, bytes) = line_of(">GET /x HTTP/1.1|Host: h|User-Agent: x");
    let context = context(direction, Flags::NONE);
    let (mut session, mut notes) = (Session::new(), Notes::default());
    for piece in bytes.chunks(9) {
        session.on_chunk(&context, Chunk::Data(piece), &mut notes);
    }
    assert_eq!(session.heap_bytes(), bytes.len());
}

/// Lines out of which conversations are made that may be anything.
pub(super) fn word() -> impl Strategy<Value = &'static str> {
    proptest::sample::select(vec![
        "GET /x HTTP/1.1\r\n",
        "HEAD http://h/ HTTP/1.0\n",
        "CONNECT h:1 HTTP/1.1\r\n",
        "GET /x\r\n",
        "Host: h\r\n",
        "Host: other\r\n",
        "Content-Length: 12\r\n",
        "Content-Length: x\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Upgrade: h2c\r\n",
        "\r\n",
        "\n",
        " fold\r\n",
        "5\r\nabcde\r\n",
        "0\r\n\r\n",
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.1 100 C\r\n\r\n",
        "HTTP/1.1 101 S\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\n",
        "\u{16}\u{3}\u{1}",
        "\0",
        "abc",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ])
}

proptest! {
    #[test]
    fn any_cutting_of_any_requests_says_the_same(
        words in proptest::collection::vec(word(), 1..25),
        cuts in proptest::collection::vec(1usize..30, 1..30),
        midstream in any::<bool>(),
    ) {
        let flags = if midstream { Flags::MIDSTREAM } else { Flags::NONE };
        let bytes = words.concat().into_bytes();
        let context = context(Direction::ToServer, flags);
        let (mut whole, mut told) = (Session::new(), Notes::default());
        whole.on_chunk(&context, Chunk::Data(&bytes), &mut told);
        whole.on_close(Timestamp::default(), &mut told);
        let (mut cut, mut told_cut) = (Session::new(), Notes::default());
        let (mut rest, mut cuts) = (bytes.as_slice(), cuts.into_iter().cycle());
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(cuts.next().unwrap().min(rest.len()));
            cut.on_chunk(&context, Chunk::Data(piece), &mut told_cut);
            rest = after;
        }
        cut.on_close(Timestamp::default(), &mut told_cut);
        prop_assert_eq!(told_cut.lines, told.lines);
    }

    #[test]
    fn each_request_that_is_told_is_settled_once_and_holes_do_no_harm(
        chunks in proptest::collection::vec((any::<bool>(), word(), 0u64..30), 1..60),
        midstream in any::<bool>(),
    ) {
        let flags = if midstream { Flags::MIDSTREAM } else { Flags::NONE };
        let (mut session, mut notes) = (Session::new(), Notes::default());
        for (client, word, gap) in chunks {
            let direction = if client { Direction::ToServer } else { Direction::ToClient };
            let context = context(direction, flags);
            session.on_chunk(&context, Chunk::Data(word.as_bytes()), &mut notes);
            if gap > 26 {
                session.on_chunk(&context, Chunk::Gap(gap), &mut notes);
            }
            prop_assert!(session.heap_bytes() < 4096);
        }
        session.on_close(Timestamp::default(), &mut notes);
        for id in 1..=notes.last {
            let start = format!("{id}: ");
            let settled = notes.lines.iter().filter(|line| line.starts_with(&start)).count();
            prop_assert_eq!(settled, 1, "{:?}", notes.lines);
        }
    }
}
