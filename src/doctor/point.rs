//! What is told of each thing that was looked at.

use serde::Serialize;

/// How it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// As it should be.
    Ok,
    /// It works, but not as well as it could, or nothing was seen that would show it.
    Warning,
    /// It does not work.
    Failed,
    /// Nobody knows: it could not be looked at.
    NotLookedAt,
}

impl State {
    /// In words.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Failed => "FAILED",
            Self::NotLookedAt => "not looked at",
        }
    }
}

/// One point of a diagnosis.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Point {
    /// Its name, for scripts.
    pub point: &'static str,
    /// How it is.
    pub state: State,
    /// What was found, and where.
    pub found: String,
    /// How to mend it, or how to have it looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cure: Option<String>,
}

impl Point {
    /// As it should be.
    pub fn ok(point: &'static str, found: impl Into<String>) -> Self {
        Self {
            point,
            state: State::Ok,
            found: found.into(),
            cure: None,
        }
    }

    /// Not as well as it could be.
    pub fn warning(point: &'static str, found: impl Into<String>, cure: impl Into<String>) -> Self {
        Self::with_cure(State::Warning, point, found.into(), cure.into())
    }

    /// It does not work.
    pub fn failed(point: &'static str, found: impl Into<String>, cure: impl Into<String>) -> Self {
        Self::with_cure(State::Failed, point, found.into(), cure.into())
    }

    /// It could not be looked at; `how` says how it can be.
    pub fn not_looked_at(
        point: &'static str,
        found: impl Into<String>,
        how: impl Into<String>,
    ) -> Self {
        Self::with_cure(State::NotLookedAt, point, found.into(), how.into())
    }

    fn with_cure(state: State, point: &'static str, found: String, cure: String) -> Self {
        Self {
            point,
            state,
            found,
            cure: Some(cure),
        }
    }
}

/// A number of things, in words: `1 request`, `4 requests`.
pub(super) fn counted(number: u64, word: &str) -> String {
    match number {
        1 => format!("1 {word}"),
        _ => format!("{number} {word}s"),
    }
}
