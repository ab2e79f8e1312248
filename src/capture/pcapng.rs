//! Blocks of a pcapng section: interfaces, and packets on them.

use std::ops::Range;

use crate::engine::event::Source;
use crate::engine::frame::Timestamp;

/// Byte order of a file or section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Least significant byte first.
    Little,
    /// Most significant byte first.
    Big,
}

impl Order {
    /// Four numbers in a row.
    #[inline]
    pub(super) fn words(self, bytes: &[u8; 16]) -> [u32; 4] {
        let number = u128::from_ne_bytes(*bytes);
        let words = match self {
            Self::Little => u128::from_le(number),
            Self::Big => u128::from_be(number),
        };
        let words = [0, 32, 64, 96].map(|shift| (words >> shift) as u32);
        match self {
            Self::Little => words,
            Self::Big => {
                let [d, c, b, a] = words;
                [a, b, c, d]
            }
        }
    }

    pub(super) fn u32_at(self, bytes: &[u8], offset: usize) -> Option<u32> {
        let found = *bytes.get(offset..)?.first_chunk()?;
        Some(match self {
            Self::Little => u32::from_le_bytes(found),
            Self::Big => u32::from_be_bytes(found),
        })
    }

    pub(super) fn u16_at(self, bytes: &[u8], offset: usize) -> Option<u16> {
        let found = *bytes.get(offset..)?.first_chunk()?;
        Some(match self {
            Self::Little => u16::from_le_bytes(found),
            Self::Big => u16::from_be_bytes(found),
        })
    }
}

/// What a block holds.
pub(super) enum Block {
    /// A packet.
    Packet(Packet),
    /// A TLS key log, from here to there in the block's body.
    Secrets(Range<usize>),
    /// Something that is not needed here.
    Other,
}

/// A packet within a block's body.
pub(super) struct Packet {
    pub(super) time: Timestamp,
    pub(super) source: Source,
    pub(super) wire_len: u32,
    pub(super) start: usize,
    pub(super) end: usize,
}

/// The interfaces of a section, in the order of their blocks.
#[derive(Debug, Default)]
pub(super) struct Interfaces {
    known: Vec<Interface>,
    /// Time of the last packet: simple packets have none of their own.
    last_time: Timestamp,
}

#[derive(Clone, Copy, Debug)]
struct Interface {
    source: Source,
    /// Units of time stamps in a second.
    units_per_second: u64,
    /// Seconds to add to each.
    offset_seconds: i64,
}

/// Interfaces of one section: obsolete packet blocks could not name more.
const INTERFACES_MAX: usize = 1 << 16;

const INTERFACE: u32 = 1;
const OBSOLETE_PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const ENHANCED_PACKET: u32 = 6;
const SECRETS: u32 = 10;
/// Secrets in the format of SSLKEYLOGFILE: "TLSK".
const TLS_KEY_LOG: u32 = 0x544c_534b;

impl Interfaces {
    /// Reads one block's body.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn read(
        &mut self,
        kind: u32,
        order: Order,
        body: &[u8],
    ) -> Result<Block, &'static str> {
        match kind {
            INTERFACE => {
                let interface = Interface::read(order, body).ok_or("a short interface block")?;
                if self.known.len() >= INTERFACES_MAX {
                    return Err("one interface too many");
                }
                self.known.push(interface);
                Ok(Block::Other)
            }
            ENHANCED_PACKET => {
                let number = order.u32_at(body, 0).ok_or("a short packet block")?;
                self.packet(number, order, body)
            }
            OBSOLETE_PACKET => {
                let number = order.u16_at(body, 0).ok_or("a short packet block")?;
                self.packet(u32::from(number), order, body)
            }
            SIMPLE_PACKET => self.simple_packet(order, body),
            SECRETS if order.u32_at(body, 0) == Some(TLS_KEY_LOG) => {
                secrets(order, body).ok_or("secrets longer than their block")
            }
            _ => Ok(Block::Other),
        }
    }

    /// Enhanced and obsolete packet blocks differ in their first word only.
    fn packet(&mut self, number: u32, order: Order, body: &[u8]) -> Result<Block, &'static str> {
        let interface = self.interface(number)?;
        let field = |at| order.u32_at(body, at).ok_or("a short packet block");
        let units = u64::from(field(4)?) << 32 | u64::from(field(8)?);
        let (length, wire_len) = (field(12)? as usize, field(16)?);
        let end = 20usize.checked_add(length).filter(|end| *end <= body.len());
        self.last_time = interface.time(units);
        Ok(Block::Packet(Packet {
            time: self.last_time,
            source: interface.source,
            wire_len,
            start: 20,
            end: end.ok_or("a packet longer than its block")?,
        }))
    }

    fn simple_packet(&self, order: Order, body: &[u8]) -> Result<Block, &'static str> {
        let interface = self.interface(0)?;
        let wire_len = order.u32_at(body, 0).ok_or("a short packet block")?;
        let snapped = match interface.source.snap_length {
            0 => wire_len,
            length => wire_len.min(length),
        };
        let end = (4 + snapped as usize).min(body.len());
        Ok(Block::Packet(Packet {
            time: self.last_time,
            source: interface.source,
            wire_len,
            start: 4,
            end,
        }))
    }

    fn interface(&self, number: u32) -> Result<Interface, &'static str> {
        let place = usize::try_from(number).unwrap_or(usize::MAX);
        self.known
            .get(place)
            .copied()
            .ok_or("a packet on an interface that was not described")
    }
}

impl Interface {
    fn read(order: Order, body: &[u8]) -> Option<Self> {
        let mut interface = Self {
            source: Source {
                link_number: order.u16_at(body, 0)?,
                resolution: 6,
                snap_length: order.u32_at(body, 4)?,
            },
            units_per_second: 1_000_000,
            offset_seconds: 0,
        };
        let mut options = body.get(8..)?;
        while let (Some(code), Some(length)) = (order.u16_at(options, 0), order.u16_at(options, 2))
        {
            let length = usize::from(length);
            let Some(value) = options.get(4..4 + length) else {
                break;
            };
            interface.apply(code, value, order);
            options = options
                .get(4 + length.next_multiple_of(4)..)
                .unwrap_or_default();
        }
        Some(interface)
    }

    /// if_tsresol (9) and if_tsoffset (14).
    fn apply(&mut self, code: u16, value: &[u8], order: Order) {
        match (code, value) {
            (9, [resolution]) => {
                let power = u32::from(resolution & 0x7f);
                let base: u64 = if resolution & 0x80 == 0 { 10 } else { 2 };
                self.units_per_second = base.checked_pow(power).unwrap_or(u64::MAX);
                self.source.resolution = *resolution;
            }
            (14, value) => {
                if let Some(bytes) = value.first_chunk() {
                    self.offset_seconds = match order {
                        Order::Little => i64::from_le_bytes(*bytes),
                        Order::Big => i64::from_be_bytes(*bytes),
                    };
                }
            }
            _ => {}
        }
    }

    fn time(&self, units: u64) -> Timestamp {
        let per_second = self.units_per_second.max(1);
        let seconds = (units / per_second).saturating_add_signed(self.offset_seconds);
        let rest = u128::from(units % per_second) * 1_000_000_000 / u128::from(per_second);
        Timestamp::from_secs_nanos(seconds, u32::try_from(rest).unwrap_or(0))
    }
}

/// The key log in a Decryption Secrets Block, behind the kind of secrets and their length.
fn secrets(order: Order, body: &[u8]) -> Option<Block> {
    let end = 8usize.checked_add(order.u32_at(body, 4)? as usize)?;
    (end <= body.len()).then_some(Block::Secrets(8..end))
}
