//! Data that comes with a client's hello (RFC 8446 §2.3): a server may refuse it, and then the
//! client says the same again after the handshake. It is read when it is known to be taken.

use super::Tls;
use crate::app::Observer;
use crate::limits::TLS_HELD_BYTES_PER_DIRECTION_MAX;
use crate::transport::{Chunk, StreamContext};

/// What is known of it.
pub(super) enum Early {
    /// Neither taken nor refused: what came so far.
    Undecided(Vec<(StreamContext, Vec<u8>)>),
    Taken,
    Refused,
}

impl Default for Early {
    fn default() -> Self {
        Self::Undecided(Vec::new())
    }
}

impl Early {
    /// Bytes on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        let Self::Undecided(pieces) = self else {
            return 0;
        };
        let contents = pieces.iter().map(|(_, bytes)| bytes.capacity());
        pieces.capacity() * size_of::<(StreamContext, Vec<u8>)>() + contents.sum::<usize>()
    }
}

impl Tls {
    /// A piece of it was opened.
    pub(super) fn on_early_data(
        &mut self,
        context: &StreamContext,
        bytes: &[u8],
        observer: &mut dyn Observer,
    ) {
        let held = self.early.heap_bytes();
        match &mut self.early {
            Early::Refused => {}
            Early::Taken => self.tell_inner(context, Chunk::Data(bytes), observer),
            Early::Undecided(pieces) if held + bytes.len() < TLS_HELD_BYTES_PER_DIRECTION_MAX => {
                pieces.push((*context, bytes.to_vec()));
            }
            Early::Undecided(_) => observer.counters().tls_records_dropped += 1,
        }
    }

    /// Whether it was taken: the first word counts.
    pub(super) fn judge_early_data(&mut self, taken: bool, observer: &mut dyn Observer) {
        let verdict = match taken {
            true => Early::Taken,
            false => Early::Refused,
        };
        if !matches!(self.early, Early::Undecided(_)) {
            return;
        }
        if let (Early::Undecided(pieces), true) =
            (std::mem::replace(&mut self.early, verdict), taken)
        {
            for (context, bytes) in pieces {
                self.tell_inner(&context, Chunk::Data(&bytes), observer);
            }
        }
    }
}
