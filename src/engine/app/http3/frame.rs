//! Frames on the streams of HTTP/3 (RFC 9114 §7): those that are looked at are put together, the
//! others passed over.

use crate::app::quic::varint::varint;
use crate::app::tls::reader::Reader;
use crate::limits::HEAD_BYTES_MAX;

/// Types of frames that are looked at.
pub(super) mod kind {
    pub(in super::super) const HEADERS: u64 = 0x01;
    pub(in super::super) const SETTINGS: u64 = 0x04;
    pub(in super::super) const GO_AWAY: u64 = 0x07;
}

/// Where in the frames of one stream's direction reading stands.
#[derive(Debug, Default)]
pub(super) struct Frames {
    state: State,
}

#[derive(Debug)]
enum State {
    /// The beginning of a frame's type and length.
    Header(Vec<u8>),
    /// Bytes that are still to be passed over.
    Payload(u64),
    /// A frame that is looked at, and how long it is.
    Held(u64, usize, Vec<u8>),
    /// Nothing more can be read.
    Over,
}

/// What is next on a stream.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// A frame of this type is complete; its payload.
    Frame(u64, Vec<u8>),
    /// More bytes are needed.
    Unfinished,
    /// A frame that may not stand here, or is longer than the bound. No more follows.
    Malformed,
}

impl Default for State {
    fn default() -> Self {
        Self::Header(Vec::new())
    }
}

impl Frames {
    /// Takes bytes of `rest` until a frame that is looked at is complete.
    pub(super) fn next(&mut self, rest: &mut &[u8]) -> Next {
        while !rest.is_empty() {
            match &mut self.state {
                State::Header(header) => {
                    let Some((kind, length)) = read_header(header, rest) else {
                        continue;
                    };
                    self.state = begin(kind, length);
                }
                State::Payload(left) => {
                    let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(rest.len());
                    *rest = rest.get(taken..).unwrap_or_default();
                    *left -= taken as u64;
                    if *left == 0 {
                        self.state = State::default();
                    }
                    continue;
                }
                State::Held(_, length, held) => {
                    let wanted = length.saturating_sub(held.len()).min(rest.len());
                    let (taken, after) = rest.split_at_checked(wanted).unwrap_or_default();
                    held.extend_from_slice(taken);
                    *rest = after;
                }
                State::Over => {
                    *rest = &[];
                    return Next::Unfinished;
                }
            }
            if let Some(next) = self.completed() {
                return next;
            }
        }
        Next::Unfinished
    }

    /// Whether part of a frame that is looked at is held.
    pub(super) fn is_holding(&self) -> bool {
        matches!(self.state, State::Held(..))
    }

    /// Bytes on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        match &self.state {
            State::Header(bytes) | State::Held(_, _, bytes) => bytes.capacity(),
            State::Payload(_) | State::Over => 0,
        }
    }

    /// A frame whose last byte was taken, or one that ends all reading.
    fn completed(&mut self) -> Option<Next> {
        match &mut self.state {
            State::Held(kind, length, held) if held.len() == *length => {
                let next = Next::Frame(*kind, std::mem::take(held));
                self.state = State::default();
                Some(next)
            }
            State::Payload(0) => {
                self.state = State::default();
                None
            }
            State::Over => Some(Next::Malformed),
            _ => None,
        }
    }
}

/// Type and length of a frame, once they are complete.
fn read_header(header: &mut Vec<u8>, rest: &mut &[u8]) -> Option<(u64, u64)> {
    while let Some((byte, after)) = rest.split_first() {
        header.push(*byte);
        *rest = after;
        let mut reader = Reader::new(header);
        if let (Some(kind), Some(length)) = (varint(&mut reader), varint(&mut reader)) {
            return Some((kind, length));
        }
    }
    None
}

fn begin(kind: u64, length: u64) -> State {
    match kind {
        // Types of HTTP/2 that must not be used (RFC 9114 §7.2.8).
        0x02 | 0x06 | 0x08 | 0x09 => State::Over,
        kind::HEADERS | kind::SETTINGS | kind::GO_AWAY => match usize::try_from(length) {
            Ok(length) if length <= HEAD_BYTES_MAX => State::Held(kind, length, Vec::new()),
            _ => State::Over,
        },
        _ => State::Payload(length),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::quic::varint;

    fn frame(kind: u64, payload: &[u8]) -> Vec<u8> {
        let length = varint::write(payload.len() as u64);
        [&varint::write(kind)[..], &length, payload].concat()
    }

    fn read(stream: &[u8], size: usize) -> Vec<Next> {
        let mut frames = Frames::default();
        let mut found = Vec::new();
        for piece in stream.chunks(size) {
            let mut rest = piece;
            loop {
                match frames.next(&mut rest) {
                    Next::Unfinished => break,
                    next => found.push(next),
                }
            }
            assert!(rest.is_empty() && frames.heap_bytes() < 512);
        }
        found
    }

    #[test]
    fn frames_are_the_same_however_the_stream_is_cut() {
        let stream = [
            frame(0x21, b"grease"),
            frame(kind::HEADERS, b"a head"),
            frame(0x00, &[7; 300]),
            frame(0x0f_0700, b"u=1"),
            frame(kind::SETTINGS, b""),
            frame(0x00, b""),
            frame(kind::GO_AWAY, &[4]),
        ]
        .concat();
        for size in 1..stream.len() {
            let expected = [
                Next::Frame(kind::HEADERS, b"a head".to_vec()),
                Next::Frame(kind::SETTINGS, vec![]),
                Next::Frame(kind::GO_AWAY, vec![4]),
            ];
            assert_eq!(read(&stream, size), expected, "{size}");
        }
    }

    #[test]
    fn a_frame_of_http_2_and_one_beyond_the_bound_end_the_stream() {
        let long = [&[1][..], &varint::write(HEAD_BYTES_MAX as u64 + 1)].concat();
        for wrong in [frame(0x02, b"x"), frame(0x09, b""), long] {
            let stream = [&wrong[..], &frame(kind::HEADERS, b"a head")].concat();
            assert_eq!(read(&stream, 64), [Next::Malformed]);
        }
    }

    #[test]
    fn bodies_of_any_length_are_passed_over() {
        let stream = [&[0][..], &varint::write((1 << 62) - 1), &[1; 100]].concat();
        assert_eq!(read(&stream, 7), []);
    }
}
