//! Ciphers that authenticate what they protect.

use aes::{Aes128, Aes256};
use ccm::aead::{AeadInOut, KeyInit};
use ccm::consts::{U8, U12, U16};
use ring::aead as strong;

use crate::engine::app::tls::suite::Cipher;

/// A key made ready.
pub(in crate::engine::app) enum Aead {
    Strong(Box<strong::LessSafeKey>),
    Ccm128(Box<ccm::Ccm<Aes128, U16, U12>>),
    Ccm256(Box<ccm::Ccm<Aes256, U16, U12>>),
    Ccm128Short(Box<ccm::Ccm<Aes128, U8, U12>>),
    Ccm256Short(Box<ccm::Ccm<Aes256, U8, U12>>),
}

impl Aead {
    /// None when the key has another length, or the cipher is none of these.
    pub(in crate::engine::app) fn new(cipher: Cipher, key: &[u8]) -> Option<Self> {
        let algorithm = match cipher {
            Cipher::Aes128Gcm => &strong::AES_128_GCM,
            Cipher::Aes256Gcm => &strong::AES_256_GCM,
            Cipher::ChaCha20Poly1305 => &strong::CHACHA20_POLY1305,
            _ => return Self::ccm(cipher, key),
        };
        let key = strong::UnboundKey::new(algorithm, key).ok()?;
        Some(Self::Strong(Box::new(strong::LessSafeKey::new(key))))
    }

    fn ccm(cipher: Cipher, key: &[u8]) -> Option<Self> {
        Some(match cipher {
            Cipher::Aes128Ccm => Self::Ccm128(Box::new(ccm::Ccm::new_from_slice(key).ok()?)),
            Cipher::Aes256Ccm => Self::Ccm256(Box::new(ccm::Ccm::new_from_slice(key).ok()?)),
            Cipher::Aes128Ccm8 => Self::Ccm128Short(Box::new(ccm::Ccm::new_from_slice(key).ok()?)),
            Cipher::Aes256Ccm8 => Self::Ccm256Short(Box::new(ccm::Ccm::new_from_slice(key).ok()?)),
            _ => return None,
        })
    }

    /// Bytes of the tag behind the content.
    pub(in crate::engine::app) fn tag_bytes(&self) -> usize {
        match self {
            Self::Ccm128Short(_) | Self::Ccm256Short(_) => 8,
            Self::Strong(_) | Self::Ccm128(_) | Self::Ccm256(_) => 16,
        }
    }

    /// Opens `sealed`, content and tag, in place; the length of the content. None when it is not
    /// what this key protected, and then what stands in `sealed` is worth nothing.
    pub(in crate::engine::app) fn open(
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
            Self::Ccm128(key) => open_ccm(&**key, nonce, about, sealed, self.tag_bytes()),
            Self::Ccm256(key) => open_ccm(&**key, nonce, about, sealed, self.tag_bytes()),
            Self::Ccm128Short(key) => open_ccm(&**key, nonce, about, sealed, self.tag_bytes()),
            Self::Ccm256Short(key) => open_ccm(&**key, nonce, about, sealed, self.tag_bytes()),
        }
    }
}

fn open_ccm<A: AeadInOut<NonceSize = U12>>(
    key: &A,
    nonce: &[u8; 12],
    about: &[u8],
    sealed: &mut [u8],
    tag_bytes: usize,
) -> Option<usize> {
    let length = sealed.len().checked_sub(tag_bytes)?;
    let (content, tag) = sealed.split_at_mut_checked(length)?;
    let tag = (&*tag).try_into().ok()?;
    key.decrypt_inout_detached(nonce.into(), about, content.into(), tag)
        .ok()?;
    Some(length)
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
pub(in crate::engine::app) fn xor(iv: &[u8; 12], sequence: u64) -> [u8; 12] {
    let mut nonce = *iv;
    let number = sequence.to_be_bytes();
    let last = nonce.iter_mut().skip(12 - number.len());
    last.zip(number).for_each(|(byte, part)| *byte ^= part);
    nonce
}
