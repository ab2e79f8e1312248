//! A line of a TLS key log.

use canarytap::engine::app::tls::keylog::{KeyLabel, KeyLogEntry};

/// What is read as a secret is read alike when its bytes are written anew.
pub fn key_log(line: &[u8]) {
    let Ok(entry) = KeyLogEntry::parse(line) else {
        return;
    };
    let hexadecimal =
        |bytes: &[u8]| -> String { bytes.iter().map(|byte| format!("{byte:02X}")).collect() };
    let words: Vec<&[u8]> = line.trim_ascii().split(u8::is_ascii_whitespace).collect();
    let name = String::from_utf8_lossy(words.first().copied().unwrap_or_default());
    let (random, secret) = (
        hexadecimal(&entry.client_random),
        hexadecimal(entry.secret.bytes()),
    );
    let again = match entry.label {
        KeyLabel::RsaPreMaster => format!("{name} {} {secret}", &random[..16]),
        KeyLabel::SessionMaster => format!("{name} Session-ID:{random} Master-Key:{secret}"),
        _ => format!("{name} {random} {secret}"),
    };
    assert_eq!(KeyLogEntry::parse(again.as_bytes()), Ok(entry));
}
