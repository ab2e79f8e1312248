//! Tokens: strings of letters and digits that stand in one canary's URL and nowhere else.

use std::collections::HashMap;

use crate::canary::mint::ID_CHARACTERS;
use crate::canary::url::NormalizedUrl;
use crate::limits::TOKEN_WINDOWS_MAX;

/// Characters of a token that is found even where it is glued to other letters and digits: as
/// many as minted ones have.
pub const TOKEN_LENGTH: usize = ID_CHARACTERS;

/// Which canary a token belongs to. Canaries are numbered in their order.
#[derive(Debug, Default)]
pub(super) struct TokenIndex {
    canaries: HashMap<Box<str>, u32>,
    /// Whether a token of [`TOKEN_LENGTH`] is among them.
    glued: bool,
}

impl TokenIndex {
    /// Adds a token. The first canary that has it keeps it.
    pub(super) fn insert(&mut self, token: &str, canary: u32) {
        let token = token.to_ascii_lowercase();
        let is_token = |byte: u8| byte.is_ascii_alphanumeric();
        if token.is_empty() || !token.bytes().all(is_token) {
            return; // it could never be found
        }
        self.glued |= token.len() == TOKEN_LENGTH;
        self.canaries
            .entry(token.into_boxed_str())
            .or_insert(canary);
    }

    /// The first canary, in their order, whose token stands in `text` (lower case).
    pub(super) fn find(&self, text: &str) -> Option<u32> {
        if self.canaries.is_empty() {
            return None;
        }
        let mut windows = TOKEN_WINDOWS_MAX;
        runs(text)
            .filter_map(|run| self.find_in_run(run, &mut windows))
            .min()
    }

    /// A run of letters and digits is a token, or a token of the usual length stands within.
    fn find_in_run(&self, run: &str, windows: &mut usize) -> Option<u32> {
        let whole = self.canaries.get(run).copied();
        if !self.glued || run.len() <= TOKEN_LENGTH {
            return whole;
        }
        let last = (run.len() - TOKEN_LENGTH).min(*windows);
        *windows -= last;
        (0..=last)
            .filter_map(|start| run.get(start..start + TOKEN_LENGTH))
            .filter_map(|window| self.canaries.get(window).copied())
            .chain(whole)
            .min()
    }
}

/// The longest stretches of letters and digits. ASCII only, as in everything normalised.
fn runs(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|run| !run.is_empty())
}

/// A string that makes a URL of the user's own unique, if it has one: a run of at least
/// [`TOKEN_LENGTH`] letters and digits in path or query that looks drawn at random, because
/// letters and digits take turns in it. Words, dates and numbers do not, so that a page whose
/// address merely resembles the canary's is no visit to it.
pub fn unique_token(url: &NormalizedUrl) -> Option<String> {
    let query = url.query.as_deref().unwrap_or_default();
    runs_outside_encoding(&url.path)
        .chain(runs_outside_encoding(query))
        .filter(|run| run.len() >= TOKEN_LENGTH && turns(run) >= TURNS_MIN)
        .max_by_key(|run| turns(run))
        .map(str::to_owned)
}

/// `%c3` is no part of a word.
fn runs_outside_encoding(component: &str) -> impl Iterator<Item = &str> {
    component.split('%').enumerate().flat_map(|(place, part)| {
        let after = if place == 0 {
            part
        } else {
            part.get(2..).unwrap_or_default()
        };
        runs(after)
    })
}

/// Whether a label of a host name looks drawn at random: shorter than a token, for it is a label
/// on purpose.
pub(super) fn is_drawn_at_random(label: &str) -> bool {
    label.len() >= LABEL_LENGTH && turns(label) >= TURNS_MIN
}

/// How often a letter follows a digit or a digit a letter.
fn turns(run: &str) -> usize {
    let digits = || run.bytes().map(|byte| byte.is_ascii_digit());
    digits()
        .zip(digits().skip(1))
        .filter(|(a, b)| a != b)
        .count()
}

