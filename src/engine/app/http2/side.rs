//! One direction of a connection: from bytes to header blocks.

use std::net::IpAddr;

use crate::engine::app::Observer;
use crate::engine::app::hpack::Decoder;
use crate::engine::app::http2::blocks::{Block, Blocks, Taken};
use crate::engine::app::http2::frame::{FrameHeader, FrameKind, are_likely_frames};
use crate::engine::app::http2::frames::{Frames, Hole, Next};
use crate::engine::app::http2::heads::{HeaderBlock, Judged};
use crate::engine::app::http2::streams::Streams;
use crate::engine::event::Flags;
use crate::engine::transport::StreamContext;

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Speaker {
    Client,
    Server,
}

/// A direction.
#[derive(Debug)]
pub(super) struct Side {
    speaker: Speaker,
    frames: Frames,
    blocks: Blocks,
    hpack: Decoder,
    /// Whether a server's first frame is still to come, which must be settings.
    is_new: bool,
    /// Whether the place of frames was guessed, and no header block has shown yet that it is right.
    is_guess: bool,
    /// Whether bytes are missing, or made no sense, since the last good request.
    resynced: bool,
    /// Whether some ever were: the start of a stream may be among them.
    has_missed: bool,
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
            speaker,
            frames,
            blocks: Blocks::default(),
            hpack: Decoder::default(),
            is_new: speaker == Speaker::Server,
            is_guess: false,
            resynced: false,
            has_missed: false,
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
        side.resynced = gap;
        side
    }

    /// Whether part of a header block is held.
    pub(super) fn is_holding(&self) -> bool {
        self.frames.is_holding() || self.blocks.is_holding()
    }

    /// Whether not even its preface is complete.
    pub(super) fn is_in_preface(&self) -> bool {
        self.frames.is_in_preface()
    }

    /// Bytes on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        self.frames.heap_bytes() + self.blocks.heap_bytes() + self.hpack.heap_bytes()
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
                Next::Frame(header, _) if self.is_new && header.kind != FrameKind::Settings => {
                    Judged::Malformed
                }
                Next::Frame(header, payload) => {
                    self.is_new = false;
                    match self.blocks.take(header, payload) {
                        Taken::Part => Judged::Sound,
                        Taken::Malformed => Judged::Malformed,
                        Taken::Other => {
                            if !self.is_guess {
                                on_frame(self.speaker, header, payload, reading);
                            }
                            Judged::Sound
                        }
                        Taken::Block(block) => {
                            let mut one = HeaderBlock {
                                hpack: &mut self.hpack,
                                is_guess: &mut self.is_guess,
                                resynced: &mut self.resynced,
                                has_missed: self.has_missed,
                                reading: &mut *reading,
                            };
                            one.read(self.speaker, &block)
                        }
                    }
                }
            };
            if judged == Judged::Malformed {
                self.on_malformed(reading);
            }
        }
    }

    /// So many bytes are missing.
    pub(super) fn on_gap(&mut self, gap: u64, reading: &mut Reading<'_, impl Observer>) {
        match self.frames.on_gap(gap) {
            Hole::Harmless => {}
            Hole::InFrame(header, held) => {
                let block = self.blocks.on_hole(header, &held);
                if reading.context.flags.contains(Flags::TRUNCATED) {
                    // The snap length cut the frame: what it holds of a head is told.
                    self.read_cut(block, reading);
                } else {
                    reading.observer.counters().http2_heads_lost += 1;
                }
                self.resynced = true;
                self.has_missed = true;
                self.hpack.lose();
                reading.observer.counters().http2_lost += 1;
            }
            Hole::Lost => {
                self.resynced = true;
                if self.blocks.is_holding() {
                    reading.observer.counters().http2_heads_lost += 1;
                }
                self.lose_place();
                reading.observer.counters().http2_lost += 1;
            }
        }
    }

    /// Bytes were missed: neither where a frame begins is known, nor what header blocks refer to.
    pub(super) fn lose_place(&mut self) {
        self.frames.lose();
        self.blocks.clear();
        self.hpack.lose();
        self.is_new = false;
        self.has_missed = true;
    }

    /// A segment that looks like frames from its first to its last byte is taken for that.
    fn resume(&mut self, bytes: &[u8]) -> bool {
        if !are_likely_frames(bytes) {
            return false;
        }
        self.frames.resume();
        self.is_guess = true;
        true
    }

    fn read_cut(&mut self, block: Option<Block<'_>>, reading: &mut Reading<'_, impl Observer>) {
        let Some(block) = block else { return };
        self.resynced = true; // bytes of this very head are missing
        let mut one = HeaderBlock {
            hpack: &mut self.hpack,
            is_guess: &mut self.is_guess,
            resynced: &mut self.resynced,
            has_missed: true,
            reading,
        };
        if one.read(self.speaker, &block) == Judged::Malformed {
            self.on_malformed(reading);
        }
    }

    /// What a guess made of these bytes was wrong, or the speaker broke the rules.
    fn on_malformed(&mut self, reading: &mut Reading<'_, impl Observer>) {
        if !self.is_guess {
            reading.observer.counters().http2_malformed += 1;
            self.resynced = true;
        }
        self.lose_place();
    }
}

/// A frame that has nothing to do with header blocks.
fn on_frame(
    speaker: Speaker,
    header: FrameHeader,
    payload: &[u8],
    reading: &mut Reading<'_, impl Observer>,
) {
    match (speaker, header.kind) {
        // When the client gives up, an answer may be on its way all the same.
        (Speaker::Server, FrameKind::Reset) => {
            reading.streams.fail(header.stream, reading.observer);
        }
        (Speaker::Server, FrameKind::GoAway) => {
            if let Some(last) = payload.first_chunk() {
                let last = u32::from_be_bytes(*last) & 0x7fff_ffff;
                reading.streams.fail_beyond(last, reading.observer);
            }
        }
        _ => {}
    }
}
