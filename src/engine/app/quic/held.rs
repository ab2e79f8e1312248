//! Packets that wait for the keys that open them.

use std::collections::VecDeque;

use crate::app::quic::packet::{Level, Sealed};
use crate::app::quic::version::Version;
use crate::frame::Timestamp;
use crate::limits::{QUIC_HELD_BYTES_PER_DIRECTION_MAX, SECRET_WAIT};
use crate::transport::{Direction, StreamContext};

/// Those of one connection, in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Held {
    items: VecDeque<Item>,
    /// Of what goes to the server, and to the client.
    bytes: [usize; 2],
}

/// One of them.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) context: StreamContext,
    level: Level,
    version: Option<Version>,
    number_at: Option<usize>,
    bytes: Box<[u8]>,
    /// Whether it waits for a key, and not only for the hello that names it.
    pub(super) for_key: bool,
}

impl Held {
    /// Keeps a packet; false when there is no room.
    pub(super) fn push(
        &mut self,
        sealed: &Sealed<'_>,
        context: &StreamContext,
        for_key: bool,
    ) -> bool {
        let item = Item {
            context: *context,
            level: sealed.level,
            version: sealed.version,
            number_at: sealed.number_at,
            bytes: sealed.bytes.into(),
            for_key,
        };
        let held = self.share(context.direction);
        if *held + item.size() > QUIC_HELD_BYTES_PER_DIRECTION_MAX {
            return false;
        }
        *held += item.size();
        self.items.push_back(item);
        true
    }

    /// Takes all of them out, to be tried again.
    pub(super) fn take_all(&mut self) -> VecDeque<Item> {
        self.bytes = [0; 2];
        std::mem::take(&mut self.items)
    }

    /// Puts back one that has to wait on.
    pub(super) fn put_back(&mut self, mut item: Item, for_key: bool) {
        item.for_key |= for_key;
        *self.share(item.context.direction) += item.size();
        self.items.push_back(item);
    }

    /// Lets go of those that have waited [`SECRET_WAIT`]: the levels that they had.
    pub(super) fn expire(&mut self, now: Timestamp) -> Vec<Level> {
        let mut expired = Vec::new();
        while let Some(item) = self.items.front() {
            if item.context.time.plus(SECRET_WAIT) > now {
                break;
            }
            let (direction, size) = (item.context.direction, item.size());
            expired.push(item.level);
            *self.share(direction) -= size;
            self.items.pop_front();
        }
        expired
    }

    /// Whether any of them is of a level.
    pub(super) fn has(&self, level: Level) -> bool {
        self.items.iter().any(|item| item.level == level)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// When the oldest came.
    pub(super) fn oldest(&self) -> Option<Timestamp> {
        self.items.front().map(|item| item.context.time)
    }

    /// Bytes on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        let spare = self.items.capacity() - self.items.len();
        self.bytes.iter().sum::<usize>() + spare * size_of::<Item>()
    }

    fn share(&mut self, direction: Direction) -> &mut usize {
        let [to_server, to_client] = &mut self.bytes;
        match direction {
            Direction::ToServer => to_server,
            Direction::ToClient => to_client,
        }
    }
}

impl Item {
    /// The packet.
    pub(super) fn sealed(&self) -> Sealed<'_> {
        Sealed {
            level: self.level,
            version: self.version,
            number_at: self.number_at,
            bytes: &self.bytes,
        }
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.bytes.len()
    }
}
