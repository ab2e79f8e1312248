//! Ciphers that authenticate what they protect.

use aes::{Aes128, Aes256};
use aes_gcm::AesGcm;
use aria::{Aria128, Aria256};
use camellia::{Camellia128, Camellia256};
use ccm::Ccm;
use ccm::aead::{AeadInOut, KeyInit};
use ccm::consts::{U8, U12, U16};
use ring::aead as strong;

use crate::app::tls::suite::Cipher;

/// A key made ready.
pub(in crate::app) enum Aead {
    Strong(Box<strong::LessSafeKey>),
    /// What ring leaves out, with the bytes of its tag.
    Rare(Box<dyn Rare>, usize),
}

/// A cipher that few speak.
pub(in crate::app) trait Rare: Send + Sync {
    /// Decrypts in place; None when the tag is another one.
    fn open(&self, nonce: &[u8; 12], about: &[u8], content: &mut [u8], tag: &[u8]) -> Option<()>;
}

impl<A: AeadInOut<NonceSize = U12> + Send + Sync> Rare for A {
    fn open(&self, nonce: &[u8; 12], about: &[u8], content: &mut [u8], tag: &[u8]) -> Option<()> {
        let tag = tag.try_into().ok()?;
        self.decrypt_inout_detached(nonce.into(), about, content.into(), tag)
            .ok()
    }
}

impl Aead {
    /// None when the key has another length, or the cipher is none of these.
    pub(in crate::app) fn new(cipher: Cipher, key: &[u8]) -> Option<Self> {
        let algorithm = match cipher {
            Cipher::Aes128Gcm => &strong::AES_128_GCM,
            Cipher::Aes256Gcm => &strong::AES_256_GCM,
            Cipher::ChaCha20Poly1305 => &strong::CHACHA20_POLY1305,
            _ => return Self::rare(cipher, key),
        };
        let key = strong::UnboundKey::new(algorithm, key).ok()?;
        Some(Self::Strong(Box::new(strong::LessSafeKey::new(key))))
    }

    fn rare(cipher: Cipher, key: &[u8]) -> Option<Self> {
        let (made, tag_bytes) = match cipher {
            Cipher::Aes128Ccm => (make::<Ccm<Aes128, U16, U12>>(key)?, 16),
            Cipher::Aes256Ccm => (make::<Ccm<Aes256, U16, U12>>(key)?, 16),
            Cipher::Aes128Ccm8 => (make::<Ccm<Aes128, U8, U12>>(key)?, 8),
            Cipher::Aes256Ccm8 => (make::<Ccm<Aes256, U8, U12>>(key)?, 8),
            Cipher::Aria128Gcm => (make::<AesGcm<Aria128, U12>>(key)?, 16),
            Cipher::Aria256Gcm => (make::<AesGcm<Aria256, U12>>(key)?, 16),
            Cipher::Camellia128Gcm => (make::<AesGcm<Camellia128, U12>>(key)?, 16),
            Cipher::Camellia256Gcm => (make::<AesGcm<Camellia256, U12>>(key)?, 16),
            _ => return None,
        };
        Some(Self::Rare(made, tag_bytes))
    }

    /// Bytes of the tag behind the content.
    pub(in crate::app) fn tag_bytes(&self) -> usize {
        match self {
            Self::Strong(_) => 16,
            Self::Rare(_, tag_bytes) => *tag_bytes,
        }
    }

    /// Opens `sealed`, content and tag, in place; the length of the content. None when it is not
    /// what this key protected, and then what stands in `sealed` is worth nothing.
    pub(in crate::app) fn open(
        &self,
        nonce: &[u8; 12],
        about: &[u8],
        sealed: &mut [u8],
    ) -> Option<usize> {
        match self {
            Self::Strong(key) => {
                let nonce = strong::Nonce::assume_unique_for_key(*nonce);
                let about = strong::Aad::from(about);
                key.open_in_place(nonce, about, sealed)
                    .ok()
                    .map(|content| content.len())
            }
            Self::Rare(key, tag_bytes) => {
                let length = sealed.len().checked_sub(*tag_bytes)?;
                let (content, tag) = sealed.split_at_mut_checked(length)?;
                key.open(nonce, about, content, tag).map(|()| length)
            }
        }
    }
}

fn make<A: KeyInit + Rare + 'static>(key: &[u8]) -> Option<Box<dyn Rare>> {
    Some(Box::new(A::new_from_slice(key).ok()?))
}

/// How TLS 1.2 makes nonces.
pub(super) enum Nonce {
    /// A fixed part, then eight bytes in the record (RFC 5288 §3, RFC 6655 §3).
    Explicit([u8; 4]),
    /// As in TLS 1.3 (RFC 7905 §2).
    Counted([u8; 12]),
}

impl Nonce {
    /// By what was derived.
    pub(super) fn of(iv: &[u8]) -> Option<Self> {
        match iv.len() {
            4 => iv.try_into().ok().map(Self::Explicit),
            12 => iv.try_into().ok().map(Self::Counted),
            _ => None,
        }
    }

    /// Bytes of it in each record.
    pub(super) const fn explicit_bytes(&self) -> usize {
        match self {
            Self::Explicit(_) => 8,
            Self::Counted(_) => 0,
        }
    }

    /// That of one record.
    pub(super) fn with(&self, explicit: &[u8], sequence: u64) -> Option<[u8; 12]> {
        match self {
            Self::Explicit([a, b, c, d]) => {
                let [e, f, g, h, i, j, k, l] = *explicit.first_chunk()?;
                Some([*a, *b, *c, *d, e, f, g, h, i, j, k, l])
            }
            Self::Counted(iv) => Some(xor(iv, sequence)),
        }
    }
}

/// The nonce of a record by its number (RFC 8446 §5.3).
pub(in crate::app) fn xor(iv: &[u8; 12], sequence: u64) -> [u8; 12] {
    let mut nonce = *iv;
    let number = sequence.to_be_bytes();
    let last = nonce.iter_mut().skip(12 - number.len());
    last.zip(number).for_each(|(byte, part)| *byte ^= part);
    nonce
}
