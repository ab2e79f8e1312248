//! From observations to events: what was read, which canary it met, where it came from.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use crate::app::tls::closed;
use crate::app::tls::facts::TlsFacts;
use crate::app::tls::keylog::{KeyLabel, KeyLogEntry};
use crate::app::tls::secrets::Secrets;
use crate::app::{Observer, RequestHead, Session};
use crate::canary::{Doubt, Judgement, Match, Matcher, normalize_host};
use crate::counters::Counters;
use crate::event::{Detail, EventId, EventSink, Learned};
use crate::frame::Timestamp;
use crate::limits::WATCHED_SERVERS_MAX;
use crate::recorder::Told;
use crate::transport::{Attention, Chunk, FlowKey, StreamContext, StreamHandler};

mod compose;

/// What outlives a frame: the list of what to look for, and the number of the last event.
pub(super) struct Reporter {
    matcher: Arc<Matcher>,
    secrets: Secrets,
    /// Servers that hellos for watched hosts went to.
    servers: BTreeSet<IpAddr>,
    last_id: u64,
    /// Whether packets are kept, and the secrets of their connections.
    keeps: Keeps,
    /// Whether something watched was met since this was last asked.
    met: Cell<Attention>,
    /// Events whose packets are to be kept.
    to_keep: Vec<ToKeep>,
}

/// What is kept beside events.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Keeps {
    pub(super) packets: bool,
    pub(super) secrets: bool,
}

/// An event whose packets are to be kept.
pub(super) struct ToKeep {
    pub(super) key: FlowKey,
    /// The number of its connection, where that is not named by its endpoints.
    pub(super) connection: Option<u64>,
    pub(super) told: Told,
}

impl Reporter {
    pub(super) fn new(matcher: Arc<Matcher>) -> Self {
        Self {
            matcher,
            secrets: Secrets::default(),
            servers: BTreeSet::new(),
            last_id: 0,
            keeps: Keeps::default(),
            met: Cell::default(),
            to_keep: Vec::new(),
        }
    }

    /// Names events whose packets are to be kept, from now on.
    pub(super) fn keep(&mut self, keeps: Keeps) {
        self.keeps = keeps;
    }

    /// Whether there are such events.
    pub(super) fn has_to_keep(&self) -> bool {
        !self.to_keep.is_empty()
    }

    /// Whether something watched was met since this was last asked.
    pub(super) fn take_attention(&self) -> Attention {
        self.met.take()
    }

    pub(super) fn take_to_keep(&mut self) -> Vec<ToKeep> {
        std::mem::take(&mut self.to_keep)
    }

    pub(super) fn set_matcher(&mut self, matcher: Arc<Matcher>) -> Arc<Matcher> {
        std::mem::replace(&mut self.matcher, matcher)
    }

    pub(super) fn secrets(&mut self) -> &mut Secrets {
        &mut self.secrets
    }

    pub(super) fn secrets_waiting(&self) -> usize {
        self.secrets.len()
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.secrets.heap_bytes()
    }

    pub(super) fn reads_port(&self, port: u16) -> bool {
        self.matcher.ports().contains(port)
    }

    /// The layer above transport, speaking to `sink`.
    pub(super) fn handler<'a, K: EventSink>(&'a mut self, sink: &'a mut K) -> Handler<'a, K> {
        Handler {
            reporter: self,
            sink,
        }
    }

    fn next_id(&mut self) -> EventId {
        self.last_id += 1;
        EventId(self.last_id)
    }
}

/// Gives each flow's chunks to its session.
pub(super) struct Handler<'a, K> {
    reporter: &'a mut Reporter,
    sink: &'a mut K,
}

impl<K: EventSink> Handler<'_, K> {
    /// Lets a connection that is over be looked at, because a secret came or it is time.
    pub(super) fn wake_closed(&mut self, number: u64, now: Timestamp, counters: &mut Counters) {
        closed::wake(number, now, &mut self.reading(counters));
    }

    /// The capture ended: no connection that is over waits any more.
    pub(super) fn end_closed(&mut self, now: Timestamp, counters: &mut Counters) {
        closed::end(now, &mut self.reading(counters));
    }

    /// The layer above, as it hears what is read.
    pub(super) fn reading<'b>(&'b mut self, counters: &'b mut Counters) -> Reading<'b, K> {
        Reading {
            reporter: self.reporter,
            sink: self.sink,
            counters,
        }
    }
}

