//! What a head says about the body that follows it (RFC 9112 §6).

use crate::app::http1::body::Body;
use crate::app::http1::fields::RawField;
use crate::limits::FRAMING_FIELD_BYTES_MAX;

/// The fields that delimit a message, as far as they were read.
///
/// A flood of half heads costs one of these for each: it is made of bytes, so that it leaves no
/// room unused in what holds it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Framing {
    /// Content-Length, as [`u64::to_ne_bytes`].
    length: [u8; 8],
    lengths: Lengths,
    coding: Coding,
    /// Whether an Upgrade field names `h2c`.
    pub(super) names_h2c: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Lengths {
    #[default]
    None,
    One,
    /// They differ, or one is no number.
    Contradictory,
}

/// The last transfer coding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Coding {
    #[default]
    None,
    Chunked,
    /// Another one: the end of such a body is not told.
    Other,
}

/// What follows a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Follows {
    /// The next message.
    Nothing,
    /// A body.
    Body(Body),
    /// What the head says makes no sense; real servers refuse it.
    Unsure,
}

impl Framing {
    /// Takes note of a field, if it is one that matters here.
    pub(super) fn note(&mut self, field: RawField<'_>) {
        if !field.initials().is_some_and(FramingName::may_begin_with) {
            return;
        }
        let Some((name, value)) = field.split() else {
            return;
        };
        let Some(name) = FramingName::of(name) else {
            return;
        };
        if field.len() > FRAMING_FIELD_BYTES_MAX {
            return self.give_up();
        }
        match name {
            FramingName::ContentLength => self.note_length(&value),
            FramingName::TransferEncoding => self.note_coding(&value),
            FramingName::Upgrade => self.names_h2c |= list(&value).any(|one| is(one, b"h2c")),
        }
    }

    /// One of the fields is longer than the bound: nothing is certain.
    pub(super) fn give_up(&mut self) {
        self.lengths = Lengths::Contradictory;
        self.coding = Coding::Other;
    }

    /// Whether bytes that begin a field, without its end, may begin one that matters.
    pub(super) fn may_matter(start: &[u8]) -> bool {
        let initials = start.first_chunk::<3>();
        let initials = initials.map(|some| some.map(|byte| byte.to_ascii_lowercase()));
        if let Some(initials) = initials.filter(|some| some.iter().all(u8::is_ascii_graphic)) {
            if !FramingName::may_begin_with(initials) {
                return false;
            }
        }
        match memchr::memchr(b':', start) {
            Some(colon) => {
                FramingName::of(start.get(..colon).unwrap_or_default().trim_ascii_end()).is_some()
            }
            None => FramingName::may_become(start),
        }
    }

    /// What follows a request head (RFC 9112 §6.3).
    pub(super) fn after_request(&self) -> Follows {
        match (self.coding, self.lengths) {
            (Coding::Chunked, _) => Follows::Body(Body::CHUNKED),
            (Coding::Other, _) | (_, Lengths::Contradictory) => Follows::Unsure,
            (Coding::None, Lengths::None) => Follows::Nothing,
            (Coding::None, Lengths::One) => match u64::from_ne_bytes(self.length) {
                0 => Follows::Nothing,
                length => Follows::Body(Body::Length(length)),
            },
        }
    }

    /// What follows a response head that may have a body.
    pub(super) fn after_response(&self) -> Follows {
        match (self.coding, self.lengths) {
            (Coding::Other, _) | (Coding::None, Lengths::None) => Follows::Body(Body::UntilClose),
            _ => self.after_request(),
        }
    }

    /// Equal lengths, in a list or in several fields, are one (RFC 9110 §8.6).
    fn note_length(&mut self, value: &[u8]) {
        for one in value.split(|byte| *byte == b',') {
            let length = decimal(one.trim_ascii()).map(u64::to_ne_bytes);
            self.lengths = match (length, self.lengths) {
                (Some(length), Lengths::None) => {
                    self.length = length;
                    Lengths::One
                }
                (Some(length), Lengths::One) if length == self.length => Lengths::One,
                _ => Lengths::Contradictory,
            };
        }
    }

    fn note_coding(&mut self, value: &[u8]) {
        for one in list(value) {
            self.coding = if is(one, b"chunked") {
                Coding::Chunked
            } else if is(one, b"identity") && self.coding == Coding::None {
                Coding::None
            } else {
                Coding::Other
            };
        }
    }
}

#[derive(Clone, Copy)]
enum FramingName {
    ContentLength,
    TransferEncoding,
    Upgrade,
}

