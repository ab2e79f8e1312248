//! One line of a TLS key log (RFC 9850, the format of `SSLKEYLOGFILE`).

use std::fmt;

/// A secret of one connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyLogEntry {
    /// What the connection is known by: the random bytes of its ClientHello, or what
    /// [`KeyLabel`] says, with zeros behind it.
    pub client_random: [u8; 32],
    /// Which of the connection's secrets it is.
    pub label: KeyLabel,
    /// The secret.
    pub secret: Secret,
}

/// Which secret a line brings. Labels of QUIC's own (`QUIC_CLIENT_TRAFFIC_SECRET_0`), which old
/// logs have, mean the same as those without.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyLabel {
    /// `CLIENT_RANDOM`: the master secret of TLS 1.2 and older.
    MasterSecret,
    /// `CLIENT_EARLY_TRAFFIC_SECRET`: what a client sends with its hello (RFC 8446 §2.3).
    ClientEarly,
    /// `CLIENT_HANDSHAKE_TRAFFIC_SECRET`.
    ClientHandshake,
    /// `SERVER_HANDSHAKE_TRAFFIC_SECRET`.
    ServerHandshake,
    /// `CLIENT_TRAFFIC_SECRET_0`.
    ClientTraffic,
    /// `SERVER_TRAFFIC_SECRET_0`.
    ServerTraffic,
    /// `PMS_CLIENT_RANDOM`: what the master secret is made from (RFC 5246 §8.1).
    PreMaster,
    /// `RSA`: the same, by the first 8 bytes of what the client encrypts it to.
    RsaPreMaster,
    /// `RSA Session-ID:… Master-Key:…`: the master secret, by the session's id.
    SessionMaster,
}

impl KeyLabel {
    /// Those that records are opened with, in order.
    pub(crate) const ALL: [Self; Self::COUNT] = [
        Self::MasterSecret,
        Self::ClientEarly,
        Self::ClientHandshake,
        Self::ServerHandshake,
        Self::ClientTraffic,
        Self::ServerTraffic,
    ];

    /// As key logs have it (RFC 9850 §2).
    pub const fn name(self) -> &'static str {
        match self {
            Self::MasterSecret => "CLIENT_RANDOM",
            Self::ClientEarly => "CLIENT_EARLY_TRAFFIC_SECRET",
            Self::ClientHandshake => "CLIENT_HANDSHAKE_TRAFFIC_SECRET",
            Self::ServerHandshake => "SERVER_HANDSHAKE_TRAFFIC_SECRET",
            Self::ClientTraffic => "CLIENT_TRAFFIC_SECRET_0",
            Self::ServerTraffic => "SERVER_TRAFFIC_SECRET_0",
            Self::PreMaster => "PMS_CLIENT_RANDOM",
            Self::RsaPreMaster | Self::SessionMaster => "RSA",
        }
    }

    /// The first and the last in order.
    pub(super) const ENDS: [Self; 2] = [Self::MasterSecret, Self::SessionMaster];
    /// How many there are that records are opened with.
    pub(super) const COUNT: usize = 6;

    /// Its place among them; behind them for those that only lead to a master secret.
    pub(super) const fn index(self) -> usize {
        self as usize
    }

    /// Whether a secret of so many bytes may bear it.
    const fn fits(self, bytes: usize) -> bool {
        match self {
            Self::MasterSecret | Self::RsaPreMaster | Self::SessionMaster => {
                bytes == MASTER_SECRET_BYTES
            }
            Self::PreMaster => bytes > 0,
            _ => matches!(bytes, 32 | 48),
        }
    }
}

/// A line that brings no secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyLogError {
    /// Nothing, or a comment.
    Empty,
    /// A label that is not used here: of exporters, of Encrypted Client Hello, or unknown.
    Unused,
    /// No key log's line.
    Malformed,
}

impl fmt::Display for KeyLogError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Empty => "an empty line or a comment",
            Self::Unused => "a secret that is not used",
            Self::Malformed => "not a line of a key log",
        })
    }
}

impl std::error::Error for KeyLogError {}

impl KeyLogEntry {
    /// The line, with its end; of a secret that is known by its connection's random bytes.
    pub fn to_line(&self) -> String {
        let hexadecimal =
            |bytes: &[u8]| -> String { bytes.iter().map(|byte| format!("{byte:02x}")).collect() };
        format!(
            "{} {} {}\n",
            self.label.name(),
            hexadecimal(&self.client_random),
            hexadecimal(self.secret.bytes())
        )
    }

