//! Frames from a capture file: pcap and pcapng, gzipped or not, or from standard input.
//!
//! Formats: draft-ietf-opsawg-pcap and draft-ietf-opsawg-pcapng.

use std::ops::Range;
use std::path::Path;

use crate::capture::pcapng::{Block, Interfaces, Order};
use crate::capture::window::Window;
use crate::capture::{Next, SavefileError};
use crate::engine::event::Source;
use crate::engine::frame::{Frame, LinkType, Timestamp};

/// Longest packet or block that is believed; libpcap's own bound is 256 KiB, jumbo blocks with
/// options are larger.
const BLOCK_BYTES_MAX: usize = 16 << 20;
/// Type of a section header, the same in both byte orders.
const SECTION: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];

/// A capture file being read.
pub struct Savefile {
    window: Window,
    format: Format,
}

#[derive(Clone, Copy)]
struct Pcap {
    order: Order,
    kind: PcapKind,
    link: LinkType,
    lengths: Lengths,
    source: Source,
}

/// What the first four bytes of a pcap file tell, but for its byte order.
#[derive(Clone, Copy, PartialEq, Eq)]
enum PcapKind {
    Microseconds,
    Nanoseconds,
    /// Microseconds, and longer record headers: of a patched libpcap that was in use for years.
    Modified,
}

/// Which of a record's two lengths comes first (as libpcap decides it).
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lengths {
    /// What was captured.
    Plain,
    /// What was on the wire: before version 2.3.
    Swapped,
    /// Version 2.3 was written both ways.
    Smaller,
}

enum Format {
    Pcap(Pcap),
    Pcapng(Section),
}

struct Section {
    order: Order,
    interfaces: Interfaces,
    unread: Unread,
}

/// Packets of interfaces whose link type is not read: passed over, and told at the file's end.
#[derive(Clone, Copy, Default)]
struct Unread {
    packets: u64,
    /// The link type of the first.
    first: u16,
}

/// What comes next, and where it lies in the window's buffer.
enum Found {
    Frame(FoundFrame),
    Secrets(Range<usize>),
}

/// What stands before a packet in a pcap file.
struct Record {
    time: Timestamp,
    wire_len: u32,
    length: usize,
}

struct FoundFrame {
    time: Timestamp,
    link: LinkType,
    source: Source,
    wire_len: u32,
    start: usize,
    end: usize,
}

impl Savefile {
    /// Opens a capture file; `-` is standard input.
    ///
    /// # Errors
    /// [`SavefileError`] when it cannot be opened or is no capture.
    pub fn open(path: &Path) -> Result<Self, SavefileError> {
        let mut window = Window::open(path)?;
        let whole = match window.need(4) {
            Err(SavefileError::Cut { .. }) => Ok(false),
            other => other,
        };
        if !whole? {
            return Err(window.no_capture());
        }
        let (order, kind) = match window.bytes(0, 4) {
            [0xd4, 0xc3, 0xb2, 0xa1] => (Order::Little, PcapKind::Microseconds),
            [0xa1, 0xb2, 0xc3, 0xd4] => (Order::Big, PcapKind::Microseconds),
            [0x4d, 0x3c, 0xb2, 0xa1] => (Order::Little, PcapKind::Nanoseconds),
            [0xa1, 0xb2, 0x3c, 0x4d] => (Order::Big, PcapKind::Nanoseconds),
            [0x34, 0xcd, 0xb2, 0xa1] => (Order::Little, PcapKind::Modified),
            [0xa1, 0xb2, 0xcd, 0x34] => (Order::Big, PcapKind::Modified),
            magic if magic == SECTION => {
                let format = Format::Pcapng(Section::begin(&mut window)?);
                return Ok(Self { window, format });
            }
            _ => return Err(window.no_capture()),
        };
        let format = Format::Pcap(Pcap::begin(&mut window, order, kind)?);
        Ok(Self { window, format })
    }

