//! Cipher suites (IANA, TLS Cipher Suites): how records are protected. How keys are exchanged
//! makes no difference to whoever has the secret.

use crate::app::tls::hash::Hash;

/// What a cipher suite means for records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::app) struct Suite {
    pub(in crate::app) cipher: Cipher,
    /// The hash of the MAC; none where the cipher itself authenticates.
    pub(super) mac: Option<Hash>,
    /// The hash by which keys are derived since TLS 1.2.
    pub(in crate::app) hash: Hash,
}

/// A cipher with its mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::app) enum Cipher {
    Aes128Gcm,
    Aes256Gcm,
    ChaCha20Poly1305,
    Aes128Ccm,
    Aes256Ccm,
    /// With a tag of 8 bytes (RFC 6655 §4).
    Aes128Ccm8,
    Aes256Ccm8,
    Aes128Cbc,
    Aes256Cbc,
    Camellia128Cbc,
    Camellia256Cbc,
    Aria128Gcm,
    Aria256Gcm,
    Camellia128Gcm,
    Camellia256Gcm,
    Aria128Cbc,
    Aria256Cbc,
    IdeaCbc,
    TripleDesCbc,
    DesCbc,
    Rc4,
    /// Only a MAC.
    Null,
}

impl Suite {
    /// The suite of a number; None for one that is not read.
    pub(in crate::app) fn of(number: u16) -> Option<Self> {
        let (cipher, mac, hash) = match number {
            0x1301 => (Cipher::Aes128Gcm, None, Hash::Sha256),
            0x1302 => (Cipher::Aes256Gcm, None, Hash::Sha384),
            0x1303 => (Cipher::ChaCha20Poly1305, None, Hash::Sha256),
            0x1304 => (Cipher::Aes128Ccm, None, Hash::Sha256),
            0x1305 => (Cipher::Aes128Ccm8, None, Hash::Sha256),
            _ => {
                let found = aead(number).or_else(|| with_mac(number));
                return found.or_else(|| aria_or_camellia(number));
            }
        };
        Some(Self { cipher, mac, hash })
    }

    /// Whether it is one of TLS 1.3 (RFC 8446 §B.4).
    pub(in crate::app) const fn is_of_tls13(number: u16) -> bool {
        matches!(number, 0x1301..=0x1305)
    }
}

impl Cipher {
    /// Bytes of its key.
    pub(in crate::app) const fn key_bytes(self) -> usize {
        match self {
            Self::Aes128Gcm
            | Self::Aes128Ccm
            | Self::Aes128Ccm8
            | Self::Aes128Cbc
            | Self::Camellia128Cbc
            | Self::Aria128Gcm
            | Self::Camellia128Gcm
            | Self::Aria128Cbc
            | Self::IdeaCbc
            | Self::Rc4 => 16,
            Self::TripleDesCbc => 24,
            Self::DesCbc => 8,
            Self::Aes256Gcm
            | Self::Aes256Ccm
            | Self::Aes256Ccm8
            | Self::Aes256Cbc
            | Self::Camellia256Cbc
            | Self::Aria256Gcm
            | Self::Camellia256Gcm
            | Self::Aria256Cbc
            | Self::ChaCha20Poly1305 => 32,
            Self::Null => 0,
        }
    }

    /// Bytes of the part of nonce or initialisation vector that TLS 1.2 and older derive.
    pub(super) const fn fixed_iv_bytes(self) -> usize {
        match self {
            Self::Aes128Gcm
            | Self::Aes256Gcm
            | Self::Aes128Ccm
            | Self::Aes256Ccm
            | Self::Aes128Ccm8
            | Self::Aes256Ccm8
            | Self::Aria128Gcm
            | Self::Aria256Gcm
            | Self::Camellia128Gcm
            | Self::Camellia256Gcm => 4,
            Self::ChaCha20Poly1305 => 12,
            Self::Aes128Cbc
            | Self::Aes256Cbc
            | Self::Camellia128Cbc
            | Self::Camellia256Cbc
            | Self::Aria128Cbc
            | Self::Aria256Cbc => 16,
            Self::TripleDesCbc | Self::DesCbc | Self::IdeaCbc => 8,
            Self::Rc4 | Self::Null => 0,
        }
    }
}

