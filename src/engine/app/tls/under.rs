//! The layer above, as it is seen from inside a connection under TLS.

use crate::app::tls::facts::TlsFacts;
use crate::app::{Observer, RequestHead};
use crate::counters::Counters;
use crate::event::EventId;
use crate::frame::Timestamp;
use crate::transport::StreamContext;

/// What the layer above was told of a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Told {
    /// Nothing.
    #[default]
    Nothing,
    /// Its hello, as a visit whose request may still be read.
    Visit(EventId),
    /// All that its hello is worth: the hello itself, or a request.
    Enough,
}

/// Adds to each request what the hello said.
pub(in crate::app) struct Under<'a> {
    pub(super) outer: &'a mut dyn Observer,
    pub(super) facts: &'a TlsFacts,
    pub(super) told: &'a mut Told,
}

impl Observer for Under<'_> {
    fn is_watched(&self, authority: &[u8]) -> bool {
        self.outer.is_watched(authority)
    }

    fn on_request(&mut self, context: &StreamContext, head: &RequestHead<'_>) -> Option<EventId> {
        let visit = match *self.told {
            Told::Visit(id) => Some(id),
            Told::Nothing | Told::Enough => None,
        };
        let id = self.outer.on_tls_request(context, head, self.facts, visit);
        if visit.is_none() || id == visit {
            *self.told = Told::Enough;
        }
        id
    }

    fn on_status(&mut self, time: Timestamp, request: EventId, status: u16) {
        self.outer.on_status(time, request, status);
    }

    fn on_unanswered(&mut self, request: EventId) {
        self.outer.on_unanswered(request);
    }

    fn counters(&mut self) -> &mut Counters {
        self.outer.counters()
    }
}
