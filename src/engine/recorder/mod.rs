//! Packets kept: which frames belong to a watched connection, from its first on.
//!
//! A connection shows only after its opening that it is watched, and only later, if ever, that a
//! canary is visited on it. So a frame passes three places:
//!
//! - what may still become watched waits in one ring for all connections, and is overwritten when
//!   it did not;
//! - a watched connection's frames wait in a [`Track`] of its own, its first ones and its last, until
//!   nothing more can be told of it;
//! - once an event wants them they are told to the listener, and so is each further one.
//!
//! A frame of a connection that is known not to be watched is not looked at. Everything has its
//! bound ([`limits`](crate::limits)); what a bound costs is counted and told at the end.
//!
//! A connection is named by a tag; when the flow table gives the same one to a later connection,
//! that begins with the frame that opens it.

use std::collections::{HashMap, VecDeque};

use crate::event::{Ending, EventId, EventSink, Kept, KeptFrame, RecordingId, Source};
use crate::frame::{Frame, Timestamp};
use crate::limits::{
    FRAGMENT_FRAMES_BYTES_MAX, RECORDINGS_MAX, UNDECIDED_MEMORY_DIVISOR, WATCHED_MEMORY_DIVISOR,
};
use crate::recorder::frames::Blocks;
use crate::recorder::ring::Ring;
use crate::recorder::track::{Recording, Track};
use crate::transport::ByNumber;

pub(super) use track::{Signs, Told};

mod frames;
mod ring;
#[cfg(test)]
mod tests;
mod track;

/// How much of an event's connection is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeepPackets {
    /// Bytes of frames for one event.
    pub bytes_max: u64,
    /// Whether the secrets of its connection are told too.
    pub secrets: bool,
}

/// What a frame is to its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The connection's tag.
    pub(super) tag: u64,
    /// What names all connections between its endpoints.
    pub(super) endpoints: u64,
    /// Whether it is known to be watched; if not, it may be.
    pub(super) watched: bool,
    /// Whether the connection begins with it.
    pub(super) opens: bool,
    /// What it says of the connection's end.
    pub(super) signs: Signs,
    /// The tag of the fragments that it completes; 0 for none.
    pub(super) fragments: u64,
}

/// Frames that were put under one tag and turned out to be of a connection with another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct HandOver {
    pub(super) from: u64,
    pub(super) to: u64,
    /// Whether that connection begins with the first of them.
    pub(super) begins: bool,
}

/// Keeps frames for events.
#[derive(Debug)]
pub(super) struct Recorder {
    settings: KeepPackets,
    source: Source,
    undecided: Ring,
    fragments: Ring,
    tracks: ByNumber<Track>,
    /// Where their frames are.
    blocks: Blocks,
    /// The newest track between two endpoints.
    newest: ByNumber<u64>,
    /// Tracks in the order in which they began; some are gone.
    order: VecDeque<(u64, u64)>,
    /// The bound on the bytes of all tracks.
    bytes_max: usize,
    /// Those that are handed out, oldest first.
    recordings: VecDeque<(RecordingId, u64)>,
    /// What key logs call them.
    randoms: HashMap<[u8; 32], RecordingId>,
    last: u64,
    dropped: u64,
}

impl Recorder {
    /// One that keeps within its part of `memory` bytes.
    pub(super) fn new(settings: KeepPackets, memory: usize) -> Self {
        Self {
            settings,
            source: Source::default(),
            undecided: Ring::new(memory / UNDECIDED_MEMORY_DIVISOR),
            fragments: Ring::new(FRAGMENT_FRAMES_BYTES_MAX.min(memory / UNDECIDED_MEMORY_DIVISOR)),
            tracks: ByNumber::default(),
            blocks: Blocks::default(),
            newest: ByNumber::default(),
            order: VecDeque::new(),
            bytes_max: memory / WATCHED_MEMORY_DIVISOR,
            recordings: VecDeque::new(),
            randoms: HashMap::new(),
            last: 0,
            dropped: 0,
        }
    }

    /// The part of `memory` that it may take.
    pub(super) fn share_of(memory: usize) -> usize {
        // A ring's entries take about as much again as small frames do.
        memory / UNDECIDED_MEMORY_DIVISOR * 2 + memory / WATCHED_MEMORY_DIVISOR
    }

    /// Where frames come from, from now on.
    pub(super) fn set_source(&mut self, source: Source) {
        self.source = source;
    }

    /// Whether secrets of recorded connections are told.
    pub(super) fn wants_secrets(&self) -> bool {
        self.settings.secrets
    }

