//! Header blocks: HEADERS or PUSH_PROMISE and the CONTINUATIONs behind it (RFC 9113 §4.3).

use std::borrow::Cow;

use crate::app::http2::frame::{FrameHeader, FrameKind};
use crate::limits::HEAD_BYTES_MAX;

/// One direction's unfinished block, of which there is at most one: nothing may come between its
/// frames.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    pending: Option<Box<Pending>>,
}

#[derive(Debug)]
struct Pending {
    stream: u32,
    kind: BlockKind,
    bytes: Vec<u8>,
    /// Whether only its end is awaited: bytes are missing, or there were too many.
    is_over: bool,
}

/// What a block stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BlockKind {
    /// A request or response, or their trailers.
    Headers,
    /// A request that the server makes up, to answer it unasked.
    Promise,
}

/// A block, as long as it is.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Block<'a> {
    pub(super) stream: u32,
    pub(super) kind: BlockKind,
    pub(super) bytes: Cow<'a, [u8]>,
    /// Whether it ends before its end.
    pub(super) is_cut: bool,
}

/// What a frame means for blocks.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken<'a> {
    /// It completes one.
    Block(Block<'a>),
    /// It is part of one.
    Part,
    /// It has nothing to do with them.
    Other,
    /// It must not stand here, or does not hold together.
    Malformed,
}

impl Blocks {
    /// Whether part of a block is held.
    pub(super) fn is_holding(&self) -> bool {
        self.pending
            .as_ref()
            .is_some_and(|pending| !pending.is_over)
    }

    /// Bytes on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        self.pending
            .as_ref()
            .map_or(0, |pending| size_of::<Pending>() + pending.bytes.capacity())
    }

    /// Forgets what is held.
    pub(super) fn clear(&mut self) {
        self.pending = None;
    }

    /// Takes the next frame with its payload.
    pub(super) fn take<'a>(&mut self, header: FrameHeader, payload: &'a [u8]) -> Taken<'a> {
        let kind = match header.kind {
            FrameKind::Headers => BlockKind::Headers,
            FrameKind::Promise => BlockKind::Promise,
            FrameKind::Continuation => return self.go_on(header, payload),
            _ if self.pending.is_none() => return Taken::Other,
            _ => return self.refuse(),
        };
        if self.pending.is_some() {
            return self.refuse();
        }
        match header.fragment(payload) {
            Some(fragment) => self.begin(header, kind, fragment, payload.len()),
            None => Taken::Malformed,
        }
    }

    /// A hole cuts a frame; `held` is its payload up to there. The block as far as it is known, if
    /// anything of it is.
    pub(super) fn on_hole(&mut self, header: FrameHeader, held: &[u8]) -> Option<Block<'static>> {
        let pending = self.pending.take();
        let fragment = header.fragment(held).unwrap_or_default();
        let kind = match (header.kind, pending) {
            (FrameKind::Headers, None) => BlockKind::Headers,
            (FrameKind::Promise, None) => BlockKind::Promise,
            (FrameKind::Continuation, Some(pending)) => {
                return self.give_up(header, *pending, fragment);
            }
            _ => return None,
        };
        let pending = Pending {
            stream: header.stream,
            kind,
            bytes: Vec::new(),
            is_over: false,
        };
        self.give_up(header, pending, fragment)
    }

    fn begin<'a>(
        &mut self,
        header: FrameHeader,
        kind: BlockKind,
        fragment: &'a [u8],
        payload_length: usize,
    ) -> Taken<'a> {
        let stream = header.stream;
        let is_cut = payload_length < header.length as usize;
        if !header.ends_headers() {
            self.pending = Some(Box::new(Pending {
                stream,
                kind,
                bytes: if is_cut {
                    Vec::new()
                } else {
                    fragment.to_vec()
                },
                is_over: is_cut,
            }));
            if !is_cut {
                return Taken::Part;
            }
        }
        Taken::Block(Block {
            stream,
            kind,
            bytes: Cow::Borrowed(fragment),
            is_cut,
        })
    }

    fn go_on<'a>(&mut self, header: FrameHeader, payload: &'a [u8]) -> Taken<'a> {
        let Some(mut pending) = self.pending.take() else {
            return Taken::Malformed;
        };
        if pending.stream != header.stream {
            return Taken::Malformed;
        }
        let room = HEAD_BYTES_MAX.saturating_sub(pending.bytes.len());
        let is_cut = payload.len() > room || payload.len() < header.length as usize;
        if pending.is_over || is_cut {
            let fragment = payload.get(..room).unwrap_or(payload);
            let block = self.give_up(header, *pending, fragment);
            return block.map_or(Taken::Part, Taken::Block);
        }
        pending.bytes.extend_from_slice(payload);
        if !header.ends_headers() {
            self.pending = Some(pending);
            return Taken::Part;
        }
        Taken::Block(Block {
            stream: pending.stream,
            kind: pending.kind,
            bytes: Cow::Owned(pending.bytes),
            is_cut: false,
        })
    }

    /// No more of a block is read; told once, as far as it is known.
    fn give_up(
        &mut self,
        header: FrameHeader,
        mut pending: Pending,
        fragment: &[u8],
    ) -> Option<Block<'static>> {
        let mut bytes = std::mem::take(&mut pending.bytes);
        bytes.extend_from_slice(fragment);
        let block = Block {
            stream: pending.stream,
            kind: pending.kind,
            bytes: Cow::Owned(bytes),
            is_cut: true,
        };
        let was_over = pending.is_over;
        if !header.ends_headers() {
            pending.is_over = true;
            self.pending = Some(Box::new(pending));
        }
        (!was_over).then_some(block)
    }

    fn refuse<'a>(&mut self) -> Taken<'a> {
        self.pending = None;
        Taken::Malformed
    }
}
