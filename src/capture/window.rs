//! A file seen through a window of large blocks, so that packets are read where they lie.

use std::fs::File;
use std::io::{self, BufReader, Cursor, Read};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;

use crate::capture::SavefileError;
use crate::engine::frame::{LinkType, UnreadLinkType};

/// Read from the file at once: large, so that the system is asked seldom; small enough for a
/// processor's cache.
const READ_BYTES: usize = 1 << 18;
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// A file, and the part of it that is being read.
pub(super) struct Window {
    reader: Box<dyn Read>,
    path: PathBuf,
    buffer: Vec<u8>,
    /// Where in the buffer lies what was read from the file and not yet taken.
    start: usize,
    end: usize,
    /// Where in the file `start` lies, after decompression.
    offset: u64,
}

impl Window {
    /// Opens a file, `-` being standard input, and unpacks it when it is gzipped.
    pub(super) fn open(path: &Path) -> Result<Self, SavefileError> {
        let cannot_open = |error| SavefileError::Open {
            path: path.to_owned(),
            error,
        };
        let reader: Box<dyn Read> = if path == Path::new("-") {
            Box::new(io::stdin())
        } else {
            Box::new(File::open(path).map_err(cannot_open)?)
        };
        let mut window = Self {
            reader,
            path: path.to_owned(),
            buffer: vec![0; READ_BYTES],
            start: 0,
            end: 0,
            offset: 0,
        };
        if window.has(GZIP.len())? && window.bytes(0, GZIP.len()) == GZIP {
            window.unpack();
        }
        Ok(window)
    }

    /// Puts a decompressor between the file and the window.
    fn unpack(&mut self) {
        let begun = Cursor::new(self.bytes(0, self.waiting()).to_vec());
        let packed = std::mem::replace(&mut self.reader, Box::new(io::empty()));
        let packed = BufReader::with_capacity(READ_BYTES, begun.chain(packed));
        self.reader = Box::new(MultiGzDecoder::new(packed));
        self.start = 0;
        self.end = 0;
    }

    /// `count` bytes, `from` bytes ahead; none beyond what [`need`](Self::need) was asked for.
    #[inline]
    pub(super) fn bytes(&self, from: usize, count: usize) -> &[u8] {
        let start = self.start + from;
        let end = start.saturating_add(count).min(self.end);
        self.buffer.get(start..end).unwrap_or_default()
    }

    /// All that lies ahead and needs no reading.
    pub(super) fn rest(&self) -> &[u8] {
        self.at(self.start, self.end)
    }

    /// The same by their places in the buffer, which hold until more is needed.
    pub(super) fn place(&self, from: usize) -> usize {
        self.start + from
    }

    /// Bytes by their places in the buffer.
    #[inline]
    pub(super) fn at(&self, start: usize, end: usize) -> &[u8] {
        self.buffer.get(start..end).unwrap_or_default()
    }

    /// Goes on behind `count` bytes that were needed before.
    #[inline]
    pub(super) fn advance(&mut self, count: usize) {
        let count = count.min(self.waiting());
        self.start += count;
        self.offset += count as u64;
    }

    /// Sees to it that `count` bytes lie ahead; false when the file has ended.
    ///
    /// # Errors
    /// When it ends within them, or cannot be read.
    #[inline]
    pub(super) fn need(&mut self, count: usize) -> Result<bool, SavefileError> {
        if self.waiting() >= count {
            return Ok(true);
        }
        self.fill(count)
    }

    #[cold]
    fn fill(&mut self, count: usize) -> Result<bool, SavefileError> {
        if self.has(count)? {
            return Ok(true);
        }
        match self.waiting() {
            0 => Ok(false),
            _ => Err(self.cut()),
        }
    }

    fn waiting(&self) -> usize {
        self.end - self.start
    }

    fn has(&mut self, count: usize) -> Result<bool, SavefileError> {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end = self.waiting();
        self.start = 0;
        if self.buffer.len() < count {
            self.buffer.resize(count, 0);
        }
        while self.end < count {
            match self
                .reader
                .read(self.buffer.get_mut(self.end..).unwrap_or_default())
            {
                Ok(0) => return Ok(false),
                Ok(more) => self.end += more,
                Err(error) => match error.kind() {
                    io::ErrorKind::Interrupted => {}
                    io::ErrorKind::UnexpectedEof => return Err(self.cut()), // a cut gzip stream
                    _ => return Err(self.unreadable(error)),
                },
            }
        }
        Ok(true)
    }

    /// A link type that this file names.
    ///
    /// # Errors
    /// When it is not read.
    pub(super) fn link_type(&self, number: u32) -> Result<LinkType, SavefileError> {
        let number = u16::try_from(number).unwrap_or(u16::MAX);
        LinkType::from_number(number).map_err(|_| self.unread(number, 0))
    }

    /// A link type is not read, and so many packets of it, or of another such, were passed over.
    pub(super) fn unread(&self, number: u16, packets: u64) -> SavefileError {
        SavefileError::LinkType {
            path: self.path.clone(),
            error: UnreadLinkType { number },
            packets,
        }
    }

    fn unreadable(&self, error: io::Error) -> SavefileError {
        SavefileError::Read {
            path: self.path.clone(),
            offset: self.offset + self.waiting() as u64,
            error,
        }
    }

    /// What begins here is not all there.
    pub(super) fn cut(&self) -> SavefileError {
        SavefileError::Cut {
            path: self.path.clone(),
            offset: self.offset,
        }
    }

    /// What begins here makes no sense.
    pub(super) fn malformed(&self, what: &'static str) -> SavefileError {
        SavefileError::Malformed {
            path: self.path.clone(),
            offset: self.offset,
            what,
        }
    }

    pub(super) fn no_capture(&self) -> SavefileError {
        SavefileError::NoCapture {
            path: self.path.clone(),
        }
    }
}
