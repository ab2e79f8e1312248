//! Frames from a capture file: pcap and pcapng, gzipped or not, or from standard input.
//!
//! Formats: draft-ietf-opsawg-pcap and draft-ietf-opsawg-pcapng.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;

use crate::capture::pcapng::{Block, Interfaces, Order};
use crate::capture::{Next, SavefileError};
use crate::engine::frame::{Frame, LinkType, Timestamp};

/// Read from the file at once: large, so that the system is asked seldom.
const READ_BYTES: usize = 1 << 18;
/// Longest packet or block that is believed; libpcap's own bound is 256 KiB, jumbo blocks with
/// options are larger.
const BLOCK_BYTES_MAX: usize = 16 << 20;

/// A capture file being read.
pub struct Savefile {
    input: Input,
    format: Format,
    /// The present packet or block.
    buffer: Vec<u8>,
}

enum Format {
    Pcap {
        order: Order,
        nanoseconds: bool,
        link: LinkType,
    },
    Pcapng {
        order: Order,
        interfaces: Interfaces,
    },
}

/// The file with its place in it.
struct Input {
    reader: Box<dyn Read>,
    path: PathBuf,
    offset: u64,
}

/// Where a frame lies in the buffer.
struct Found {
    time: Timestamp,
    link: LinkType,
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
        let reader = reader(path).map_err(|error| SavefileError::Open {
            path: path.to_owned(),
            error,
        })?;
        let mut input = Input {
            reader,
            path: path.to_owned(),
            offset: 0,
        };
        let mut magic = [0; 4];
        if !input.fill(&mut magic)? {
            return Err(input.no_capture());
        }
        let mut savefile = Self {
            format: Format::Pcapng {
                order: Order::Little,
                interfaces: Interfaces::default(),
            },
            input,
            buffer: Vec::new(),
        };
        savefile.begin(magic)?;
        Ok(savefile)
    }

    fn begin(&mut self, magic: [u8; 4]) -> Result<(), SavefileError> {
        let (order, nanoseconds) = match magic {
            [0xd4, 0xc3, 0xb2, 0xa1] => (Order::Little, false),
            [0xa1, 0xb2, 0xc3, 0xd4] => (Order::Big, false),
            [0x4d, 0x3c, 0xb2, 0xa1] => (Order::Little, true),
            [0xa1, 0xb2, 0x3c, 0x4d] => (Order::Big, true),
            [0x0a, 0x0d, 0x0d, 0x0a] => return self.begin_section(),
            _ => return Err(self.input.no_capture()),
        };
        let mut header = [0; 20];
        if !self.input.fill(&mut header)? {
            return Err(self.input.cut(0));
        }
        // The high half of the link type's field holds other things.
        let number = order.u32_at(&header, 16).unwrap_or(u32::MAX) & 0xffff;
        let link = self.input.link_type(number)?;
        self.format = Format::Pcap {
            order,
            nanoseconds,
            link,
        };
        Ok(())
    }

    /// The next frame, or the end of the file.
    ///
    /// # Errors
    /// [`SavefileError`] where the file is cut or makes no sense; nothing can be read after it.
    pub fn read(&mut self) -> Result<Next<'_>, SavefileError> {
        let found = match self.format {
            Format::Pcap {
                order,
                nanoseconds,
                link,
            } => self.next_record(order, nanoseconds, link)?,
            Format::Pcapng { .. } => self.next_packet_block()?,
        };
        let Some(found) = found else {
            return Ok(Next::End);
        };
        Ok(Next::Frame(Frame {
            time: found.time,
            link: found.link,
            wire_len: found.wire_len,
            bytes: self.buffer.get(found.start..found.end).unwrap_or_default(),
        }))
    }

    fn next_record(
        &mut self,
        order: Order,
        nanoseconds: bool,
        link: LinkType,
    ) -> Result<Option<Found>, SavefileError> {
        let at = self.input.offset;
        let mut header = [0; 16];
        if !self.input.fill(&mut header)? {
            return Ok(None);
        }
        let field = |place| order.u32_at(&header, place).unwrap_or(0);
        let (seconds, fraction, length, wire_len) = (field(0), field(4), field(8), field(12));
        let length = length as usize;
        if length > BLOCK_BYTES_MAX {
            return Err(self.input.malformed(at, "an impossible packet length"));
        }
        self.buffer.resize(length, 0);
        if !self.input.fill_rest(&mut self.buffer, at)? {
            return Err(self.input.cut(at));
        }
        let nanos = if nanoseconds {
            fraction
        } else {
            fraction.saturating_mul(1000)
        };
        Ok(Some(Found {
            time: Timestamp::from_secs_nanos(u64::from(seconds), nanos),
            link,
            wire_len,
            start: 0,
            end: length,
        }))
    }

    fn next_packet_block(&mut self) -> Result<Option<Found>, SavefileError> {
        loop {
            let at = self.input.offset;
            let mut kind = [0; 4];
            if !self.input.fill(&mut kind)? {
                return Ok(None);
            }
            if kind == [0x0a, 0x0d, 0x0d, 0x0a] {
                self.begin_section()?;
                continue;
            }
            let Format::Pcapng { order, .. } = self.format else {
                return Ok(None);
            };
            self.read_block(order, at)?;
            if let Some(found) = self.read_packet(order.u32_at(&kind, 0).unwrap_or(0), at)? {
                return Ok(Some(found));
            }
        }
    }

    /// What a block holds; None for one that is no packet.
    fn read_packet(&mut self, kind: u32, at: u64) -> Result<Option<Found>, SavefileError> {
        let Format::Pcapng { order, interfaces } = &mut self.format else {
            return Ok(None);
        };
        match interfaces.read(kind, *order, &self.buffer) {
            Ok(Block::Packet(packet)) => {
                let link = self.input.link_type(u32::from(packet.link_number))?;
                Ok(Some(Found {
                    time: packet.time,
                    link,
                    wire_len: packet.wire_len,
                    start: packet.start,
                    end: packet.end,
                }))
            }
            Ok(Block::Other) => Ok(None),
            Err(what) => Err(self.input.malformed(at, what)),
        }
    }

    /// The body of a block, behind its type; its length stands before and after it.
    fn read_block(&mut self, order: Order, at: u64) -> Result<(), SavefileError> {
        let mut length = [0; 4];
        self.input.need(&mut length, at)?;
        let length = order.u32_at(&length, 0).unwrap_or(0) as usize;
        if length < 12 || length % 4 != 0 || length > BLOCK_BYTES_MAX {
            return Err(self.input.malformed(at, "an impossible block length"));
        }
        self.buffer.resize(length - 8, 0);
        self.input.need(&mut self.buffer, at)?;
        self.buffer.truncate(length - 12);
        Ok(())
    }

    /// A section header, behind its type: its byte order stands behind its length.
    fn begin_section(&mut self) -> Result<(), SavefileError> {
        let at = self.input.offset.saturating_sub(4);
        let mut start = [0; 8];
        self.input.need(&mut start, at)?;
        let order = match start.last_chunk() {
            Some([0x4d, 0x3c, 0x2b, 0x1a]) => Order::Little,
            Some([0x1a, 0x2b, 0x3c, 0x4d]) => Order::Big,
            _ => return Err(self.input.malformed(at, "a section without byte order")),
        };
        let length = order.u32_at(&start, 0).unwrap_or(0) as usize;
        if !(28..=BLOCK_BYTES_MAX).contains(&length) || length % 4 != 0 {
            return Err(self.input.malformed(at, "an impossible block length"));
        }
        self.buffer.resize(length - 12, 0);
        self.input.need(&mut self.buffer, at)?;
        self.format = Format::Pcapng {
            order,
            interfaces: Interfaces::default(),
        };
        Ok(())
    }
}

