//! The body of a ClientHello or ServerHello.

use canarytap::engine::app::tls::client_hello::ClientHello;
use canarytap::engine::app::tls::ja4::{Carrier, ja4};
use canarytap::engine::app::tls::server_hello::{EncryptedExtensions, ServerHello};

/// Everything that is asked of a hello has an answer, and its JA4 has the shape of one.
pub fn tls_hello(bytes: &[u8]) {
    if let Ok(hello) = ClientHello::parse(bytes) {
        let _ = (
            hello.encrypted_hello(),
            hello.has_early_data(),
            hello.offers_tls13(),
        );
        assert!(hello.server_name().is_none_or(|name| !name.is_empty()));
        assert!(hello.protocols().map(<[u8]>::len).sum::<usize>() <= bytes.len());
        assert!(hello.ciphers.iter().count() <= bytes.len() / 2);
        for carrier in [Carrier::Tcp, Carrier::Quic(1)] {
            check_ja4(&ja4(&hello, carrier));
        }
    }
    if let Ok(hello) = ServerHello::parse(bytes) {
        let _ = (hello.version(), hello.is_retry_request());
        let _ = (hello.encrypts_then_macs(), hello.extends_master_secret());
        assert!(hello.protocol().is_none_or(|name| name.len() < 256));
    }
    let _ = EncryptedExtensions::parse(bytes);
}

/// `t13d1516h2_8daaf6152771_02713d6af862`: ten characters, then two hashes.
fn check_ja4(text: &str) {
    let parts: Vec<&str> = text.split('_').collect();
    let lengths: Vec<usize> = parts.iter().map(|part| part.chars().count()).collect();
    assert_eq!(lengths, [10, 12, 12], "{text}");
    let hash = |part: &&str| part.bytes().all(|byte| byte.is_ascii_hexdigit());
    assert!(parts.iter().skip(1).all(hash), "{text}");
}
