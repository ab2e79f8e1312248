//! A client's side of TLS 1.3: a hello, records that a known secret opens.

use canarytap::engine::app::tls::keylog::{KeyLabel, KeyLogEntry, Secret};
use ring::{aead, hkdf};

const SECRET: [u8; 32] = [7; 32];

/// What a key log says of the client with this random.
pub fn secret(client_random: [u8; 32]) -> KeyLogEntry {
    KeyLogEntry {
        client_random,
        label: KeyLabel::ClientTraffic,
        secret: Secret::new(&SECRET).expect("32 bytes"),
    }
}

/// A record with a hello of TLS 1.3, about as long as a browser's of 2020.
pub fn client_hello(host: &str, random: [u8; 32]) -> Vec<u8> {
    let name = with_length(&[&[0][..], &with_length(host.as_bytes())].concat());
    let extensions = [
        [&[0, 0][..], &with_length(&name)].concat(),
        [&[0, 43][..], &with_length(&[2, 3, 4])].concat(),
        [&[0, 13][..], &with_length(&[0, 4, 4, 3, 8, 4])].concat(),
        [&[0, 21][..], &with_length(&[0; 350])].concat(),
    ];
    let body = [
        &[3, 3][..],
        &random,
        &[0],
        &with_length(&[0x13, 1, 0x13, 2, 0x13, 3, 0xc0, 0x2b]),
        &[1, 0],
        &with_length(&extensions.concat()),
    ]
    .concat();
    let message = [&[1, 0][..], &with_length(&body)].concat();
    [&[22, 3, 1][..], &with_length(&message)].concat()
}

/// Seals one content after another with AES-128-GCM.
pub struct Sealer {
    key: aead::LessSafeKey,
    iv: [u8; 12],
    sequence: u64,
}

impl Sealer {
    pub fn new() -> Self {
        let key = aead::UnboundKey::new(&aead::AES_128_GCM, &expand::<16>("key"));
        Self {
            key: aead::LessSafeKey::new(key.expect("16 bytes")),
            iv: expand("iv"),
            sequence: 0,
        }
    }

    /// A record of application data.
    pub fn seal(&mut self, content: &[u8]) -> Vec<u8> {
        let mut sealed = [content, &[23]].concat();
        let length = ((sealed.len() + 16) as u16).to_be_bytes();
        let header = [23, 3, 3, length[0], length[1]];
        let mut nonce = self.iv;
        for (byte, part) in nonce[4..].iter_mut().zip(self.sequence.to_be_bytes()) {
            *byte ^= part;
        }
        self.sequence += 1;
        let nonce = aead::Nonce::assume_unique_for_key(nonce);
        self.key
            .seal_in_place_append_tag(nonce, aead::Aad::from(header), &mut sealed)
            .expect("short enough");
        [&header[..], &sealed].concat()
    }
}

fn expand<const N: usize>(label: &str) -> [u8; N] {
    struct Length(usize);
    impl hkdf::KeyType for Length {
        fn len(&self) -> usize {
            self.0
        }
    }
    let label = format!("tls13 {label}");
    let lengths = [0, N as u8, label.len() as u8];
    let info = [&lengths[..], label.as_bytes(), &[0]];
    let key = hkdf::Prk::new_less_safe(hkdf::HKDF_SHA256, &SECRET);
    let mut out = [0; N];
    key.expand(&info, Length(N))
        .and_then(|okm| okm.fill(&mut out))
        .expect("short enough");
    out
}

fn with_length(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u16).to_be_bytes()[..], bytes].concat()
}
