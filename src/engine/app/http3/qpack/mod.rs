//! QPACK: header compression of HTTP/3 (RFC 9204), decoded within hard bounds.
//!
//! One [`Qpack`] stands for one direction: what its encoder stream does to the table, and the field
//! sections that refer to it. What the receiver acknowledges is not needed. A section may come
//! before what it refers to; it is then [blocked](Refusal::Blocked), and tried again later.

use crate::app::hpack::reader::Reader;
use crate::app::hpack::table::{Entry, Found, Table};
use crate::app::hpack::{Decoded, HpackError, Teller};
use crate::app::http3::qpack::static_table::STATIC_FIELDS;
use crate::limits::{HEADER_LIST_BYTES_MAX, HPACK_TABLE_BYTES_MAX};

mod static_table;

/// One direction's state.
#[derive(Debug)]
pub(super) struct Qpack {
    table: Table,
    /// The beginning of an instruction.
    unfinished: Vec<u8>,
    /// What the receiver allows the table to have, where its settings were seen.
    allowed: Option<u64>,
    /// The most that the sender ever made of it.
    used: u64,
    /// Whether instructions were missed: nothing more is known of the table.
    is_lost: bool,
}

/// Why a field section is not decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It refers to fields that have not come yet.
    Blocked,
    /// It makes no sense.
    Malformed(HpackError),
}

/// What a section's indexes count from (RFC 9204 §4.5.1).
#[derive(Clone, Copy, Debug)]
struct Prefix {
    /// Fields that must have been inserted; no field from there on is referred to.
    required: u64,
    base: u64,
}

/// Room for strings that are Huffman-coded.
#[derive(Debug, Default)]
struct Scratch {
    name: Vec<u8>,
    value: Vec<u8>,
}

impl Default for Qpack {
    fn default() -> Self {
        Self {
            table: Table::new(0),
            unfinished: Vec::new(),
            allowed: None,
            used: 0,
            is_lost: false,
        }
    }
}

impl From<HpackError> for Refusal {
    fn from(error: HpackError) -> Self {
        Self::Malformed(error)
    }
}

impl Qpack {
    /// The receiver's settings allow a table of so many bytes (SETTINGS_QPACK_MAX_TABLE_CAPACITY).
    pub(super) fn allow(&mut self, capacity: u64) {
        self.allowed = Some(capacity);
    }

    /// Follows the next bytes of the encoder stream.
    ///
    /// # Errors
    /// [`HpackError`] when they are no instructions; the table is lost then.
    pub(super) fn instruct(&mut self, bytes: &[u8]) -> Result<(), HpackError> {
        if self.is_lost {
            return Ok(());
        }
        let mut buffer = std::mem::take(&mut self.unfinished);
        buffer.extend_from_slice(bytes);
        let result = self.follow(&buffer);
        match result {
            Ok(rest) if rest.len() <= INSTRUCTION_BYTES_MAX => {
                self.unfinished = rest.to_vec();
                Ok(())
            }
            _ => {
                self.lose();
                result.and(Err(HpackError::Cut))
            }
        }
    }

    /// Bytes of the encoder stream were missed.
    pub(super) fn lose(&mut self) {
        self.table.lose();
        self.unfinished = Vec::new();
        self.is_lost = true;
    }

    /// Decodes a field section and tells its fields in order. With `partly`, fields that it refers
    /// to and that have not come are counted as unknown.
    pub(super) fn decode(
        &self,
        section: &[u8],
        partly: bool,
        on_field: impl FnMut(&[u8], &[u8]),
    ) -> Result<Decoded, Refusal> {
        let mut reader = Reader::new(section);
        let prefix = self.prefix(&mut reader)?;
        if prefix.required > self.table.inserted() && !partly && !self.is_lost {
            return Err(Refusal::Blocked);
        }
        let mut teller = Teller::new(on_field);
        let mut scratch = Scratch::default();
        while let Some(first) = reader.peek() {
            self.field(first, prefix, &mut reader, &mut scratch, &mut teller)?;
        }
        Ok(teller.decoded())
    }

