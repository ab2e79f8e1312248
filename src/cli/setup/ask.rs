//! Questions on standard error, answers from a terminal. Where there is none, or `--yes` was said,
//! what was suggested is taken, and what has no suggestion must be told by its flag.

use std::fmt::Display;
use std::io::{self, BufRead as _, IsTerminal as _, Write as _, stderr, stdin};

use crate::cli::{Failure, tell};

/// Who is asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asker {
    /// Whether somebody is there to answer.
    pub(super) present: bool,
}

impl Asker {
    /// Somebody at a terminal, unless `--yes` speaks for him.
    pub(super) fn new(yes: bool) -> Self {
        Self {
            present: !yes && stdin().is_terminal(),
        }
    }

    /// Asks until `understand` takes the answer; an empty one is the suggestion.
    ///
    /// # Errors
    /// When nobody is there to answer and nothing was suggested, or he left.
    pub(super) fn ask<T, E: Display>(
        self,
        question: &str,
        suggested: Option<&str>,
        flag: &str,
        understand: impl Fn(&str) -> Result<T, E>,
    ) -> Result<T, Failure> {
        loop {
            let answer = self.answer(question, suggested, flag)?;
            match understand(&answer) {
                Ok(understood) => return Ok(understood),
                Err(error) if self.present => tell(&format!("{answer}: {error}")),
                Err(error) => return Err(Failure::Usage(format!("{flag} {answer}: {error}"))),
            }
        }
    }

    /// Yes or no; what was suggested where nobody answers.
    ///
    /// # Errors
    /// When he left.
    pub(super) fn agrees(self, question: &str, suggested: bool) -> Result<bool, Failure> {
        let words = if suggested { "yes" } else { "no" };
        self.ask(question, Some(words), "--yes", |answer| {
            match answer.to_ascii_lowercase().as_str() {
                "y" | "yes" => Ok(true),
                "n" | "no" => Ok(false),
                _ => Err("yes or no"),
            }
        })
    }

    fn answer(
        self,
        question: &str,
        suggested: Option<&str>,
        flag: &str,
    ) -> Result<String, Failure> {
        if !self.present {
            return suggested.map(str::to_owned).ok_or_else(|| {
                Failure::Usage(format!(
                    "{flag} is missing, and nobody is there to be asked"
                ))
            });
        }
        let hint = suggested.map_or_else(String::new, |text| format!(" [{text}]"));
        write!(stderr(), "{question}{hint}: ")?;
        let mut line = String::new();
        if stdin().lock().read_line(&mut line).map_err(left)? == 0 {
            return Err(Failure::Bad("nothing was written".into()));
        }
        let line = line.trim();
        Ok(match suggested {
            Some(suggested) if line.is_empty() => suggested.to_owned(),
            _ => line.to_owned(),
        })
    }
}

fn left(error: io::Error) -> Failure {
    Failure::Bad(format!("no answer can be read: {error}"))
}
