//! `[tls]`

use std::path::PathBuf;

use crate::config::parse::values;
use crate::config::raw::{Document, Section};

pub(super) fn key_logs(section: Option<Section<'_>>, doc: &mut Document<'_>) -> Vec<PathBuf> {
    let Some(mut section) = section else {
        return Vec::new();
    };
    let logs = values::paths(&mut section, "key_log", doc);
    section.refuse_unknown(doc);
    logs
}