/// Suites of TLS 1.2 whose ciphers authenticate (RFC 5288, 5289, 5487, 6655, 7251, 7905, 8442).
fn aead(number: u16) -> Option<Suite> {
    let (cipher, hash) = match number {
        0x009c | 0x009e | 0x00a0 | 0x00a2 | 0x00a4 | 0x00a6 | 0x00a8 | 0x00aa | 0x00ac | 0xc02b
        | 0xc02d | 0xc02f | 0xc031 | 0xc0b0 | 0xd001 => (Cipher::Aes128Gcm, Hash::Sha256),
        0x009d | 0x009f | 0x00a1 | 0x00a3 | 0x00a5 | 0x00a7 | 0x00a9 | 0x00ab | 0x00ad | 0xc02c
        | 0xc02e | 0xc030 | 0xc032 | 0xc0b1 | 0xd002 => (Cipher::Aes256Gcm, Hash::Sha384),
        0xcca8..=0xccae => (Cipher::ChaCha20Poly1305, Hash::Sha256),
        0xc09c | 0xc09e | 0xc0a4 | 0xc0a6 | 0xc0ac | 0xc0b2 | 0xd005 => {
            (Cipher::Aes128Ccm, Hash::Sha256)
        }
        0xc09d | 0xc09f | 0xc0a5 | 0xc0a7 | 0xc0ad => (Cipher::Aes256Ccm, Hash::Sha256),
        0xc0b3 => (Cipher::Aes256Ccm, Hash::Sha384),
        0xc0a0 | 0xc0a2 | 0xc0a8 | 0xc0aa | 0xc0ae | 0xd003 => (Cipher::Aes128Ccm8, Hash::Sha256),
        0xc0a1 | 0xc0a3 | 0xc0a9 | 0xc0ab | 0xc0af => (Cipher::Aes256Ccm8, Hash::Sha256),
        _ => return None,
    };
    Some(Suite {
        cipher,
        mac: None,
        hash,
    })
}

/// Suites in pairs, the first of 128 bits with SHA-256, the second of 256 with SHA-384 (RFC 6209,
/// RFC 6367).
fn aria_or_camellia(number: u16) -> Option<Suite> {
    let (pair, authenticates) = match number {
        0xc03c..=0xc04f | 0xc064..=0xc069 | 0xc070..=0xc071 => {
            ([Cipher::Aria128Cbc, Cipher::Aria256Cbc], false)
        }
        0xc050..=0xc063 | 0xc06a..=0xc06f => ([Cipher::Aria128Gcm, Cipher::Aria256Gcm], true),
        0xc072..=0xc079 | 0xc094..=0xc09b => {
            ([Cipher::Camellia128Cbc, Cipher::Camellia256Cbc], false)
        }
        0xc07a..=0xc093 => ([Cipher::Camellia128Gcm, Cipher::Camellia256Gcm], true),
        _ => return None,
    };
    let (cipher, hash) = match (pair, number % 2) {
        ([first, _], 0) => (first, Hash::Sha256),
        ([_, second], _) => (second, Hash::Sha384),
    };
    Some(Suite {
        cipher,
        mac: (!authenticates).then_some(hash),
        hash,
    })
}

