//! `[evidence]`

use crate::config::EvidenceConfig;
use crate::config::parse::values::{MIB, bytes};
use crate::config::raw::{Document, Section};

pub(super) fn evidence(section: Option<Section<'_>>, doc: &mut Document<'_>) -> EvidenceConfig {
    let mut config = EvidenceConfig::DEFAULT;
    let Some(mut section) = section else {
        return config;
    };
    if let Some(enabled) = section.boolean("enabled", doc) {
        config.enabled = enabled;
    }
    if let Some(secrets) = section.boolean("secrets", doc) {
        config.secrets = secrets;
    }
    if let Some(bytes) = bytes(&mut section, "visit_max", (MIB, 1024 * MIB), doc) {
        config.visit_max_bytes = bytes;
    }
    if let Some(bytes) = bytes(&mut section, "total_max", (MIB, 1024 * 1024 * MIB), doc) {
        config.total_max_bytes = bytes;
    }
    if let Some((files, _)) = section.integer("files_max", 1..=FILES_MAX, doc) {
        config.files_max = files.unsigned_abs();
    }
    section.refuse_unknown(doc);
    config
}

/// More are slow to list on a small computer.
const FILES_MAX: i64 = 1_000_000;
