//! `[tls]`

use std::path::PathBuf;

use crate::config::raw::{Document, Section};

pub(super) fn key_logs(section: Option<Section<'_>>, doc: &mut Document<'_>) -> Vec<PathBuf> {
    let Some(mut section) = section else {
        return Vec::new();
    };
    let mut logs: Vec<PathBuf> = Vec::new();
    for (text, entry) in section.texts("key_log", doc).unwrap_or_default() {
        let path = PathBuf::from(text);
        if !path.is_absolute() {
            doc.wrong(
                "tls.key_log",
                entry,
                "must be an absolute path, beginning with /",
            );
        } else if logs.contains(&path) {
            doc.wrong("tls.key_log", entry, "is named twice: leave one of the two");
        } else {
            logs.push(path);
        }
    }
    section.refuse_unknown(doc);
    logs
}
