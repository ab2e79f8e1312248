//! Characters that must not reach a terminal as they are.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Whether a character moves the cursor, speaks to the terminal, turns the direction of text,
/// or is invisible so that two texts look the same (Unicode's Trojan Source set and its kin).
pub fn is_unsafe(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' // soft hyphen
            | '\u{61c}' // Arabic letter mark
            | '\u{180e}' // Mongolian vowel separator
            | '\u{200b}'..='\u{200f}' // zero width, left-to-right and right-to-left marks
            | '\u{2028}'..='\u{202e}' // line and paragraph separators, embeddings, overrides
            | '\u{2060}'..='\u{206f}' // word joiner, isolates, deprecated controls
            | '\u{feff}' // byte order mark
            | '\u{fff9}'..='\u{fffb}' // interlinear annotation
            | '\u{e0000}'..='\u{e007f}' // tags
        )
}

/// The text with each unsafe character as `\u{202e}`.
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if is_unsafe(character) {
            safe.extend(character.escape_unicode());
        } else {
            safe.push(character);
        }
    }
    Cow::Owned(safe)
}

/// A JSON text with each unsafe character as `\u202e`: the same JSON value. Outside strings JSON
/// has none of them.
pub(super) fn json(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    let mut units = [0; 2];
    for character in text.chars() {
        if is_unsafe(character) {
            for unit in character.encode_utf16(&mut units) {
                let _infallible = write!(safe, "\\u{unit:04x}");
            }
        } else {
            safe.push(character);
        }
    }
    Cow::Owned(safe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_is_left_as_it_is() {
        assert!(matches!(printable("/ä?ö=日本"), Cow::Borrowed(_)));
    }

    #[test]
    fn control_characters_and_marks_that_turn_text_are_shown_by_number() {
        assert_eq!(
            printable("a\x1b[2J\u{202e}b\u{9b}\u{7f}\n"),
            "a\\u{1b}[2J\\u{202e}b\\u{9b}\\u{7f}\\u{a}"
        );
    }

    #[test]
    fn escaped_json_is_the_same_value() {
        let text = serde_json::to_string("a\u{202e}\u{7f}\u{9b}\u{e0041}").unwrap();
        let safe = json(&text);
        assert_eq!(safe, r#""a\u202e\u007f\u009b\udb40\udc41""#);
        let back: String = serde_json::from_str(&safe).unwrap();
        assert_eq!(back, "a\u{202e}\u{7f}\u{9b}\u{e0041}");
    }
}
