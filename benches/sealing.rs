//! TLS 1.3 in the making: hellos, and records of a client that a known secret opens.

use canarytap::engine::app::tls::keylog::{KeyLabel, KeyLogEntry, Secret};
use ring::{aead, hkdf};

/// What key logs name a connection by.
pub type Random = [u8; 32];

/// A cipher suite of TLS 1.3 (RFC 8446 §B.4).
#[derive(Clone, Copy)]
pub struct Suite {
    number: u16,
    aead: &'static aead::Algorithm,
    hash: hkdf::Algorithm,
    /// Bytes of its secrets.
    #[allow(dead_code, reason = "not everybody needs it")]
    pub secret_len: usize,
}

impl Suite {
    pub fn aes_128_gcm() -> Self {
        Self {
            number: 0x1301,
            aead: &aead::AES_128_GCM,
            hash: hkdf::HKDF_SHA256,
            secret_len: 32,
        }
    }

    #[allow(dead_code, reason = "not everybody needs all of them")]
    pub fn all() -> [Self; 3] {
        let aes_256_gcm = Self {
            number: 0x1302,
            aead: &aead::AES_256_GCM,
            hash: hkdf::HKDF_SHA384,
            secret_len: 48,
        };
        let chacha20_poly1305 = Self {
            number: 0x1303,
            aead: &aead::CHACHA20_POLY1305,
            ..Self::aes_128_gcm()
        };
        [Self::aes_128_gcm(), aes_256_gcm, chacha20_poly1305]
    }
}

/// What a key log says of the client with this random.
#[allow(dead_code, reason = "not everybody needs it")]
pub fn entry(client_random: Random, secret: &[u8]) -> KeyLogEntry {
    KeyLogEntry {
        client_random,
        label: KeyLabel::ClientTraffic,
        secret: Secret::new(secret).expect("as long as a hash"),
    }
}

/// A record with a client's hello of TLS 1.3, about as long as a browser's of 2020.
pub fn client_hello(host: &str, random: Random) -> Vec<u8> {
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
    ];
    handshake(1, &body.concat())
}

/// A record with the server's hello to it.
#[allow(dead_code, reason = "not everybody needs it")]
pub fn server_hello(suite: Suite) -> Vec<u8> {
    let version = [&[0, 43][..], &with_length(&[3, 4])].concat();
    let body = [
        &[3, 3][..],
        &[5; 32],
        &[0],
        &suite.number.to_be_bytes(),
        &[0],
        &with_length(&version),
    ];
    handshake(2, &body.concat())
}

fn handshake(kind: u8, body: &[u8]) -> Vec<u8> {
    let message = [&[kind, 0][..], &with_length(body)].concat();
    [&[22, 3, 1][..], &with_length(&message)].concat()
}

/// Seals one content after another under a secret.
pub struct Sealer {
    key: aead::LessSafeKey,
    iv: [u8; 12],
    sequence: u64,
}

impl Sealer {
    pub fn new(suite: Suite, secret: &[u8]) -> Self {
        let secret = hkdf::Prk::new_less_safe(suite.hash, secret);
        let key = expand(&secret, "key", suite.aead.key_len());
        let iv = expand(&secret, "iv", 12);
        let key = aead::UnboundKey::new(suite.aead, &key).expect("as long as its key");
        Self {
            key: aead::LessSafeKey::new(key),
            iv: iv.try_into().expect("12 bytes"),
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

/// HKDF-Expand-Label (RFC 8446 §7.1), without context.
pub fn expand(secret: &hkdf::Prk, label: &str, length: usize) -> Vec<u8> {
    struct Length(usize);
    impl hkdf::KeyType for Length {
        fn len(&self) -> usize {
            self.0
        }
    }
    let label = format!("tls13 {label}");
    let lengths = [0, length as u8, label.len() as u8];
    let info = [&lengths[..], label.as_bytes(), &[0]];
    let mut out = vec![0; length];
    secret
        .expand(&info, Length(length))
        .and_then(|okm| okm.fill(&mut out))
        .expect("short enough");
    out
}

fn with_length(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u16).to_be_bytes()[..], bytes].concat()
}