    /// Reads one line, with or without its line end.
    ///
    /// # Errors
    /// [`KeyLogError`] when it brings no secret that is of use.
    pub fn parse(line: &[u8]) -> Result<Self, KeyLogError> {
        let line = line.trim_ascii();
        if line.is_empty() || line.starts_with(b"#") {
            return Err(KeyLogError::Empty);
        }
        let mut words = line.split(u8::is_ascii_whitespace);
        let mut word = || words.next().filter(|word| !word.is_empty());
        let (Some(name), Some(random), Some(secret), None) = (word(), word(), word(), word())
        else {
            return Err(KeyLogError::Malformed);
        };
        if name == b"RSA" {
            return Self::by_rsa(random, secret).ok_or(KeyLogError::Malformed);
        }
        let mut client_random = [0; 32];
        if !read_hexadecimal(random, &mut client_random) {
            return Err(KeyLogError::Malformed); // every line has one, also those without a use
        }
        let label = label(name)?;
        if label == KeyLabel::PreMaster && secret.len() > 2 * SECRET_BYTES_MAX {
            return Err(KeyLogError::Unused); // of a Diffie-Hellman group that nobody logs
        }
        Ok(Self {
            client_random,
            label,
            secret: Secret::read(secret, label).ok_or(KeyLogError::Malformed)?,
        })
    }

    /// The two forms of a line that begins with `RSA`.
    fn by_rsa(name: &[u8], secret: &[u8]) -> Option<Self> {
        let session = name.strip_prefix(b"Session-ID:");
        let (name, secret, label) = match session {
            Some(id) => (
                id,
                secret.strip_prefix(b"Master-Key:")?,
                KeyLabel::SessionMaster,
            ),
            None => (name, secret, KeyLabel::RsaPreMaster),
        };
        let length = name.len() / 2;
        let mut client_random = [0; 32];
        let is_right = match label {
            KeyLabel::RsaPreMaster => length == RSA_NAME_BYTES,
            _ => length > 0,
        };
        let place = client_random.get_mut(..length).filter(|_| is_right)?;
        read_hexadecimal(name, place).then_some(())?;
        Some(Self {
            client_random,
            label,
            secret: Secret::read(secret, label)?,
        })
    }
}

/// By the names of RFC 9850 §2; those without a meaning here have to look like a name.
fn label(name: &[u8]) -> Result<KeyLabel, KeyLogError> {
    let plain = name.strip_prefix(b"QUIC_").unwrap_or(name);
    Ok(match plain {
        b"CLIENT_RANDOM" => KeyLabel::MasterSecret,
        b"CLIENT_EARLY_TRAFFIC_SECRET" => KeyLabel::ClientEarly,
        b"CLIENT_HANDSHAKE_TRAFFIC_SECRET" => KeyLabel::ClientHandshake,
        b"SERVER_HANDSHAKE_TRAFFIC_SECRET" => KeyLabel::ServerHandshake,
        b"CLIENT_TRAFFIC_SECRET_0" => KeyLabel::ClientTraffic,
        b"SERVER_TRAFFIC_SECRET_0" => KeyLabel::ServerTraffic,
        b"PMS_CLIENT_RANDOM" => KeyLabel::PreMaster,
        _ if name.iter().all(is_label_character) => return Err(KeyLogError::Unused),
        _ => return Err(KeyLogError::Malformed),
    })
}

fn is_label_character(byte: &u8) -> bool {
    byte.is_ascii_uppercase() || byte.is_ascii_digit() || *byte == b'_'
}

/// A secret's bytes: 32 or 48, and up to that of what a master secret is made from. It does not show itself in messages.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Secret {
    bytes: [u8; SECRET_BYTES_MAX],
    length: u8,
}

impl Secret {
    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        let length = usize::from(self.length);
        self.bytes.get(..length).unwrap_or_default()
    }

    /// A secret of a length that a hash of TLS has, or a master secret.
    pub fn new(bytes: &[u8]) -> Option<Self> {
        if !matches!(bytes.len(), 32 | 48) {
            return None;
        }
        let mut secret = Self {
            bytes: [0; SECRET_BYTES_MAX],
            length: u8::try_from(bytes.len()).ok()?,
        };
        secret.bytes.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(secret)
    }

    fn read(text: &[u8], label: KeyLabel) -> Option<Self> {
        let mut bytes = [0; SECRET_BYTES_MAX];
        let length = text.len() / 2;
        let read = read_hexadecimal(text, bytes.get_mut(..length)?);
        (read && label.fits(length)).then_some(())?;
        Some(Self {
            bytes,
            length: u8::try_from(length).ok()?,
        })
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Secret({} bytes)", self.length)
    }
}

/// Fills `bytes` with what `text` says; false when that are not exactly as many.
fn read_hexadecimal(text: &[u8], bytes: &mut [u8]) -> bool {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let pairs = text.chunks_exact(2);
    if text.len() != 2 * bytes.len() {
        return false;
    }
    pairs.zip(bytes).all(|(pair, byte)| {
        let [high, low] = [pair.first(), pair.get(1)].map(|one| one.copied().and_then(digit));
        let value = high.zip(low).map(|(high, low)| high << 4 | low);
        value.is_some_and(|value| {
            *byte = value as u8;
            true
        })
    })
}

