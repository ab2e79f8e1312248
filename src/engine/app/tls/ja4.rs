//! JA4: a fingerprint of TLS clients, by the hello alone.
//!
//! JA4 is described at <https://github.com/FoxIO-LLC/ja4/blob/main/technical_details/JA4.md> and
//! free to use (BSD 3-clause). Nothing else of the JA4+ suite is used here.

use std::fmt::Write;

use ring::digest;

use crate::app::tls::client_hello::{ClientHello, is_grease};
use crate::app::tls::extensions::extension;

/// What carries the hello.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// TLS over TCP.
    Tcp,
    /// QUIC, in the connection of this number.
    Quic(u64),
}

impl Carrier {
    /// The number of its connection, where that is not named by its endpoints.
    pub const fn connection(self) -> Option<u64> {
        match self {
            Self::Tcp => None,
            Self::Quic(number) => Some(number),
        }
    }
}

/// The JA4 of a hello, 36 characters: `t13d1516h2_8daaf6152771_e5627efa2ab1`.
pub fn ja4(hello: &ClientHello<'_>, carrier: Carrier) -> String {
    let ciphers = without_grease(hello.ciphers.iter());
    let extensions = without_grease(hello.extensions.iter().map(|(kind, _)| kind));
    let carrier = match carrier {
        Carrier::Tcp => 't',
        Carrier::Quic(_) => 'q',
    };
    let name = match hello.extensions.find(extension::SERVER_NAME) {
        Some(_) => 'd',
        None => 'i',
    };
    format!(
        "{carrier}{}{name}{:02}{:02}{}_{}_{}",
        version(hello.newest_version()),
        ciphers.len().min(99),
        extensions.len().min(99),
        protocol(hello.protocols().next().unwrap_or_default()),
        cipher_part(ciphers),
        extension_part(extensions, hello),
    )
}

fn without_grease(numbers: impl Iterator<Item = u16>) -> Vec<u16> {
    numbers.filter(|number| !is_grease(*number)).collect()
}

const fn version(version: u16) -> &'static str {
    match version {
        0x0304 => "13",
        0x0303 => "12",
        0x0302 => "11",
        0x0301 => "10",
        0x0300 => "s3",
        0x0002 => "s2",
        _ => "00",
    }
}

/// First and last character of the first protocol; of one that does not begin and end with
/// letters or digits those of its hexadecimal form.
fn protocol(name: &[u8]) -> String {
    let (Some(first), Some(last)) = (name.first(), name.last()) else {
        return "00".to_owned();
    };
    if first.is_ascii_alphanumeric() && last.is_ascii_alphanumeric() {
        return [*first, *last].map(char::from).iter().collect();
    }
    format!("{:x}{:x}", first >> 4, last & 15)
}

fn cipher_part(mut ciphers: Vec<u16>) -> String {
    ciphers.sort_unstable();
    digest_of(&hexadecimal(&ciphers))
}

fn extension_part(mut extensions: Vec<u16>, hello: &ClientHello<'_>) -> String {
    extensions.retain(|kind| ![extension::SERVER_NAME, extension::ALPN].contains(kind));
    extensions.sort_unstable();
    let mut text = hexadecimal(&extensions);
    let signatures = without_grease(hello.signature_algorithms().iter());
    if !signatures.is_empty() {
        text.push('_');
        text.push_str(&hexadecimal(&signatures));
    }
    digest_of(&text)
}

fn hexadecimal(numbers: &[u16]) -> String {
    let numbers: Vec<_> = numbers.iter().map(|one| format!("{one:04x}")).collect();
    numbers.join(",")
}

/// The first twelve hexadecimal digits of SHA-256; zeros for nothing.
fn digest_of(text: &str) -> String {
    if text.is_empty() {
        return "0".repeat(2 * DIGEST_BYTES);
    }
    let digest = digest::digest(&digest::SHA256, text.as_bytes());
    let mut written = String::with_capacity(2 * DIGEST_BYTES);
    for byte in digest.as_ref().iter().take(DIGEST_BYTES) {
        // Writing to a string cannot fail.
        let _ = write!(written, "{byte:02x}");
    }
    written
}

const DIGEST_BYTES: usize = 6;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::tls::client_hello::tests::{Hello, numbers, server_name, vector8, vector16};

    fn of(hello: &Hello, carrier: Carrier) -> String {
        ja4(&ClientHello::parse(&hello.body()).unwrap(), carrier)
    }

    /// The browser in JA4's own description: its lists in another order, and GREASE among them.
    fn browser() -> Hello {
        let ciphers = [
            0x2a2a, 0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc013,
            0xc014, 0x009c, 0x009d, 0x002f, 0x0035,
        ];
        let signatures = [
            0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601,
        ];
        let plain = [
            0x001b, 0x0033, 0x4469, 0x0017, 0x002d, 0x0005, 0x0023, 0x0012, 0xff01, 0x000b, 0x000a,
            0x0015,
        ];
        let mut extensions = vec![
            (0x8a8a, vec![]),
            server_name("www.example.org"),
            (
                16,
                vector16(&[vector8(b"h2"), vector8(b"http/1.1")].concat()),
            ),
            (43, vector8(&numbers(&[0x9a9a, 0x0304, 0x0303]))),
            (13, vector16(&numbers(&signatures))),
        ];
        extensions.extend(plain.map(|kind| (kind, vec![])));
        Hello {
            version: 0x0303,
            ciphers: ciphers.to_vec(),
            extensions,
        }
    }

    #[test]
    fn the_published_example_has_its_published_fingerprint() {
        assert_eq!(
            of(&browser(), Carrier::Tcp),
            "t13d1516h2_8daaf6152771_e5627efa2ab1"
        );
        assert!(of(&browser(), Carrier::Quic(1)).starts_with("q13d1516h2_"));
    }

    #[test]
    fn a_hello_without_anything_has_zeros() {
        let bare = Hello {
            version: 0x0301,
            ciphers: vec![],
            extensions: vec![],
        };
        assert_eq!(
            of(&bare, Carrier::Tcp),
            "t10i000000_000000000000_000000000000"
        );
    }

    /// The second digest is that of "000a,0017", by sha256sum.
    #[test]
    fn without_signature_algorithms_nothing_follows_the_extensions() {
        let hello = Hello {
            version: 0x0302,
            ciphers: vec![0x002f; 120],
            extensions: vec![(23, vec![]), (10, vec![])],
        };
        let found = of(&hello, Carrier::Tcp);
        assert!(found.starts_with("t11i990200_"), "{found}");
        assert!(found.ends_with("_c5fbb8d9fc5a"), "{found}");
    }

    #[test]
    fn a_protocol_is_told_by_its_ends() {
        for (name, expected) in [
            (&b"h2"[..], "h2"),
            (b"http/1.1", "h1"),
            (b"h", "hh"),
            (b"", "00"),
            (&[0xab], "ab"),
            (&[0xab, 0xcd], "ad"),
            (&[0x30, 0xab], "3b"),
            (&[0x30, 0x31, 0xab, 0xcd], "3d"),
            (&[0x30, 0xab, 0xcd, 0x31], "01"),
        ] {
            assert_eq!(protocol(name), expected, "{name:?}");
        }
    }
}
