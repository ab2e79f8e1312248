//! HTTP/1.0 and 1.1 (RFC 9110, RFC 9112).

use crate::engine::app::http1::body::{Body, Skipped};
use crate::engine::app::http1::head::{Framing, Request, Response, framing, head_end};
use crate::engine::app::{Observer, RequestHead};
use crate::engine::event::{EventId, Flags};
use crate::engine::limits::HEAD_BYTES_MAX;
use crate::engine::transport::{Interest, StreamContext};

mod body;
mod head;

/// Where one direction stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Place {
    /// Before or within a head.
    #[default]
    Head,
    /// Within a body.
    Body(Body),
    /// Bytes are missing, or made no sense: the next request line counts. Whether a line may
    /// begin here; if so, the buffer holds its beginning.
    Lost { line_start: bool },
    /// Nothing more is read here: it makes no sense, or never was HTTP.
    Over,
    /// HTTP/1 ended in both directions, by Upgrade or CONNECT.
    Upgraded,
}

impl Place {
    /// Lost, at what may be the start of a line.
    pub(super) const LOST: Self = Self::Lost { line_start: true };
}

/// One direction of a connection.
#[derive(Debug, Default)]
pub(super) struct Reader {
    pub(super) place: Place,
    /// The beginning of a head whose end has not come.
    buffer: Vec<u8>,
    /// What is held against the next request.
    pub(super) flags: Flags,
    /// Whether the host of the buffered head is watched, once it is known.
    watched: Option<bool>,
}

/// A request that waits for its response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Awaited {
    pub(super) id: Option<EventId>,
    pub(super) kind: AwaitedKind,
}

/// What kind of response a request gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AwaitedKind {
    /// With a body as its head says.
    Plain,
    /// None after HEAD.
    NoBody,
    /// A tunnel after CONNECT, when it succeeds.
    Tunnel,
}

impl Reader {
    pub(super) fn heap_bytes(&self) -> usize {
        self.buffer.capacity()
    }

    pub(super) fn interest(&self) -> Interest {
        match (self.buffer.is_empty(), self.watched) {
            (true, _) | (false, Some(false)) => Interest::Idle,
            (false, None) => Interest::Undecided,
            (false, Some(true)) => Interest::Watched,
        }
    }

    /// Whether HTTP/1 ended here for both directions.
    pub(super) fn is_upgraded(&self) -> bool {
        self.place == Place::Upgraded
    }

    /// Bytes are missing here.
    pub(super) fn on_gap(&mut self, gap: u64) {
        let goes_on = match self.place {
            Place::Body(body) => body.skip_gap(gap),
            Place::Over | Place::Upgraded => return,
            Place::Head | Place::Lost { .. } => None,
        };
        match goes_on {
            Some(body) => self.place = Place::Body(body),
            None => self.lose(Flags::GAP),
        }
    }

    fn lose(&mut self, flags: Flags) {
        self.place = Place::LOST;
        self.flags = self.flags.with(flags);
        self.forget_head();
    }

    fn forget_head(&mut self) {
        self.buffer = Vec::new();
        self.watched = None;
    }

    /// Reads bytes of the requesting side; `found` is told of each request in turn.
    pub(super) fn on_requests<O: Observer>(
        &mut self,
        context: &StreamContext,
        bytes: &[u8],
        observer: &mut O,
        found: &mut impl FnMut(Awaited),
    ) {
        self.read(bytes, observer, |reader, head, observer| {
            reader.on_request_head(context, head, observer, found)
        });
    }

    /// Reads bytes of the answering side; `next` gives the request that each response answers.
    pub(super) fn on_responses<O: Observer>(
        &mut self,
        bytes: &[u8],
        observer: &mut O,
        answer: &mut impl FnMut(&mut O, u16) -> Option<AwaitedKind>,
    ) {
        self.read(bytes, observer, |reader, head, observer| {
            reader.on_response_head(head, observer, answer)
        });
    }

