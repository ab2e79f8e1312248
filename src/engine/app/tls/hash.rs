//! Hashes of TLS, and the same with keys (HMAC, RFC 2104).

use hmac::{KeyInit, Mac};
use md5::Digest as _;
use ring::{digest, hmac as strong};

/// A hash that TLS uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::app) enum Hash {
    Md5,
    Sha1,
    Sha256,
    Sha384,
}

impl Hash {
    /// Bytes of its digest.
    pub(in crate::app) const fn bytes(self) -> usize {
        match self {
            Self::Md5 => 16,
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha384 => 48,
        }
    }

    /// The digest of `parts`, one after the other.
    pub(super) fn digest(self, parts: &[&[u8]]) -> Digest {
        let algorithm = match self {
            Self::Md5 => {
                let mut running = md5::Md5::new();
                parts.iter().for_each(|part| running.update(part));
                return Digest::new(&running.finalize());
            }
            Self::Sha1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
            Self::Sha256 => &digest::SHA256,
            Self::Sha384 => &digest::SHA384,
        };
        let mut running = digest::Context::new(algorithm);
        parts.iter().for_each(|part| running.update(part));
        Digest::new(running.finish().as_ref())
    }
}

/// A key for HMAC.
pub(super) enum HmacKey {
    Md5(Box<hmac::Hmac<md5::Md5>>),
    Strong(strong::Key),
}

/// A digest.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Digest {
    bytes: [u8; DIGEST_BYTES_MAX],
    length: usize,
}

impl HmacKey {
    pub(super) fn new(hash: Hash, key: &[u8]) -> Option<Self> {
        let algorithm = match hash {
            Hash::Md5 => {
                let keyed = hmac::Hmac::new_from_slice(key).ok()?;
                return Some(Self::Md5(Box::new(keyed)));
            }
            Hash::Sha1 => strong::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            Hash::Sha256 => strong::HMAC_SHA256,
            Hash::Sha384 => strong::HMAC_SHA384,
        };
        Some(Self::Strong(strong::Key::new(algorithm, key)))
    }

    /// The digest of `parts`, one after the other.
    pub(super) fn digest(&self, parts: &[&[u8]]) -> Digest {
        match self {
            Self::Md5(keyed) => {
                let mut running = (**keyed).clone();
                parts.iter().for_each(|part| running.update(part));
                Digest::new(&running.finalize().into_bytes())
            }
            Self::Strong(key) => {
                let mut running = strong::Context::with_key(key);
                parts.iter().for_each(|part| running.update(part));
                Digest::new(running.sign().as_ref())
            }
        }
    }
}

impl Digest {
    /// No bytes.
    pub(super) const NONE: Self = Self {
        bytes: [0; DIGEST_BYTES_MAX],
        length: 0,
    };

    fn new(bytes: &[u8]) -> Self {
        let mut digest = Self {
            bytes: [0; DIGEST_BYTES_MAX],
            length: bytes.len().min(DIGEST_BYTES_MAX),
        };
        let pairs = digest.bytes.iter_mut().zip(bytes);
        pairs.for_each(|(into, from)| *into = *from);
        digest
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

const DIGEST_BYTES_MAX: usize = 48;

#[cfg(test)]
mod tests {
    use super::*;

    fn hexadecimal(hash: Hash) -> String {
        let key = HmacKey::new(hash, b"Jefe").unwrap();
        let digest = key.digest(&[b"what do ya want ", b"for nothing?"]);
        assert_eq!(digest.bytes().len(), hash.bytes());
        let bytes = digest.bytes().iter();
        bytes.map(|byte| format!("{byte:02x}")).collect()
    }

    /// RFC 2202, second cases; RFC 4231 §4.3.
    #[test]
    fn the_published_digests_come_out() {
        assert_eq!(hexadecimal(Hash::Md5), "750c783e6ab0b503eaa86e310a5db738");
        assert_eq!(
            hexadecimal(Hash::Sha1),
            "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"
        );
        assert_eq!(
            hexadecimal(Hash::Sha256),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        assert!(hexadecimal(Hash::Sha384).starts_with("af45d2e376484031617f78d2b58a6b1b"));
    }
}
