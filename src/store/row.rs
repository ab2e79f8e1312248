//! Rows on their way from one store into a copy of it.

use serde::{Deserialize, Serialize};

/// A row of `visits` or `requests`, as it stands there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Row {
    /// A link of the chain.
    Visit {
        /// Its number.
        seq: u64,
        /// The bytes that are hashed.
        record: String,
        /// SHA-256 of them, lower-case hex.
        hash: String,
    },
    /// A background request.
    Request {
        /// Its number.
        seq: u64,
        /// Microseconds since the Unix epoch.
        time: i64,
        /// The response's status, if it was seen by now.
        status: Option<u16>,
        /// What was seen, as JSON.
        record: String,
    },
}

impl Row {
    /// Its number.
    pub const fn seq(&self) -> u64 {
        match self {
            Self::Visit { seq, .. } | Self::Request { seq, .. } => *seq,
        }
    }

    /// Bytes that it takes up, about.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Visit { record, .. } | Self::Request { record, .. } => record.len() + 128,
        }
    }
}

/// A row of `acks`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ack {
    /// The alert's number.
    pub seq: u64,
    /// When it was acknowledged, RFC 3339.
    pub time: String,
    /// Whether all before it were, too.
    pub through: bool,
}

/// A row of `floods` that folds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flood {
    /// The canary that is visited.
    pub canary: String,
    /// The address; empty: anyone's.
    pub client: String,
    /// Whether it alerts.
    pub alert: bool,
    /// Time of the hour's first visit, in microseconds since the Unix epoch.
    pub began: i64,
    /// Visits with records of their own.
    pub visits: u64,
    /// Those that were folded.
    pub count: u64,
    /// How many of these were acknowledged.
    pub acknowledged: u64,
    /// The newest `seq` when one last was.
    pub touched: Option<u64>,
    /// The newest one's method.
    pub method: Option<String>,
    /// What all that were folded have in common, as JSON.
    pub record: Option<String>,
}
