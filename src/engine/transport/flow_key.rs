//! What names a flow, and where it stands in the table.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::net::{Ipv6Addr, SocketAddr};

use crate::net::WireEnds;
use crate::transport::FiveTuple;

/// Which of a flow's two endpoints: the one whose address and port come first, or the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Side {
    Low,
    High,
}

impl Side {
    pub(super) const BOTH: [Self; 2] = [Self::Low, Self::High];

    pub(super) const fn other(self) -> Self {
        match self {
            Self::Low => Self::High,
            Self::High => Self::Low,
        }
    }
}

/// Both endpoints, the same for both directions; half as large as two [`SocketAddr`]. The network
/// is no part of it: mirrors show one connection in several, or its two directions in two
/// ([`Networks`](crate::transport::networks)). IPv4 addresses stand in their mapped form (RFC 4291 §2.5.5.2), which no packet
/// on a wire bears.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlowKey {
    low: Endpoint,
    high: Endpoint,
}

/// Address, then port, in the order in which they compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Endpoint {
    address: [u32; 4],
    port: u16,
}

impl FlowKey {
    /// The least of all keys.
    pub(crate) const FIRST: Self = Self {
        low: Endpoint::FIRST,
        high: Endpoint::FIRST,
    };

    /// The key of the flow between two endpoints, in either order.
    pub fn between(one: SocketAddr, other: SocketAddr) -> Self {
        Self::from_sender(one, other).0
    }

    fn from_sender(src: SocketAddr, dst: SocketAddr) -> (Self, Side) {
        let (low, high, side) = in_order(Endpoint::new(src), Endpoint::new(dst));
        (Self { low, high }, side)
    }

    /// The endpoint that comes first, and the other.
    pub(super) fn tuple(&self) -> FiveTuple {
        FiveTuple {
            src: self.low.address(),
            dst: self.high.address(),
        }
    }
}

/// The third word of an IPv4 address in its mapped form.
const MAPPED: u32 = 0xffff;

impl Endpoint {
    const FIRST: Self = Self {
        address: [0; 4],
        port: 0,
    };

    fn new(address: SocketAddr) -> Self {
        let words = match address {
            SocketAddr::V4(v4) => [0, 0, MAPPED, v4.ip().to_bits()],
            SocketAddr::V6(v6) => words_of(v6.ip().to_bits()),
        };
        Self {
            address: words,
            port: address.port(),
        }
    }

    fn address(&self) -> SocketAddr {
        let join = |bits: u128, word: u32| bits << 32 | u128::from(word);
        let bits = self.address.into_iter().fold(0, join);
        SocketAddr::new(Ipv6Addr::from_bits(bits).to_canonical(), self.port)
    }
}

/// What stands for a key in the table: one of 2^64, so that no two connections ever share one but
/// by an accident that takes longer to wait for than the machine will last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeyHash(u64);

impl KeyHash {
    /// The number.
    pub(crate) const fn get(self) -> u64 {
        self.0
    }

    /// Its bits in another order: ports in a row are a line in the plane, and would meet in few
    /// places, with bad luck in the numbers.
    pub(super) fn mixed(self) -> u64 {
        (self.0 ^ (self.0 >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }
}

/// One end of a flow, as the table knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sender {
    pub(super) key: KeyHash,
    pub(super) side: Side,
}

/// Multilinear hashing, twice: strongly universal for 32 bits each, so that whoever chooses
/// addresses and ports but does not know the numbers drawn at the start cannot make flows collide
/// (Lemire and Kaser, "Strongly universal string hashing is fast", 2014). A few multiplications,
/// where SipHash costs more than the rest of the look-up.
#[derive(Debug)]
pub(crate) struct KeyHasher {
    first: Factors,
    second: Factors,
}

/// Numbers drawn by chance: one to begin with and one for each word.
#[derive(Debug)]
struct Factors {
    start: u64,
    words: [u64; WORDS],
    /// The sum over what is the same in all pairs of IPv4 addresses.
    start_ipv4: u64,
}

impl KeyHasher {
    pub(crate) fn new() -> Self {
        let random = RandomState::new();
        Self {
            first: Factors::draw(&random, 0),
            second: Factors::draw(&random, 1),
        }
    }

