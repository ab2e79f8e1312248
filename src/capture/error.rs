//! Why frames do not come in.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::engine::frame::UnreadLinkType;

/// Why an interface cannot be captured on, or no longer.
#[derive(Debug)]
pub enum CaptureError {
    /// This process may not capture.
    Permission {
        /// The interface.
        interface: String,
    },
    /// libpcap refused or gave up.
    Pcap {
        /// The interface.
        interface: String,
        /// What it says.
        message: String,
    },
    /// The interface's frames are of a kind that is not read.
    LinkType(UnreadLinkType),
    /// The kernel refused to wait.
    Wait(io::Error),
    /// libpcap counts time in other types than this program.
    Times,
}

impl fmt::Display for CaptureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Permission { interface } => write!(
                f,
                "no permission to capture on {interface}: the capability CAP_NET_RAW is needed. \
                 Start the service (sudo systemctl start canarytap), or: \
                 sudo setcap cap_net_raw=ep \"$(command -v canarytap)\""
            ),
            Self::Pcap { interface, message } => {
                write!(f, "cannot capture on {interface}: {message}")
            }
            Self::LinkType(error) => error.fmt(f),
            Self::Wait(error) => write!(f, "cannot wait for frames: {error}"),
            Self::Times => f.write_str(
                "this program was built for a libpcap that counts time in other types than the \
                 one of this system: build it here, by make",
            ),
        }
    }
}

impl std::error::Error for CaptureError {}

/// Why a capture file cannot be read, or no further.
#[derive(Debug)]
pub enum SavefileError {
    /// The file cannot be opened.
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Reading failed.
    Read {
        /// The file.
        path: PathBuf,
        /// Bytes read before it, after decompression.
        offset: u64,
        /// Why.
        error: io::Error,
    },
    /// It does not begin like a capture file.
    NoCapture {
        /// The file.
        path: PathBuf,
    },
    /// It ends within a packet or block.
    Cut {
        /// The file.
        path: PathBuf,
        /// Where what is cut begins, after decompression.
        offset: u64,
    },
    /// A packet or block contradicts itself.
    Malformed {
        /// The file.
        path: PathBuf,
        /// Where it begins, after decompression.
        offset: u64,
        /// What is wrong with it.
        what: &'static str,
    },
    /// Its frames are of a kind that is not read.
    LinkType {
        /// The file.
        path: PathBuf,
        /// The kind.
        error: UnreadLinkType,
        /// Such packets that were passed over, in a file that has others too.
        packets: u64,
    },
}

impl fmt::Display for SavefileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open { path, error } => {
                write!(f, "{}: cannot be opened: {error}", path.display())
            }
            Self::Read {
                path,
                offset,
                error,
            } => {
                write!(
                    f,
                    "{}: cannot be read at byte {offset}: {error}",
                    path.display()
                )
            }
            Self::NoCapture { path } => {
                write!(f, "{}: is neither a pcap nor a pcapng file", path.display())
            }
            Self::Cut { path, offset } => write!(
                f,
                "{}: is cut short: the packet at byte {offset} is not all there",
                path.display()
            ),
            Self::Malformed { path, offset, what } => {
                write!(f, "{}: {what} at byte {offset}", path.display())
            }
            Self::LinkType {
                path,
                error,
                packets: 0,
            } => write!(f, "{}: {error}", path.display()),
            Self::LinkType {
                path,
                error,
                packets,
            } => write!(
                f,
                "{}: {error}; packets passed over for this: {packets}",
                path.display()
            ),
        }
    }
}

impl std::error::Error for SavefileError {}
