//! Events out of what was read, what it met and where it came from.

use crate::app::RequestHead;
use crate::app::tls::facts::TlsFacts;
use crate::canary::{Judgement, Match};
use crate::event::{
    ClockState, Event, EventId, EventKind, Flags, LateRequest, Learned, Origin, wire_text,
};
use crate::limits::FIELD_BYTES_MAX;
use crate::transport::StreamContext;

/// A request; `facts` where it came under TLS or QUIC.
pub(super) fn request(
    id: EventId,
    context: &StreamContext,
    head: &RequestHead<'_>,
    facts: Option<&TlsFacts>,
    host: Option<String>,
    found: Option<Match>,
    judgement: Judgement,
) -> Event {
    let plain = match found {
        Some(_) => EventKind::Visit,
        None => EventKind::Request,
    };
    Event {
        method: Some(text(head.method)),
        target: Some(wire_text(head.target)),
        version: Some(head.version.name()),
        user_agent: head.field("user-agent").map(text),
        referer: head.field("referer").map(text),
        flags: context.flags.with(head.flags),
        ..bare(id, plain, context, facts, host, found, judgement)
    }
}

/// A hello by itself.
pub(super) fn hello(
    id: EventId,
    context: &StreamContext,
    facts: &TlsFacts,
    host: Option<String>,
    found: Option<Match>,
    judgement: Judgement,
) -> Event {
    let kind = match found {
        Some(_) => EventKind::Visit,
        None => EventKind::Hello,
    };
    bare(id, kind, context, Some(facts), host, found, judgement)
}

/// The request of a visit that was told by its hello.
pub(super) fn late(
    context: &StreamContext,
    head: &RequestHead<'_>,
    facts: Option<&TlsFacts>,
    host: Option<String>,
    found: Option<Match>,
    judgement: Judgement,
) -> Learned {
    let alterations = found.as_ref().map(|found| found.alterations);
    Learned::Request(Box::new(LateRequest {
        matched: found.map(|found| found.kind),
        method: text(head.method),
        host,
        target: wire_text(head.target),
        version: head.version.name(),
        user_agent: head.field("user-agent").map(text),
        referer: head.field("referer").map(text),
        forwarded_for: judgement.forwarded_for,
        alpn: facts.and_then(|facts| facts.alpn.clone()),
        flags: context.flags.with(head.flags),
        alterations: alterations.unwrap_or_default(),
    }))
}

/// What is known without a request.
fn bare(
    id: EventId,
    kind: EventKind,
    context: &StreamContext,
    facts: Option<&TlsFacts>,
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
        kind,
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
        method: None,
        host,
        target: None,
        version: None,
        status: None,
        user_agent: None,
        referer: None,
        forwarded_for: judgement.forwarded_for,
        sni: facts.and_then(|facts| facts.sni.clone()),
        alpn: facts.and_then(|facts| facts.alpn.clone()),
        ja4: facts.map(|facts| facts.ja4.clone()),
        flags: context
            .flags
            .with(facts.map_or(Flags::NONE, |facts| facts.flags)),
        alterations: alterations.unwrap_or_default(),
        clock: ClockState::default(),
    }
}

/// A field's value as text, cut at its bound.
fn text(value: &[u8]) -> String {
    wire_text(value.get(..FIELD_BYTES_MAX).unwrap_or(value))
}