    /// The next frame, or the end of the file.
    ///
    /// # Errors
    /// [`SavefileError`] where the file is cut or makes no sense; nothing can be read after it.
    pub fn read(&mut self) -> Result<Next<'_>, SavefileError> {
        self.read_with_source().map(|(next, _)| next)
    }

    /// The same, and for a frame what describes those of its interface.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn read_with_source(&mut self) -> Result<(Next<'_>, Source), SavefileError> {
        let found = match &mut self.format {
            Format::Pcap(pcap) => pcap.next(&mut self.window)?.map(Found::Frame),
            Format::Pcapng(section) => section.next(&mut self.window)?,
        };
        let mut source = Source::default();
        let next = match found {
            None => Next::End,
            Some(Found::Frame(found)) => {
                source = found.source;
                Next::Frame(Frame {
                    time: found.time,
                    link: found.link,
                    wire_len: found.wire_len,
                    bytes: self.window.at(found.start, found.end),
                })
            }
            Some(Found::Secrets(place)) => Next::Secrets(self.window.at(place.start, place.end)),
        };
        Ok((next, source))
    }

    /// Frames that [`read`](Self::read) would give next: those that are in memory already, of a
    /// pcap file. Of other files none. Whoever takes some says so by [`pass`](Self::pass).
    pub fn ahead(&self) -> Ahead<'_> {
        let pcap = match &self.format {
            Format::Pcap(pcap) => Some(*pcap),
            Format::Pcapng(_) => None,
        };
        Ahead {
            pcap,
            before: self.window.rest().len(),
            rest: self.window.rest(),
        }
    }

    /// Goes on behind so many bytes of frames that were taken ahead.
    pub fn pass(&mut self, bytes: usize) {
        self.window.advance(bytes);
    }

    /// Whether the file's format has room for the secrets of its connections.
    pub fn may_bring_secrets(&self) -> bool {
        matches!(self.format, Format::Pcapng(_))
    }
}

/// Frames in memory.
pub struct Ahead<'a> {
    pcap: Option<Pcap>,
    /// Bytes before any was taken.
    before: usize,
    rest: &'a [u8],
}

impl Ahead<'_> {
    /// What describes them; None where there never are any.
    pub fn source(&self) -> Option<Source> {
        self.pcap.map(|pcap| pcap.source)
    }

    /// Bytes that the frames taken so far stand in, with what is before each.
    pub fn taken(&self) -> usize {
        self.before - self.rest.len()
    }
}

impl<'a> Iterator for Ahead<'a> {
    type Item = Frame<'a>;

    #[inline]
    fn next(&mut self) -> Option<Frame<'a>> {
        let (frame, rest) = self.pcap.as_ref()?.ahead(self.rest)?;
        self.rest = rest;
        Some(frame)
    }
}

impl Pcap {
    const HEADER: usize = 24;

    fn begin(window: &mut Window, order: Order, kind: PcapKind) -> Result<Self, SavefileError> {
        window.need(Self::HEADER)?;
        let header = window.bytes(0, Self::HEADER);
        // The high half of the link type's field holds other things.
        let number = order.u32_at(header, 20).unwrap_or(u32::MAX) & 0xffff;
        let version = (order.u16_at(header, 4), order.u16_at(header, 6));
        let link = window.link_type(number)?;
        let snap_length = order.u32_at(window.bytes(16, 4), 0).unwrap_or(0);
        window.advance(Self::HEADER);
        Ok(Self {
            order,
            kind,
            link,
            lengths: match version {
                (Some(2), Some(0..=2)) => Lengths::Swapped,
                (Some(2), Some(3)) => Lengths::Smaller,
                _ => Lengths::Plain,
            },
            source: Source {
                link_number: u16::try_from(number).unwrap_or(u16::MAX),
                resolution: if kind == PcapKind::Nanoseconds { 9 } else { 6 },
                snap_length,
            },
        })
    }

    const fn record_header(&self) -> usize {
        match self.kind {
            PcapKind::Modified => 24,
            PcapKind::Microseconds | PcapKind::Nanoseconds => 16,
        }
    }

    #[inline]
    fn next(self, window: &mut Window) -> Result<Option<FoundFrame>, SavefileError> {
        let header_length = self.record_header();
        if !window.need(header_length)? {
            return Ok(None);
        }
        let header = window.bytes(0, header_length).first_chunk();
        let record = self.record(header.unwrap_or(&[0; 16]));
        let length = record.length;
        if length > BLOCK_BYTES_MAX {
            return Err(window.malformed("an impossible packet length"));
        }
        window.need(header_length + length)?;
        let start = window.place(header_length);
        window.advance(header_length + length);
        Ok(Some(FoundFrame {
            time: record.time,
            link: self.link,
            source: self.source,
            wire_len: record.wire_len,
            start,
            end: start + length,
        }))
    }

