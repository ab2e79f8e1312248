//! Percent-encoding (RFC 3986 §2.1), read leniently.

/// One octet of a URL, and how it stood there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Octet {
    /// As itself.
    Plain(u8),
    /// As `%xx`.
    Encoded(u8),
}

impl Octet {
    /// The octet, however it stood there.
    pub(super) const fn value(self) -> u8 {
        match self {
            Self::Plain(byte) | Self::Encoded(byte) => byte,
        }
    }
}

/// The octets of `bytes`. A percent sign that begins no `%xx` is itself.
pub(super) fn octets(bytes: &[u8]) -> Octets<'_> {
    Octets { rest: bytes }
}

/// See [`octets`].
pub(super) struct Octets<'a> {
    rest: &'a [u8],
}

impl Iterator for Octets<'_> {
    type Item = Octet;

    fn next(&mut self) -> Option<Octet> {
        if let [b'%', high, low, rest @ ..] = self.rest {
            if let Some(byte) = from_hex(*high, *low) {
                self.rest = rest;
                return Some(Octet::Encoded(byte));
            }
        }
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(Octet::Plain(*first))
    }
}

fn from_hex(high: u8, low: u8) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}

/// Appends `byte` as `%xx`, in lower case as everything that is compared.
pub(super) fn push_encoded(text: &mut String, byte: u8) {
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16);
    text.push('%');
    text.extend(digit(byte >> 4));
    text.extend(digit(byte & 15));
}

/// Characters that mean the same with and without percent-encoding (RFC 3986 §2.3).
pub(super) const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// Characters that may stand in a path or query as themselves (RFC 3986 §3.3 and §3.4). Others
/// are sent by some clients as they are, and encoded by the rest.
pub(super) const fn may_stand_plain(byte: u8) -> bool {
    is_unreserved(byte)
        || matches!(
            byte,
            b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'='
        )
        || matches!(byte, b':' | b'@' | b'/' | b'?' | b'[' | b']')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_of_either_case_is_read_and_a_stray_percent_sign_is_itself() {
        let read: Vec<_> = octets(b"a%2F%2f%zz%2").collect();
        assert_eq!(
            read,
            [
                Octet::Plain(b'a'),
                Octet::Encoded(b'/'),
                Octet::Encoded(b'/'),
                Octet::Plain(b'%'),
                Octet::Plain(b'z'),
                Octet::Plain(b'z'),
                Octet::Plain(b'%'),
                Octet::Plain(b'2'),
            ]
        );
    }

    #[test]
    fn encoding_is_written_in_lower_case() {
        let mut text = String::new();
        push_encoded(&mut text, 0xC3);
        assert_eq!(text, "%c3");
    }
}
