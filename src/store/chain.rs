//! The chain: each row of `visits` holds the hash of the row before it.
//!
//! Anyone can check it with sqlite3 and sha256sum: a row's `hash` is the SHA-256 of the bytes of
//! its `record`, and the record's `prev` is the `hash` of the row with the next smaller `seq`.

use ring::digest;
use serde_json::Value;

use crate::store::canonical::{self, Fields};

/// `prev` of the first row of all.
pub(super) const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// A row of `visits` that is ready to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Link {
    /// Canonical JSON with `prev` in it.
    pub(super) record: String,
    /// SHA-256 of its bytes, lower-case hex.
    pub(super) hash: String,
}

/// Binds a record to the row before it, whose hash is `prev`.
pub(super) fn link(mut fields: Fields, prev: &str) -> Result<Link, serde_json::Error> {
    fields.insert("prev".into(), Value::from(prev));
    let record = canonical::write(&fields)?;
    let hash = sha256_hex(record.as_bytes());
    Ok(Link { record, hash })
}

/// SHA-256 as lower-case hex.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, bytes).as_ref())
}

/// Bytes as lower-case hex.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(2 * bytes.len()), |mut hex, byte| {
            for digit in [byte >> 4, byte & 15] {
                hex.extend(char::from_digit(u32::from(digit), 16));
            }
            hex
        })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_hash_is_lower_case_hex() {
        assert_eq!(
            sha256_hex(b"abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn a_link_holds_the_hash_before_it_and_is_hashed_with_it() {
        let fields = canonical::fields(&json!({"seq": 1})).unwrap();
        let link = link(fields, GENESIS).unwrap();
        assert_eq!(link.record, format!("{{\"prev\":\"{GENESIS}\",\"seq\":1}}"));
        assert_eq!(link.hash, sha256_hex(link.record.as_bytes()));
    }
}
