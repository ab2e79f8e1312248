//! From observations to events: what was read, which canary it met, where it came from.

use std::sync::Arc;

use crate::engine::app::tls::secrets::Secrets;
use crate::engine::app::{Observer, RequestHead, Session};
use crate::engine::canary::{Doubt, Judgement, Match, Matcher, normalize_host};
use crate::engine::counters::Counters;
use crate::engine::event::{Detail, Event, EventId, EventKind, EventSink, Origin, wire_text};
use crate::engine::frame::Timestamp;
use crate::engine::limits::FIELD_BYTES_MAX;
use crate::engine::transport::{Chunk, StreamContext, StreamHandler};

/// What outlives a frame: the list of what to look for, and the number of the last event.
pub(super) struct Reporter {
    matcher: Arc<Matcher>,
    secrets: Secrets,
    last_id: u64,
}

impl Reporter {
    pub(super) fn new(matcher: Arc<Matcher>) -> Self {
        Self {
            matcher,
            secrets: Secrets::default(),
            last_id: 0,
        }
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
    fn reading<'b>(&'b mut self, counters: &'b mut Counters) -> Reading<'b, K> {
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

    fn on_close(&mut self, time: Timestamp, state: Session, counters: &mut Counters) {
        state.on_close(time, &mut self.reading(counters));
    }
}

/// Hears what a session reads and makes events of it.
struct Reading<'a, K> {
    reporter: &'a mut Reporter,
    sink: &'a mut K,
    counters: &'a mut Counters,
}

impl<K: EventSink> Observer for Reading<'_, K> {
    fn is_watched(&self, authority: &[u8]) -> bool {
        self.reporter.matcher.is_watched(authority)
    }

    fn on_request(&mut self, context: &StreamContext, head: &RequestHead<'_>) -> Option<EventId> {
        let host = head.authority.and_then(normalize_host);
        let found = self.reporter.matcher.find(
            host.as_deref().unwrap_or_default(),
            head.target,
            head.field("referer"),
        );
        let is_of_watched_host = head.authority.is_some() || self.is_watched(b"");
        if found.is_none() && !(is_background(head) && is_of_watched_host) {
            return None;
        }
        let judgement = self.reporter.matcher.judge(context.src.ip(), head);
        let found = match hop_is_the_visitors(context, &judgement) {
            true => found.map(|found| found.seen_by(context.scheme.name())),
            false => found,
        };
        let id = self.reporter.next_id();
        self.counters.events += 1;
        self.sink
            .on_event(compose(id, context, head, host, found, judgement));
        Some(id)
    }

    fn on_status(&mut self, time: Timestamp, request: EventId, status: u16) {
        self.sink.on_detail(Detail {
            of: request,
            time,
            status,
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

fn compose(
    id: EventId,
    context: &StreamContext,
    head: &RequestHead<'_>,
    host: Option<String>,
    found: Option<Match>,
    judgement: Judgement,
) -> Event {
    let alterations = found.as_ref().map(|found| found.alterations);
    let canary = found.as_ref().map(|found| &found.canary);
    Event {
        id,
        seq: None,
        time: context.time,
        kind: match canary {
            Some(_) => EventKind::Visit,
            None => EventKind::Request,
        },
        alert: canary.is_some() && judgement.origin != Origin::Inside,
        canary: canary.map(|canary| canary.id.clone()),
        channel: canary.map(|canary| canary.channel.clone()),
        label: canary.and_then(|canary| canary.label.clone()),
        matched: found.as_ref().map(|found| found.kind),
        origin: judgement.origin,
        client: judgement.client,
        src: context.src.ip(),
        src_port: context.src.port(),
        dst: context.dst.ip(),
        dst_port: context.dst.port(),
        vlan: context.scope.vlan(),
        scheme: context.scheme.name(),
        method: Some(text(head.method)),
        host,
        target: Some(wire_text(head.target)),
        version: Some(head.version.name()),
        status: None,
        user_agent: head.field("user-agent").map(text),
        referer: head.field("referer").map(text),
        forwarded_for: judgement.forwarded_for,
        sni: None,
        alpn: None,
        ja4: None,
        flags: context.flags.with(head.flags),
        alterations: alterations.unwrap_or_default(),
    }
}

/// A field's value as text, cut at its bound.
fn text(value: &[u8]) -> String {
    wire_text(value.get(..FIELD_BYTES_MAX).unwrap_or(value))
}
