//! The server's side: statuses read, everything else skipped.

use crate::app::Observer;
use crate::app::http1::body::{Body, Skipped};
use crate::app::http1::exchange::{Answer, RequestKind};
use crate::app::http1::framing::{Follows, Framing};
use crate::app::http1::hunt::{Found, Hunt, Sought};
use crate::app::http1::line::{STATUS_BYTES_MAX, StatusLine};
use crate::app::http1::requests::{Reading, skip_empty_lines};
use crate::app::http1::skim::{Skim, Skimmed};

/// Where the server's side of a connection stands.
#[derive(Debug, Default)]
pub(super) struct Responses {
    place: Place,
}

#[derive(Debug, Default)]
enum Place {
    /// Between two responses.
    #[default]
    Start,
    /// Within the first bytes of a status line.
    Line(Held),
    /// Within a head.
    Head(Skim<Answer>),
    /// Within a body.
    Body(Body),
    /// Where a body begins, if there is one: the request was not seen, and may have been HEAD. So
    /// many bytes of [`STATUS_START`] stand there, which may belong to it.
    Doubtful(Body, u8),
    /// The next status line is sought.
    Lost(Hunt),
    /// Behind a 101 whose request is still to come: nothing that is read.
    Beyond,
}

/// The first bytes of a status line.
#[derive(Clone, Copy, Debug, Default)]
struct Held {
    bytes: [u8; STATUS_BYTES_MAX],
    length: u8,
}

