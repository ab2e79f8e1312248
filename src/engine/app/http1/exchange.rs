//! Which response answers which request: in order, for as long as the order is certain.

use std::collections::VecDeque;
use std::net::IpAddr;

use crate::app::Observer;
use crate::event::EventId;
use crate::frame::Timestamp;
use crate::limits::{EARLY_RESPONSES_MAX, PIPELINED_REQUESTS_MAX};
use crate::transport::StreamContext;

/// The requests of one connection that wait for their responses. On the heap, once there is one.
#[derive(Debug, Default)]
pub(super) struct Exchange {
    inner: Option<Box<Inner>>,
}

#[derive(Debug, Default)]
struct Inner {
    /// The first request that waits; nearly always the only one.
    front: Option<Awaited>,
    behind: VecDeque<Awaited>,
    /// Requests beyond the bound, after all those that are kept.
    untold: u64,
    /// Responses whose request has not been seen yet: mirrors mix up the two directions.
    early: VecDeque<(Timestamp, u16)>,
    /// The request of the last of them, once it came.
    overtaken: Option<RequestKind>,
    /// A 101 among them, once its request came or is known to be lost.
    switch: Option<Switch>,
    order: Order,
    /// Requests that were lost and whose answers have not been seen.
    owed: Option<Owed>,
    /// Where the first of the server's bytes stood.
    heard: Option<u64>,
    /// Whether the order was certain when those that wait came.
    front_is_certain: bool,
    /// Who connected to the proxy in front, by the PROXY protocol.
    proxied_for: Option<IpAddr>,
}

/// What order tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Order {
    /// Every message was seen: the first response is for the first request.
    #[default]
    Certain,
    /// Some may be missing: the next response is for a request that waits alone, since few
    /// clients send one before the last was answered.
    Alone,
    /// And this client does: nothing from here on is matched.
    Lost,
}

/// A request that waits for its response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Awaited {
    pub(super) event: Option<EventId>,
    pub(super) kind: RequestKind,
    /// Where its last bytes begin in the client's direction.
    sent: u64,
    /// How far the client had read the server's direction when it sent them.
    read: Option<u64>,
    /// Whether an answer to a request that was lost may come first.
    unsure: bool,
}

impl Awaited {
    /// A request whose head is complete with the chunk at hand.
    pub(super) fn new(event: Option<EventId>, kind: RequestKind, context: &StreamContext) -> Self {
        Self {
            event,
            kind,
            sent: context.offset,
            read: context.acked,
            unsure: false,
        }
    }

    /// Whether bytes of the server's were sent before it had the request, or read by the client
    /// before it sent the request: then they answer another.
    fn is_behind(&self, answer: &StreamContext) -> bool {
        let unseen = answer.acked.is_some_and(|acked| acked <= self.sent);
        unseen || self.read.is_some_and(|read| answer.offset < read)
    }
}

/// A 101 that was read before its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Switch {
    /// When it came.
    pub(super) time: Timestamp,
    /// That request, when somebody wants to hear of its response.
    pub(super) request: Option<EventId>,
}

/// Requests may have been lost: an answer to them is still to come, unless the client reads one
/// before its next request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::app) struct Owed {
    /// How far the server's direction had been told.
    told: Option<u64>,
}

impl Owed {
    /// What is owed after a gap of so many bytes, which may have swallowed a `part` of a head.
    pub(in crate::app) fn for_gap(gap: u64, part: bool, told: Option<u64>) -> Option<Self> {
        (part || gap >= REQUEST_BYTES_MIN).then_some(Self { told })
    }

    /// What is owed after bytes that are no request line: the end of a message that began before.
    pub(in crate::app) fn for_rest(passed: bool, read: Option<u64>) -> Option<Self> {
        passed.then_some(Self { told: read })
    }

    /// Whether the client had read more of the server's bytes when it sent a request.
    fn is_settled_by(&self, one: &Awaited) -> bool {
        self.told.is_some() && one.read > self.told
    }
}

/// The shortest request that real servers take: `GET / HTTP/1.0` and two line feeds.
const REQUEST_BYTES_MIN: u64 = 16;

/// What a request means for its response.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum RequestKind {
    /// A body as its head says.
    #[default]
    Plain,
    /// None, after HEAD.
    Head,
    /// A tunnel after CONNECT, when it succeeds.
    Connect,
    /// No head: HTTP/0.9.
    Simple,
}

impl RequestKind {
    /// The kind of a method.
    pub(super) fn of(method: &[u8]) -> Self {
        match method {
            b"HEAD" => Self::Head,
            b"CONNECT" => Self::Connect,
            _ => Self::Plain,
        }
    }
}

