//! What is known of a connection by its client's hello, what was told of it, and the secrets that
//! came for it: the same over TCP and in QUIC.
//!
//! # When a hello is told
//! Where no keys are followed, at once: nothing more will be learned, and the connection is
//! forgotten, unless a suite that does not encrypt may be chosen. Where keys are followed, its request is the better word, and the hello waits for it: until
//! the connection ends, or until [`SECRET_WAIT`] when nothing was opened by then. A hello that
//! names a canary's own host waits [`HELLO_VISIT_WAIT`] only, which keys that are followed live
//! need to arrive: an alert is urgent. The request that is read later becomes a detail of it.

use std::net::IpAddr;

use crate::app::Observer;
use crate::app::tls::client_hello::ClientHello;
use crate::app::tls::facts::TlsFacts;
use crate::app::tls::ja4::Carrier;
use crate::app::tls::keylog::{KeyLabel, Secret};
use crate::app::tls::secrets::{ClientRandom, Waiter};
use crate::app::tls::suite::{Cipher, Suite};
use crate::app::tls::under::{Told, Under};
use crate::event::{Flags, Scheme};
use crate::frame::Timestamp;
use crate::limits::{HELLO_VISIT_WAIT, SECRET_WAIT};
use crate::transport::StreamContext;

/// See the module's text.
pub(in crate::app) struct Known {
    pub(in crate::app) hello: Option<Box<Hello>>,
    secrets: [Option<Secret>; KeyLabel::COUNT],
    /// What else key logs may call it by.
    names: Vec<ClientRandom>,
    pub(in crate::app) told: Told,
    /// Whether anything was opened with a key.
    pub(in crate::app) opened: bool,
    /// When the layer above is told of the hello at the latest.
    hello_due: Option<Timestamp>,
    waiter: Option<Waiter>,
    alarm: Option<Timestamp>,
}

/// What the client's first hello said.
pub(in crate::app) struct Hello {
    pub(in crate::app) random: ClientRandom,
    pub(in crate::app) facts: TlsFacts,
    /// Where and when it was complete.
    pub(in crate::app) context: StreamContext,
    /// Whether the server's word for the application protocol was seen.
    pub(in crate::app) protocol_known: bool,
    /// Whether the client has sent data.
    pub(super) is_speaking: bool,
    pub(super) offers_tls13: bool,
    pub(super) offers_http1: bool,
    pub(super) offers_http2: bool,
    /// The suites of TLS 1.3 among those that the client offers.
    pub(in crate::app) suites13: Vec<Suite>,
}

/// Whether more of a connection is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::app) enum Wanted {
    /// Its keys may come.
    Yes,
    /// Its host is not watched, or its hello is all that will be known: tell it, and no more.
    No,
}

impl Known {
    /// Nothing, yet.
    pub(in crate::app) const fn new() -> Self {
        Self {
            hello: None,
            secrets: [None; KeyLabel::COUNT],
            names: Vec::new(),
            told: Told::Nothing,
            opened: false,
            hello_due: None,
            waiter: None,
            alarm: None,
        }
    }

