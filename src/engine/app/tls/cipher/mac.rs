//! The MAC of TLS 1.0 to 1.2 (RFC 5246 §6.2.3.1).

use crate::engine::app::tls::hash::{Hash, HmacKey};
use crate::engine::app::tls::record::Header;

/// A key made ready.
pub(super) struct RecordMac {
    key: HmacKey,
    bytes: usize,
}

impl RecordMac {
    pub(super) fn new(hash: Hash, key: &[u8]) -> Option<Self> {
        Some(Self {
            key: HmacKey::new(hash, key)?,
            bytes: hash.bytes(),
        })
    }

    /// Bytes of the MAC.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether `mac` is that of `content` in a record with this header.
    pub(super) fn fits(&self, sequence: u64, header: Header, content: &[u8], mac: &[u8]) -> bool {
        about(sequence, header, content.len())
            .is_some_and(|about| self.key.digest(&[&about, content]).bytes() == mac)
    }
}

/// What is authenticated beside the content: number, type, version, length.
pub(super) fn about(sequence: u64, header: Header, content_bytes: usize) -> Option<[u8; 13]> {
    let [a, b, c, d, e, f, g, h] = sequence.to_be_bytes();
    let [major, minor] = header.version.to_be_bytes();
    let [high, low] = u16::try_from(content_bytes).ok()?.to_be_bytes();
    Some([a, b, c, d, e, f, g, h, header.kind, major, minor, high, low])
}
