//! Frames, taken out of a stream that comes in any pieces.

use crate::app::http2::frame::{FrameHeader, HEADER_BYTES, PREFACE};

/// Takes frames out of one direction's bytes. Payloads that nobody reads are passed over without
/// a copy; those that are wanted are copied only when they are cut.
#[derive(Debug)]
pub(super) struct Frames {
    place: Place,
    /// What came of a payload that is wanted and was cut.
    held: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Within the client's preface, after so many bytes of it.
    Preface(u8),
    /// At a frame's start, or within its header: bytes of it, and how many.
    Header([u8; HEADER_BYTES], u8),
    /// Within a payload whose first bytes are held.
    Payload(FrameHeader),
    /// Behind a payload that was completed from what is held.
    Taken(u32),
    /// Within bytes that nobody reads; so many are left.
    Rest(u32),
    /// Where frames begin is not known.
    Lost,
}

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next<'a> {
    /// A frame, and as much of its payload as is worth a look.
    Frame(FrameHeader, &'a [u8]),
    /// Nothing that is complete; all bytes were taken.
    Nothing,
    /// These bytes are none of a connection that goes on. The place of the next frame is lost.
    Unsound,
    /// These are not the first bytes of a client.
    NoPreface,
}

/// What a hole means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Hole {
    /// It lies within bytes that nobody reads.
    Harmless,
    /// It lies within the payload of a frame that is wanted: what came of it before the hole.
    /// Where the next frame begins is known.
    InFrame(FrameHeader, Vec<u8>),
    /// Frames may be missing, and where the next one begins is not known.
    Lost,
}

impl Frames {
    /// Of a client, from the start of the connection.
    pub(super) fn with_preface() -> Self {
        Self::at(Place::Preface(0))
    }

    /// From the start of a frame.
    pub(super) fn without_preface() -> Self {
        Self::at(START)
    }

    /// From anywhere.
    pub(super) fn lost() -> Self {
        Self::at(Place::Lost)
    }

    fn at(place: Place) -> Self {
        let held = Vec::new();
        Self { place, held }
    }

    /// Whether the place of the next frame is not known.
    pub(super) fn is_lost(&self) -> bool {
        self.place == Place::Lost
    }

    /// Whether part of a frame's payload is held.
    pub(super) fn is_holding(&self) -> bool {
        !self.held.is_empty()
    }

    /// Whether what has come so far is no whole preface.
    pub(super) fn is_in_preface(&self) -> bool {
        matches!(self.place, Place::Preface(_))
    }

    /// A frame begins with the next byte.
    pub(super) fn resume(&mut self) {
        *self = Self::without_preface();
    }

    /// Where frames begin is no longer known.
    pub(super) fn lose(&mut self) {
        *self = Self::lost();
    }