    /// Takes note of the client's first hello. `waiter` is called when its keys come.
    pub(in crate::app) fn on_first_hello(
        &mut self,
        context: &StreamContext,
        hello: &ClientHello<'_>,
        (carrier, proxied_for): (Carrier, Option<IpAddr>),
        waiter: Waiter,
        observer: &mut dyn Observer,
    ) -> Wanted {
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
            return Wanted::No;
        }
        observer.on_watched_server(context.dst.ip());
        let facts = TlsFacts::of(hello, carrier, proxied_for);
        self.hello = Some(Box::new(Hello::new(context, hello, facts)));
        if !followed && !hello.ciphers.iter().any(is_null) {
            observer.counters().tls_no_key += 1;
            return Wanted::No;
        }
        self.waiter = Some(waiter);
        self.register(observer);
        let wait = match self.is_canary_host(observer) {
            true => HELLO_VISIT_WAIT,
            false => SECRET_WAIT,
        };
        self.hello_due = Some(context.time.plus(wait));
        Wanted::Yes
    }

    /// Whether its keys may come.
    pub(in crate::app) fn is_waiting(&self) -> bool {
        self.waiter.is_some()
    }

    /// Whether it names a server.
    pub(in crate::app) fn is_named(&self) -> bool {
        self.name().is_some()
    }

    /// Whether a connection to the server that it names is a visit.
    pub(in crate::app) fn is_canary_host(&self, observer: &dyn Observer) -> bool {
        self.name()
            .is_some_and(|name| observer.is_canary_host(name.as_bytes()))
    }

    /// The server's word for the application protocol.
    pub(in crate::app) fn choose_protocol(&mut self, name: Option<&[u8]>) {
        if let (Some(hello), Some(name)) = (&mut self.hello, name) {
            hello.facts.choose_protocol(name);
            hello.protocol_known = true;
        }
    }

    /// It negotiates anew, as another connection to key logs.
    pub(in crate::app) fn rename(&mut self, random: &ClientRandom, observer: &mut dyn Observer) {
        self.cease_waiting(observer);
        let Some(known) = &mut self.hello else { return };
        known.random = *random;
        known.facts.random = *random;
        known.facts.secrets = [None; KeyLabel::COUNT];
        self.names = Vec::new();
        self.secrets = [None; KeyLabel::COUNT];
        self.register(observer);
    }

    /// A secret of this connection's; a copy of it is kept as long as the connection is.
    pub(in crate::app) fn secret(
        &mut self,
        label: KeyLabel,
        observer: &mut dyn Observer,
    ) -> Option<Secret> {
        let random = self.hello.as_ref()?.random;
        let kept = self.secrets.get_mut(label.index())?;
        if kept.is_none() {
            *kept = observer.secrets()?.find(&random, label);
            let told = self.hello.as_mut().map(|hello| &mut hello.facts.secrets);
            if let Some(told) = told.and_then(|told| told.get_mut(label.index())) {
                *told = *kept;
            }
        }
        *kept
    }

    /// A secret that was made from what came.
    pub(super) fn keep_secret(&mut self, label: KeyLabel, secret: Secret) {
        let told = self.hello.as_mut().map(|hello| &mut hello.facts.secrets);
        if let Some(told) = told.and_then(|told| told.get_mut(label.index())) {
            *told = Some(secret);
        }
        if let Some(kept) = self.secrets.get_mut(label.index()) {
            *kept = Some(secret);
        }
    }

    /// Asks once to be called also when a secret comes by one of these names.
    pub(super) fn wait_by(&mut self, names: Vec<ClientRandom>, observer: &mut dyn Observer) {
        if self.names.is_empty() {
            self.names = names;
            self.register(observer);
        }
    }

    /// Lets something speak to the layer above from inside the connection.
    pub(in crate::app) fn inside<T>(
        &mut self,
        observer: &mut dyn Observer,
        speak: impl FnOnce(&mut Under<'_>) -> T,
    ) -> Option<T> {
        let hello = self.hello.as_ref()?;
        let before = observer.counters().requests;
        let mut under = Under {
            outer: observer,
            facts: &hello.facts,
            told: &mut self.told,
        };
        let outcome = speak(&mut under);
        if self.told == Told::Nothing && observer.counters().requests > before {
            self.told = Told::Enough; // of a host that is not watched
        }
        Some(outcome)
    }

    /// Tells the hello, unless more is known or it was told.
    pub(in crate::app) fn tell_hello(&mut self, observer: &mut dyn Observer) {
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

    /// Tells the hello for a request of its connection that nobody can read, whatever was read of
    /// others.
    pub(in crate::app) fn tell_unread(&mut self, observer: &mut dyn Observer) {
        if matches!(self.told, Told::Visit(_)) {
            return;
        }
        if let Some(hello) = &mut self.hello {
            hello.context.flags = hello.context.flags.with(Flags::EARLY_UNREAD);
            self.told = Told::Nothing;
        }
        self.tell_hello(observer);
    }

    /// It is so late: tells the hello if it is due.
    pub(in crate::app) fn on_time(&mut self, now: Timestamp, observer: &mut dyn Observer) {
        self.alarm = self.alarm.filter(|alarm| *alarm > now);
        if self.hello_due.is_some_and(|due| due <= now) {
            self.hello_due = None;
            if self.is_canary_host(observer) || !self.opened {
                self.tell_hello(observer);
            }
        }
    }

    /// Asks to be called when `expiry` has come, or the hello is due.
    pub(in crate::app) fn set_alarm(
        &mut self,
        expiry: Option<Timestamp>,
        observer: &mut dyn Observer,
    ) {
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

    /// Is to be called by another name from now on.
    pub(super) fn set_waiter(&mut self, waiter: Waiter, observer: &mut dyn Observer) {
        self.cease(observer);
        self.waiter = Some(waiter);
        self.register(observer);
    }

    /// The connection is over, and nothing more is waited for: its hello is told if nothing else
    /// was, and the lines of its keys go with it, unless somebody else waits for them.
    pub(in crate::app) fn end(&mut self, observer: &mut dyn Observer) {
        self.tell_hello(observer);
        if let Told::Visit(id) = self.told {
            observer.on_unanswered(id);
        }
        self.cease(observer);
        if let Some(secrets) = observer.secrets() {
            self.names().for_each(|name| secrets.forget(name));
        }
    }

    /// Bytes on the heap.
    pub(in crate::app) fn heap_bytes(&self) -> usize {
        let hello = self.hello.as_ref().map_or(0, |_| HELLO_BYTES);
        hello + self.names.capacity() * size_of::<ClientRandom>()
    }

    fn name(&self) -> Option<&String> {
        self.hello.as_ref()?.facts.sni.as_ref()
    }

    /// Asks to be called when a secret comes.
    fn register(&self, observer: &mut dyn Observer) {
        if let (Some(waiter), Some(secrets)) = (self.waiter, observer.secrets()) {
            self.names().for_each(|name| secrets.wait_for(name, waiter));
        }
    }

    /// Is not to be called any more.
    fn cease(&mut self, observer: &mut dyn Observer) {
        self.cease_waiting(observer);
        if let (Some(waiter), Some(secrets)) = (self.waiter, observer.secrets()) {
            secrets.move_alarm(self.alarm.take(), None, waiter);
        }
    }

    /// Is not to be called any more when a secret comes.
    fn cease_waiting(&self, observer: &mut dyn Observer) {
        if let (Some(waiter), Some(secrets)) = (self.waiter, observer.secrets()) {
            self.names().for_each(|name| secrets.cease(name, waiter));
        }
    }

    /// All that key logs may call it by.
    fn names(&self) -> impl Iterator<Item = &ClientRandom> {
        let random = self.hello.as_ref().map(|hello| &hello.random);
        random.into_iter().chain(&self.names)
    }
}

impl Hello {
    fn new(context: &StreamContext, hello: &ClientHello<'_>, facts: TlsFacts) -> Self {
        let suites = hello.ciphers.iter().filter(|one| Suite::is_of_tls13(*one));
        Self {
            random: *hello.random,
            facts,
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
        }
    }
}

fn is_null(number: u16) -> bool {
    Suite::of(number).is_some_and(|suite| suite.cipher == Cipher::Null)
}

/// Suites of TLS 1.3 that there are.
const SUITES_TRIED_MAX: usize = 5;
/// A hello with its names, about.
const HELLO_BYTES: usize = size_of::<Hello>() + 128;