impl Input {
    /// Fills `bytes`; false when the file ended right before them.
    fn fill(&mut self, bytes: &mut [u8]) -> Result<bool, SavefileError> {
        let at = self.offset;
        let mut filled = 0;
        while filled < bytes.len() {
            let rest = bytes.get_mut(filled..).unwrap_or_default();
            match self.reader.read(rest) {
                Ok(0) if filled == 0 => return Ok(false),
                Ok(0) => return Err(self.cut(at)),
                Ok(count) => {
                    filled += count;
                    self.offset += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // a gzip stream that ends too early
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    return Err(self.cut(at));
                }
                Err(error) => {
                    return Err(SavefileError::Read {
                        path: self.path.clone(),
                        offset: self.offset,
                        error,
                    });
                }
            }
        }
        Ok(true)
    }

    /// Fills `bytes` that belong to what began at `at`; false when none of them is there.
    fn fill_rest(&mut self, bytes: &mut [u8], at: u64) -> Result<bool, SavefileError> {
        self.fill(bytes).map_err(|error| match error {
            SavefileError::Cut { .. } => self.cut(at),
            other => other,
        })
    }

    fn need(&mut self, bytes: &mut [u8], at: u64) -> Result<(), SavefileError> {
        match self.fill_rest(bytes, at)? {
            true => Ok(()),
            false => Err(self.cut(at)),
        }
    }

    fn link_type(&self, number: u32) -> Result<LinkType, SavefileError> {
        let number = u16::try_from(number).unwrap_or(u16::MAX);
        LinkType::from_number(number).map_err(|error| SavefileError::LinkType {
            path: self.path.clone(),
            error,
        })
    }

    fn cut(&self, offset: u64) -> SavefileError {
        SavefileError::Cut {
            path: self.path.clone(),
            offset,
        }
    }

    fn malformed(&self, offset: u64, what: &'static str) -> SavefileError {
        SavefileError::Malformed {
            path: self.path.clone(),
            offset,
            what,
        }
    }

    fn no_capture(&self) -> SavefileError {
        SavefileError::NoCapture {
            path: self.path.clone(),
        }
    }
}

/// The file behind a path, unpacked when it is gzipped.
fn reader(path: &Path) -> io::Result<Box<dyn Read>> {
    let raw: Box<dyn Read> = if path == Path::new("-") {
        Box::new(io::stdin())
    } else {
        Box::new(File::open(path)?)
    };
    let mut buffered = BufReader::with_capacity(READ_BYTES, raw);
    let gzipped = buffered.fill_buf()?.starts_with(&[0x1f, 0x8b]);
    if gzipped {
        let unpacked = MultiGzDecoder::new(buffered);
        return Ok(Box::new(BufReader::with_capacity(READ_BYTES, unpacked)));
    }
    Ok(Box::new(buffered))
}