/// SHA-384 has the longest (RFC 8446 §7.1).
const SECRET_BYTES_MAX: usize = 48;
/// RFC 5246 §8.1.
pub(super) const MASTER_SECRET_BYTES: usize = 48;
/// Bytes of an encrypted secret that name it.
pub(super) const RSA_NAME_BYTES: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn line(label: &str, secret_bytes: usize) -> String {
        format!("{label} {} {}", "ab".repeat(32), "0F".repeat(secret_bytes))
    }

    #[test]
    fn every_label_that_is_used_is_read() {
        for (name, bytes, label) in [
            ("CLIENT_RANDOM", 48, KeyLabel::MasterSecret),
            ("CLIENT_EARLY_TRAFFIC_SECRET", 32, KeyLabel::ClientEarly),
            (
                "CLIENT_HANDSHAKE_TRAFFIC_SECRET",
                48,
                KeyLabel::ClientHandshake,
            ),
            (
                "SERVER_HANDSHAKE_TRAFFIC_SECRET",
                32,
                KeyLabel::ServerHandshake,
            ),
            ("CLIENT_TRAFFIC_SECRET_0", 32, KeyLabel::ClientTraffic),
            ("SERVER_TRAFFIC_SECRET_0", 48, KeyLabel::ServerTraffic),
            ("QUIC_SERVER_TRAFFIC_SECRET_0", 32, KeyLabel::ServerTraffic),
            ("PMS_CLIENT_RANDOM", 32, KeyLabel::PreMaster),
            ("PMS_CLIENT_RANDOM", 1, KeyLabel::PreMaster),
        ] {
            let entry = KeyLogEntry::parse(format!("{}\r\n", line(name, bytes)).as_bytes());
            let entry = entry.unwrap();
            assert_eq!(entry.client_random, [0xab; 32]);
            assert_eq!(entry.label, label);
            assert_eq!(entry.secret.bytes(), vec![0x0f; bytes]);
            assert_eq!(KeyLogEntry::parse(entry.to_line().as_bytes()), Ok(entry));
        }
    }

    #[test]
    fn lines_of_rsa_are_known_by_other_names() {
        let (name, secret) = ("0123456789abcdef", "0f".repeat(48));
        for (line, label, length) in [
            (format!("RSA {name} {secret}"), KeyLabel::RsaPreMaster, 8),
            (
                format!("RSA Session-ID:{} Master-Key:{secret}", name.repeat(4)),
                KeyLabel::SessionMaster,
                32,
            ),
        ] {
            let entry = KeyLogEntry::parse(line.as_bytes()).unwrap();
            assert_eq!(entry.label, label);
            assert_eq!(entry.secret.bytes(), [0x0f; 48]);
            assert_eq!(entry.client_random[..2], [0x01, 0x23]);
            assert!(entry.client_random[length..].iter().all(|byte| *byte == 0));
        }
        for line in [
            format!("RSA {name}00 {secret}"),
            format!("RSA {name} {secret}00"),
            format!("RSA Session-ID:{} Master-Key:{secret}", name.repeat(5)),
            format!("RSA Session-ID: Master-Key:{secret}"),
            format!("RSA Session-ID:{name} {secret}"),
        ] {
            let read = KeyLogEntry::parse(line.as_bytes());
            assert_eq!(read, Err(KeyLogError::Malformed), "{line}");
        }
    }

    #[test]
    fn lines_without_a_secret_say_why() {
        for (line, error) in [
            (String::new(), KeyLogError::Empty),
            ("\r\n".into(), KeyLogError::Empty),
            ("# CLIENT_RANDOM".into(), KeyLogError::Empty),
            (line("EXPORTER_SECRET", 32), KeyLogError::Unused),
            (line("CLIENT_TRAFFIC_SECRET_1", 32), KeyLogError::Unused),
            (line("ECH_CONFIG", 100), KeyLogError::Unused),
            (line("PMS_CLIENT_RANDOM", 256), KeyLogError::Unused),
            (line("client_random", 48), KeyLogError::Malformed),
            (line("CLIENT_RANDOM", 47), KeyLogError::Malformed),
            (line("CLIENT_RANDOM", 32), KeyLogError::Malformed),
            (line("CLIENT_TRAFFIC_SECRET_0", 49), KeyLogError::Malformed),
            (line("CLIENT_RANDOM", 48) + "0", KeyLogError::Malformed),
            (line("CLIENT_RANDOM", 48) + " more", KeyLogError::Malformed),
            (
                line("CLIENT_RANDOM", 48).replace("ab", "xy"),
                KeyLogError::Malformed,
            ),
            ("CLIENT_RANDOM abab".into(), KeyLogError::Malformed),
            ("GET / HTTP/1.1".into(), KeyLogError::Malformed),
            ("\0\u{ff}".into(), KeyLogError::Malformed),
        ] {
            assert_eq!(KeyLogEntry::parse(line.as_bytes()), Err(error), "{line:?}");
        }
    }

    #[test]
    fn a_secret_does_not_show_itself() {
        let entry = KeyLogEntry::parse(line("CLIENT_RANDOM", 48).as_bytes()).unwrap();
        assert!(!format!("{entry:?}").contains("15, 15"));
    }
}
