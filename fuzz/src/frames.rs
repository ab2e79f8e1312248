//! Frames of any link type, ticks and key log lines, the whole way to events.

use std::collections::HashMap;
use std::time::Duration;

use canarytap::engine::Engine;
use canarytap::engine::app::tls::keylog::KeyLogEntry;
use canarytap::engine::event::{Detail, Event, EventId, EventSink};
use canarytap::engine::frame::{Frame, LinkType, Timestamp};
use canarytap::engine::limits::{FRAGMENT_BYTES_MAX, Limits};

use super::input::Input;
use super::watch::matcher;

/// Each piece is a byte for its kind, one for the time that passes, two for its length, and its
/// bytes. However they come: the bounds hold, what is told is printable, and each event is settled
/// once, after its details.
pub fn frames(bytes: &[u8]) {
    let limits = Limits {
        memory_bytes: MEMORY,
    };
    let mut engine = Engine::new(limits, matcher());
    let mut listener = Listener::default();
    let mut now = Timestamp::from_secs_nanos(1_367_342_912, 0);
    let mut input = Input::new(bytes);
    while !input.is_empty() {
        let (kind, step, length) = (input.u8(), input.u8(), input.u16());
        let body = input.take(usize::from(length));
        now = now.plus(STEPS[usize::from(step) % STEPS.len()]);
        feed(&mut engine, &mut listener, kind, now, body);
        let held = engine.heap_bytes();
        assert!(held <= MEMORY + FRAGMENT_BYTES_MAX + OTHERS, "{held} bytes");
    }
    engine.finish(&mut listener);
    assert_eq!(engine.flows(), 0);
    listener.check();
}

fn feed(engine: &mut Engine, listener: &mut Listener, kind: u8, now: Timestamp, body: &[u8]) {
    match kind {
        TICK => engine.on_tick(now, listener),
        KEY_LOG => {
            if let Ok(entry) = KeyLogEntry::parse(body) {
                engine.on_secret(&entry, listener);
            }
        }
        FOLLOW => engine.follow_secrets(),
        _ => {
            let number = LINKS[usize::from(kind & 0x3f) % LINKS.len()];
            let Ok(link) = LinkType::from_number(number) else {
                return;
            };
            let cut = if kind & CUT == 0 { 0 } else { 1000 };
            let frame = Frame {
                time: now,
                link,
                wire_len: body.len() as u32 + cut,
                bytes: body,
            };
            engine.on_frame(&frame, listener);
        }
    }
}

/// Which events were told, and whether each was settled.
#[derive(Default)]
pub(crate) struct Listener {
    events: HashMap<EventId, bool>,
}

impl Listener {
    pub(crate) fn check(&self) {
        assert!(
            self.events.values().all(|settled| *settled),
            "an event was never settled"
        );
    }
}

impl EventSink for Listener {
    fn on_event(&mut self, event: Event) {
        let texts = [&event.method, &event.host, &event.target, &event.user_agent];
        let more = [
            &event.referer,
            &event.forwarded_for,
            &event.sni,
            &event.alpn,
            &event.ja4,
        ];
        for text in texts.into_iter().chain(more).flatten() {
            assert!(
                !text.chars().any(char::is_control),
                "control characters in {event:?}"
            );
        }
        assert!(
            self.events.insert(event.id, false).is_none(),
            "an event was told twice"
        );
    }

    fn on_detail(&mut self, detail: Detail) {
        assert_eq!(
            self.events.get(&detail.of),
            Some(&false),
            "a detail of nothing"
        );
    }

    fn on_settled(&mut self, id: EventId) {
        assert_eq!(
            self.events.insert(id, true),
            Some(false),
            "settled twice, or never told"
        );
    }
}

/// Numbers of link types, by the low bits of a piece's kind. New ones at the end: the corpus
/// counts on their order.
const LINKS: [u16; 16] = [
    1, 0, 108, 113, 276, 101, 228, 229, 9, 50, 51, 104, 239, 12, 14, 1,
];
/// Kinds of pieces that are no frames.
const TICK: u8 = 0xff;
const KEY_LOG: u8 = 0xfe;
const FOLLOW: u8 = 0xfd;
/// Bit of the kind: the snap length cut the frame.
const CUT: u8 = 0x40;
/// How long after the last piece the next comes.
const STEPS: [Duration; 8] = [
    Duration::ZERO,
    Duration::from_millis(1),
    Duration::from_millis(200),
    Duration::from_millis(900),
    Duration::from_secs(6),
    Duration::from_secs(31),
    Duration::from_secs(61),
    Duration::from_secs(3700),
];
/// A small bound, so that it is reached.
const MEMORY: usize = 256 * 1024;
/// What is bounded by itself: checksums' senders, secrets.
const OTHERS: usize = 1024 * 1024;