    /// Bytes on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        self.undecided.heap_bytes() + self.fragments.heap_bytes() + self.bytes()
    }

    /// Bytes of all tracks.
    fn bytes(&self) -> usize {
        self.tracks.len() * size_of::<Track>() + self.blocks.bytes()
    }

    /// Watched connections whose frames had to make room for those of others.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Whether a connection is watched.
    pub(super) fn knows(&self, tag: u64) -> bool {
        self.tracks.contains_key(&tag)
    }

    /// A fragment whose datagram is not whole yet.
    pub(super) fn on_fragment(&mut self, tag: u64, frame: &Frame<'_>) {
        let frame = self.kept(frame);
        self.fragments.push((tag, 0), false, &frame);
    }

    /// A frame of a connection that is or may be watched, and the events that it completed.
    pub(super) fn on_frame(
        &mut self,
        place: &Place,
        frame: &Frame<'_>,
        told: &[Told],
        sink: &mut impl EventSink,
    ) {
        let frame = self.kept(frame);
        if told.is_empty() && self.push(place, &frame) {
            return;
        }
        let mut track = self.tracks.get(&place.tag);
        if place.opens && track.is_some() {
            self.end_track(place.tag, Ending::Closed, sink);
            track = None;
        }
        if !place.watched && track.is_none() && told.is_empty() {
            self.wait(place, &frame);
            return;
        }
        let is_recording = track.is_some_and(|track| track.recording.is_some());
        if track.is_none() {
            self.begin_track(place.tag, place.endpoints, place.opens);
        }
        if is_recording {
            for one in told {
                self.join(place.tag, one, sink);
            }
            self.put(place, &frame, told, sink);
        } else {
            self.put(place, &frame, told, sink);
            for one in told {
                self.tell(place.tag, one, sink);
            }
        }
        self.keep_bounds();
    }

    /// Puts a frame into its track if that is all there is to do, as with most. A connection that
    /// is settled without a visit needs none.
    fn push(&mut self, place: &Place, frame: &KeptFrame<'_>) -> bool {
        let Self { tracks, blocks, .. } = self;
        let is_more = place.opens || place.fragments != 0;
        match tracks.get_mut(&place.tag) {
            Some(track) if !is_more && track.recording.is_none() => {
                track.note(frame.time, place.signs);
                track.push(frame, blocks);
            }
            None if place.signs.settled => return true,
            _ => return false,
        }
        if place.signs.settled {
            self.forget(place.tag);
        }
        self.keep_bounds();
        true
    }

    /// What waits under a connection's other name is of it.
    pub(super) fn hand_over(&mut self, one: &HandOver) {
        let Self {
            undecided,
            tracks,
            blocks,
            ..
        } = self;
        match tracks.get_mut(&one.to) {
            None => undecided.rename(one),
            Some(track) => {
                undecided.take_all(one.from, |frame| track.push(&frame, blocks));
            }
        }
    }

    /// Events of a connection that no frame of it completed: its keys came, or it ended.
    /// `newest` is the tag of the newest connection between these endpoints, for want of a track.
    pub(super) fn on_told(
        &mut self,
        endpoints: u64,
        newest: Option<u64>,
        told: &Told,
        sink: &mut impl EventSink,
    ) {
        let known = self.newest.get(&endpoints).copied().or(newest);
        let Some(tag) = known.or_else(|| self.undecided.newest(endpoints)) else {
            return;
        };
        if !self.tracks.contains_key(&tag) {
            // Nothing watched was met before: a host that was never named, bytes behind a hole.
            self.begin_track(tag, endpoints, false);
        }
        self.tell(tag, told, sink);
        self.keep_bounds();
    }

    fn tell(&mut self, tag: u64, told: &Told, sink: &mut impl EventSink) {
        if self.is_recording(tag) {
            self.join(tag, told, sink);
        } else {
            self.begin(tag, told, sink);
        }
    }

    /// The connection that a key log's line is about, if it is recorded.
    pub(super) fn recording_of(&self, random: &[u8; 32]) -> Option<RecordingId> {
        self.randoms.get(random).copied()
    }

    /// Lets capture time pass: what is over or silent is complete.
    pub(super) fn on_tick(&mut self, now: Timestamp, sink: &mut impl EventSink) {
        let secrets = self.settings.secrets;
        let due: Vec<(u64, Ending)> = self
            .recordings
            .iter()
            .filter_map(|(_, tag)| Some((*tag, self.tracks.get(tag)?.ending(now, secrets)?)))
            .collect();
        for (tag, ending) in due {
            self.end_recording(tag, ending, sink);
        }
        while let Some((tag, number)) = self.order.front().copied() {
            let track = self.tracks.get(&tag).filter(|track| track.number == number);
            match track {
                Some(track) if !track.is_spent(now) || track.recording.is_some() => break,
                Some(_) => self.forget(tag),
                None => {}
            }
            self.order.pop_front();
        }
    }

    /// The capture ended.
    pub(super) fn finish(&mut self, sink: &mut impl EventSink) {
        while let Some((_, tag)) = self.recordings.front().copied() {
            let now = Timestamp::from_nanos(u64::MAX);
            let ending = self
                .tracks
                .get(&tag)
                .and_then(|track| track.ending(now, false));
            let ending = match ending {
                Some(ending @ (Ending::Closed | Ending::Reset)) => ending,
                _ => Ending::Stopped,
            };
            self.end_recording(tag, ending, sink);
        }
    }

    /// A secret of a connection that is recorded has come.
    pub(super) fn on_secret(&mut self, recording: RecordingId) {
        if let Some(track) = self.track_of(recording) {
            track.awaits_secrets = false;
        }
    }

    fn track_of(&mut self, recording: RecordingId) -> Option<&mut Track> {
        let recordings = &mut self.recordings.iter();
        let (_, tag) = recordings.find(|(id, _)| *id == recording)?;
        self.tracks.get_mut(tag)
    }

    fn is_recording(&self, tag: u64) -> bool {
        let track = self.tracks.get(&tag);
        track.is_some_and(|track| track.recording.is_some())
    }

    fn kept<'a>(&self, frame: &Frame<'a>) -> KeptFrame<'a> {
        KeptFrame {
            time: frame.time,
            source: self.source,
            wire_len: frame.wire_len,
            bytes: frame.bytes,
        }
    }

    /// Puts a frame where it waits for its connection to show what it is.
    fn wait(&mut self, place: &Place, frame: &KeptFrame<'_>) {
        let mut is_first = place.opens;
        let tags = (place.tag, place.endpoints);
        if place.fragments != 0 {
            let Self {
                fragments,
                undecided,
                ..
            } = self;
            fragments.take_all(place.fragments, |piece| {
                undecided.push(tags, std::mem::take(&mut is_first), &piece);
            });
        }
        self.undecided.push(tags, is_first, frame);
    }

    /// A connection is watched: takes out what waited of it.
    fn begin_track(&mut self, tag: u64, endpoints: u64, opens: bool) {
        self.last += 1;
        let mut track = Track::new(self.last, endpoints);
        self.newest.insert(endpoints, tag);
        let Self {
            undecided, blocks, ..
        } = self;
        let found = undecided.take_all(tag, |frame| track.push(&frame, blocks));
        track.from_start = found || opens;
        self.order.push_back((tag, track.number));
        self.tracks.insert(tag, track);
    }

    /// Puts a frame, and the fragments that came before it, into its track or hands them out.
    fn put(
        &mut self,
        place: &Place,
        frame: &KeptFrame<'_>,
        told: &[Told],
        sink: &mut impl EventSink,
    ) {
        let Self { tracks, blocks, .. } = self;
        let Some(track) = tracks.get_mut(&place.tag) else {
            return;
        };
        track.note(frame.time, place.signs);
        let joined: Vec<EventId> = match track.recording {
            Some(_) => told.iter().map(|one| one.id).collect(),
            None => Vec::new(),
        };
        let mut put = |frame: &KeptFrame<'_>, events: &[EventId]| match &mut track.recording {
            None => track.push(frame, blocks),
            Some(recording) => {
                recording.bytes += frame.bytes.len() as u64 + FRAME_OVERHEAD_BYTES;
                recording.frames += 1;
                sink.on_kept(Kept::Frame {
                    recording: recording.id,
                    frame: *frame,
                    events,
                });
            }
        };
        if place.fragments != 0 {
            self.fragments
                .take_all(place.fragments, |piece| put(&piece, &[]));
        }
        put(frame, &joined);
        if track
            .recording
            .is_some_and(|one| one.bytes >= self.settings.bytes_max)
        {
            self.end_recording(place.tag, Ending::Size, sink);
        }
    }

    /// An event on a connection that is being recorded.
    fn join(&mut self, tag: u64, told: &Told, sink: &mut impl EventSink) {
        let track = self.tracks.get(&tag);
        if let Some(recording) = track.and_then(|track| track.recording) {
            sink.on_kept(Kept::Joined {
                recording: recording.id,
                of: told.id,
            });
            self.name(recording.id, told, sink);
        }
    }

    /// An event on a connection that is not recorded yet, by which it is.
    fn begin(&mut self, tag: u64, told: &Told, sink: &mut impl EventSink) {
        self.last += 1;
        let id = RecordingId(self.last);
        sink.on_kept(Kept::Begin {
            recording: id,
            of: told.id,
        });
        self.recordings.push_back((id, tag));
        if let Some(track) = self.tracks.get_mut(&tag) {
            track.awaits_secrets = told.random.is_some();
        }
        self.name(id, told, sink);
        let Some(track) = self.tracks.get_mut(&tag) else {
            return;
        };
        let (mut bytes, completed) = (0, [told.id]);
        track.give_out(told.time, &self.blocks, |frame, completes| {
            bytes += frame.bytes.len() as u64 + FRAME_OVERHEAD_BYTES;
            sink.on_kept(Kept::Frame {
                recording: id,
                frame,
                events: if completes { &completed } else { &[] },
            });
        });
        track.recording = Some(Recording {
            id,
            bytes,
            frames: 0,
        });
        if bytes >= self.settings.bytes_max {
            self.end_recording(tag, Ending::Size, sink);
        }
        if self.recordings.len() > RECORDINGS_MAX {
            if let Some((_, oldest)) = self.recordings.front().copied() {
                self.end_recording(oldest, Ending::Crowded, sink);
            }
        }
    }

    /// Notes what key logs call a connection, and tells what is known of its secrets, once.
    fn name(&mut self, id: RecordingId, told: &Told, sink: &mut impl EventSink) {
        let Some(random) = told.random else { return };
        let is_new = self.randoms.insert(random, id) != Some(id);
        if let Some(track) = self.track_of(id) {
            track.awaits_secrets &= is_new && told.lines.is_empty();
        }
        if is_new && !told.lines.is_empty() {
            sink.on_kept(Kept::Secrets {
                recording: id,
                lines: &told.lines,
            });
        }
    }

    /// Nothing more of a connection is handed out; its first frames wait for another visit.
    fn end_recording(&mut self, tag: u64, ending: Ending, sink: &mut impl EventSink) {
        let Some(track) = self.tracks.get_mut(&tag) else {
            return;
        };
        let Some(recording) = track.recording.take() else {
            return;
        };
        sink.on_kept(Kept::End {
            recording: recording.id,
            ending,
            missed: track.missed,
            from_start: track.from_start,
        });
        track.forget_last(recording.frames, &mut self.blocks);
        self.recordings.retain(|(id, _)| *id != recording.id);
        self.randoms.retain(|_, id| *id != recording.id);
    }

    /// Another connection has taken its addresses and ports.
    fn end_track(&mut self, tag: u64, ending: Ending, sink: &mut impl EventSink) {
        self.end_recording(tag, ending, sink);
        self.forget(tag);
    }

    fn forget(&mut self, tag: u64) {
        if let Some(mut track) = self.tracks.remove(&tag) {
            track.clear(&mut self.blocks);
            if self.newest.get(&track.endpoints) == Some(&tag) {
                self.newest.remove(&track.endpoints);
            }
        }
        if self.tracks.is_empty() {
            self.blocks.give_back();
        }
        if self.order.len() > 2 * self.tracks.len() + GONE_MAX {
            let tracks = &self.tracks;
            self.order
                .retain(|(tag, number)| tracks.get(tag).is_some_and(|one| one.number == *number));
        }
    }

    #[inline]
    fn keep_bounds(&mut self) {
        if self.bytes() > self.bytes_max {
            self.make_room();
        }
    }

    /// Beyond the bound the oldest connections without a recording go.
    #[cold]
    fn make_room(&mut self) {
        let mut tries = self.order.len();
        while self.bytes() > self.bytes_max && tries > 0 {
            tries -= 1;
            let Some((tag, number)) = self.order.pop_front() else {
                return;
            };
            match self.tracks.get(&tag) {
                Some(track) if track.number == number => {
                    if track.recording.is_some() {
                        self.order.push_back((tag, number));
                    } else {
                        self.dropped += 1;
                        self.forget(tag);
                    }
                }
                _ => {}
            }
        }
    }
}

/// Tracks that are gone and still stand in their order, beside as many as there are.
const GONE_MAX: usize = 64;
/// What a frame takes in a file beside its bytes.
const FRAME_OVERHEAD_BYTES: u64 = 32;
