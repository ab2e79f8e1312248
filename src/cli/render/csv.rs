//! CSV (RFC 4180): a header with the keys of the JSON, then one line for each event. A field that
//! a spreadsheet would take for a formula is made text by an apostrophe ahead of it.

use std::io::{self, Write};

use crate::cli::render::escape::printable;
use crate::store::EventRecord;

/// The names of the columns.
pub(super) fn header(out: &mut impl Write) -> io::Result<()> {
    write!(out, "{}\r\n", KEYS.join(","))
}

/// One event.
pub(super) fn row(out: &mut impl Write, event: &EventRecord) -> io::Result<()> {
    for (position, value) in values(event).iter().enumerate() {
        if position > 0 {
            out.write_all(b",")?;
        }
        out.write_all(field(value).as_bytes())?;
    }
    out.write_all(b"\r\n")
}

fn field(value: &str) -> String {
    let mut text = printable(value).into_owned();
    // Some programs pass over blanks ahead of a formula.
    if value.starts_with(FORMULA) || value.trim_start().starts_with(FORMULA) {
        text.insert(0, '\'');
    }
    if text.contains(['"', ',', '\r', '\n']) {
        text = format!("\"{}\"", text.replace('"', "\"\""));
    }
    text
}

fn values(event: &EventRecord) -> [String; KEYS.len()] {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    [
        number(event.seq),
        event.time.clone(),
        event.kind.to_string(),
        event.alert.to_string(),
        text(&event.canary),
        text(&event.channel),
        text(&event.label),
        event.matched.as_deref().unwrap_or_default().into(),
        event.origin.as_deref().unwrap_or_default().into(),
        number(event.client),
        number(event.src),
        number(event.src_port),
        number(event.dst),
        number(event.dst_port),
        number(event.vlan),
        event.scheme.as_deref().unwrap_or_default().into(),
        text(&event.method),
        text(&event.host),
        text(&event.target),
        event.version.as_deref().unwrap_or_default().into(),
        number(event.status),
        text(&event.user_agent),
        text(&event.referer),
        text(&event.forwarded_for),
        text(&event.sni),
        text(&event.alpn),
        text(&event.ja4),
        event.flags.join(" "),
        event.alterations.join(" "),
        number(event.count),
        text(&event.first),
        text(&event.last),
        number(event.open),
        text(&event.fault),
        text(&event.state),
        text(&event.text),
        text(&event.since),
        number(event.times),
        text(&event.boot),
        number(event.uptime_micros),
        number(event.first_uptime_micros),
        number(event.since_uptime_micros),
        number(event.synchronised),
        text(&event.clock_said),
        text(&event.tap),
    ]
}

fn number(value: Option<impl ToString>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

/// What begins a formula in a spreadsheet, full-width forms included.
const FORMULA: [char; 10] = [
    '=', '+', '-', '@', '\t', '\r', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}',
];

const KEYS: [&str; 45] = [
    "seq",
    "time",
    "kind",
    "alert",
    "canary",
    "channel",
    "label",
    "match",
    "origin",
    "client",
    "src",
    "src_port",
    "dst",
    "dst_port",
    "vlan",
    "scheme",
    "method",
    "host",
    "target",
    "version",
    "status",
    "user_agent",
    "referer",
    "forwarded_for",
    "sni",
    "alpn",
    "ja4",
    "flags",
    "alterations",
    "count",
    "first",
    "last",
    "open",
    "fault",
    "state",
    "text",
    "since",
    "times",
    "boot",
    "uptime_micros",
    "first_uptime_micros",
    "since_uptime_micros",
    "synchronised",
    "clock_said",
    "tap",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_with_a_comma_or_a_quotation_mark_is_quoted() {
        assert_eq!(field("a,b"), "\"a,b\"");
        assert_eq!(field("say \"hi\""), "\"say \"\"hi\"\"\"");
        assert_eq!(field("plain"), "plain");
    }

    #[test]
    fn a_field_that_would_be_a_formula_is_made_text() {
        assert_eq!(field("=1+1"), "'=1+1");
        assert_eq!(field("@SUM(A1,A2)"), "\"'@SUM(A1,A2)\"");
        assert_eq!(field("\t=1"), "'\\u{9}=1");
        assert_eq!(field("-1"), "'-1");
    }
}