    fn read<O: Observer>(
        &mut self,
        mut bytes: &[u8],
        observer: &mut O,
        mut on_head: impl FnMut(&mut Self, &[u8], &mut O) -> Place,
    ) {
        while !bytes.is_empty() {
            match self.place {
                Place::Over | Place::Upgraded => return,
                Place::Body(body) => match body.skip(bytes) {
                    Skipped::All(body) => {
                        self.place = Place::Body(body);
                        return;
                    }
                    Skipped::Rest(rest) => {
                        self.place = Place::Head;
                        bytes = rest;
                    }
                    Skipped::Malformed => {
                        observer.counters().http1_malformed += 1;
                        self.lose(Flags::GAP);
                    }
                },
                Place::Lost { line_start } => bytes = self.find_request_line(line_start, bytes),
                Place::Head => bytes = self.read_head(bytes, observer, &mut on_head),
            }
        }
    }

    /// Takes bytes up to a head's end; what follows it is left.
    fn read_head<'a, O: Observer>(
        &mut self,
        bytes: &'a [u8],
        observer: &mut O,
        on_head: &mut impl FnMut(&mut Self, &[u8], &mut O) -> Place,
    ) -> &'a [u8] {
        if self.buffer.is_empty() {
            let bytes = skip_empty_lines(bytes);
            let Some(end) = head_end(bytes, 0) else {
                self.keep(bytes, observer);
                return b"";
            };
            let (head, rest) = bytes.split_at_checked(end).unwrap_or((bytes, b""));
            self.place = on_head(self, head, observer);
            return rest;
        }
        let known = self.buffer.len();
        self.keep(bytes, observer);
        let Some(end) = head_end(&self.buffer, known.saturating_sub(3)) else {
            return b"";
        };
        let head = std::mem::take(&mut self.buffer);
        self.place = on_head(self, head.get(..end).unwrap_or(&head), observer);
        self.watched = None;
        bytes.get(end.saturating_sub(known)..).unwrap_or_default()
    }

    fn keep<O: Observer>(&mut self, bytes: &[u8], observer: &mut O) {
        if self.buffer.len() + bytes.len() > HEAD_BYTES_MAX {
            observer.counters().http1_head_too_long += 1;
            return self.lose(Flags::TRUNCATED);
        }
        self.buffer.reserve_exact(bytes.len());
        self.buffer.extend_from_slice(bytes);
        if self.watched.is_none() {
            self.watched =
                head::early_authority(&self.buffer).map(|authority| observer.is_watched(authority));
        }
    }

    /// Skips to what looks like a request line at the start of a line. A beginning that is too
    /// short to tell is kept for the next bytes.
    fn find_request_line<'a>(&mut self, line_start: bool, bytes: &'a [u8]) -> &'a [u8] {
        if line_start {
            match self.judge_line(bytes) {
                Likeness::Request => {
                    self.place = Place::Head;
                    return bytes;
                }
                Likeness::TooShort => {
                    self.buffer.extend_from_slice(bytes);
                    return b"";
                }
                Likeness::No => self.buffer.clear(),
            }
        }
        let rest = head::split_line(bytes).map(|(_, rest)| rest);
        self.place = Place::Lost {
            line_start: rest.is_some(),
        };
        rest.unwrap_or_default()
    }

    /// Whether a line that begins with the buffer and goes on with `bytes` is a request line.
    fn judge_line(&self, bytes: &[u8]) -> Likeness {
        let mut start = [0; METHOD_BYTES_MAX];
        let mut length = 0;
        for (place, byte) in start.iter_mut().zip(self.buffer.iter().chain(bytes)) {
            *place = *byte;
            length += 1;
        }
        likeness(start.get(..length).unwrap_or_default())
    }

    fn on_request_head<O: Observer>(
        &mut self,
        context: &StreamContext,
        bytes: &[u8],
        observer: &mut O,
        found: &mut impl FnMut(Awaited),
    ) -> Place {
        let Some(request) = Request::parse(bytes) else {
            observer.counters().http1_malformed += 1;
            self.flags = self.flags.with(Flags::GAP);
            return Place::LOST;
        };
        observer.counters().requests += 1;
        let id = self.report(context, &request, observer);
        found(Awaited {
            id,
            kind: awaited_kind(request.method),
        });
        match framing(&request.fields) {
            Framing::Length(0) | Framing::Unsaid => Place::Head,
            Framing::Length(length) => Place::Body(Body::Length(length)),
            Framing::Chunked => Place::Body(Body::CHUNKED),
            Framing::Contradictory => {
                observer.counters().http1_malformed += 1;
                Place::LOST
            }
        }
    }

    fn report<O: Observer>(
        &mut self,
        context: &StreamContext,
        request: &Request<'_>,
        observer: &mut O,
    ) -> Option<EventId> {
        let flags = std::mem::take(&mut self.flags);
        let authority = request.authority();
        if !observer.is_watched(authority.unwrap_or_default()) {
            observer.counters().requests_not_watched += 1;
            return None;
        }
        observer.on_request(
            context,
            &RequestHead {
                method: request.method,
                target: request.target,
                version: request.version,
                authority,
                proxied_for: None,
                fields: request.fields.clone(),
                flags,
            },
        )
    }

    fn on_response_head<O: Observer>(
        &mut self,
        bytes: &[u8],
        observer: &mut O,
        answer: &mut impl FnMut(&mut O, u16) -> Option<AwaitedKind>,
    ) -> Place {
        let Some(response) = Response::parse(bytes) else {
            observer.counters().http1_malformed += 1;
            return Place::Over; // without a request line to find, nothing tells a head from a body
        };
        if (100..200).contains(&response.status) && response.status != 101 {
            return Place::Head;
        }
        observer.counters().responses += 1;
        let kind = answer(observer, response.status);
        after_response(response, kind)
    }
}

