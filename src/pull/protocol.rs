//! What the two sides say to each other. Version 1.

use std::io::{self, BufRead, Read as _, Write};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::store::{Ack, Flood, Head, Row, StoredCanary};

/// Version of this protocol. Keys may be added without a new one.
pub(super) const VERSION: u32 = 1;

/// A question. Every answer is bounded, so that all but the smallest store takes several.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "get", rename_all = "lowercase")]
pub(super) enum Question {
    /// Who is there?
    Hello {
        /// The asker's version of the protocol.
        protocol: u32,
    },
    /// The newest link whose number is no larger than this.
    Link {
        /// The number.
        up_to: u64,
    },
    /// Links and requests with larger numbers than these.
    Rows {
        /// Of the last link that is known.
        link: u64,
        /// Of the last request that is known.
        request: u64,
    },
    /// Statuses of requests that came without.
    Statuses {
        /// The first of them.
        first: u64,
        /// The last of them.
        last: u64,
    },
    /// Minted canaries from this one on, counted from 0.
    Canaries {
        /// How many are known.
        from: u64,
    },
    /// Acknowledgements of larger numbers than this.
    Acks {
        /// The number.
        after: u64,
    },
    /// What is so at present: canaries of the configuration, visits that are folding.
    Present,
    /// Names of kept files that come after this one.
    Files {
        /// The name; empty: all.
        after: String,
    },
    /// A piece of a kept file.
    Piece {
        /// Its name.
        name: String,
        /// Where the piece begins.
        offset: u64,
    },
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Answer {
    /// To [`Question::Hello`].
    Hello {
        /// The version that is spoken.
        protocol: u32,
        /// Version of the program.
        program: String,
    },
    /// To [`Question::Link`].
    Link(Option<Head>),
    /// To [`Question::Rows`]; none: there are no more.
    Rows(Vec<Row>),
    /// To [`Question::Statuses`]; none: there are no more.
    Statuses(Vec<(u64, u16)>),
    /// To [`Question::Canaries`]; none: there are no more.
    Canaries(Vec<StoredCanary>),
    /// To [`Question::Acks`]; none: there are no more.
    Acks(Vec<Ack>),
    /// To [`Question::Present`].
    Present {
        /// Canaries of the configuration.
        configured: Vec<StoredCanary>,
        /// Visits that are folding.
        floods: Vec<Flood>,
    },
    /// To [`Question::Files`]; none: there are no more.
    Files(Vec<KeptFile>),
    /// To [`Question::Piece`]. So many bytes follow the line.
    Piece {
        /// How many.
        bytes: usize,
        /// How large the whole file is by now.
        size: u64,
    },
    /// Why there is no answer.
    Refused(String),
}

/// A kept file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct KeptFile {
    /// Its name.
    pub(super) name: String,
    /// How large it is.
    pub(super) size: u64,
}

/// Reads one line of at most `max` bytes. None: the other side has nothing more to say.
pub(super) fn read<T: DeserializeOwned>(
    from: &mut impl BufRead,
    max: u64,
) -> io::Result<Option<T>> {
    let mut line = Vec::new();
    from.take(max).read_until(b'\n', &mut line)?;
    match line.last() {
        None => Ok(None),
        Some(b'\n') => Ok(Some(serde_json::from_slice(&line)?)),
        Some(_) if line.len() as u64 >= max => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("a line is longer than {max} bytes"),
        )),
        Some(_) => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// Writes one line.
pub(super) fn write(to: &mut impl Write, message: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *to, message)?;
    to.write_all(b"\n")?;
    to.flush()
}

/// Bytes of a question at most.
pub(super) const QUESTION_MAX: u64 = 4096;
/// Bytes of an answer's line at most: a page, and the largest record with every byte escaped.
pub(super) const ANSWER_MAX: u64 = 16 << 20;
/// Bytes of records in a page, about.
pub(super) const PAGE_BYTES: usize = 256 << 10;
/// Rows, names or canaries in a page at most.
pub(super) const PAGE_ROWS: usize = 1000;
/// Canaries of a configuration, and floods, that are told of at most.
pub(super) const PRESENT_MAX: usize = 10_000;
/// Bytes of a piece at most.
pub(super) const PIECE_BYTES: usize = 256 << 10;
