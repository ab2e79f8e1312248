//! One UDP datagram, read from its packet (RFC 768).

use std::net::SocketAddr;

use etherparse::UdpSlice;

use crate::link::Scope;
use crate::net::IpPacket;

/// A UDP datagram whose payload is borrowed from the packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datagram<'a> {
    /// The network that it belongs to.
    pub scope: Scope,
    /// Sender.
    pub src: SocketAddr,
    /// Receiver.
    pub dst: SocketAddr,
    /// Its bytes, as many as are there.
    pub payload: &'a [u8],
}

/// A datagram whose header does not hold together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DatagramError {
    /// Bytes that were there.
    pub had: usize,
}

impl<'a> Datagram<'a> {
    /// Reads the datagram in a packet whose protocol is UDP. One that the snap length cut is read
    /// as far as it goes.
    ///
    /// # Errors
    /// [`DatagramError`] when the header is cut, or claims more than the packet has.
    pub fn parse(packet: &IpPacket<'a>) -> Result<Self, DatagramError> {
        let error = DatagramError {
            had: packet.payload.len(),
        };
        let udp = match packet.missing {
            0 => UdpSlice::from_slice(packet.payload),
            _ => UdpSlice::from_slice_lax(packet.payload),
        };
        let udp = udp.map_err(|_| error)?;
        Ok(Self {
            scope: packet.scope,
            src: SocketAddr::new(packet.src, udp.source_port()),
            dst: SocketAddr::new(packet.dst, udp.destination_port()),
            payload: udp.payload(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(payload: &[u8], missing: u32) -> Result<Datagram<'_>, DatagramError> {
        Datagram::parse(&IpPacket {
            scope: Scope::default(),
            src: [192, 0, 2, 1].into(),
            dst: [192, 0, 2, 2].into(),
            protocol: 17,
            payload,
            hops: 64,
            missing,
        })
    }

    const BYTES: [u8; 11] = [0xc3, 0x50, 0x01, 0xbb, 0, 11, 0, 0, 7, 8, 9];

    #[test]
    fn ports_and_payload_are_read() {
        let datagram = read(&BYTES, 0).unwrap();
        assert_eq!((datagram.src.port(), datagram.dst.port()), (50_000, 443));
        assert_eq!(datagram.payload, [7, 8, 9]);
    }

    #[test]
    fn one_that_is_cut_is_read_only_where_the_snap_length_cut_it() {
        assert_eq!(read(&BYTES[..9], 0), Err(DatagramError { had: 9 }));
        assert_eq!(read(&BYTES[..9], 2).unwrap().payload, [7]);
        assert_eq!(read(&BYTES[..7], 4), Err(DatagramError { had: 7 }));
    }
}
