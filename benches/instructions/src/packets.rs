//! Frames as they come from a wire: Ethernet, IPv4, TCP with right checksums.

use etherparse::PacketBuilder;

/// A connection that is played one segment at a time.
pub struct Connection {
    client: ([u8; 4], u16),
    server: ([u8; 4], u16),
    /// The next numbers of the client's and the server's.
    numbers: [u32; 2],
}

/// Who sends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum From {
    Client,
    Server,
}

/// What a segment is besides its bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Syn,
    SynAck,
    Plain,
}

impl Connection {
    /// One of many visitors, to a port of one server.
    pub fn new(visitor: u32, port: u16) -> Self {
        let [_, high, middle, low] = (visitor / 50_000).to_be_bytes();
        let start = visitor.wrapping_mul(0x9e37_79b1);
        Self {
            client: (
                [198, 18 + high, middle, low],
                10_000 + (visitor % 50_000) as u16,
            ),
            server: ([192, 168, 1, 10], port),
            numbers: [start, start.rotate_left(16)],
        }
    }

    /// The three segments that open it.
    pub fn open(&mut self) -> Vec<Vec<u8>> {
        [
            (From::Client, Kind::Syn),
            (From::Server, Kind::SynAck),
            (From::Client, Kind::Plain),
        ]
        .map(|(from, kind)| self.segment(from, kind, b""))
        .into()
    }

    /// The next segment of a side.
    pub fn segment(&mut self, from: From, kind: Kind, payload: &[u8]) -> Vec<u8> {
        let [client, server] = self.numbers;
        let (source, target, seq, ack) = match from {
            From::Client => (self.client, self.server, client, server),
            From::Server => (self.server, self.client, server, client),
        };
        let mut tcp = PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2])
            .ipv4(source.0, target.0, 60)
            .tcp(source.1, target.1, seq, 64_240);
        if kind != Kind::Plain {
            tcp = tcp.syn();
        }
        if kind != Kind::Syn {
            tcp = tcp.ack(ack);
        }
        let mut frame = Vec::with_capacity(payload.len() + 60);
        tcp.write(&mut frame, payload).expect("a Vec takes all");
        frame.resize(frame.len().max(60), 0); // Ethernet pads
        let length = payload.len() as u32 + u32::from(kind != Kind::Plain);
        let number = &mut self.numbers[from as usize];
        *number = number.wrapping_add(length);
        frame
    }

    /// The next bytes of a side.
    pub fn send(&mut self, from: From, payload: &[u8]) -> Vec<u8> {
        self.segment(from, Kind::Plain, payload)
    }
}