impl<K: EventSink> StreamHandler<Session> for Handler<'_, K> {
    fn on_open(&mut self) -> Session {
        Session::new()
    }

    fn on_chunk(
        &mut self,
        context: &StreamContext,
        chunk: Chunk<'_>,
        state: &mut Session,
        counters: &mut Counters,
    ) {
        state.on_chunk(context, chunk, &mut self.reading(counters));
    }

    fn on_silent(&mut self, context: &StreamContext, counters: &mut Counters) {
        let is_watched = self.reporter.servers.contains(&context.dst.ip());
        counters.connections_silent += u64::from(is_watched);
    }

    fn on_wake(&mut self, context: &StreamContext, state: &mut Session, counters: &mut Counters) {
        state.on_wake(context.time, &mut self.reading(counters));
    }

    fn wants_seen(&self) -> bool {
        self.reporter.keeps.packets
    }

    fn take_attention(&mut self) -> Attention {
        self.reporter.take_attention()
    }

    fn on_close(&mut self, time: Timestamp, state: Session, counters: &mut Counters) {
        state.on_close(time, &mut self.reading(counters));
        self.reporter.met.take(); // it says nothing of the next connection
    }
}

/// Hears what a session reads and makes events of it.
pub(super) struct Reading<'a, K> {
    reporter: &'a mut Reporter,
    sink: &'a mut K,
    counters: &'a mut Counters,
}

impl<K: EventSink> Observer for Reading<'_, K> {
    fn is_watched(&self, authority: &[u8]) -> bool {
        let is_watched = self.reporter.matcher.is_watched(authority);
        let now = match is_watched {
            true => Attention::Watched,
            false => Attention::Unwatched,
        };
        self.reporter.met.set(self.reporter.met.get().max(now));
        is_watched
    }

    fn on_request(&mut self, context: &StreamContext, head: &RequestHead<'_>) -> Option<EventId> {
        self.on_any_request(context, head, None, None)
    }

    fn on_tls_request(
        &mut self,
        context: &StreamContext,
        head: &RequestHead<'_>,
        facts: &TlsFacts,
        visit: Option<EventId>,
    ) -> Option<EventId> {
        match (head.proxied_for, facts.proxied_for) {
            (None, Some(client)) => {
                let head = RequestHead {
                    proxied_for: Some(client),
                    ..head.clone()
                };
                self.on_any_request(context, &head, Some(facts), visit)
            }
            _ => self.on_any_request(context, head, Some(facts), visit),
        }
    }

    fn on_hello(&mut self, context: &StreamContext, facts: &TlsFacts) -> Option<EventId> {
        let host = facts
            .sni
            .as_ref()
            .and_then(|name| normalize_host(name.as_bytes()));
        let matcher = &self.reporter.matcher;
        if host.is_none() && !matcher.is_watched(b"") {
            return None;
        }
        let found = host.as_deref().and_then(|host| matcher.find_host(host));
        let judgement = matcher.judge_hello(context.src.ip(), facts.proxied_for);
        let found = seen_by(context, found, &judgement);
        let id = self.reporter.next_id();
        self.counters.events += 1;
        if found.is_some() {
            self.keep(id, context, Some(facts));
        }
        self.sink
            .on_event(compose::hello(id, context, facts, host, found, judgement));
        Some(id)
    }

    fn is_canary_host(&self, host: &[u8]) -> bool {
        let found = normalize_host(host).and_then(|host| self.reporter.matcher.find_host(&host));
        found.is_some()
    }

    fn on_watched_server(&mut self, server: IpAddr) {
        if self.reporter.servers.len() < WATCHED_SERVERS_MAX {
            self.reporter.servers.insert(server);
        }
    }

    fn is_watched_server(&self, server: IpAddr) -> bool {
        self.reporter.servers.contains(&server)
    }

    fn secrets(&mut self) -> Option<&mut Secrets> {
        Some(&mut self.reporter.secrets)
    }

    fn on_status(&mut self, time: Timestamp, request: EventId, status: u16) {
        self.sink.on_detail(Detail {
            of: request,
            time,
            learned: Learned::Status { status },
        });
        self.sink.on_settled(request);
    }

    fn on_unanswered(&mut self, request: EventId) {
        self.sink.on_settled(request);
    }

    fn counters(&mut self) -> &mut Counters {
        self.counters
    }
}

