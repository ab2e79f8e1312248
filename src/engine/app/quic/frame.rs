//! The frames in a packet (RFC 9000 §19): those that are read are told, the others passed over.

use crate::app::quic::packet::ConnectionId;
use crate::app::quic::varint::{varint, vector};
use crate::app::tls::reader::Reader;

/// A frame that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// Part of the handshake.
    Crypto {
        /// Where in it.
        offset: u64,
        /// The bytes.
        data: &'a [u8],
    },
    /// Part of a stream.
    Stream {
        /// Which.
        id: u64,
        /// Where in it.
        offset: u64,
        /// The bytes.
        data: &'a [u8],
        /// Whether the stream ends with them.
        is_last: bool,
    },
    /// The sender gives a stream up.
    Reset {
        /// Which.
        id: u64,
    },
    /// Another name by which the sender may be called.
    NewConnectionId(ConnectionId),
    /// The sender closes the connection.
    Close,
}

/// Why the rest of a packet cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameError {
    /// A frame ends early, or says what no frame says.
    Malformed,
    /// A type of an extension that is not known, so that its length is not either.
    Unknown(u64),
}

/// The frames of a packet, in order, as far as they can be read.
#[derive(Clone, Debug)]
pub struct Frames<'a> {
    reader: Reader<'a>,
}

impl<'a> Frames<'a> {
    /// Those of an opened packet.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self {
            reader: Reader::new(bytes),
        }
    }

    /// The next frame; None for one that is passed over.
    fn read(&mut self) -> Result<Option<Frame<'a>>, FrameError> {
        let reader = &mut self.reader;
        let kind = varint(reader).ok_or(FrameError::Malformed)?;
        let frame = match kind {
            0x06 => crypto(reader),
            0x08..=0x0f => stream(reader, kind),
            0x04 | 0x24 => reset(reader, kind),
            0x18 => new_connection_id(reader),
            0x1c | 0x1d => close(reader, kind),
            _ => return pass_over(reader, kind),
        };
        frame.map(Some).ok_or(FrameError::Malformed)
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = Result<Frame<'a>, FrameError>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.reader.is_empty() {
            match self.read() {
                Ok(None) => {}
                Ok(Some(frame)) => return Some(Ok(frame)),
                Err(error) => {
                    self.reader = Reader::default();
                    return Some(Err(error));
                }
            }
        }
        None
    }
}

fn crypto<'a>(reader: &mut Reader<'a>) -> Option<Frame<'a>> {
    Some(Frame::Crypto {
        offset: varint(reader)?,
        data: vector(reader)?,
    })
}

/// The bits of its type say which fields there are (RFC 9000 §19.8).
fn stream<'a>(reader: &mut Reader<'a>, kind: u64) -> Option<Frame<'a>> {
    let id = varint(reader)?;
    let offset = match kind & 4 {
        0 => 0,
        _ => varint(reader)?,
    };
    let data = match kind & 2 {
        0 => std::mem::take(reader).rest(),
        _ => vector(reader)?,
    };
    Some(Frame::Stream {
        id,
        offset,
        data,
        is_last: kind & 1 != 0,
    })
}

/// RESET_STREAM, or RESET_STREAM_AT, which has one field more.
fn reset<'a>(reader: &mut Reader<'a>, kind: u64) -> Option<Frame<'a>> {
    let id = varint(reader)?;
    pass_integers(reader, if kind == 0x04 { 2 } else { 3 })?;
    Some(Frame::Reset { id })
}

fn new_connection_id<'a>(reader: &mut Reader<'a>) -> Option<Frame<'a>> {
    pass_integers(reader, 2)?;
    let id = ConnectionId::new(reader.vector8()?)?;
    reader.take(RESET_TOKEN_BYTES)?;
    Some(Frame::NewConnectionId(id))
}

/// By the transport, or by the application, which names no frame.
fn close<'a>(reader: &mut Reader<'a>, kind: u64) -> Option<Frame<'a>> {
    pass_integers(reader, if kind == 0x1c { 2 } else { 1 })?;
    vector(reader)?;
    Some(Frame::Close)
}

fn pass_over<'a>(reader: &mut Reader<'a>, kind: u64) -> Result<Option<Frame<'a>>, FrameError> {
    let passed = match kind {
        0x00 | 0x01 | 0x1e | 0x1f => Some(()),
        0x02 | 0x03 => pass_acknowledgement(reader, kind),
        0x05 | 0x11 | 0x15 => pass_integers(reader, 2),
        0x07 | 0x31 => vector(reader).map(drop),
        0x10 | 0x12..=0x14 | 0x16 | 0x17 | 0x19 => pass_integers(reader, 1),
        0x1a | 0x1b => reader.take(PATH_BYTES).map(drop),
        0x30 => {
            *reader = Reader::default();
            Some(())
        }
        0xaf => pass_integers(reader, 4), // draft-ietf-quic-ack-frequency
        _ => return Err(FrameError::Unknown(kind)),
    };
    passed.map(|()| None).ok_or(FrameError::Malformed)
}

