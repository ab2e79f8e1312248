//! From secrets to keys: HKDF of TLS 1.3 (RFC 8446 §7.1) and the PRF of the older versions
//! (RFC 5246 §5, RFC 2246 §5).

use ring::hkdf;

use crate::app::tls::hash::{Digest, Hash, HmacKey};
use crate::app::tls::keylog::MASTER_SECRET_BYTES;

/// HKDF-Expand-Label with an empty context (RFC 8446 §7.1). None for a hash that TLS 1.3 does
/// not use.
pub(in crate::app) fn expand_label<const N: usize>(
    hash: Hash,
    secret: &[u8],
    label: &str,
) -> Option<[u8; N]> {
    let mut out = [0; N];
    expand_label_into(hash, secret, label, &mut out)?;
    Some(out)
}

/// The same for a length that is not known before.
pub(in crate::app) fn expand_label_into(
    hash: Hash,
    secret: &[u8],
    label: &str,
    out: &mut [u8],
) -> Option<()> {
    expand_prefixed_into(hash, secret, [LABEL_PREFIX, label], out)
}

/// The same with another word before the label.
pub(super) fn expand_prefixed_into(
    hash: Hash,
    secret: &[u8],
    [prefix, label]: [&str; 2],
    out: &mut [u8],
) -> Option<()> {
    let algorithm = match hash {
        Hash::Sha256 => hkdf::HKDF_SHA256,
        Hash::Sha384 => hkdf::HKDF_SHA384,
        Hash::Md5 | Hash::Sha1 => return None,
    };
    let length = u16::try_from(out.len()).ok()?.to_be_bytes();
    let label_length = u8::try_from(prefix.len() + label.len()).ok()?;
    let info: [&[u8]; 5] = [
        &length,
        &[label_length],
        prefix.as_bytes(),
        label.as_bytes(),
        &[0],
    ];
    let key = hkdf::Prk::new_less_safe(algorithm, secret);
    key.expand(&info, Length(out.len())).ok()?.fill(out).ok()
}

/// Fills `out` with the key block of a connection (RFC 5246 §6.3); `hash` counts since TLS 1.2.
pub(super) fn key_block(
    version: u16,
    hash: Hash,
    master_secret: &[u8],
    server_random: &[u8; 32],
    client_random: &[u8; 32],
    out: &mut [u8],
) -> Option<()> {
    if version < TLS10 {
        ssl3_stream(master_secret, [server_random, client_random], out);
        return Some(());
    }
    let seed: [&[u8]; 3] = [b"key expansion", server_random, client_random];
    prf(version, hash, master_secret, &seed, out)
}

/// What a master secret is made from besides the one that both sides agreed on.
pub(super) enum Binding<'a> {
    /// Both random numbers, the client's first (RFC 5246 §8.1).
    Randoms([&'a [u8; 32]; 2]),
    /// The handshake so far (RFC 7627 §4).
    Handshake(&'a [&'a [u8]]),
}

/// The master secret of TLS 1.2 and older.
pub(super) fn master_secret(
    version: u16,
    hash: Hash,
    pre_master: &[u8],
    binding: &Binding<'_>,
) -> Option<[u8; MASTER_SECRET_BYTES]> {
    let mut out = [0; MASTER_SECRET_BYTES];
    match binding {
        Binding::Randoms(randoms) if version < TLS10 => ssl3_stream(pre_master, *randoms, &mut out),
        Binding::Randoms([client, server]) => {
            let seed: [&[u8]; 3] = [b"master secret", *client, *server];
            prf(version, hash, pre_master, &seed, &mut out)?;
        }
        Binding::Handshake(messages) => {
            let [first, second] = match version {
                ..TLS12 => [Hash::Md5.digest(messages), Hash::Sha1.digest(messages)],
                _ => [hash.digest(messages), Digest::NONE],
            };
            let seed = [
                &b"extended master secret"[..],
                first.bytes(),
                second.bytes(),
            ];
            prf(version, hash, pre_master, &seed, &mut out)?;
        }
    }
    Some(out)
}

/// The pseudo-random function (RFC 5246 §5, RFC 2246 §5), added to `out` bit by bit.
fn prf(version: u16, hash: Hash, secret: &[u8], seed: &[&[u8]; 3], out: &mut [u8]) -> Option<()> {
    if version >= TLS12 {
        return add_hmac_stream(hash, secret, seed, out);
    }
    // Both halves share the middle byte of a secret of odd length.
    let half = secret.len().div_ceil(2);
    let first = secret.get(..half)?;
    let second = secret.get(secret.len() - half..)?;
    add_hmac_stream(Hash::Md5, first, seed, out)?;
    add_hmac_stream(Hash::Sha1, second, seed, out)
}