impl<K: EventSink> Reading<'_, K> {
    fn on_any_request(
        &mut self,
        context: &StreamContext,
        head: &RequestHead<'_>,
        facts: Option<&TlsFacts>,
        visit: Option<EventId>,
    ) -> Option<EventId> {
        let matcher = &self.reporter.matcher;
        let host = head.authority.and_then(normalize_host);
        let found = matcher.find(
            host.as_deref().unwrap_or_default(),
            head.target,
            head.field("referer"),
        );
        let is_of_watched_host = head.authority.is_some() || matcher.is_watched(b"");
        let is_told = is_background(head) && is_of_watched_host;
        if found.is_none() && !is_told && visit.is_none() {
            return None;
        }
        let judgement = matcher.judge(context.src.ip(), head);
        let found = seen_by(context, found, &judgement);
        if let Some(id) = visit.filter(|_| self.is_of_hello(facts, found.as_ref())) {
            self.sink.on_detail(Detail {
                of: id,
                time: context.time,
                learned: compose::late(context, head, facts, host, found, judgement),
            });
            return Some(id);
        }
        let id = self.reporter.next_id();
        self.counters.events += 1;
        if found.is_some() {
            self.keep(id, context, facts);
        }
        self.sink.on_event(compose::request(
            id, context, head, facts, host, found, judgement,
        ));
        Some(id)
    }

    /// Names an event whose packets are to be kept.
    fn keep(&mut self, id: EventId, context: &StreamContext, facts: Option<&TlsFacts>) {
        if !self.reporter.keeps.packets {
            return;
        }
        let lines = facts.filter(|_| self.reporter.keeps.secrets);
        let lines = lines.map(|facts| self.lines_of(facts)).unwrap_or_default();
        self.reporter.to_keep.push(ToKeep {
            key: FlowKey::between(context.src, context.dst),
            connection: facts.and_then(|facts| facts.carrier.connection()),
            told: Told {
                id,
                time: context.time,
                random: facts.map(|facts| facts.random),
                lines,
            },
        });
    }

    /// The secrets of a connection: those that it used, and those that wait for it.
    fn lines_of(&mut self, facts: &TlsFacts) -> String {
        let used = KeyLabel::ALL.into_iter().zip(facts.secrets);
        let known = used.filter_map(|(label, used)| {
            Some(KeyLogEntry {
                client_random: facts.random,
                label,
                secret: used.or_else(|| self.reporter.secrets.find(&facts.random, label))?,
            })
        });
        known.map(|entry| entry.to_line()).collect()
    }

    /// Whether a request is for no other canary than that which its connection's hello names.
    fn is_of_hello(&self, facts: Option<&TlsFacts>, found: Option<&Match>) -> bool {
        let Some(found) = found else { return true };
        let name = facts.and_then(|facts| facts.sni.as_ref());
        let host = name.and_then(|name| normalize_host(name.as_bytes()));
        host.and_then(|host| self.reporter.matcher.find_host(&host))
            .is_some_and(|by_hello| by_hello.canary.id == found.canary.id)
    }
}

/// Notes by which scheme the visitor came, where that is known.
fn seen_by(context: &StreamContext, found: Option<Match>, judgement: &Judgement) -> Option<Match> {
    match hop_is_the_visitors(context, judgement) {
        true => found.map(|found| found.seen_by(context.scheme.name())),
        false => found,
    }
}

/// Whether the visitor sent these packets, and no proxy, which may speak by another scheme than
/// the visitor spoke to it.
fn hop_is_the_visitors(context: &StreamContext, judgement: &Judgement) -> bool {
    let by_a_proxy = matches!(
        judgement.doubt,
        Some(Doubt::SilentProxy | Doubt::UntrustedProxy | Doubt::Unread)
    );
    judgement.client == context.src.ip().to_canonical() && !by_a_proxy
}

/// Whether a request that meets no canary is told of: HEAD and GET are.
fn is_background(head: &RequestHead<'_>) -> bool {
    head.method == b"HEAD" || head.method == b"GET"
}
