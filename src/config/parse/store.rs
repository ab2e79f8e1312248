//! `[store]`

use std::path::PathBuf;

use crate::config::StoreConfig;
use crate::config::parse::values::{MIB, bytes, path};
use crate::config::raw::{Document, Section};

pub(super) fn store(section: Option<Section<'_>>, doc: &mut Document<'_>) -> StoreConfig {
    let mut config = StoreConfig {
        directory: PathBuf::from("/var/lib/canarytap"),
        run_directory: None,
        requests_max_bytes: 100 * MIB,
        visits_max_bytes: 500 * MIB,
    };
    let Some(mut section) = section else {
        return config;
    };
    if let Some(directory) = path(&mut section, "directory", doc) {
        config.directory = directory;
    }
    config.run_directory = path(&mut section, "run_directory", doc);
    if let Some(bytes) = bytes(&mut section, "requests_max", (MIB, 1024 * 1024 * MIB), doc) {
        config.requests_max_bytes = bytes;
    }
    if let Some(bytes) = bytes(&mut section, "visits_max", (MIB, 1024 * 1024 * MIB), doc) {
        config.visits_max_bytes = bytes;
    }
    section.refuse_unknown(doc);
    config
}
