//! A connection of which only part of its first request's head was seen: in a flood of half
//! requests there are a million of these, so they are as small as can be.

use crate::app::Observer;
use crate::app::http1::Http1;
use crate::app::http1::exchange::RequestKind;
use crate::app::http1::partial::EXACT_BYTES_MAX;
use crate::app::http1::requests::{Place, Requests};
use crate::app::http1::skim::{Skim, cut};
use crate::app::http1::walk::Walk;
use crate::transport::{Chunk, Direction, Interest};

/// What is left of an [`Http1`] at such a place.
#[derive(Debug)]
pub(in crate::app) struct First(Left);

#[derive(Debug)]
enum Left {
    /// A head that is, or may be, wanted.
    Held {
        bytes: Box<[u8]>,
        read: u32,
        watched: Option<bool>,
        from: Direction,
    },
    /// A head that is not.
    Unwanted {
        skim: Skim<RequestKind>,
        from: Direction,
    },
}

impl First {
    /// What the first bytes of a connection come to, if they are the usual beginning of a head and
    /// do not end it. None: they are to be read the long way, and nothing has happened.
    pub(in crate::app) fn begin(
        bytes: &[u8],
        from: Direction,
        observer: &impl Observer,
    ) -> Option<Self> {
        if !is_usual_beginning(bytes) {
            return None;
        }
        let walk = Walk::over(bytes).ok().filter(|walk| !walk.complete)?;
        let watched = walk.authority.map(|host| observer.is_watched(host));
        let left = match watched {
            Some(false) => Left::unwanted(bytes, &walk, from)?,
            _ => Left::Held {
                bytes: bytes.into(),
                read: u32::try_from(walk.read).ok()?,
                watched,
                from,
            },
        };
        Some(Self(left))
    }

    /// Reads on, if that is within a head that is only skimmed; else false, and nothing has
    /// happened.
    pub(in crate::app) fn skim(&mut self, direction: Direction, chunk: Chunk<'_>) -> bool {
        match (&mut self.0, chunk) {
            (Left::Unwanted { skim, from }, Chunk::Data(bytes)) if *from == direction => {
                skim.goes_on(bytes)
            }
            _ => false,
        }
    }

    /// Makes a connection small, if it is at such a place; else gives it back.
    pub(in crate::app) fn of(mut http1: Http1) -> Result<Self, Http1> {
        let requests = &mut http1.requests;
        let new = requests.is_first() && http1.responses.is_new() && http1.exchange.is_new();
        match std::mem::take(&mut requests.place) {
            // A longer one has room to grow, which would be lost.
            Place::Head(held) if new && held.len() <= EXACT_BYTES_MAX => Ok(Self(Left::Held {
                bytes: held.into_boxed_slice(),
                read: requests.read,
                watched: requests.watched,
                from: requests.from,
            })),
            Place::Unwanted(skim) if new => Ok(Self(Left::Unwanted {
                skim,
                from: requests.from,
            })),
            place => {
                requests.place = place;
                Err(http1)
            }
        }
    }

    /// The connection as it was.
    pub(in crate::app) fn into_http1(self) -> Http1 {
        match self.0 {
            Left::Held {
                bytes,
                read,
                watched,
                from,
            } => {
                let place = Place::Head(bytes.into_vec());
                Http1::with(Requests::in_first_head(place, from, watched, read))
            }
            Left::Unwanted { skim, from } => {
                let place = Place::Unwanted(skim);
                Http1::with(Requests::in_first_head(place, from, Some(false), 0))
            }
        }
    }

    /// How much it would cost to forget it.
    pub(in crate::app) fn interest(&self) -> Interest {
        match &self.0 {
            Left::Held {
                watched: Some(true),
                ..
            } => Interest::Watched,
            Left::Held { .. } => Interest::Undecided,
            Left::Unwanted { .. } => Interest::Idle,
        }
    }

    /// The part of a head that is held.
    pub(in crate::app) fn held(&self, direction: Direction) -> &[u8] {
        match &self.0 {
            Left::Held { bytes, from, .. } if *from == direction => bytes,
            _ => &[],
        }
    }

