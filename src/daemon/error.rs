//! Why the daemon does not run, or did not end well.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::capture::CaptureError;
use crate::led::LedError;
use crate::store::StoreError;

/// Why the daemon does not run, or did not end well.
#[derive(Debug)]
pub enum DaemonError {
    /// Another one runs already with this run directory, as this process.
    Running(PathBuf, Option<u32>),
    /// The run directory cannot be used.
    RunDirectory(PathBuf, io::Error),
    /// The interface cannot be captured on.
    Capture(CaptureError),
    /// The store cannot be opened.
    Store(StoreError),
    /// A light or the button cannot be had.
    Led(LedError),
    /// The daemon ended, and so many entries are on no disk.
    Unwritten(usize, String),
    /// The system gives no thread, timer or signal.
    System(io::Error),
}

impl fmt::Display for DaemonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Running(path, process) => write!(
                f,
                "a daemon (process {}) runs already with the run directory {}; stop it first (sudo systemctl stop canarytap)",
                process.map_or_else(|| "?".to_owned(), |process| process.to_string()),
                path.display()
            ),
            Self::RunDirectory(path, error) => write!(
                f,
                "the run directory {} cannot be used: {error}; name another with store.run_directory",
                path.display()
            ),
            Self::Capture(error) => error.fmt(f),
            Self::Store(error) => error.fmt(f),
            Self::Led(error) => error.fmt(f),
            Self::Unwritten(count, fault) => {
                write!(
                    f,
                    "{count} entries could not be written and are lost: {fault}"
                )
            }
            Self::System(error) => write!(f, "the system refused: {error}"),
        }
    }
}

impl std::error::Error for DaemonError {}
