//! RC4 (RFC 5246 §6.2.3.1), and records that only bear a MAC.

use std::ops::Range;

use rc4::{KeyInit, Rc4, StreamCipher};

use crate::app::tls::cipher::mac::RecordMac;
use crate::app::tls::record::Header;
use crate::app::tls::suite::Cipher;

/// Opens records one after the other.
pub(super) struct StreamOpener {
    /// None where nothing is encrypted.
    cipher: Option<Rc4>,
    mac: RecordMac,
}

impl StreamOpener {
    pub(super) fn new(cipher: Cipher, key: &[u8], mac: RecordMac) -> Option<Self> {
        let cipher = match cipher {
            Cipher::Rc4 => Some(Rc4::new_from_slice(key).ok()?),
            _ => None,
        };
        Some(Self { cipher, mac })
    }

    /// Whether a record can be opened without the one before it.
    pub(super) fn is_independent(&self) -> bool {
        self.cipher.is_none()
    }

    /// Bytes of a record that are no content.
    pub(super) fn around_bytes(&self) -> usize {
        self.mac.bytes()
    }

    pub(super) fn open(
        &mut self,
        sequence: u64,
        header: Header,
        body: &mut [u8],
    ) -> Option<Range<usize>> {
        if let Some(cipher) = &mut self.cipher {
            cipher.try_apply_keystream(body).ok()?;
        }
        let end = body.len().checked_sub(self.mac.bytes())?;
        let (content, mac) = body.split_at_checked(end)?;
        self.mac
            .fits(sequence, header, content, mac)
            .then_some(0..end)
    }
}
