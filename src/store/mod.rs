//! Events are kept: SQLite, one chain of hashes over the visits.
//!
//! One [`Store`] writes, on a thread of its own; any number of [`StoreReader`]s look on, in this
//! process or another, while it does. Everything lies in one file, `events.db`, in the data
//! directory:
//!
//! | table | what stands there |
//! |---|---|
//! | `visits` | visits, hellos on a canary, and what was learned of them later: a chain, never rewritten |
//! | `requests` | background requests: no chain, the oldest go first |
//! | `acks` | which alerts were acknowledged |
//! | `canaries` | minted canaries |
//! | `floods` | visits of the present hour, by canary and client, and those that fold |
//! | `evidence` | which visits have a file of packets, and how large |
//! | `spans` | for each run of 1,024 `seq` its earliest and latest time, so that a search by time skips |
//!
//! `visits` and `requests` share one sequence, `seq`, in the order of writing.

use std::path::{Path, PathBuf};

use crate::engine::event::{Detail, Event, EventId};

pub use acks::{Acknowledge, Acknowledged, Unacknowledged};
pub use canaries::{StoredCanary, Visits};
pub use chain::sha256_hex;
pub use copy::{CopyError, StoreCopy};
pub use dates::{CLOCK, ClockRecord, Dates};
pub use error::{GROUP, StoreError};
pub use evidence::{EVIDENCE, Evidence, EvidenceDetail, EvidenceOptions};
pub use files::{make_directory, make_for_group};
pub use floods::VISITS_AN_HOUR;
pub use outbox::{Outbox, Progress};
pub use query::EventQuery;
pub use reader::{Rhythm, StoreReader, Unreadable};
pub use record::EventRecord;
pub use row::{Ack, Flood, Row};
pub use salvage::Salvage;
pub use taps::{ASIDE, TapStore, canaries_of, for_each_of, open_folds_of, taps};
pub use upkeep::{
    BLIND_SPANS_MAX, COVERAGE, Coverage, CoverageRecord, HEALTH, HealthRecord, Minute, Span,
};
pub use verify::{Broken, Head, Verification};
pub use walk::Lost;
pub use writer::{Committed, Store};

mod acks;
mod canaries;
mod canonical;
mod chain;
mod copy;
mod dates;
mod error;
pub mod evidence;
mod files;
mod floods;
mod learned;
mod outbox;
mod outgoing;
mod query;
mod reader;
mod record;
mod records;
mod requests;
mod row;
mod salvage;
mod schema;
mod spans;
mod taps;
mod upkeep;
mod verify;
mod walk;
mod writer;

/// What the engine said, in its order.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(
    clippy::large_enum_variant,
    reason = "most are events, and a batch is short: a box for each would cost more than it saves"
)]
pub enum Incoming {
    /// An event was found.
    Event(Event),
    /// Something more was learned about an earlier event.
    Detail(Detail),
    /// Nothing more will be learned about an earlier event: it can be forgotten here.
    Settled(EventId),
    /// What is to be said of a visit's packets.
    Evidence(EvidenceDetail),
}

/// How a store is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreOptions {
    /// Cap on background requests in bytes; the oldest go first.
    pub requests_max_bytes: u64,
    /// Bytes that visits may take up; beyond, they are only counted.
    pub visits_max_bytes: u64,
    /// How packets are kept.
    pub evidence: EvidenceOptions,
}

impl Default for StoreOptions {
    /// 100 MiB: a year of 500 requests a day; and as many visits as no year brings but by a flood.
    fn default() -> Self {
        Self {
            requests_max_bytes: 100 << 20,
            visits_max_bytes: 500 << 20,
            evidence: EvidenceOptions::DEFAULT,
        }
    }
}

/// Name of the database in the data directory.
pub const DATABASE: &str = "events.db";

/// Damaged databases that were set aside in `directory`, in the order of their dates.
pub fn set_aside(directory: &Path) -> Vec<PathBuf> {
    salvage::set_aside(directory)
}

/// Whether `directory` holds a store. False too when nobody may look.
pub fn exists(directory: &Path) -> bool {
    directory.join(DATABASE).is_file()
}
