//! The ServerHello of TLS 1.0 to 1.3 (RFC 8446 §4.1.3, RFC 5246 §7.4.1.3) and the application
//! protocol that a server chose.

use crate::app::tls::client_hello::{HelloError, TLS13, protocol_names};
use crate::app::tls::extensions::{Extensions, extension};
use crate::app::tls::reader::Reader;

/// A ServerHello, within the bytes that it was read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerHello<'a> {
    /// The version of TLS 1.2 and older; 0x0303 stands here for TLS 1.3 too.
    pub legacy_version: u16,
    /// The server's random bytes.
    pub random: &'a [u8; 32],
    /// The session's id.
    pub session_id: &'a [u8],
    /// The cipher suite that the server chose.
    pub cipher: u16,
    /// The compression method that it chose; 0 is none.
    pub compression: u8,
    /// Its extensions.
    pub extensions: Extensions<'a>,
}

impl<'a> ServerHello<'a> {
    /// Reads the body of a handshake message of type 2: what follows its four bytes of type and
    /// length.
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
        let is_short = is_early_draft(legacy_version); // it has neither id nor compression
        let session_id = match is_short {
            true => &[],
            false => reader.vector8().ok_or(refuse("session id", &reader))?,
        };
        let cipher = reader.u16().ok_or(refuse("cipher suite", &reader))?;
        let compression = match is_short {
            true => 0,
            false => reader.u8().ok_or(refuse("compression", &reader))?,
        };
        Ok(Self {
            legacy_version,
            random,
            session_id,
            cipher,
            compression,
            extensions: Extensions::read(&mut reader),
        })
    }

    /// The version that the server chose.
    pub fn version(&self) -> u16 {
        match draft_of(self.chosen_version()) {
            Some(_) => TLS13,
            None => self.chosen_version(),
        }
    }

    /// The number of the draft of TLS 1.3 that the server chose.
    pub fn draft(&self) -> Option<u8> {
        draft_of(self.chosen_version())
    }

    fn chosen_version(&self) -> u16 {
        let chosen = self.extensions.find(extension::SUPPORTED_VERSIONS);
        let chosen = chosen.and_then(|body| Reader::new(body).u16());
        chosen.unwrap_or(self.legacy_version)
    }

    /// Whether the server asks for another ClientHello (RFC 8446 §4.1.4).
    pub fn is_retry_request(&self) -> bool {
        *self.random == RETRY_REQUEST
    }

    /// Whether the MAC comes after encryption (RFC 7366).
    pub fn encrypts_then_macs(&self) -> bool {
        self.extensions.find(extension::ENCRYPT_THEN_MAC).is_some()
    }

    /// Whether the master secret is bound to the whole handshake (RFC 7627).
    pub fn extends_master_secret(&self) -> bool {
        let found = self.extensions.find(extension::EXTENDED_MASTER_SECRET);
        found.is_some()
    }

    /// The application protocol that the server chose; TLS 1.3 says it in another message.
    pub fn protocol(&self) -> Option<&'a [u8]> {
        chosen_protocol(self.extensions)
    }
}

/// What an EncryptedExtensions message says (RFC 8446 §4.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EncryptedExtensions<'a> {
    /// The application protocol that the server chose.
    pub protocol: Option<&'a [u8]>,
    /// Whether it takes the data that came with the client's hello.
    pub takes_early_data: bool,
}

impl<'a> EncryptedExtensions<'a> {
    /// Reads the body of a handshake message of type 8.
    pub fn parse(body: &'a [u8]) -> Self {
        let extensions = Extensions::read(&mut Reader::new(body));
        Self {
            protocol: chosen_protocol(extensions),
            takes_early_data: extensions.find(extension::EARLY_DATA).is_some(),
        }
    }
}

/// The draft of TLS 1.3 that a version stands for: those that browsers and servers spoke by the
/// labels of today's key logs, two of them under numbers of one company's own.
const fn draft_of(version: u16) -> Option<u8> {
    match version {
        0x7f12..=0x7f1c => Some(version.to_be_bytes()[1]),
        0xfb17 => Some(23),
        0xfb1a => Some(26),
        _ => None,
    }
}

