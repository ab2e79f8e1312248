//! `[visitor]`

use crate::config::VisitorConfig;
use crate::config::parse::values;
use crate::config::raw::{Document, Section};

pub(super) fn visitor(section: Option<Section<'_>>, doc: &mut Document<'_>) -> VisitorConfig {
    let Some(mut section) = section else {
        return VisitorConfig::default();
    };
    let visitor = VisitorConfig {
        databases: values::paths(&mut section, "databases", doc),
        table: values::path(&mut section, "table", doc),
    };
    section.refuse_unknown(doc);
    visitor
}
