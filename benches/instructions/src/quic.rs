//! QUIC version 1 as it comes from a wire: a client's first packet, which anybody can open, and
//! packets that hide all but the name of their receiver.

use etherparse::PacketBuilder;
use ring::{aead, hkdf};

use crate::packets::From;
use crate::sealing;

/// What the client calls the server, and itself.
const SERVER_NAME: [u8; 8] = [0x5e; 8];
const CLIENT_NAME: [u8; 8] = [0xc1; 8];
/// RFC 9001 §5.2.
const SALT: [u8; 20] = [
    0x38, 0x76, 0x2c, 0xf7, 0xf5, 0x59, 0x34, 0xb3, 0x4d, 0x17, 0x9a, 0xe6, 0xa4, 0xc8, 0x0c, 0xad,
    0xcc, 0xbb, 0x7f, 0x0a,
];
/// What a client's first datagram has at least (RFC 9000 §14.1).
const DATAGRAM: usize = 1200;
const TAG: usize = 16;

/// A client's Initial packet with its hello (RFC 9000 §17.2.2).
pub fn initial(host: &str) -> Vec<u8> {
    let record = sealing::client_hello(host, [3; 32]);
    let hello = &record[5..];
    let mut header = vec![0xc3, 0, 0, 0, 1, 8];
    header.extend(SERVER_NAME);
    header.push(8);
    header.extend(CLIENT_NAME);
    header.push(0); // no token
    let length = DATAGRAM - header.len() - 2;
    header.extend((0x4000 | length as u16).to_be_bytes());
    let number_at = header.len();
    header.extend([0; 4]);
    let mut payload = vec![6, 0];
    payload.extend((0x4000 | hello.len() as u16).to_be_bytes());
    payload.extend(hello);
    payload.resize(length - 4 - TAG, 0); // PADDING
    datagram(From::Client, &seal(header, payload, number_at))
}

/// A packet with a short header: bytes that nobody can read without keys.
pub fn short(from: From, length: usize) -> Vec<u8> {
    let receiver = match from {
        From::Client => SERVER_NAME,
        From::Server => CLIENT_NAME,
    };
    let mut packet = vec![0x41];
    packet.extend(receiver);
    packet.resize(length, 0x9b);
    datagram(from, &packet)
}

/// RFC 9001 §5: the first packet's keys follow from what the client calls the server.
fn seal(header: Vec<u8>, mut payload: Vec<u8>, number_at: usize) -> Vec<u8> {
    let secret = hkdf::Salt::new(hkdf::HKDF_SHA256, &SALT).extract(&SERVER_NAME);
    let secret = sealing::expand(&secret, "client in", 32);
    let secret = hkdf::Prk::new_less_safe(hkdf::HKDF_SHA256, &secret);
    let key = sealing::expand(&secret, "quic key", 16);
    let nonce = sealing::expand(&secret, "quic iv", 12); // of packet 0
    let mask_key = sealing::expand(&secret, "quic hp", 16);
    let key = aead::UnboundKey::new(&aead::AES_128_GCM, &key).expect("16 bytes");
    aead::LessSafeKey::new(key)
        .seal_in_place_append_tag(
            aead::Nonce::try_assume_unique_for_key(&nonce).expect("12 bytes"),
            aead::Aad::from(&header),
            &mut payload,
        )
        .expect("short enough");
    let mut packet = [header, payload].concat();
    let mask_key = aead::quic::HeaderProtectionKey::new(&aead::quic::AES_128, &mask_key);
    let sample = &packet[number_at + 4..number_at + 20];
    let mask = mask_key
        .expect("16 bytes")
        .new_mask(sample)
        .expect("16 bytes");
    packet[0] ^= mask[0] & 0x0f;
    for (byte, mask) in packet[number_at..].iter_mut().zip(&mask[1..]) {
        *byte ^= mask;
    }
    packet
}

fn datagram(from: From, payload: &[u8]) -> Vec<u8> {
    let client = ([198, 18, 0, 1], 50_000);
    let server = ([192, 168, 1, 10], 443);
    let (source, target) = match from {
        From::Client => (client, server),
        From::Server => (server, client),
    };
    let mut frame = Vec::with_capacity(payload.len() + 60);
    PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2])
        .ipv4(source.0, target.0, 60)
        .udp(source.1, target.1)
        .write(&mut frame, payload)
        .expect("a Vec takes all");
    frame
}
