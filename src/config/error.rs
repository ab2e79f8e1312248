//! What is wrong with a configuration: where, what stands there, what the rule is.

use std::fmt;
use std::path::PathBuf;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// Line in the file, from 1; None when it is about something that is not there.
    pub line: Option<usize>,
    /// The key, with its table: `capture.ports`. Empty when the file could not be understood.
    pub key: String,
    /// What stands there, as written.
    pub value: Option<String>,
    /// The rule that it breaks, and how to mend it.
    pub rule: String,
}

/// Everything that is wrong, in the order of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors {
    /// The file.
    pub path: PathBuf,
    /// At least one.
    pub errors: Vec<ConfigError>,
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, error) in self.errors.iter().enumerate() {
            if at > 0 {
                writeln!(f)?;
            }
            write!(f, "{}", self.path.display())?;
            if let Some(line) = error.line {
                write!(f, ":{line}")?;
            }
            write!(f, ": ")?;
            match (error.key.as_str(), &error.value) {
                ("", None) => {}
                ("", Some(value)) => write!(f, "{}: ", Shown(value))?,
                (key, None) => write!(f, "{}: ", Shown(key))?,
                (key, Some(value)) => write!(f, "{} = {}: ", Shown(key), Shown(value))?,
            }
            write!(f, "{}", Shown(&error.rule))?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

/// Text of a file, for a terminal: control characters do nothing there.
struct Shown<'a>(&'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character.is_control() {
                true => write!(f, "{}", character.escape_default())?,
                false => write!(f, "{character}")?,
            }
        }
        Ok(())
    }
}
