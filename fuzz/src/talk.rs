//! What both sides of a connection say, above TCP: HTTP/1 and HTTP/2.

use std::collections::{BTreeSet, HashSet};
use std::net::SocketAddr;

use canarytap::engine::app::{Observer, RequestHead, Session};
use canarytap::engine::counters::Counters;
use canarytap::engine::event::{EventId, Flags, Scheme};
use canarytap::engine::frame::Timestamp;
use canarytap::engine::limits::HEAD_BYTES_MAX;
use canarytap::engine::link::Scope;
use canarytap::engine::transport::{Chunk, Direction, FlowState, StreamContext};

use super::input::Input;

/// Text that a NUL byte and the byte behind it part into pieces: `<` and `>` tell who goes on,
/// `f` and `r` end a side or all, `g` and a byte leave so many out, `0` is a NUL byte itself. The
/// first byte says whether the start was seen and how the pieces are cut.
pub fn http1(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let choice = input.u8();
    let mut acts = Vec::new();
    let mut side = Direction::ToServer;
    let mut text = Vec::new();
    while !input.is_empty() {
        let byte = input.u8();
        if byte != 0 {
            text.push(byte);
            continue;
        }
        let mark = input.u8();
        if mark == b'0' {
            text.push(0);
            continue;
        }
        acts.push((side, Act::Bytes(std::mem::take(&mut text))));
        match mark {
            b'<' => side = Direction::ToClient,
            b'f' => acts.push((side, Act::Fin)),
            b'r' => acts.push((side, Act::Reset)),
            b'g' => acts.push((side, Act::Missing(u64::from(input.u8()) + 1))),
            _ => side = Direction::ToServer,
        }
    }
    acts.push((side, Act::Bytes(text)));
    check(choice, &acts);
}

/// Frames of HTTP/2: each piece is a byte for its kind, two for its length, and its bytes, behind
/// the client's preface.
pub fn http2(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let choice = input.u8();
    let mut acts = Vec::new();
    if choice & NO_PREFACE == 0 {
        let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        acts.push((Direction::ToServer, Act::Bytes(preface)));
    }
    while !input.is_empty() {
        let (kind, length) = (input.u8(), input.u16());
        let side = match kind & 1 {
            0 => Direction::ToServer,
            _ => Direction::ToClient,
        };
        let act = match kind >> 1 {
            0x7f => Act::Fin,
            0x7e => Act::Reset,
            0x7d => Act::Missing(u64::from(length) + 1),
            0x10..=0x1f => Act::Bytes(frame(kind >> 1 & 15, length, &mut input)),
            _ => Act::Bytes(input.take(usize::from(length)).to_vec()),
        };
        acts.push((side, act));
    }
    check(choice, &acts);
}

/// A frame whose length is right: flags, stream and payload come from the input.
fn frame(kind: u8, length: u16, input: &mut Input<'_>) -> Vec<u8> {
    let (flags, stream) = (input.u8(), input.u8());
    let payload = input.take(usize::from(length));
    let mut bytes = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags, 0, 0, 0, stream]);
    bytes.extend(payload);
    bytes
}

/// What happens next on one side.
enum Act {
    Bytes(Vec<u8>),
    Missing(u64),
    Fin,
    Reset,
}

/// The talk in its own pieces and the same in smaller ones say the same, up to where a side's
/// place among the frames of HTTP/2 is lost: nothing in its bytes tells then where a frame begins,
/// but that senders begin a segment with one, so that segments are the evidence from there on.
fn check(choice: u8, acts: &[(Direction, Act)]) {
    let flags = if choice & MIDSTREAM == 0 {
        Flags::NONE
    } else {
        Flags::MIDSTREAM
    };
    let size = usize::from(choice & 0x3f);
    let whole = play(flags, usize::MAX, acts);
    // HTTP/2 without its preface is lost from the first.
    let from_its_middle = choice & NO_PREFACE != 0;
    if size > 0 && !from_its_middle {
        let cut = play(flags, size, acts);
        assert_eq!(cut.lost_at, whole.lost_at, "in pieces of {size}");
        let end = whole.lost_at.unwrap_or(usize::MAX);
        let upto = |lines: &[String]| lines.iter().take(end).cloned().collect::<Vec<_>>();
        assert_eq!(upto(&cut.lines), upto(&whole.lines), "in pieces of {size}");
        if whole.lost_at.is_none() {
            assert_eq!(cut.unanswered, whole.unanswered, "in pieces of {size}");
        }
    }
}

