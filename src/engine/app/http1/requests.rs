//! The client's side: request heads read, bodies skipped.

use crate::app::Observer;
use crate::app::http1::body::{Body, Skipped};
use crate::app::http1::exchange::{Awaited, Exchange, Owed, RequestKind, Switch};
use crate::app::http1::framing::{Follows, Framing};
use crate::app::http1::hunt::{Found, Hunt, Sought};
use crate::app::http1::line::RequestLine;
use crate::app::http1::partial;
use crate::app::http1::skim::{Skim, Skimmed};
use crate::app::http1::walk::{NoRequestLine, Walk, find_host};
use crate::event::Flags;
use crate::limits::HEAD_BYTES_MAX;
use crate::transport::{Direction, Interest, StreamContext};

/// Where the client's side of a connection stands.
#[derive(Debug)]
pub(super) struct Requests {
    pub(super) place: Place,
    /// Which way the client's bytes go, by the transport's guess.
    pub(super) from: Direction,
    /// Whether nothing was read yet on a connection whose start was seen.
    fresh: bool,
    /// Whether bytes are missing, or made no sense, since the last good request.
    pub(super) resynced: bool,
    /// Whether the partial head that is held is watched, once that is known.
    pub(super) watched: Option<bool>,
    /// Bytes of it in which nothing is left to find: its first line and whole fields.
    pub(super) read: u32,
}

/// A place among the client's bytes.
#[derive(Debug, Default)]
pub(super) enum Place {
    /// Between two requests.
    #[default]
    Start,
    /// Within a head that is, or may be, wanted: its bytes so far.
    Head(Vec<u8>),
    /// Within a head that is not.
    Unwanted(Skim<RequestKind>),
    /// Within a body.
    Body(Body),
    /// The next request line is sought.
    Lost(Hunt),
}

/// What the client's side reads into.
pub(super) struct Reading<'a, O> {
    pub(super) context: &'a StreamContext,
    pub(super) exchange: &'a mut Exchange,
    pub(super) observer: &'a mut O,
}

