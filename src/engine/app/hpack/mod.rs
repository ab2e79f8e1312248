//! HPACK: header compression of HTTP/2 (RFC 7541), decoded within hard bounds.
//!
//! One [`Decoder`] stands for one direction of a connection. It follows what the sender does to
//! its table and needs no word of the receiver's: how large the receiver lets the table be only
//! bounds what the sender then announces in a block of its own (RFC 7541 §4.2), and a sender that
//! breaks that bound is cut off by the receiver. So a capture of one direction is enough, and a
//! mirror that mixes up the two directions does no harm.
//!
//! Where bytes were missed, what came since is still certain: fields are numbered from the newest.

use crate::app::hpack::reader::Reader;
use crate::app::hpack::table::{Entry, Found, Table};
use crate::limits::HEADER_LIST_BYTES_MAX;

pub use huffman::HuffmanError;

pub(super) mod huffman;
pub(super) mod reader;
pub(super) mod table;

/// One direction's state.
#[derive(Debug, Default)]
pub struct Decoder {
    table: Table,
}

/// What a block held besides the fields that were told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Decoded {
    /// Fields that refer to some that were missed.
    pub unknown: u64,
    /// Whether fields were left out because the list is longer than its bound.
    pub is_truncated: bool,
}

/// Why bytes are no header block. The sender's state is unknown from there on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HpackError {
    /// The block ends within a representation.
    Cut,
    /// An integer has more bits than any that means something.
    Integer,
    /// A string is not Huffman-coded as it says.
    Huffman(HuffmanError),
    /// An index at which nothing stands.
    Index,
    /// The table's size changes in the middle of a block.
    SizeUpdate,
}

/// What a representation does (RFC 7541 §6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Indexed,
    Indexing,
    SizeUpdate,
    Plain,
}

/// Room for strings that are Huffman-coded, used again for each field of a block.
#[derive(Debug, Default)]
struct Scratch {
    name: Vec<u8>,
    value: Vec<u8>,
}

/// Tells fields, as long as the list is within its bound.
pub(super) struct Teller<F> {
    on_field: F,
    list_bytes: usize,
    decoded: Decoded,
}

impl Decoder {
    /// Reads a whole header block and tells its fields in order: name, value.
    ///
    /// # Errors
    /// [`HpackError`] when it is none. Fields that were told count for nothing then, and the
    /// sender's state is [lost](Self::lose).
    pub fn decode(
        &mut self,
        block: &[u8],
        on_field: impl FnMut(&[u8], &[u8]),
    ) -> Result<Decoded, HpackError> {
        let mut teller = Teller::new(on_field);
        let result = self.read_block(block, &mut teller);
        if result.is_err() {
            self.lose();
        }
        result.map(|()| teller.decoded)
    }

    /// Bytes of the sender's were missed.
    pub fn lose(&mut self) {
        self.table.lose();
    }

    /// Bytes on the heap.
    pub fn heap_bytes(&self) -> usize {
        self.table.heap_bytes()
    }

    fn read_block(
        &mut self,
        block: &[u8],
        teller: &mut Teller<impl FnMut(&[u8], &[u8])>,
    ) -> Result<(), HpackError> {
        let mut reader = Reader::new(block);
        let mut scratch = Scratch::default();
        let mut has_begun = false;
        while let Some(first) = reader.peek() {
            let (kind, prefix) = Kind::of(first);
            match kind {
                Kind::SizeUpdate if has_begun => return Err(HpackError::SizeUpdate),
                Kind::SizeUpdate => self.table.set_capacity(reader.integer(prefix)?),
                Kind::Indexed => self.indexed(reader.integer(prefix)?, teller)?,
                Kind::Indexing | Kind::Plain => {
                    let new = self.literal(prefix, kind, &mut reader, &mut scratch, teller)?;
                    new.into_iter().for_each(|entry| self.table.insert(entry));
                }
            }
            has_begun = kind != Kind::SizeUpdate;
        }
        Ok(())
    }

    fn indexed(
        &self,
        index: u64,
        teller: &mut Teller<impl FnMut(&[u8], &[u8])>,
    ) -> Result<(), HpackError> {
        match table::find(&self.table, index) {
            Found::Field { name, value } => teller.tell(Some(name), value),
            Found::Unknown => teller.tell(None, &[]),
            Found::Nothing => return Err(HpackError::Index),
        }
        Ok(())
    }

    /// A literal field, and what it adds to the table.
    fn literal(
        &self,
        prefix: u32,
        kind: Kind,
        reader: &mut Reader<'_>,
        scratch: &mut Scratch,
        teller: &mut Teller<impl FnMut(&[u8], &[u8])>,
    ) -> Result<Option<Entry>, HpackError> {
        let name = match reader.integer(prefix)? {
            0 => Some(reader.string(STRING_PREFIX, &mut scratch.name)?),
            index => match table::find(&self.table, index) {
                Found::Field { name, .. } => Some(name),
                Found::Unknown => None,
                Found::Nothing => return Err(HpackError::Index),
            },
        };
        let value = reader.string(STRING_PREFIX, &mut scratch.value)?;
        teller.tell(name, value);
        Ok((kind == Kind::Indexing).then(|| Entry::new(name, value)))
    }
}

impl Kind {
    /// What a representation's first byte says, and how many of its bits begin an integer.
    fn of(first: u8) -> (Self, u32) {
        match first {
            0x80.. => (Self::Indexed, 7),
            0x40.. => (Self::Indexing, 6),
            0x20.. => (Self::SizeUpdate, 5),
            _ => (Self::Plain, 4),
        }
    }
}

impl<F: FnMut(&[u8], &[u8])> Teller<F> {
    pub(super) fn new(on_field: F) -> Self {
        Self {
            on_field,
            list_bytes: 0,
            decoded: Decoded::default(),
        }
    }

    /// What was told so far.
    pub(super) fn decoded(&self) -> Decoded {
        self.decoded
    }

    /// Takes the next field; one whose name is not known only counts.
    pub(super) fn tell(&mut self, name: Option<&[u8]>, value: &[u8]) {
        let length = name.map_or(0, <[u8]>::len) + value.len() + FIELD_OVERHEAD;
        self.list_bytes = self.list_bytes.saturating_add(length);
        match name {
            _ if self.list_bytes > HEADER_LIST_BYTES_MAX => self.decoded.is_truncated = true,
            Some(name) => (self.on_field)(name, value),
            None => self.decoded.unknown += 1,
        }
    }
}

/// Bits of a string's length in its first byte.
const STRING_PREFIX: u32 = 7;
/// What a field is counted beyond its bytes (RFC 9113 §6.5.2).
const FIELD_OVERHEAD: usize = 32;

#[cfg(test)]
mod tests;
