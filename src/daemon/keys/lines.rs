//! Lines out of bytes that come in pieces.

/// Bytes of a line: the longest of a key log that is used has 181.
pub const LINE_BYTES_MAX: usize = 1024;

/// What of a line has come so far.
#[derive(Debug, Default)]
pub struct Lines {
    held: Vec<u8>,
    /// Whether the present line is already too long, and its rest is passed over.
    passing: bool,
    /// Lines that were too long.
    overlong: u64,
}

impl Lines {
    /// Gives `take` each line that `bytes` complete, without its line feed.
    pub fn push(&mut self, bytes: &[u8], take: &mut impl FnMut(&[u8])) {
        let mut rest = bytes;
        while let Some(end) = memchr::memchr(b'\n', rest) {
            let (line, behind) = rest.split_at_checked(end).unwrap_or((rest, b""));
            self.finish(line, take);
            rest = behind.get(1..).unwrap_or_default();
        }
        self.hold(rest);
    }

    /// Nothing follows: what is held was a line without an end.
    pub fn end(&mut self, take: &mut impl FnMut(&[u8])) {
        if !self.held.is_empty() {
            self.finish(b"", take);
        }
        self.forget();
    }

    /// Passes over everything up to the next line feed: it is the rest of a line whose beginning
    /// was not read.
    pub fn skip_rest_of_line(&mut self) {
        self.held.clear();
        self.passing = true;
    }

    /// Forgets what is held: what comes next is another beginning.
    pub fn forget(&mut self) {
        self.held.clear();
        self.passing = false;
    }

    /// Lines that were too long.
    pub const fn overlong(&self) -> u64 {
        self.overlong
    }

    fn finish(&mut self, line: &[u8], take: &mut impl FnMut(&[u8])) {
        if std::mem::take(&mut self.passing) {
            return;
        }
        if self.held.is_empty() && line.len() <= LINE_BYTES_MAX {
            return take(line);
        }
        self.hold(line);
        if std::mem::take(&mut self.passing) {
            return; // it became too long just now
        }
        take(&self.held);
        self.held.clear();
    }

    fn hold(&mut self, bytes: &[u8]) {
        if self.passing {
            return;
        }
        if self.held.len() + bytes.len() > LINE_BYTES_MAX {
            self.overlong += 1;
            self.skip_rest_of_line();
        } else {
            self.held.extend_from_slice(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(pieces: &[&[u8]]) -> (Vec<Vec<u8>>, u64) {
        let (mut lines, mut read) = (Lines::default(), Vec::new());
        for piece in pieces {
            lines.push(piece, &mut |line| read.push(line.to_vec()));
        }
        (read, lines.overlong())
    }

    #[test]
    fn a_half_line_waits_for_its_other_half() {
        assert_eq!(read(&[b"ab"]).0, Vec::<Vec<u8>>::new());
        assert_eq!(read(&[b"ab", b"c\nd"]).0, [b"abc".to_vec()]);
        assert_eq!(read(&[b"\n", b"\n"]).0, [b"".to_vec(), b"".to_vec()]);
    }

    #[test]
    fn a_line_without_an_end_counts_when_nothing_follows() {
        let (mut lines, mut read) = (Lines::default(), Vec::new());
        lines.push(b"a\nb", &mut |line| read.push(line.to_vec()));
        lines.end(&mut |line| read.push(line.to_vec()));
        assert_eq!(read, [b"a".to_vec(), b"b".to_vec()]);
    }

    #[test]
    fn a_line_that_is_too_long_is_passed_over_whole() {
        let long = vec![b'x'; LINE_BYTES_MAX + 1];
        assert_eq!(read(&[&long, b"yy\nz\n"]), (vec![b"z".to_vec()], 1));
        let longest = vec![b'x'; LINE_BYTES_MAX];
        assert_eq!(read(&[&longest, b"\n"]), (vec![longest.clone()], 0));
        assert_eq!(read(&[&longest, b"y\nz\n"]), (vec![b"z".to_vec()], 1));
    }

    proptest! {
        #[test]
        fn any_cutting_gives_the_same_lines(
            text in proptest::collection::vec(prop_oneof![Just(b'\n'), any::<u8>()], 0..3000),
            cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..20),
        ) {
            let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
            places.extend([0, text.len()]);
            places.sort_unstable();
            let pieces: Vec<&[u8]> = places.windows(2).map(|pair| &text[pair[0]..pair[1]]).collect();
            prop_assert_eq!(read(&pieces), read(&[&text]));
        }
    }
}