/// What a status line means for what follows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// Another response to the same request follows (RFC 9110 §15.2).
    Interim,
    /// The protocol changes after this head.
    Switching,
    /// And on the client's side after a request that has not been seen yet.
    EarlySwitching,
    /// A tunnel begins after this head.
    Tunnel,
    /// There is no body.
    Bodiless,
    /// There is a body, as the head says.
    Plain,
    /// Its request was not seen: whether there is a body is not sure.
    Unmatched,
}

impl Exchange {
    /// Whether nothing happened yet.
    pub(super) fn is_new(&self) -> bool {
        self.inner.is_none()
    }

    /// Sets what the PROXY protocol said.
    pub(super) fn set_proxied_for(&mut self, client: IpAddr) {
        self.inner().proxied_for = Some(client);
    }

    /// What the PROXY protocol said.
    pub(super) fn proxied_for(&self) -> Option<IpAddr> {
        self.inner.as_ref()?.proxied_for
    }

    /// Bytes on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        self.inner.as_ref().map_or(0, |inner| {
            size_of::<Inner>()
                + inner.behind.capacity() * size_of::<Awaited>()
                + inner.early.capacity() * size_of::<(Timestamp, u16)>()
        })
    }

    /// Whether anybody wants to hear of a response.
    pub(super) fn awaits_event(&self) -> bool {
        self.inner
            .as_ref()
            .is_some_and(|inner| inner.waiting().any(|one| one.event.is_some()))
    }

    /// The first request that waits.
    pub(super) fn first_kind(&self) -> Option<RequestKind> {
        Some(self.inner.as_ref()?.front?.kind)
    }

    /// A request was read.
    pub(super) fn add(&mut self, one: Awaited, observer: &mut impl Observer) {
        let inner = self.inner();
        if let Some((time, status)) = inner.early.pop_front() {
            let request = one.event;
            if status == SWITCHING {
                inner.switch = Some(Switch { time, request });
            } else if let Some(event) = request {
                observer.on_status(time, event, status);
            }
            if inner.early.is_empty() {
                inner.overtaken = Some(one.kind);
            }
            return;
        }
        let owed = inner.owed.take();
        let unsure = owed.is_some_and(|owed| !owed.is_settled_by(&one));
        let one = Awaited { unsure, ..one };
        match (inner.order, inner.front) {
            (Order::Certain, _) | (Order::Alone, None) => inner.push(one, observer),
            (Order::Alone, Some(_)) => {
                if !inner.front_is_certain {
                    inner.give_up(observer);
                }
                inner.order = Order::Lost;
                tell_unanswered(one, observer);
            }
            (Order::Lost, _) => tell_unanswered(one, observer),
        }
    }

    /// The request of the last response, if that was read before it. Told once.
    pub(super) fn take_overtaken(&mut self) -> Option<RequestKind> {
        self.inner.as_mut()?.overtaken.take()
    }

    /// The protocol changes behind the request that was read last, or lost. Told once.
    pub(super) fn take_switch(&mut self) -> Option<Switch> {
        self.inner.as_mut()?.switch.take()
    }

    /// The same is still to be told.
    pub(super) fn put_switch(&mut self, switch: Switch) {
        self.inner().switch = Some(switch);
    }

    /// A status line was read.
    pub(super) fn answer(
        &mut self,
        context: &StreamContext,
        status: u16,
        observer: &mut impl Observer,
    ) -> Answer {
        match status {
            SWITCHING => return self.switch(context.time),
            100..=199 => return Answer::Interim,
            _ => {}
        }
        observer.counters().responses += 1;
        let time = context.time;
        let Some(one) = self.pop_for(context, observer) else {
            self.note_unmatched(time, status, observer);
            return match status {
                204 | 304 => Answer::Bodiless,
                _ => Answer::Unmatched,
            };
        };
        if let Some(event) = one.event {
            observer.on_status(time, event, status);
        }
        match (one.kind, status) {
            (RequestKind::Connect, 200..=299) => Answer::Tunnel,
            (RequestKind::Head, _) | (_, 204 | 304) => Answer::Bodiless,
            _ => Answer::Plain,
        }
    }

    /// 101: its request waits, or is still to come.
    fn switch(&mut self, time: Timestamp) -> Answer {
        let inner = self.inner();
        if inner.front.is_some() || !inner.takes_early() {
            return Answer::Switching;
        }
        inner.early.push_back((time, SWITCHING));
        Answer::EarlySwitching
    }

    /// Takes the request that these bytes of the server's answer.
    fn pop_for(&mut self, answer: &StreamContext, observer: &mut impl Observer) -> Option<Awaited> {
        let inner = self.inner.as_mut()?;
        let front = inner.front.as_mut()?;
        if inner.front_is_certain {
            return self.pop();
        }
        if front.is_behind(answer) {
            front.unsure = false;
            return None;
        }
        // Bytes that the client had not read when it asked, and that were not seen.
        let missed = front.read.is_some() && front.read < inner.heard;
        if front.unsure || missed {
            inner.order = Order::Lost;
            inner.give_up(observer);
        }
        self.pop()
    }

    /// Takes the first request that waits.
    pub(super) fn pop(&mut self) -> Option<Awaited> {
        let inner = self.inner.as_mut()?;
        let one = inner.front.take()?;
        inner.front = inner.behind.pop_front();
        Some(one)
    }

    /// Requests may have been missed: those that wait still come first, but from here on only one
    /// that waits alone is matched.
    pub(super) fn doubt(&mut self, observer: &mut impl Observer) {
        self.inner().doubt(observer);
    }

    /// Takes note of requests that may have been missed. What waits and was not matched for certain
    /// is given up: the next answer may be to what was missed.
    pub(super) fn owe(&mut self, owed: Option<Owed>, observer: &mut impl Observer) {
        if owed.is_none() {
            return;
        }
        let inner = self.inner();
        inner.owed = owed;
        if !inner.front_is_certain {
            inner.give_up(observer);
        }
    }

    /// Takes note of where the server's bytes begin.
    pub(super) fn hear(&mut self, offset: u64) {
        if let Some(inner) = self.inner.as_mut() {
            inner.heard.get_or_insert(offset);
        }
    }

    /// Responses may have been missed among the server's bytes up to `end`, if that is known:
    /// nothing that waits can be matched any more, unless it was sent when the client had read
    /// them all.
    pub(super) fn lose(&mut self, end: Option<u64>, observer: &mut impl Observer) {
        let inner = self.inner();
        inner.doubt(observer);
        inner.switch = None; // the client's side is not lost, and goes on as it was
        if end.is_some() && inner.front.is_some_and(|front| front.read >= end) {
            inner.front_is_certain = false;
            return;
        }
        if !inner.behind.is_empty() || inner.untold > 0 {
            inner.order = Order::Lost;
        }
        inner.give_up(observer);
    }

    /// No more responses will be seen.
    pub(super) fn give_up(&mut self, observer: &mut impl Observer) {
        if let Some(inner) = self.inner.as_mut() {
            inner.give_up(observer);
        }
    }

    /// Neither requests nor responses will be seen.
    pub(super) fn close(&mut self, observer: &mut impl Observer) {
        if let Some(inner) = self.inner.as_mut() {
            inner.give_up(observer);
            inner.forget_early(observer);
            let switch = inner.switch.take();
            if let Some((time, request)) = switch.and_then(|one| Some((one.time, one.request?))) {
                observer.on_status(time, request, SWITCHING);
            }
        }
    }

    fn inner(&mut self) -> &mut Inner {
        self.inner.get_or_insert_default()
    }

    fn note_unmatched(&mut self, time: Timestamp, status: u16, observer: &mut impl Observer) {
        let inner = self.inner();
        inner.owed = None;
        if inner.takes_early() {
            inner.early.push_back((time, status));
            return;
        }
        observer.counters().responses_unmatched += 1;
        match inner.untold.checked_sub(1) {
            Some(untold) => inner.untold = untold,
            None => inner.doubt(observer),
        }
    }
}

