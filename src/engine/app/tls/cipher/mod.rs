//! Protected records, opened one after the other.

use std::ops::Range;

use crate::app::tls::cipher::aead::{Aead, Nonce};
use crate::app::tls::cipher::block::{BlockOpener, MacOrder, Padding};
use crate::app::tls::cipher::mac::RecordMac;
use crate::app::tls::cipher::stream::StreamOpener;
use crate::app::tls::derive::{LABEL_PREFIX, expand_prefixed_into, key_block};
use crate::app::tls::hash::Hash;
use crate::app::tls::keylog::Secret;
use crate::app::tls::record::Header;
use crate::app::tls::suite::{Cipher, Suite};

pub(in crate::app) mod aead;
mod block;
mod mac;
mod stream;

/// What is inside a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Opened {
    /// Its content type; TLS 1.3 hides it inside.
    pub(super) kind: u8,
    /// Where in the record's body the content stands now.
    pub(super) content: Range<usize>,
}

/// What opens the records of one direction, from where its keys came into force.
pub(super) struct Opener {
    how: How,
    /// Records that were opened or passed over.
    sequence: u64,
}

enum How {
    /// TLS 1.3 (RFC 8446 §5.2), with what the next keys come from.
    Tls13 {
        aead: Aead,
        iv: [u8; 12],
        suite: Suite,
        secret: Secret,
        dialect: Dialect,
    },
    /// TLS 1.2 (RFC 5246 §6.2.3.3).
    Aead { aead: Aead, nonce: Nonce },
    /// Block ciphers.
    Block(Box<BlockOpener>),
    /// RC4, and nothing but a MAC.
    Stream(Box<StreamOpener>),
}

/// TLS 1.3 as published, or one of its drafts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Dialect {
    /// The number of the draft.
    pub(super) draft: Option<u8>,
}

impl Dialect {
    /// The word before labels, and the label of the next secret.
    fn labels(self) -> (&'static str, &'static str) {
        match self.draft {
            Some(..20) => ("TLS 1.3, ", "application traffic secret"),
            _ => (LABEL_PREFIX, "traffic upd"),
        }
    }

    /// Whether the header of a record is authenticated.
    fn covers_header(self) -> bool {
        self.draft.is_none_or(|draft| draft >= 25)
    }
}

/// What TLS 1.2 and older derive their keys from.
#[derive(Clone, Copy)]
pub(super) struct Negotiated<'a> {
    pub(super) version: u16,
    pub(super) suite: Suite,
    pub(super) master_secret: &'a [u8],
    pub(super) client_random: &'a [u8; 32],
    pub(super) server_random: &'a [u8; 32],
    pub(super) encrypts_then_macs: bool,
}

/// Who sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sender {
    Client,
    Server,
}

impl Opener {
    /// For TLS 1.3, from a traffic secret. None when the secret does not fit the suite.
    pub(super) fn tls13(suite: Suite, secret: &Secret, dialect: Dialect) -> Option<Self> {
        if secret.bytes().len() != suite.hash.bytes() {
            return None;
        }
        let (prefix, _) = dialect.labels();
        let (mut key, mut iv) = ([0; KEY_BYTES_MAX], [0; 12]);
        let key = key.get_mut(..suite.cipher.key_bytes())?;
        expand_prefixed_into(suite.hash, secret.bytes(), [prefix, "key"], key)?;
        expand_prefixed_into(suite.hash, secret.bytes(), [prefix, "iv"], &mut iv)?;
        let how = How::Tls13 {
            aead: Aead::new(suite.cipher, key)?,
            iv,
            suite,
            secret: *secret,
            dialect,
        };
        Some(Self { how, sequence: 0 })
    }

    /// For TLS 1.2 and older, for what `sender` sends.
    pub(super) fn older(from: &Negotiated<'_>, sender: Sender) -> Option<Self> {
        let keys = Keys::derive(from, sender)?;
        let how = match from.suite.cipher {
            Cipher::Rc4 | Cipher::Null => How::Stream(Box::new(StreamOpener::new(
                from.suite.cipher,
                &keys.key,
                RecordMac::new(from.version, from.suite.mac?, &keys.mac)?,
            )?)),
            Cipher::Aes128Cbc
            | Cipher::Aes256Cbc
            | Cipher::Camellia128Cbc
            | Cipher::Camellia256Cbc
            | Cipher::Aria128Cbc
            | Cipher::Aria256Cbc
            | Cipher::IdeaCbc
            | Cipher::DesCbc
            | Cipher::TripleDesCbc => {
                let order = MacOrder::of(from.encrypts_then_macs);
                let mac = RecordMac::new(from.version, from.suite.mac?, &keys.mac)?;
                let padding = match from.version {
                    ..TLS10 => Padding::Any,
                    _ => Padding::Same,
                };
                let cipher = from.suite.cipher;
                How::Block(Box::new(BlockOpener::new(
                    cipher,
                    &keys.key,
                    (from.version < TLS11).then_some(&keys.iv),
                    mac,
                    order,
                    padding,
                )?))
            }
            cipher => How::Aead {
                aead: Aead::new(cipher, &keys.key)?,
                nonce: Nonce::of(&keys.iv)?,
            },
        };
        Some(Self { how, sequence: 0 })
    }

    /// For what is not encrypted, and whose MAC cannot be checked without a secret.
    pub(super) fn bare(suite: Suite) -> Option<Self> {
        let mac = RecordMac::unknown(suite.mac?);
        let stream = StreamOpener::new(Cipher::Null, &[], mac)?;
        let how = How::Stream(Box::new(stream));
        Some(Self { how, sequence: 0 })
    }

