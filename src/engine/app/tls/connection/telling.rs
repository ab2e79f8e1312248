//! What the layer above is told of a connection, and when it is looked at again.
//!
//! # When a hello is told
//! Where no keys are followed, at once: nothing more will be learned, and the connection is
//! forgotten. Where they are, its request is the better word, and the hello waits for it: until
//! the connection ends, or until [`SECRET_WAIT`] when nothing was opened by then. A hello that
//! names a canary's own host waits [`HELLO_VISIT_WAIT`] only, which keys that are followed live
//! need to arrive: an alert is urgent. The request that is read later becomes a detail of it.

use super::{Hello, Stop, Tls};
use crate::engine::app::Observer;
use crate::engine::app::tls::cipher::Sender;
use crate::engine::app::tls::client_hello::ClientHello;
use crate::engine::app::tls::facts::TlsFacts;
use crate::engine::app::tls::ja4::Carrier;
use crate::engine::app::tls::secrets::Waiter;
use crate::engine::app::tls::suite::Suite;
use crate::engine::app::tls::under::{Told, Under};
use crate::engine::event::Scheme;
use crate::engine::limits::{HELLO_VISIT_WAIT, SECRET_WAIT};
use crate::engine::transport::{Chunk, FlowKey, StreamContext};

impl Tls {
    /// Hands plain text, or the lack of it, to what speaks inside.
    pub(super) fn tell_inner(
        &mut self,
        context: &StreamContext,
        chunk: Chunk<'_>,
        observer: &mut dyn Observer,
    ) {
        let Some(hello) = &self.hello else { return };
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
        let before = observer.counters().requests;
        let mut under = Under {
            outer: observer,
            facts: &hello.facts,
            told: &mut self.told,
        };
        self.inner.on_chunk(&inside, chunk, &mut under);
        if self.told == Told::Nothing && observer.counters().requests > before {
            self.told = Told::Enough; // of a host that is not watched
        }
    }

    /// Takes note of the client's first hello.
    pub(super) fn on_first_hello(
        &mut self,
        context: &StreamContext,
        hello: &ClientHello<'_>,
        observer: &mut dyn Observer,
    ) -> Result<(), Stop> {
        observer.counters().tls_hellos += 1;
        let followed = observer.secrets().is_some_and(|one| one.are_followed());
        let wanted = match hello.server_name() {
            Some(name) => observer.is_watched(name),
            // Whoever has its key runs the server: then the request inside is judged.
            None => followed || observer.is_watched(b""),
        };
        if !wanted {
            observer.counters().tls_not_watched += 1;
            if let Some(secrets) = observer.secrets() {
                secrets.forget(hello.random);
            }
            return Err(Stop::Unwanted);
        }
        observer.on_watched_server(context.dst.ip());
        let suites = hello.ciphers.iter().filter(|one| Suite::is_of_tls13(*one));
        self.hello = Some(Box::new(Hello {
            random: *hello.random,
            facts: TlsFacts::of(hello, Carrier::Tcp, self.proxied_for),
            context: StreamContext {
                scheme: Scheme::Https,
                ..*context
            },
            protocol_known: false,
            is_speaking: false,
            offers_tls13: hello.offers_tls13(),
            offers_http1: hello.protocols().any(|name| name == b"http/1.1"),
            offers_http2: hello.protocols().any(|name| name == b"h2"),
            suites13: suites
                .filter_map(Suite::of)
                .take(SUITES_TRIED_MAX)
                .collect(),
        }));
        if !followed {
            observer.counters().tls_no_key += 1;
            return Err(Stop::Unwanted);
        }
        let key = FlowKey::between(context.src, context.dst);
        self.waiter = Some(Waiter::Flow(key));
        self.register(observer);
        let wait = match self.is_canary_host(observer) {
            true => HELLO_VISIT_WAIT,
            false => SECRET_WAIT,
        };
        self.hello_due = Some(context.time.plus(wait));
        Ok(())
    }

    pub(super) fn is_canary_host(&self, observer: &dyn Observer) -> bool {
        let name = self
            .hello
            .as_ref()
            .and_then(|hello| hello.facts.sni.as_ref());
        name.is_some_and(|name| observer.is_canary_host(name.as_bytes()))
    }

    /// Tells the hello, unless more is known or it was told.
    pub(super) fn tell_hello(&mut self, observer: &mut dyn Observer) {
        let (Some(hello), Told::Nothing) = (&self.hello, self.told) else {
            return;
        };
        self.told = Told::Enough;
        let Some(id) = observer.on_hello(&hello.context, &hello.facts) else {
            return;
        };
        if self.waiter.is_some() && self.is_canary_host(observer) {
            self.told = Told::Visit(id);
        } else {
            observer.on_unanswered(id);
        }
    }

    /// Asks to be called when a secret comes.
    pub(super) fn register(&self, observer: &mut dyn Observer) {
        let (Some(hello), Some(waiter)) = (&self.hello, self.waiter) else {
            return;
        };
        if let Some(secrets) = observer.secrets() {
            secrets.wait_for(&hello.random, waiter);
        }
    }

    /// Asks to be called when something has waited long enough.
    pub(super) fn set_alarm(&mut self, observer: &mut dyn Observer) {
        let held = [&self.client_side.held, &self.server_side.held];
        let expiry = held.iter().filter_map(|held| held.oldest()).min();
        let expiry = expiry.map(|oldest| oldest.plus(SECRET_WAIT));
        let due = self.hello_due.filter(|_| self.told == Told::Nothing);
        let alarm = due.into_iter().chain(expiry).min();
        let (Some(waiter), Some(secrets)) = (self.waiter, observer.secrets()) else {
            return;
        };
        if alarm != self.alarm {
            let before = std::mem::replace(&mut self.alarm, alarm);
            secrets.move_alarm(before, alarm, waiter);
        }
    }

    /// Is not to be called any more; the lines that nobody else waits for are forgotten.
    pub(super) fn cease(&mut self, observer: &mut dyn Observer) {
        let (Some(hello), Some(waiter)) = (&self.hello, self.waiter) else {
            return;
        };
        if let Some(secrets) = observer.secrets() {
            secrets.cease(&hello.random, waiter);
            secrets.move_alarm(self.alarm.take(), None, waiter);
        }
    }

    /// The lines of its keys go with the connection, unless somebody else waits for them.
    pub(super) fn forget_lines(&self, observer: &mut dyn Observer) {
        if let (Some(hello), Some(secrets)) = (&self.hello, observer.secrets()) {
            secrets.forget(&hello.random);
        }
    }
}

/// Suites of TLS 1.3 that there are.
const SUITES_TRIED_MAX: usize = 5;
