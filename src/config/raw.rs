//! What the user wrote: tables whose every value knows its line, read key by key so that all
//! errors are found at once.

use std::collections::BTreeSet;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::config::error::{ConfigError, ConfigErrors};

/// A file being read, and what was found wrong in it.
pub(super) struct Document<'a> {
    text: &'a str,
    errors: Vec<ConfigError>,
}

/// A table of the file.
pub(super) struct Section<'a> {
    /// Its name, as errors print it; empty at the top.
    name: String,
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
        }
    }

    fn line(&self, offset: usize) -> usize {
        let before = self.text.get(..offset).unwrap_or(self.text);
        before.bytes().filter(|byte| *byte == b'\n').count() + 1
    }

    /// Notes an error about a value.
    pub(super) fn wrong(&mut self, key: &str, entry: Entry<'_>, rule: impl Into<String>) {
        let span = entry.value.span();
        let line = self.line(span.start);
        let value = self.text.get(span).map(str::to_owned);
        self.errors.push(ConfigError {
            line: Some(line),
            key: key.to_owned(),
            value,
            rule: rule.into(),
        });
    }

    /// Notes an error about something that is not there.
    pub(super) fn missing(&mut self, key: &str, line: Option<usize>, rule: impl Into<String>) {
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
}

impl<'a> Section<'a> {
    pub(super) fn new(name: impl Into<String>, table: &'a DeTable<'a>) -> Self {
        Self {
            name: name.into(),
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
            DeValue::Table(table) => Some(Section::new(self.path(key), table)),
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

    /// The tables of a list of tables, each with the line that it begins on.
    pub(super) fn sections(
        &mut self,
        key: &'static str,
        doc: &mut Document<'_>,
    ) -> Vec<(Section<'a>, usize)> {
        let path = self.path(key);
        let Some(entries) = self.list_of_tables(key, doc) else {
            return Vec::new();
        };
        let mut sections = Vec::new();
        for entry in entries {
            match entry.value.get_ref() {
                DeValue::Table(table) => {
                    sections.push((Section::new(path.clone(), table), doc.line_of(entry)));
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
            let rule = match nearest(name, &self.known) {
                Some(near) => format!("unknown key; did you mean {near}?"),
                None => format!("unknown key; known here: {}", joined(&self.known)),
            };
            let line = doc.line(key.span().start);
            let entry = Entry { value };
            let shown = match entry.value.get_ref() {
                DeValue::Table(_) => None,
                _ => doc.text.get(entry.value.span()).map(str::to_owned),
            };
            doc.errors.push(ConfigError {
                line: Some(line),
                key: self.path(name),
                value: shown,
                rule,
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

fn joined(known: &BTreeSet<&'static str>) -> String {
    known.iter().copied().collect::<Vec<_>>().join(", ")
}

/// A known key that is at most two letters away.
fn nearest(name: &str, known: &BTreeSet<&'static str>) -> Option<&'static str> {
    known
        .iter()
        .map(|key| (edits(name, key), *key))
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
        let known = BTreeSet::from(["interface", "ports", "buffer"]);
        assert_eq!(nearest("interfaces", &known), Some("interface"));
        assert_eq!(nearest("port", &known), Some("ports"));
        assert_eq!(nearest("colour", &known), None);
    }
}