/// Up to draft 21 the hello of TLS 1.3 had another form.
const fn is_early_draft(version: u16) -> bool {
    matches!(version, 0x7f12..=0x7f15)
}

fn chosen_protocol(extensions: Extensions<'_>) -> Option<&[u8]> {
    let list = Reader::new(extensions.find(extension::ALPN)?).vector16()?;
    protocol_names(list).next().filter(|name| !name.is_empty())
}

/// SHA-256 of "HelloRetryRequest" (RFC 8446 §4.1.3).
const RETRY_REQUEST: [u8; 32] = [
    0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91,
    0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
];

#[cfg(test)]
mod tests {
    use ring::digest;

    use super::*;

    fn hello(random: [u8; 32], extensions: &[u8]) -> Vec<u8> {
        let mut body = vec![3, 3];
        body.extend(random);
        body.extend([1, 9, 0x13, 0x02, 0]);
        body.extend(u16::try_from(extensions.len()).unwrap().to_be_bytes());
        body.extend(extensions);
        body
    }

    #[test]
    fn a_hello_of_tls_1_3_says_its_version_in_an_extension() {
        let body = hello([1; 32], &[0, 43, 0, 2, 3, 4]);
        let hello = ServerHello::parse(&body).unwrap();
        assert_eq!((hello.version(), hello.cipher), (0x0304, 0x1302));
        assert_eq!(hello.session_id, &[9]);
        assert!(!hello.is_retry_request() && !hello.encrypts_then_macs());
    }

    #[test]
    fn drafts_of_tls_1_3_are_known_by_their_numbers_and_early_ones_are_shorter() {
        let body = hello([1; 32], &[0, 43, 0, 2, 0x7f, 0x17]);
        let hello = ServerHello::parse(&body).unwrap();
        assert_eq!((hello.version(), hello.draft()), (0x0304, Some(23)));
        let early = [&[0x7f, 0x14][..], &[1; 32], &[0x13, 0x03], &[0, 0]].concat();
        let hello = ServerHello::parse(&early).unwrap();
        assert_eq!((hello.version(), hello.draft()), (0x0304, Some(20)));
        assert_eq!((hello.cipher, hello.compression), (0x1303, 0));
    }

    #[test]
    fn a_hello_of_tls_1_2_says_protocol_and_order_of_the_mac() {
        let alpn = [0, 16, 0, 5, 0, 3, 2, b'h', b'2'];
        let body = hello([1; 32], &[&[0, 22, 0, 0, 0, 23, 0, 0][..], &alpn].concat());
        let hello = ServerHello::parse(&body).unwrap();
        assert_eq!(hello.version(), 0x0303);
        assert_eq!(hello.protocol(), Some(&b"h2"[..]));
        assert!(hello.encrypts_then_macs() && hello.extends_master_secret());
    }

    #[test]
    fn a_retry_request_is_known_by_its_random_bytes() {
        let digest = digest::digest(&digest::SHA256, b"HelloRetryRequest");
        assert_eq!(digest.as_ref(), RETRY_REQUEST);
        assert!(
            ServerHello::parse(&hello(RETRY_REQUEST, &[]))
                .unwrap()
                .is_retry_request()
        );
    }

    #[test]
    fn a_hello_that_is_cut_short_is_refused_by_the_field() {
        let body = hello([1; 32], &[]);
        for (length, field) in [(1, "version"), (33, "random"), (35, "session id")] {
            let error = ServerHello::parse(&body[..length]).unwrap_err();
            assert_eq!(error.field, field);
        }
        assert!(ServerHello::parse(&body[..39]).is_ok());
    }

    #[test]
    fn encrypted_extensions_name_the_protocol_and_take_early_data() {
        let body = [0, 13, 0, 16, 0, 5, 0, 3, 2, b'h', b'2', 0, 42, 0, 0];
        let both = EncryptedExtensions::parse(&body);
        assert_eq!(
            (both.protocol, both.takes_early_data),
            (Some(&b"h2"[..]), true)
        );
        let cut = EncryptedExtensions::parse(&body[..11]);
        assert_eq!(
            (cut.protocol, cut.takes_early_data),
            (Some(&b"h2"[..]), false)
        );
        assert_eq!(EncryptedExtensions::parse(&body[..8]).protocol, None);
    }
}