impl FramingName {
    const ALL: [(Self, &'static [u8]); 3] = [
        (Self::ContentLength, b"content-length"),
        (Self::TransferEncoding, b"transfer-encoding"),
        (Self::Upgrade, b"upgrade"),
    ];

    /// Tells nearly all other names at a glance.
    fn may_begin_with(initials: [u8; 3]) -> bool {
        matches!(&initials, b"con" | b"tra" | b"upg")
    }

    fn of(name: &[u8]) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|(_, known)| is(name, known))
            .map(|(which, _)| which)
    }

    fn may_become(start: &[u8]) -> bool {
        let start = start.trim_ascii_end();
        Self::ALL.iter().any(|(_, known)| {
            known
                .get(..start.len())
                .is_some_and(|begin| is(start, begin))
        })
    }
}

/// The members of a list, without empty ones (RFC 9110 §5.6.1).
fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value
        .split(|byte| *byte == b',')
        .map(<[u8]>::trim_ascii)
        .filter(|one| !one.is_empty())
}

fn is(one: &[u8], other: &[u8]) -> bool {
    one.eq_ignore_ascii_case(other)
}

fn decimal(text: &[u8]) -> Option<u64> {
    if !text.first()?.is_ascii_digit() {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::http1::fields::{Fields, Next};

    fn framing(head: &str) -> Framing {
        let head = format!("{head}|").replace('|', "\r\n");
        let mut fields = Fields::new(head.as_bytes());
        let mut framing = Framing::default();
        while let Next::Field(field) = fields.next() {
            framing.note(field);
        }
        framing
    }

    #[test]
    fn a_request_without_a_word_about_its_body_has_none() {
        assert_eq!(framing("Host: h|").after_request(), Follows::Nothing);
        assert_eq!(
            framing("Content-Length: 0|").after_request(),
            Follows::Nothing
        );
    }

    #[test]
    fn equal_lengths_are_one_and_different_ones_none() {
        let seven = Follows::Body(Body::Length(7));
        for head in [
            "Content-Length: 7|",
            "content-length:7|CONTENT-LENGTH : 7|",
            "Content-Length: 7, 7|",
            "Content-Length:| 7|",
        ] {
            assert_eq!(framing(head).after_request(), seven, "{head}");
        }
        for head in [
            "Content-Length: 7|Content-Length: 8|",
            "Content-Length: 7, 8|",
            "Content-Length: +7|",
            "Content-Length: -7|",
            "Content-Length: 0x7|",
            "Content-Length: 7 7|",
            "Content-Length:|",
            "Content-Length: 99999999999999999999|",
        ] {
            assert_eq!(framing(head).after_request(), Follows::Unsure, "{head}");
        }
    }

    #[test]
    fn chunked_goes_before_a_length_and_must_be_the_last_coding() {
        for head in [
            "Transfer-Encoding: chunked|Content-Length: 7|",
            "Content-Length: 7|Transfer-Encoding: gzip, Chunked|",
            "Transfer-Encoding: gzip|Transfer-Encoding: chunked|",
        ] {
            let expected = Follows::Body(Body::CHUNKED);
            assert_eq!(framing(head).after_request(), expected, "{head}");
        }
        let gzip = framing("Transfer-Encoding: chunked, gzip|");
        assert_eq!(gzip.after_request(), Follows::Unsure);
        assert_eq!(gzip.after_response(), Follows::Body(Body::UntilClose));
        let identity = framing("Transfer-Encoding: identity|Content-Length: 7|");
        assert_eq!(identity.after_request(), Follows::Body(Body::Length(7)));
    }

    #[test]
    fn a_response_without_a_word_about_its_body_lasts_until_the_close() {
        assert_eq!(
            framing("A: b|").after_response(),
            Follows::Body(Body::UntilClose)
        );
    }

    #[test]
    fn a_field_beyond_its_bound_makes_the_body_unsure() {
        let long = format!("Content-Length: {}7|", " ".repeat(FRAMING_FIELD_BYTES_MAX));
        assert_eq!(framing(&long).after_request(), Follows::Unsure);
    }

    #[test]
    fn what_begins_like_a_name_that_matters_may_matter() {
        for start in ["", "C", "content-LEN", "Content-Length \t", "Upgrade: h"] {
            assert!(Framing::may_matter(start.as_bytes()), "{start:?}");
        }
        for start in ["Cookie: ", "H", "Content-Lengths", "Upgrade-Insecure-"] {
            assert!(!Framing::may_matter(start.as_bytes()), "{start:?}");
        }
    }
}
