//! The frames of one watched connection: its first ones and its last ones, each within a bound.

use std::time::Duration;

use crate::event::{Ending, EventId, KeptFrame, RecordingId};
use crate::frame::Timestamp;
use crate::limits::{
    FIRST_FRAMES_BYTES_MAX, LAST_FRAMES_BYTES_MAX, OVER_FRAMES_WAIT, RECORDING_IDLE,
    RECORDING_LINGER, RESET_WAIT, SECRET_WAIT,
};
use crate::recorder::frames::{Blocks, Frames};
use crate::transport::{Seen, Segment};

/// A watched connection.
#[derive(Debug, Default)]
pub(super) struct Track {
    /// Tells it from an earlier one with the same tag.
    pub(super) number: u64,
    /// What names all connections between its endpoints.
    pub(super) endpoints: u64,
    first: Frames,
    last: Frames,
    /// Frames that had to go between the first and the last.
    pub(super) missed: u64,
    /// Whether the frame with which the connection began is there.
    pub(super) from_start: bool,
    pub(super) recording: Option<Recording>,
    /// Whether secrets of it may come, and none has.
    pub(super) awaits_secrets: bool,
    last_seen: Timestamp,
    close: Close,
}

/// A track that is handed out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Recording {
    pub(super) id: RecordingId,
    pub(super) bytes: u64,
    /// Frames that were not kept here too, because they were handed out at once.
    pub(super) frames: u64,
}

/// How far the connection's end has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Close {
    fins: [bool; 2],
    reset: bool,
    over: bool,
}

/// What a frame says of its connection's end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Signs {
    /// The side that sent it has nothing more to send.
    pub(crate) fin: Option<usize>,
    /// It resets the connection.
    pub(crate) reset: bool,
    /// The connection is over by now.
    pub(crate) over: bool,
    /// It is, and nothing more can be told of it.
    pub(crate) settled: bool,
}

impl Signs {
    /// What a segment says.
    pub(crate) fn of(segment: &Segment<'_>, seen: Seen) -> Self {
        Self {
            fin: segment.fin().then_some(seen.side),
            reset: segment.rst(),
            over: seen.over,
            settled: seen.settled,
        }
    }
}

impl Track {
    pub(super) fn new(number: u64, endpoints: u64) -> Self {
        Self {
            number,
            endpoints,
            ..Self::default()
        }
    }

    /// Notes that a frame was seen.
    pub(super) fn note(&mut self, time: Timestamp, signs: Signs) {
        self.last_seen = self.last_seen.max(time);
        if let Some(fin) = signs.fin.and_then(|side| self.close.fins.get_mut(side)) {
            *fin = true;
        }
        self.close.reset |= signs.reset;
        self.close.over |= signs.over;
    }

    /// Keeps a frame for a visit that may still come.
    pub(super) fn push(&mut self, frame: &KeptFrame<'_>, blocks: &mut Blocks) {
        let bytes = Frames::bytes_of(frame);
        let begins = self.last.count() == 0 && self.missed == 0;
        if begins && self.first.bytes() + bytes <= FIRST_FRAMES_BYTES_MAX {
            return self.first.push(frame, blocks);
        }
        while self.last.bytes() + bytes > LAST_FRAMES_BYTES_MAX && self.last.pop(blocks) {
            self.missed += 1;
        }
        if bytes > LAST_FRAMES_BYTES_MAX {
            self.missed += 1;
            return;
        }
        self.last.push(frame, blocks);
    }

    /// Gives out all frames, in order, each with whether it is the one that was seen at `time` (of
    /// several the last).
    pub(super) fn give_out(
        &self,
        time: Timestamp,
        blocks: &Blocks,
        mut take: impl FnMut(KeptFrame<'_>, bool),
    ) {
        let times = self.first.times().chain(self.last.times()).enumerate();
        let marked = times.filter(|(_, seen)| *seen == time).last();
        let (marked, mut at) = (marked.map(|(at, _)| at), 0);
        for frames in [&self.first, &self.last] {
            frames.for_each(blocks, |frame| {
                take(frame, Some(at) == marked);
                at += 1;
            });
        }
    }

    /// The last frames need not be kept any more: they were handed out. The first ones are, for
    /// another visit later.
    pub(super) fn forget_last(&mut self, handed_out: u64, blocks: &mut Blocks) {
        self.missed += self.last.count() as u64 + handed_out;
        self.last.clear(blocks);
    }

    /// Nothing of it is needed any more.
    pub(super) fn clear(&mut self, blocks: &mut Blocks) {
        self.first.clear(blocks);
        self.last.clear(blocks);
    }

    /// How the connection ended, if nothing more is to be expected of it, nor its secrets where
    /// they are wanted.
    pub(super) fn ending(&self, now: Timestamp, secrets: bool) -> Option<Ending> {
        let silent = now.since(self.last_seen);
        if secrets && self.awaits_secrets && silent <= SECRET_WAIT {
            return None;
        }
        let closing = self.close.fins == [true, true];
        match self.close {
            Close {
                over: true, reset, ..
            } if silent >= RECORDING_LINGER => Some(if reset && !closing {
                Ending::Reset
            } else {
                Ending::Closed
            }),
            // The reset may be forged, or a byte may still be missing: then more will come.
            Close { reset: true, .. } if silent >= UNSURE_WAIT => Some(Ending::Reset),
            _ if closing && silent >= UNSURE_WAIT => Some(Ending::Closed),
            _ if silent >= RECORDING_IDLE => Some(Ending::Idle),
            _ => None,
        }
    }

    /// Whether no visit can come of it any more.
    pub(super) fn is_spent(&self, now: Timestamp) -> bool {
        let over = self.close.over || self.close.reset || self.close.fins == [true, true];
        over && now.since(self.last_seen) >= OVER_FRAMES_WAIT
    }
}

/// Longer than the engine waits before it believes a reset.
const UNSURE_WAIT: Duration = RESET_WAIT.saturating_mul(2);

/// What is told of an event whose connection is to be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    /// The event.
    pub(crate) id: EventId,
    /// Its time, which is that of the frame that completed it.
    pub(crate) time: Timestamp,
    /// The random bytes of its connection's hello, by which key logs name it.
    pub(crate) random: Option<[u8; 32]>,
    /// What is known of its connection's secrets, as lines of a key log.
    pub(crate) lines: String,
}
