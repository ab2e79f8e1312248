//! QUIC: datagrams as they are, and packets of every level, sealed with keys that the tap has.

use std::time::Duration;

use canarytap::engine::Engine;
use canarytap::engine::app::tls::keylog::KeyLogEntry;
use canarytap::engine::frame::{Frame, LinkType, Timestamp};
use canarytap::engine::limits::Limits;
use ring::aead::{self, quic};
use ring::{hkdf, hmac};

use super::frames::Listener;
use super::input::Input;
use super::watch::matcher;

/// Each piece is a byte for its kind, one for the time that passes, two for its length, and its
/// bytes: a whole datagram, or the frames of a packet.
pub fn quic(bytes: &[u8]) {
    let limits = Limits {
        memory_bytes: MEMORY,
    };
    let mut talk = Talk {
        engine: Engine::new(limits, matcher()),
        listener: Listener::default(),
        now: Timestamp::from_secs_nanos(1_367_342_912, 0),
        number: 0,
        name: 7,
    };
    talk.engine.follow_secrets();
    let mut input = Input::new(bytes);
    while !input.is_empty() {
        let (kind, step, length) = (input.u8(), input.u8(), input.u16());
        let body = input.take(usize::from(length).min(1400));
        talk.now = talk.now.plus(STEPS[usize::from(step) % STEPS.len()]);
        talk.play(kind, body);
        let held = talk.engine.heap_bytes();
        assert!(held <= MEMORY + OTHERS, "{held} bytes");
    }
    talk.engine.finish(&mut talk.listener);
    assert_eq!(talk.engine.quic_connections(), 0);
    talk.listener.check();
}

struct Talk {
    engine: Engine,
    listener: Listener,
    now: Timestamp,
    /// Of the next packet.
    number: u8,
    /// What the client calls the server, eight times.
    name: u8,
}

impl Talk {
    fn play(&mut self, kind: u8, body: &[u8]) {
        let is_server = kind & SERVER != 0;
        let packet = match kind & 7 {
            1 => self.initial(is_server, body),
            2 => self.short(is_server, body),
            3 => self.long(0xe0, &SECRETS[usize::from(is_server)], &[], is_server, body),
            4 => self.long(0xd0, &SECRETS[2], &[], is_server, body),
            5 => return self.bring_keys(),
            6 => return self.engine.on_tick(self.now, &mut self.listener),
            7 => {
                self.name = self.name.wrapping_add(1);
                return;
            }
            _ => body.to_vec(),
        };
        self.send(is_server, kind & MOVED != 0, &packet);
    }

    fn initial(&mut self, is_server: bool, frames: &[u8]) -> Vec<u8> {
        let salt = hmac::Key::new(hmac::HMAC_SHA256, &SALT);
        let initial = hmac::sign(&salt, &[self.name; 8]);
        let label = ["client in", "server in"][usize::from(is_server)];
        let secret = expand::<32>(initial.as_ref(), label);
        self.long(0xc0, &secret, &[0], is_server, frames)
    }

    fn long(
        &mut self,
        first: u8,
        secret: &[u8; 32],
        token: &[u8],
        is_server: bool,
        frames: &[u8],
    ) -> Vec<u8> {
        let names: [&[u8]; 2] = match (is_server, first) {
            (true, _) => [&[1; 4], &[9; 5]],
            (false, 0xe0) => [&[9; 5], &[1; 4]],
            (false, _) => [&[self.name; 8], &[1; 4]],
        };
        let mut header = vec![first, 0, 0, 0, 1];
        for name in names {
            header.push(name.len() as u8);
            header.extend(name);
        }
        header.extend(token);
        let length = frames.len().max(SHORTEST) as u16 + 1 + 16;
        header.extend((length | 0x4000).to_be_bytes());
        self.seal(header, secret, frames)
    }

    fn short(&mut self, is_server: bool, frames: &[u8]) -> Vec<u8> {
        let name: &[u8] = if is_server { &[1; 4] } else { &[9; 5] };
        let header = [&[0x40], name].concat();
        self.seal(header, &SECRETS[usize::from(is_server)], frames)
    }

