//! Frames come in: from the wire or from a file.

use crate::engine::frame::Frame;

pub use error::{CaptureError, SavefileError};
pub use link::{LinkState, LinkWatcher};
pub use live::{Live, Waker};
pub use savefile::Savefile;

mod abi;
mod company;
mod error;
pub mod filter;
pub mod link;
mod live;
mod netlink;
mod pcapng;
pub mod privilege;
mod savefile;
mod window;

/// What a file gives next.
#[derive(Debug)]
pub enum Next<'a> {
    /// A frame, valid until the next call.
    Frame(Frame<'a>),
    /// Lines of a TLS key log that it brings along.
    Secrets(&'a [u8]),
    /// Its end.
    End,
}

/// What the capture itself counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CaptureStats {
    /// Packets that passed the filter.
    pub received: u64,
    /// Packets that the kernel dropped because the ring was full.
    pub dropped_kernel: u64,
    /// Packets that the interface or its driver dropped.
    pub dropped_interface: u64,
}

#[cfg(test)]
mod tests;
