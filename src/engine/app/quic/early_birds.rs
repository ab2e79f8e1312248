//! Datagrams that came before the first of their connection: mirrors mix up the two directions by
//! a few packets, and networks those of one.

use std::collections::VecDeque;
use std::net::SocketAddr;

use crate::frame::Timestamp;
use crate::limits::{QUIC_EARLY_BIRDS_BYTES_MAX, QUIC_EARLY_BIRDS_WAIT};
use crate::link::Scope;
use crate::transport::{Datagram, FlowKey};

/// The last of them, of all connections.
#[derive(Debug, Default)]
pub(super) struct EarlyBirds {
    birds: VecDeque<EarlyBird>,
    bytes: usize,
}

/// A datagram, kept.
#[derive(Debug)]
pub(super) struct EarlyBird {
    pub(super) time: Timestamp,
    key: FlowKey,
    src: SocketAddr,
    dst: SocketAddr,
    scope: Scope,
    payload: Box<[u8]>,
}

impl EarlyBirds {
    /// Keeps a datagram; the oldest make room.
    pub(super) fn keep(&mut self, datagram: &Datagram<'_>, now: Timestamp) {
        let bird = EarlyBird {
            time: now,
            key: FlowKey::between(datagram.src, datagram.dst),
            src: datagram.src,
            dst: datagram.dst,
            scope: datagram.scope,
            payload: datagram.payload.into(),
        };
        self.bytes += bird.size();
        self.birds.push_back(bird);
        while self.bytes > QUIC_EARLY_BIRDS_BYTES_MAX {
            self.drop_oldest();
        }
    }

    /// Those of a connection that begins now.
    pub(super) fn take(&mut self, key: &FlowKey, now: Timestamp) -> Vec<EarlyBird> {
        while let Some(oldest) = self.birds.front() {
            if oldest.time.plus(QUIC_EARLY_BIRDS_WAIT) > now {
                break;
            }
            self.drop_oldest();
        }
        if self.birds.iter().all(|bird| bird.key != *key) {
            return Vec::new();
        }
        let all = std::mem::take(&mut self.birds);
        let (taken, left): (Vec<_>, Vec<_>) = all.into_iter().partition(|bird| bird.key == *key);
        self.birds = left.into();
        self.bytes = self.birds.iter().map(EarlyBird::size).sum();
        taken
    }

    /// Bytes on the heap.
    pub(super) const fn heap_bytes(&self) -> usize {
        self.bytes
    }

    fn drop_oldest(&mut self) {
        if let Some(bird) = self.birds.pop_front() {
            self.bytes -= bird.size();
        }
    }
}

impl EarlyBird {
    /// As it came.
    pub(super) fn datagram(&self) -> Datagram<'_> {
        Datagram {
            scope: self.scope,
            src: self.src,
            dst: self.dst,
            payload: &self.payload,
        }
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.payload.len()
    }
}
