//! URLs made comparable.

/// A URL after normalisation: without scheme; host without case, port and trailing dot;
/// percent-encoding and dot segments by RFC 3986 §6.2.2; path and query without case.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NormalizedUrl {
    /// Host name or address.
    pub host: String,
    /// Path, with its leading slash.
    pub path: String,
    /// Query without its question mark; None where there is none.
    pub query: Option<String>,
}