/// Suites with a MAC of its own (RFC 2246, 2712, 4162, 4279, 4492, 4785, 5246, 5289, 5469,
/// 5487, 5489, 5932).
fn with_mac(number: u16) -> Option<Suite> {
    let (cipher, mac) = match number {
        0x002f..=0x0034
        | 0x008c
        | 0x0090
        | 0x0094
        | 0xc004
        | 0xc009
        | 0xc00e
        | 0xc013
        | 0xc018
        | 0xc01d..=0xc01f
        | 0xc035 => (Cipher::Aes128Cbc, Hash::Sha1),
        0x0035..=0x003a
        | 0x008d
        | 0x0091
        | 0x0095
        | 0xc005
        | 0xc00a
        | 0xc00f
        | 0xc014
        | 0xc019
        | 0xc020..=0xc022
        | 0xc036 => (Cipher::Aes256Cbc, Hash::Sha1),
        0x003c
        | 0x003e..=0x0040
        | 0x0067
        | 0x006c
        | 0x00ae
        | 0x00b2
        | 0x00b6
        | 0xc023
        | 0xc025
        | 0xc027
        | 0xc029
        | 0xc037 => (Cipher::Aes128Cbc, Hash::Sha256),
        0x003d | 0x0068..=0x006b | 0x006d => (Cipher::Aes256Cbc, Hash::Sha256),
        0x00af | 0x00b3 | 0x00b7 | 0xc024 | 0xc026 | 0xc028 | 0xc02a | 0xc038 => {
            (Cipher::Aes256Cbc, Hash::Sha384)
        }
        0x0041..=0x0046 => (Cipher::Camellia128Cbc, Hash::Sha1),
        0x0084..=0x0089 => (Cipher::Camellia256Cbc, Hash::Sha1),
        0x00ba..=0x00bf => (Cipher::Camellia128Cbc, Hash::Sha256),
        0x00c0..=0x00c5 => (Cipher::Camellia256Cbc, Hash::Sha256),
        0x0007 | 0x0021 => (Cipher::IdeaCbc, Hash::Sha1),
        0x0025 => (Cipher::IdeaCbc, Hash::Md5),
        0x0009 | 0x000c | 0x000f | 0x0012 | 0x0015 | 0x001a | 0x001e => {
            (Cipher::DesCbc, Hash::Sha1)
        }
        0x0022 => (Cipher::DesCbc, Hash::Md5),
        0x0023 => (Cipher::TripleDesCbc, Hash::Md5),
        0x000a
        | 0x000d
        | 0x0010
        | 0x0013
        | 0x0016
        | 0x001b
        | 0x001f
        | 0x008b
        | 0x008f
        | 0x0093
        | 0xc003
        | 0xc008
        | 0xc00d
        | 0xc012
        | 0xc017
        | 0xc01a..=0xc01c
        | 0xc034 => (Cipher::TripleDesCbc, Hash::Sha1),
        0x0004 | 0x0018 | 0x0024 => (Cipher::Rc4, Hash::Md5),
        0x0005 | 0x0020 | 0x0066 | 0x008a | 0x008e | 0x0092 | 0xc002 | 0xc007 | 0xc00c | 0xc011
        | 0xc016 | 0xc033 => (Cipher::Rc4, Hash::Sha1),
        0x0001 => (Cipher::Null, Hash::Md5),
        0x0002 | 0x002c..=0x002e | 0xc001 | 0xc006 | 0xc00b | 0xc010 | 0xc015 | 0xc039 => {
            (Cipher::Null, Hash::Sha1)
        }
        0x003b | 0x00b0 | 0x00b4 | 0x00b8 | 0xc03a => (Cipher::Null, Hash::Sha256),
        0x00b1 | 0x00b5 | 0x00b9 | 0xc03b => (Cipher::Null, Hash::Sha384),
        _ => return None,
    };
    Some(Suite {
        cipher,
        mac: Some(mac),
        hash: if mac == Hash::Sha384 {
            mac
        } else {
            Hash::Sha256
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn well_known_suites_are_what_their_names_say() {
        for (number, cipher, mac, hash) in [
            (0x1302, Cipher::Aes256Gcm, None, Hash::Sha384),
            (0xc02f, Cipher::Aes128Gcm, None, Hash::Sha256), // ECDHE-RSA-AES128-GCM-SHA256
            (0xcca8, Cipher::ChaCha20Poly1305, None, Hash::Sha256), // ECDHE-RSA-CHACHA20-POLY1305
            (0xc0ae, Cipher::Aes128Ccm8, None, Hash::Sha256), // ECDHE-ECDSA-AES128-CCM8
            (0x002f, Cipher::Aes128Cbc, Some(Hash::Sha1), Hash::Sha256), // AES128-SHA
            (0xc028, Cipher::Aes256Cbc, Some(Hash::Sha384), Hash::Sha384), // ECDHE-RSA-AES256-SHA384
            (0x000a, Cipher::TripleDesCbc, Some(Hash::Sha1), Hash::Sha256), // DES-CBC3-SHA
            (0x0004, Cipher::Rc4, Some(Hash::Md5), Hash::Sha256),          // RC4-MD5
            (0xc05d, Cipher::Aria256Gcm, None, Hash::Sha384), // ECDHE-ECDSA-ARIA256-GCM-SHA384
            (0xc060, Cipher::Aria128Gcm, None, Hash::Sha256), // ECDHE-ARIA128-GCM-SHA256
            (0xc071, Cipher::Aria256Cbc, Some(Hash::Sha384), Hash::Sha384), // ECDHE-PSK-ARIA256-CBC
            (
                0xc076,
                Cipher::Camellia128Cbc,
                Some(Hash::Sha256),
                Hash::Sha256,
            ), // ECDHE-RSA
            (0xc08b, Cipher::Camellia256Gcm, None, Hash::Sha384), // ECDHE-RSA-CAMELLIA256-GCM
        ] {
            let found = Suite::of(number).unwrap();
            assert_eq!(found, Suite { cipher, mac, hash }, "{number:04x}");
        }
    }

    #[test]
    fn suites_that_are_not_read_are_none() {
        for number in [
            0x0000, 0x0003, 0x0006, 0x0008, 0x0096, 0x00ff, 0x00c6, 0x1306, 0x5600, 0xc0b4, 0x0a0a,
        ] {
            assert_eq!(Suite::of(number), None, "{number:04x}");
        }
    }

    #[test]
    fn no_suite_has_two_meanings() {
        let all = 0..=u16::MAX;
        assert!(all.clone().all(|one| {
            [aead(one), with_mac(one), aria_or_camellia(one)]
                .iter()
                .flatten()
                .count()
                < 2
        }));
        assert_eq!(
            all.filter(|one| Suite::of(*one).is_some()).count(),
            5 + 61 + 154 + 96
        );
    }
}