/// What the server's bytes bring.
pub(super) enum Step<'a> {
    /// These bytes, to be read on.
    Rest(&'a [u8]),
    /// HTTP/1 ends: what goes on is no HTTP, or nothing that is known.
    Over,
    /// HTTP/1 ends with 101, before these bytes.
    Switched(&'a [u8]),
}

impl Responses {
    /// Whether no byte was read.
    pub(super) fn is_new(&self) -> bool {
        matches!(self.place, Place::Start)
    }

    /// In the middle of a connection.
    pub(super) fn lost(hunt: Hunt) -> Self {
        Self {
            place: Place::Lost(hunt),
        }
    }

    /// The beginning of a line that may be a status line.
    pub(super) fn held(&self) -> &[u8] {
        match &self.place {
            Place::Lost(hunt) => hunt.held(),
            _ => &[],
        }
    }

    /// Bytes on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        match &self.place {
            Place::Head(skim) => skim.heap_bytes(),
            Place::Lost(hunt) => hunt.heap_bytes(),
            _ => 0,
        }
    }

    /// Takes bytes off that lie within a body; else false, and nothing has happened.
    pub(super) fn pass_over(&mut self, bytes: &[u8]) -> bool {
        match &mut self.place {
            Place::Body(body) => body.pass_over(bytes),
            _ => false,
        }
    }

    /// Reads the next bytes; how HTTP/1 ends, if it does.
    pub(super) fn on_data<'a>(
        &mut self,
        mut bytes: &'a [u8],
        reading: &mut Reading<'_, impl Observer>,
    ) -> Option<Step<'a>> {
        while !bytes.is_empty() {
            let step = match std::mem::take(&mut self.place) {
                Place::Start => self.in_line(Held::default(), skip_empty_lines(bytes), reading),
                Place::Line(held) => self.in_line(held, bytes, reading),
                Place::Head(skim) => self.in_head(skim, bytes, reading),
                Place::Doubtful(body, seen) => self.in_doubt(body, seen, bytes),
                Place::Body(body) => self.in_body(body, bytes, reading),
                Place::Lost(hunt) => self.while_lost(hunt, bytes, reading),
                Place::Beyond => self.go_beyond(),
            };
            match step {
                Step::Rest(rest) => bytes = rest,
                end => return Some(end),
            }
        }
        None
    }

    /// So many bytes are missing.
    pub(super) fn on_gap(&mut self, gap: u64, reading: &mut Reading<'_, impl Observer>) {
        match self.place {
            Place::Doubtful(body, seen) => self.begin_body(body, seen),
            Place::Beyond => return,
            _ => {}
        }
        let known = match &self.place {
            Place::Body(body) => body.skip_gap(gap),
            _ => None,
        };
        if let Some(body) = known {
            self.place = Place::Body(body);
            return;
        }
        if matches!(self.place, Place::Line(_) | Place::Head(_)) {
            reading.observer.counters().http1_heads_lost += 1;
        }
        let end = reading.context.offset.checked_add(gap);
        self.lose(Hunt::LineStart, end, reading);
    }

    /// The request of the response that was read last is seen only now: HEAD has no body.
    pub(super) fn was_for(&mut self, kind: RequestKind) {
        if let Place::Doubtful(body, seen) = self.place {
            match kind {
                RequestKind::Head => self.place = Place::at(status_start(seen)),
                _ => self.begin_body(body, seen),
            }
        }
    }

    /// Bytes where a body may begin, unless a status line does.
    fn in_doubt<'a>(&mut self, body: Body, seen: u8, bytes: &'a [u8]) -> Step<'a> {
        let known = status_start(seen).len();
        let awaited = STATUS_START.get(known..).unwrap_or_default();
        let same = bytes.iter().zip(awaited).take_while(|(a, b)| a == b);
        let same = same.count();
        let seen = seen + same as u8;
        let rest = bytes.get(same..).unwrap_or_default();
        if same == awaited.len() {
            self.place = Place::at(STATUS_START);
        } else if rest.is_empty() {
            self.place = Place::Doubtful(body, seen);
        } else {
            self.begin_body(body, seen);
        }
        Step::Rest(rest)
    }

    /// A body begins with so many bytes that were taken for those of a status line.
    fn begin_body(&mut self, body: Body, seen: u8) {
        self.place = match body.skip(status_start(seen)) {
            Skipped::All(body) => Place::Body(body),
            Skipped::Rest(rest) => Place::at(rest),
            Skipped::Malformed(_) => Place::Lost(Hunt::WithinLine),
        };
    }

    fn in_line<'a>(
        &mut self,
        mut held: Held,
        bytes: &'a [u8],
        reading: &mut Reading<'_, impl Observer>,
    ) -> Step<'a> {
        let (judged, rest) = held.judge(bytes);
        match judged {
            StatusLine::Unfinished => {
                if held.length > 0 {
                    self.place = Place::Line(held);
                }
            }
            StatusLine::Status(status) => {
                let (context, observer) = (reading.context, &mut *reading.observer);
                let answer = reading.exchange.answer(context, status, observer);
                self.place = Place::Head(Skim::within_first_line(answer));
            }
            StatusLine::No => self.refuse(reading),
        }
        Step::Rest(rest)
    }

    /// No status line: the answer to a simple request, or nothing that can be read.
    fn refuse(&mut self, reading: &mut Reading<'_, impl Observer>) {
        if reading.exchange.first_kind() == Some(RequestKind::Simple) {
            reading.exchange.give_up(reading.observer);
            self.place = Place::Body(Body::UntilClose);
        } else {
            reading.observer.counters().http1_malformed += 1;
            self.lose(Hunt::WithinLine, None, reading);
        }
    }

    fn in_head<'a>(
        &mut self,
        skim: Skim<Answer>,
        bytes: &'a [u8],
        reading: &mut Reading<'_, impl Observer>,
    ) -> Step<'a> {
        match skim.feed(bytes) {
            Skimmed::All(skim) => {
                self.place = Place::Head(skim);
                Step::Rest(&[])
            }
            Skimmed::End(answer, framing, rest) => self.after_head(answer, &framing, rest, reading),
        }
    }

    fn after_head<'a>(
        &mut self,
        answer: Answer,
        framing: &Framing,
        rest: &'a [u8],
        reading: &mut Reading<'_, impl Observer>,
    ) -> Step<'a> {
        match answer {
            Answer::Interim | Answer::Bodiless => Step::Rest(rest),
            Answer::Tunnel => Step::Over,
            Answer::Switching => Step::Switched(rest),
            Answer::EarlySwitching => self.go_beyond(),
            Answer::Plain | Answer::Unmatched => {
                match framing.after_response() {
                    Follows::Nothing => {}
                    Follows::Body(body) if answer == Answer::Plain => {
                        self.place = Place::Body(body)
                    }
                    Follows::Body(body) => self.place = Place::Doubtful(body, 0),
                    Follows::Unsure => {
                        reading.observer.counters().http1_malformed += 1;
                        self.lose(Hunt::WithinLine, None, reading);
                    }
                }
                Step::Rest(rest)
            }
        }
    }

    fn go_beyond<'a>(&mut self) -> Step<'a> {
        self.place = Place::Beyond;
        Step::Rest(&[])
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
            Skipped::Malformed(rest) => {
                reading.observer.counters().http1_malformed += 1;
                self.lose(Hunt::WithinLine, None, reading);
                Step::Rest(rest)
            }
        }
    }

    fn while_lost<'a>(
        &mut self,
        mut hunt: Hunt,
        bytes: &'a [u8],
        reading: &mut Reading<'_, impl Observer>,
    ) -> Step<'a> {
        match hunt.feed(Sought::Response, bytes) {
            Found::Nothing => {
                self.place = Place::Lost(hunt);
                Step::Rest(&[])
            }
            Found::Line { held, rest, .. } if held.is_empty() => {
                self.in_line(Held::default(), rest, reading)
            }
            Found::Line { held, rest, .. } => {
                // The status is complete in what was held: at most that line is left of it.
                self.in_line(Held::default(), &held, reading);
                self.skip_held_line(&held);
                Step::Rest(rest)
            }
        }
    }

    /// What was held ended with its line: the next line begins.
    fn skip_held_line(&mut self, held: &[u8]) {
        if let Place::Head(Skim::Bare { within_line, .. }) = &mut self.place {
            *within_line = !held.ends_with(b"\n");
        }
    }

    fn lose(&mut self, hunt: Hunt, end: Option<u64>, reading: &mut Reading<'_, impl Observer>) {
        self.place = Place::Lost(hunt);
        reading.exchange.lose(end, reading.observer);
    }
}