/// RFC 9112 §6.3: which responses have a body, and how it ends.
fn after_response(response: Response, kind: Option<AwaitedKind>) -> Place {
    match (response.status, kind, response.framing) {
        (101, _, _) | (200..=299, Some(AwaitedKind::Tunnel), _) => Place::Upgraded,
        (204 | 304, _, _) | (_, Some(AwaitedKind::NoBody), _) => Place::Head,
        (_, _, Framing::Length(0)) => Place::Head,
        (_, _, Framing::Length(length)) => Place::Body(Body::Length(length)),
        (_, _, Framing::Chunked) => Place::Body(Body::CHUNKED),
        (_, _, Framing::Unsaid | Framing::Contradictory) => Place::Body(Body::UntilClose),
    }
}

fn awaited_kind(method: &[u8]) -> AwaitedKind {
    match method {
        b"HEAD" => AwaitedKind::NoBody,
        b"CONNECT" => AwaitedKind::Tunnel,
        _ => AwaitedKind::Plain,
    }
}

/// Empty lines before a request are skipped (RFC 9112 §2.2).
fn skip_empty_lines(bytes: &[u8]) -> &[u8] {
    let start = bytes
        .iter()
        .position(|byte| !matches!(byte, b'\r' | b'\n'))
        .unwrap_or(bytes.len());
    bytes.get(start..).unwrap_or_default()
}

/// Methods that a request line found anywhere may begin with.
const METHODS: [&[u8]; 9] = [
    b"GET ",
    b"HEAD ",
    b"POST ",
    b"PUT ",
    b"DELETE ",
    b"OPTIONS ",
    b"PATCH ",
    b"CONNECT ",
    b"TRACE ",
];
/// Length of the longest of them.
const METHOD_BYTES_MAX: usize = 8;

/// Whether a line is a request line, as far as its first bytes tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Likeness {
    Request,
    TooShort,
    No,
}

fn likeness(start: &[u8]) -> Likeness {
    if begins_like_request(start) {
        Likeness::Request
    } else if METHODS.iter().any(|method| method.starts_with(start)) {
        Likeness::TooShort
    } else {
        Likeness::No
    }
}

/// Whether bytes begin with a method that is in use, and a target.
pub(super) fn begins_like_request(bytes: &[u8]) -> bool {
    METHODS.iter().any(|method| bytes.starts_with(method))
}