impl Inner {
    fn waiting(&self) -> impl Iterator<Item = &Awaited> {
        self.front.iter().chain(&self.behind)
    }

    /// Whether a response to no request that is known is kept for one to come.
    fn takes_early(&self) -> bool {
        let is_early = self.order == Order::Certain && self.untold == 0;
        is_early && self.early.len() < EARLY_RESPONSES_MAX
    }

    fn push(&mut self, one: Awaited, observer: &mut impl Observer) {
        if self.untold > 0 || self.behind.len() + 1 >= PIPELINED_REQUESTS_MAX {
            self.untold += 1;
            tell_unanswered(one, observer);
        } else if self.front.is_none() {
            self.front = Some(one);
            self.front_is_certain = self.order == Order::Certain;
        } else {
            self.behind.push_back(one);
        }
    }

    fn doubt(&mut self, observer: &mut impl Observer) {
        if self.order == Order::Certain {
            self.order = Order::Alone;
        }
        self.forget_early(observer);
    }

    fn give_up(&mut self, observer: &mut impl Observer) {
        for one in self.front.take().into_iter().chain(self.behind.drain(..)) {
            tell_unanswered(one, observer);
        }
        self.untold = 0;
    }

    fn forget_early(&mut self, observer: &mut impl Observer) {
        observer.counters().responses_unmatched += self.early.len() as u64;
        let switch = self.early.iter().find(|(_, status)| *status == SWITCHING);
        if let Some((time, _)) = switch {
            self.switch.get_or_insert(Switch {
                time: *time,
                request: None,
            });
        }
        self.early.clear();
    }
}

/// The status of a response after which the protocol changes (RFC 9110 §15.2.2).
const SWITCHING: u16 = 101;

fn tell_unanswered(one: Awaited, observer: &mut impl Observer) {
    if let Some(event) = one.event {
        observer.on_unanswered(event);
    }
}
