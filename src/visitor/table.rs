//! The table of known fetchers: the one that comes with the program, and the user's own rows.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use serde::Deserialize;
use toml::Spanned;

use crate::experiment::Delay;

/// One known fetcher. What is empty or none is not known of it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// What it is called.
    pub name: String,
    /// What sort of fetcher it is.
    pub kind: String,
    /// Any of these stands in its User-Agent field.
    #[serde(default)]
    pub user_agents: Vec<String>,
    /// It sends no User-Agent field.
    #[serde(default)]
    pub no_user_agent: bool,
    /// Networks that it comes from.
    #[serde(default)]
    pub networks: Vec<IpNet>,
    /// Numbers of the autonomous systems that it comes from.
    #[serde(default)]
    pub systems: Vec<u32>,
    /// Methods that it asks by.
    #[serde(default)]
    pub methods: Vec<String>,
    /// How long after sending it comes.
    #[serde(default)]
    pub delays: Vec<Delay>,
    /// What it does to the link.
    #[serde(default)]
    pub alterations: Vec<String>,
    /// How often it reads in quick succession.
    #[serde(default)]
    pub reads: Option<u64>,
    /// What else is known.
    #[serde(default)]
    pub note: Option<String>,
    /// What other sources say against it.
    #[serde(default)]
    pub disputed: Option<String>,
    /// Who says so.
    pub source: String,
    /// When that was.
    pub date: String,
}

/// All rows: the program's own first, then the user's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    rows: Vec<Row>,
}

/// A row, or a whole file, that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowError {
    /// The file.
    pub path: PathBuf,
    /// The line that the row begins on, from 1.
    pub line: Option<usize>,
    /// What is wrong.
    pub reason: String,
}

impl fmt::Display for RowError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.path.display())?;
        if let Some(line) = self.line {
            write!(formatter, ", line {line}")?;
        }
        write!(formatter, ": {}", self.reason)
    }
}

impl Table {
    /// The rows that come with the program.
    pub fn own() -> Self {
        let (rows, _none) = read(OWN, Path::new("visitors.toml"));
        Self { rows }
    }

    /// Adds the rows of a file. A row that cannot be used is left out and told; the others stay.
    pub fn add_file(&mut self, path: &Path) -> Vec<RowError> {
        match fs::read_to_string(path) {
            Ok(text) => self.add_text(&text, path),
            Err(error) => vec![RowError {
                path: path.to_owned(),
                line: None,
                reason: format!("cannot be read: {error}"),
            }],
        }
    }

    fn add_text(&mut self, text: &str, path: &Path) -> Vec<RowError> {
        let (rows, errors) = read(text, path);
        self.rows.extend(rows);
        errors
    }

    /// The rows.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }
}

/// A file as a whole: each row by itself, so that a broken one breaks no other.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    visitor: Vec<Spanned<toml::Table>>,
}

fn read(text: &str, path: &Path) -> (Vec<Row>, Vec<RowError>) {
    let error = |offset: Option<usize>, reason: String| RowError {
        path: path.to_owned(),
        line: offset.map(|offset| line_of(text, offset)),
        reason,
    };
    let file: File = match toml::from_str(text) {
        Ok(file) => file,
        Err(wrong) => {
            let reason = format!("no row of it is used: {}", wrong.message().trim());
            return (
                Vec::new(),
                vec![error(wrong.span().map(|span| span.start), reason)],
            );
        }
    };
    let mut errors = Vec::new();
    let mut rows = Vec::new();
    for row in file.visitor {
        let begin = row.span().start;
        match row.into_inner().try_into::<Row>() {
            Ok(row) if row.says_nothing() => errors.push(error(
                Some(begin),
                format!(
                    "the row {} names nothing that a visit could fit: give it user_agents, \
                     networks, systems, alterations or reads",
                    row.name
                ),
            )),
            Ok(row) => rows.push(row),
            Err(wrong) => errors.push(error(
                Some(begin),
                format!("this row is left out: {}", wrong.message().trim()),
            )),
        }
    }
    (rows, errors)
}

impl Row {
    fn says_nothing(&self) -> bool {
        self.user_agents.is_empty()
            && !self.no_user_agent
            && self.networks.is_empty()
            && self.systems.is_empty()
            && self.alterations.is_empty()
            && self.reads.is_none()
    }
}

fn line_of(text: &str, offset: usize) -> usize {
    let before = text.get(..offset).unwrap_or(text);
    before.bytes().filter(|byte| *byte == b'\n').count() + 1
}

const OWN: &str = include_str!("../../config/visitors.toml");

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> (Vec<String>, Vec<String>) {
        let mut table = Table::default();
        let errors = table.add_text(text, Path::new("/etc/v.toml"));
        (
            table.rows().iter().map(|row| row.name.clone()).collect(),
            errors.iter().map(ToString::to_string).collect(),
        )
    }

    #[test]
    fn every_row_that_comes_with_the_program_can_be_used() {
        let (rows, errors) = read(OWN, Path::new("visitors.toml"));
        assert_eq!(errors, []);
        assert!(rows.len() >= 30, "{}", rows.len());
        assert_eq!(Table::own().rows(), rows);
        const KINDS: [&str; 6] = [
            "preview", "gateway", "scanner", "crawler", "proxy", "browser",
        ];
        for row in rows {
            assert!(
                KINDS.contains(&row.kind.as_str()),
                "{}: {}",
                row.name,
                row.kind
            );
            assert!(
                !row.source.is_empty() && !row.date.is_empty(),
                "{}",
                row.name
            );
        }
    }

    #[test]
    fn a_broken_row_is_told_with_its_line_and_breaks_no_other() {
        let (rows, errors) = read_text(
            "[[visitor]]\nname = \"a\"\nkind = \"preview\"\nuser_agents = [\"A/\"]\nsource = \"me\"\ndate = \"2026\"\n\
             [[visitor]]\nname = \"b\"\nkind = \"preview\"\nnetworks = [\"10.0.0.0/99\"]\nsource = \"me\"\ndate = \"2026\"\n\
             [[visitor]]\nname = \"c\"\nkind = \"preview\"\nuser_agent = \"C\"\nsource = \"me\"\ndate = \"2026\"\n\
             [[visitor]]\nname = \"d\"\nkind = \"preview\"\nsource = \"me\"\ndate = \"2026\"\n",
        );
        assert_eq!(rows, ["a"]);
        assert_eq!(errors.len(), 3, "{errors:?}");
        assert!(
            errors[0].starts_with("/etc/v.toml, line 7: this row is left out"),
            "{errors:?}"
        );
        assert!(
            errors[1].contains("line 13") && errors[1].contains("user_agent"),
            "{errors:?}"
        );
        assert!(errors[2].contains("the row d names nothing"), "{errors:?}");
    }

    #[test]
    fn a_file_that_is_no_toml_is_told_with_its_line() {
        let (rows, errors) = read_text("[[visitor]]\nname = \n");
        assert!(rows.is_empty());
        assert!(
            errors[0].starts_with("/etc/v.toml, line 2: no row of it is used"),
            "{errors:?}"
        );
    }

    #[test]
    fn a_file_that_cannot_be_read_is_told() {
        let errors = Table::default().add_file(Path::new("/nowhere/visitors.toml"));
        assert!(
            errors[0]
                .to_string()
                .contains("/nowhere/visitors.toml: cannot be read")
        );
    }
}
