//! One direction of a connection: from bytes to frames.

use std::net::IpAddr;

use crate::app::Observer;
use crate::app::http2::frame::are_likely_frames;
use crate::app::http2::frames::{Frames, Hole, Next};
use crate::app::http2::heads::{Heads, Judged};
use crate::app::http2::streams::Streams;
use crate::transport::StreamContext;

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Speaker {
    Client,
    Server,
}

/// A direction.
#[derive(Debug)]
pub(super) struct Side {
    frames: Frames,
    heads: Heads,
    /// Whether a server's first frame is still to come. It must be settings; one that is not, but
    /// looks like a frame, is forgiven. Who speaks no HTTP/2 answers the preface with something else.
    is_new: bool,
}

/// What a direction reads into.
pub(super) struct Reading<'a, O> {
    pub(super) context: &'a StreamContext,
    pub(super) streams: &'a mut Streams,
    pub(super) observer: &'a mut O,
    pub(super) proxied_for: Option<IpAddr>,
    pub(super) tunnelled: bool,
    /// Set when a watched request was told.
    pub(super) has_told: &'a mut bool,
}

impl Side {
    /// From the start of a connection.
    pub(super) fn new(speaker: Speaker) -> Self {
        let frames = match speaker {
            Speaker::Client => Frames::with_preface(),
            Speaker::Server => Frames::without_preface(),
        };
        Self {
            frames,
            heads: Heads::new(speaker),
            is_new: speaker == Speaker::Server,
        }
    }

    /// A client whose preface was read elsewhere.
    pub(super) fn after_preface() -> Self {
        Self {
            frames: Frames::without_preface(),
            ..Self::new(Speaker::Client)
        }
    }

    /// From the middle of a connection; `gap` is whether the transport knows of missing bytes.
    pub(super) fn lost(speaker: Speaker, gap: bool) -> Self {
        let mut side = Self::new(speaker);
        side.lose_place();
        side.heads.resynced = gap;
        side
    }

    /// Whether part of a header block is held.
    pub(super) fn is_holding(&self) -> bool {
        self.frames.is_holding() || self.heads.is_holding()
    }

    /// Whether not even its preface is complete.
    pub(super) fn is_in_preface(&self) -> bool {
        self.frames.is_in_preface()
    }

    /// Bytes on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        self.frames.heap_bytes() + self.heads.heap_bytes()
    }

    /// Reads the next bytes; whether they can be HTTP/2 at all.
    pub(super) fn on_data(
        &mut self,
        bytes: &[u8],
        reading: &mut Reading<'_, impl Observer>,
    ) -> bool {
        if self.frames.is_lost() && !self.resume(bytes) {
            return true;
        }
        let mut rest = bytes;
        loop {
            let judged = match self.frames.next(&mut rest) {
                Next::Nothing => return true,
                Next::NoPreface => return false,
                Next::Unsound => Judged::Malformed,
                Next::Frame(header, _) if self.is_new && !header.is_likely() => Judged::Malformed,
                Next::Frame(header, payload) => {
                    self.is_new = false;
                    self.heads.on_frame(header, payload, reading)
                }
            };
            if judged == Judged::Malformed {
                self.on_malformed(reading);
            }
        }
    }

    /// So many bytes are missing.
    pub(super) fn on_gap(&mut self, gap: u64, reading: &mut Reading<'_, impl Observer>) {
        let was_lost = self.frames.is_lost();
        match self.frames.on_gap(gap) {
            Hole::Harmless => {}
            Hole::InFrame(header, held) => {
                if self.heads.on_hole(header, &held, reading) == Judged::Malformed {
                    self.on_malformed(reading);
                }
            }
            Hole::Lost => {
                let counters = reading.observer.counters();
                counters.http2_heads_lost += u64::from(self.heads.is_holding());
                counters.http2_lost += u64::from(!was_lost);
                self.heads.resynced = true;
                self.lose_place();
            }
        }
    }

    /// Bytes were missed: neither where a frame begins is known, nor what header blocks refer to.
    pub(super) fn lose_place(&mut self) {
        self.frames.lose();
        self.heads.lose();
        self.is_new = false;
    }

    /// A segment that looks like frames from its first to its last byte is taken for that.
    fn resume(&mut self, bytes: &[u8]) -> bool {
        if !are_likely_frames(bytes) {
            return false;
        }
        self.frames.resume();
        self.heads.is_guess = true;
        true
    }

    /// What a guess made of these bytes was wrong, or the speaker broke the rules.
    fn on_malformed(&mut self, reading: &mut Reading<'_, impl Observer>) {
        if !self.heads.is_guess {
            reading.observer.counters().http2_malformed += 1;
            self.heads.resynced = true;
        }
        self.lose_place();
    }
}
