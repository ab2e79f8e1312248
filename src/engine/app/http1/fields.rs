//! Header fields (RFC 9112 §5): found line by line, folds undone.

use std::borrow::Cow;

use memchr::memchr;

/// Walks over the fields of a head from the first byte after its first line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields<'a> {
    rest: &'a [u8],
}

/// What stands next in a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next<'a> {
    /// A field.
    Field(RawField<'a>),
    /// The empty line that ends the head.
    End,
    /// A line, or a field that may be folded, whose end is not here.
    Unfinished,
}

/// A field with its line ends, its folds among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RawField<'a> {
    bytes: &'a [u8],
    folded: bool,
}

impl<'a> Fields<'a> {
    pub(super) fn new(rest: &'a [u8]) -> Self {
        Self { rest }
    }

    /// The bytes that were not handed out.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Whole lines of a field that may go on.
    pub(super) fn unfinished(&self) -> Option<RawField<'a>> {
        let end = memchr::memrchr(b'\n', self.rest)?;
        let bytes = self.rest.get(..=end)?;
        Some(RawField::gathered(bytes))
    }

    /// Takes the next field off. Whether it is complete is known only when the line after it has
    /// begun, since that may continue it.
    pub(super) fn next(&mut self) -> Next<'a> {
        if let [b'\n', rest @ ..] | [b'\r', b'\n', rest @ ..] = self.rest {
            self.rest = rest;
            return Next::End;
        }
        let mut scanned = 0;
        loop {
            let unscanned = self.rest.get(scanned..).unwrap_or_default();
            let Some(line_feed) = memchr(b'\n', unscanned) else {
                return Next::Unfinished;
            };
            let folded = scanned > 0;
            scanned += line_feed + 1;
            match self.rest.get(scanned) {
                None => return Next::Unfinished,
                Some(b' ' | b'\t') => {}
                Some(_) => return self.take(scanned, folded),
            }
        }
    }

    fn take(&mut self, length: usize, folded: bool) -> Next<'a> {
        match self.rest.split_at_checked(length) {
            Some((bytes, rest)) => {
                self.rest = rest;
                Next::Field(RawField { bytes, folded })
            }
            None => Next::Unfinished,
        }
    }
}

impl<'a> RawField<'a> {
    /// A field whose lines were put together elsewhere.
    pub(super) fn gathered(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            folded: true,
        }
    }

    /// Its length with all line ends, in bytes.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Its first byte in lower case.
    pub(super) fn initial(&self) -> u8 {
        self.bytes.first().copied().unwrap_or_default() | 0x20
    }

    /// Name and value; None for a line that is no field. Blanks before the colon are forgiven.
    pub(super) fn split(&self) -> Option<(&'a [u8], Cow<'a, [u8]>)> {
        let colon = memchr(b':', self.bytes)?;
        let (name, value) = self.bytes.split_at_checked(colon)?;
        let name = name.trim_ascii_end();
        if name.is_empty() || (self.folded && memchr(b'\n', name).is_some()) {
            return None;
        }
        Some((name, self.unfold(value.get(1..)?)))
    }

    /// The first line of the value that is not empty, if this is the field called so.
    pub(super) fn first_line_of(&self, name: &[u8]) -> Option<&'a [u8]> {
        let colon = match self.bytes.get(name.len()) {
            Some(b':') => name.len(),
            _ => memchr(b':', self.bytes)?,
        };
        let (found, value) = self.bytes.split_at_checked(colon)?;
        if !found.trim_ascii_end().eq_ignore_ascii_case(name) {
            return None;
        }
        let value = value.get(1..)?.trim_ascii();
        if !self.folded {
            return Some(value);
        }
        let end = memchr(b'\n', value).unwrap_or(value.len());
        Some(value.get(..end)?.trim_ascii_end())
    }

    /// Its first bytes in lower case.
    pub(super) fn initials(&self) -> Option<[u8; 3]> {
        let initials = self.bytes.first_chunk::<3>()?;
        Some(initials.map(|byte| byte.to_ascii_lowercase()))
    }

    /// Each fold becomes one blank (RFC 9112 §5.2).
    fn unfold(&self, value: &'a [u8]) -> Cow<'a, [u8]> {
        let value = value.trim_ascii();
        if !self.folded || memchr(b'\n', value).is_none() {
            return Cow::Borrowed(value);
        }
        let mut unfolded = Vec::with_capacity(value.len());
        for line in value.split(|byte| *byte == b'\n') {
            let line = line.trim_ascii();
            if !unfolded.is_empty() && !line.is_empty() {
                unfolded.push(b' ');
            }
            unfolded.extend_from_slice(line);
        }
        Cow::Owned(unfolded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(head: &str) -> (Vec<String>, Next<'_>, &str) {
        let mut fields = Fields::new(head.as_bytes());
        let mut found = Vec::new();
        loop {
            match fields.next() {
                Next::Field(field) => found.extend(field.split().map(|(name, value)| {
                    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                    format!("{}={}", text(name), text(&value))
                })),
                other => return (found, other, std::str::from_utf8(fields.rest()).unwrap()),
            }
        }
    }

    #[test]
    fn fields_end_at_the_empty_line() {
        let (found, end, rest) = all("A: 1\r\nB:2\n\nGET");
        assert_eq!(found, ["A=1", "B=2"]);
        assert_eq!((end, rest), (Next::End, "GET"));
    }

    #[test]
    fn a_fold_becomes_one_blank() {
        let (found, ..) = all("A: 1\r\n  2\r\n\t\r\n 3  \r\nB: 4\r\n\r\n");
        assert_eq!(found, ["A=1 2 3", "B=4"]);
    }

    #[test]
    fn a_field_is_complete_when_the_next_line_has_begun() {
        assert_eq!(all("A: 1\r\n").1, Next::Unfinished);
        assert_eq!(all("A: 1\r\nB").0, ["A=1"]);
        assert_eq!(
            all("A: 1\r\n\r"),
            (vec!["A=1".into()], Next::Unfinished, "\r")
        );
    }

    #[test]
    fn lines_that_are_no_fields_are_passed_over() {
        let (found, end, _) = all("nonsense\r\n: x\r\nA : 1\r\nno\r\n such: name\r\n\r\n");
        assert_eq!((found, end), (vec!["A=1".to_owned()], Next::End));
    }
}
