//! The blocks of a pcapng file (draft-ietf-opsawg-pcapng), little-endian.

use crate::engine::event::{KeptFrame, Source};

/// What is known of the interface that frames came from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interface {
    /// Its name, where there is one.
    pub name: Option<String>,
    /// The kernel's filter, where there is one.
    pub filter: Option<String>,
}

/// What a capture counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Packets that passed the filter.
    pub received: u64,
    /// Packets that the interface or its driver dropped.
    pub dropped_interface: u64,
    /// Packets that the kernel dropped.
    pub dropped_kernel: u64,
}

/// A section header (§4.1): who wrote it, and why.
pub(super) fn section(comment: &str, application: &str) -> Vec<u8> {
    let mut block = Block::new(SECTION);
    block.u32(BYTE_ORDER);
    block.u16(1);
    block.u16(0);
    block.u64(u64::MAX); // the section's length is not known yet
    block.option(COMMENT, comment.as_bytes());
    block.option(APPLICATION, application.as_bytes());
    block.end_of_options();
    block.finish()
}

/// An interface description (§4.2).
pub(super) fn interface(source: Source, interface: &Interface) -> Vec<u8> {
    let mut block = Block::new(INTERFACE);
    block.u16(source.link_number);
    block.u16(0);
    block.u32(source.snap_length);
    if let Some(name) = &interface.name {
        block.option(INTERFACE_NAME, name.as_bytes());
    }
    block.option(RESOLUTION, &[source.resolution]);
    if let Some(filter) = &interface.filter {
        block.option(FILTER, &[&[0], filter.as_bytes()].concat());
    }
    block.end_of_options();
    block.finish()
}

/// A packet (§4.3).
pub(super) fn packet(interface: u32, frame: &KeptFrame<'_>, comments: &[String]) -> Vec<u8> {
    let mut block = Block::new(PACKET);
    block.u32(interface);
    block.time(frame.time.as_nanos(), frame.source.resolution);
    block.u32(frame.bytes.len() as u32);
    block.u32(frame.wire_len);
    block.padded(frame.bytes);
    for comment in comments {
        block.option(COMMENT, comment.as_bytes());
    }
    if !comments.is_empty() {
        block.end_of_options();
    }
    block.finish()
}

/// Secrets in the format of `SSLKEYLOGFILE` (§4.7).
pub(super) fn secrets(lines: &str) -> Vec<u8> {
    let mut block = Block::new(SECRETS);
    block.u32(TLS_KEY_LOG);
    block.u32(lines.len() as u32);
    block.padded(lines.as_bytes());
    block.finish()
}

/// What the capture counted (§4.6), up to the last packet.
pub(super) fn statistics(
    interface: u32,
    last: &KeptFrame<'_>,
    counts: Option<Counts>,
    comment: &str,
) -> Vec<u8> {
    let mut block = Block::new(STATISTICS);
    block.u32(interface);
    block.time(last.time.as_nanos(), last.source.resolution);
    block.option(COMMENT, comment.as_bytes());
    if let Some(counts) = counts {
        block.option(RECEIVED, &counts.received.to_le_bytes());
        block.option(
            DROPPED_BY_INTERFACE,
            &counts.dropped_interface.to_le_bytes(),
        );
        block.option(DROPPED_BY_SYSTEM, &counts.dropped_kernel.to_le_bytes());
    }
    block.end_of_options();
    block.finish()
}

/// Length of the blocks at the beginning of `bytes` that are whole, from a section header on.
pub(super) fn whole_blocks(bytes: &[u8]) -> usize {
    let mut at = 0;
    let word = |at: usize| -> Option<u32> {
        let bytes = bytes.get(at..)?.first_chunk()?;
        Some(u32::from_le_bytes(*bytes))
    };
    while let (Some(kind), Some(length)) = (word(at), word(at + 4)) {
        let size = length as usize;
        let is_block = (at > 0 || kind == SECTION) && size >= FRAME_BYTES && size % 4 == 0;
        let closed = size
            .checked_sub(4)
            .and_then(|back| word(at.checked_add(back)?));
        if !is_block || closed != Some(length) {
            break;
        }
        at += size;
    }
    at
}

/// The same blocks with secrets before everything but the section header: whoever reads them once,
/// from the beginning, finds them in time.
pub(super) fn secrets_first(bytes: &[u8]) -> Vec<u8> {
    let (mut header, mut secrets, mut rest) = (Vec::new(), Vec::new(), Vec::new());
    let mut at = 0;
    while let Some([a, b, c, d, e, f, g, h]) = bytes.get(at..).and_then(|rest| rest.first_chunk()) {
        let kind = u32::from_le_bytes([*a, *b, *c, *d]);
        let end = at + u32::from_le_bytes([*e, *f, *g, *h]).max(4) as usize;
        let block = bytes.get(at..end).unwrap_or_default();
        match kind {
            SECTION => header.extend_from_slice(block),
            SECRETS => secrets.extend_from_slice(block),
            _ => rest.extend_from_slice(block),
        }
        at = end;
    }
    [header, secrets, rest].concat()
}

