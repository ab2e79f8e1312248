//! One direction of a connection: its streams, its table of fields, and what waits for either.

use std::collections::BTreeMap;

use crate::app::Observer;
use crate::app::http3::channel::{Channel, Found, Piece};
use crate::app::http3::finished::Finished;
use crate::app::http3::qpack::Qpack;
use crate::frame::Timestamp;
use crate::limits::{
    HOLE_WAIT, QPACK_BLOCKED_BYTES_MAX, QPACK_BLOCKED_MAX, QUIC_STREAM_BYTES_MAX, STREAMS_MAX,
};

/// What one side sends.
#[derive(Debug, Default)]
pub(super) struct Side {
    pub(super) qpack: Qpack,
    channels: BTreeMap<u64, Channel>,
    /// Bytes that wait in all channels for earlier ones.
    waiting: usize,
    messages_finished: Finished,
    others_finished: Finished,
    blocked: Vec<Blocked>,
    blocked_bytes: usize,
}

/// A header section that came before the fields that it refers to.
#[derive(Debug)]
pub(super) struct Blocked {
    pub(super) stream: u64,
    pub(super) section: Vec<u8>,
    since: Timestamp,
}

/// Whether a stream goes in both directions; only those are for requests.
pub(super) const fn is_message(id: u64) -> bool {
    id & 2 == 0
}

impl Side {
    /// Takes a piece of a stream; None when nothing more of the stream is wanted.
    pub(super) fn take(
        &mut self,
        id: u64,
        piece: Piece<'_>,
        observer: &mut impl Observer,
    ) -> Option<Found> {
        if self.finished(id).contains(id) {
            return None;
        }
        let mut channel = match self.channels.remove(&id) {
            Some(channel) => channel,
            None if is_message(id) => Channel::message(),
            None => Channel::unnamed(),
        };
        self.waiting -= channel.waiting_bytes();
        let room = QUIC_STREAM_BYTES_MAX.saturating_sub(self.waiting);
        let found = channel.take(piece, room, &mut self.qpack);
        observer.counters().quic_bytes_dropped += found.refused as u64;
        if channel.is_ignored() || found.is_malformed {
            self.finished(id).insert(id);
        } else {
            self.waiting += channel.waiting_bytes();
            self.channels.insert(id, channel);
            self.shrink(observer);
        }
        Some(found)
    }

    /// Nothing more of a stream is wanted.
    pub(super) fn finish(&mut self, id: u64) {
        self.finished(id).insert(id);
        if let Some(channel) = self.channels.remove(&id) {
            self.waiting -= channel.waiting_bytes();
        }
    }

    /// Whether nothing more of a stream is wanted.
    pub(super) fn is_finished(&self, id: u64) -> bool {
        self.messages_finished.contains(id)
    }

    /// Keeps a section until the fields come that it refers to. What is returned has no room.
    pub(super) fn block(
        &mut self,
        stream: u64,
        section: Vec<u8>,
        since: Timestamp,
    ) -> Vec<Blocked> {
        self.blocked_bytes += section.len();
        self.blocked.push(Blocked {
            stream,
            section,
            since,
        });
        let mut surplus = Vec::new();
        while self.blocked.len() > QPACK_BLOCKED_MAX || self.blocked_bytes > QPACK_BLOCKED_BYTES_MAX
        {
            let oldest = self.blocked.remove(0);
            self.blocked_bytes -= oldest.section.len();
            surplus.push(oldest);
        }
        surplus
    }

    /// Whether a section of a stream waits for fields.
    pub(super) fn is_blocked(&self, stream: u64) -> bool {
        self.blocked.iter().any(|one| one.stream == stream)
    }

    /// Takes all sections out that wait for fields.
    pub(super) fn take_blocked(&mut self) -> Vec<Blocked> {
        self.blocked_bytes = 0;
        std::mem::take(&mut self.blocked)
    }

    /// Puts one back.
    pub(super) fn put_back(&mut self, blocked: Blocked) {
        self.blocked_bytes += blocked.section.len();
        self.blocked.push(blocked);
    }

    /// Gives up streams whose next bytes have been missing for [`HOLE_WAIT`], or at once without a
    /// time; which of them are for requests.
    pub(super) fn give_up_holes(&mut self, now: Option<Timestamp>) -> (u64, Vec<u64>) {
        let is_over = |since: Timestamp| now.is_none_or(|now| since.plus(HOLE_WAIT) <= now);
        let holes: Vec<u64> = self
            .channels
            .iter()
            .filter(|(_, channel)| channel.missing_since.is_some_and(is_over))
            .map(|(id, _)| *id)
            .collect();
        for id in &holes {
            if self.channels.get(id).is_some_and(Channel::is_encoder) {
                self.qpack.lose();
            }
            self.finish(*id);
        }
        let lost = holes.len() as u64;
        (
            lost,
            holes.into_iter().filter(|id| is_message(*id)).collect(),
        )
    }

    /// Whether a section has waited for fields for [`HOLE_WAIT`].
    pub(super) fn is_overdue(&self, now: Timestamp) -> bool {
        let oldest = self.blocked.first();
        oldest.is_some_and(|oldest| oldest.since.plus(HOLE_WAIT) <= now)
    }

    /// Whether anything waits for what is missing.
    pub(super) fn waits(&self) -> bool {
        self.waiting > 0 || !self.blocked.is_empty()
    }

    /// Whether part of a head is held.
    pub(super) fn is_holding(&self) -> bool {
        !self.blocked.is_empty() || self.channels.values().any(Channel::is_holding)
    }

    /// Bytes on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        let channels: usize = self.channels.values().map(Channel::heap_bytes).sum();
        channels
            + self.qpack.heap_bytes()
            + self.messages_finished.heap_bytes()
            + self.others_finished.heap_bytes()
            + self.blocked.capacity() * size_of::<Blocked>()
            + self.blocked_bytes
    }

    fn finished(&mut self, id: u64) -> &mut Finished {
        match is_message(id) {
            true => &mut self.messages_finished,
            false => &mut self.others_finished,
        }
    }

    /// Of too many streams that have not brought what is wanted of them, the oldest is given up.
    fn shrink(&mut self, observer: &mut impl Observer) {
        if self.channels.len() <= STREAMS_MAX {
            return;
        }
        let oldest = self.channels.keys().find(|id| is_message(**id)).copied();
        let oldest = oldest.or_else(|| self.channels.keys().next().copied());
        if let Some(id) = oldest {
            observer.counters().http3_streams_dropped += 1;
            self.finish(id);
        }
    }
}
