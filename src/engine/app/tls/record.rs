//! The record layer (RFC 8446 §5.1): records cut out of a stream of bytes.

/// The five bytes before a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// What is in it, see [`kind`].
    pub(super) kind: u8,
    /// The version that it names.
    pub(super) version: u16,
    /// Bytes that follow.
    pub(super) length: u16,
}

/// Content types.
pub(super) mod kind {
    pub(in super::super) const CHANGE_CIPHER_SPEC: u8 = 20;
    pub(in super::super) const HANDSHAKE: u8 = 22;
    pub(in super::super) const APPLICATION_DATA: u8 = 23;
    pub(in super::super) const HEARTBEAT: u8 = 24;
}

impl Header {
    /// Reads a header; None for one that no record of TLS 1.0 to 1.3 has.
    pub(super) fn read(bytes: [u8; HEADER_BYTES]) -> Option<Self> {
        let [kind, major, minor, high, low] = bytes;
        let length = u16::from_be_bytes([high, low]);
        let known = matches!(kind, kind::CHANGE_CIPHER_SPEC..=kind::HEARTBEAT);
        let fits = known && major == 3 && minor <= 4 && length <= BODY_BYTES_MAX;
        fits.then_some(Self {
            kind,
            version: u16::from_be_bytes([major, minor]),
            length,
        })
    }

    /// As on the wire.
    pub(super) fn bytes(self) -> [u8; HEADER_BYTES] {
        let [major, minor] = self.version.to_be_bytes();
        let [high, low] = self.length.to_be_bytes();
        [self.kind, major, minor, high, low]
    }

    /// Bytes of header and body.
    pub(super) fn total(self) -> usize {
        HEADER_BYTES + usize::from(self.length)
    }
}

/// One direction's bytes on their way to become records: at most one that is not complete.
#[derive(Debug, Default)]
pub(super) struct Records {
    buffer: Vec<u8>,
    /// Bytes of the record in `buffer` that are missing for good.
    missing: usize,
    /// Whether the record in `buffer` was handed out.
    done: bool,
}

/// What is next in a direction.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// A record, header and body, is complete in the buffer.
    Record(Header),
    /// One of which bytes are missing has passed.
    Damaged(Header),
    /// More bytes are needed.
    Unfinished,
    /// No record begins here.
    Lost,
}

impl Records {
    /// Takes bytes of `rest` until a record is complete, which then stands in
    /// [`body`](Self::body) until the next call.
    pub(super) fn next(&mut self, rest: &mut &[u8]) -> Next {
        if self.done {
            self.buffer.clear();
            self.missing = 0;
            self.done = false;
        }
        if self.buffer.len() < HEADER_BYTES {
            let wanted = HEADER_BYTES - self.buffer.len();
            self.take(wanted, rest);
        }
        let header = match self.header() {
            Some(Some(header)) => header,
            Some(None) => return Next::Lost,
            None => return Next::Unfinished,
        };
        self.take(header.total() - self.buffer.len() - self.missing, rest);
        self.done = self.is_complete();
        match (self.done, self.missing) {
            (false, _) => Next::Unfinished,
            (true, 0) => Next::Record(header),
            (true, _) => Next::Damaged(header),
        }
    }

    /// The body of the record that is complete.
    pub(super) fn body(&mut self) -> &mut [u8] {
        self.buffer.get_mut(HEADER_BYTES..).unwrap_or_default()
    }

    /// The record that is complete, with its header.
    pub(super) fn whole(&self) -> &[u8] {
        &self.buffer
    }

    /// So many bytes are missing: true when they all lie within the body of one record, so that
    /// the place of the next one is still known.
    pub(super) fn miss(&mut self, bytes: u64) -> bool {
        let Some(Some(header)) = self.header().filter(|_| !self.done) else {
            return false;
        };
        let left = header.total() - self.buffer.len() - self.missing;
        match usize::try_from(bytes) {
            Ok(bytes) if bytes <= left => {
                self.missing += bytes;
                true
            }
            _ => false,
        }
    }

    /// Lets go of a record that was handed out.
    pub(super) fn shrink(&mut self) {
        if self.done || self.buffer.is_empty() {
            *self = Self::default();
        }
    }

    /// Bytes on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        self.buffer.capacity()
    }

    fn take(&mut self, wanted: usize, rest: &mut &[u8]) {
        let length = wanted.min(rest.len());
        if let Some((taken, after)) = rest.split_at_checked(length) {
            self.buffer.extend_from_slice(taken);
            *rest = after;
        }
    }

    /// None while it is not complete, Some(None) when it is none.
    fn header(&self) -> Option<Option<Header>> {
        self.buffer.first_chunk().map(|bytes| Header::read(*bytes))
    }

    fn is_complete(&self) -> bool {
        let header = self.header().flatten();
        header.is_some_and(|header| self.buffer.len() + self.missing == header.total())
    }
}

pub(super) const HEADER_BYTES: usize = 5;
/// RFC 5246 §6.2.3; TLS 1.3 allows less (RFC 8446 §5.2).
const BODY_BYTES_MAX: u16 = (1 << 14) + 2048;

#[cfg(test)]
mod tests {
    use super::*;

    fn record(length: u16) -> Vec<u8> {
        let mut record = vec![23, 3, 3];
        record.extend(length.to_be_bytes());
        record.resize(HEADER_BYTES + usize::from(length), 7);
        record
    }

    #[test]
    fn records_are_the_same_however_they_are_cut() {
        let stream = [record(3), record(0), record(300)].concat();
        for size in 1..stream.len() {
            let mut records = Records::default();
            let mut lengths = Vec::new();
            for piece in stream.chunks(size) {
                let mut rest = piece;
                while let Next::Record(header) = records.next(&mut rest) {
                    lengths.push((header.length, records.body().len()));
                }
            }
            assert_eq!(lengths, [(3, 3), (0, 0), (300, 300)], "{size}");
        }
    }

    #[test]
    fn what_is_no_record_is_lost() {
        for start in [
            &b"GET /"[..],
            &[23, 2, 0, 0, 1],
            &[23, 3, 3, 0x48, 1],
            &[25, 3, 3, 0, 1],
        ] {
            assert_eq!(
                Records::default().next(&mut &*start),
                Next::Lost,
                "{start:?}"
            );
        }
        let mut records = Records::default();
        assert_eq!(
            records.next(&mut &[23, 3, 3, 0x48, 0][..]),
            Next::Unfinished
        );
    }

    #[test]
    fn a_hole_within_a_record_damages_only_that() {
        let mut records = Records::default();
        let mut rest = &record(100)[..40];
        assert_eq!(records.next(&mut rest), Next::Unfinished);
        assert!(records.miss(50));
        assert!(!records.miss(16));
        let stream = [&[7; 15][..], &record(2)].concat();
        let mut rest = &*stream;
        assert!(matches!(records.next(&mut rest), Next::Damaged(_)));
        assert!(matches!(records.next(&mut rest), Next::Record(_)));
        assert_eq!(records.body(), [7, 7]);
    }

    #[test]
    fn a_hole_that_ends_with_its_record_is_within() {
        let mut records = Records::default();
        assert_eq!(records.next(&mut &record(100)[..40]), Next::Unfinished);
        assert!(records.miss(65));
        let stream = record(1);
        let mut rest = &*stream;
        assert!(matches!(records.next(&mut rest), Next::Damaged(_)));
        assert!(matches!(records.next(&mut rest), Next::Record(_)));
    }
}
