//! The tables that representations refer to (RFC 7541 §2.3): the static one, and the one that
//! both sides fill as they go.

use std::collections::VecDeque;

use crate::limits::HPACK_TABLE_BYTES_MAX;

/// The fields that a connection has told so far, the newest first. Never more than
/// [`HPACK_TABLE_BYTES_MAX`] bytes by the count of RFC 7541 §4.1.
///
/// Of those that the sender has in mind it may lack the oldest: because that is more than the
/// bound, or because bytes were missed. What it holds is certain all the same: fields are
/// numbered from the newest.
#[derive(Debug)]
pub(in crate::app) struct Table {
    entries: VecDeque<Entry>,
    /// Bytes of the entries, with [`ENTRY_OVERHEAD`] for each.
    bytes: usize,
    capacity: usize,
    /// Whether the sender's table may hold more than the bound.
    is_bounded: bool,
    is_complete: bool,
    inserted: u64,
}

/// A field of the dynamic table: name and value in one piece.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::app) struct Entry {
    bytes: Box<[u8]>,
    /// None when the name was that of a field that this table lacks.
    name_length: Option<usize>,
}

/// What stands at an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::app) enum Found<'a> {
    /// A field.
    Field { name: &'a [u8], value: &'a [u8] },
    /// A field that the sender knows and this table lacks.
    Unknown,
    /// Nothing: the index is wrong.
    Nothing,
}

impl Default for Table {
    fn default() -> Self {
        Self::new(CAPACITY_AT_FIRST)
    }
}

impl Table {
    /// An empty table, as at the start of a connection, for so many bytes.
    pub(in crate::app) fn new(capacity: u64) -> Self {
        let mut table = Self {
            entries: VecDeque::new(),
            bytes: 0,
            capacity: 0,
            is_bounded: false,
            is_complete: true,
            inserted: 0,
        };
        table.set_capacity(capacity);
        table
    }

    /// The field at a place, counted from the newest, which is 0.
    pub(in crate::app) fn get(&self, place: u64) -> Found<'_> {
        let entry = usize::try_from(place)
            .ok()
            .and_then(|place| self.entries.get(place));
        match entry {
            Some(entry) => entry.field(),
            None if self.is_complete => Found::Nothing,
            None => Found::Unknown,
        }
    }

    /// Fields that were inserted since the table was made, whatever became of them.
    #[allow(dead_code, reason = "QPACK needs it")]
    pub(in crate::app) fn inserted(&self) -> u64 {
        self.inserted
    }

    /// Adds a field. The oldest go to make room; one that has no room at all empties the table
    /// (RFC 7541 §4.4).
    pub(in crate::app) fn insert(&mut self, entry: Entry) {
        self.inserted = self.inserted.saturating_add(1);
        self.bytes = self.bytes.saturating_add(entry.size());
        self.entries.push_front(entry);
        self.evict();
    }

    /// Sets how many bytes the sender's table may have (RFC 7541 §4.3).
    pub(in crate::app) fn set_capacity(&mut self, capacity: u64) {
        let wanted = usize::try_from(capacity).unwrap_or(usize::MAX);
        self.is_bounded = wanted > HPACK_TABLE_BYTES_MAX;
        self.capacity = wanted.min(HPACK_TABLE_BYTES_MAX);
        self.evict();
    }

    /// Bytes were missed: fields may have come and gone, and the capacity may have changed.
    pub(in crate::app) fn lose(&mut self) {
        *self = Self {
            is_complete: false,
            inserted: self.inserted,
            ..Self::new(HPACK_TABLE_BYTES_MAX as u64)
        };
    }

    /// Bytes on the heap.
    pub(in crate::app) fn heap_bytes(&self) -> usize {
        let entries = self.entries.capacity() * size_of::<Entry>();
        entries + self.bytes - self.entries.len() * ENTRY_OVERHEAD
    }

    fn evict(&mut self) {
        while self.bytes > self.capacity {
            let Some(entry) = self.entries.pop_back() else {
                return;
            };
            self.bytes -= entry.size();
            self.is_complete &= !self.is_bounded;
        }
    }
}

impl Entry {
    /// A field, or of a field whose name is not known the value.
    pub(in crate::app) fn new(name: Option<&[u8]>, value: &[u8]) -> Self {
        Self {
            bytes: [name.unwrap_or_default(), value].concat().into(),
            name_length: name.map(<[u8]>::len),
        }
    }

    /// RFC 7541 §4.1.
    fn size(&self) -> usize {
        self.bytes.len() + ENTRY_OVERHEAD
    }

    fn field(&self) -> Found<'_> {
        let split = self
            .name_length
            .and_then(|length| self.bytes.split_at_checked(length));
        match split {
            Some((name, value)) => Found::Field { name, value },
            None => Found::Unknown,
        }
    }
}

/// The field at an index of HPACK: of the static table from 1, then of the dynamic one
/// (RFC 7541 §2.3.3).
pub(super) fn find(table: &Table, index: u64) -> Found<'_> {
    let Some(place) = index.checked_sub(1) else {
        return Found::Nothing;
    };
    match place.checked_sub(STATIC_FIELDS.len() as u64) {
        Some(place) => table.get(place),
        None => static_field(place),
    }
}

fn static_field(place: u64) -> Found<'static> {
    let field = usize::try_from(place)
        .ok()
        .and_then(|place| STATIC_FIELDS.get(place));
    match field {
        Some((name, value)) => Found::Field {
            name: name.as_bytes(),
            value: value.as_bytes(),
        },
        None => Found::Nothing,
    }
}

/// What an entry is counted beyond its bytes.
const ENTRY_OVERHEAD: usize = 32;
/// The capacity until somebody says otherwise (RFC 9113 §6.5.2).
const CAPACITY_AT_FIRST: u64 = 4096;

