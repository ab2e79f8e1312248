//! One TCP segment, read from its packet (RFC 9293 §3.1).

use std::fmt;
use std::net::SocketAddr;

use crate::link::Scope;
use crate::net::IpPacket;
use crate::transport::FiveTuple;
use crate::transport::checksum::{self, Verdict};
use crate::transport::seq::SeqNum;

/// A TCP segment whose payload is borrowed from the packet.
#[derive(Clone, Copy, Debug)]
pub struct Segment<'a> {
    /// The network that it belongs to.
    pub scope: Scope,
    /// Routers that its packet may still pass: copies of it that were seen in several networks
    /// differ in this.
    pub hops: u8,
    /// Sender and receiver.
    pub tuple: FiveTuple,
    /// Number of its first byte (or of its SYN).
    pub seq: SeqNum,
    /// The next byte that the sender expects.
    pub ack: Option<SeqNum>,
    /// Opens a connection.
    pub syn: bool,
    /// Nothing comes after its payload.
    pub fin: bool,
    /// Resets the connection.
    pub rst: bool,
    /// Window as on the wire, before scaling.
    pub window: u16,
    /// How far behind `payload_seq` its urgent byte stands, which may be beyond the payload.
    pub urgent: Option<u16>,
    /// Its bytes.
    pub payload: &'a [u8],
    /// Bytes of the payload that the snap length cut off.
    pub missing: u32,
    /// Header and payload, as the checksum covers them.
    pub(super) bytes: &'a [u8],
}

impl<'a> Segment<'a> {
    /// Reads the segment in a packet whose protocol is TCP.
    ///
    /// # Errors
    /// [`SegmentError`] when the header is cut or its length field is impossible.
    #[inline]
    pub fn parse(packet: &IpPacket<'a>) -> Result<Self, SegmentError> {
        let bytes = packet.payload;
        let error = SegmentError { had: bytes.len() };
        let header = bytes.first_chunk::<HEADER>().ok_or(error)?;
        let [
            a,
            b,
            c,
            d,
            e,
            f,
            g,
            h,
            i,
            j,
            k,
            l,
            offset,
            bits,
            m,
            n,
            _,
            _,
            q,
            r,
        ] = *header;
        let length = usize::from(offset >> 4) * 4;
        let payload = bytes.get(length..).filter(|_| length >= HEADER);
        Ok(Self {
            scope: packet.scope,
            hops: packet.hops,
            tuple: FiveTuple {
                src: SocketAddr::new(packet.src, u16::from_be_bytes([a, b])),
                dst: SocketAddr::new(packet.dst, u16::from_be_bytes([c, d])),
            },
            seq: SeqNum(u32::from_be_bytes([e, f, g, h])),
            ack: (bits & ACK != 0).then(|| SeqNum(u32::from_be_bytes([i, j, k, l]))),
            syn: bits & SYN != 0,
            fin: bits & FIN != 0,
            rst: bits & RST != 0,
            window: u16::from_be_bytes([m, n]),
            // The pointer means the byte behind the urgent one, everywhere but in the standard
            // (RFC 6093 §3.1); Linux takes 0 for the first byte all the same.
            urgent: (bits & URG != 0).then(|| u16::from_be_bytes([q, r]).saturating_sub(1)),
            payload: payload.ok_or(error)?,
            missing: packet.missing,
            bytes,
        })
    }

    /// Port of the sender.
    pub fn src_port(&self) -> u16 {
        self.tuple.src.port()
    }

    /// Port of the receiver.
    pub fn dst_port(&self) -> u16 {
        self.tuple.dst.port()
    }

    /// Number of the first payload byte: a SYN takes one number before it.
    pub fn payload_seq(&self) -> SeqNum {
        self.seq.plus(u32::from(self.syn))
    }

    /// How many sequence numbers it takes: payload, SYN and FIN (RFC 9293 §3.3.1, SEG.LEN).
    pub fn segment_len(&self) -> usize {
        self.payload.len() + usize::from(self.syn) + usize::from(self.fin)
    }

    /// What its checksum says. A segment that the snap length cut cannot be verified. Reads every
    /// byte: ask only where the answer matters.
    pub(super) fn verify_checksum(&self) -> Verdict {
        if self.missing > 0 {
            return Verdict::Unfinished;
        }
        checksum::verify(self.tuple.src.ip(), self.tuple.dst.ip(), self.bytes)
    }
}

/// A segment whose header does not hold together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentError {
    /// Bytes that were there.
    pub had: usize,
}

impl fmt::Display for SegmentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no whole TCP header in {} bytes", self.had)
    }
}

impl std::error::Error for SegmentError {}

/// Bytes of a header without options.
const HEADER: usize = 20;
const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const ACK: u8 = 16;
const URG: u8 = 32;
