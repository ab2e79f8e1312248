//! Handshake messages (RFC 8446 §4) out of the contents of records: those that are looked at are
//! put together, the others passed over.

use crate::limits::TLS_MESSAGE_BYTES_MAX;

/// Message types that mean something here; see [`is_looked_at`].
pub(in crate::app) mod message {
    pub(in crate::app) const HELLO_REQUEST: u8 = 0;
    pub(in crate::app) const CLIENT_HELLO: u8 = 1;
    pub(in crate::app) const SERVER_HELLO: u8 = 2;
    pub(in crate::app) const END_OF_EARLY_DATA: u8 = 5;
    pub(in crate::app) const ENCRYPTED_EXTENSIONS: u8 = 8;
    pub(in crate::app) const SERVER_HELLO_DONE: u8 = 14;
    pub(in crate::app) const CLIENT_KEY_EXCHANGE: u8 = 16;
    pub(in crate::app) const KEY_UPDATE: u8 = 24;
}

/// One direction's messages, of which at most one is not complete.
#[derive(Debug, Default)]
pub(in crate::app) struct Messages {
    /// Header and body of a message that is looked at, or part of a header.
    buffer: Vec<u8>,
    /// Bytes that are still to be passed over.
    skip: usize,
    /// Whether the message in `buffer` was handed out.
    done: bool,
}

/// What is next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::app) enum Next {
    /// A message of this type is complete.
    Message(u8),
    /// More bytes are needed.
    Unfinished,
    /// One is longer than the bound.
    TooLong,
}

impl Messages {
    /// Takes bytes of `rest` until a message is complete, which then stands in
    /// [`body`](Self::body) until the next call.
    pub(in crate::app) fn next(&mut self, rest: &mut &[u8]) -> Next {
        if std::mem::take(&mut self.done) {
            self.buffer = Vec::new();
        }
        loop {
            let skipped = self.skip.min(rest.len());
            *rest = rest.get(skipped..).unwrap_or_default();
            self.skip -= skipped;
            self.take(HEADER_BYTES, rest);
            let Some(&[kind, high, middle, low]) = self.buffer.first_chunk() else {
                return Next::Unfinished;
            };
            let length = u32::from_be_bytes([0, high, middle, low]) as usize;
            if !is_looked_at(kind) {
                self.skip = length;
                self.buffer.clear();
                continue;
            }
            if length > TLS_MESSAGE_BYTES_MAX {
                return Next::TooLong;
            }
            self.take(HEADER_BYTES + length, rest);
            self.done = self.buffer.len() == HEADER_BYTES + length;
            return if self.done {
                Next::Message(kind)
            } else {
                Next::Unfinished
            };
        }
    }

    /// The body of the message that is complete.
    pub(in crate::app) fn body(&self) -> &[u8] {
        self.buffer.get(HEADER_BYTES..).unwrap_or_default()
    }

    /// Whether part of a message that is looked at is held.
    pub(in crate::app) fn is_within_message(&self) -> bool {
        !self.done && !self.buffer.is_empty()
    }

    /// So many bytes did not come: a message begins behind them, unless all of them belong to
    /// one that is passed over.
    pub(in crate::app) fn miss(&mut self, bytes: usize) {
        let left = self.skip.checked_sub(bytes);
        *self = Self::default();
        self.skip = left.unwrap_or_default();
    }

    /// Bytes on the heap.
    pub(in crate::app) fn heap_bytes(&self) -> usize {
        self.buffer.capacity()
    }

    /// Fills the buffer up to `wanted` bytes.
    fn take(&mut self, wanted: usize, rest: &mut &[u8]) {
        let length = wanted.saturating_sub(self.buffer.len()).min(rest.len());
        if let Some((taken, after)) = rest.split_at_checked(length) {
            self.buffer.extend_from_slice(taken);
            *rest = after;
        }
    }
}

const fn is_looked_at(kind: u8) -> bool {
    matches!(
        kind,
        message::CLIENT_HELLO
            | message::SERVER_HELLO
            | message::END_OF_EARLY_DATA
            | message::ENCRYPTED_EXTENSIONS
            | message::KEY_UPDATE
    )
}

const HEADER_BYTES: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u8, length: usize) -> Vec<u8> {
        let [_, high, middle, low] = u32::try_from(length).unwrap().to_be_bytes();
        let mut message = vec![kind, high, middle, low];
        message.resize(HEADER_BYTES + length, kind);
        message
    }

    #[test]
    fn messages_are_the_same_however_they_are_cut_and_others_are_passed_over() {
        let stream = [
            message(2, 70),
            message(11, 3000),
            message(14, 0),
            message(24, 1),
            message(1, 0),
        ]
        .concat();
        for size in 1..stream.len() {
            let mut messages = Messages::default();
            let mut found = Vec::new();
            for piece in stream.chunks(size) {
                let mut rest = piece;
                while let Next::Message(kind) = messages.next(&mut rest) {
                    found.push((kind, messages.body().len()));
                }
                assert!(rest.is_empty());
            }
            assert_eq!(found, [(2, 70), (24, 1), (1, 0)], "{size}");
            assert!(messages.heap_bytes() < 200);
        }
    }

    #[test]
    fn a_message_beyond_the_bound_is_refused_at_its_header() {
        let mut messages = Messages::default();
        let mut rest = &[1, 1, 0, 1][..];
        assert_eq!(messages.next(&mut rest), Next::TooLong);
    }
}
