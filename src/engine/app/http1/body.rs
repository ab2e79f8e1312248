//! Bodies: skipped, never kept.

use memchr::memchr;

/// What is left of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine::app) enum Body {
    /// So many bytes.
    Length(u64),
    /// Within a chunk size line; the number so far.
    ChunkSize { size: u64, digits_done: bool },
    /// So many bytes of a chunk and its line end.
    ChunkData(u64),
    /// In the trailers, at so many bytes of the present line.
    Trailer { line_bytes: u64 },
    /// Until the connection closes.
    UntilClose,
}

/// What came of skipping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine::app) enum Skipped<'a> {
    /// All bytes belonged to the body, which goes on.
    All(Body),
    /// The body ended; these bytes follow it.
    Rest(&'a [u8]),
    /// No chunk size where one must stand.
    Malformed,
}

impl Body {
    /// The start of a chunked body.
    pub(super) const CHUNKED: Self = Self::ChunkSize {
        size: 0,
        digits_done: false,
    };

    /// Takes the body's bytes off.
    pub(super) fn skip(mut self, mut bytes: &[u8]) -> Skipped<'_> {
        loop {
            let step = match self {
                Self::Length(left) => return skip_length(left, bytes),
                Self::UntilClose => return Skipped::All(self),
                Self::ChunkData(left) => skip_chunk(left, bytes),
                Self::ChunkSize { size, digits_done } => skip_size(size, digits_done, bytes),
                Self::Trailer { line_bytes } => skip_trailer(line_bytes, bytes),
            };
            match step {
                Step::Next(next, rest) => (self, bytes) = (next, rest),
                Step::Done(result) => return result,
            }
        }
    }

    /// Takes a hole in the body into account; None when what follows is unsure.
    pub(super) fn skip_gap(self, gap: u64) -> Option<Self> {
        match self {
            Self::Length(left) => left.checked_sub(gap).map(Self::Length),
            Self::ChunkData(left) => left
                .checked_sub(gap)
                .filter(|left| *left > 0)
                .map(Self::ChunkData),
            Self::UntilClose => Some(self),
            Self::ChunkSize { .. } | Self::Trailer { .. } => None,
        }
    }
}

enum Step<'a> {
    Next(Body, &'a [u8]),
    Done(Skipped<'a>),
}

fn skip_length(left: u64, bytes: &[u8]) -> Skipped<'_> {
    match usize::try_from(left)
        .ok()
        .and_then(|left| bytes.get(left..))
    {
        Some(rest) => Skipped::Rest(rest),
        None => Skipped::All(Body::Length(left - bytes.len() as u64)),
    }
}

fn skip_chunk(left: u64, bytes: &[u8]) -> Step<'_> {
    match skip_length(left, bytes) {
        Skipped::Rest(rest) => Step::Next(Body::CHUNKED, rest),
        _ => Step::Done(Skipped::All(Body::ChunkData(left - bytes.len() as u64))),
    }
}

/// Hexadecimal digits, then an extension that is not read, then the line's end (RFC 9112 §7.1).
/// The line end after a chunk's data passes as an empty size line.
fn skip_size(mut size: u64, mut digits_done: bool, bytes: &[u8]) -> Step<'_> {
    for (at, byte) in bytes.iter().enumerate() {
        match (byte, char::from(*byte).to_digit(16)) {
            (b'\n', _) => {
                let rest = bytes.get(at + 1..).unwrap_or_default();
                return Step::Next(after_size(size), rest);
            }
            (_, Some(digit)) if !digits_done => match size.checked_mul(16) {
                Some(shifted) => size = shifted + u64::from(digit),
                None => return Step::Done(Skipped::Malformed),
            },
            (b';' | b' ' | b'\t' | b'\r', _) => digits_done = true,
            _ if digits_done => {}
            _ => return Step::Done(Skipped::Malformed),
        }
    }
    Step::Done(Skipped::All(Body::ChunkSize { size, digits_done }))
}

/// A chunk's data are followed by a line end of their own: two bytes or, from lenient senders,
/// one; it is read with the next size line, which therefore may begin with it.
fn after_size(size: u64) -> Body {
    match size {
        0 => Body::Trailer { line_bytes: 0 },
        size => Body::ChunkData(size.saturating_add(2)),
    }
}

fn skip_trailer(mut line_bytes: u64, mut bytes: &[u8]) -> Step<'_> {
    while let Some(end) = memchr(b'\n', bytes) {
        let (line, rest) = bytes.split_at_checked(end).unwrap_or((bytes, b""));
        let bare = line.strip_suffix(b"\r").unwrap_or(line);
        bytes = rest.get(1..).unwrap_or_default();
        if line_bytes == 0 && bare.is_empty() {
            return Step::Done(Skipped::Rest(bytes));
        }
        line_bytes = 0;
    }
    let carried = bytes.strip_suffix(b"\r").unwrap_or(bytes).len() as u64;
    Step::Done(Skipped::All(Body::Trailer {
        line_bytes: line_bytes + carried,
    }))
}