/// The same of SSL 3.0 (RFC 6101 §6.1, §6.2.2).
fn ssl3_stream(secret: &[u8], [first, second]: [&[u8; 32]; 2], out: &mut [u8]) {
    for (part, (letter, count)) in out
        .chunks_mut(Hash::Md5.bytes())
        .zip((b'A'..=b'Z').zip(1..))
    {
        let label = vec![letter; count];
        let inner = Hash::Sha1.digest(&[&label, secret, first, second]);
        let stream = Hash::Md5.digest(&[secret, inner.bytes()]);
        let pairs = part.iter_mut().zip(stream.bytes());
        pairs.for_each(|(into, byte)| *into = *byte);
    }
}

/// P_hash (RFC 5246 §5), added to `out` bit by bit.
fn add_hmac_stream(hash: Hash, secret: &[u8], seed: &[&[u8]; 3], out: &mut [u8]) -> Option<()> {
    let key = HmacKey::new(hash, secret)?;
    let [label, one, other] = *seed;
    let mut link = key.digest(seed);
    for part in out.chunks_mut(hash.bytes()) {
        let stream = key.digest(&[link.bytes(), label, one, other]);
        let pairs = part.iter_mut().zip(stream.bytes());
        pairs.for_each(|(into, byte)| *into ^= byte);
        link = key.digest(&[link.bytes()]);
    }
    Some(())
}

struct Length(usize);

impl hkdf::KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

pub(super) const LABEL_PREFIX: &str = "tls13 ";
const TLS10: u16 = 0x0301;
const TLS12: u16 = 0x0303;

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
        let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16);
        digits.chunks(2).map(|two| pair(two).unwrap()).collect()
    }

    /// RFC 8448 §3: the server's handshake traffic keys.
    #[test]
    fn a_traffic_secret_gives_key_and_iv() {
        let secret = bytes(
            "b6 7b 7d 69 0c c1 6c 4e 75 e5 42 13 cb 2d 37 b4 e9 c9 12 bc de d9 10 5d 42 be fd 59 \
             d3 91 ad 38",
        );
        let key: [u8; 16] = expand_label(Hash::Sha256, &secret, "key").unwrap();
        let iv: [u8; 12] = expand_label(Hash::Sha256, &secret, "iv").unwrap();
        assert_eq!(
            key[..],
            bytes("3f ce 51 60 09 c2 17 27 d0 f2 e4 e8 6e e4 03 bc")
        );
        assert_eq!(iv[..], bytes("5d 31 3e b2 67 12 76 ee 13 00 0b 30"));
    }

    /// Computed by `openssl kdf -kdfopt digest:... TLS1-PRF`.
    #[test]
    fn a_master_secret_gives_the_key_block_that_openssl_gives() {
        for (version, hash, expected) in [
            (
                0x0303,
                Hash::Sha256,
                "39 52 b0 f3 2c 2c 8e bc b7 4d ff 89 03 6f 10 89 ed 84 43 2b 9b 4c b6 9f b5 d9 cf b1 3d c8 5d 08 c6 de 8a 66 4a 01 2c 37 f6 51 f4 77 00 a5 57 16 e0 73 a1 9e 2c 8e 9d 4d",
            ),
            (
                0x0303,
                Hash::Sha384,
                "5b 4b 62 4a 10 99 55 ea 01 91 a9 81 f1 35 d2 4d 97 de ed a8 65 cd 0f b9 9b a8 d7 5b 90 95 b4 b2 87 ad cd 05 50 05 75 39 14 6a ce 40 cf 2c e4 6a 68 bb 33 06 2d 6e d5 87",
            ),
            (
                0x0301,
                Hash::Sha256,
                "4d 9d 60 37 8b b5 b9 8d 16 65 9c 84 ac 34 26 c2 a7 54 10 05 7a f4 93 72 f0 6f 0c 58 cb fa 72 dc 51 a2 a2 56 6d ec f3 8a 94 77 6d 2f 7f 86 49 c5 34 f5 cf 1f b4 b2 6e 4e",
            ),
        ] {
            let mut out = [0; 56];
            key_block(version, hash, &[1; 48], &[2; 32], &[3; 32], &mut out).unwrap();
            assert_eq!(out[..], bytes(expected), "{version:x} {hash:?}");
        }
    }
    /// Computed by `openssl kdf ... TLS1-PRF`.
    #[test]
    fn a_master_secret_is_bound_to_both_randoms_or_to_the_handshake() {
        let randoms = Binding::Randoms([&[3; 32], &[2; 32]]);
        assert_eq!(
            master_secret(0x0303, Hash::Sha256, &[1; 48], &randoms).unwrap()[..],
            bytes(
                "cc0b231c3328aa0cc7ab78d24979e9749aa4e8264439a8aec0c31b700514cd8e5a0d3edd288d6719\
                 0dce6f718becd694"
            )
        );
        let handshake = Binding::Handshake(&[b"a", b"bc"]);
        assert_eq!(
            master_secret(0x0302, Hash::Sha256, &[1; 48], &handshake).unwrap()[..],
            bytes(
                "c23e48e511e67e5404c795443fc7c9116c14261830234d059df158664d037d058627fdf02194a939\
                 baa7964390cb45ce"
            )
        );
    }
}
