//! Conversations in HTTP/2 as scripts: `>` is the client, `<` the server, then a word and what it
//! needs. Commands parted by `;` come in one chunk; what begins with `~` is missing.

use crate::app::Session;
use crate::app::hpack::huffman;
use crate::app::http2::PREFACE;
use crate::app::tests::{Notes, context};
use crate::event::Flags;
use crate::frame::Timestamp;
use crate::transport::{Chunk, Direction};

/// What one side does next.
#[derive(Clone, Debug)]
pub(super) enum Act {
    Bytes(Vec<u8>),
    Missing(u64),
    Fin,
    Reset,
}

pub(super) type Talk = Vec<(Direction, Act)>;

/// A sender of header blocks, as naive as can be: what has a number is sent by it, what may be
/// kept is kept, and every string of odd length is Huffman-coded.
#[derive(Debug, Default)]
pub(super) struct Peer {
    kept: Vec<(String, String)>,
}

const STATIC: [(u8, &str, &str); 12] = [
    (2, ":method", "GET"),
    (3, ":method", "POST"),
    (4, ":path", "/"),
    (6, ":scheme", "http"),
    (8, ":status", "200"),
    (9, ":status", "204"),
    (11, ":status", "304"),
    (13, ":status", "404"),
    (1, ":authority", ""),
    (38, "host", ""),
    (51, "referer", ""),
    (58, "user-agent", ""),
];

impl Peer {
    pub(super) fn encode(&mut self, fields: &[(&str, &str)]) -> Vec<u8> {
        let mut block = Vec::new();
        for (name, value) in fields {
            self.encode_one(name, value, &mut block);
        }
        block
    }

    fn encode_one(&mut self, name: &str, value: &str, block: &mut Vec<u8>) {
        let of_name = STATIC.iter().find(|one| one.1 == name);
        let field = (name.to_owned(), value.to_owned());
        if let Some((number, ..)) = STATIC.iter().find(|one| (one.1, one.2) == (name, value)) {
            block.push(0x80 | number);
        } else if let Some(place) = self.kept.iter().position(|kept| *kept == field) {
            block.push(0x80 | u8::try_from(62 + place).unwrap());
        } else {
            let keeps = name != ":path";
            let first = if keeps { 0x40 } else { 0 };
            block.push(first | of_name.map_or(0, |one| one.0 & if keeps { 63 } else { 15 }));
            if of_name.is_none() {
                string(name, block);
            }
            string(value, block);
            if keeps {
                self.kept.insert(0, field);
            }
        }
    }
}

fn string(text: &str, block: &mut Vec<u8>) {
    let coded = huffman::encode(text.as_bytes());
    let (mark, bytes) = match text.len() % 2 {
        1 => (0x80, coded.as_slice()),
        _ => (0, text.as_bytes()),
    };
    let length = bytes.len();
    if length < 127 {
        block.push(mark | u8::try_from(length).unwrap());
    } else {
        block.push(mark | 127);
        let mut rest = length - 127;
        while rest >= 128 {
            block.push(0x80 | u8::try_from(rest % 128).unwrap());
            rest /= 128;
        }
        block.push(u8::try_from(rest).unwrap());
    }
    block.extend_from_slice(bytes);
}

pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = length[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// What a script says.
pub(super) fn talk(script: &[&str]) -> Talk {
    let mut peers = [Peer::default(), Peer::default()];
    script.iter().map(|line| act(line, &mut peers)).collect()
}

fn act(line: &str, peers: &mut [Peer; 2]) -> (Direction, Act) {
    let (is_missing, line) = match line.strip_prefix('~') {
        Some(line) => (true, line),
        None => (false, line),
    };
    let (direction, peer) = match line.split_at(1).0 {
        ">" => (Direction::ToServer, &mut peers[0]),
        _ => (Direction::ToClient, &mut peers[1]),
    };
    let mut bytes = Vec::new();
    for command in line.split_at(1).1.split(" ; ") {
        match command {
            "fin" => return (direction, Act::Fin),
            "reset" => return (direction, Act::Reset),
            command => bytes.extend(said(command, direction, peer)),
        }
    }
    let act = match is_missing {
        true => Act::Missing(bytes.len() as u64),
        false => Act::Bytes(bytes),
    };
    (direction, act)
}

fn said(command: &str, direction: Direction, peer: &mut Peer) -> Vec<u8> {
    let (word, rest) = command.split_once(' ').unwrap_or((command, ""));
    let words: Vec<&str> = rest.split(' ').collect();
    let number = |place: usize| words[place].parse::<u32>().unwrap();
    match word {
        "start" if direction == Direction::ToServer => {
            [PREFACE, frame(4, 0, 0, &[0, 3, 0, 0, 0, 100]).as_slice()].concat()
        }
        "start" => frame(4, 0, 0, &[0, 1, 0, 0, 0x10, 0]),
        "ack" => frame(4, 1, 0, &[]),
        "get" => {
            let block = peer.encode(&request("GET", words[1], words[2]));
            frame(1, 5, number(0), &block)
        }
        "post" => {
            let block = peer.encode(&request("POST", words[1], words[2]));
            frame(1, 4, number(0), &block)
        }
        "padded" => {
            let block = peer.encode(&request("GET", words[1], words[2]));
            let payload = [&[7, 0, 0, 0, 0, 16][..], &block, &[0; 7]].concat();
            frame(1, 0x2d, number(0), &payload)
        }
        "pieces" => {
            let block = peer.encode(&request("GET", words[1], words[2]));
            pieces(number(0), &block, words[3].parse().unwrap())
        }
        "fields" => {
            let fields: Vec<(&str, &str)> = words[1..]
                .iter()
                .map(|word| word.rsplit_once('=').unwrap())
                .collect();
            frame(1, 4, number(0), &peer.encode(&fields))
        }
        "promise" => {
            let block = peer.encode(&request("GET", words[2], words[3]));
            let payload = [number(1).to_be_bytes().as_slice(), &block].concat();
            frame(5, 4, number(0), &payload)
        }
        "status" => frame(
            1,
            4,
            number(0),
            &peer.encode(&[(":status", words[1]), ("server", "s")]),
        ),
        "trailers" => frame(1, 5, number(0), &peer.encode(&[("grpc-status", "0")])),
        "data" => frame(0, 0, number(0), &vec![b'x'; words[1].parse().unwrap()]),
        "body" => {
            let text = rest.split_once(' ').unwrap().1.replace('|', "\r\n");
            frame(0, 0, number(0), text.as_bytes())
        }
        "rst" => frame(3, 0, number(0), &[0, 0, 0, 8]),
        "goaway" => {
            let payload = [number(0).to_be_bytes().as_slice(), &[0; 4], b"bye"].concat();
            frame(7, 0, 0, &payload)
        }
        "frame" => {
            let [kind, flags] = [0, 1].map(|place| u8::try_from(number(place)).unwrap());
            frame(kind, flags, number(2), &hex(&words[3..].concat()))
        }
        "text" => rest.replace('|', "\r\n").into_bytes(),
        word => panic!("{word}?"),
    }
}

fn request<'a>(method: &'a str, authority: &'a str, path: &'a str) -> [(&'a str, &'a str); 5] {
    [
        (":method", method),
        (":scheme", "http"),
        (":authority", authority),
        (":path", path),
        ("user-agent", "test"),
    ]
}

/// A block in frames of so many bytes.
fn pieces(stream: u32, block: &[u8], size: usize) -> Vec<u8> {
    let count = block.len().div_ceil(size);
    let frames = block.chunks(size).enumerate().map(|(place, piece)| {
        let (kind, end_stream) = if place == 0 { (1, 1) } else { (9, 0) };
        let end_headers = if place + 1 == count { 4 } else { 0 };
        frame(kind, end_stream | end_headers, stream, piece)
    });
    frames.flatten().collect()
}

fn hex(digits: &str) -> Vec<u8> {
    digits
        .as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

/// A listener in the middle.
pub(super) struct Tap {
    pub(super) session: Session,
    pub(super) notes: Notes,
    pub(super) flags: Flags,
}

impl Tap {
    pub(super) fn new(flags: Flags) -> Self {
        Self {
            session: Session::new(),
            notes: Notes::default(),
            flags,
        }
    }

    pub(super) fn hear(&mut self, direction: Direction, chunk: Chunk<'_>) {
        let context = context(direction, self.flags);
        self.session.on_chunk(&context, chunk, &mut self.notes);
    }

    /// Hears a conversation, its bytes in pieces of the sizes that come.
    pub(super) fn hear_all(&mut self, talk: &Talk, mut sizes: impl Iterator<Item = usize>) {
        for (direction, act) in talk {
            match act {
                Act::Bytes(bytes) => {
                    let mut rest = bytes.as_slice();
                    while !rest.is_empty() {
                        let size = sizes.next().unwrap().min(rest.len());
                        let (piece, after) = rest.split_at(size);
                        self.hear(*direction, Chunk::Data(piece));
                        rest = after;
                    }
                }
                Act::Missing(count) => self.hear(*direction, Chunk::Gap(*count)),
                Act::Fin => self.hear(*direction, Chunk::Fin),
                Act::Reset => self.hear(*direction, Chunk::Reset),
            }
        }
    }

    pub(super) fn end(mut self) -> Notes {
        self.session.on_close(Timestamp::default(), &mut self.notes);
        self.notes
    }
}

pub(super) fn play_with(flags: Flags, talk: &Talk) -> Notes {
    let mut tap = Tap::new(flags);
    tap.hear_all(talk, std::iter::repeat(usize::MAX));
    tap.end()
}

pub(super) fn play(script: &[&str]) -> Notes {
    play_with(Flags::NONE, &talk(script))
}
