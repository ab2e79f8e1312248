//! What the user wrote: tables whose every value knows its line, read key by key so that all
//! errors are found at once.

use std::collections::BTreeSet;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::config::Place;
use crate::config::error::{ConfigError, ConfigErrors};

/// A file being read, and what was found wrong in it.
pub(super) struct Document<'a> {
    text: &'a str,
    errors: Vec<ConfigError>,
    /// Whether the file is TOML at all: when it is not, what seems to be missing may be there.
    whole: bool,
}

/// A table of the file.
pub(super) struct Section<'a> {
    /// Its name, as errors print it; empty at the top.
    name: String,
    /// The line that it begins on.
    pub(super) line: usize,
    table: &'a DeTable<'a>,
    known: BTreeSet<&'static str>,
}

/// A value with its key and place.
#[derive(Clone, Copy)]
pub(super) struct Entry<'a> {
    pub(super) value: &'a Spanned<DeValue<'a>>,
}

impl<'a> Document<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self {
            text,
            errors: Vec::new(),
            whole: true,
        }
    }

    fn line(&self, offset: usize) -> usize {
        let before = self.text.get(..offset).unwrap_or(self.text);
        before.bytes().filter(|byte| *byte == b'\n').count() + 1
    }

    /// Notes an error about a value.
    pub(super) fn wrong(&mut self, key: &str, entry: Entry<'_>, rule: impl Into<String>) {
        self.errors.push(ConfigError {
            line: Some(self.line_of(entry)),
            key: key.to_owned(),
            value: self.shown(entry),
            rule: rule.into(),
        });
    }

    /// Notes what makes the file no TOML.
    pub(super) fn syntax(&mut self, error: &toml::de::Error) {
        self.whole = false;
        let place = error.span().map(|span| span.start);
        let line = place.map(|offset| self.line(offset));
        let written = line.and_then(|line| self.text.lines().nth(line - 1));
        self.errors.push(ConfigError {
            line,
            key: String::new(),
            value: written.map(|line| shortened(line.trim())),
            rule: format!("this is no TOML: {}", error.message().trim()),
        });
    }

    /// A value as it is written, on one line.
    fn shown(&self, entry: Entry<'_>) -> Option<String> {
        self.text.get(entry.value.span()).map(shortened)
    }

    /// Notes an error about something that is not there.
    pub(super) fn missing(&mut self, key: &str, line: Option<usize>, rule: impl Into<String>) {
        if !self.whole {
            return;
        }
        self.errors.push(ConfigError {
            line,
            key: key.to_owned(),
            value: None,
            rule: rule.into(),
        });
    }

    /// All errors, in the order of the file.
    pub(super) fn finish<T>(mut self, path: &Path, value: T) -> Result<T, ConfigErrors> {
        if self.errors.is_empty() {
            return Ok(value);
        }
        self.errors.sort_by_key(|error| error.line);
        Err(ConfigErrors {
            path: path.to_owned(),
            errors: self.errors,
        })
    }

    /// The line that an entry stands on.
    pub(super) fn line_of(&self, entry: Entry<'_>) -> usize {
        self.line(entry.value.span().start)
    }

    /// The same, to be kept.
    pub(super) fn place_of(&self, entry: Entry<'_>) -> Place {
        Place {
            line: Some(self.line_of(entry)),
        }
    }
}

impl<'a> Section<'a> {
    /// The file itself.
    pub(super) fn top(table: &'a DeTable<'a>) -> Self {
        Self::new(String::new(), table, 1)
    }

    fn new(name: String, table: &'a DeTable<'a>, line: usize) -> Self {
        Self {
            name,
            line,
            table,
            known: BTreeSet::new(),
        }
    }