/// What comes after some bytes.
pub(super) enum Step<'a> {
    /// These bytes, to be read on.
    Rest(&'a [u8]),
    /// HTTP/1 ends.
    Leave(Leave<'a>),
}

/// How HTTP/1 ends before its connection does.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Leave<'a> {
    /// It never was HTTP.
    NotHttp,
    /// A 101 was read before the request that ends here, or before one that is lost.
    Switched { switch: Switch, rest: &'a [u8] },
    /// HTTP/2 begins with these bytes of the client's.
    Http2Preface {
        /// Bytes from earlier chunks.
        held: Vec<u8>,
        rest: &'a [u8],
    },
}

impl Requests {
    /// At the start of a connection.
    pub(super) fn fresh(from: Direction) -> Self {
        Self::new(Place::Start, from, true)
    }

    /// Within the first head of a connection.
    pub(super) fn in_first_head(
        place: Place,
        from: Direction,
        watched: Option<bool>,
        read: u32,
    ) -> Self {
        Self {
            watched,
            read,
            ..Self::new(place, from, true)
        }
    }

    /// In the middle of a connection.
    pub(super) fn lost(from: Direction, hunt: Hunt, gap: bool) -> Self {
        Self {
            resynced: gap,
            ..Self::new(Place::Lost(hunt), from, false)
        }
    }

    fn new(place: Place, from: Direction, fresh: bool) -> Self {
        Self {
            place,
            from,
            fresh,
            resynced: false,
            watched: None,
            read: 0,
        }
    }

    /// Whether no request was read, nor any byte missed, on a connection whose start was seen.
    pub(super) fn is_first(&self) -> bool {
        self.fresh && !self.resynced
    }

    /// How much it would cost to forget what is held.
    pub(super) fn interest(&self) -> Interest {
        match self.place {
            Place::Head(_) if self.watched == Some(true) => Interest::Watched,
            Place::Head(_) | Place::Lost(Hunt::Holding(_)) => Interest::Undecided,
            _ => Interest::Idle,
        }
    }

    /// The part of a head that is held.
    pub(super) fn held(&self) -> &[u8] {
        match &self.place {
            Place::Head(held) => held,
            Place::Lost(hunt) => hunt.held(),
            _ => &[],
        }
    }

    /// Bytes on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        match &self.place {
            Place::Head(held) => held.capacity(),
            Place::Unwanted(skim) => skim.heap_bytes(),
            Place::Lost(hunt) => hunt.heap_bytes(),
            Place::Start | Place::Body(_) => 0,
        }
    }

    /// Reads the next bytes; what is left when HTTP/1 ends.
    pub(super) fn on_data<'a>(
        &mut self,
        mut bytes: &'a [u8],
        reading: &mut Reading<'_, impl Observer>,
    ) -> Option<Leave<'a>> {
        while !bytes.is_empty() {
            let step = match std::mem::take(&mut self.place) {
                Place::Start => self.at_start(bytes, reading),
                Place::Head(held) => self.in_head(held, bytes, reading),
                Place::Unwanted(skim) => self.in_unwanted(skim, bytes, reading),
                Place::Body(body) => self.in_body(body, bytes, reading),
                Place::Lost(hunt) => self.while_lost(hunt, bytes, reading),
            };
            match step {
                Step::Rest(rest) => bytes = rest,
                Step::Leave(leave) => return Some(leave),
            }
            if let Some(switch) = reading.exchange.take_switch() {
                return Some(Leave::Switched {
                    switch,
                    rest: bytes,
                });
            }
        }
        None
    }

    /// So many bytes are missing.
    pub(super) fn on_gap(&mut self, gap: u64, reading: &mut Reading<'_, impl Observer>) {
        let known = match &self.place {
            Place::Body(body) => body.skip_gap(gap),
            _ => None,
        };
        if let Some(body) = known {
            self.place = Place::Body(body);
            return;
        }
        let told = reading.context.acked;
        let owed = match std::mem::take(&mut self.place) {
            // The snap length cut the frame: it is this head that goes on in the gap.
            Place::Head(held) if reading.context.flags.contains(Flags::TRUNCATED) => {
                let known = self.report_cut(&held, reading);
                Owed::for_gap(0, !known, told)
            }
            Place::Unwanted(skim) if reading.context.flags.contains(Flags::TRUNCATED) => {
                self.after_cut(None, skim.about(), reading);
                None
            }
            Place::Head(_) | Place::Unwanted(..) => {
                reading.observer.counters().http1_heads_lost += 1;
                Owed::for_gap(gap, true, told)
            }
            Place::Body(body) => Owed::for_gap(body.beyond(gap), false, told),
            Place::Lost(hunt) => self.lose_line(hunt.held(), gap, reading),
            Place::Start => Owed::for_gap(gap, false, told),
        };
        self.lose(Hunt::LineStart, reading);
        reading.exchange.owe(owed, reading.observer);
    }

    /// A hole while a request line is sought, of which the beginning may be held.
    fn lose_line(
        &mut self,
        held: &[u8],
        gap: u64,
        reading: &mut Reading<'_, impl Observer>,
    ) -> Option<Owed> {
        let told = reading.context.acked;
        let cut = reading.context.flags.contains(Flags::TRUNCATED);
        if cut && RequestLine::is_certain_cut(held) {
            self.report_cut(held, reading);
            return None;
        }
        reading.observer.counters().http1_heads_lost += u64::from(!held.is_empty());
        Owed::for_gap(gap, !held.is_empty(), told)
    }

    fn at_start<'a>(
        &mut self,
        bytes: &'a [u8],
        reading: &mut Reading<'_, impl Observer>,
    ) -> Step<'a> {
        let bytes = skip_empty_lines(bytes);
        if bytes.is_empty() {
            return Step::Rest(bytes);
        }
        let window = bytes.get(..HEAD_BYTES_MAX).unwrap_or(bytes);
        match Walk::over(window) {
            Err(refused) => self.refuse(&refused, Vec::new(), bytes, reading),
            Ok(walk) if walk.complete && self.is_allowed(&walk) => {
                self.finish(window, &walk, reading);
                Step::Rest(bytes.get(walk.read..).unwrap_or_default())
            }
            Ok(walk) if walk.complete => {
                self.malformed(bytes.get(walk.read..).unwrap_or_default(), reading)
            }
            Ok(walk) => self.begin_head(&walk, window.len(), bytes, reading),
        }
    }

    /// A head without end: kept, or skimmed from where its first line or field is not complete.
    fn begin_head<'a>(
        &mut self,
        walk: &Walk<'_>,
        window: usize,
        bytes: &'a [u8],
        reading: &mut Reading<'_, impl Observer>,
    ) -> Step<'a> {
        self.note(walk, reading.observer);
        if self.watched == Some(false) {
            self.skim_on(walk);
            return Step::Rest(bytes.get(walk.read..).unwrap_or_default());
        }
        let (held, rest) = bytes.split_at_checked(window).unwrap_or((bytes, &[]));
        if window == HEAD_BYTES_MAX {
            return self.too_long(held, rest, reading);
        }
        self.place = Place::Head(held.to_vec());
        Step::Rest(rest)
    }

    fn in_head<'a>(
        &mut self,
        mut held: Vec<u8>,
        bytes: &'a [u8],
        reading: &mut Reading<'_, impl Observer>,
    ) -> Step<'a> {
        let before = held.len();
        let (rest, complete) = partial::extend(&mut held, bytes, self.read > 0);
        if complete {
            return self.complete(held, rest, reading);
        }
        if self.watched.is_none() && partial::may_tell_host(&held, before, self.read) {
            self.look_for_host(&held, reading.observer);
        }
        if self.watched == Some(false) {
            return self.drop_head(&held, rest, reading);
        }
        if held.len() >= HEAD_BYTES_MAX {
            return self.too_long(&held, rest, reading);
        }
        self.place = Place::Head(held);
        Step::Rest(rest)
    }

    /// The first line, or the whole head, is complete in `held`.
    fn complete<'a>(
        &mut self,
        held: Vec<u8>,
        rest: &'a [u8],
        reading: &mut Reading<'_, impl Observer>,
    ) -> Step<'a> {
        match Walk::over(&held) {
            Err(refused) => self.refuse(&refused, held, rest, reading),
            Ok(walk) if walk.complete && self.is_allowed(&walk) => {
                self.finish(&held, &walk, reading);
                Step::Rest(rest)
            }
            Ok(walk) if walk.complete => self.malformed(rest, reading),
            Ok(walk) => {
                self.note(&walk, reading.observer);
                if self.watched == Some(false) {
                    self.skim_on(&walk);
                } else {
                    self.place = Place::Head(held);
                }
                Step::Rest(rest)
            }
        }
    }

    /// Takes note of what is known of a head without end.
    fn note(&mut self, walk: &Walk<'_>, observer: &impl Observer) {
        self.read = u32::try_from(walk.read).unwrap_or(u32::MAX);
        self.watched = walk
            .authority
            .map(|authority| observer.is_watched(authority));
    }

    fn look_for_host(&mut self, held: &[u8], observer: &impl Observer) {
        let unread = held.get(self.read as usize..).unwrap_or_default();
        let (host, read) = find_host(unread);
        self.watched = host.map(|host| observer.is_watched(host));
        self.read = self
            .read
            .saturating_add(u32::try_from(read).unwrap_or(u32::MAX));
    }

    /// The host of a partial head turned out not to be watched.
    fn drop_head<'a>(
        &mut self,
        held: &[u8],
        rest: &'a [u8],
        reading: &mut Reading<'_, impl Observer>,
    ) -> Step<'a> {
        let Ok(walk) = Walk::over(held) else {
            return self.malformed(rest, reading);
        };
        self.skim_on(&walk);
        let unread = held.get(walk.read..).unwrap_or_default();
        if let Some(Leave::Switched { switch, .. }) = self.on_data(unread, reading) {
            reading.exchange.put_switch(switch); // before `rest`
        }
        Step::Rest(rest)
    }

    /// The rest of a head is only skimmed.
    fn skim_on(&mut self, walk: &Walk<'_>) {
        let kind = walk.line.map(|line| RequestKind::of(line.method));
        self.place = Place::Unwanted(Skim::at_line(kind.unwrap_or_default(), walk.framing));
    }

    fn in_unwanted<'a>(
        &mut self,
        skim: Skim<RequestKind>,
        bytes: &'a [u8],
        reading: &mut Reading<'_, impl Observer>,
    ) -> Step<'a> {
        match skim.feed(bytes) {
            Skimmed::All(skim) => {
                self.place = Place::Unwanted(skim);
                Step::Rest(&[])
            }
            Skimmed::End(kind, framing, rest) => {
                reading.observer.counters().requests_not_watched += 1;
                let one = Awaited::new(None, kind, reading.context);
                self.after_head(one, &framing, reading);
                Step::Rest(rest)
            }
        }
    }

    fn in_body<'a>(
        &mut self,
        body: Body,
        bytes: &'a [u8],
        reading: &mut Reading<'_, impl Observer>,
    ) -> Step<'a> {
        match body.skip(bytes) {
            Skipped::All(body) => {
                self.place = Place::Body(body);
                Step::Rest(&[])
            }
            Skipped::Rest(rest) => Step::Rest(rest),
            Skipped::Malformed(rest) => self.malformed(rest, reading),
        }
    }

    fn while_lost<'a>(
        &mut self,
        mut hunt: Hunt,
        bytes: &'a [u8],
        reading: &mut Reading<'_, impl Observer>,
    ) -> Step<'a> {
        let (found, passed) = hunt.pass(Sought::Request, bytes);
        let owed = Owed::for_rest(passed, reading.context.acked);
        reading.exchange.owe(owed, reading.observer);
        match found {
            Found::Nothing => {
                self.place = Place::Lost(hunt);
                Step::Rest(&[])
            }
            Found::Line { held, rest, .. } if held.is_empty() => self.at_start(rest, reading),
            Found::Line { held, rest, .. } => {
                self.at_start(&held, reading); // an incomplete head: all of it is taken in
                Step::Rest(rest)
            }
        }
    }

    /// HTTP/0.9 is believed only as the first thing on a connection.
    fn is_allowed(&self, walk: &Walk<'_>) -> bool {
        self.fresh || walk.line.is_some_and(|line| line.version.is_some())
    }

    /// A head is complete.
    fn finish(&mut self, head: &[u8], walk: &Walk<'_>, reading: &mut Reading<'_, impl Observer>) {
        let Some(line) = walk.line else {
            return;
        };
        let authority = walk.authority;
        let watched = self.watched == Some(true)
            || reading.observer.is_watched(authority.unwrap_or_default());
        let event = if watched {
            let head = head.get(..walk.read).unwrap_or(head);
            self.report(head, walk, Flags::NONE, reading)
        } else {
            reading.observer.counters().requests_not_watched += 1;
            None
        };
        let kind = match line.version {
            Some(_) => RequestKind::of(line.method),
            None => RequestKind::Simple,
        };
        let one = Awaited::new(event, kind, reading.context);
        self.after_head(one, &walk.framing, reading);
    }

    /// A head was read to its end, or as far as it goes.
    pub(super) fn after_head(
        &mut self,
        one: Awaited,
        framing: &Framing,
        reading: &mut Reading<'_, impl Observer>,
    ) {
        reading.observer.counters().requests += 1;
        self.fresh = false;
        self.resynced = false;
        self.watched = None;
        self.read = 0;
        reading.exchange.add(one, reading.observer);
        match framing.after_request() {
            _ if one.kind == RequestKind::Connect => self.place = Place::Start,
            Follows::Nothing => self.place = Place::Start,
            Follows::Body(body) => self.place = Place::Body(body),
            Follows::Unsure => {
                reading.observer.counters().http1_malformed += 1;
                self.lose(Hunt::WithinLine, reading);
            }
        }
    }

    fn too_long<'a>(
        &mut self,
        held: &[u8],
        rest: &'a [u8],
        reading: &mut Reading<'_, impl Observer>,
    ) -> Step<'a> {
        reading.observer.counters().http1_head_too_long += 1;
        if self.watched == Some(true) {
            self.report_part(held, reading);
        }
        self.lose(Hunt::WithinLine, reading);
        Step::Rest(rest)
    }

    /// A first line that is none: another protocol, or one that breaks the rules of HTTP.
    fn refuse<'a>(
        &mut self,
        refused: &NoRequestLine,
        held: Vec<u8>,
        rest: &'a [u8],
        reading: &mut Reading<'_, impl Observer>,
    ) -> Step<'a> {
        if refused.is_http2 && !self.fresh {
            return Step::Leave(Leave::Http2Preface { held, rest });
        }
        if self.fresh && (refused.is_http2 || !refused.names_http) {
            return Step::Leave(Leave::NotHttp);
        }
        let after = refused.length.saturating_sub(held.len());
        self.malformed(rest.get(after..).unwrap_or_default(), reading)
    }

    fn malformed<'a>(
        &mut self,
        rest: &'a [u8],
        reading: &mut Reading<'_, impl Observer>,
    ) -> Step<'a> {
        reading.observer.counters().http1_malformed += 1;
        self.lose(Hunt::LineStart, reading);
        Step::Rest(rest)
    }

    fn lose(&mut self, hunt: Hunt, reading: &mut Reading<'_, impl Observer>) {
        self.fresh = false;
        self.resynced = true;
        self.watched = None;
        self.read = 0;
        self.place = Place::Lost(hunt);
        reading.exchange.doubt(reading.observer);
    }
}

/// Empty lines before a request are skipped (RFC 9112 §2.2).
pub(super) fn skip_empty_lines(mut bytes: &[u8]) -> &[u8] {
    while let [b'\r' | b'\n', rest @ ..] = bytes {
        bytes = rest;
    }
    bytes
}
