//! What a frame is (RFC 9113 §4 and §6), and what frames look like.

use crate::limits::HEAD_BYTES_MAX;

/// The first bytes of every client (RFC 9113 §3.4).
pub(in crate::app) const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Bytes of a frame's header.
pub(super) const HEADER_BYTES: usize = 9;

/// A frame's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FrameHeader {
    /// Bytes of the payload.
    pub(super) length: u32,
    pub(super) kind: FrameKind,
    flags: u8,
    /// The stream it is about; 0 for the connection.
    pub(super) stream: u32,
    /// Whether the bit that must be 0 is.
    is_reserved_unset: bool,
}

/// The types of frames that are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FrameKind {
    Data,
    Headers,
    Priority,
    Reset,
    Settings,
    Promise,
    Ping,
    GoAway,
    WindowUpdate,
    Continuation,
    /// One that an extension defines, or that is there so that nobody relies on knowing all.
    Other,
}

impl FrameHeader {
    pub(super) fn parse(bytes: &[u8; HEADER_BYTES]) -> Self {
        let &[l0, l1, l2, kind, flags, s0, s1, s2, s3] = bytes;
        Self {
            length: u32::from_be_bytes([0, l0, l1, l2]),
            kind: FrameKind::of(kind),
            flags,
            stream: u32::from_be_bytes([s0 & 0x7f, s1, s2, s3]),
            is_reserved_unset: s0 & 0x80 == 0,
        }
    }

    /// Whether a header block ends with it.
    pub(super) fn ends_headers(&self) -> bool {
        self.flags & END_HEADERS != 0
    }

    /// Whether it may stand in a connection that goes on: whatever breaks these rules makes the
    /// receiver close it (RFC 9113 §6).
    pub(super) fn is_sound(&self) -> bool {
        use FrameKind::{Continuation, Data, GoAway, Headers, Ping, Promise, Reset, Settings};
        let is_size_right = match self.kind {
            Reset | FrameKind::WindowUpdate => self.length == 4,
            Settings => self.length % 6 == 0,
            Ping => self.length == 8,
            GoAway => self.length >= 8,
            _ => true,
        };
        let is_place_right = match self.kind {
            Data | Headers | FrameKind::Priority | Reset | Promise | Continuation => {
                self.stream != 0
            }
            Settings | Ping | GoAway => self.stream == 0,
            FrameKind::WindowUpdate | FrameKind::Other => true,
        };
        is_size_right && is_place_right
    }

    /// Whether bytes that stand where a frame may begin are likely to be one: sound, of a type
    /// that every implementation sends, no larger than unless agreed otherwise, no bit set that
    /// means nothing.
    pub(super) fn is_likely(&self) -> bool {
        let flags = match self.kind {
            FrameKind::Data => END_STREAM | PADDED,
            FrameKind::Headers => END_STREAM | END_HEADERS | PADDED | PRIORITY,
            FrameKind::Settings | FrameKind::Ping => ACK,
            FrameKind::Promise => END_HEADERS | PADDED,
            FrameKind::Continuation => END_HEADERS,
            _ => 0,
        };
        let is_known = self.kind != FrameKind::Other;
        let is_size_usual = self.length <= FRAME_BYTES_AT_FIRST
            && (self.kind != FrameKind::Priority || self.length == 5);
        is_known
            && is_size_usual
            && self.is_reserved_unset
            && self.flags & !flags == 0
            && self.is_sound()
    }

    /// Whether a server may begin with it: settings that acknowledge none (RFC 9113 §3.4).
    pub(super) fn may_be_servers_first(&self) -> bool {
        self.kind == FrameKind::Settings && self.flags == 0 && self.is_likely()
    }

    /// The fragment of a header block in its payload, padding and priority taken off (RFC 9113
    /// §6.2, §6.6, §6.10). None when they exceed the payload.
    pub(super) fn fragment<'a>(&self, payload: &'a [u8]) -> Option<&'a [u8]> {
        let mut rest = payload;
        let mut padding = 0;
        let is_continued = self.kind == FrameKind::Continuation;
        if self.flags & PADDED != 0 && !is_continued {
            let (first, after) = rest.split_first()?;
            (padding, rest) = (usize::from(*first), after);
        }
        let ahead = match self.kind {
            FrameKind::Headers if self.flags & PRIORITY != 0 => 5,
            FrameKind::Promise => 4,
            _ => 0,
        };
        let rest = rest.get(ahead..)?;
        let missing = (self.length as usize).saturating_sub(payload.len());
        let padding = padding.saturating_sub(missing); // it comes last
        rest.get(..rest.len().checked_sub(padding)?)
    }

    /// How many bytes of the payload are worth a look.
    pub(super) fn wanted(&self) -> usize {
        let most = match self.kind {
            FrameKind::Headers | FrameKind::Promise | FrameKind::Continuation => HEAD_BYTES_MAX,
            FrameKind::GoAway => 4,
            _ => 0,
        };
        most.min(self.length as usize)
    }
}

impl FrameKind {
    fn of(byte: u8) -> Self {
        match byte {
            0 => Self::Data,
            1 => Self::Headers,
            2 => Self::Priority,
            3 => Self::Reset,
            4 => Self::Settings,
            5 => Self::Promise,
            6 => Self::Ping,
            7 => Self::GoAway,
            8 => Self::WindowUpdate,
            9 => Self::Continuation,
            _ => Self::Other,
        }
    }
}

/// Whether bytes, from where a frame may begin, are frames all through; the last may be cut.
pub(super) fn are_likely_frames(mut bytes: &[u8]) -> bool {
    let mut count = 0;
    while let Some((header, rest)) = bytes.split_first_chunk() {
        let header = FrameHeader::parse(header);
        if !header.is_likely() {
            return false;
        }
        count += 1;
        bytes = rest.get(header.length as usize..).unwrap_or_default();
    }
    count > 0
}

/// Whether a server's first bytes can be its connection preface; None when they are too few.
pub(in crate::app) fn is_servers_start(bytes: &[u8]) -> Option<bool> {
    match bytes.first_chunk() {
        Some(header) => Some(FrameHeader::parse(header).may_be_servers_first()),
        None => {
            let may_be = matches!(bytes, [] | [0] | [0, 0..=0x40] | [0, 0..=0x40, _])
                || matches!(bytes, [0, 0..=0x40, _, 4, rest @ ..] if rest.iter().all(|b| *b == 0));
            (!may_be).then_some(false)
        }
    }
}

const END_STREAM: u8 = 0x1;
const ACK: u8 = 0x1;
const END_HEADERS: u8 = 0x4;
const PADDED: u8 = 0x8;
const PRIORITY: u8 = 0x20;
/// The largest payload before a receiver allows more (RFC 9113 §6.5.2).
const FRAME_BYTES_AT_FIRST: u32 = 16 * 1024;
