//! The keys of Initial packets, which everybody can derive from what the client first called the
//! server (RFC 9001 §5.2).

use crate::app::quic::keys::{Keys, Opened};
use crate::app::quic::packet::{ConnectionId, LongPacket};
use crate::app::quic::version::Version;
use crate::transport::Direction;

/// Those of one connection.
pub(super) struct Initial {
    version: Version,
    destination: ConnectionId,
    client: Keys,
    server: Keys,
}

impl Initial {
    /// From a packet that a client may have sent first; None when its keys do not open it.
    pub(super) fn of_first(packet: &LongPacket<'_>, buffer: &mut Vec<u8>) -> Option<Self> {
        let (version, destination) = (packet.version, packet.destination);
        let client = Keys::initial(version, &destination, Direction::ToServer)?;
        client.open(packet.bytes, packet.number_at, None, buffer)?;
        Some(Self {
            version,
            destination,
            client,
            server: Keys::initial(version, &destination, Direction::ToClient)?,
        })
    }

    /// The same names in another version: both sides may agree on one (RFC 9368 §2.3).
    pub(super) fn in_version(&self, version: Version) -> Option<Self> {
        let keys = |direction| Keys::initial(version, &self.destination, direction);
        Some(Self {
            version,
            destination: self.destination,
            client: keys(Direction::ToServer)?,
            server: keys(Direction::ToClient)?,
        })
    }

    /// Of which version's packets.
    pub(super) const fn version(&self) -> Version {
        self.version
    }

    /// Whether a packet of the client bears the version and the name that these keys come from.
    pub(super) fn is_for(&self, packet: &LongPacket<'_>) -> bool {
        packet.version == self.version && packet.destination == self.destination
    }

    /// Opens a packet of this version.
    pub(super) fn open(
        &self,
        (packet, number_at): (&[u8], usize),
        direction: Direction,
        largest: Option<u64>,
        buffer: &mut Vec<u8>,
    ) -> Option<Opened> {
        let keys = match direction {
            Direction::ToServer => &self.client,
            Direction::ToClient => &self.server,
        };
        keys.open(packet, number_at, largest, buffer)
    }
}
