//! What the versions of QUIC that are read differ in (RFC 9000, 9001, 9369).

/// A version that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// RFC 9000.
    V1,
    /// RFC 9369.
    V2,
}

/// What a packet with a long header is (RFC 9000 §17.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LongKind {
    /// The first of either side.
    Initial,
    /// Data under an early key.
    ZeroRtt,
    /// The rest of the handshake.
    Handshake,
    /// The server wants to see the client's address proved.
    Retry,
}

impl Version {
    /// Those that are read, the oldest first.
    pub const ALL: [Self; 2] = [Self::V1, Self::V2];

    /// By its number on the wire.
    pub fn of(number: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.number() == number)
    }

    /// Its number on the wire.
    pub const fn number(self) -> u32 {
        match self {
            Self::V1 => 1,
            Self::V2 => 0x6b33_43cf,
        }
    }

    /// The kind of packet that two bits of a long header stand for (RFC 9369 §3.2).
    pub const fn long_kind(self, first_byte: u8) -> LongKind {
        let bits = first_byte >> 4 & 3;
        let place = match self {
            Self::V1 => bits,
            Self::V2 => bits.wrapping_sub(1) & 3,
        };
        match place {
            0 => LongKind::Initial,
            1 => LongKind::ZeroRtt,
            2 => LongKind::Handshake,
            _ => LongKind::Retry,
        }
    }

    /// The salt of the keys of Initial packets (RFC 9001 §5.2, RFC 9369 §3.3.1).
    pub(super) const fn salt(self) -> &'static [u8; 20] {
        match self {
            Self::V1 => &[
                0x38, 0x76, 0x2c, 0xf7, 0xf5, 0x59, 0x34, 0xb3, 0x4d, 0x17, 0x9a, 0xe6, 0xa4, 0xc8,
                0x0c, 0xad, 0xcc, 0xbb, 0x7f, 0x0a,
            ],
            Self::V2 => &[
                0x0d, 0xed, 0xe3, 0xde, 0xf7, 0x00, 0xa6, 0xdb, 0x81, 0x93, 0x81, 0xbe, 0x6e, 0x26,
                0x9d, 0xcb, 0xf9, 0xbd, 0x2e, 0xd9,
            ],
        }
    }

    /// The label of a packet protection key (RFC 9001 §5.1, RFC 9369 §3.3.2).
    pub(super) const fn key_label(self) -> &'static str {
        match self {
            Self::V1 => "quic key",
            Self::V2 => "quicv2 key",
        }
    }

    /// Of its initialisation vector.
    pub(super) const fn iv_label(self) -> &'static str {
        match self {
            Self::V1 => "quic iv",
            Self::V2 => "quicv2 iv",
        }
    }

    /// Of a header protection key.
    pub(super) const fn header_label(self) -> &'static str {
        match self {
            Self::V1 => "quic hp",
            Self::V2 => "quicv2 hp",
        }
    }

    /// Of the secret that follows this one (RFC 9001 §6.1).
    pub(super) const fn update_label(self) -> &'static str {
        match self {
            Self::V1 => "quic ku",
            Self::V2 => "quicv2 ku",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_have_other_bits_in_version_2() {
        let kinds = |version: Version| [0xc0, 0xd0, 0xe0, 0xf0].map(|byte| version.long_kind(byte));
        use LongKind::{Handshake, Initial, Retry, ZeroRtt};
        assert_eq!(kinds(Version::V1), [Initial, ZeroRtt, Handshake, Retry]);
        assert_eq!(kinds(Version::V2), [Retry, Initial, ZeroRtt, Handshake]);
        assert_eq!(Version::of(0x6b33_43cf), Some(Version::V2));
        assert_eq!(Version::of(0xff00_001d), None);
    }
}