/// Packets in whole blocks.
pub(super) fn packets_in(bytes: &[u8]) -> u64 {
    let (mut at, mut packets) = (0, 0);
    while let Some(header) = bytes.get(at..).and_then(<[u8]>::first_chunk::<8>) {
        let [a, b, c, d, e, f, g, h] = *header;
        packets += u64::from(u32::from_le_bytes([a, b, c, d]) == PACKET);
        at += u32::from_le_bytes([e, f, g, h]).max(4) as usize;
    }
    packets
}

/// A block that is being written: its length stands at both ends.
struct Block(Vec<u8>);

impl Block {
    fn new(kind: u32) -> Self {
        let mut block = Self(Vec::with_capacity(128));
        block.u32(kind);
        block.u32(0); // its length, when that is known
        block
    }

    fn u16(&mut self, value: u16) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    fn u32(&mut self, value: u32) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    fn u64(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    fn padded(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
    }

    /// An option; a value that is longer than one can be is cut.
    fn option(&mut self, code: u16, value: &[u8]) {
        let value = value.get(..OPTION_BYTES_MAX).unwrap_or(value);
        self.u16(code);
        self.u16(value.len() as u16);
        self.padded(value);
    }

    fn end_of_options(&mut self) {
        self.u32(0);
    }

    /// A time in units of the resolution, the upper word first (§4.3).
    fn time(&mut self, nanos: u64, resolution: u8) {
        let units = units(nanos, resolution);
        self.u32((units >> 32) as u32);
        self.u32(units as u32);
    }

    fn finish(mut self) -> Vec<u8> {
        let length = (self.0.len() + 4) as u32;
        self.u32(length);
        if let Some(place) = self.0.get_mut(4..8) {
            place.copy_from_slice(&length.to_le_bytes());
        }
        self.0
    }
}

/// Nanoseconds in units of a resolution; rounded to the nearest, because what was read in such
/// units was rounded down to nanoseconds.
fn units(nanos: u64, resolution: u8) -> u64 {
    let power = u32::from(resolution & 0x7f);
    let base: u128 = if resolution & 0x80 == 0 { 10 } else { 2 };
    let per_second = base.checked_pow(power).unwrap_or(u128::MAX);
    let units = u128::from(nanos)
        .saturating_mul(per_second)
        .saturating_add(500_000_000)
        / 1_000_000_000;
    u64::try_from(units).unwrap_or(u64::MAX)
}

const SECTION: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const STATISTICS: u32 = 5;
const PACKET: u32 = 6;
const SECRETS: u32 = 10;
const BYTE_ORDER: u32 = 0x1a2b_3c4d;
/// "TLSK"
const TLS_KEY_LOG: u32 = 0x544c_534b;

const COMMENT: u16 = 1;
const APPLICATION: u16 = 4;
const INTERFACE_NAME: u16 = 2;
const RESOLUTION: u16 = 9;
const FILTER: u16 = 11;
const RECEIVED: u16 = 4;
const DROPPED_BY_INTERFACE: u16 = 5;
const DROPPED_BY_SYSTEM: u16 = 7;

/// Type and both lengths of a block.
const FRAME_BYTES: usize = 12;
const OPTION_BYTES_MAX: usize = 65_532;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::frame::Timestamp;

    fn frame(bytes: &[u8]) -> KeptFrame<'_> {
        KeptFrame {
            time: Timestamp::from_nanos(1_000_001_234_567_890),
            source: Source::default(),
            wire_len: 1500,
            bytes,
        }
    }

    #[test]
    fn blocks_have_their_length_at_both_ends_and_are_multiples_of_four() {
        let blocks = [
            section("why", "canarytap"),
            interface(Source::default(), &Interface::default()),
            packet(0, &frame(b"abcde"), &["note".into()]),
            secrets("CLIENT_RANDOM 00 11\n"),
            statistics(0, &frame(b""), Some(Counts::default()), "end"),
        ];
        let whole = blocks.concat();
        assert_eq!(whole_blocks(&whole), whole.len());
        assert_eq!(packets_in(&whole), 1);
        for cut in 1..blocks[4].len() {
            let kept = whole.len() - blocks[4].len();
            assert_eq!(whole_blocks(&whole[..whole.len() - cut]), kept);
        }
        let torn = [&whole[..], &[0; 100]].concat();
        assert_eq!(whole_blocks(&torn), whole.len());
    }

    #[test]
    fn secrets_that_came_late_stand_first() {
        let section = section("why", "canarytap");
        let (packet, secrets) = (packet(0, &frame(b"abcde"), &[]), secrets("late\n"));
        let mended = secrets_first(&[&section[..], &packet, &secrets].concat());
        assert_eq!(mended, [section, secrets, packet].concat());
    }

    #[test]
    fn a_time_has_the_resolution_that_it_came_with() {
        assert_eq!(units(1_234_567_890, 6), 1_234_568); // never the case: read from microseconds
        assert_eq!(units(1_234_567_000, 6), 1_234_567);
        assert_eq!(units(1_234_567_890, 9), 1_234_567_890);
        assert_eq!(units(1_500_000_000, 0x81), 3);
        // A third of a second, cut to nanoseconds on its way in.
        assert_eq!(units(1_333_333_333, 0x80 | 20), (4 << 20) / 3);
    }
}
