//! The handshake of TLS 1.2 and older, as far as a master secret is made from it: for key logs that
//! bring only what the two sides agreed on.

use crate::app::tls::cipher::Sender;
use crate::app::tls::keylog::RSA_NAME_BYTES;
use crate::app::tls::messages::message;
use crate::app::tls::reader::Reader;
use crate::limits::TLS_TRANSCRIPT_BYTES_MAX;

/// Handshake messages in clear text, each side's in order.
#[derive(Debug, Default)]
pub(super) struct Transcript {
    client: Vec<u8>,
    server: Vec<u8>,
    /// Whether bytes are missing.
    cut: bool,
}

impl Transcript {
    /// Takes bytes of one side.
    pub(super) fn add(&mut self, sender: Sender, bytes: &[u8]) {
        let side = match sender {
            Sender::Client => &mut self.client,
            Sender::Server => &mut self.server,
        };
        if side.len() + bytes.len() > TLS_TRANSCRIPT_BYTES_MAX {
            self.cut();
        } else if !self.cut {
            side.extend_from_slice(bytes);
        }
    }

    /// Bytes are missing: nothing can be made of it any more.
    pub(super) fn cut(&mut self) {
        *self = Self {
            cut: true,
            ..Self::default()
        };
    }

    /// All that both sides said up to the client's share of the secret (RFC 7627 §3).
    pub(super) fn up_to_key_exchange(&self) -> Option<Vec<&[u8]>> {
        let (mut client, mut server) = (Reader::new(&self.client), Reader::new(&self.server));
        let mut said = vec![next_but(message::HELLO_REQUEST, &mut client)?];
        said.extend(up_to(message::SERVER_HELLO_DONE, &mut server)?);
        said.extend(up_to(message::CLIENT_KEY_EXCHANGE, &mut client)?);
        Some(said)
    }

    /// The start of the secret as the client encrypts it to the server (RFC 5246 §7.4.7.1), by
    /// which a key log may name it. `is_bare` is true in SSL 3.0, which puts no length before it.
    pub(super) fn rsa_name(&self, is_bare: bool) -> Option<[u8; RSA_NAME_BYTES]> {
        let all = up_to(message::CLIENT_KEY_EXCHANGE, &mut Reader::new(&self.client))?;
        let mut body = Reader::new(all.last()?);
        body.take(HEADER_BYTES)?;
        if !is_bare {
            body.u16()?;
        }
        body.array().copied()
    }

    /// Bytes on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        self.client.capacity() + self.server.capacity()
    }
}

/// Messages up to the first of this type.
fn up_to<'a>(kind: u8, from: &mut Reader<'a>) -> Option<Vec<&'a [u8]>> {
    let mut said = Vec::new();
    loop {
        let one = next_but(message::HELLO_REQUEST, from)?;
        said.push(one);
        if one.first() == Some(&kind) {
            return Some(said);
        }
    }
}

/// The next message that is not of this type.
fn next_but<'a>(kind: u8, from: &mut Reader<'a>) -> Option<&'a [u8]> {
    loop {
        let &[found, high, middle, low] = from.rest().first_chunk()?;
        let length = u32::from_be_bytes([0, high, middle, low]) as usize;
        let one = from.take(HEADER_BYTES + length)?;
        if found != kind {
            return Some(one);
        }
    }
}

const HEADER_BYTES: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        let length = u8::try_from(body.len()).unwrap();
        [&[kind, 0, 0, length], body].concat()
    }

    #[test]
    fn what_both_sides_said_stands_in_its_order_without_requests_for_a_hello() {
        let mut transcript = Transcript::default();
        transcript.add(Sender::Server, &message(0, b""));
        transcript.add(Sender::Client, &message(1, b"hello"));
        transcript.add(Sender::Server, &message(2, b"there")[..5]);
        assert_eq!(transcript.up_to_key_exchange(), None);
        transcript.add(Sender::Server, &message(2, b"there")[5..]);
        transcript.add(Sender::Server, &message(14, b""));
        transcript.add(Sender::Client, &message(11, b"certificate"));
        let exchange = message(16, b"\0\x0aabcdefghij");
        transcript.add(
            Sender::Client,
            &[&exchange[..], &message(15, b"verify")].concat(),
        );
        let said = transcript.up_to_key_exchange().unwrap();
        let kinds: Vec<_> = said.iter().map(|one| one[0]).collect();
        assert_eq!(kinds, [1, 2, 14, 11, 16]);
        assert_eq!(said[4], exchange);
        assert_eq!(transcript.rsa_name(false), Some(*b"abcdefgh"));
        assert_eq!(transcript.rsa_name(true), Some(*b"\0\x0aabcdef"));
    }

    #[test]
    fn of_what_is_too_long_nothing_is_left() {
        let mut transcript = Transcript::default();
        transcript.add(Sender::Client, &message(1, b""));
        transcript.add(Sender::Server, &vec![0; TLS_TRANSCRIPT_BYTES_MAX + 1]);
        transcript.add(Sender::Client, &message(1, b""));
        assert_eq!(transcript.heap_bytes(), 0);
        assert_eq!(transcript.up_to_key_exchange(), None);
    }
}