/// What a status line begins with.
const STATUS_START: &[u8] = b"HTTP/1.";

fn status_start(seen: u8) -> &'static [u8] {
    STATUS_START.get(..usize::from(seen)).unwrap_or_default()
}

impl Place {
    /// Behind the first bytes of a line, of which [`STATUS_START`] has more than enough.
    fn at(start: &[u8]) -> Self {
        let mut held = Held::default();
        for (place, byte) in held.bytes.iter_mut().zip(start) {
            *place = *byte;
            held.length += 1;
        }
        match held.length {
            0 => Self::Start,
            _ => Self::Line(held),
        }
    }
}

impl Held {
    /// Judges the line by what is held and what comes; takes what it must hold.
    fn judge<'a>(&mut self, bytes: &'a [u8]) -> (StatusLine, &'a [u8]) {
        if self.length == 0 {
            match StatusLine::parse(bytes) {
                StatusLine::Unfinished => {}
                judged => return (judged, bytes),
            }
        }
        let mut rest = bytes;
        while let Some((&byte, after)) = rest.split_first() {
            let Some(place) = self.bytes.get_mut(usize::from(self.length)) else {
                return (StatusLine::No, rest);
            };
            *place = byte;
            self.length += 1;
            let held = self.bytes.get(..usize::from(self.length));
            match StatusLine::parse(held.unwrap_or_default()) {
                StatusLine::Unfinished => rest = after,
                // The byte that ends the status may be the line's end, which is read again.
                judged => return (judged, rest),
            }
        }
        (StatusLine::Unfinished, rest)
    }
}
