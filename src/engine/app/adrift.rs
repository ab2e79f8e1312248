//! A connection whose start was not seen: a first line of HTTP/1, or frames of HTTP/2, are sought
//! in both directions.

use crate::app::Observer;
use crate::app::http1::{Found, Http1, Hunt, Owed, Sought};
use crate::app::http2::{self, Http2, PREFACE, pass_preface};
use crate::transport::{Direction, StreamContext};

/// One search for each direction.
#[derive(Debug, Default)]
pub(super) struct Adrift {
    to_server: Search,
    to_client: Search,
}

#[derive(Debug, Default)]
struct Search {
    hunt: Hunt,
    start: Start,
    /// Whether bytes are missing that the transport knows of.
    gap: bool,
    /// Whether requests may be among them.
    owed: Option<Owed>,
    /// Where the bytes began.
    since: Option<u64>,
}

/// Where a connection turns out to be.
#[derive(Debug)]
pub(super) enum Bearing<'a> {
    /// That is not known yet.
    None,
    /// In TLS.
    Tls,
    /// At the start of TLS, with the hello of this side's: what was held, and the rest.
    TlsHello {
        client: Direction,
        held: Vec<u8>,
        rest: &'a [u8],
    },
    /// In HTTP/1, at a first line: it begins with bytes that were held and goes on with the rest.
    Http1 {
        http1: Http1,
        held: Vec<u8>,
        rest: &'a [u8],
    },
    /// In HTTP/2, before these bytes.
    Http2 { http2: Box<Http2>, rest: &'a [u8] },
}

/// How the first bytes of a direction look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Start {
    /// None came.
    #[default]
    Unseen,
    /// So far like the preface of HTTP/2, which is so many bytes of it.
    Preface(u8),
    /// So far like a TLS record (RFC 8446 §5.1): so many bytes of it.
    Record([u8; RECORD_START], u8),
    /// Like a TLS record.
    Tls,
    /// Like a handshake record that begins with a hello.
    Hello { from_client: bool },
    /// Otherwise.
    Other,
}

impl Adrift {
    /// Takes the next bytes of one direction.
    pub(super) fn feed<'a>(
        &mut self,
        context: &StreamContext,
        bytes: &'a [u8],
        observer: &mut impl Observer,
    ) -> Bearing<'a> {
        let direction = context.direction;
        let side = self.side(direction);
        side.since.get_or_insert(context.offset);
        let mut rest = bytes;
        let held = side.start.held();
        side.start = side.start.after(&mut rest);
        match side.start {
            Start::Tls => return Bearing::Tls,
            Start::Hello { from_client } => {
                return Bearing::TlsHello {
                    client: client_of(direction, from_client),
                    held,
                    rest: bytes,
                };
            }
            _ => {}
        }
        if side.start == Start::Preface(PREFACE_LENGTH) {
            let http2 = self.after_preface(direction, observer);
            return Bearing::Http2 { http2, rest };
        }
        if let Some(from_client) = http2::recognise(bytes, observer) {
            let http2 = self.in_http2(direction, from_client, observer);
            return Bearing::Http2 { http2, rest: bytes };
        }
        match self.side(direction).hunt(context, bytes) {
            Found::Nothing => Bearing::None,
            Found::Line {
                held,
                rest,
                is_request,
            } => Bearing::Http1 {
                http1: self.in_http1(direction, is_request, observer),
                held,
                rest,
            },
        }
    }

    /// Bytes of one direction are missing.
    pub(super) fn miss(&mut self, context: &StreamContext, length: u64) {
        self.side(context.direction).miss(context, length);
    }

    /// The beginning of a line that may be one of HTTP/1.
    pub(super) fn held(&self, direction: Direction) -> &[u8] {
        match direction {
            Direction::ToServer => self.to_server.hunt.held(),
            Direction::ToClient => self.to_client.hunt.held(),
        }
    }

    /// Bytes on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        self.to_server.hunt.heap_bytes() + self.to_client.hunt.heap_bytes()
    }

    /// A first line of `direction` is HTTP/1.
    fn in_http1(
        &mut self,
        direction: Direction,
        from_client: bool,
        observer: &mut impl Observer,
    ) -> Http1 {
        let client = client_of(direction, from_client);
        let requests = std::mem::take(self.side(client));
        let responses = std::mem::take(self.side(client.reversed()));
        let (gap, owed) = (requests.gap, requests.owed);
        let mut http1 = Http1::lost(client, requests.hunt, responses.hunt, gap, observer);
        http1.took_up(owed, responses.since, observer);
        http1
    }

    fn side(&mut self, direction: Direction) -> &mut Search {
        match direction {
            Direction::ToServer => &mut self.to_server,
            Direction::ToClient => &mut self.to_client,
        }
    }

    /// The client's preface was read: bytes of the server's that came before it are missed.
    fn after_preface(&mut self, client: Direction, observer: &mut impl Observer) -> Box<Http2> {
        let mut http2 = Http2::after_preface(client);
        let server = self.side(client.reversed());
        if server.start != Start::Unseen || server.gap {
            http2.lose_responses(observer);
        }
        Box::new(http2)
    }

    /// Bytes of `direction` are HTTP/2.
    fn in_http2(
        &mut self,
        direction: Direction,
        from_client: bool,
        observer: &mut impl Observer,
    ) -> Box<Http2> {
        let client = client_of(direction, from_client);
        let gap = self.side(client).gap;
        Box::new(Http2::adrift(client, gap, observer))
    }
}

