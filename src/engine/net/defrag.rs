//! Fragments in any order in, whole datagrams out; bounded in number, bytes and time.

use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasher;
use std::net::IpAddr;

use crate::counters::Counters;
use crate::frame::Timestamp;
use crate::limits::{FRAGMENT_BYTES_MAX, FRAGMENT_WAIT, FRAGMENTED_DATAGRAMS_MAX};
use crate::link::Scope;
use crate::net::ip::{Datagram, Fragment};
use crate::net::partial::{Partial, Taken, Whole};

/// Names a datagram in pieces (RFC 791 §3.2, RFC 8200 §4.5), within its own network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    src: IpAddr,
    dst: IpAddr,
    /// Of IPv4 only: IPv6 does not count it, and its fragments may differ in it.
    protocol: u8,
    id: u32,
    scope: Scope,
}

/// Datagrams that wait for fragments.
///
/// When a bound is reached the oldest goes first, so that floods of fragments that are never
/// finished push each other out.
#[derive(Debug, Default)]
pub(super) struct Pool {
    waiting: HashMap<Key, Partial>,
    /// The keys of `waiting`, oldest first.
    order: VecDeque<Key>,
    /// Bytes of all that wait.
    bytes: usize,
}

impl Key {
    fn new(datagram: &Datagram<'_>, id: u32, scope: Scope) -> Self {
        let counts = datagram.src.is_ipv4();
        Self {
            src: datagram.src,
            dst: datagram.dst,
            protocol: if counts { datagram.protocol } else { 0 },
            id,
            scope,
        }
    }
}

impl Pool {
    pub(super) fn heap_bytes(&self) -> usize {
        let table = self.waiting.capacity() * size_of::<(Key, Partial)>();
        self.bytes + table + self.order.capacity() * size_of::<Key>()
    }

    /// Names the datagram of a fragment: a hash, never 0.
    pub(super) fn name(&self, datagram: &Datagram<'_>, fragment: Fragment, scope: Scope) -> u64 {
        let key = Key::new(datagram, fragment.id, scope);
        self.waiting.hasher().hash_one(key).max(1)
    }

    /// Takes a fragment in; the datagram's payload when it was the last that was missing.
    pub(super) fn insert(
        &mut self,
        datagram: &Datagram<'_>,
        fragment: Fragment,
        scope: Scope,
        now: Timestamp,
        counters: &mut Counters,
    ) -> Option<Whole> {
        counters.fragments += 1;
        self.expire(now, counters);
        let key = Key::new(datagram, fragment.id, scope);
        let partial = self.entry(key, now, counters);
        let before = partial.heap_bytes();
        let taken = partial.insert(datagram, fragment);
        let (after, complete) = (partial.heap_bytes(), partial.is_complete());
        self.bytes = self.bytes + after - before;
        match taken {
            Taken::Yes if complete => return self.remove(key).map(Partial::into_whole),
            Taken::Yes => self.shrink(counters),
            Taken::Dropped => counters.fragments_dropped += 1,
            Taken::TooMany => self.give_up(key, counters),
            Taken::Contradiction => {
                counters.fragments_contradictory += 1;
                self.remove(key);
            }
        }
        None
    }

    /// Gives up datagrams that waited too long.
    pub(super) fn expire(&mut self, now: Timestamp, counters: &mut Counters) {
        while let Some(oldest) = self.order.front().copied() {
            let since = self.waiting.get(&oldest).map(|partial| partial.since);
            if since.is_some_and(|since| now.since(since) <= FRAGMENT_WAIT) {
                return;
            }
            counters.fragments_expired += 1;
            self.remove(oldest);
        }
    }

    /// The datagram of that key, a new one if there is none.
    fn entry(&mut self, key: Key, now: Timestamp, counters: &mut Counters) -> &mut Partial {
        if !self.waiting.contains_key(&key) {
            if self.waiting.len() >= FRAGMENTED_DATAGRAMS_MAX {
                self.give_up_oldest(counters);
            }
            self.order.push_back(key);
        }
        self.waiting.entry(key).or_insert_with(|| Partial::new(now))
    }

    fn shrink(&mut self, counters: &mut Counters) {
        while self.bytes > FRAGMENT_BYTES_MAX && !self.order.is_empty() {
            self.give_up_oldest(counters);
        }
    }

    fn give_up_oldest(&mut self, counters: &mut Counters) {
        if let Some(oldest) = self.order.front().copied() {
            self.give_up(oldest, counters);
        }
    }

    fn give_up(&mut self, key: Key, counters: &mut Counters) {
        let given_up = self.remove(key);
        counters.fragments_dropped += given_up.map_or(0, |partial| partial.fragments);
    }