/// `screenshot20130430at1728` has three; 13 random letters and digits have five on average.
const TURNS_MIN: usize = 4;
/// `k7f3q2m9` is a label of its own.
const LABEL_LENGTH: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn index(tokens: &[&str]) -> TokenIndex {
        let mut index = TokenIndex::default();
        for (number, token) in (0..).zip(tokens) {
            index.insert(token, number);
        }
        index
    }

    fn unique(url: &str) -> Option<String> {
        unique_token(&NormalizedUrl::parse(url).unwrap())
    }

    #[test]
    fn a_token_is_found_between_any_marks() {
        let index = index(&["k7f3q2m9x4b8w"]);
        for text in [
            "k7f3q2m9x4b8w",
            "/a/k7f3q2m9x4b8w/b",
            "k7f3q2m9x4b8w.example.org",
            "u=1&t=k7f3q2m9x4b8w&v",
            "%3ak7f3q2m9x4b8w",
        ] {
            assert_eq!(index.find(text), Some(0), "{text}");
        }
    }

    #[test]
    fn a_token_is_found_glued_to_other_letters() {
        let index = index(&["k7f3q2m9x4b8w"]);
        assert_eq!(index.find("/xk7f3q2m9x4b8w"), Some(0));
        assert_eq!(index.find("/k7f3q2m9x4b8wy"), Some(0));
        assert_eq!(index.find("/xyzk7f3q2m9x4b8wxyz"), Some(0));
    }

    #[test]
    fn a_token_cut_short_is_not_invented() {
        let index = index(&["k7f3q2m9x4b8w"]);
        assert_eq!(index.find("/k7f3q2m9x4b8"), None);
        assert_eq!(index.find("/k7f3q2m9-x4b8w"), None);
    }

    #[test]
    fn a_short_or_long_token_is_found_as_a_whole_run() {
        let index = index(&["k7f3", "k7f3q2m9x4b8wk7f3q2m9"]);
        assert_eq!(index.find("/k7f3/"), Some(0));
        assert_eq!(index.find("/xk7f3/"), None);
        assert_eq!(index.find("/k7f3q2m9x4b8wk7f3q2m9"), Some(1));
    }

    #[test]
    fn the_first_canary_wins_among_several() {
        let index = index(&["aaaaaaaaaaaa1", "bbbbbbbbbbbb2", "bbbbbbbbbbbb2"]);
        assert_eq!(index.find("/bbbbbbbbbbbb2/aaaaaaaaaaaa1"), Some(0));
        assert_eq!(index.find("/bbbbbbbbbbbb2"), Some(1));
    }

    #[test]
    fn the_search_for_glued_tokens_ends_at_its_bound() {
        let index = index(&["k7f3q2m9x4b8w"]);
        let near = format!("{}k7f3q2m9x4b8w", "z".repeat(TOKEN_WINDOWS_MAX));
        let far = format!("{}k7f3q2m9x4b8w", "z".repeat(TOKEN_WINDOWS_MAX + 1));
        assert_eq!(index.find(&near), Some(0));
        assert_eq!(index.find(&far), None);
        assert_eq!(index.find(&format!("{far}/k7f3q2m9x4b8w")), Some(0));
    }

    #[test]
    fn what_looks_drawn_at_random_is_unique() {
        assert_eq!(
            unique("https://a.org/share/k7f3q2m9x4b8w").as_deref(),
            Some("k7f3q2m9x4b8w")
        );
        assert_eq!(
            unique("https://a.org/d?id=A1b2C3d4E5f6G7&x=1").as_deref(),
            Some("a1b2c3d4e5f6g7")
        );
    }

    #[test]
    fn words_dates_and_numbers_are_not_unique() {
        for url in [
            "https://www.example.org/x/login.html?user=tbtest&password=geheim",
            "https://a.org/internationalisation",
            "https://a.org/?t=1367342912000",
            "https://a.org/screenshot20130430at1728.png",
            "https://a.org/%c3%a4%c3%b6%c3%bc%c3%9f%c3%a4",
            "https://a.org/",
        ] {
            assert_eq!(unique(url), None, "{url}");
        }
    }
}
