//! Segments that come twice: both ends of their way are mirrored.

use std::time::Duration;

use crate::frame::Timestamp;
use crate::transport::Segment;

/// The last few segments, by what no second segment of a connection has in common with them: a
/// retransmission comes later than [`MOMENT`]. What a router changes on the way (time to live,
/// VLAN) does not count.
#[derive(Debug)]
pub struct Copies {
    /// By the low bits of their prints: whoever comes last has the place.
    recent: [(u64, Timestamp); RECENT],
}

impl Default for Copies {
    fn default() -> Self {
        Self {
            recent: [(0, Timestamp::default()); RECENT],
        }
    }
}

impl Copies {
    /// Whether this segment came a moment ago. Bare acknowledgements are passed over: a receiver
    /// sends the same one more than once.
    #[inline]
    pub fn is_copy(&mut self, segment: &Segment<'_>, now: Timestamp) -> bool {
        if segment.segment_len() == 0 {
            return false;
        }
        let print = print_of(segment);
        let Some(place) = self.recent.get_mut((print % RECENT as u64) as usize) else {
            return false;
        };
        let (other, time) = *place;
        if other == print && now.since(time) <= MOMENT {
            return true;
        }
        *place = (print, now);
        false
    }
}

/// Ports, numbers and checksum, which covers addresses and bytes.
#[inline]
fn print_of(segment: &Segment<'_>) -> u64 {
    let Some([a, b, c, d, e, f, g, h, _, _, _, _, rest @ ..]) = segment.bytes.first_chunk::<20>()
    else {
        return 0;
    };
    // Ports and sequence number; flags, window and checksum (RFC 9293 §3.1). The product's high
    // half, which tells neighbours apart, goes to where the place is taken from.
    let print = u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h]).rotate_left(29)
        ^ u64::from_be_bytes(*rest);
    print.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(32)
}

/// Copies come in pairs, but for what the other direction puts in between.
const RECENT: usize = 64;
/// A mirror's second copy comes within a millisecond; a retransmission takes a round trip at
/// least, and on Linux 200 ms.
const MOMENT: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use etherparse::PacketBuilder;

    use super::*;
    use crate::link::Scope;
    use crate::net::IpPacket;

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
