//! Who talks to whom: the five-tuple, and one key for both directions of a flow.

use std::net::SocketAddr;

/// Source and destination of a segment. The protocol is TCP throughout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FiveTuple {
    /// Sender.
    pub src: SocketAddr,
    /// Receiver.
    pub dst: SocketAddr,
}

impl FiveTuple {
    /// The way back.
    #[must_use]
    pub const fn reversed(self) -> Self {
        Self {
            src: self.dst,
            dst: self.src,
        }
    }
}

/// Which side of a connection sent something.
///
/// The client is whoever opened the connection or, when its start was not seen, whoever is
/// found to send requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the client to the server: requests.
    ToServer,
    /// From the server to the client: responses.
    ToClient,
}

impl Direction {
    /// The other one.
    pub const fn reversed(self) -> Self {
        match self {
            Self::ToServer => Self::ToClient,
            Self::ToClient => Self::ToServer,
        }
    }
}
