//! One datagram whose fragments come in any order, as often as they like.
//!
//! Where fragments overlap, hosts disagree; this follows Linux, and leaves out only what no host
//! needs to be protected from:
//! - A fragment all of whose bytes are there is a duplicate: what came first stays.
//! - IPv6 datagrams with any other overlap are given up, as on every host (RFC 8200 §4.5).
//! - IPv4 datagrams with any other overlap are given up when the bytes differ, as Linux and
//!   Windows do. Where the bytes agree, every host that takes the datagram reads the same.
//! - Fragments that disagree about the datagram's end give it up.

use crate::frame::Timestamp;
use crate::limits::FRAGMENTS_PER_DATAGRAM_MAX;
use crate::net::ip::{Datagram, Fragment};

/// A datagram that waits for fragments.
#[derive(Debug)]
pub(super) struct Partial {
    /// When its first fragment came, whichever that was.
    pub(super) since: Timestamp,
    /// Fragments taken.
    pub(super) fragments: u64,
    /// Of the payload: the fragment at offset 0 tells it, the others' may differ (RFC 8200 §4.5).
    protocol: u8,
    /// In order, and never touching each other.
    runs: Vec<Run>,
    /// Length of the whole payload, once the last fragment told it.
    total: Option<usize>,
    /// Offset of the first byte that was on the wire and is not here.
    cut_at: Option<usize>,
}

/// Bytes without a hole.
#[derive(Debug)]
struct Run {
    start: usize,
    bytes: Vec<u8>,
}

/// A datagram's payload, put together.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Whole {
    pub(super) protocol: u8,
    pub(super) payload: Vec<u8>,
    /// Bytes at the end of the payload that were on the wire and are not here.
    pub(super) missing: usize,
}

/// What became of a fragment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// Its bytes are kept, or were there already.
    Yes,
    /// It alone is dropped: no host takes it.
    Dropped,
    /// The datagram is given up: too many pieces.
    TooMany,
    /// The datagram is given up: its fragments contradict each other.
    Contradiction,
}

/// Bytes that a datagram may have at most (RFC 791 §3.1, RFC 8200 §3).
const DATAGRAM_MAX: usize = 65_535;

impl Run {
    fn end(&self) -> usize {
        self.start + self.bytes.len()
    }

    /// Whether it has a byte in common with `start..end`.
    fn overlaps(&self, start: usize, end: usize) -> bool {
        self.start < end && start < self.end()
    }

    /// Whether nothing lies between it and `start..end`.
    fn touches(&self, start: usize, end: usize) -> bool {
        self.start <= end && start <= self.end()
    }

    /// Appends what `bytes`, which begin at `start`, have beyond the end.
    fn extend(&mut self, start: usize, bytes: &[u8]) {
        let fresh = bytes.get(self.end().saturating_sub(start)..);
        self.bytes.extend_from_slice(fresh.unwrap_or_default());
    }

    /// Whether it agrees with `bytes`, which begin at `start`, wherever both have a byte.
    fn agrees(&self, start: usize, bytes: &[u8]) -> bool {
        let mine = self.bytes.iter().skip(start.saturating_sub(self.start));
        let theirs = bytes.iter().skip(self.start.saturating_sub(start));
        mine.zip(theirs).all(|(mine, theirs)| mine == theirs)
    }
}

impl Partial {
    pub(super) fn new(since: Timestamp) -> Self {
        Self {
            since,
            fragments: 0,
            protocol: 0,
            runs: Vec::new(),
            total: None,
            cut_at: None,
        }
    }

    pub(super) fn heap_bytes(&self) -> usize {
        let bytes: usize = self.runs.iter().map(|run| run.bytes.capacity()).sum();
        bytes + self.runs.capacity() * size_of::<Run>()
    }

