//! Opening protected packets (RFC 9001 §5, RFC 9369 §3.3).

use std::fmt;
use std::ops::Range;

use ring::aead::quic;
use ring::hmac;

use crate::app::quic::packet::ConnectionId;
use crate::app::quic::version::Version;
use crate::app::tls::cipher::aead::{Aead, xor};
use crate::app::tls::derive::{expand_label, expand_label_into};
use crate::app::tls::hash::Hash;
use crate::app::tls::keylog::Secret;
use crate::app::tls::suite::{Cipher, Suite};
use crate::limits::{QUIC_KEY_UPDATES_MISSED_MAX, QUIC_NUMBER_WINDOWS_TRIED};
use crate::transport::Direction;

/// What opens the packets of one direction at one level.
pub(in crate::app) struct Keys {
    version: Version,
    suite: Suite,
    secret: Secret,
    header: quic::HeaderProtectionKey,
    packet: PacketKey,
}

/// What opens the 1-RTT packets of one direction; keys change as its sender likes.
pub(in crate::app) struct TrafficKeys {
    keys: Keys,
    /// The bit that packets under these keys bear.
    phase: bool,
    /// The lowest number of a packet that was opened with them.
    first: Option<u64>,
    /// Those before.
    previous: Option<PacketKey>,
}

/// A packet, opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::app) struct Opened {
    /// Its number.
    pub(in crate::app) number: u64,
    /// Where its frames stand in the buffer that it was opened in.
    pub(in crate::app) frames: Range<usize>,
}

struct PacketKey {
    aead: Aead,
    iv: [u8; 12],
}

/// A header without its protection.
struct Header {
    /// Bytes up to the end of the packet number.
    length: usize,
    /// Bytes of the packet number.
    number_bytes: usize,
    /// As much of the number as is there.
    truncated: u64,
    phase: bool,
}

impl Keys {
    /// The keys under `secret`; None for a suite that QUIC does not use.
    pub(in crate::app) fn new(version: Version, suite: Suite, secret: &Secret) -> Option<Self> {
        let algorithm = match suite.cipher {
            Cipher::Aes128Gcm | Cipher::Aes128Ccm => &quic::AES_128,
            Cipher::Aes256Gcm => &quic::AES_256,
            Cipher::ChaCha20Poly1305 => &quic::CHACHA20,
            _ => return None,
        };
        let mut key = [0; KEY_BYTES_MAX];
        let key = key.get_mut(..suite.cipher.key_bytes())?;
        expand_label_into(suite.hash, secret.bytes(), version.header_label(), key)?;
        Some(Self {
            version,
            suite,
            secret: *secret,
            header: quic::HeaderProtectionKey::new(algorithm, key).ok()?,
            packet: PacketKey::new(version, suite, secret)?,
        })
    }

    /// The keys for a side's Initial packets, by what the client first called the server
    /// (RFC 9001 §5.2).
    pub(in crate::app) fn initial(
        version: Version,
        destination: &ConnectionId,
        sender: Direction,
    ) -> Option<Self> {
        let salt = hmac::Key::new(hmac::HMAC_SHA256, version.salt());
        let initial = hmac::sign(&salt, destination.bytes());
        let label = match sender {
            Direction::ToServer => "client in",
            Direction::ToClient => "server in",
        };
        let secret: [u8; 32] = expand_label(Hash::Sha256, initial.as_ref(), label)?;
        Self::new(version, Suite::of(INITIAL_SUITE)?, &Secret::new(&secret)?)
    }

    /// Opens a packet whose protected number begins at `number_at`; `largest` is the largest
    /// number that was opened before. Its frames stand in `buffer` then.
    pub(in crate::app) fn open(
        &self,
        packet: &[u8],
        number_at: usize,
        largest: Option<u64>,
        buffer: &mut Vec<u8>,
    ) -> Option<Opened> {
        let header = self.unmask(packet, number_at, buffer)?;
        let number = header.number(largest);
        self.packet.open(number, &header, buffer)
    }

    /// The keys that follow (RFC 9001 §6); header protection stays.
    fn next_secret(&self, secret: &Secret) -> Option<Secret> {
        let mut next = [0; SECRET_BYTES_MAX];
        let next = next.get_mut(..secret.bytes().len())?;
        let label = self.version.update_label();
        expand_label_into(self.suite.hash, secret.bytes(), label, next)?;
        Secret::new(next)
    }

    /// Copies a packet to `buffer` and takes its header protection away there (RFC 9001 §5.4).
    fn unmask(&self, packet: &[u8], number_at: usize, buffer: &mut Vec<u8>) -> Option<Header> {
        let sample = packet.get(number_at.checked_add(NUMBER_BYTES_MAX)?..)?;
        let mask = self.header.new_mask(sample.get(..SAMPLE_BYTES)?).ok()?;
        buffer.clear();
        buffer.extend_from_slice(packet);
        let [first_mask, number_mask @ ..] = mask;
        let first = buffer.first_mut()?;
        *first ^= first_mask & if *first & LONG == 0 { 0x1f } else { 0x0f };
        let first = *first;
        let number_bytes = usize::from(first & 3) + 1;
        let number = buffer.get_mut(number_at..number_at + number_bytes)?;
        let mut truncated = 0;
        for (byte, mask) in number.iter_mut().zip(number_mask) {
            *byte ^= mask;
            truncated = truncated << 8 | u64::from(*byte);
        }
        Some(Header {
            length: number_at + number_bytes,
            number_bytes,
            truncated,
            phase: first & KEY_PHASE != 0,
        })
    }
}