    pub(crate) fn hash(&self, key: &FlowKey) -> KeyHash {
        joined(self.first.sum(key), self.second.sum(key))
    }

    /// Whoever sends so.
    pub(super) fn hash_sender(&self, tuple: &FiveTuple) -> Sender {
        let (key, side) = FlowKey::from_sender(tuple.src, tuple.dst);
        let key = self.hash(&key);
        Sender { key, side }
    }

    /// The same, of ends as numbers.
    #[inline]
    pub(super) fn hash_ends(&self, ends: WireEnds) -> Sender {
        match ends {
            WireEnds::V4(src, dst) => self.hash_ipv4(src, dst),
            WireEnds::V6(src, dst) => self.hash_ipv6(src, dst),
        }
    }

    fn hash_ipv6(&self, src: (u128, u16), dst: (u128, u16)) -> Sender {
        let (low, high, side) = in_order(src, dst);
        let end = |(address, port)| Endpoint {
            address: words_of(address),
            port,
        };
        let (low, high) = (end(low), end(high));
        let key = self.hash(&FlowKey { low, high });
        Sender { key, side }
    }

    /// The same as of the keys in their mapped form, which need not be made for it.
    #[inline]
    fn hash_ipv4(&self, src: u64, dst: u64) -> Sender {
        let (low, high, side) = in_order(src, dst);
        let address = |end: u64| (end >> 16) as u32;
        let ports = joined_ports(low as u16, high as u16);
        let words = (address(low), address(high), ports);
        Sender {
            key: joined(self.first.sum_ipv4(words), self.second.sum_ipv4(words)),
            side,
        }
    }
}

impl Factors {
    fn draw(random: &RandomState, which: usize) -> Self {
        let mut words = [0; WORDS];
        for (place, factor) in words.iter_mut().enumerate() {
            *factor = random.hash_one((which, place));
        }
        let start: u64 = random.hash_one((which, WORDS));
        let [_, _, third, _, _, _, seventh, _, _] = words;
        let same = third.wrapping_add(seventh).wrapping_mul(u64::from(MAPPED));
        Self {
            start,
            words,
            start_ipv4: start.wrapping_add(same),
        }
    }

    /// The same as [`sum`](Self::sum) for two IPv4 addresses and the ports.
    #[inline]
    fn sum_ipv4(&self, (low, high, ports): (u32, u32, u32)) -> u64 {
        let [_, _, _, d, _, _, _, h, i] = self.words;
        self.start_ipv4
            .wrapping_add(d.wrapping_mul(u64::from(low)))
            .wrapping_add(h.wrapping_mul(u64::from(high)))
            .wrapping_add(i.wrapping_mul(u64::from(ports)))
    }

    /// The upper 32 bits are the hash.
    fn sum(&self, key: &FlowKey) -> u64 {
        let ports = joined_ports(key.low.port, key.high.port);
        let [a, b, c, d, e, f, g, h, i] = self.words;
        let [j, k, l, m] = key.low.address;
        let [n, o, p, q] = key.high.address;
        let sum = |start, terms: &[(u64, u32)]| {
            terms.iter().fold(start, |sum: u64, (factor, word)| {
                sum.wrapping_add(factor.wrapping_mul(u64::from(*word)))
            })
        };
        if ([j, k, l], [n, o, p]) == ([0, 0, MAPPED], [0, 0, MAPPED]) {
            return self.sum_ipv4((m, q, ports));
        }
        let low = sum(self.start, &[(a, j), (b, k), (c, l), (d, m)]);
        sum(low, &[(e, n), (f, o), (g, p), (h, q), (i, ports)])
    }
}

/// Which of two ends comes first, which last, and which of them sends.
#[inline]
fn in_order<T: Ord>(src: T, dst: T) -> (T, T, Side) {
    if src <= dst {
        (src, dst, Side::Low)
    } else {
        (dst, src, Side::High)
    }
}

fn words_of(address: u128) -> [u32; 4] {
    [96, 64, 32, 0].map(|shift| (address >> shift) as u32)
}

fn joined(first: u64, second: u64) -> KeyHash {
    KeyHash((first & !0xffff_ffff) | (second >> 32))
}

fn joined_ports(low: u16, high: u16) -> u32 {
    u32::from(low) << 16 | u32::from(high)
}

const WORDS: usize = 9;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_come_back_as_they_went_in() {
        for text in ["203.0.113.7:50112", "[2001:db8::7]:443", "0.0.0.0:0"] {
            let address: SocketAddr = text.parse().unwrap();
            assert_eq!(Endpoint::new(address).address(), address);
        }
    }