fn play(flags: Flags, size: usize, acts: &[(Direction, Act)]) -> Notes {
    let mut stage = Stage::default();
    for (side, act) in acts {
        let mut hear = |chunk| stage.hear(*side, flags, chunk);
        match act {
            Act::Bytes(bytes) => bytes
                .chunks(size)
                .for_each(|piece| hear(Chunk::Data(piece))),
            Act::Missing(length) => hear(Chunk::Gap(*length)),
            Act::Fin => hear(Chunk::Fin),
            Act::Reset => hear(Chunk::Reset),
        }
    }
    stage.end()
}

/// A session, and how far each side was told.
#[derive(Default)]
struct Stage {
    session: Session,
    notes: Notes,
    to_server: u64,
    to_client: u64,
}

impl Stage {
    fn hear(&mut self, side: Direction, flags: Flags, chunk: Chunk<'_>) {
        let (told, other) = match side {
            Direction::ToServer => (&mut self.to_server, self.to_client),
            Direction::ToClient => (&mut self.to_client, self.to_server),
        };
        let context = StreamContext {
            offset: *told,
            acked: Some(other),
            flags,
            ..context(side)
        };
        *told += match chunk {
            Chunk::Data(bytes) => bytes.len() as u64,
            Chunk::Gap(length) => length,
            Chunk::Fin | Chunk::Reset => 0,
        };
        self.session.on_chunk(&context, chunk, &mut self.notes);
        self.notes.look_for_loss();
        let held = self.session.heap_bytes();
        assert!(held <= 4 * HEAD_BYTES_MAX, "{held} bytes");
    }

    fn end(mut self) -> Notes {
        self.session.on_close(Timestamp::default(), &mut self.notes);
        let open = &self.notes.open;
        assert!(open.is_empty(), "requests {open:?} were never settled");
        self.notes
    }
}

/// What was observed, one line each, and which requests wait for their response, or do so no more.
#[derive(Default)]
struct Notes {
    lines: Vec<String>,
    /// How many lines there were when a place among the frames of HTTP/2 was lost.
    lost_at: Option<usize>,
    open: HashSet<u64>,
    unanswered: BTreeSet<u64>,
    last: u64,
    counters: Counters,
}

impl Notes {
    fn look_for_loss(&mut self) {
        let is_lost = self.counters.http2_lost + self.counters.http2_malformed > 0;
        if is_lost && self.lost_at.is_none() {
            self.lost_at = Some(self.lines.len());
        }
    }

    fn settle(&mut self, request: EventId) {
        let was_open = self.open.remove(&request.0);
        assert!(was_open, "request {} was settled before", request.0);
    }
}

impl Observer for Notes {
    fn is_watched(&self, authority: &[u8]) -> bool {
        !authority.starts_with(b"other")
    }

    fn on_request(&mut self, context: &StreamContext, head: &RequestHead<'_>) -> Option<EventId> {
        let text = String::from_utf8_lossy;
        let flags: Vec<&str> = context.flags.with(head.flags).names().collect();
        self.lines.push(format!(
            "{} {} {} {} {flags:?} {:?} {} {}",
            context.src,
            text(head.method),
            head.authority.map_or("-".into(), text),
            text(head.target),
            head.proxied_for,
            head.fields.len(),
            head.complete,
        ));
        self.last += 1;
        self.open.insert(self.last);
        Some(EventId(self.last))
    }

    fn on_status(&mut self, _time: Timestamp, request: EventId, status: u16) {
        self.settle(request);
        self.lines.push(format!("{}: {status}", request.0));
    }

    fn on_unanswered(&mut self, request: EventId) {
        self.settle(request);
        self.unanswered.insert(request.0);
    }

    fn counters(&mut self) -> &mut Counters {
        &mut self.counters
    }
}

fn context(direction: Direction) -> StreamContext {
    let client: SocketAddr = ([203, 0, 113, 9], 50000).into();
    let server: SocketAddr = ([192, 168, 1, 10], 80).into();
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
        flags: Flags::NONE,
        scheme: Scheme::Http,
    }
}

/// Bits of the first byte; the others are the size of the pieces.
const MIDSTREAM: u8 = 0x40;
const NO_PREFACE: u8 = 0x80;