    /// The one after a KeyUpdate of the sender's (RFC 8446 §7.2).
    pub(super) fn next_generation(&self) -> Option<Self> {
        let How::Tls13 {
            suite,
            secret,
            dialect,
            ..
        } = &self.how
        else {
            return None;
        };
        let mut next = [0; KEY_BYTES_MAX + 16];
        let next = next.get_mut(..suite.hash.bytes())?;
        let (prefix, label) = dialect.labels();
        expand_prefixed_into(suite.hash, secret.bytes(), [prefix, label], next)?;
        Self::tls13(*suite, &Secret::new(next)?, *dialect)
    }

    /// Opens the next record in place. None when it is not what its keys protect, and then what
    /// stands in `body` is worth nothing; a record of TLS 1.2 and newer counts only when opened.
    pub(super) fn open(&mut self, header: Header, body: &mut [u8]) -> Option<Opened> {
        let sequence = self.sequence;
        let opened = match &mut self.how {
            How::Tls13 {
                aead, iv, dialect, ..
            } => {
                let nonce = aead::xor(iv, sequence);
                let header = header.bytes();
                let about: &[u8] = if dialect.covers_header() {
                    &header
                } else {
                    &[]
                };
                open_tls13(aead, &nonce, about, body)?
            }
            How::Aead { aead, nonce } => Opened {
                kind: header.kind,
                content: open_tls12(aead, nonce, sequence, header, body)?,
            },
            How::Block(opener) => Opened {
                kind: header.kind,
                content: opener.open(sequence, header, body)?,
            },
            How::Stream(opener) => Opened {
                kind: header.kind,
                content: opener.open(sequence, header, body)?,
            },
        };
        self.sequence += 1;
        Some(opened)
    }

    /// Passes over records that are missing; false when none after them can be opened.
    pub(super) fn skip(&mut self, records: u64) -> bool {
        self.sequence = self.sequence.saturating_add(records);
        match &self.how {
            How::Tls13 { .. } | How::Aead { .. } => true,
            How::Block(opener) => opener.is_independent(),
            How::Stream(opener) => opener.is_independent(),
        }
    }

    /// Records that were opened or passed over.
    pub(super) fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Counts on from another record.
    pub(super) fn go_to(&mut self, sequence: u64) {
        self.sequence = sequence;
    }

    /// Bytes of content in a record of so many bytes, at most.
    pub(super) fn content_bytes(&self, body_bytes: usize) -> usize {
        let around = match &self.how {
            How::Tls13 { aead, .. } => aead.tag_bytes() + 1,
            How::Aead { aead, nonce } => aead.tag_bytes() + nonce.explicit_bytes(),
            How::Block(opener) => opener.around_bytes(),
            How::Stream(opener) => opener.around_bytes(),
        };
        body_bytes.saturating_sub(around)
    }
}

/// What one side's records are protected with.
struct Keys {
    mac: Vec<u8>,
    key: Vec<u8>,
    iv: Vec<u8>,
}

impl Keys {
    /// Cuts the key block (RFC 5246 §6.3).
    fn derive(from: &Negotiated<'_>, sender: Sender) -> Option<Self> {
        let cipher = from.suite.cipher;
        let mac_bytes = from.suite.mac.map_or(0, Hash::bytes);
        let (key_bytes, iv_bytes) = (cipher.key_bytes(), cipher.fixed_iv_bytes());
        let mut block = vec![0; 2 * (mac_bytes + key_bytes + iv_bytes)];
        key_block(
            from.version,
            from.suite.hash,
            from.master_secret,
            from.server_random,
            from.client_random,
            &mut block,
        )?;
        let mut start = 0;
        let mut cut = |length: usize| {
            let own = match sender {
                Sender::Client => start,
                Sender::Server => start + length,
            };
            start += 2 * length;
            block.get(own..own + length).map(<[u8]>::to_vec)
        };
        Some(Self {
            mac: cut(mac_bytes)?,
            key: cut(key_bytes)?,
            iv: cut(iv_bytes)?,
        })
    }
}

/// RFC 8446 §5.2: the content, its type, zeros.
fn open_tls13(aead: &Aead, nonce: &[u8; 12], about: &[u8], body: &mut [u8]) -> Option<Opened> {
    let length = aead.open(nonce, about, body)?;
    let inner = body.get(..length)?;
    let end = inner.iter().rposition(|byte| *byte != 0)?;
    Some(Opened {
        kind: *inner.get(end)?,
        content: 0..end,
    })
}

/// RFC 5246 §6.2.3.3, RFC 7905 §2.
fn open_tls12(
    aead: &Aead,
    nonce: &Nonce,
    sequence: u64,
    header: Header,
    body: &mut [u8],
) -> Option<Range<usize>> {
    let explicit_bytes = nonce.explicit_bytes();
    let (explicit, sealed) = body.split_at_mut_checked(explicit_bytes)?;
    let content_bytes = sealed.len().checked_sub(aead.tag_bytes())?;
    let nonce = nonce.with(explicit, sequence)?;
    let about = mac::about(sequence, header, content_bytes)?;
    let length = aead.open(&nonce, &about, sealed)?;
    Some(explicit_bytes..explicit_bytes + length)
}

const KEY_BYTES_MAX: usize = 32;
const TLS10: u16 = 0x0301;
const TLS11: u16 = 0x0302;

#[cfg(test)]
mod tests;
