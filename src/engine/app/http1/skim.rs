//! Heads that nobody wants to read: only where they end and what follows them is found out.
//!
//! Nothing is held but a line that says something about the body and is cut by a chunk's end.

use memchr::memchr;

use crate::app::http1::fields::{Fields, Next, RawField};
use crate::app::http1::framing::Framing;
use crate::limits::FRAMING_FIELD_BYTES_MAX;

/// A place within such a head, after its first line. `A` is what its reader must remember of that
/// line.
#[derive(Debug)]
pub(super) enum Skim<A> {
    /// Nothing is held.
    Bare {
        about: A,
        framing: Framing,
        /// Whether within a line that does not matter; else a line begins.
        within_line: bool,
    },
    /// A field that matters, or may, was cut.
    Holding(Box<Held<A>>),
}

/// A cut field.
#[derive(Debug)]
pub(super) struct Held<A> {
    about: A,
    framing: Framing,
    /// It and, when it is complete but for a fold, its line end.
    bytes: Vec<u8>,
}

/// What came of skimming.
#[derive(Debug)]
pub(super) enum Skimmed<'a, A> {
    /// All bytes belonged to the head, which goes on.
    All(Skim<A>),
    /// The head ended; these bytes follow it.
    End(A, Framing, &'a [u8]),
}

impl<A: Copy> Skim<A> {
    /// A head at the start of a line.
    pub(super) fn at_line(about: A, framing: Framing) -> Self {
        Self::Bare {
            about,
            framing,
            within_line: false,
        }
    }

    /// A head within its first line.
    pub(super) fn within_first_line(about: A) -> Self {
        Self::Bare {
            about,
            framing: Framing::default(),
            within_line: true,
        }
    }

    /// What was remembered of its first line.
    pub(super) fn about(&self) -> A {
        match self {
            Self::Bare { about, .. } => *about,
            Self::Holding(held) => held.about,
        }
    }

    /// Bytes on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        match self {
            Self::Bare { .. } => 0,
            Self::Holding(held) => size_of::<Held<A>>() + held.bytes.capacity(),
        }
    }

    /// Reads on.
    pub(super) fn feed(self, bytes: &[u8]) -> Skimmed<'_, A> {
        match self {
            Self::Holding(held) => held.feed(bytes),
            Self::Bare {
                about,
                framing,
                within_line: false,
            } => skim_lines(about, framing, bytes),
            Self::Bare { about, framing, .. } => match after_line_feed(bytes) {
                Some(rest) => skim_lines(about, framing, rest),
                None => Skimmed::All(self),
            },
        }
    }

    /// Reads on, if the head goes on behind these bytes and nothing is held; else false, and
    /// nothing has changed.
    pub(super) fn goes_on(&mut self, bytes: &[u8]) -> bool {
        let Self::Bare {
            about,
            framing,
            within_line,
        } = *self
        else {
            return false;
        };
        let copy = Self::Bare {
            about,
            framing,
            within_line,
        };
        match copy.feed(bytes) {
            Skimmed::All(skim) => *self = skim,
            Skimmed::End(..) => return false,
        }
        true
    }

    /// Goes on after bytes that do not matter.
    fn after(about: A, framing: Framing, bytes: &[u8]) -> Self {
        Self::Bare {
            about,
            framing,
            within_line: !bytes.ends_with(b"\n"),
        }
    }
}

fn after_line_feed(bytes: &[u8]) -> Option<&[u8]> {
    bytes.get(memchr(b'\n', bytes)? + 1..)
}

fn skim_lines<A: Copy>(about: A, mut framing: Framing, bytes: &[u8]) -> Skimmed<'_, A> {
    let mut fields = Fields::new(bytes);
    loop {
        match fields.next() {
            Next::Field(field) => framing.note(field),
            Next::End => return Skimmed::End(about, framing, fields.rest()),
            Next::Unfinished => return Skimmed::All(cut(about, framing, fields.rest())),
        }
    }
}

/// What to keep of a head that goes on behind these bytes, which begin a field and do not end it.
pub(super) fn cut<A: Copy>(about: A, mut framing: Framing, start: &[u8]) -> Skim<A> {
    if start.is_empty() {
        return Skim::at_line(about, framing);
    }
    if start != b"\r" && !Framing::may_matter(start) {
        return Skim::after(about, framing, start);
    }
    if start.len() > FRAMING_FIELD_BYTES_MAX {
        framing.give_up();
        return Skim::after(about, framing, start);
    }
    Skim::Holding(Box::new(Held {
        about,
        framing,
        bytes: start.to_vec(),
    }))
}