    /// Bytes on the heap.
    pub(in crate::app) fn heap_bytes(&self) -> usize {
        match &self.0 {
            Left::Held { bytes, .. } => bytes.len(),
            Left::Unwanted { skim, .. } => skim.heap_bytes(),
        }
    }
}

impl Left {
    fn unwanted(bytes: &[u8], walk: &Walk<'_>, from: Direction) -> Option<Self> {
        let kind = RequestKind::of(walk.line?.method);
        let skim = cut(kind, walk.framing, bytes.get(walk.read..)?);
        Some(Self::Unwanted { skim, from })
    }
}

/// Whether bytes begin a request for a path, and no empty line ends them. What begins so cannot be
/// anything else that is read (`probe`).
fn is_usual_beginning(bytes: &[u8]) -> bool {
    (bytes.starts_with(b"GET /") || bytes.starts_with(b"HEAD /"))
        && bytes.len() <= EXACT_BYTES_MAX
        && !bytes.ends_with(b"\n\r\n")
        && !bytes.ends_with(b"\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::tests::{Notes, context};
    use crate::event::Flags;

    const TO_SERVER: Direction = Direction::ToServer;

    /// The long way.
    fn begun_slowly(bytes: &[u8], notes: &mut Notes) -> Result<First, Http1> {
        let mut http1 = Http1::fresh(TO_SERVER, None);
        let context = context(TO_SERVER, Flags::NONE);
        http1.on_chunk(&context, Chunk::Data(bytes), notes);
        First::of(http1)
    }

    #[test]
    fn a_head_begins_the_short_way_as_it_does_the_long_way_wherever_it_is_cut() {
        let mut quick = 0;
        for head in [
            "GET /a HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nX: y\r\n\r\nabc",
            "GET /a HTTP/1.1\r\nHost: other\r\nContent-Length: 3\r\nX: y\r\n z\r\n\r\nabc",
            "HEAD /a HTTP/1.1\nX: y\nhost : other\nUpgrade: h2c\n\nGET /b HTTP/1.1\n",
            "GET /a\r\nHost: other\r\n\r\n",
            "GET / a HTTP/1.0\r\nHost:\r\nHost: other\r\nTransfer-Encoding: chunked\r\n\r\n",
            "GET /\0 HTTP/1.1\r\nHost: other\r\n\r\n",
        ] {
            for cut in 5..=head.len() {
                let part = &head.as_bytes()[..cut];
                let (notes, mut slow_notes) = (Notes::default(), Notes::default());
                let slow = begun_slowly(part, &mut slow_notes);
                if let Some(first) = First::begin(part, TO_SERVER, &notes) {
                    quick += 1;
                    let slow = slow.map(|slow| format!("{slow:?}"));
                    assert_eq!(Some(format!("{first:?}")), slow.ok(), "{head:?} {cut}");
                    assert_eq!(notes.counters, slow_notes.counters);
                }
            }
        }
        assert!(quick > 150, "{quick}");
    }

    #[test]
    fn an_unwanted_head_is_skimmed_until_it_ends() {
        let notes = Notes::default();
        let begin = |text: &str| First::begin(text.as_bytes(), TO_SERVER, &notes).unwrap();
        let mut first = begin("GET /a HTTP/1.1\r\nHost: other\r\nX: ");
        assert!(first.skim(TO_SERVER, Chunk::Data(b"y\r\nZ: ")));
        assert!(!first.skim(TO_SERVER, Chunk::Data(b"z\r\n\r\n")));
        assert!(!first.skim(Direction::ToClient, Chunk::Data(b"HTTP/1.1 400 ")));
        assert!(!first.skim(TO_SERVER, Chunk::Gap(3)));
        let mut wanted = begin("GET /a HTTP/1.1\r\nHost: h\r\nX: ");
        assert!(!wanted.skim(TO_SERVER, Chunk::Data(b"y\r\nZ: ")));
    }

    #[test]
    fn it_is_small() {
        assert!(size_of::<First>() <= 24, "{}", size_of::<First>());
    }
}
