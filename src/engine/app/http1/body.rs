//! Bodies: skipped, never kept (RFC 9112 §6 and §7).

use memchr::memchr;

/// What is left of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::app) enum Body {
    /// So many bytes.
    Length(u64),
    /// Chunks, up to the one of length 0 and the trailers after it.
    Chunks {
        /// Bytes left of the chunk's data or, within its size line, the number so far.
        left: u64,
        /// Where in a chunk.
        part: ChunkPart,
    },
    /// Until the connection closes.
    UntilClose,
}

/// A place in a chunked body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::app) enum ChunkPart {
    /// Before the first digit of a size.
    SizeStart,
    /// Within a size.
    Size,
    /// After a size, up to the line's end.
    Extension,
    /// Within a chunk's data.
    Data,
    /// After a chunk's data, before its line end.
    DataEnd,
    /// Within that line end.
    DataLineFeed,
    /// Where a line of the trailers begins.
    TrailerStart,
    /// After a CR there.
    TrailerLineFeed,
    /// Within such a line.
    Trailer,
}

/// What came of skipping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Skipped<'a> {
    /// All bytes belonged to the body, which goes on.
    All(Body),
    /// The body ended; these bytes follow it.
    Rest(&'a [u8]),
    /// Something else stands where a chunk's size or end must; it begins here.
    Malformed(&'a [u8]),
}

impl Body {
    /// The start of a chunked body.
    pub(super) const CHUNKED: Self = Self::Chunks {
        left: 0,
        part: ChunkPart::SizeStart,
    };

    /// Takes bytes off that lie within a body, or within a chunk of it; else false,
    /// and nothing has happened.
    pub(super) fn pass_over(&mut self, bytes: &[u8]) -> bool {
        match self {
            Self::UntilClose => true,
            Self::Length(left)
            | Self::Chunks {
                left,
                part: ChunkPart::Data,
            } => match left.checked_sub(bytes.len() as u64) {
                Some(after @ 1..) => {
                    *left = after;
                    true
                }
                _ => false,
            },
            Self::Chunks { .. } => false,
        }
    }

    /// Takes the body's bytes off.
    pub(super) fn skip(self, bytes: &[u8]) -> Skipped<'_> {
        match self {
            Self::UntilClose => Skipped::All(self),
            Self::Chunks { left, part } => skip_chunks(left, part, bytes),
            Self::Length(left) => match skip_length(left, bytes) {
                (0, rest) => Skipped::Rest(rest),
                (left, _) => Skipped::All(Self::Length(left)),
            },
        }
    }

    /// How many bytes of a hole lie behind the body for certain.
    pub(super) fn beyond(self, gap: u64) -> u64 {
        match self {
            Self::Length(left) => gap.saturating_sub(left),
            Self::Chunks { .. } | Self::UntilClose => 0,
        }
    }

    /// Takes a hole in the body into account; None when what follows the hole is unsure.
    pub(super) fn skip_gap(self, gap: u64) -> Option<Self> {
        match self {
            Self::UntilClose => Some(self),
            Self::Length(left) => left.checked_sub(gap).map(Self::Length),
            Self::Chunks {
                left,
                part: ChunkPart::Data,
            } => left.checked_sub(gap).map(|left| Self::Chunks {
                left,
                part: if left == 0 {
                    ChunkPart::DataEnd
                } else {
                    ChunkPart::Data
                },
            }),
            Self::Chunks { .. } => None,
        }
    }
}

/// How many bytes of the body are still missing, and the bytes after it.
fn skip_length(left: u64, bytes: &[u8]) -> (u64, &[u8]) {
    match usize::try_from(left).map(|left| bytes.get(left..)) {
        Ok(Some(rest)) => (0, rest),
        _ => (left - bytes.len() as u64, &[]),
    }
}

fn skip_chunks(mut left: u64, mut part: ChunkPart, mut bytes: &[u8]) -> Skipped<'_> {
    while let Some((&byte, after)) = bytes.split_first() {
        match part {
            ChunkPart::Data => {
                (left, bytes) = skip_length(left, bytes);
                if left == 0 {
                    part = ChunkPart::DataEnd;
                }
                continue;
            }
            ChunkPart::Extension | ChunkPart::Trailer => match after_line_feed(bytes) {
                Some(rest) => {
                    part = after_line(part, left);
                    bytes = rest;
                    continue;
                }
                None => break,
            },
            _ => {}
        }
        match step(byte, &mut left, part) {
            Step::To(next) => part = next,
            Step::Done => return Skipped::Rest(after),
            Step::Malformed => return Skipped::Malformed(bytes),
        }
        bytes = after;
    }
    Skipped::All(Body::Chunks { left, part })
}

enum Step {
    To(ChunkPart),
    Done,
    Malformed,
}

/// One byte of what stands around the data. A line may end with LF alone, and blanks may follow
/// a size (both are common leniencies).
fn step(byte: u8, left: &mut u64, part: ChunkPart) -> Step {
    match (part, byte) {
        (ChunkPart::SizeStart | ChunkPart::Size, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
            let Some(shifted) = left.checked_mul(16) else {
                return Step::Malformed;
            };
            *left = shifted + u64::from(char::from(byte).to_digit(16).unwrap_or_default());
            Step::To(ChunkPart::Size)
        }
        (ChunkPart::Size, b'\n') => Step::To(after_line(part, *left)),
        (ChunkPart::Size, b';' | b' ' | b'\t' | b'\r') => Step::To(ChunkPart::Extension),
        (ChunkPart::DataEnd, b'\r') => Step::To(ChunkPart::DataLineFeed),
        (ChunkPart::DataEnd | ChunkPart::DataLineFeed, b'\n') => Step::To(ChunkPart::SizeStart),
        (ChunkPart::TrailerStart, b'\r') => Step::To(ChunkPart::TrailerLineFeed),
        (ChunkPart::TrailerStart | ChunkPart::TrailerLineFeed, b'\n') => Step::Done,
        (ChunkPart::TrailerStart | ChunkPart::TrailerLineFeed, _) => Step::To(ChunkPart::Trailer),
        _ => Step::Malformed,
    }
}