    /// Takes a fragment in.
    pub(super) fn insert(&mut self, datagram: &Datagram<'_>, fragment: Fragment) -> Taken {
        let padded;
        let mut bytes = datagram.payload;
        if datagram.missing > 0 {
            padded = zero_filled(datagram);
            bytes = &padded;
        }
        if fragment.more && bytes.len() % 8 != 0 {
            if datagram.src.is_ipv6() {
                return Taken::Dropped;
            }
            bytes = bytes.get(..bytes.len() & !7).unwrap_or_default(); // as Linux does
        }
        let (start, end) = (fragment.offset, fragment.offset + bytes.len());
        if bytes.is_empty() || end > DATAGRAM_MAX {
            return Taken::Dropped;
        }
        if !self.end_agrees(end, fragment.more) {
            return Taken::Contradiction;
        }
        let taken = self.join(start, bytes, datagram.src.is_ipv4());
        if taken == Taken::Yes {
            self.note(datagram, fragment);
        }
        taken
    }

    /// What the fragment says beside its bytes.
    fn note(&mut self, datagram: &Datagram<'_>, fragment: Fragment) {
        self.fragments += 1;
        if fragment.offset == 0 {
            self.protocol = datagram.protocol;
        }
        if datagram.missing > 0 {
            let cut_at = fragment.offset + datagram.payload.len();
            self.cut_at = Some(self.cut_at.map_or(cut_at, |known| known.min(cut_at)));
        }
    }

    /// Whether the datagram's end is where the fragments say that it is.
    fn end_agrees(&mut self, end: usize, more: bool) -> bool {
        let known = self.runs.last().map_or(0, Run::end);
        match self.total {
            Some(total) if more => end <= total,
            Some(total) => end == total,
            None if more => true,
            None => {
                self.total = Some(end);
                known <= end
            }
        }
    }

    /// Joins the bytes with those runs that they touch.
    fn join(&mut self, start: usize, bytes: &[u8], may_overlap: bool) -> Taken {
        let end = start + bytes.len();
        let first = self.runs.partition_point(|run| run.end() < start);
        let count = self
            .runs
            .iter()
            .skip(first)
            .take_while(|run| run.touches(start, end))
            .count();
        let touched = || self.runs.iter().skip(first).take(count);
        if touched().any(|run| run.start <= start && end <= run.end()) {
            return Taken::Yes;
        }
        let clean = touched()
            .filter(|run| run.overlaps(start, end))
            .all(|run| may_overlap && run.agrees(start, bytes));
        if !clean {
            return Taken::Contradiction;
        }
        if count == 0 && self.runs.len() >= FRAGMENTS_PER_DATAGRAM_MAX {
            return Taken::TooMany;
        }
        self.merge(first, count, start, bytes);
        Taken::Yes
    }

    /// Puts one run in the place of `count` runs and the bytes between them.
    fn merge(&mut self, first: usize, count: usize, start: usize, bytes: &[u8]) {
        if let (1, Some(run)) = (count, self.runs.get_mut(first)) {
            if run.start <= start {
                return run.extend(start, bytes); // the next fragment in order
            }
        }
        let mut old = self.runs.splice(first..first + count, []);
        let mut joined = Run {
            start,
            bytes: Vec::new(),
        };
        let mut next = old.next();
        if let Some(run) = next.take_if(|run| run.start <= start) {
            joined = run;
            next = old.next();
        }
        joined.extend(start, bytes);
        for run in next.into_iter().chain(old) {
            joined.extend(run.start, &run.bytes);
        }
        self.runs.insert(first, joined);
    }

    pub(super) fn is_complete(&self) -> bool {
        match self.runs.as_slice() {
            [run] => run.start == 0 && self.total == Some(run.end()),
            _ => false,
        }
    }

    /// The payload of a datagram that is complete.
    pub(super) fn into_whole(self) -> Whole {
        let run = self.runs.into_iter().next();
        let mut payload = run.map(|run| run.bytes).unwrap_or_default();
        let total = payload.len();
        payload.truncate(self.cut_at.unwrap_or(total));
        Whole {
            protocol: self.protocol,
            missing: total - payload.len(),
            payload,
        }
    }
}

