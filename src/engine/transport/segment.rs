//! One TCP segment, read from its packet (RFC 9293 §3.1).

use std::fmt;
use std::net::SocketAddr;

use crate::link::Scope;
use crate::net::{IpPacket, Plain};
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
    pub ends: Ends<'a>,
    /// Number of its first byte (or of its SYN).
    pub seq: SeqNum,
    /// The next byte that the sender expects.
    pub ack: Option<SeqNum>,
    /// What it is beside bytes and an acknowledgement.
    pub control: ControlBits,
    /// Its urgent pointer, which says something only with [`ControlBits::URG`].
    pub urgent_pointer: u16,
    /// Its bytes.
    pub payload: &'a [u8],
    /// Bytes of the payload that the snap length cut off.
    pub missing: u32,
    /// Header and payload, as the checksum covers them.
    pub(super) bytes: &'a [u8],
}

/// Control bits of a segment (RFC 9293 §3.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ControlBits(u8);

impl ControlBits {
    /// Nothing comes after the payload.
    pub const FIN: Self = Self(1);
    /// Opens a connection.
    pub const SYN: Self = Self(2);
    /// Resets the connection.
    pub const RST: Self = Self(4);
    /// One of its bytes is urgent.
    pub const URG: Self = Self(32);
    const ACK: Self = Self(16);

    /// Whether any of `bits` is set.
    #[inline]
    pub const fn has(self, bits: Self) -> bool {
        self.0 & bits.0 != 0
    }

    /// Those of both.
    #[must_use]
    pub const fn with(self, more: Self) -> Self {
        Self(self.0 | more.0)
    }
}

/// Sender and receiver of a segment.
#[derive(Clone, Copy, Debug)]
pub enum Ends<'a> {
    /// As they are.
    Known(FiveTuple),
    /// As a plain packet bears them: most are asked for nothing more than a hash.
    In(&'a Plain<'a>),
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
        let [.., offset, _, _, _, _, _, _, _] = *header;
        let length = usize::from(offset >> 4) * 4;
        let payload = bytes.get(length..).filter(|_| length >= HEADER);
        let [a, b, c, d, ..] = *header;
        let tuple = FiveTuple {
            src: SocketAddr::new(packet.src, u16::from_be_bytes([a, b])),
            dst: SocketAddr::new(packet.dst, u16::from_be_bytes([c, d])),
        };
        Ok(Self {
            scope: packet.scope,
            hops: packet.hops,
            missing: packet.missing,
            ..Self::read(Ends::Known(tuple), header, payload.ok_or(error)?, bytes)
        })
    }

    /// The segment in a plain packet.
    #[inline]
    pub fn of(plain: &'a Plain<'a>) -> Self {
        let (header, payload) = (plain.tcp_header(), plain.payload());
        Self {
            scope: plain.scope(),
            hops: plain.hops(),
            ..Self::read(Ends::In(plain), header, payload, plain.segment())
        }
    }

    /// What a header that holds together says.
    #[inline]
    fn read(ends: Ends<'a>, header: &[u8; HEADER], payload: &'a [u8], bytes: &'a [u8]) -> Self {
        let [_, _, _, _, e, f, g, h, i, j, k, l, _, control, rest @ ..] = *header;
        let [_, _, _, _, high, low] = rest;
        let control = ControlBits(control);
        Self {
            scope: Scope::default(),
            hops: 0,
            ends,
            seq: SeqNum(u32::from_be_bytes([e, f, g, h])),
            ack: control
                .has(ControlBits::ACK)
                .then(|| SeqNum(u32::from_be_bytes([i, j, k, l]))),
            control,
            urgent_pointer: u16::from_be_bytes([high, low]),
            payload,
            missing: 0,
            bytes,
        }
    }

    /// Sender and receiver.
    pub fn tuple(&self) -> FiveTuple {
        match self.ends {
            Ends::Known(tuple) => tuple,
            Ends::In(plain) => {
                let (src, dst) = plain.ends();
                FiveTuple { src, dst }
            }
        }
    }

    /// Port of the sender.
    pub fn src_port(&self) -> u16 {
        match &self.ends {
            Ends::Known(tuple) => tuple.src.port(),
            Ends::In(plain) => plain.src_port(),
        }
    }

    /// Port of the receiver.
    pub fn dst_port(&self) -> u16 {
        match &self.ends {
            Ends::Known(tuple) => tuple.dst.port(),
            Ends::In(plain) => plain.dst_port(),
        }
    }

    /// Opens a connection.
    #[inline]
    pub fn syn(&self) -> bool {
        self.control.has(ControlBits::SYN)
    }

    /// Nothing comes after its payload.
    #[inline]
    pub fn fin(&self) -> bool {
        self.control.has(ControlBits::FIN)
    }

    /// Resets the connection.
    #[inline]
    pub fn rst(&self) -> bool {
        self.control.has(ControlBits::RST)
    }

    /// Opens a connection or resets one.
    #[inline]
    pub fn opens_or_resets(&self) -> bool {
        self.control.has(ControlBits::SYN.with(ControlBits::RST))
    }

    /// Opens a connection or ends one.
    #[inline]
    pub(super) fn opens_or_ends(&self) -> bool {
        let ends = ControlBits::FIN.with(ControlBits::RST);
        self.control.has(ControlBits::SYN.with(ends))
    }

    /// How far behind `payload_seq` its urgent byte stands, which may be beyond the payload.
    ///
    /// The pointer means the byte behind the urgent one, everywhere but in the standard (RFC 6093
    /// §3.1); Linux takes 0 for the first byte all the same.
    pub fn urgent(&self) -> Option<u16> {
        let is_urgent = self.control.has(ControlBits::URG);
        is_urgent.then(|| self.urgent_pointer.saturating_sub(1))
    }

    /// Number of the first payload byte: a SYN takes one number before it.
    pub fn payload_seq(&self) -> SeqNum {
        self.seq.plus(u32::from(self.syn()))
    }

    /// How many sequence numbers it takes: payload, SYN and FIN (RFC 9293 §3.3.1, SEG.LEN).
    pub fn segment_len(&self) -> usize {
        self.payload.len() + usize::from(self.syn()) + usize::from(self.fin())
    }

    /// What its checksum says. A segment that the snap length cut cannot be verified. Reads every
    /// byte: ask only where the answer matters.
    pub(super) fn verify_checksum(&self) -> Verdict {
        if self.missing > 0 {
            return Verdict::Unfinished;
        }
        let FiveTuple { src, dst } = self.tuple();
        checksum::verify(src.ip(), dst.ip(), self.bytes)
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
