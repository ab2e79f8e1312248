//! Block ciphers in CBC mode (RFC 5246 §6.2.3.2, RFC 7366).

use std::ops::Range;

use aes::{Aes128, Aes256};
use aria::{Aria128, Aria256};
use camellia::{Camellia128, Camellia256};
use cbc::Decryptor;
use cbc::cipher::{Block, BlockModeDecrypt, KeyIvInit};
use des::{Des, TdesEde3};
use idea::Idea;

use crate::app::tls::cipher::mac::RecordMac;
use crate::app::tls::record::Header;
use crate::app::tls::suite::Cipher;

/// Opens records one after the other.
pub(super) struct BlockOpener {
    cipher: Cipher,
    key: Vec<u8>,
    /// The last block of the record before: TLS 1.0 chains them (RFC 2246 §6.2.3.2).
    chained: Option<Vec<u8>>,
    mac: RecordMac,
    order: MacOrder,
    padding: Padding,
}

/// What fills the last block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Padding {
    /// The byte that says how many there are.
    Same,
    /// Anything, but for that byte (RFC 6101 §5.2.3.2).
    Any,
}

/// What the MAC covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MacOrder {
    /// The content, and is encrypted with it.
    MacThenEncrypt,
    /// What is encrypted.
    EncryptThenMac,
}

impl MacOrder {
    pub(super) const fn of(encrypts_then_macs: bool) -> Self {
        if encrypts_then_macs {
            Self::EncryptThenMac
        } else {
            Self::MacThenEncrypt
        }
    }
}

impl BlockOpener {
    /// `chained` is the first initialisation vector where records do not bring their own.
    pub(super) fn new(
        cipher: Cipher,
        key: &[u8],
        chained: Option<&Vec<u8>>,
        mac: RecordMac,
        order: MacOrder,
        padding: Padding,
    ) -> Option<Self> {
        (key.len() == cipher.key_bytes()).then(|| Self {
            cipher,
            key: key.to_vec(),
            chained: chained.cloned(),
            mac,
            order,
            padding,
        })
    }

    /// Whether a record can be opened without the one before it.
    pub(super) fn is_independent(&self) -> bool {
        self.chained.is_none()
    }

    /// Bytes of a record that are no content, at least.
    pub(super) fn around_bytes(&self) -> usize {
        let iv = self.chained.as_ref().map_or(self.block_bytes(), |_| 0);
        iv + self.mac.bytes() + 1
    }

    pub(super) fn open(
        &mut self,
        sequence: u64,
        header: Header,
        body: &mut [u8],
    ) -> Option<Range<usize>> {
        let length = body.len();
        match self.order {
            MacOrder::EncryptThenMac => {
                let encrypted = length.checked_sub(self.mac.bytes())?;
                let (encrypted, mac) = body.split_at_mut_checked(encrypted)?;
                if !self.mac.fits(sequence, header, encrypted, mac) {
                    return None;
                }
                let content = self.decrypt(encrypted)?;
                without_padding(encrypted, content, self.padding)
            }
            MacOrder::MacThenEncrypt => {
                let content = self.decrypt(body)?;
                let content = without_padding(body, content, self.padding)?;
                let end = content.end.checked_sub(self.mac.bytes())?;
                let content = content.start..end;
                let mac = body.get(end..end + self.mac.bytes())?;
                let fits = self
                    .mac
                    .fits(sequence, header, body.get(content.clone())?, mac);
                fits.then_some(content)
            }
        }
    }

    /// Decrypts in place; where the plain text stands.
    fn decrypt(&mut self, encrypted: &mut [u8]) -> Option<Range<usize>> {
        let block_bytes = self.block_bytes();
        let last = encrypted.len().checked_sub(block_bytes)?;
        let last = encrypted.get(last..)?.to_vec();
        let start = if self.chained.is_some() {
            0
        } else {
            block_bytes
        };
        let (own_iv, blocks) = encrypted.split_at_mut_checked(start)?;
        let iv = self.chained.as_deref().unwrap_or(own_iv);
        match self.cipher {
            Cipher::Aes128Cbc => run::<Decryptor<Aes128>>(&self.key, iv, blocks)?,
            Cipher::Aes256Cbc => run::<Decryptor<Aes256>>(&self.key, iv, blocks)?,
            Cipher::Camellia128Cbc => run::<Decryptor<Camellia128>>(&self.key, iv, blocks)?,
            Cipher::Camellia256Cbc => run::<Decryptor<Camellia256>>(&self.key, iv, blocks)?,
            Cipher::Aria128Cbc => run::<Decryptor<Aria128>>(&self.key, iv, blocks)?,
            Cipher::Aria256Cbc => run::<Decryptor<Aria256>>(&self.key, iv, blocks)?,
            Cipher::TripleDesCbc => run::<Decryptor<TdesEde3>>(&self.key, iv, blocks)?,
            Cipher::DesCbc => run::<Decryptor<Des>>(&self.key, iv, blocks)?,
            Cipher::IdeaCbc => run::<Decryptor<Idea>>(&self.key, iv, blocks)?,
            _ => return None,
        }
        if let Some(chained) = &mut self.chained {
            *chained = last;
        }
        Some(start..encrypted.len())
    }

    fn block_bytes(&self) -> usize {
        match self.cipher {
            Cipher::TripleDesCbc | Cipher::DesCbc | Cipher::IdeaCbc => 8,
            _ => 16,
        }
    }
}

fn run<D: KeyIvInit + BlockModeDecrypt>(key: &[u8], iv: &[u8], text: &mut [u8]) -> Option<()> {
    let mut decryptor = D::new_from_slices(key, iv).ok()?;
    let (blocks, rest) = Block::<D>::slice_as_chunks_mut(text);
    if !rest.is_empty() || blocks.is_empty() {
        return None;
    }
    decryptor.decrypt_blocks(blocks);
    Some(())
}

/// Takes the padding off: its last byte says how many more there are, and all are the same.
fn without_padding(body: &[u8], text: Range<usize>, kind: Padding) -> Option<Range<usize>> {
    let last = *body.get(text.clone())?.last()?;
    let end = text.end.checked_sub(usize::from(last) + 1)?;
    let padding = body.get(end..text.end)?;
    let is_filled = kind == Padding::Any || padding.iter().all(|byte| *byte == last);
    let right = end >= text.start && is_filled;
    right.then_some(text.start..end)
}