/// A fragment that the snap length cut, with zeros for what is missing: so the datagram can be
/// completed, and is told up to the cut.
fn zero_filled(datagram: &Datagram<'_>) -> Vec<u8> {
    let length = datagram.payload.len().saturating_add(datagram.missing);
    let mut bytes = datagram.payload.to_vec();
    bytes.resize(length.min(DATAGRAM_MAX + 1), 0);
    bytes
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    const V4: [u8; 4] = [192, 0, 2, 1];

    fn datagram(src: IpAddr, payload: &[u8]) -> Datagram<'_> {
        Datagram {
            src,
            dst: src,
            protocol: 6,
            payload,
            missing: 0,
            hops: 64,
            fragment: None,
            checksum_is_right: true,
        }
    }

    fn at(offset: usize, more: bool) -> Fragment {
        Fragment {
            id: 1,
            offset,
            more,
        }
    }

    fn v4(partial: &mut Partial, offset: usize, more: bool, payload: &[u8]) -> Taken {
        partial.insert(&datagram(V4.into(), payload), at(offset, more))
    }

    fn v6(partial: &mut Partial, offset: usize, more: bool, payload: &[u8]) -> Taken {
        partial.insert(&datagram([1; 16].into(), payload), at(offset, more))
    }

    fn empty() -> Partial {
        Partial::new(Timestamp::default())
    }

    fn payload(partial: Partial) -> Vec<u8> {
        assert!(partial.is_complete());
        partial.into_whole().payload
    }

    #[test]
    fn fragments_in_order_give_the_datagram() {
        let mut partial = empty();
        assert_eq!(v4(&mut partial, 0, true, b"12345678"), Taken::Yes);
        assert!(!partial.is_complete());
        assert_eq!(v4(&mut partial, 8, false, b"9"), Taken::Yes);
        assert_eq!(payload(partial), b"123456789");
    }

    #[test]
    fn the_last_first_gives_the_datagram() {
        let mut partial = empty();
        v4(&mut partial, 16, false, b"end");
        v4(&mut partial, 8, true, b"abcdefgh");
        v4(&mut partial, 0, true, b"12345678");
        assert_eq!(payload(partial), b"12345678abcdefghend");
    }

    #[test]
    fn a_fragment_between_two_others_joins_them() {
        let mut partial = empty();
        v4(&mut partial, 0, true, b"12345678");
        v4(&mut partial, 16, false, b"end");
        v4(&mut partial, 8, true, b"abcdefgh");
        assert_eq!(payload(partial), b"12345678abcdefghend");
    }

    #[test]
    fn a_duplicate_changes_nothing_even_if_it_differs() {
        let mut partial = empty();
        v6(&mut partial, 0, true, b"12345678");
        v6(&mut partial, 8, true, b"abcdefgh");
        assert_eq!(v6(&mut partial, 0, true, b"XXXXXXXXYYYYYYYY"), Taken::Yes);
        assert_eq!(v6(&mut partial, 8, true, b"ZZZZZZZZ"), Taken::Yes);
        v6(&mut partial, 16, false, b"end");
        assert_eq!(payload(partial), b"12345678abcdefghend");
    }

    #[test]
    fn ipv4_fragments_that_overlap_and_agree_are_joined() {
        let mut partial = empty();
        v4(&mut partial, 0, true, b"12345678abcdefgh");
        assert_eq!(v4(&mut partial, 8, false, b"abcdefghend"), Taken::Yes);
        assert_eq!(payload(partial), b"12345678abcdefghend");
    }

    #[test]
    fn an_ipv4_fragment_that_covers_others_and_agrees_is_joined() {
        let mut partial = empty();
        v4(&mut partial, 8, true, b"abcdefgh");
        v4(&mut partial, 24, false, b"end");
        let all = b"12345678abcdefghABCDEFGHend";
        assert_eq!(v4(&mut partial, 0, false, all), Taken::Yes);
        assert_eq!(payload(partial), all);
    }

    #[test]
    fn ipv4_fragments_that_overlap_and_differ_give_the_datagram_up() {
        let mut partial = empty();
        v4(&mut partial, 0, true, b"12345678abcdefgh");
        assert_eq!(
            v4(&mut partial, 8, false, b"abcdXfghend"),
            Taken::Contradiction
        );
    }

    #[test]
    fn ipv6_fragments_that_overlap_give_the_datagram_up_even_if_they_agree() {
        let mut partial = empty();
        v6(&mut partial, 0, true, b"12345678abcdefgh");
        assert_eq!(
            v6(&mut partial, 8, false, b"abcdefghend"),
            Taken::Contradiction
        );
    }

    #[test]
    fn two_ends_give_the_datagram_up() {
        let mut partial = empty();
        v4(&mut partial, 16, false, b"end");
        assert_eq!(v4(&mut partial, 16, false, b"other"), Taken::Contradiction);
    }

    #[test]
    fn bytes_beyond_the_end_give_the_datagram_up() {
        let mut partial = empty();
        v4(&mut partial, 8, false, b"end");
        assert_eq!(
            v4(&mut partial, 16, true, b"12345678"),
            Taken::Contradiction
        );
        let mut partial = empty();
        v4(&mut partial, 16, true, b"12345678");
        assert_eq!(v4(&mut partial, 8, false, b"end"), Taken::Contradiction);
    }

    #[test]
    fn a_middle_fragment_of_odd_length_is_trimmed_in_ipv4_and_dropped_in_ipv6() {
        let mut partial = empty();
        assert_eq!(v4(&mut partial, 0, true, b"12345678xyz"), Taken::Yes);
        v4(&mut partial, 8, false, b"end");
        assert_eq!(payload(partial), b"12345678end");
        assert_eq!(v6(&mut empty(), 0, true, b"12345678xyz"), Taken::Dropped);
    }

    #[test]
    fn an_empty_fragment_is_dropped() {
        assert_eq!(v4(&mut empty(), 8, false, b""), Taken::Dropped);
        assert_eq!(v4(&mut empty(), 0, true, b"1234567"), Taken::Dropped);
    }

    #[test]
    fn a_fragment_beyond_the_largest_datagram_is_dropped() {
        assert_eq!(v4(&mut empty(), 65_528, false, &[1; 8]), Taken::Dropped);
        assert_eq!(v4(&mut empty(), 65_528, false, &[1; 7]), Taken::Yes);
    }

    #[test]
    fn the_protocol_is_that_of_the_first_fragment() {
        let mut partial = empty();
        v6(&mut partial, 0, true, b"12345678");
        let mut last = datagram([1; 16].into(), b"end");
        last.protocol = 17;
        partial.insert(&last, at(8, false));
        assert_eq!(partial.into_whole().protocol, 6);
    }

    #[test]
    fn a_datagram_with_too_many_holes_is_given_up() {
        let mut partial = empty();
        let taken = (0..65).map(|place| v4(&mut partial, place * 16, true, &[7; 8]));
        assert_eq!(taken.last(), Some(Taken::TooMany));
    }

    #[test]
    fn any_number_of_tiny_fragments_without_holes_is_one_run() {
        for order in [0..8000_usize, 0..8000] {
            let mut partial = empty();
            for place in order {
                assert_eq!(v4(&mut partial, place * 8, true, &[7; 8]), Taken::Yes);
            }
            v4(&mut partial, 64_000, false, &[7]);
            assert_eq!(payload(partial), [7; 64_001]);
        }
    }

    #[test]
    fn a_cut_fragment_gives_the_datagram_up_to_the_cut() {
        let mut partial = empty();
        let mut first = datagram(V4.into(), b"12345");
        first.missing = 3;
        assert_eq!(partial.insert(&first, at(0, true)), Taken::Yes);
        v4(&mut partial, 8, false, b"end");
        let whole = partial.into_whole();
        assert_eq!((&whole.payload[..], whole.missing), (&b"12345"[..], 6));
    }
}
