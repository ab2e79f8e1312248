//! The MAC of SSL 3.0 to TLS 1.2 (RFC 5246 §6.2.3.1, RFC 6101 §5.2.3.1).

use crate::app::tls::hash::{Digest, Hash, HmacKey};
use crate::app::tls::record::Header;

/// A key made ready.
pub(super) struct RecordMac {
    key: Key,
    bytes: usize,
}

enum Key {
    Hmac(HmacKey),
    /// Of SSL 3.0, which had its own construction.
    Ssl3(Hash, Vec<u8>),
    /// None is known: nothing is checked.
    Unknown,
}

impl RecordMac {
    pub(super) fn new(version: u16, hash: Hash, key: &[u8]) -> Option<Self> {
        Some(Self {
            key: match version {
                ..TLS10 => Key::Ssl3(hash, key.to_vec()),
                _ => Key::Hmac(HmacKey::new(hash, key)?),
            },
            bytes: hash.bytes(),
        })
    }

    /// One that takes every MAC of the right length.
    pub(super) fn unknown(hash: Hash) -> Self {
        Self {
            key: Key::Unknown,
            bytes: hash.bytes(),
        }
    }

    /// Bytes of the MAC.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether `mac` is that of `content` in a record with this header.
    pub(super) fn fits(&self, sequence: u64, header: Header, content: &[u8], mac: &[u8]) -> bool {
        let Some(about) = about(sequence, header, content.len()) else {
            return false;
        };
        match &self.key {
            Key::Hmac(key) => key.digest(&[&about, content]).bytes() == mac,
            Key::Ssl3(hash, key) => ssl3(*hash, key, about, content).bytes() == mac,
            Key::Unknown => mac.len() == self.bytes,
        }
    }
}

/// RFC 6101 §5.2.3.1: the version is not covered.
fn ssl3(hash: Hash, key: &[u8], about: [u8; 13], content: &[u8]) -> Digest {
    let [a, b, c, d, e, f, g, h, kind, _, _, high, low] = about;
    let about = [a, b, c, d, e, f, g, h, kind, high, low];
    let pad_bytes = if hash == Hash::Md5 { 48 } else { 40 };
    let [inner, outer] = [0x36, 0x5c].map(|byte| vec![byte; pad_bytes]);
    let digest = hash.digest(&[key, &inner, &about, content]);
    hash.digest(&[key, &outer, digest.bytes()])
}

/// What is authenticated beside the content: number, type, version, length.
pub(super) fn about(sequence: u64, header: Header, content_bytes: usize) -> Option<[u8; 13]> {
    let [a, b, c, d, e, f, g, h] = sequence.to_be_bytes();
    let [major, minor] = header.version.to_be_bytes();
    let [high, low] = u16::try_from(content_bytes).ok()?.to_be_bytes();
    Some([a, b, c, d, e, f, g, h, header.kind, major, minor, high, low])
}

const TLS10: u16 = 0x0301;