    /// Bytes on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        self.table.heap_bytes() + self.unfinished.capacity()
    }

    /// Does what whole instructions say (RFC 9204 §4.3); what is left of them.
    fn follow<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], HpackError> {
        let mut reader = Reader::new(bytes);
        let mut scratch = Scratch::default();
        while let Some(first) = reader.peek() {
            let mut ahead = reader;
            match self.follow_one(first, &mut ahead, &mut scratch) {
                Err(HpackError::Cut) => break,
                outcome => outcome?,
            }
            reader = ahead;
        }
        Ok(reader.rest())
    }

    fn follow_one(
        &mut self,
        first: u8,
        reader: &mut Reader<'_>,
        scratch: &mut Scratch,
    ) -> Result<(), HpackError> {
        let entry = match first {
            0x80.. => {
                let index = reader.integer(6)?;
                let value = reader.string(STRING_PREFIX, &mut scratch.value)?;
                let name = match first & 0x40 {
                    0 => self.inserted_before(index)?,
                    _ => static_field(index)?,
                };
                Entry::new(name.name(), value)
            }
            0x40.. => {
                let name = reader.string(5, &mut scratch.name)?;
                let value = reader.string(STRING_PREFIX, &mut scratch.value)?;
                Entry::new(Some(name), value)
            }
            0x20.. => {
                let capacity = reader.integer(5)?;
                self.used = self.used.max(capacity);
                self.table.set_capacity(capacity);
                return Ok(());
            }
            _ => match self.inserted_before(reader.integer(5)?)? {
                Found::Field { name, value } => Entry::new(Some(name), value),
                Found::Unknown | Found::Nothing => Entry::new(None, &[]),
            },
        };
        self.table.insert(entry);
        Ok(())
    }

    /// A field by how many came after it.
    fn inserted_before(&self, index: u64) -> Result<Found<'_>, HpackError> {
        match index < self.table.inserted() {
            true => Ok(self.table.get(index)),
            false => Err(HpackError::Index),
        }
    }

    /// RFC 9204 §4.5.1.
    fn prefix(&self, reader: &mut Reader<'_>) -> Result<Prefix, HpackError> {
        let required = self.required(reader.integer(8)?)?;
        let is_negative = reader.peek().is_some_and(|first| first & 0x80 != 0);
        let delta = reader.integer(7)?;
        let base = match is_negative {
            false => required.checked_add(delta),
            true => required
                .checked_sub(delta)
                .and_then(|base| base.checked_sub(1)),
        };
        let base = match (base, self.is_lost) {
            (Some(base), _) => base,
            (None, true) => 0, // what it is relative to is not known either
            (None, false) => return Err(HpackError::Index),
        };
        Ok(Prefix { required, base })
    }

    /// The number of fields that a section needs, of which only the remainder by twice as many as
    /// the table can hold is told (RFC 9204 §4.5.1.1). Where the receiver's settings were not seen,
    /// the sender is supposed to use all that it may.
    fn required(&self, encoded: u64) -> Result<u64, HpackError> {
        let Some(remainder) = encoded.checked_sub(1) else {
            return Ok(0);
        };
        let entries = self.allowed.unwrap_or(self.used) / ENTRY_OVERHEAD;
        let range = 2 * entries;
        if remainder >= range {
            return match self.allowed {
                Some(_) => Err(HpackError::Index),
                None => Ok(remainder),
            };
        }
        let most = self.table.inserted().saturating_add(entries);
        let candidate = most / range * range + remainder;
        let required = match candidate > most {
            true => candidate.checked_sub(range),
            false => Some(candidate),
        };
        required.filter(|one| *one > 0).ok_or(HpackError::Index)
    }

    /// A line of a section (RFC 9204 §4.5).
    fn field(
        &self,
        first: u8,
        prefix: Prefix,
        reader: &mut Reader<'_>,
        scratch: &mut Scratch,
        teller: &mut Teller<impl FnMut(&[u8], &[u8])>,
    ) -> Result<(), HpackError> {
        let found = match first {
            0xc0.. => static_field(reader.integer(6)?)?,
            0x80.. => self.before_base(prefix, reader.integer(6)?)?,
            0x50..=0x5f | 0x70..=0x7f => static_field(reader.integer(4)?)?,
            0x40.. => self.before_base(prefix, reader.integer(4)?)?,
            0x20.. => {
                let name = reader.string(3, &mut scratch.name)?;
                let value = reader.string(STRING_PREFIX, &mut scratch.value)?;
                teller.tell(Some(name), value);
                return Ok(());
            }
            0x10.. => self.after_base(prefix, reader.integer(4)?)?,
            _ => self.after_base(prefix, reader.integer(3)?)?,
        };
        let is_whole = matches!(first, 0x80.. | 0x10..=0x1f);
        match found {
            Found::Field { name, value } if is_whole => teller.tell(Some(name), value),
            _ if is_whole => teller.tell(None, &[]),
            found => {
                let value = reader.string(STRING_PREFIX, &mut scratch.value)?;
                teller.tell(found.name(), value);
            }
        }
        Ok(())
    }

    fn before_base(&self, prefix: Prefix, index: u64) -> Result<Found<'_>, HpackError> {
        let absolute = prefix
            .base
            .checked_sub(index)
            .and_then(|one| one.checked_sub(1));
        self.at(prefix, absolute)
    }

    fn after_base(&self, prefix: Prefix, index: u64) -> Result<Found<'_>, HpackError> {
        self.at(prefix, prefix.base.checked_add(index))
    }

    /// A field by how many came before it.
    fn at(&self, prefix: Prefix, absolute: Option<u64>) -> Result<Found<'_>, HpackError> {
        if self.is_lost {
            return Ok(Found::Unknown);
        }
        let absolute = absolute.filter(|absolute| *absolute < prefix.required);
        let absolute = absolute.ok_or(HpackError::Index)?;
        let after = self.table.inserted().checked_sub(absolute + 1);
        Ok(match after.map(|after| self.table.get(after)) {
            Some(Found::Nothing) | None => Found::Unknown, // gone again, or yet to come
            Some(found) => found,
        })
    }
}

impl<'a> Found<'a> {
    fn name(self) -> Option<&'a [u8]> {
        match self {
            Self::Field { name, .. } => Some(name),
            Self::Unknown | Self::Nothing => None,
        }
    }
}

fn static_field(index: u64) -> Result<Found<'static>, HpackError> {
    let field = usize::try_from(index)
        .ok()
        .and_then(|index| STATIC_FIELDS.get(index));
    let (name, value) = field.ok_or(HpackError::Index)?;
    Ok(Found::Field {
        name: name.as_bytes(),
        value: value.as_bytes(),
    })
}

/// Bits of a value's length in its first byte.
const STRING_PREFIX: u32 = 7;
/// What an entry of the table is counted beyond its bytes (RFC 9204 §3.2.1).
const ENTRY_OVERHEAD: u64 = 32;
/// An instruction holds one field, which has room in the table.
const INSTRUCTION_BYTES_MAX: usize = if HPACK_TABLE_BYTES_MAX > HEADER_LIST_BYTES_MAX {
    HPACK_TABLE_BYTES_MAX
} else {
    HEADER_LIST_BYTES_MAX
};

#[cfg(test)]
mod tests;
