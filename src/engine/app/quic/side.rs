//! What is kept for one direction of a connection.

use crate::app::quic::keys::{Keys, TrafficKeys};
use crate::app::quic::ordered::Ordered;
use crate::app::quic::packet::Level;
use crate::app::tls::messages::{Messages, Next};
use crate::limits::QUIC_CRYPTO_BYTES_MAX;

/// One direction.
#[derive(Default)]
pub(super) struct Side {
    /// Of Initial packets.
    pub(super) initial: Space,
    /// Of Handshake packets.
    pub(super) handshake: Space,
    pub(super) handshake_keys: Option<Keys>,
    pub(super) early_keys: Option<Keys>,
    pub(super) traffic_keys: Option<Box<TrafficKeys>>,
    /// The largest number of a 0-RTT or 1-RTT packet that was opened: they count together
    /// (RFC 9000 §12.3).
    pub(super) largest: Option<u64>,
}

/// The packets of one level, and the handshake in them.
#[derive(Debug, Default)]
pub(super) struct Space {
    /// The largest number of a packet that was opened.
    pub(super) largest: Option<u64>,
    ordered: Ordered,
    messages: Messages,
}

/// A handshake message: its type and its body.
pub(super) type Message = (u8, Vec<u8>);

/// A handshake that is longer than its bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooLong;

impl Side {
    /// What is kept for a level; none for 0-RTT, and for 1-RTT, whose handshake messages say
    /// nothing that is wanted.
    pub(super) const fn space(&mut self, level: Level) -> Option<&mut Space> {
        match level {
            Level::Initial => Some(&mut self.initial),
            Level::Handshake => Some(&mut self.handshake),
            Level::Early | Level::Traffic => None,
        }
    }

    /// Takes note of a packet that was opened.
    pub(super) fn note_number(&mut self, level: Level, number: u64) {
        let largest = match level {
            Level::Initial => &mut self.initial.largest,
            Level::Handshake => &mut self.handshake.largest,
            Level::Early | Level::Traffic => &mut self.largest,
        };
        *largest = (*largest).max(Some(number));
    }

    /// The handshake begins anew, under other keys.
    pub(super) fn restart(&mut self) {
        *self = Self::default();
    }

    /// Bytes on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        let keys = usize::from(self.handshake_keys.is_some())
            + usize::from(self.early_keys.is_some())
            + 2 * usize::from(self.traffic_keys.is_some());
        keys * KEYS_BYTES + self.initial.heap_bytes() + self.handshake.heap_bytes()
    }
}

impl Space {
    /// Takes a piece of the handshake; the messages that are complete now.
    ///
    /// # Errors
    /// [`TooLong`] when one is longer than the bound, or pieces that came early are.
    pub(super) fn on_crypto(&mut self, offset: u64, data: &[u8]) -> Result<Vec<Message>, TooLong> {
        let Self {
            ordered, messages, ..
        } = self;
        let mut found = Vec::new();
        let mut is_too_long = false;
        let mut take = |mut rest: &[u8]| loop {
            match messages.next(&mut rest) {
                Next::Message(kind) => found.push((kind, messages.body().to_vec())),
                Next::Unfinished => return,
                Next::TooLong => {
                    is_too_long = true;
                    return;
                }
            }
        };
        let refused = ordered.insert(offset, data, QUIC_CRYPTO_BYTES_MAX, &mut take);
        match is_too_long || refused > 0 {
            true => Err(TooLong),
            false => Ok(found),
        }
    }

    fn heap_bytes(&self) -> usize {
        self.ordered.held_bytes() + self.messages.heap_bytes()
    }
}

/// Keys for header and packets made ready, about: those of AES-256 are the largest.
pub(super) const KEYS_BYTES: usize = 900;