    /// With a packet number of one byte, as the next (RFC 9001 §5).
    fn seal(&mut self, mut packet: Vec<u8>, secret: &[u8; 32], frames: &[u8]) -> Vec<u8> {
        let at = packet.len();
        packet.push(self.number);
        let mut nonce = expand::<12>(secret, "quic iv");
        nonce[11] ^= self.number;
        let key = aead::UnboundKey::new(&aead::AES_128_GCM, &expand::<16>(secret, "quic key"));
        let mut sealed = frames.to_vec();
        sealed.resize(sealed.len().max(SHORTEST), 0);
        aead::LessSafeKey::new(key.unwrap())
            .seal_in_place_append_tag(
                aead::Nonce::assume_unique_for_key(nonce),
                aead::Aad::from(&packet),
                &mut sealed,
            )
            .unwrap();
        packet.extend(sealed);
        let key = expand::<16>(secret, "quic hp");
        let header = quic::HeaderProtectionKey::new(&quic::AES_128, &key).unwrap();
        let mask = header.new_mask(&packet[at + 4..at + 20]).unwrap();
        packet[0] ^= mask[0] & if packet[0] & 0x80 == 0 { 0x1f } else { 0x0f };
        packet[at] ^= mask[1];
        self.number = self.number.wrapping_add(1);
        packet
    }

    fn send(&mut self, is_server: bool, is_moved: bool, payload: &[u8]) {
        let client = ([203, 0, 113, 9], 50_000 + u16::from(is_moved));
        let server = ([192, 168, 1, 10], 443);
        let (src, dst) = if is_server {
            (server, client)
        } else {
            (client, server)
        };
        let mut packet = vec![0x45, 0];
        packet.extend((28 + payload.len() as u16).to_be_bytes());
        packet.extend([0, 0, 0, 0, 64, 17, 0, 0]);
        packet.extend(src.0);
        packet.extend(dst.0);
        for number in [src.1, dst.1, 8 + payload.len() as u16, 0] {
            packet.extend(number.to_be_bytes());
        }
        packet.extend(payload);
        let frame = Frame {
            time: self.now,
            link: LinkType::from_number(228).unwrap(),
            wire_len: packet.len() as u32,
            bytes: &packet,
        };
        self.engine.on_frame(&frame, &mut self.listener);
    }

    /// The keys of a connection that says the published hello (RFC 9001 §A).
    fn bring_keys(&mut self) {
        let labels = [
            ("CLIENT_HANDSHAKE_TRAFFIC_SECRET", 0),
            ("SERVER_HANDSHAKE_TRAFFIC_SECRET", 1),
            ("CLIENT_TRAFFIC_SECRET_0", 0),
            ("SERVER_TRAFFIC_SECRET_0", 1),
            ("CLIENT_EARLY_TRAFFIC_SECRET", 2),
        ];
        for (label, which) in labels {
            let secret: String = SECRETS[which]
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect();
            let line = format!("{label} {RANDOM} {secret}");
            let entry = KeyLogEntry::parse(line.as_bytes()).unwrap();
            self.engine.on_secret(&entry, &mut self.listener);
        }
    }
}

/// HKDF-Expand-Label (RFC 8446 §7.1) with SHA-256.
fn expand<const N: usize>(secret: &[u8], label: &str) -> [u8; N] {
    let label = format!("tls13 {label}");
    let info: [&[u8]; 4] = [
        &[0, N as u8, label.len() as u8],
        label.as_bytes(),
        &[0],
        &[],
    ];
    let mut out = [0; N];
    let key = hkdf::Prk::new_less_safe(hkdf::HKDF_SHA256, secret);
    key.expand(&info, Length(N))
        .unwrap()
        .fill(&mut out)
        .unwrap();
    out
}

struct Length(usize);

impl hkdf::KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

/// Of a piece's kind: the server sends it.
const SERVER: u8 = 0x80;
/// The client has another port.
const MOVED: u8 = 0x40;
const RANDOM: &str = "ebf8fa56f12939b9584a3896472ec40bb863cfd3e86804fe3a47f06a2b69484c";
/// Of client, server, and early data.
const SECRETS: [[u8; 32]; 3] = [[1; 32], [2; 32], [3; 32]];
/// RFC 9001 §5.2.
const SALT: [u8; 20] = [
    0x38, 0x76, 0x2c, 0xf7, 0xf5, 0x59, 0x34, 0xb3, 0x4d, 0x17, 0x9a, 0xe6, 0xa4, 0xc8, 0x0c, 0xad,
    0xcc, 0xbb, 0x7f, 0x0a,
];
/// Less could not be sampled.
const SHORTEST: usize = 3;
/// How long after the last piece the next comes.
const STEPS: [Duration; 8] = [
    Duration::ZERO,
    Duration::from_millis(1),
    Duration::from_millis(200),
    Duration::from_millis(900),
    Duration::from_secs(6),
    Duration::from_secs(31),
    Duration::from_secs(61),
    Duration::from_secs(3700),
];
/// A small bound, so that it is reached.
const MEMORY: usize = 256 * 1024;
/// What is bounded by itself: checksums' senders, secrets, early packets.
const OTHERS: usize = 1024 * 1024;