    fn remove(&mut self, key: Key) -> Option<Partial> {
        // The oldest when given up, one of the youngest when finished
        if self.order.front() == Some(&key) {
            self.order.pop_front();
        } else if let Some(place) = self.order.iter().rposition(|other| *other == key) {
            self.order.remove(place);
        }
        let partial = self.waiting.remove(&key)?;
        self.bytes -= partial.heap_bytes();
        Some(partial)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::FRAGMENTS_PER_DATAGRAM_MAX;

    const START: Timestamp = Timestamp::from_secs_nanos(1000, 0);

    struct Bench {
        pool: Pool,
        counters: Counters,
        now: Timestamp,
    }

    impl Bench {
        fn new() -> Self {
            Self {
                pool: Pool::default(),
                counters: Counters::default(),
                now: START,
            }
        }

        fn take(&mut self, id: u32, offset: usize, more: bool, payload: &[u8]) -> Option<Vec<u8>> {
            let datagram = Datagram {
                src: [192, 0, 2, 1].into(),
                dst: [192, 0, 2, 2].into(),
                protocol: 6,
                payload,
                missing: 0,
                hops: 64,
                fragment: None,
                checksum_is_right: true,
            };
            let fragment = Fragment { id, offset, more };
            let scope = Scope::default();
            let Self {
                pool,
                counters,
                now,
            } = self;
            let whole = pool.insert(&datagram, fragment, scope, *now, counters);
            whole.map(|whole| whole.payload)
        }

        fn wait(&mut self, seconds: u64) {
            self.now = self.now.plus(std::time::Duration::from_secs(seconds));
        }
    }

    #[test]
    fn a_finished_datagram_leaves_nothing_behind() {
        let mut bench = Bench::new();
        assert_eq!(bench.take(1, 0, true, b"12345678"), None);
        let whole = bench.take(1, 8, false, b"9");
        assert_eq!(whole.as_deref(), Some(&b"123456789"[..]));
        assert_eq!((bench.pool.bytes, bench.pool.waiting.len()), (0, 0));
        assert!(bench.pool.order.is_empty());
    }

    #[test]
    fn datagrams_of_different_numbers_are_kept_apart() {
        let mut bench = Bench::new();
        bench.take(1, 0, true, b"11111111");
        bench.take(2, 0, true, b"22222222");
        let second = bench.take(2, 8, false, b"2");
        let first = bench.take(1, 8, false, b"1");
        assert_eq!(second.as_deref(), Some(&b"222222222"[..]));
        assert_eq!(first.as_deref(), Some(&b"111111111"[..]));
    }

    #[test]
    fn a_fragment_that_comes_too_late_finishes_nothing() {
        let mut bench = Bench::new();
        bench.take(1, 0, true, b"12345678");
        bench.wait(31);
        assert_eq!(bench.take(1, 8, false, b"9"), None);
        assert_eq!(bench.counters.fragments_expired, 1);
    }

    #[test]
    fn a_fragment_after_half_a_minute_still_finishes() {
        let mut bench = Bench::new();
        bench.take(1, 0, true, b"12345678");
        bench.wait(30);
        assert!(bench.take(1, 8, false, b"9").is_some());
    }

    #[test]
    fn an_overlap_that_differs_gives_up_what_waits_and_a_repetition_is_read() {
        let mut bench = Bench::new();
        bench.take(1, 0, true, b"12345678abcdefgh");
        assert_eq!(bench.take(1, 8, false, b"XXXXXXXXX"), None);
        assert_eq!(bench.counters.fragments_contradictory, 1);
        bench.take(1, 0, true, b"12345678abcdefgh");
        assert!(bench.take(1, 16, false, b"end").is_some());
    }

    #[test]
    fn a_flood_costs_the_oldest_first_and_stays_within_both_bounds() {
        let mut bench = Bench::new();
        for id in 0..20_000 {
            bench.take(id, 0, true, &[7; 16_000]);
            assert!(bench.pool.bytes <= FRAGMENT_BYTES_MAX);
            assert!(bench.pool.waiting.len() <= FRAGMENTED_DATAGRAMS_MAX);
            assert_eq!(bench.pool.waiting.len(), bench.pool.order.len());
        }
        assert_eq!(bench.take(0, 16_000, false, b"end"), None);
        assert!(bench.take(19_999, 16_000, false, b"end").is_some());
        assert!(bench.counters.fragments_dropped > 19_000);
    }

    #[test]
    fn a_flood_of_small_fragments_is_bounded_by_number() {
        let mut bench = Bench::new();
        for id in 0..2_000 {
            bench.take(id, 8, true, &[7; 8]);
        }
        assert_eq!(bench.pool.waiting.len(), FRAGMENTED_DATAGRAMS_MAX);
        assert_eq!(bench.counters.fragments_dropped, 2_000 - 512);
    }

    #[test]
    fn a_datagram_that_is_all_holes_is_given_up_and_counted() {
        let mut bench = Bench::new();
        for place in 0..=FRAGMENTS_PER_DATAGRAM_MAX {
            bench.take(1, place * 16, true, &[7; 8]);
        }
        assert!(bench.pool.waiting.is_empty());
        assert_eq!(bench.counters.fragments_dropped, 64);
    }
}