impl<A: Copy> Held<A> {
    fn feed(mut self: Box<Self>, mut bytes: &[u8]) -> Skimmed<'_, A> {
        while let Some(first) = bytes.first() {
            if self.bytes.ends_with(b"\n") && !matches!(first, b' ' | b'\t') {
                self.framing.note(RawField::gathered(&self.bytes));
                return skim_lines(self.about, self.framing, bytes);
            }
            let line_end = memchr(b'\n', bytes).map_or(bytes.len(), |end| end + 1);
            let (line, rest) = bytes.split_at_checked(line_end).unwrap_or((bytes, &[]));
            // One byte beyond the bound is enough to know that it was crossed.
            let room = (FRAMING_FIELD_BYTES_MAX + 1).saturating_sub(self.bytes.len());
            self.bytes.extend(line.iter().take(room));
            if self.bytes == b"\r\n" {
                return Skimmed::End(self.about, self.framing, rest);
            }
            let matters = self.bytes == b"\r" || Framing::may_matter(&self.bytes);
            let too_long = self.bytes.len() > FRAMING_FIELD_BYTES_MAX;
            if !matters || too_long {
                if matters {
                    self.framing.give_up();
                }
                return Skim::after(self.about, self.framing, line).feed(rest);
            }
            bytes = rest;
        }
        Skimmed::All(Skim::Holding(self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::http1::body::Body;
    use crate::app::http1::framing::Follows;

    fn skim(parts: &[&[u8]]) -> Option<(Follows, String)> {
        let mut skim = Skim::at_line((), Framing::default());
        for (at, part) in parts.iter().enumerate() {
            match skim.feed(part) {
                Skimmed::All(goes_on) => skim = goes_on,
                Skimmed::End((), framing, rest) => {
                    let mut after = rest.to_vec();
                    after.extend(parts[at + 1..].concat());
                    return Some((framing.after_request(), String::from_utf8(after).unwrap()));
                }
            }
        }
        None
    }

    /// The same, cut at every byte, at every pair of bytes, and into single bytes.
    fn skim_however_cut(head: &str) -> Option<(Follows, String)> {
        let bytes = head.as_bytes();
        let whole = skim(&[bytes]);
        for cut in 1..bytes.len() {
            let (first, second) = bytes.split_at(cut);
            assert_eq!(skim(&[first, second]), whole, "{head:?} cut at {cut}");
            let (middle, third) = second.split_at(second.len() / 2);
            assert_eq!(skim(&[first, middle, third]), whole);
        }
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(skim(&single), whole, "{head:?} in single bytes");
        whole
    }

    #[test]
    fn the_end_of_a_head_and_its_body_are_found_however_it_is_cut() {
        let length = |length| Follows::Body(Body::Length(length));
        for (head, follows) in [
            ("A: b\r\n\r\nrest", Follows::Nothing),
            ("\r\nrest", Follows::Nothing),
            ("\nrest", Follows::Nothing),
            ("A: b\n\nrest", Follows::Nothing),
            (
                "A: b\r\nContent-Length: 12\r\nCookie: x\r\n\r\nrest",
                length(12),
            ),
            ("Content-Length:\r\n 1\r\n\t\r\nA: b\n\r\nrest", length(1)),
            (
                "Content-Lengths: 12\r\n\rA: b\r\n\r\nrest",
                Follows::Nothing,
            ),
            ("A: b\r\n Content-Length: 12\r\n\r\nrest", Follows::Nothing),
            ("  A: b\r\n\r\nrest", Follows::Nothing),
            (
                "Transfer-Encoding: chunked\nContent-Length: 3\n\nrest",
                Follows::Body(Body::CHUNKED),
            ),
        ] {
            let expected = Some((follows, "rest".to_owned()));
            assert_eq!(skim_however_cut(head), expected, "{head:?}");
        }
    }

    #[test]
    fn a_head_without_end_has_none() {
        assert_eq!(skim_however_cut("A: b\r\nContent-Length: 12\r\n"), None);
    }

    #[test]
    fn a_field_beyond_its_bound_says_the_same_however_it_is_cut() {
        let blanks = " ".repeat(FRAMING_FIELD_BYTES_MAX);
        let one_line = format!("Content-Length: {blanks}7\r\n\r\nrest");
        let folded = format!("Content-Length: 7\r\n{blanks}\r\n x\r\n\r\nrest");
        for head in [one_line, folded] {
            let expected = Some((Follows::Unsure, "rest".to_owned()));
            let pieces: Vec<&[u8]> = head.as_bytes().chunks(7).collect();
            assert_eq!(skim(&[head.as_bytes()]), expected);
            assert_eq!(skim(&pieces), expected);
        }
    }

    #[test]
    fn lines_that_do_not_matter_cost_nothing() {
        let mut skim = Skim::at_line((), Framing::default());
        for part in ["User-Agent: x", "yz\r\n", "Coo", "kie: abc"] {
            match skim.feed(part.as_bytes()) {
                Skimmed::All(goes_on) => skim = goes_on,
                Skimmed::End(..) => panic!("no end was there"),
            }
        }
        assert_eq!(skim.heap_bytes(), 0);
    }
}