    #[test]
    fn a_key_is_the_same_for_both_directions_and_no_other_pair() {
        let hasher = KeyHasher::new();
        let hash = |one: &str, other: &str| {
            hasher.hash(&FlowKey::between(
                one.parse().unwrap(),
                other.parse().unwrap(),
            ))
        };
        let (one, other) = ("203.0.113.7:50112", "[2001:db8::7]:443");
        assert_eq!(hash(one, other), hash(other, one));
        assert_ne!(hash(one, other), hash(one, "[2001:db8::7]:444"));
        assert_ne!(hash(one, other), hash(one, "[2001:db8::8]:443"));
    }

    #[test]
    fn a_sender_has_the_hash_of_its_key() {
        let hasher = KeyHasher::new();
        for (src, dst, side) in [
            ("203.0.113.7:50112", "192.0.2.1:80", Side::High),
            ("192.0.2.1:80", "192.0.2.1:81", Side::Low),
            ("192.0.2.1:81", "192.0.2.1:80", Side::High),
            ("[2001:db8::7]:443", "[2001:db8::8]:80", Side::Low),
        ] {
            let (src, dst) = (src.parse().unwrap(), dst.parse().unwrap());
            let key = hasher.hash(&FlowKey::between(src, dst));
            let sender = Sender { key, side };
            assert_eq!(hasher.hash_sender(&FiveTuple { src, dst }), sender);
            assert_eq!(hasher.hash_ends(wire_ends(src, dst)), sender);
        }
    }

    fn wire_ends(src: SocketAddr, dst: SocketAddr) -> WireEnds {
        let number = |end: SocketAddr| match end {
            SocketAddr::V4(end) => {
                u128::from(u64::from(end.ip().to_bits()) << 16 | u64::from(end.port()))
            }
            SocketAddr::V6(end) => end.ip().to_bits(),
        };
        match src {
            SocketAddr::V4(_) => WireEnds::V4(number(src) as u64, number(dst) as u64),
            SocketAddr::V6(_) => WireEnds::V6((number(src), src.port()), (number(dst), dst.port())),
        }
    }

    /// What holds of the family: a single hasher may be unlucky.
    #[test]
    fn keys_that_differ_by_little_spread_over_buckets() {
        const HASHERS: usize = 64;
        let used: usize = (0..HASHERS).map(|_| buckets_used(&KeyHasher::new())).sum();
        assert!(used / HASHERS > 900, "{}", used / HASHERS);
    }

    /// Of 1,024 buckets, those that 4,096 neighbouring ports reach: 1,005 if chosen at random.
    fn buckets_used(hasher: &KeyHasher) -> usize {
        let mut used = [false; 1024];
        for port in 0..4096 {
            let high = Endpoint::new(SocketAddr::from(([192, 0, 2, 1], port)));
            let low = Endpoint::new(SocketAddr::from(([10, 0, 0, 1], 80)));
            let key = FlowKey { low, high };
            used[(hasher.hash(&key).mixed() >> 54) as usize] = true;
        }
        used.iter().filter(|used| **used).count()
    }
}