    /// Bytes on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        self.held.capacity()
    }

    /// Takes the next frame off `bytes`.
    pub(super) fn next<'a, 'b: 'a>(&'a mut self, bytes: &mut &'b [u8]) -> Next<'a> {
        if let Place::Taken(left) = self.place {
            self.held = Vec::new();
            self.place = Place::Rest(left);
        }
        loop {
            match self.place {
                Place::Preface(done) => match pass_preface(done, bytes) {
                    Some(done) if usize::from(done) < PREFACE.len() => {
                        self.place = Place::Preface(done);
                        return Next::Nothing;
                    }
                    Some(_) => self.place = START,
                    None => return Next::NoPreface,
                },
                Place::Rest(left) => match skip(left, bytes) {
                    0 => self.place = START,
                    left => {
                        self.place = Place::Rest(left);
                        return Next::Nothing;
                    }
                },
                Place::Header(held, length) => match take_header(held, length, bytes) {
                    Ok(header) if header.is_sound() => {
                        if let Some(payload) = self.begin(header, bytes) {
                            return Next::Frame(header, payload);
                        }
                    }
                    Ok(_) => {
                        self.lose();
                        return Next::Unsound;
                    }
                    Err(place) => {
                        self.place = place;
                        return Next::Nothing;
                    }
                },
                Place::Payload(header) => {
                    return match self.go_on(header, bytes) {
                        true => Next::Frame(header, &self.held),
                        false => Next::Nothing,
                    };
                }
                Place::Taken(_) | Place::Lost => return Next::Nothing,
            }
        }
    }

    /// So many bytes are missing.
    pub(super) fn on_gap(&mut self, gap: u64) -> Hole {
        let left = match &self.place {
            Place::Rest(left) | Place::Taken(left) => *left,
            Place::Payload(header) => header.length.saturating_sub(self.held_length()),
            _ => 0,
        };
        let header = match self.place {
            Place::Payload(header) => Some(header),
            _ => None,
        };
        let held = std::mem::take(&mut self.held);
        let after = u32::try_from(gap)
            .ok()
            .and_then(|gap| left.checked_sub(gap));
        let Some(after) = after else {
            self.lose();
            return Hole::Lost;
        };
        self.place = Place::Rest(after);
        header.map_or(Hole::Harmless, |header| Hole::InFrame(header, held))
    }

    /// A header was read: the payload's worthy bytes, when they are all here. Otherwise what is
    /// here is held.
    fn begin<'a>(&mut self, header: FrameHeader, bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
        let wanted = header.wanted();
        match bytes.split_at_checked(wanted) {
            Some((payload, rest)) => {
                *bytes = rest;
                self.place = Place::Rest(left_after(header, wanted));
                Some(payload)
            }
            None => {
                self.place = Place::Payload(header);
                None
            }
        }
    }

    /// Adds to what is held; whether all that is wanted is there.
    fn go_on(&mut self, header: FrameHeader, bytes: &mut &[u8]) -> bool {
        let wanted = header.wanted();
        let missing = wanted.saturating_sub(self.held.len());
        let (more, rest) = bytes.split_at_checked(missing).unwrap_or((bytes, &[]));
        if self.held.is_empty() {
            self.held.reserve_exact(more.len());
        }
        self.held.extend_from_slice(more);
        *bytes = rest;
        let is_complete = self.held.len() == wanted;
        if is_complete {
            self.place = Place::Taken(left_after(header, wanted));
        }
        is_complete
    }

    fn held_length(&self) -> u32 {
        u32::try_from(self.held.len()).unwrap_or(u32::MAX)
    }
}

/// Compares with the preface after `done` bytes of it: how many bytes of it there are then.
pub(in crate::app) fn pass_preface(done: u8, bytes: &mut &[u8]) -> Option<u8> {
    let expected = PREFACE.get(usize::from(done)..).unwrap_or_default();
    let length = expected.len().min(bytes.len());
    let (here, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    (expected.get(..length) == Some(here)).then(|| done + u8::try_from(length).unwrap_or_default())
}

fn skip(left: u32, bytes: &mut &[u8]) -> u32 {
    let passed = bytes.len().min(left as usize);
    *bytes = bytes.get(passed..).unwrap_or_default();
    left - u32::try_from(passed).unwrap_or_default()
}

/// The next header, or the place that keeps what came of it.
fn take_header(
    mut held: [u8; HEADER_BYTES],
    length: u8,
    bytes: &mut &[u8],
) -> Result<FrameHeader, Place> {
    if let (0, Some((header, rest))) = (length, bytes.split_first_chunk()) {
        *bytes = rest;
        return Ok(FrameHeader::parse(header));
    }
    let mut length = length;
    while let (Some(place), Some((byte, rest))) =
        (held.get_mut(usize::from(length)), bytes.split_first())
    {
        *place = *byte;
        *bytes = rest;
        length += 1;
    }
    if usize::from(length) < HEADER_BYTES {
        return Err(Place::Header(held, length));
    }
    Ok(FrameHeader::parse(&held))
}

fn left_after(header: FrameHeader, taken: usize) -> u32 {
    let taken = u32::try_from(taken).unwrap_or(u32::MAX);
    header.length.saturating_sub(taken)
}

const START: Place = Place::Header([0; HEADER_BYTES], 0);