impl TrafficKeys {
    /// From the first secret on.
    pub(in crate::app) fn new(keys: Keys) -> Self {
        Self {
            keys,
            phase: false,
            first: None,
            previous: None,
        }
    }

    /// Opens a packet with a short header, whose sender may have changed its keys before it.
    pub(in crate::app) fn open(
        &mut self,
        packet: &[u8],
        number_at: usize,
        largest: Option<u64>,
        buffer: &mut Vec<u8>,
    ) -> Option<Opened> {
        let header = self.keys.unmask(packet, number_at, buffer)?;
        let number = header.number(largest);
        let mut attempt = Attempt {
            packet,
            number_at,
            header: &header,
            buffer,
        };
        if header.phase == self.phase {
            if let Some(opened) = attempt.open_near(&self.keys, &self.keys.packet, number) {
                let first = self.first.unwrap_or(opened.number);
                self.first = Some(first.min(opened.number));
                return Some(opened);
            }
        } else if self.first.is_some_and(|first| number < first) {
            let previous = self.previous.as_ref()?;
            return attempt.open(&self.keys, previous, number);
        }
        self.open_ahead(&mut attempt, number)
    }

    /// The sender has gone on to other keys, once or, while nothing of it was seen, more often.
    fn open_ahead(&mut self, attempt: &mut Attempt<'_>, number: u64) -> Option<Opened> {
        let (mut secret, mut phase) = (self.keys.secret, self.phase);
        for generation in 1..=QUIC_KEY_UPDATES_MISSED_MAX {
            secret = self.keys.next_secret(&secret)?;
            phase = !phase;
            if phase != attempt.header.phase {
                continue;
            }
            let packet = PacketKey::new(self.keys.version, self.keys.suite, &secret)?;
            if let Some(opened) = attempt.open(&self.keys, &packet, number) {
                let before = std::mem::replace(&mut self.keys.packet, packet);
                self.previous = (generation == 1).then_some(before);
                self.keys.secret = secret;
                self.phase = phase;
                self.first = Some(opened.number);
                return Some(opened);
            }
        }
        None
    }
}

/// A packet that is tried with several keys.
struct Attempt<'a> {
    packet: &'a [u8],
    number_at: usize,
    header: &'a Header,
    buffer: &'a mut Vec<u8>,
}

impl Attempt<'_> {
    fn open(&mut self, keys: &Keys, packet: &PacketKey, number: u64) -> Option<Opened> {
        keys.unmask(self.packet, self.number_at, self.buffer)?;
        packet.open(number, self.header, self.buffer)
    }

    /// Where many packets were missed, the number may be one of those that look the same.
    fn open_near(&mut self, keys: &Keys, packet: &PacketKey, number: u64) -> Option<Opened> {
        let window = self.header.window();
        (0..=QUIC_NUMBER_WINDOWS_TRIED)
            .map_while(|ahead| number.checked_add(ahead * window))
            .find_map(|number| self.open(keys, packet, number))
    }
}

impl PacketKey {
    fn new(version: Version, suite: Suite, secret: &Secret) -> Option<Self> {
        let mut key = [0; KEY_BYTES_MAX];
        let key = key.get_mut(..suite.cipher.key_bytes())?;
        expand_label_into(suite.hash, secret.bytes(), version.key_label(), key)?;
        Some(Self {
            aead: Aead::new(suite.cipher, key)?,
            iv: expand_label(suite.hash, secret.bytes(), version.iv_label())?,
        })
    }

    fn open(&self, number: u64, header: &Header, buffer: &mut [u8]) -> Option<Opened> {
        let (about, sealed) = buffer.split_at_mut_checked(header.length)?;
        let length = self.aead.open(&xor(&self.iv, number), about, sealed)?;
        Some(Opened {
            number,
            frames: header.length..header.length + length,
        })
    }
}

impl Header {
    /// How many numbers look different in as many bytes.
    fn window(&self) -> u64 {
        1 << (8 * self.number_bytes)
    }

    /// The number nearest to the one that is expected next (RFC 9000 §A.3).
    fn number(&self, largest: Option<u64>) -> u64 {
        let expected = largest.map_or(0, |largest| largest.saturating_add(1).min(NUMBER_MAX));
        let window = self.window();
        let candidate = (expected & !(window - 1)) | self.truncated;
        if candidate + window / 2 <= expected && candidate < NUMBER_MAX - window {
            candidate + window
        } else if candidate > expected + window / 2 && candidate >= window {
            candidate - window
        } else {
            candidate
        }
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Keys").finish_non_exhaustive() // they are secret
    }
}

impl fmt::Debug for TrafficKeys {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("TrafficKeys").finish_non_exhaustive()
    }
}

/// What Initial packets are protected by: TLS_AES_128_GCM_SHA256 (RFC 9001 §5.2).
const INITIAL_SUITE: u16 = 0x1301;
/// The bit that marks a long header.
const LONG: u8 = 0x80;
/// The bit of a short header that says which of two keys is in use (RFC 9000 §17.3.1).
const KEY_PHASE: u8 = 0x04;
/// RFC 9000 §17.1.
const NUMBER_BYTES_MAX: usize = 4;
/// RFC 9001 §5.4.2.
const SAMPLE_BYTES: usize = 16;
/// Packet numbers are below this (RFC 9000 §12.3).
const NUMBER_MAX: u64 = 1 << 62;
const KEY_BYTES_MAX: usize = 32;
const SECRET_BYTES_MAX: usize = 48;

#[cfg(test)]
mod tests;
