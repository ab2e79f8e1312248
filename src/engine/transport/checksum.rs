//! The Internet checksum over a TCP segment (RFC 1071, RFC 9293 §3.1).

use std::net::{IpAddr, Ipv4Addr};

/// What a segment's checksum says about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It fits the bytes.
    Right,
    /// It does not.
    Wrong,
    /// It covers the pseudo header alone: the network card was to complete it, or the kernel
    /// merged several segments into this one. It says nothing about the bytes.
    Unfinished,
}

/// Verifies `segment`, TCP header and payload, between two addresses.
pub(super) fn verify(src: IpAddr, dst: IpAddr, segment: &[u8]) -> Verdict {
    let pseudo = pseudo_header(src, dst, segment.len());
    if fold(pseudo + sum(segment)) == u16::MAX {
        return Verdict::Right;
    }
    let stated = segment.get(CHECKSUM_OFFSET..).and_then(<[u8]>::first_chunk);
    match stated {
        Some(stated) if u16::from_ne_bytes(*stated) == fold(pseudo) => Verdict::Unfinished,
        _ => Verdict::Wrong,
    }
}

/// RFC 9293 §3.1 for IPv4, RFC 8200 §8.1 for IPv6.
fn pseudo_header(src: IpAddr, dst: IpAddr, length: usize) -> u64 {
    let addresses = match (src, dst) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => ipv4(src) + ipv4(dst),
        (IpAddr::V6(src), IpAddr::V6(dst)) => sum(&src.octets()) + sum(&dst.octets()),
        _ => 0, // no packet has one of each
    };
    let length = u32::try_from(length).unwrap_or(u32::MAX);
    addresses + u64::from(length.to_be()) + u64::from(TCP.to_be())
}

fn ipv4(address: Ipv4Addr) -> u64 {
    u64::from(u32::from_ne_bytes(address.octets()))
}

/// The sum of all 16-bit words in the machine's own byte order, in which it is as good
/// (RFC 1071 §2 B); a last odd byte counts as if a zero followed.
fn sum(bytes: &[u8]) -> u64 {
    let (mut words, mut rest) = (Words::default(), bytes);
    while let Some((pair, after)) = rest.split_first_chunk() {
        let pair = u128::from_ne_bytes(*pair);
        words.add(pair as u64);
        words.add((pair >> 64) as u64);
        rest = after;
    }
    if let Some((word, after)) = rest.split_first_chunk() {
        words.add(u64::from_ne_bytes(*word));
        rest = after;
    }
    if let Some((half, after)) = rest.split_first_chunk() {
        words.add(u32::from_ne_bytes(*half).into());
        rest = after;
    }
    let last = match *rest {
        [one, two, odd] => [one, two, odd, 0],
        [one, two] => [one, two, 0, 0],
        [odd] => [odd, 0, 0, 0],
        _ => [0; 4],
    };
    words.add(u32::from_ne_bytes(last).into());
    words.sum()
}

/// Words of 64 bits, added with their carries: two instructions for eight bytes.
#[derive(Default)]
struct Words {
    sum: u64,
    carries: u64,
}

impl Words {
    fn add(&mut self, word: u64) {
        let (sum, carry) = self.sum.overflowing_add(word);
        // As many as a slice has bytes, they fit.
        (self.sum, self.carries) = (sum, self.carries.wrapping_add(carry.into()));
    }

    /// 2^16 is 1 in the arithmetic of this sum, and so are 2^32 and 2^64.
    fn sum(&self) -> u64 {
        (self.sum & MASK) + (self.sum >> 32) + self.carries
    }
}

fn fold(mut total: u64) -> u16 {
    while let high @ 1.. = total >> 16 {
        total = (total & 0xffff) + high;
    }
    total as u16
}

/// Where the checksum stands in a TCP header.
const CHECKSUM_OFFSET: usize = 16;
/// The low half of a 64-bit word.
const MASK: u64 = 0xffff_ffff;
/// IP protocol number of TCP.
const TCP: u16 = 6;

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use etherparse::TcpHeader;

    use super::*;

    const SRC: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 7);
    const DST: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 10);

    fn segment(payload: &[u8], checksum: impl Fn(&TcpHeader) -> u16) -> Vec<u8> {
        let mut header = TcpHeader::new(50_112, 80, 0xdead_beef, 512);
        header.checksum = checksum(&header);
        let mut bytes = header.to_bytes().to_vec();
        bytes.extend_from_slice(payload);
        bytes
    }

    #[test]
    fn a_right_checksum_of_any_length_is_right() {
        for length in 0..70 {
            let payload: Vec<u8> = (0..length).map(|byte| byte ^ 0xa5).collect();
            let bytes = segment(&payload, |header| {
                header
                    .calc_checksum_ipv4_raw(SRC.octets(), DST.octets(), &payload)
                    .unwrap()
            });
            assert_eq!(verify(SRC.into(), DST.into(), &bytes), Verdict::Right);
        }
    }

    #[test]
    fn a_right_checksum_over_ipv6_is_right() {
        let (src, dst) = (Ipv6Addr::LOCALHOST, Ipv6Addr::UNSPECIFIED);
        let bytes = segment(b"GET", |header| {
            header
                .calc_checksum_ipv6_raw(src.octets(), dst.octets(), b"GET")
                .unwrap()
        });
        assert_eq!(verify(src.into(), dst.into(), &bytes), Verdict::Right);
    }

    #[test]
    fn one_bit_off_is_wrong() {
        let bytes = segment(b"GET /", |header| {
            let right = header.calc_checksum_ipv4_raw(SRC.octets(), DST.octets(), b"GET /");
            right.unwrap() ^ 4
        });
        assert_eq!(verify(SRC.into(), DST.into(), &bytes), Verdict::Wrong);
    }

    #[test]
    fn what_the_card_was_to_complete_is_unfinished() {
        let length = 20 + 5;
        let pseudo = fold(pseudo_header(SRC.into(), DST.into(), length));
        let bytes = segment(b"GET /", |_| u16::from_be(pseudo));
        assert_eq!(verify(SRC.into(), DST.into(), &bytes), Verdict::Unfinished);
    }
}
