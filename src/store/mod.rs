//! Events are kept: SQLite, one chain of hashes over the visits.