fn after_line_feed(bytes: &[u8]) -> Option<&[u8]> {
    bytes.get(memchr(b'\n', bytes)? + 1..)
}

/// What follows the end of a line: of a trailer, or of a size line.
fn after_line(part: ChunkPart, size: u64) -> ChunkPart {
    match (part, size) {
        (ChunkPart::Trailer, _) | (_, 0) => ChunkPart::TrailerStart,
        _ => ChunkPart::Data,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What follows a chunked body, however its bytes are cut.
    fn after_chunks(text: &str) -> Option<String> {
        let bytes = text.as_bytes();
        let whole = outcome(Body::CHUNKED, [bytes]);
        for cut in 0..bytes.len() {
            let (first, second) = bytes.split_at(cut);
            let parts = outcome(Body::CHUNKED, [first, second]);
            assert_eq!(parts.is_some(), whole.is_some(), "{text:?} cut at {cut}");
        }
        whole
    }

    #[test]
    fn passing_over_leaves_what_skipping_does() {
        let chunked = "5\r\nhello\r\n10;x\r\n0123456789abcdef\r\n0\r\nA: b\r\n\r\n";
        let mut passed = 0;
        for (mut body, bytes) in [
            (Body::Length(40), [b'a'; 40].as_slice()),
            (Body::CHUNKED, chunked.as_bytes()),
            (Body::UntilClose, chunked.as_bytes()),
        ] {
            for at in 0..bytes.len() {
                for length in 1..=bytes.len() - at {
                    let (piece, mut over) = (&bytes[at..at + length], body);
                    if over.pass_over(piece) {
                        passed += 1;
                        assert_eq!(body.skip(piece), Skipped::All(over), "{piece:?}");
                    } else {
                        assert_eq!(over, body);
                    }
                }
                if let Skipped::All(rest) = body.skip(&bytes[at..=at]) {
                    body = rest;
                }
            }
        }
        assert!(passed > 1000, "{passed}");
    }

    fn outcome<const N: usize>(mut body: Body, parts: [&[u8]; N]) -> Option<String> {
        let mut after = None;
        for part in parts {
            match after.as_mut() {
                None => match body.skip(part) {
                    Skipped::All(rest) => body = rest,
                    Skipped::Rest(rest) => after = Some(rest.to_vec()),
                    Skipped::Malformed(_) => return None,
                },
                Some(after) => after.extend_from_slice(part),
            }
        }
        after.map(|after| String::from_utf8(after).unwrap())
    }

    #[test]
    fn a_body_of_known_length_ends_there() {
        assert_eq!(Body::Length(3).skip(b"abcdef"), Skipped::Rest(b"def"));
        assert_eq!(Body::Length(3).skip(b"ab"), Skipped::All(Body::Length(1)));
        assert_eq!(Body::Length(0).skip(b"ab"), Skipped::Rest(b"ab"));
        let huge = Body::Length(u64::MAX).skip(b"ab");
        assert_eq!(huge, Skipped::All(Body::Length(u64::MAX - 2)));
    }

    #[test]
    fn chunks_end_after_the_one_of_length_nought_and_its_trailers() {
        for text in [
            "3\r\nabc\r\n0\r\n\r\nGET",
            "3;a=\"b\"\r\nabc\r\n000;x\r\nT: v\r\nU: w\r\n\r\nGET",
            "3\nabc\n0\n\nGET",
            "3 \r\nabc\r\n0 \r\nT\n\nGET",
            "00000000000000000000A\r\n0123456789\r\n0\r\n\r\nGET",
            "0\r\n\rx\r\n\r\nGET",
        ] {
            assert_eq!(after_chunks(text).as_deref(), Some("GET"), "{text:?}");
        }
    }

    #[test]
    fn what_is_no_chunk_is_malformed() {
        for text in [
            "x\r\n",
            "\r\n3\r\nabc\r\n0\r\n\r\n",
            "3x\r\nabc\r\n0\r\n\r\n",
            "3\r\nabcd\r\n0\r\n\r\n",
            "3\r\nabc\rd0\r\n\r\n",
            "11111111111111111\r\n",
        ] {
            assert_eq!(after_chunks(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_hole_within_known_bytes_is_counted_off() {
        let data = |left| Body::Chunks {
            left,
            part: ChunkPart::Data,
        };
        assert_eq!(Body::Length(9).skip_gap(9), Some(Body::Length(0)));
        assert_eq!(Body::Length(9).skip_gap(10), None);
        assert_eq!(data(9).skip_gap(4), Some(data(5)));
        assert_eq!(data(9).skip_gap(10), None);
        assert_eq!(Body::CHUNKED.skip_gap(1), None);
        assert_eq!(
            data(9)
                .skip_gap(9)
                .map(|body| body.skip(b"\r\n0\r\n\r\nGET")),
            Some(Skipped::Rest(b"GET"))
        );
        assert_eq!(Body::UntilClose.skip_gap(1 << 40), Some(Body::UntilClose));
    }
}
