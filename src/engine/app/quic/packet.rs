//! The packets of a datagram (RFC 8999, RFC 9000 §17), as far as they can be told apart without
//! keys.

use std::fmt;

use crate::app::quic::varint::{length, vector};
use crate::app::quic::version::{LongKind, Version};
use crate::app::tls::reader::Reader;
use crate::limits::QUIC_CONNECTION_ID_BYTES_MAX;

/// What one side calls a connection by.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId {
    length: u8,
    bytes: [u8; QUIC_CONNECTION_ID_BYTES_MAX],
}

/// A packet within its datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    /// Protected, with a long header.
    Long(LongPacket<'a>),
    /// Protected, with a short header: 1-RTT. It takes the rest of its datagram.
    Short(&'a [u8]),
    /// The server wants to see the client's address proved, and wants to be called by this name
    /// (RFC 9000 §17.2.5).
    Retry(ConnectionId),
    /// The server speaks none of the client's version.
    Negotiation,
    /// Of a version that is not read; it takes the rest of its datagram.
    OtherVersion(u32),
}

/// A packet with a long header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LongPacket<'a> {
    /// Its version.
    pub version: Version,
    /// Initial, 0-RTT or Handshake.
    pub kind: LongKind,
    /// The receiver's name for the connection; in a client's first packets one that is made up.
    pub destination: ConnectionId,
    /// The sender's name for it.
    pub source: ConnectionId,
    /// The whole packet.
    pub bytes: &'a [u8],
    /// Where in it the protected packet number begins.
    pub number_at: usize,
}

/// What a packet's content is protected with, in the order of a handshake (RFC 9001 §2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Keys that everybody can derive.
    Initial,
    /// Keys of an earlier connection: 0-RTT.
    Early,
    /// Keys that the hellos agreed on.
    Handshake,
    /// Keys of the connection itself: 1-RTT.
    Traffic,
}

/// A protected packet, with what has to be known to open it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sealed<'a> {
    /// What it is protected with.
    pub level: Level,
    /// Its version; a short header does not say it.
    pub version: Option<Version>,
    /// Where in it the protected packet number begins; a short header does not say it either.
    pub number_at: Option<usize>,
    /// The whole packet.
    pub bytes: &'a [u8],
}

/// Bytes that are no packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PacketError {
    /// Bytes that were left where it begins.
    pub left: usize,
}

impl<'a> Sealed<'a> {
    /// One with a short header.
    pub const fn short(bytes: &'a [u8]) -> Self {
        Self {
            level: Level::Traffic,
            version: None,
            number_at: None,
            bytes,
        }
    }
}

impl<'a> From<&LongPacket<'a>> for Sealed<'a> {
    fn from(packet: &LongPacket<'a>) -> Self {
        Self {
            level: match packet.kind {
                LongKind::ZeroRtt => Level::Early,
                LongKind::Handshake => Level::Handshake,
                LongKind::Initial | LongKind::Retry => Level::Initial,
            },
            version: Some(packet.version),
            number_at: Some(packet.number_at),
            bytes: packet.bytes,
        }
    }
}

impl ConnectionId {
    /// None when it is longer than versions 1 and 2 allow (RFC 9000 §17.2).
    pub fn new(id: &[u8]) -> Option<Self> {
        let mut bytes = [0; QUIC_CONNECTION_ID_BYTES_MAX];
        bytes.get_mut(..id.len())?.copy_from_slice(id);
        Some(Self {
            length: u8::try_from(id.len()).ok()?,
            bytes,
        })
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len()).unwrap_or_default()
    }

    /// How many they are.
    pub fn len(&self) -> usize {
        usize::from(self.length)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }
}

impl fmt::Debug for ConnectionId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.bytes()
            .iter()
            .try_for_each(|byte| write!(out, "{byte:02x}"))
    }
}

impl<'a> Packet<'a> {
    /// Takes the next packet off a datagram; None at its end. Zeros behind a packet are none: some
    /// senders fill their first datagrams up with them.
    ///
    /// # Errors
    /// [`PacketError`] when what is left is none; nothing is left then.
    pub fn next(datagram: &mut &'a [u8]) -> Option<Result<Self, PacketError>> {
        let bytes = std::mem::take(datagram);
        let first = *bytes.first()?;
        if first == 0 && bytes.iter().all(|byte| *byte == 0) {
            return None;
        }
        if first & LONG == 0 {
            return Some(Ok(Self::Short(bytes)));
        }
        let mut reader = Reader::new(bytes);
        let packet = Self::long(bytes, first, &mut reader);
        if matches!(packet, Some(Self::Long(_))) {
            *datagram = reader.rest();
        }
        Some(packet.ok_or(PacketError { left: bytes.len() }))
    }