impl Search {
    /// Seeks a first line of HTTP/1.
    fn hunt<'a>(&mut self, context: &StreamContext, bytes: &'a [u8]) -> Found<'a> {
        let (found, passed) = self.hunt.pass(Sought::Either, bytes);
        self.owed = Owed::for_rest(passed, context.acked).or(self.owed);
        found
    }

    fn miss(&mut self, context: &StreamContext, length: u64) {
        let part = !self.hunt.held().is_empty();
        self.owed = Owed::for_gap(length, part, context.acked).or(self.owed);
        self.hunt = Hunt::LineStart;
        self.gap = true;
        self.start = match self.start {
            Start::Preface(_) => Start::Other,
            Start::Record(..) => Start::Unseen,
            other => other,
        };
    }
}

impl Start {
    /// How it looks with more bytes. Those of a preface are taken off.
    fn after(self, bytes: &mut &[u8]) -> Self {
        let of_preface = match (self, bytes.first()) {
            (Self::Preface(done), _) => Some(done),
            (Self::Unseen, Some(b'P')) => Some(0),
            _ => None,
        };
        if let Some(done) = of_preface {
            return pass_preface(done, bytes).map_or(Self::Other, Self::Preface);
        }
        let (mut record, mut length) = match self {
            Self::Unseen => ([0; RECORD_START], 0),
            Self::Record(record, length) => (record, length),
            other => return other,
        };
        for byte in *bytes {
            let Some(place) = record.get_mut(usize::from(length)) else {
                break;
            };
            *place = *byte;
            length += 1;
        }
        Self::of_record(record, length)
    }

    fn of_record(record: [u8; RECORD_START], length: u8) -> Self {
        let seen = record.get(..usize::from(length)).unwrap_or_default();
        match seen {
            [] => Self::Unseen,
            [0x16, 3, 0..=4, _, _, 1] => Self::Hello { from_client: true },
            [0x16, 3, 0..=4, _, _, 2] => Self::Hello { from_client: false },
            [0x16, 3, 0..=4, _, _, _] => Self::Tls,
            [0x16] | [0x16, 3] | [0x16, 3, 0..=4, ..] => Self::Record(record, length),
            [0x14..=0x17, 3, 0..=4, ..] => Self::Tls,
            [0x14..=0x17] | [0x14..=0x17, 3] => Self::Record(record, length),
            _ => Self::Other,
        }
    }

    /// What is held of a TLS record.
    fn held(self) -> Vec<u8> {
        match self {
            Self::Record(record, length) => record.into_iter().take(length.into()).collect(),
            _ => Vec::new(),
        }
    }
}

fn client_of(direction: Direction, from_client: bool) -> Direction {
    match from_client {
        true => direction,
        false => direction.reversed(),
    }
}

/// Header of a record and type of its first handshake message.
const RECORD_START: usize = 6;
#[allow(clippy::cast_possible_truncation, reason = "24 bytes")]
const PREFACE_LENGTH: u8 = PREFACE.len() as u8;
