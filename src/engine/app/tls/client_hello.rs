//! The ClientHello of TLS 1.0 to 1.3 (RFC 8446 §4.1.2, RFC 5246 §7.4.1.2), over TCP and in QUIC.

use crate::app::tls::extensions::{Extensions, extension};
use crate::app::tls::reader::{Numbers, Reader};

/// A ClientHello, within the bytes that it was read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientHello<'a> {
    /// The version that old servers go by: 0x0303 at most.
    pub legacy_version: u16,
    /// What key logs name the connection by.
    pub random: &'a [u8; 32],
    /// At most 32 bytes in a hello that keeps the rules.
    pub session_id: &'a [u8],
    /// Cipher suites, in the client's order, GREASE among them.
    pub ciphers: Numbers<'a>,
    /// Compression methods of TLS 1.2 and older.
    pub compressions: &'a [u8],
    /// Extensions, in the client's order.
    pub extensions: Extensions<'a>,
}

/// Encrypted Client Hello in a ClientHello (RFC 9849 §5). Browsers send a made-up one to servers
/// that have none, so it says that the name may be an outer one, not that it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EncryptedHello {
    /// The hello is the outer one: its name is the public one.
    Outer,
    /// It is an inner one, which goes in clear text only between two servers.
    Inner,
}

/// Bytes that are no ClientHello.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HelloError {
    /// The field that does not fit into what is there.
    pub field: &'static str,
    /// Bytes that were left where it begins.
    pub left: usize,
}

impl<'a> ClientHello<'a> {
    /// Reads the body of a handshake message of type 1: what follows its four bytes of type and
    /// length. Bytes behind the extensions are forgiven, and so is a list of extensions that is
    /// cut short: what stands before the cut is read.
    ///
    /// # Errors
    /// [`HelloError`] names the first field that is not there as a whole.
    pub fn parse(body: &'a [u8]) -> Result<Self, HelloError> {
        let mut reader = Reader::new(body);
        let refuse = |field, reader: &Reader<'_>| HelloError {
            field,
            left: reader.rest().len(),
        };
        let legacy_version = reader.u16().ok_or(refuse("version", &reader))?;
        let random = reader.array().ok_or(refuse("random", &reader))?;
        let session_id = reader.vector8().ok_or(refuse("session id", &reader))?;
        let ciphers = reader.vector16().ok_or(refuse("cipher suites", &reader))?;
        let compressions = reader.vector8().ok_or(refuse("compression", &reader))?;
        Ok(Self {
            legacy_version,
            random,
            session_id,
            ciphers: Numbers::new(ciphers),
            compressions,
            extensions: Extensions::read(&mut reader),
        })
    }

    /// The server name (RFC 6066 §3), as on the wire. None when there is none, or an empty one.
    pub fn server_name(&self) -> Option<&'a [u8]> {
        let mut list = Reader::new(self.extension_vector(extension::SERVER_NAME)?);
        while let (Some(kind), Some(name)) = (list.u8(), list.vector16()) {
            if kind == HOST_NAME {
                return Some(name).filter(|name| !name.is_empty());
            }
        }
        None
    }

    /// The application protocols that the client offers (RFC 7301), in its order.
    pub fn protocols(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let list = self.extension_vector(extension::ALPN).unwrap_or_default();
        protocol_names(list)
    }

    /// The versions of TLS that the client offers (RFC 8446 §4.2.1); empty before TLS 1.3.
    pub fn versions(&self) -> Numbers<'a> {
        let body = self.extensions.find(extension::SUPPORTED_VERSIONS);
        let list = body.and_then(|body| Reader::new(body).vector8());
        Numbers::new(list.unwrap_or_default())
    }

    /// The signature algorithms that the client takes (RFC 8446 §4.2.3), in its order.
    pub fn signature_algorithms(&self) -> Numbers<'a> {
        let list = self.extension_vector(extension::SIGNATURE_ALGORITHMS);
        Numbers::new(list.unwrap_or_default())
    }

    /// The newest version that the client offers, GREASE apart (RFC 8701).
    pub fn newest_version(&self) -> u16 {
        let offered = self.versions().iter().filter(|one| !is_grease(*one));
        offered.max().unwrap_or(self.legacy_version)
    }

    /// Whether the client offers TLS 1.3.
    pub fn offers_tls13(&self) -> bool {
        self.versions().contains(TLS13)
    }

    /// Whether data under an early key follows the hello (RFC 8446 §4.2.10).
    pub fn has_early_data(&self) -> bool {
        self.extensions.find(extension::EARLY_DATA).is_some()
    }

    /// Encrypted Client Hello, if it is there.
    pub fn encrypted_hello(&self) -> Option<EncryptedHello> {
        let body = self.extensions.find(extension::ENCRYPTED_CLIENT_HELLO)?;
        match body.first() {
            Some(1) => Some(EncryptedHello::Inner),
            _ => Some(EncryptedHello::Outer),
        }
    }

    /// The list within an extension whose body is nothing but a list.
    fn extension_vector(&self, kind: u16) -> Option<&'a [u8]> {
        Reader::new(self.extensions.find(kind)?).vector16()
    }
}

/// Names of application protocols behind a length of one byte each (RFC 7301 §3.1).
pub(super) fn protocol_names(list: &[u8]) -> impl Iterator<Item = &[u8]> + use<'_> {
    let mut reader = Reader::new(list);
    std::iter::from_fn(move || reader.vector8())
}