/// RFC 9000 §19.3.
fn pass_acknowledgement(reader: &mut Reader<'_>, kind: u64) -> Option<()> {
    pass_integers(reader, 2)?;
    let ranges = varint(reader)?;
    let counts = if kind == 0x03 { 3 } else { 0 };
    pass_integers(reader, ranges.checked_mul(2)?.checked_add(1 + counts)?)
}

/// Ends with the packet, however many are announced.
fn pass_integers(reader: &mut Reader<'_>, count: u64) -> Option<()> {
    (0..count).try_for_each(|_| varint(reader).map(drop))
}

/// RFC 9000 §10.3.
const RESET_TOKEN_BYTES: usize = 16;
/// RFC 9000 §19.17.
const PATH_BYTES: usize = 8;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::app::quic::vectors::{self, bytes};

    fn frames(bytes: &[u8]) -> Vec<Result<Frame<'_>, FrameError>> {
        Frames::new(bytes).collect()
    }

    #[test]
    fn the_published_packets_hold_a_hello_each() {
        for (text, at) in [
            (vectors::CLIENT_FRAMES.to_owned() + "0000", 4),
            (vectors::SERVER_FRAMES.to_owned(), 9),
        ] {
            let packet = bytes(&text);
            let found = frames(&packet);
            let [Ok(Frame::Crypto { offset: 0, data })] = found[..] else {
                panic!("{found:?}");
            };
            assert_eq!(data, &packet[at..at + data.len()]);
        }
    }

    #[test]
    fn every_other_frame_of_version_1_is_passed_over() {
        let all = [
            "00",
            "01",
            "0205030007",
            "020503020701010101",
            "03050300070a0b0c",
            "050405",
            "0703aabbcc",
            "1005",
            "110405",
            "1205",
            "1305",
            "1405",
            "150405",
            "1605",
            "1705",
            "1905",
            "1a0102030405060708",
            "1b0102030405060708",
            "1e",
            "3102aabb",
            "1f",
            "40af01020304",
        ];
        for text in all {
            let packet = bytes(&(text.to_owned() + "0402030405"));
            assert_eq!(frames(&packet)[0], Ok(Frame::Reset { id: 2 }), "{text}");
            let packet = bytes(text);
            assert_eq!(frames(&packet), [], "{text}");
            for cut in 1..packet.len() {
                assert_eq!(
                    frames(&packet[..cut]),
                    [Err(FrameError::Malformed)],
                    "{text}"
                );
            }
        }
        assert_eq!(frames(&bytes("30010203")), []);
    }

    #[test]
    fn a_stream_frame_may_do_without_offset_length_and_end() {
        let of = |offset, data, is_last| {
            [Ok(Frame::Stream {
                id: 4,
                offset,
                data,
                is_last,
            })]
        };
        assert_eq!(frames(&bytes("0804aabb")), of(0, &[0xaa, 0xbb], false));
        assert_eq!(frames(&bytes("0904aabb")), of(0, &[0xaa, 0xbb], true));
        assert_eq!(frames(&bytes("0a0401aa")), of(0, &[0xaa], false));
        assert_eq!(frames(&bytes("0c0407aabb")), of(7, &[0xaa, 0xbb], false));
        assert_eq!(frames(&bytes("0f040701aa")), of(7, &[0xaa], true));
        assert_eq!(frames(&bytes("0b0400")), of(0, &[], true));
        assert_eq!(frames(&bytes("0a0402aa")), [Err(FrameError::Malformed)]);
    }

    #[test]
    fn names_and_ends_are_told() {
        let token = "00".repeat(16);
        let id = ConnectionId::new(&[0xaa, 0xbb]).unwrap();
        assert_eq!(
            frames(&bytes(&format!("18010002aabb{token}"))),
            [Ok(Frame::NewConnectionId(id))]
        );
        assert_eq!(frames(&bytes("1c010602aabb")), [Ok(Frame::Close)]);
        assert_eq!(frames(&bytes("1d0100")), [Ok(Frame::Close)]);
        assert_eq!(frames(&bytes("2404010203")), [Ok(Frame::Reset { id: 4 })]);
    }

    #[test]
    fn behind_a_frame_that_is_not_known_nothing_can_be_read() {
        assert_eq!(
            frames(&bytes("01407f04020304")),
            [Err(FrameError::Unknown(0x7f))]
        );
    }

    #[test]
    fn an_acknowledgement_of_more_ranges_than_there_are_ends_with_the_packet() {
        let packet = bytes("020000ffffffffffffffff00000000");
        assert_eq!(frames(&packet), [Err(FrameError::Malformed)]);
    }

    proptest! {
        #[test]
        fn any_bytes_end_as_frames_or_as_an_error(bytes: Vec<u8>) {
            let found = frames(&bytes);
            prop_assert!(found.len() <= bytes.len());
            let wrong = found.iter().position(Result::is_err);
            prop_assert!(wrong.is_none_or(|place| place + 1 == found.len()));
        }
    }
}
