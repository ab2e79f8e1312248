//! What is kept for one direction of a connection.

use crate::app::tls::cipher::{Opener, Sender};
use crate::app::tls::held::Held;
use crate::app::tls::inflate::{INFLATE_BYTES, Inflate};
use crate::app::tls::keylog::KeyLabel;
use crate::app::tls::messages::Messages;
use crate::app::tls::record::Records;

/// One direction.
#[derive(Default)]
pub(super) struct Side {
    pub(super) records: Records,
    pub(super) messages: Messages,
    pub(super) protection: Protection,
    /// What undoes compression, where records are compressed.
    pub(super) inflate: Option<Box<Inflate>>,
    pub(super) held: Held,
    /// Whether what is held waits for a key, and not only for the server's hello.
    pub(super) waits_for_key: bool,
    /// Whether nothing more of it can be read.
    pub(super) lost: bool,
    /// Protected records that were let go before any was opened.
    pub(super) passed: u64,
    /// Protected records in a row that no key opened.
    pub(super) failures: u32,
    /// Whether records may be missing right here.
    pub(super) gap: bool,
    /// Bytes of plain text that were handed on, or known to be missing.
    pub(super) told: u64,
}

/// How a direction's records are protected now.
#[derive(Default)]
pub(super) enum Protection {
    /// Not at all.
    #[default]
    Plain,
    /// From here on as was agreed (ChangeCipherSpec, RFC 5246 §7.1).
    Changed,
    /// As in TLS 1.2 and older.
    Older(Box<Opener>),
    /// As in TLS 1.3.
    Tls13(Phase, Box<Opener>),
}

/// What a direction's records of TLS 1.3 are protected with, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    /// Data that comes with a client's hello.
    Early,
    Handshake,
    Traffic,
}

impl Phase {
    const ALL: [Self; 3] = [Self::Early, Self::Handshake, Self::Traffic];

    /// The secret of a phase; a server has no early one.
    pub(super) const fn label(self, sender: Sender) -> Option<KeyLabel> {
        Some(match (self, sender) {
            (Self::Early, Sender::Client) => KeyLabel::ClientEarly,
            (Self::Early, Sender::Server) => return None,
            (Self::Handshake, Sender::Client) => KeyLabel::ClientHandshake,
            (Self::Handshake, Sender::Server) => KeyLabel::ServerHandshake,
            (Self::Traffic, Sender::Client) => KeyLabel::ClientTraffic,
            (Self::Traffic, Sender::Server) => KeyLabel::ServerTraffic,
        })
    }

    /// The phases after this one; all of them after none.
    pub(super) fn after(phase: Option<Self>) -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(move |one| Some(*one) > phase)
    }
}

impl Side {
    /// Gives everything up.
    pub(super) fn lose(&mut self) {
        *self = Self {
            lost: true,
            ..Self::default()
        };
    }

    /// Bytes on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        let opener = match self.protection {
            Protection::Plain | Protection::Changed => 0,
            Protection::Older(_) | Protection::Tls13(..) => OPENER_BYTES,
        };
        let inflate = self.inflate.as_ref().map_or(0, |_| INFLATE_BYTES);
        let held = self.records.heap_bytes() + self.messages.heap_bytes() + self.held.heap_bytes();
        held + opener + inflate
    }
}

/// An opener with its key made ready, about: AES-256-GCM has the largest.
const OPENER_BYTES: usize = size_of::<Opener>() + 600;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_follow_each_other() {
        let after = |phase| Phase::after(phase).collect::<Vec<_>>();
        assert_eq!(after(None).len(), 3);
        assert_eq!(
            after(Some(Phase::Early)),
            [Phase::Handshake, Phase::Traffic]
        );
        assert_eq!(after(Some(Phase::Traffic)), []);
    }
}
