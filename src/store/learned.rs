//! What was learned of a visit after it was written, as it is read back.

use std::borrow::Cow;

use serde::Deserialize;

use crate::store::{EventRecord, Evidence};

/// What a detail says: a status, the request of a visit that was told by its hello, where its
/// packets are.
#[derive(Deserialize)]
pub(super) struct Learned {
    status: Option<u16>,
    #[serde(rename = "match")]
    matched: Option<Cow<'static, str>>,
    method: Option<String>,
    host: Option<String>,
    target: Option<String>,
    version: Option<Cow<'static, str>>,
    user_agent: Option<String>,
    referer: Option<String>,
    forwarded_for: Option<String>,
    alpn: Option<String>,
    #[serde(default)]
    flags: Vec<Cow<'static, str>>,
    #[serde(default)]
    alterations: Vec<Cow<'static, str>>,
    evidence: Option<Evidence>,
}

impl Learned {
    /// Puts it into the event that it is about.
    pub(super) fn join(self, record: &mut EventRecord) {
        put(&mut record.status, self.status);
        put(&mut record.matched, self.matched);
        put(&mut record.method, self.method);
        put(&mut record.host, self.host);
        put(&mut record.target, self.target);
        put(&mut record.version, self.version);
        put(&mut record.user_agent, self.user_agent);
        put(&mut record.referer, self.referer);
        put(&mut record.forwarded_for, self.forwarded_for);
        put(&mut record.alpn, self.alpn);
        put(&mut record.evidence, self.evidence);
        for flag in self.flags {
            if !record.flags.contains(&flag) {
                record.flags.push(flag);
            }
        }
        if !self.alterations.is_empty() {
            record.alterations = self.alterations;
        }
    }
}

fn put<T>(into: &mut Option<T>, learned: Option<T>) {
    if learned.is_some() {
        *into = learned;
    }
}