    /// A key with its table.
    pub(super) fn path(&self, key: &str) -> String {
        if self.name.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.name)
        }
    }

    pub(super) fn take(&mut self, key: &'static str) -> Option<Entry<'a>> {
        self.known.insert(key);
        self.table.get(key).map(|value| Entry { value })
    }

    pub(super) fn string(
        &mut self,
        key: &'static str,
        doc: &mut Document<'_>,
    ) -> Option<(&'a str, Entry<'a>)> {
        let entry = self.take(key)?;
        match entry.value.get_ref() {
            DeValue::String(text) => Some((text, entry)),
            _ => {
                doc.wrong(&self.path(key), entry, "must be text in quotes");
                None
            }
        }
    }

    /// Notes an error when `key` is not there.
    pub(super) fn require(&self, key: &str, rule: &str, doc: &mut Document<'_>) {
        if !self.table.contains_key(key) {
            doc.missing(&self.path(key), Some(self.line), rule);
        }
    }

    /// A text that has to be there.
    pub(super) fn required_string(
        &mut self,
        key: &'static str,
        rule: &str,
        doc: &mut Document<'_>,
    ) -> Option<(&'a str, Entry<'a>)> {
        self.require(key, rule, doc);
        self.string(key, doc)
    }

    pub(super) fn boolean(&mut self, key: &'static str, doc: &mut Document<'_>) -> Option<bool> {
        let entry = self.take(key)?;
        match entry.value.get_ref() {
            DeValue::Boolean(value) => Some(*value),
            _ => {
                doc.wrong(&self.path(key), entry, "must be true or false");
                None
            }
        }
    }

    /// A whole number within a range.
    pub(super) fn integer(
        &mut self,
        key: &'static str,
        range: std::ops::RangeInclusive<i64>,
        doc: &mut Document<'_>,
    ) -> Option<(i64, Entry<'a>)> {
        let entry = self.take(key)?;
        match integer(entry).filter(|number| range.contains(number)) {
            Some(number) => Some((number, entry)),
            None => {
                let rule = format!(
                    "must be a whole number from {} to {}",
                    range.start(),
                    range.end()
                );
                doc.wrong(&self.path(key), entry, rule);
                None
            }
        }
    }

    /// Every element of a list.
    pub(super) fn list(
        &mut self,
        key: &'static str,
        doc: &mut Document<'_>,
    ) -> Option<Vec<Entry<'a>>> {
        let entry = self.take(key)?;
        match entry.value.get_ref() {
            DeValue::Array(array) => Some(array.iter().map(|value| Entry { value }).collect()),
            _ => {
                doc.wrong(&self.path(key), entry, "must be a list: [ … ]");
                None
            }
        }
    }

    /// The texts of a list.
    pub(super) fn texts(
        &mut self,
        key: &'static str,
        doc: &mut Document<'_>,
    ) -> Option<Vec<(&'a str, Entry<'a>)>> {
        let path = self.path(key);
        let mut texts = Vec::new();
        for entry in self.list(key, doc)? {
            match entry.value.get_ref() {
                DeValue::String(text) => texts.push((&**text, entry)),
                _ => doc.wrong(&path, entry, "must be text in quotes"),
            }
        }
        Some(texts)
    }

    /// A table inside this one.
    pub(super) fn section(
        &mut self,
        key: &'static str,
        doc: &mut Document<'_>,
    ) -> Option<Section<'a>> {
        let entry = self.take(key)?;
        match entry.value.get_ref() {
            DeValue::Table(table) => Some(Section::new(self.path(key), table, doc.line_of(entry))),
            _ => {
                doc.wrong(
                    &self.path(key),
                    entry,
                    format!("must be a table: [{}]", self.path(key)),
                );
                None
            }
        }
    }

    /// The tables of a list of tables.
    pub(super) fn sections(
        &mut self,
        key: &'static str,
        doc: &mut Document<'_>,
    ) -> Vec<Section<'a>> {
        let path = self.path(key);
        let Some(entries) = self.list_of_tables(key, doc) else {
            return Vec::new();
        };
        let mut sections = Vec::new();
        for entry in entries {
            match entry.value.get_ref() {
                DeValue::Table(table) => {
                    sections.push(Section::new(path.clone(), table, doc.line_of(entry)));
                }
                _ => doc.wrong(&path, entry, format!("must be a table: [[{path}]]")),
            }
        }
        sections
    }

    fn list_of_tables(
        &mut self,
        key: &'static str,
        doc: &mut Document<'_>,
    ) -> Option<Vec<Entry<'a>>> {
        let path = self.path(key);
        let entry = self.take(key)?;
        match entry.value.get_ref() {
            DeValue::Array(array) => Some(array.iter().map(|value| Entry { value }).collect()),
            _ => {
                doc.wrong(&path, entry, format!("must be written [[{path}]]"));
                None
            }
        }
    }

    /// Whatever was not asked for has no meaning.
    pub(super) fn refuse_unknown(self, doc: &mut Document<'_>) {
        for (key, value) in self.table {
            let name: &str = key.get_ref();
            if self.known.contains(name) {
                continue;
            }
            let entry = Entry { value };
            let shown = match entry.value.get_ref() {
                DeValue::Table(_) | DeValue::Array(_) => None,
                _ => doc.shown(entry),
            };
            doc.errors.push(ConfigError {
                line: Some(doc.line(key.span().start)),
                key: self.path(name),
                value: shown,
                rule: unknown(name, &self.known),
            });
        }
    }
}

pub(super) fn integer(entry: Entry<'_>) -> Option<i64> {
    match entry.value.get_ref() {
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix()).ok(),
        _ => None,
    }
}

fn unknown(name: &str, known: &BTreeSet<&'static str>) -> String {
    if let Some(near) = nearest(name, known.iter().copied()) {
        return format!("unknown key; did you mean {near}?");
    }
    let known: Vec<&str> = known.iter().copied().collect();
    format!("unknown key; known here: {}", known.join(", "))
}

/// Text of the file for a message: one line of it, and not too much.
fn shortened(text: &str) -> String {
    const CHARACTERS_MAX: usize = 80;
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut short: String = line.chars().take(CHARACTERS_MAX).collect();
    if short.len() < line.len() {
        short.push('…');
    }
    short
}

/// The known name that is at most two letters away.
pub(super) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    known
        .map(|key| (edits(name, key), key))
        .filter(|(distance, _)| *distance <= 2)
        .min()
        .map(|(_, key)| key)
}

/// Levenshtein distance.
fn edits(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.chars().count()).collect();
    for (at, left) in one.chars().enumerate() {
        let mut diagonal = at;
        let mut previous = at + 1;
        if let Some(first) = row.first_mut() {
            *first = previous;
        }
        for (cell, right) in row.iter_mut().skip(1).zip(other.chars()) {
            let changed = diagonal + usize::from(left != right);
            diagonal = *cell;
            previous = changed.min(previous + 1).min(*cell + 1);
            *cell = previous;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_key_is_the_one_meant() {
        let nearest = |name| nearest(name, ["interface", "ports", "buffer"].into_iter());
        assert_eq!(nearest("interfaces"), Some("interface"));
        assert_eq!(nearest("port"), Some("ports"));
        assert_eq!(nearest("colour"), None);
    }
}
