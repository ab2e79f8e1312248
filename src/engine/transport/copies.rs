//! Segments that come twice: both ends of their way are mirrored.

use std::time::Duration;

use crate::engine::frame::Timestamp;
use crate::engine::transport::Segment;

/// The last few segments, by what no second segment of a connection has in common with them: a
/// retransmission comes later than [`MOMENT`]. What a router changes on the way (time to live,
/// VLAN) does not count.
#[derive(Debug, Default)]
pub struct Copies {
    prints: [u64; RECENT],
    times: [Timestamp; RECENT],
    next: usize,
}

impl Copies {
    /// Whether this segment came a moment ago. Bare acknowledgements are passed over: a receiver
    /// sends the same one more than once.
    pub fn is_copy(&mut self, segment: &Segment<'_>, now: Timestamp) -> bool {
        if segment.segment_len() == 0 {
            return false;
        }
        let print = print_of(segment);
        let mut known = self.prints.iter().zip(&self.times);
        if known.any(|(other, time)| *other == print && now.since(*time) <= MOMENT) {
            return true;
        }
        if let (Some(place), Some(time)) = (
            self.prints.get_mut(self.next),
            self.times.get_mut(self.next),
        ) {
            (*place, *time) = (print, now);
        }
        self.next = (self.next + 1) % RECENT;
        false
    }
}

/// Ports, numbers and checksum, which covers addresses and bytes.
fn print_of(segment: &Segment<'_>) -> u64 {
    let number = |at: usize| {
        let bytes = segment.bytes.get(at..at + 8);
        bytes.map_or(0, |bytes| {
            u64::from_be_bytes(bytes.try_into().unwrap_or_default())
        })
    };
    // Bytes 0 to 7 of the header are ports and sequence number, 12 to 19 flags, window and
    // checksum (RFC 9293 §3.1).
    number(0).rotate_left(29) ^ number(12)
}

/// Copies come in pairs, but for what the other direction puts in between.
const RECENT: usize = 16;
/// A mirror's second copy comes within a millisecond; a retransmission takes a round trip at
/// least, and on Linux 200 ms.
const MOMENT: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use etherparse::PacketBuilder;

    use super::*;
    use crate::engine::link::Scope;
    use crate::engine::net::IpPacket;

    fn tcp(seq: u32, payload: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        PacketBuilder::ipv4([192, 0, 2, 1], [192, 0, 2, 2], 64)
            .tcp(50_000, 80, seq, 1000)
            .write(&mut bytes, payload)
            .unwrap();
        bytes.split_off(20)
    }

    fn copies_of(copies: &mut Copies, bytes: &[u8], micros: u64) -> bool {
        let packet = IpPacket {
            scope: Scope::default(),
            src: [192, 0, 2, 1].into(),
            dst: [192, 0, 2, 2].into(),
            protocol: 6,
            payload: bytes,
            hops: 64,
            missing: 0,
        };
        let segment = Segment::parse(&packet).unwrap();
        copies.is_copy(&segment, Timestamp::from_nanos(micros * 1000))
    }

    #[test]
    fn the_same_segment_within_a_moment_came_twice() {
        let mut copies = Copies::default();
        let segment = tcp(7, b"GET /");
        assert!(!copies_of(&mut copies, &segment, 0));
        assert!(!copies_of(&mut copies, &tcp(12, b"more"), 10));
        assert!(copies_of(&mut copies, &segment, 20));
    }

    #[test]
    fn a_retransmission_and_a_bare_acknowledgement_did_not() {
        let mut copies = Copies::default();
        let segment = tcp(7, b"GET /");
        assert!(!copies_of(&mut copies, &segment, 0));
        assert!(!copies_of(&mut copies, &segment, 200_000));
        assert!(!copies_of(&mut copies, &tcp(7, b""), 0));
        assert!(!copies_of(&mut copies, &tcp(7, b""), 1));
    }

    #[test]
    fn what_came_long_before_is_forgotten() {
        let mut copies = Copies::default();
        for seq in 0..100 {
            assert!(!copies_of(&mut copies, &tcp(seq, b"x"), 0));
        }
        assert!(!copies_of(&mut copies, &tcp(0, b"x"), 0));
        assert!(copies_of(&mut copies, &tcp(99, b"x"), 0));
    }
}
