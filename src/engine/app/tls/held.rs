//! Records that wait for the keys that open them.

use std::collections::VecDeque;

use crate::app::tls::record::Header;
use crate::event::Flags;
use crate::frame::Timestamp;
use crate::limits::{SECRET_WAIT, TLS_HELD_BYTES_PER_DIRECTION_MAX};

/// One direction's share, in order.
#[derive(Debug, Default)]
pub(super) struct Held {
    items: VecDeque<Item>,
    bytes: usize,
}

/// Something that happened on the wire, to be read later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Item {
    /// When.
    pub(super) time: Timestamp,
    /// What was known of the connection then.
    pub(super) flags: Flags,
    pub(super) what: What,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// A record, header and body.
    Record(Box<[u8]>),
    /// A record of which bytes are missing.
    Damaged(Header),
    /// So many records that were let go.
    Passed(u64),
    /// So many bytes are missing.
    Gap(u64),
    /// The direction ended.
    Fin,
    /// The connection was reset.
    Reset,
}

impl Held {
    /// Puts something at the end; false when it is a record for which there is no room, so that
    /// it is only counted.
    pub(super) fn push(&mut self, item: Item) -> bool {
        let bytes = item.bytes();
        let is_record = matches!(item.what, What::Record(_));
        if is_record && self.bytes + bytes > TLS_HELD_BYTES_PER_DIRECTION_MAX {
            self.pass(item);
            return false;
        }
        self.bytes += bytes;
        self.items.push_back(item);
        true
    }

    /// Takes what came first.
    pub(super) fn pop(&mut self) -> Option<Item> {
        let item = self.items.pop_front()?;
        self.bytes -= item.bytes();
        Some(item)
    }

    /// Puts back what was taken.
    pub(super) fn put_back(&mut self, item: Item) {
        self.bytes += item.bytes();
        self.items.push_front(item);
    }

    /// Lets go of records that have waited [`SECRET_WAIT`]; how many they are.
    pub(super) fn expire(&mut self, now: Timestamp) -> u64 {
        let mut expired = 0;
        self.bytes = 0;
        for item in std::mem::take(&mut self.items) {
            let is_record = matches!(item.what, What::Record(_));
            if is_record && item.time.plus(SECRET_WAIT) <= now {
                expired += 1;
                self.pass(item);
            } else {
                self.bytes += item.bytes();
                self.items.push_back(item);
            }
        }
        expired
    }

    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Whether there is a record, and not only word of some.
    pub(super) fn has_records(&self) -> bool {
        self.items
            .iter()
            .any(|item| matches!(item.what, What::Record(_)))
    }

    /// When the oldest record came.
    pub(super) fn oldest(&self) -> Option<Timestamp> {
        let mut records = self.items.iter();
        let oldest = records.find(|item| matches!(item.what, What::Record(_)))?;
        Some(oldest.time)
    }

    /// When what is first came.
    pub(super) fn first_time(&self) -> Option<Timestamp> {
        self.items.front().map(|item| item.time)
    }

    /// Bytes on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        self.bytes + (self.items.capacity() - self.items.len()) * size_of::<Item>()
    }

    fn pass(&mut self, item: Item) {
        match self.items.back_mut() {
            Some(Item {
                what: What::Passed(records),
                ..
            }) => *records += 1,
            _ => {
                let what = What::Passed(1);
                self.bytes += size_of::<Item>();
                self.items.push_back(Item { what, ..item });
            }
        }
    }
}

impl Item {
    fn bytes(&self) -> usize {
        let content = match &self.what {
            What::Record(record) => record.len(),
            _ => 0,
        };
        size_of::<Self>() + content
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(seconds: u64, what: What) -> Item {
        Item {
            time: at(seconds),
            flags: Flags::NONE,
            what,
        }
    }

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_secs_nanos(seconds, 0)
    }

    fn record(bytes: usize) -> What {
        What::Record(vec![0; bytes].into())
    }

    #[test]
    fn what_is_held_comes_back_in_order() {
        let mut held = Held::default();
        for what in [record(3), What::Gap(9), What::Fin] {
            assert!(held.push(item(1, what)));
        }
        let first = held.pop().unwrap();
        held.put_back(first.clone());
        assert_eq!(held.pop(), Some(first));
        assert_eq!(held.pop().map(|item| item.what), Some(What::Gap(9)));
        assert_eq!(held.pop().map(|item| item.what), Some(What::Fin));
        assert_eq!((held.pop(), held.bytes), (None, 0));
    }

    #[test]
    fn records_beyond_the_bound_are_only_counted() {
        let mut held = Held::default();
        let fits = (0..100)
            .filter(|_| held.push(item(1, record(10_000))))
            .count();
        assert!(fits * 10_000 < TLS_HELD_BYTES_PER_DIRECTION_MAX);
        assert!(held.push(item(1, What::Fin)));
        assert!(!held.push(item(1, record(10_000))));
        while let Some(Item {
            what: What::Record(_),
            ..
        }) = held.items.front()
        {
            held.pop();
        }
        let left: Vec<_> = std::iter::from_fn(|| held.pop())
            .map(|item| item.what)
            .collect();
        let passed = What::Passed(100 - fits as u64);
        assert_eq!(left, [passed, What::Fin, What::Passed(1)]);
    }

    #[test]
    fn what_waited_long_enough_is_only_counted() {
        let mut held = Held::default();
        for seconds in [1, 2, 3] {
            held.push(item(seconds, record(5)));
        }
        assert_eq!(held.oldest(), Some(at(1)));
        assert_eq!(held.expire(at(60)), 0);
        assert_eq!(held.expire(at(62)), 2);
        assert_eq!(held.oldest(), Some(at(3)));
        assert_eq!(held.pop().map(|item| item.what), Some(What::Passed(2)));
        assert_eq!(held.expire(at(99)), 1);
        assert!(!held.has_records() && !held.is_empty());
    }
}
