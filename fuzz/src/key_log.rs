//! A line of a TLS key log.

use canarytap::engine::app::tls::keylog::KeyLogEntry;

/// What is read as a secret is read alike when its bytes are written anew.
pub fn key_log(line: &[u8]) {
    let Ok(entry) = KeyLogEntry::parse(line) else {
        return;
    };
    let hexadecimal =
        |bytes: &[u8]| -> String { bytes.iter().map(|byte| format!("{byte:02X}")).collect() };
    let name = line.trim_ascii().split(u8::is_ascii_whitespace).next();
    let again = format!(
        " {} {}\n",
        String::from_utf8_lossy(name.unwrap_or_default()),
        hexadecimal(&entry.client_random),
    );
    let again = format!("{} {}", again.trim_end(), hexadecimal(entry.secret.bytes()));
    assert_eq!(KeyLogEntry::parse(again.as_bytes()), Ok(entry));
}
