//! The time from sending to visit, in the classes in which fetchers differ.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;

use crate::engine::frame::Timestamp;

/// How long after its sending a canary was visited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Delay {
    /// Before sending was finished: a preview that is fetched while the message is being written.
    Before,
    /// Under 10 seconds: a preview.
    Seconds,
    /// Under 10 minutes: a scan at delivery, or a quick reader.
    Minutes,
    /// Under a day: the pattern of 2013, or a reader.
    Hours,
    /// A day or more: a late scan, a crawler, or a reader.
    Days,
}

impl Delay {
    /// The class of a visit at `visit` to what was sent at `sent`.
    pub fn between(sent: Timestamp, visit: Timestamp) -> Self {
        if visit < sent {
            return Self::Before;
        }
        match visit.since(sent) {
            short if short < TEN_SECONDS => Self::Seconds,
            short if short < TEN_MINUTES => Self::Minutes,
            short if short < DAY => Self::Hours,
            _ => Self::Days,
        }
    }

    /// As it is written in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::Seconds => "seconds",
            Self::Minutes => "minutes",
            Self::Hours => "hours",
            Self::Days => "days",
        }
    }
}

impl fmt::Display for Delay {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Before => "before sending was finished",
            Self::Seconds => "under 10 s",
            Self::Minutes => "under 10 min",
            Self::Hours => "hours",
            Self::Days => "days",
        })
    }
}

const TEN_SECONDS: Duration = Duration::from_secs(10);
const TEN_MINUTES: Duration = Duration::from_secs(600);
const DAY: Duration = Duration::from_secs(86_400);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_class_begins_at_its_bound() {
        let sent = Timestamp::from_secs_nanos(1_000_000, 0);
        let after = |nanos| Delay::between(sent, sent.plus(Duration::from_nanos(nanos)));
        const SECOND: u64 = 1_000_000_000;
        assert_eq!(
            Delay::between(sent, Timestamp::from_secs_nanos(999_999, 999_999_999)),
            Delay::Before
        );
        assert_eq!(after(0), Delay::Seconds);
        assert_eq!(after(10 * SECOND - 1), Delay::Seconds);
        assert_eq!(after(10 * SECOND), Delay::Minutes);
        assert_eq!(after(600 * SECOND - 1), Delay::Minutes);
        assert_eq!(after(600 * SECOND), Delay::Hours);
        assert_eq!(after(86_400 * SECOND - 1), Delay::Hours);
        assert_eq!(after(86_400 * SECOND), Delay::Days);
    }
}
