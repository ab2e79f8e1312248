//! One direction of one stream: its bytes in order, and what they are.

use crate::app::hpack::HpackError;
use crate::app::http3::frame::{Frames, Next, kind};
use crate::app::http3::qpack::Qpack;
use crate::app::quic::ordered::Ordered;
use crate::app::quic::varint::varint;
use crate::app::tls::reader::Reader;
use crate::frame::Timestamp;

/// A stream's direction that is read.
#[derive(Debug)]
pub(super) struct Channel {
    ordered: Ordered,
    content: Content,
    /// Since when its next bytes are missing.
    pub(super) missing_since: Option<Timestamp>,
}

/// What a stream is for.
#[derive(Debug)]
enum Content {
    /// A request, or its response.
    Message(Frames),
    /// A stream of one direction that has not said yet what it is for (RFC 9114 §6.2).
    Unnamed(Vec<u8>),
    /// What concerns the connection (RFC 9114 §6.2.1).
    Control(Frames),
    /// What fills the table of fields (RFC 9204 §4.2).
    Encoder,
    /// Nothing that is read.
    Other,
}

/// A piece of a stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece<'a> {
    pub(super) offset: u64,
    pub(super) data: &'a [u8],
    pub(super) is_last: bool,
    /// When it came.
    pub(super) time: Timestamp,
}

/// What came out of a piece.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Header sections of a request or response, in order.
    pub(super) sections: Vec<Vec<u8>>,
    /// What the settings allow the other side's table of fields to have.
    pub(super) capacity: Option<u64>,
    /// The first stream that will not be answered.
    pub(super) goes_away_from: Option<u64>,
    /// Whether the table of fields has changed.
    pub(super) has_instructions: bool,
    /// Whether a rule was broken, so that nothing more of the stream is read.
    pub(super) is_malformed: bool,
    /// Whether the stream came to its end.
    pub(super) is_complete: bool,
    /// Bytes for which there was no room.
    pub(super) refused: usize,
}

impl Channel {
    /// A stream for requests.
    pub(super) fn message() -> Self {
        Self::new(Content::Message(Frames::default()))
    }

    /// A stream of one direction.
    pub(super) fn unnamed() -> Self {
        Self::new(Content::Unnamed(Vec::new()))
    }

    fn new(content: Content) -> Self {
        Self {
            ordered: Ordered::default(),
            content,
            missing_since: None,
        }
    }

    /// Takes a piece, and reads what is next.
    pub(super) fn take(&mut self, piece: Piece<'_>, room: usize, qpack: &mut Qpack) -> Found {
        let mut found = Found::default();
        let Self {
            ordered, content, ..
        } = self;
        if piece.is_last {
            ordered.end_at(piece.offset.saturating_add(piece.data.len() as u64));
        }
        let mut read = |bytes: &[u8]| content.read(bytes, qpack, &mut found);
        let refused = ordered.insert(piece.offset, piece.data, room, &mut read);
        found.refused = refused;
        found.is_complete = ordered.is_complete();
        self.missing_since = match self.ordered.has_hole() {
            true => Some(self.missing_since.unwrap_or(piece.time)),
            false => None,
        };
        found
    }

    /// Whether nothing of it is read.
    pub(super) fn is_ignored(&self) -> bool {
        matches!(self.content, Content::Other)
    }

    /// Whether the table of fields is filled by it.
    pub(super) fn is_encoder(&self) -> bool {
        matches!(self.content, Content::Encoder)
    }

    /// Whether part of a header section is held.
    pub(super) fn is_holding(&self) -> bool {
        match &self.content {
            Content::Message(frames) => frames.is_holding() || self.ordered.has_hole(),
            _ => false,
        }
    }

    /// Bytes that wait for earlier ones.
    pub(super) fn waiting_bytes(&self) -> usize {
        self.ordered.held_bytes()
    }

    /// Bytes on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        let content = match &self.content {
            Content::Message(frames) | Content::Control(frames) => frames.heap_bytes(),
            Content::Unnamed(start) => start.capacity(),
            Content::Encoder | Content::Other => 0,
        };
        size_of::<Self>() + self.waiting_bytes() + content
    }
}

impl Content {
    fn read(&mut self, bytes: &[u8], qpack: &mut Qpack, found: &mut Found) {
        match self {
            Self::Message(frames) => read_frames(frames, bytes, found),
            Self::Control(frames) => read_frames(frames, bytes, found),
            Self::Encoder => follow(qpack.instruct(bytes), found),
            Self::Other => {}
            Self::Unnamed(start) => {
                start.extend_from_slice(bytes);
                let start = std::mem::take(start);
                let mut reader = Reader::new(&start);
                match varint(&mut reader) {
                    None => *self = Self::Unnamed(start),
                    Some(kind) => {
                        *self = Self::of(kind);
                        self.read(reader.rest(), qpack, found);
                    }
                }
            }
        }
    }

    /// RFC 9114 §6.2, RFC 9204 §4.2. What is pushed was asked for by nobody.
    fn of(kind: u64) -> Self {
        match kind {
            0x00 => Self::Control(Frames::default()),
            0x02 => Self::Encoder,
            _ => Self::Other,
        }
    }
}

fn follow(outcome: Result<(), HpackError>, found: &mut Found) {
    found.has_instructions = true;
    found.is_malformed |= outcome.is_err();
}

fn read_frames(frames: &mut Frames, mut rest: &[u8], found: &mut Found) {
    loop {
        match frames.next(&mut rest) {
            Next::Unfinished => return,
            Next::Malformed => found.is_malformed = true,
            Next::Frame(kind::HEADERS, section) => found.sections.push(section),
            Next::Frame(kind::SETTINGS, settings) => {
                found.capacity = Some(table_capacity(&settings));
            }
            Next::Frame(_, payload) => {
                found.goes_away_from = varint(&mut Reader::new(&payload));
            }
        }
    }
}

/// SETTINGS_QPACK_MAX_TABLE_CAPACITY (RFC 9204 §5); none is 0.
fn table_capacity(settings: &[u8]) -> u64 {
    let mut reader = Reader::new(settings);
    while let (Some(name), Some(value)) = (varint(&mut reader), varint(&mut reader)) {
        if name == 0x01 {
            return value;
        }
    }
    0
}
