//! Packets of an event's connection, on their way to a file.

use crate::event::EventId;
use crate::frame::Timestamp;

/// Names the frames of one connection that are kept together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordingId(pub u64);

/// What happens to the packets of an event's connection: a beginning, frames and secrets, an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept<'a> {
    /// An event's connection is kept. Its frames so far follow at once, then each further one.
    Begin {
        /// Its name from now on.
        recording: RecordingId,
        /// The event.
        of: EventId,
    },
    /// Another event on a connection that is being kept.
    Joined {
        /// The connection's.
        recording: RecordingId,
        /// The event.
        of: EventId,
    },
    /// The next frame.
    Frame {
        /// Its connection's.
        recording: RecordingId,
        /// The frame.
        frame: KeptFrame<'a>,
        /// The events that it completed.
        events: &'a [EventId],
    },
    /// Lines of a TLS key log, of this connection alone.
    Secrets {
        /// Its connection's.
        recording: RecordingId,
        /// The lines, each with its end.
        lines: &'a str,
    },
    /// Nothing more of it is kept.
    End {
        /// Its name.
        recording: RecordingId,
        /// Why.
        ending: Ending,
        /// Frames that were seen and not kept, because of a bound.
        missed: u64,
        /// Whether the first frame that was seen is there.
        from_start: bool,
    },
}

/// A frame as the capture brought it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeptFrame<'a> {
    /// When the capture saw it.
    pub time: Timestamp,
    /// Where it came from.
    pub source: Source,
    /// Length on the wire in bytes.
    pub wire_len: u32,
    /// The bytes that were captured.
    pub bytes: &'a [u8],
}

/// What describes an interface's frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Source {
    /// Number of the link type in libpcap's list.
    pub link_number: u16,
    /// Resolution of time stamps, as pcapng's `if_tsresol` has it: a negative power of ten or, with
    /// the highest bit, of two.
    pub resolution: u8,
    /// Bytes of each frame that the capture takes; 0 for all.
    pub snap_length: u32,
}

impl Default for Source {
    /// Ethernet, whole frames, microseconds.
    fn default() -> Self {
        Self {
            link_number: 1,
            resolution: 6,
            snap_length: 0,
        }
    }
}

/// Why nothing more of a connection is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ending {
    /// Both sides ended it.
    Closed,
    /// It was reset.
    Reset,
    /// It was silent for a minute.
    Idle,
    /// The bound on one file was reached.
    Size,
    /// Too many were kept at once.
    Crowded,
    /// The capture ended.
    Stopped,
}

impl Ending {
    /// As it is written in records.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Reset => "reset",
            Self::Idle => "idle",
            Self::Size => "size",
            Self::Crowded => "crowded",
            Self::Stopped => "stopped",
        }
    }
}
