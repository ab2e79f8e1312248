//! What the layer above is told of a connection, and when it is looked at again.

use super::{Choice, Stop, Tls};
use crate::app::Observer;
use crate::app::tls::cipher::Sender;
use crate::app::tls::client_hello::ClientHello;
use crate::app::tls::ja4::Carrier;
use crate::app::tls::known::Wanted;
use crate::app::tls::secrets::Waiter;
use crate::app::tls::suite::{Cipher, Suite};
use crate::event::Scheme;
use crate::limits::SECRET_WAIT;
use crate::transport::{Chunk, FlowKey, StreamContext};

impl Tls {
    /// Hands plain text, or the lack of it, to what speaks inside.
    pub(super) fn tell_inner(
        &mut self,
        context: &StreamContext,
        chunk: Chunk<'_>,
        observer: &mut dyn Observer,
    ) {
        let side = match self.sender(context.direction) {
            Sender::Client => &mut self.client_side,
            Sender::Server => &mut self.server_side,
        };
        let length = match chunk {
            Chunk::Data(bytes) => bytes.len() as u64,
            Chunk::Gap(gap) => gap,
            Chunk::Fin | Chunk::Reset => 0,
        };
        let inside = StreamContext {
            offset: side.told,
            acked: None, // acknowledgements count what is outside
            scheme: Scheme::Https,
            ..*context
        };
        side.told = side.told.saturating_add(length);
        let inner = &mut self.inner;
        self.known
            .inside(observer, |under| inner.on_chunk(&inside, chunk, under));
    }

    /// Takes note of the client's first hello.
    pub(super) fn on_first_hello(
        &mut self,
        context: &StreamContext,
        hello: &ClientHello<'_>,
        observer: &mut dyn Observer,
    ) -> Result<(), Stop> {
        let waiter = Waiter::Flow(FlowKey::between(context.src, context.dst));
        let by = (Carrier::Tcp, self.proxied_for);
        match self
            .known
            .on_first_hello(context, hello, by, waiter, observer)
        {
            Wanted::Yes => self.stop_unless_readable(observer),
            Wanted::No => Err(Stop::Unwanted),
        }
    }

    /// Without keys only what is not encrypted is wanted.
    pub(super) fn stop_unless_readable(&mut self, observer: &mut dyn Observer) -> Result<(), Stop> {
        let followed = observer.secrets().is_some_and(|one| one.are_followed());
        let is_null = |suite: Suite| suite.cipher == Cipher::Null;
        let encrypts = |choice: Choice| !choice.suite.is_some_and(is_null);
        if followed || self.known.hello.is_none() || !self.choice.is_some_and(encrypts) {
            return Ok(());
        }
        observer.counters().tls_no_key += 1;
        Err(Stop::Unwanted)
    }

    /// Asks to be called when something has waited long enough.
    pub(super) fn set_alarm(&mut self, observer: &mut dyn Observer) {
        let held = [&self.client_side.held, &self.server_side.held];
        let oldest = held.iter().filter_map(|held| held.oldest()).min();
        self.known
            .set_alarm(oldest.map(|oldest| oldest.plus(SECRET_WAIT)), observer);
    }
}