/// RFC 7541 appendix A.
const STATIC_FIELDS: [(&str, &str); 61] = [
    (":authority", ""),
    (":method", "GET"),
    (":method", "POST"),
    (":path", "/"),
    (":path", "/index.html"),
    (":scheme", "http"),
    (":scheme", "https"),
    (":status", "200"),
    (":status", "204"),
    (":status", "206"),
    (":status", "304"),
    (":status", "400"),
    (":status", "404"),
    (":status", "500"),
    ("accept-charset", ""),
    ("accept-encoding", "gzip, deflate"),
    ("accept-language", ""),
    ("accept-ranges", ""),
    ("accept", ""),
    ("access-control-allow-origin", ""),
    ("age", ""),
    ("allow", ""),
    ("authorization", ""),
    ("cache-control", ""),
    ("content-disposition", ""),
    ("content-encoding", ""),
    ("content-language", ""),
    ("content-length", ""),
    ("content-location", ""),
    ("content-range", ""),
    ("content-type", ""),
    ("cookie", ""),
    ("date", ""),
    ("etag", ""),
    ("expect", ""),
    ("expires", ""),
    ("from", ""),
    ("host", ""),
    ("if-match", ""),
    ("if-modified-since", ""),
    ("if-none-match", ""),
    ("if-range", ""),
    ("if-unmodified-since", ""),
    ("last-modified", ""),
    ("link", ""),
    ("location", ""),
    ("max-forwards", ""),
    ("proxy-authenticate", ""),
    ("proxy-authorization", ""),
    ("range", ""),
    ("referer", ""),
    ("refresh", ""),
    ("retry-after", ""),
    ("server", ""),
    ("set-cookie", ""),
    ("strict-transport-security", ""),
    ("transfer-encoding", ""),
    ("user-agent", ""),
    ("vary", ""),
    ("via", ""),
    ("www-authenticate", ""),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, value: &str) -> Entry {
        Entry::new(Some(name.as_bytes()), value.as_bytes())
    }

    fn field<'a>(name: &'a str, value: &'a str) -> Found<'a> {
        let (name, value) = (name.as_bytes(), value.as_bytes());
        Found::Field { name, value }
    }

    #[test]
    fn indexes_run_through_the_static_table_into_the_dynamic_one() {
        let mut table = Table::default();
        table.insert(entry("older", "1"));
        table.insert(entry("newer", "2"));
        assert_eq!(find(&table, 0), Found::Nothing);
        assert_eq!(find(&table, 1), field(":authority", ""));
        assert_eq!(find(&table, 61), field("www-authenticate", ""));
        assert_eq!(find(&table, 62), field("newer", "2"));
        assert_eq!(find(&table, 63), field("older", "1"));
        assert_eq!(find(&table, 64), Found::Nothing);
        assert_eq!(find(&table, u64::MAX), Found::Nothing);
    }

    #[test]
    fn the_oldest_make_room_and_the_count_goes_on() {
        let mut table = Table::new(2 * (ENTRY_OVERHEAD as u64 + 2));
        for name in ["a", "b", "c"] {
            table.insert(entry(name, "1"));
        }
        assert_eq!(table.get(0), field("c", "1"));
        assert_eq!(table.get(1), field("b", "1"));
        assert_eq!(table.get(2), Found::Nothing);
        assert_eq!(table.inserted(), 3);
    }

    #[test]
    fn a_field_without_room_empties_the_table() {
        let mut table = Table::new(40);
        table.insert(entry("a", "1"));
        table.insert(entry("a name", "and a value"));
        assert_eq!((table.get(0), table.bytes), (Found::Nothing, 0));
        table.set_capacity(0);
        table.insert(entry("", ""));
        assert_eq!((table.get(0), table.bytes), (Found::Nothing, 0));
    }

    #[test]
    fn a_smaller_capacity_evicts_and_a_larger_one_brings_nothing_back() {
        let mut table = Table::default();
        table.insert(entry("a", "1"));
        table.insert(entry("b", "1"));
        table.set_capacity(34);
        table.set_capacity(4096);
        assert_eq!(table.get(0), field("b", "1"));
        assert_eq!(table.get(1), Found::Nothing);
    }

    #[test]
    fn beyond_the_bound_the_oldest_are_unknown_not_wrong() {
        let mut table = Table::new(u64::MAX);
        let long = "x".repeat(HPACK_TABLE_BYTES_MAX / 2);
        for name in ["a", "b", "c"] {
            table.insert(entry(name, &long));
        }
        assert_eq!(table.get(0), field("c", &long));
        assert_eq!(table.get(1), Found::Unknown);
        assert!(table.heap_bytes() <= HPACK_TABLE_BYTES_MAX);
    }

    #[test]
    fn a_lost_table_knows_what_came_since() {
        let mut table = Table::default();
        table.insert(entry("a", "1"));
        table.lose();
        table.insert(entry("b", "2"));
        table.insert(Entry::new(None, b"3"));
        assert_eq!(table.get(0), Found::Unknown);
        assert_eq!(table.get(1), field("b", "2"));
        assert_eq!(table.get(2), Found::Unknown);
        assert_eq!(table.inserted(), 3);
    }

    #[test]
    fn the_smallest_fields_take_bounded_room_too() {
        let mut table = Table::new(u64::MAX);
        for _ in 0..HPACK_TABLE_BYTES_MAX {
            table.insert(entry("", ""));
        }
        assert_eq!(table.entries.len(), HPACK_TABLE_BYTES_MAX / ENTRY_OVERHEAD);
        assert!(table.heap_bytes() <= 2 * HPACK_TABLE_BYTES_MAX);
    }
}
