//! `[[host]]` and `[[canary]]`

use std::collections::HashMap;

use crate::config::parse::values::{addresses, words};
use crate::config::raw::{Document, Entry, Section};
use crate::config::{CanaryConfig, HostConfig};
use crate::engine::canary::{HostPattern, NormalizedUrl};

pub(super) fn hosts(top: &mut Section<'_>, doc: &mut Document<'_>) -> Vec<HostConfig> {
    let mut lines = HashMap::new();
    let sections = top.sections("host", doc);
    sections
        .into_iter()
        .filter_map(|section| host(section, &mut lines, doc))
        .collect()
}

fn host(
    mut section: Section<'_>,
    lines: &mut HashMap<HostPattern, usize>,
    doc: &mut Document<'_>,
) -> Option<HostConfig> {
    let name = section.required_string("name", "every [[host]] needs a name", doc);
    let addresses = addresses(&mut section, "addresses", doc);
    section.refuse_unknown(doc);
    let (name, entry) = name?;
    let pattern = match HostPattern::parse(name) {
        Ok(pattern) => pattern,
        Err(error) => {
            let rule = format!(
                "{error}; such as \"www.example.org\", or \"*.example.org\" for all names below it"
            );
            doc.wrong("host.name", entry, rule);
            return None;
        }
    };
    let line = doc.line_of(entry);
    if let Some(first) = lines.insert(pattern.clone(), line) {
        let rule = format!("is watched already, by line {first}: leave one of the two");
        doc.wrong("host.name", entry, rule);
    }
    Some(HostConfig { pattern, addresses })
}

pub(super) fn canaries(
    top: &mut Section<'_>,
    hosts: &[HostConfig],
    doc: &mut Document<'_>,
) -> Vec<CanaryConfig> {
    let mut reader = CanaryReader {
        hosts,
        urls: HashMap::new(),
        ids: HashMap::new(),
    };
    let sections = top.sections("canary", doc);
    sections
        .into_iter()
        .filter_map(|section| reader.read(section, doc))
        .collect()
}

/// What a canary is held against.
struct CanaryReader<'a> {
    hosts: &'a [HostConfig],
    /// Lines of the canaries before it.
    urls: HashMap<NormalizedUrl, usize>,
    ids: HashMap<String, usize>,
}

impl CanaryReader<'_> {
    fn read(&mut self, mut section: Section<'_>, doc: &mut Document<'_>) -> Option<CanaryConfig> {
        let url = section.required_string("url", "must be the URL that was given away", doc);
        section.require(
            "channel",
            "must name the channel that the URL was given to",
            doc,
        );
        let channel = words(&mut section, "channel", doc);
        let label = words(&mut section, "label", doc);
        let id = self.id(&mut section, doc);
        section.refuse_unknown(doc);
        let (url, entry) = url?;
        self.check_url(url, entry, doc);
        Some(CanaryConfig {
            url: url.to_owned(),
            channel: channel?,
            label,
            id,
        })
    }

    fn check_url(&mut self, url: &str, entry: Entry<'_>, doc: &mut Document<'_>) {
        let url = match NormalizedUrl::parse(url) {
            Ok(url) => url,
            Err(error) => return doc.wrong("canary.url", entry, error.to_string()),
        };
        if !self.hosts.iter().any(|host| host.pattern.covers(&url.host)) {
            let rule = format!(
                "its host is not watched; add [[host]] with name = \"{}\"",
                url.host
            );
            doc.wrong("canary.url", entry, rule);
        }
        if let Some(first) = self.urls.insert(url, doc.line_of(entry)) {
            let rule = format!(
                "is a canary already, by line {first}: a URL that two channels know cannot tell \
                 them apart"
            );
            doc.wrong("canary.url", entry, rule);
        }
    }

    fn id(&mut self, section: &mut Section<'_>, doc: &mut Document<'_>) -> Option<String> {
        let (id, entry) = section.string("id", doc)?;
        let letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        if !(1..=32).contains(&id.len()) || !id.bytes().all(letter) {
            let rule =
                "must be 1 to 32 lower-case letters and digits; left out, it is made of the URL";
            doc.wrong("canary.id", entry, rule);
            return None;
        }
        if let Some(first) = self.ids.insert(id.to_owned(), doc.line_of(entry)) {
            let rule = format!("is the id of another canary, on line {first}");
            doc.wrong("canary.id", entry, rule);
        }
        Some(id.to_owned())
    }
}
