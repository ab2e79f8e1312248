//! Data that comes with a client's hello (RFC 9001 §4.6): a server may refuse it, and then the
//! client says it again, or something else. It is read when it is known to be taken.

use crate::app::http3::StreamPiece;
use crate::limits::{QUIC_EARLY_BYTES_MAX, QUIC_PIECE_OVERHEAD};
use crate::transport::StreamContext;

/// What is known of it.
#[derive(Debug)]
pub(super) enum Early {
    /// Neither taken nor refused: what came so far, and how many bytes that is.
    Undecided(Vec<Piece>, usize),
    /// The server took it.
    Taken,
    /// The server refused it.
    Refused,
}

/// Part of a stream that came early.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) context: StreamContext,
    id: u64,
    offset: u64,
    data: Box<[u8]>,
    is_last: bool,
}

impl Default for Early {
    fn default() -> Self {
        Self::Undecided(Vec::new(), 0)
    }
}

impl Early {
    /// Keeps a piece while nothing is known; false when there is no room.
    pub(super) fn keep(&mut self, piece: StreamPiece<'_>, context: &StreamContext) -> bool {
        let Self::Undecided(pieces, bytes) = self else {
            return true;
        };
        let more = piece.data.len() + size_of::<Piece>() + QUIC_PIECE_OVERHEAD;
        if *bytes + more > QUIC_EARLY_BYTES_MAX {
            return false;
        }
        *bytes += more;
        pieces.push(Piece {
            context: *context,
            id: piece.id,
            offset: piece.offset,
            data: piece.data.into(),
            is_last: piece.is_last,
        });
        true
    }

    /// Whether it was taken: the first word counts. What is to be read now, if it was.
    pub(super) fn judge(&mut self, taken: bool) -> Vec<Piece> {
        let verdict = match taken {
            true => Self::Taken,
            false => Self::Refused,
        };
        match self {
            Self::Undecided(pieces, _) => {
                let pieces = std::mem::take(pieces);
                *self = verdict;
                if taken { pieces } else { Vec::new() }
            }
            Self::Taken | Self::Refused => Vec::new(),
        }
    }

    /// Whether nothing is known.
    pub(super) const fn is_undecided(&self) -> bool {
        matches!(self, Self::Undecided(..))
    }

    /// Whether the client has to say it again.
    pub(super) const fn is_refused(&self) -> bool {
        matches!(self, Self::Refused)
    }

    /// Bytes on the heap.
    pub(super) const fn heap_bytes(&self) -> usize {
        match self {
            Self::Undecided(_, bytes) => *bytes,
            Self::Taken | Self::Refused => 0,
        }
    }
}

impl Piece {
    /// As it came.
    pub(super) fn piece(&self) -> StreamPiece<'_> {
        StreamPiece {
            id: self.id,
            offset: self.offset,
            data: &self.data,
            is_last: self.is_last,
        }
    }
}
