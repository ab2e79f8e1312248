//! The other half, for tests: protects packets as a sender does (RFC 9001 §5).

use ring::aead::{self, quic};

use crate::app::quic::keys::Opened;
use crate::app::quic::packet::ConnectionId;
use crate::app::quic::varint;
use crate::app::quic::version::{LongKind, Version};
use crate::app::tls::cipher::aead::xor;
use crate::app::tls::derive::{expand_label, expand_label_into};
use crate::app::tls::keylog::Secret;
use crate::app::tls::suite::Suite;

/// A sender of one direction at one level.
pub(in crate::app) struct Sealer {
    version: Version,
    suite: Suite,
    algorithm: &'static aead::Algorithm,
    secret: Secret,
    header: quic::HeaderProtectionKey,
    number: u64,
    phase: bool,
}

impl Sealer {
    pub(in crate::app) fn new(version: Version, suite: u16, secret: &Secret) -> Self {
        let (algorithm, header) = match suite {
            0x1301 => (&aead::AES_128_GCM, &quic::AES_128),
            0x1302 => (&aead::AES_256_GCM, &quic::AES_256),
            _ => (&aead::CHACHA20_POLY1305, &quic::CHACHA20),
        };
        let suite = Suite::of(suite).unwrap();
        let mut key = vec![0; suite.cipher.key_bytes()];
        let label = version.header_label();
        expand_label_into(suite.hash, secret.bytes(), label, &mut key).unwrap();
        Self {
            version,
            suite,
            algorithm,
            secret: *secret,
            header: quic::HeaderProtectionKey::new(header, &key).unwrap(),
            number: 0,
            phase: false,
        }
    }

    /// The senders of a connection's Initial packets.
    pub(in crate::app) fn initial(version: Version, id: &ConnectionId) -> [Self; 2] {
        let salt = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, version.salt());
        let initial = ring::hmac::sign(&salt, id.bytes());
        let suite = Suite::of(0x1301).unwrap();
        ["client in", "server in"].map(|label| {
            let secret: [u8; 32] = expand_label(suite.hash, initial.as_ref(), label).unwrap();
            Self::new(version, 0x1301, &Secret::new(&secret).unwrap())
        })
    }

    /// A 1-RTT packet.
    pub(in crate::app) fn short(&mut self, destination: &[u8], frames: &[u8]) -> Vec<u8> {
        let first = 0x40 | u8::from(self.phase) << 2;
        self.seal([&[first][..], destination].concat(), frames)
    }

    /// A packet with a long header; of an Initial one the token is empty.
    pub(in crate::app) fn long(
        &mut self,
        kind: LongKind,
        [destination, source]: [&[u8]; 2],
        frames: &[u8],
    ) -> Vec<u8> {
        let place = match kind {
            LongKind::Initial => 0,
            LongKind::ZeroRtt => 1,
            LongKind::Handshake => 2,
            LongKind::Retry => 3,
        };
        let bits = match self.version {
            Version::V1 => place,
            Version::V2 => (place + 1) & 3,
        };
        let mut header = vec![0xc0 | bits << 4];
        header.extend(self.version.number().to_be_bytes());
        for id in [destination, source] {
            header.push(u8::try_from(id.len()).unwrap());
            header.extend(id);
        }
        if kind == LongKind::Initial {
            header.push(0);
        }
        let length = frames.len().max(SHORTEST) + 1 + 16;
        header.extend(varint::write(length as u64));
        self.seal(header, frames)
    }

    /// Goes on to the keys that follow.
    pub(in crate::app) fn update(&mut self) {
        let mut next = vec![0; self.secret.bytes().len()];
        let label = self.version.update_label();
        expand_label_into(self.suite.hash, self.secret.bytes(), label, &mut next).unwrap();
        self.secret = Secret::new(&next).unwrap();
        self.phase = !self.phase;
    }

    /// Lets packet numbers go by.
    pub(in crate::app) fn skip(&mut self, numbers: u64) {
        self.number += numbers;
    }

    /// With a packet number of one byte, as the next.
    fn seal(&mut self, mut packet: Vec<u8>, frames: &[u8]) -> Vec<u8> {
        let number_at = packet.len();
        packet.push(self.number as u8);
        let mut key = vec![0; self.suite.cipher.key_bytes()];
        let label = self.version.key_label();
        expand_label_into(self.suite.hash, self.secret.bytes(), label, &mut key).unwrap();
        let label = self.version.iv_label();
        let iv = expand_label(self.suite.hash, self.secret.bytes(), label).unwrap();
        let nonce = aead::Nonce::assume_unique_for_key(xor(&iv, self.number));
        let key = aead::UnboundKey::new(self.algorithm, &key).unwrap();
        let mut sealed = frames.to_vec();
        sealed.resize(sealed.len().max(SHORTEST), 0);
        aead::LessSafeKey::new(key)
            .seal_in_place_append_tag(nonce, aead::Aad::from(&packet), &mut sealed)
            .unwrap();
        packet.extend(sealed);
        let sample = &packet[number_at + 4..number_at + 20];
        let mask = self.header.new_mask(sample).unwrap();
        packet[0] ^= mask[0] & if packet[0] & 0x80 == 0 { 0x1f } else { 0x0f };
        packet[number_at] ^= mask[1];
        self.number += 1;
        packet
    }
}

/// What a packet holds, padding of the shortest ones apart.
pub(in crate::app) fn frames_of<'a>(opened: &Opened, buffer: &'a [u8]) -> &'a [u8] {
    &buffer[opened.frames.clone()]
}

/// Less could not be sampled.
const SHORTEST: usize = 3;