    /// What a record's header says.
    #[inline]
    fn record(&self, header: &[u8; 16]) -> Record {
        let [seconds, fraction, first, second] = self.order.words(header);
        let (length, wire_len) = match self.lengths {
            Lengths::Swapped => (second, first),
            Lengths::Smaller if first > second => (second, first),
            _ => (first, second),
        };
        let nanos = match self.kind {
            PcapKind::Nanoseconds => fraction,
            _ => fraction.saturating_mul(1000),
        };
        Record {
            time: Timestamp::from_secs_nanos(u64::from(seconds), nanos),
            wire_len,
            length: length as usize,
        }
    }

    /// The frame whose record these bytes begin with, and what follows it; None if they end within.
    #[inline]
    fn ahead<'a>(&self, bytes: &'a [u8]) -> Option<(Frame<'a>, &'a [u8])> {
        let record = self.record(bytes.first_chunk()?);
        let behind = bytes.get(self.record_header()..)?;
        let (bytes, rest) = behind.split_at_checked(record.length)?;
        let frame = Frame {
            time: record.time,
            link: self.link,
            wire_len: record.wire_len,
            bytes,
        };
        Some((frame, rest))
    }
}

impl Section {
    /// Type and length before a block's body, and its length once more behind it.
    const BLOCK_HEADER: usize = 8;
    const BLOCK_TRAILER: usize = 4;
    /// A section header without options.
    const HEADER_MIN: usize = 28;

    /// A section header: its byte order stands behind its length.
    fn begin(window: &mut Window) -> Result<Self, SavefileError> {
        if !window.need(12)? {
            return Err(window.cut());
        }
        let order = match window.bytes(8, 4) {
            [0x4d, 0x3c, 0x2b, 0x1a] => Order::Little,
            [0x1a, 0x2b, 0x3c, 0x4d] => Order::Big,
            _ => return Err(window.malformed("a section without byte order")),
        };
        let length = block_length(window, order, Self::HEADER_MIN)?;
        window.need(length)?;
        window.advance(length);
        Ok(Self {
            order,
            interfaces: Interfaces::default(),
            unread: Unread::default(),
        })
    }

    fn next(&mut self, window: &mut Window) -> Result<Option<Found>, SavefileError> {
        while window.need(Self::BLOCK_HEADER)? {
            if window.bytes(0, 4) == SECTION {
                *self = Self {
                    unread: self.unread,
                    ..Self::begin(window)?
                };
            } else if let Some(found) = self.block(window)? {
                return Ok(Some(found));
            }
        }
        match self.unread {
            Unread { packets: 0, .. } => Ok(None),
            Unread { packets, first } => Err(window.unread(first, packets)),
        }
    }

    /// What a block holds; None for one that holds nothing of use.
    fn block(&mut self, window: &mut Window) -> Result<Option<Found>, SavefileError> {
        let frame = Self::BLOCK_HEADER + Self::BLOCK_TRAILER;
        let length = block_length(window, self.order, frame)?;
        window.need(length)?;
        let kind = self.order.u32_at(window.bytes(0, 4), 0).unwrap_or(0);
        let body = window.bytes(Self::BLOCK_HEADER, length - frame);
        let block = self.interfaces.read(kind, self.order, body);
        let found = match block.map_err(|what| window.malformed(what))? {
            Block::Other => None,
            Block::Packet(packet) => {
                let body = window.place(Self::BLOCK_HEADER);
                self.unread.note(packet.source.link_number).map(|link| {
                    Found::Frame(FoundFrame {
                        time: packet.time,
                        link,
                        source: packet.source,
                        wire_len: packet.wire_len,
                        start: body + packet.start,
                        end: body + packet.end,
                    })
                })
            }
            Block::Secrets(place) => {
                let body = window.place(Self::BLOCK_HEADER);
                Some(Found::Secrets(body + place.start..body + place.end))
            }
        };
        window.advance(length);
        Ok(found)
    }
}

impl Unread {
    /// The link type of that number; a packet of another is counted.
    fn note(&mut self, number: u16) -> Option<LinkType> {
        let link = LinkType::from_number(number).ok();
        if link.is_none() {
            if self.packets == 0 {
                self.first = number;
            }
            self.packets += 1;
        }
        link
    }
}

fn block_length(window: &Window, order: Order, least: usize) -> Result<usize, SavefileError> {
    let length = order.u32_at(window.bytes(4, 4), 0).unwrap_or(0) as usize;
    let possible = (least..=BLOCK_BYTES_MAX).contains(&length) && length % 4 == 0;
    possible
        .then_some(length)
        .ok_or_else(|| window.malformed("an impossible block length"))
}
