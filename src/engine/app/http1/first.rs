//! A connection of which only part of its first request's head was seen: in a flood of half
//! requests there are a million of these, so they are as small as can be.

use crate::engine::app::http1::Http1;
use crate::engine::app::http1::exchange::RequestKind;
use crate::engine::app::http1::partial::EXACT_BYTES_MAX;
use crate::engine::app::http1::requests::{Place, Requests};
use crate::engine::app::http1::skim::Skim;
use crate::engine::transport::{Direction, Interest};

/// What is left of an [`Http1`] at such a place.
#[derive(Debug)]
pub(in crate::engine::app) struct First(Left);

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
    /// Makes a connection small, if it is at such a place; else gives it back.
    pub(in crate::engine::app) fn of(mut http1: Http1) -> Result<Self, Http1> {
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
    pub(in crate::engine::app) fn into_http1(self) -> Http1 {
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
    pub(in crate::engine::app) fn interest(&self) -> Interest {
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
    pub(in crate::engine::app) fn held(&self, direction: Direction) -> &[u8] {
        match &self.0 {
            Left::Held { bytes, from, .. } if *from == direction => bytes,
            _ => &[],
        }
    }

    /// Bytes on the heap.
    pub(in crate::engine::app) fn heap_bytes(&self) -> usize {
        match &self.0 {
            Left::Held { bytes, .. } => bytes.len(),
            Left::Unwanted { skim, .. } => skim.heap_bytes(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_small() {
        assert!(size_of::<First>() <= 24, "{}", size_of::<First>());
    }
}
