//! The whole way, for who keeps packets: which frame belongs to which connection and event.

use super::Engine;
use crate::app::Session;
use crate::app::quic::Belongs;
use crate::app::tls::keylog::KeyLogEntry;
use crate::event::{EventSink, Kept, Source};
use crate::frame::Frame;
use crate::recorder::{HandOver, KeepPackets, Place, Recorder, Signs, Told};
use crate::reporter::{Keeps, ToKeep};
use crate::transport::{FlowKey, FlowTable, Seen, Segment};

impl Engine {
    /// Keeps the packets of each event's connection from now on, and tells them to the listener.
    /// They take part of the memory that flows would have.
    pub fn keep_packets(&mut self, settings: KeepPackets) {
        let memory = self.limits.memory_bytes;
        self.recorder = Some(Box::new(Recorder::new(settings, memory)));
        self.reporter.keep(Keeps {
            packets: true,
            secrets: settings.secrets,
        });
        let rest = memory - Recorder::share_of(memory);
        self.flows.set_memory(rest);
    }

    /// What describes the frames that come from now on.
    pub fn set_source(&mut self, source: Source) {
        if let Some(recorder) = &mut self.recorder {
            recorder.set_source(source);
        }
    }

    /// Keeps a frame, if it is or may be of a watched connection.
    pub(super) fn record(
        &mut self,
        frame: &Frame<'_>,
        seen: Option<Place>,
        sink: &mut impl EventSink,
    ) {
        let fragments = self.decoder.take_fragments();
        let Some(recorder) = &mut self.recorder else {
            return;
        };
        let Some(place) = seen else {
            if fragments != 0 {
                recorder.on_fragment(fragments, frame);
            }
            return self.keep_told(sink);
        };
        let place = Place { fragments, ..place };
        if !self.reporter.has_to_keep() {
            return recorder.on_frame(&place, frame, &[], sink);
        }
        let events = self.reporter.take_to_keep();
        let (here, elsewhere): (Vec<ToKeep>, _) = events
            .into_iter()
            .partition(|event| tags(&self.flows, event).0 == place.endpoints);
        let told: Vec<Told> = here.into_iter().map(|event| event.told).collect();
        recorder.on_frame(&place, frame, &told, sink);
        self.keep_elsewhere(&elsewhere, sink);
    }

    /// Keeps the packets of events that no frame of theirs has just completed.
    pub(super) fn keep_told(&mut self, sink: &mut impl EventSink) {
        if self.reporter.has_to_keep() {
            let events = self.reporter.take_to_keep();
            self.keep_elsewhere(&events, sink);
        }
    }

    fn keep_elsewhere(&mut self, events: &[ToKeep], sink: &mut impl EventSink) {
        let Some(recorder) = &mut self.recorder else {
            return;
        };
        for event in events {
            let (endpoints, newest) = tags(&self.flows, event);
            recorder.on_told(endpoints, newest, &event.told, sink);
        }
    }

    /// Tells a secret of a connection that is being kept.
    pub(super) fn keep_secret(&mut self, entry: &KeyLogEntry, sink: &mut impl EventSink) {
        let Some(recorder) = self.recorder.as_mut().filter(|one| one.wants_secrets()) else {
            return;
        };
        if let Some(recording) = recorder.recording_of(&entry.client_random) {
            recorder.on_secret(recording);
            sink.on_kept(Kept::Secrets {
                recording,
                lines: &entry.to_line(),
            });
        }
    }

    /// What is over or silent is complete; at the end of the capture everything is.
    pub(super) fn complete_recordings(&mut self, ended: bool, sink: &mut impl EventSink) {
        self.keep_told(sink);
        let Some(recorder) = &mut self.recorder else {
            return;
        };
        match ended {
            true => recorder.finish(sink),
            false => recorder.on_tick(self.now, sink),
        }
        self.counters.recordings_evicted = recorder.dropped();
    }
}

/// What a segment's frame is to its connection.
pub(super) fn of_segment(segment: &Segment<'_>, seen: Seen) -> Place {
    Place {
        tag: seen.connection,
        endpoints: seen.endpoints,
        watched: seen.watched,
        opens: seen.opens,
        signs: Signs::of(segment, seen),
        fragments: 0,
    }
}

/// What a datagram's frame is to its connection. Where that is still to begin, it waits under what
/// `endpoints` are called.
pub(super) fn of_datagram(belongs: Belongs, watched: bool, endpoints: impl Fn() -> u64) -> Place {
    let tag = belongs.number.map_or_else(endpoints, tag_of);
    Place {
        tag,
        endpoints: tag,
        watched,
        opens: belongs.opens && !belongs.follows,
        signs: Signs::default(),
        fragments: 0,
    }
}

/// The frames that turned out to be of a datagram's connection.
pub(super) fn handed_over(belongs: Belongs, endpoints: impl Fn() -> u64) -> [Option<HandOver>; 2] {
    let Some(to) = belongs.number.map(tag_of) else {
        return [None; 2];
    };
    let early = belongs.follows.then(|| HandOver {
        from: endpoints(),
        to,
        begins: belongs.opens,
    });
    let joined = belongs.joined.map(|number| HandOver {
        from: tag_of(number),
        to,
        begins: false,
    });
    [early, joined]
}

/// What names datagrams between two endpoints as long as their connection is not known.
pub(super) fn waiting_between(flows: &FlowTable<Session>, key: &FlowKey) -> u64 {
    flows.connections(key).0 ^ DATAGRAMS
}

/// What names a connection of datagrams, which may move from endpoint to endpoint.
const fn tag_of(connection: u64) -> u64 {
    connection.rotate_left(32) ^ DATAGRAMS
}

/// What names all connections between an event's endpoints, or its connection alone, and the newest
/// of them.
fn tags(flows: &FlowTable<Session>, event: &ToKeep) -> (u64, Option<u64>) {
    if let Some(tag) = event.connection.map(tag_of) {
        return (tag, Some(tag));
    }
    flows.connections(&event.key)
}

/// Sets connections of datagrams apart from those of TCP with the same addresses and ports.
const DATAGRAMS: u64 = 0x5bd1_e995_9d1b_54a5;
