//! Records of TLS 1.2 and older that are compressed (RFC 3749).

use flate2::{Decompress, FlushDecompress};

use crate::limits::TLS_PLAIN_BYTES_MAX;

/// One direction's stream: each record goes on where the one before it ended.
pub(super) struct Inflate(Decompress);

impl Inflate {
    pub(super) fn new() -> Self {
        Self(Decompress::new(true))
    }

    /// The content of a record. None when it is none, or longer than records are.
    pub(super) fn record(&mut self, compressed: &[u8]) -> Option<Vec<u8>> {
        let mut content = vec![0; TLS_PLAIN_BYTES_MAX + 1];
        let before = [self.0.total_in(), self.0.total_out()];
        let sync = FlushDecompress::Sync;
        self.0.decompress(compressed, &mut content, sync).ok()?;
        let taken = usize::try_from(self.0.total_in() - before[0]).ok()?;
        let given = usize::try_from(self.0.total_out() - before[1]).ok()?;
        if taken < compressed.len() || given > TLS_PLAIN_BYTES_MAX {
            return None;
        }
        content.truncate(given);
        Some(content)
    }
}

/// Bytes of a stream with its window, about.
pub(super) const INFLATE_BYTES: usize = 48 * 1024;

#[cfg(test)]
mod tests {
    use flate2::{Compress, Compression, FlushCompress};

    use super::*;

    /// What a side sends that compresses.
    fn records(contents: &[&[u8]]) -> Vec<Vec<u8>> {
        let mut stream = Compress::new(Compression::default(), true);
        let compress = |content: &&[u8]| {
            let mut record = Vec::with_capacity(content.len() + 100);
            let flush = FlushCompress::Sync;
            stream.compress_vec(content, &mut record, flush).unwrap();
            record
        };
        contents.iter().map(compress).collect()
    }

    #[test]
    fn each_record_goes_on_where_the_one_before_it_ended() {
        let contents = [&b"GET / HTTP/1.1"[..], b"GET /again HTTP/1.1", b""];
        let mut inflate = Inflate::new();
        for (record, content) in records(&contents).iter().zip(contents) {
            assert_eq!(inflate.record(record).unwrap(), content);
        }
        assert_eq!(inflate.record(b"what is this"), None);
    }

    #[test]
    fn what_is_longer_than_a_record_is_refused_before_it_is_made() {
        let zeros = vec![0; 1 << 20];
        let record = records(&[&zeros]).remove(0);
        assert!(record.len() < 2000);
        assert_eq!(Inflate::new().record(&record), None);
        let whole = records(&[&zeros[..TLS_PLAIN_BYTES_MAX]]).remove(0);
        let content = Inflate::new().record(&whole).unwrap();
        assert_eq!(content.len(), TLS_PLAIN_BYTES_MAX);
    }
}
