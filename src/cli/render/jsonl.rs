//! JSON lines: keys in the documented order, a key without a value left out.

use std::io::{self, Write};

use crate::cli::render::escape;
use crate::store::EventRecord;

/// One event.
pub(super) fn line(out: &mut impl Write, event: &EventRecord) -> io::Result<()> {
    let text = serde_json::to_string(event)?;
    writeln!(out, "{}", escape::json(&text))
}
