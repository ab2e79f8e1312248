//! Header blocks of one direction.

use canarytap::engine::app::hpack::Decoder;
use canarytap::engine::limits::{HEADER_LIST_BYTES_MAX, HPACK_TABLE_BYTES_MAX};

use super::input::Input;

/// Field lists as `name: value`, one for each block.
type Lists = Vec<Vec<(Vec<u8>, Vec<u8>)>>;

/// The first byte says whether what follows are blocks, or fields to make blocks of.
pub fn hpack(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    match input.u8() % 2 {
        0 => any_blocks(&mut input),
        _ => round_trip(&mut input),
    }
}

/// Any bytes keep the bounds, and a block behind one that was refused is still read.
fn any_blocks(input: &mut Input<'_>) {
    let mut decoder = Decoder::default();
    while !input.is_empty() {
        if input.u8() == 0xff {
            decoder.lose();
        }
        let length = usize::from(input.u16());
        let mut told = 0;
        let result = decoder.decode(input.take(length), |name, value| {
            told += name.len() + value.len() + 32;
        });
        assert!(told <= HEADER_LIST_BYTES_MAX);
        assert!(
            decoder.heap_bytes() <= 4 * HPACK_TABLE_BYTES_MAX,
            "{}",
            decoder.heap_bytes()
        );
        if result.is_err() {
            // A literal field that is not indexed, with a new name.
            let mut fields = Vec::new();
            let plain = [0x00, 1, b'a', 1, b'b'];
            let again = decoder.decode(&plain, |name, value| {
                fields.push([name, value].concat());
            });
            assert!(again.is_ok());
            assert_eq!(fields, [b"ab"]);
        }
    }
}

/// What a naive sender encodes comes back.
fn round_trip(input: &mut Input<'_>) {
    let (mut sender, mut decoder) = (Sender::default(), Decoder::default());
    let (mut sent, mut told) = (Lists::new(), Lists::new());
    for _ in 0..20 {
        let mut block = Vec::new();
        let mut list = Vec::new();
        for _ in 0..input.u8() % 8 {
            list.push(sender.field(input, &mut block));
        }
        let mut heard = Vec::new();
        let decoded = decoder.decode(&block, |name, value| {
            heard.push((name.to_vec(), value.to_vec()));
        });
        let decoded = decoded.expect("a block that keeps the rules");
        assert_eq!((decoded.unknown, decoded.is_truncated), (0, false));
        sent.push(list);
        told.push(heard);
    }
    assert_eq!(told, sent);
}

/// A sender's table: newest first, of 4,096 bytes (RFC 7541 §4.1).
#[derive(Default)]
struct Sender {
    kept: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Sender {
    /// Appends one field that `input` chooses, in one of the forms of RFC 7541 §6.
    fn field(&mut self, input: &mut Input<'_>, block: &mut Vec<u8>) -> (Vec<u8>, Vec<u8>) {
        let form = input.u8();
        if form >= 0x80 && !self.kept.is_empty() {
            let place = usize::from(input.u8()) % self.kept.len();
            integer(0x80, 7, 62 + place, block);
            return self.kept[place].clone();
        }
        let (first, prefix) = match form % 3 {
            0 => (0x40, 6),
            1 => (0x00, 4),
            _ => (0x10, 4),
        };
        let name = match (form / 3) % 2 {
            1 if !self.kept.is_empty() => {
                let place = usize::from(input.u8()) % self.kept.len();
                integer(first, prefix, 62 + place, block);
                self.kept[place].0.clone()
            }
            _ => {
                integer(first, prefix, 0, block);
                string(input, block)
            }
        };
        let value = string(input, block);
        if first == 0x40 {
            self.keep(&name, &value);
        }
        (name, value)
    }

    fn keep(&mut self, name: &[u8], value: &[u8]) {
        self.kept.insert(0, (name.to_vec(), value.to_vec()));
        let size = |kept: &[(Vec<u8>, Vec<u8>)]| -> usize {
            kept.iter()
                .map(|(name, value)| name.len() + value.len() + 32)
                .sum()
        };
        while size(&self.kept) > 4096 {
            self.kept.pop();
        }
    }
}

/// A string of the input's, not Huffman-coded.
fn string(input: &mut Input<'_>, block: &mut Vec<u8>) -> Vec<u8> {
    let length = input.u8();
    let length = if length < 0xf0 {
        usize::from(length % 32)
    } else {
        usize::from(length) * 8
    };
    let text = input.take(length).to_vec();
    integer(0, 7, text.len(), block);
    block.extend_from_slice(&text);
    text
}

/// RFC 7541 §5.1.
fn integer(first: u8, prefix: u32, value: usize, block: &mut Vec<u8>) {
    let most = (1 << prefix) - 1;
    if value < most {
        return block.push(first | value as u8);
    }
    block.push(first | most as u8);
    let mut rest = value - most;
    while rest >= 128 {
        block.push(0x80 | (rest % 128) as u8);
        rest /= 128;
    }
    block.push(rest as u8);
}