    fn long(bytes: &'a [u8], first: u8, reader: &mut Reader<'a>) -> Option<Self> {
        reader.u8()?;
        let number = reader.array().map(|number| u32::from_be_bytes(*number))?;
        let destination = reader.vector8()?;
        let source = reader.vector8()?;
        let version = match (number, Version::of(number)) {
            (0, _) => return Some(Self::Negotiation),
            (_, None) => return Some(Self::OtherVersion(number)),
            (_, Some(version)) => version,
        };
        let kind = version.long_kind(first);
        match kind {
            LongKind::Retry => return ConnectionId::new(source).map(Self::Retry),
            LongKind::Initial => drop(vector(reader)?), // the token
            LongKind::ZeroRtt | LongKind::Handshake => {}
        }
        let length = length(reader)?;
        let number_at = bytes.len() - reader.rest().len();
        reader.take(length)?;
        Some(Self::Long(LongPacket {
            version,
            kind,
            destination: ConnectionId::new(destination)?,
            source: ConnectionId::new(source)?,
            bytes: bytes.get(..number_at + length)?,
            number_at,
        }))
    }
}

/// The bit that marks a long header (RFC 8999 §5.1).
const LONG: u8 = 0x80;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::quic::vectors::{self, bytes};

    fn packets(datagram: &[u8]) -> Vec<Result<Packet<'_>, PacketError>> {
        let mut rest = datagram;
        std::iter::from_fn(|| Packet::next(&mut rest)).collect()
    }

    fn id(text: &str) -> ConnectionId {
        ConnectionId::new(&bytes(text)).unwrap()
    }

    #[test]
    fn the_published_packets_are_told_apart() {
        for (version, set) in [(Version::V1, &vectors::V1), (Version::V2, &vectors::V2)] {
            let client = bytes(set.client_initial);
            let expected = LongPacket {
                version,
                kind: LongKind::Initial,
                destination: id("8394c8f03e515708"),
                source: ConnectionId::default(),
                bytes: &client,
                number_at: 18,
            };
            assert_eq!(packets(&client), [Ok(Packet::Long(expected))]);
            let server = bytes(set.server_initial);
            let [Ok(Packet::Long(packet))] = packets(&server)[..] else {
                panic!("{server:?}");
            };
            assert_eq!(packet.source, id("f067a5502a4262b5"));
            assert!(packet.destination.is_empty());
            assert_eq!(
                packets(&bytes(set.retry)),
                [Ok(Packet::Retry(id("f067a5502a4262b5")))]
            );
            let short = bytes(set.short);
            assert_eq!(packets(&short), [Ok(Packet::Short(&short))]);
        }
    }

    #[test]
    fn packets_that_share_a_datagram_are_parted() {
        let [server, short] = [vectors::V1.server_initial, vectors::V1.short].map(bytes);
        let datagram = [&server[..], &server, &short].concat();
        let found = packets(&datagram);
        assert_eq!(found.len(), 3);
        let [
            Ok(Packet::Long(one)),
            Ok(Packet::Long(two)),
            Ok(Packet::Short(last)),
        ] = found[..]
        else {
            panic!("{found:?}");
        };
        assert_eq!((one, last), (two, &short[..]));
    }

    #[test]
    fn zeros_behind_a_packet_are_none() {
        let server = bytes(vectors::V1.server_initial);
        assert_eq!(packets(&[&server[..], &[0; 700]].concat()).len(), 1);
        assert_eq!(packets(&[0; 30]), []);
    }

    #[test]
    fn other_versions_and_their_negotiation_are_known() {
        let header = |version: &str| bytes(&format!("c0{version}01aa02bbcc000000"));
        assert_eq!(
            packets(&header("ff00001d")),
            [Ok(Packet::OtherVersion(0xff00_001d))]
        );
        assert_eq!(packets(&header("00000000")), [Ok(Packet::Negotiation)]);
        let long = bytes(&format!("c0ff00001d30{}00", "ab".repeat(48)));
        assert_eq!(packets(&long), [Ok(Packet::OtherVersion(0xff00_001d))]);
    }

    #[test]
    fn a_packet_that_is_cut_is_refused() {
        let server = bytes(vectors::V1.server_initial);
        for cut in 1..server.len() {
            assert_eq!(
                packets(&server[..cut]),
                [Err(PacketError { left: cut })],
                "{cut}"
            );
        }
        assert_eq!(packets(&[]), []);
    }

    #[test]
    fn a_connection_id_has_20_bytes_at_most() {
        assert!(ConnectionId::new(&[1; 20]).is_some());
        assert!(ConnectionId::new(&[1; 21]).is_none());
        let too_long = bytes(&format!("c000000001{}{}0000", "15", "ab".repeat(21)));
        assert!(packets(&too_long)[0].is_err());
    }
}