/// Whether a number is one of those that stand for nothing (RFC 8701 §2).
pub const fn is_grease(number: u16) -> bool {
    number & 0x0f0f == 0x0a0a && number >> 8 == number & 0xff
}

/// TLS 1.3 in lists of versions.
pub const TLS13: u16 = 0x0304;
/// The only kind of name that was ever defined (RFC 6066 §3).
const HOST_NAME: u8 = 0;

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A ClientHello's body, put together field by field.
    pub(in crate::app::tls) struct Hello {
        pub(in crate::app::tls) version: u16,
        pub(in crate::app::tls) ciphers: Vec<u16>,
        pub(in crate::app::tls) extensions: Vec<(u16, Vec<u8>)>,
    }

    impl Hello {
        pub(in crate::app::tls) fn body(&self) -> Vec<u8> {
            let mut body = self.version.to_be_bytes().to_vec();
            body.extend([7; 32]);
            body.extend([2, 0xaa, 0xbb]);
            body.extend(vector16(&numbers(&self.ciphers)));
            body.extend([1, 0]);
            let extensions = self
                .extensions
                .iter()
                .map(|(kind, content)| [kind.to_be_bytes().to_vec(), vector16(content)].concat());
            body.extend(vector16(&extensions.collect::<Vec<_>>().concat()));
            body
        }
    }

    pub(in crate::app::tls) fn numbers(all: &[u16]) -> Vec<u8> {
        all.iter().flat_map(|one| one.to_be_bytes()).collect()
    }

    pub(in crate::app::tls) fn vector16(content: &[u8]) -> Vec<u8> {
        let length = u16::try_from(content.len()).unwrap().to_be_bytes();
        [&length[..], content].concat()
    }

    pub(in crate::app::tls) fn vector8(content: &[u8]) -> Vec<u8> {
        [&[u8::try_from(content.len()).unwrap()][..], content].concat()
    }

    pub(in crate::app::tls) fn server_name(name: &str) -> (u16, Vec<u8>) {
        let entry = [&[0][..], &vector16(name.as_bytes())].concat();
        (0, vector16(&entry))
    }

    fn modern() -> Hello {
        Hello {
            version: 0x0303,
            ciphers: vec![0x1a1a, 0x1301, 0xc02b],
            extensions: vec![
                (0x3a3a, vec![]),
                server_name("www.example.org"),
                (
                    16,
                    vector16(&[vector8(b"h2"), vector8(b"http/1.1")].concat()),
                ),
                (43, vector8(&numbers(&[0xdada, 0x0304, 0x0303]))),
                (13, vector16(&numbers(&[0x0403, 0x0804]))),
            ],
        }
    }

    #[test]
    fn a_modern_hello_is_read() {
        let body = modern().body();
        let hello = ClientHello::parse(&body).unwrap();
        assert_eq!(hello.random, &[7; 32]);
        assert_eq!(hello.session_id, &[0xaa, 0xbb]);
        assert_eq!(hello.server_name(), Some(&b"www.example.org"[..]));
        assert_eq!(
            hello.protocols().collect::<Vec<_>>(),
            [&b"h2"[..], b"http/1.1"]
        );
        assert_eq!(hello.newest_version(), TLS13);
        assert!(hello.offers_tls13() && !hello.has_early_data());
        assert_eq!(
            hello.signature_algorithms().iter().collect::<Vec<_>>(),
            [0x0403, 0x0804]
        );
        assert_eq!(hello.encrypted_hello(), None);
    }

    #[test]
    fn an_old_hello_ends_before_its_extensions() {
        let mut body = modern().body();
        body.truncate(2 + 32 + 3 + 2 + 6 + 2);
        let hello = ClientHello::parse(&body).unwrap();
        assert_eq!(hello.server_name(), None);
        assert_eq!(hello.newest_version(), 0x0303);
        assert_eq!(hello.protocols().count(), 0);
    }

    #[test]
    fn every_cut_is_refused_or_read_as_far_as_it_goes() {
        let body = modern().body();
        let whole = ClientHello::parse(&body).unwrap();
        for cut in 0..body.len() {
            match ClientHello::parse(&body[..cut]) {
                Err(error) => assert!(cut < 47, "{cut}: {error:?}"),
                Ok(part) => {
                    let name = part.server_name();
                    assert!(name.is_none() || name == whole.server_name(), "{cut}");
                }
            }
        }
    }

    #[test]
    fn encrypted_client_hello_is_seen_outer_and_inner() {
        for (first, expected) in [(0, EncryptedHello::Outer), (1, EncryptedHello::Inner)] {
            let mut hello = modern();
            hello.extensions.push((0xfe0d, vec![first, 0, 1]));
            let body = hello.body();
            let hello = ClientHello::parse(&body).unwrap();
            assert_eq!(hello.encrypted_hello(), Some(expected));
        }
    }

    #[test]
    fn a_name_of_another_kind_and_an_empty_one_are_none() {
        for list in [&[1, 0, 1, b'x'][..], &[0, 0, 0], &[0, 0, 9, b'x'], &[]] {
            let mut hello = modern();
            hello.extensions = vec![(0, vector16(list))];
            let body = hello.body();
            assert_eq!(ClientHello::parse(&body).unwrap().server_name(), None);
        }
    }

    #[test]
    fn grease_is_known_by_its_sixteen_values() {
        let values: Vec<u16> = (0..=u16::MAX).filter(|one| is_grease(*one)).collect();
        assert_eq!(values.len(), 16);
        assert_eq!((values[0], values[15]), (0x0a0a, 0xfafa));
    }
}
