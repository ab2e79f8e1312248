//! Heads that come in pieces: how their bytes are gathered.

use memchr::{memchr, memchr_iter};

use crate::limits::{FRAMING_FIELD_BYTES_MAX, HEAD_BYTES_MAX};

/// Takes bytes to those of a partial head: up to the end of its first line unless that is there
/// (`has_line`), else up to its own end, never beyond the bound. Tells what was not taken, and
/// whether one of these ends was reached.
pub(super) fn extend<'a>(held: &mut Vec<u8>, bytes: &'a [u8], has_line: bool) -> (&'a [u8], bool) {
    let end = if has_line {
        end_of_head(held, bytes)
    } else {
        memchr(b'\n', bytes).map(|at| at + 1)
    };
    let room = HEAD_BYTES_MAX.saturating_sub(held.len());
    let length = end.unwrap_or(bytes.len()).min(room);
    let (taken, rest) = bytes.split_at_checked(length).unwrap_or((bytes, &[]));
    if held.len() < EXACT_BYTES_MAX {
        held.reserve_exact(taken.len());
    }
    held.extend_from_slice(taken);
    (rest, end == Some(length))
}

/// Whether the bytes from `before` on may tell the host: a line ended, and with it a field that
/// begins at or after `read`. Of a long field, only its true end counts, so that a field of
/// many short folds is not looked at again for each.
pub(super) fn may_tell_host(held: &[u8], before: usize, read: u32) -> bool {
    let recent = held.get(before.saturating_sub(1)..).unwrap_or_default();
    let short = held.len().saturating_sub(read as usize) <= FRAMING_FIELD_BYTES_MAX;
    memchr_iter(b'\n', recent).any(|at| match recent.get(at + 1) {
        Some(next) => short || !matches!(next, b' ' | b'\t'),
        None => short,
    })
}

/// How many of `bytes` complete the head.
fn end_of_head(held: &[u8], bytes: &[u8]) -> Option<usize> {
    match (held, bytes) {
        ([.., b'\n'], [b'\n', ..]) | ([.., b'\n', b'\r'], [b'\n', ..]) => return Some(1),
        ([.., b'\n'], [b'\r', b'\n', ..]) => return Some(2),
        _ => {}
    }
    memchr_iter(b'\n', bytes).find_map(|at| match bytes.get(at + 1..)? {
        [b'\n', ..] => Some(at + 2),
        [b'\r', b'\n', ..] => Some(at + 3),
        _ => None,
    })
}

/// Up to here a partial head's buffer is as long as its bytes: a flood of half heads is many
/// short ones. Beyond, it grows by doubling, so that single bytes do not cost a copy of all.
pub(super) const EXACT_BYTES_MAX: usize = 2048;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_line_is_taken_by_itself_and_then_the_head() {
        let mut held = b"GET / HT".to_vec();
        let (rest, complete) = extend(&mut held, b"TP/1.1\r\nHost: h\r\n\r\nGET", false);
        assert_eq!(
            (held.as_slice(), complete),
            (&b"GET / HTTP/1.1\r\n"[..], true)
        );
        let (rest, complete) = extend(&mut held, rest, true);
        assert_eq!((rest, complete), (&b"GET"[..], true));
        assert!(held.ends_with(b"h\r\n\r\n"));
    }

    #[test]
    fn the_end_is_found_wherever_it_is_cut() {
        for head in [
            "A\r\nB: c\r\n\r\n",
            "A\nB: c\n\n",
            "A\nB: c\r\n\n",
            "A\r\n\r\n",
        ] {
            for cut in 2..head.len() {
                let (first, second) = head.as_bytes().split_at(cut);
                if first.contains(&b'\n') {
                    assert_eq!(
                        end_of_head(first, second),
                        Some(second.len()),
                        "{head:?} {cut}"
                    );
                }
            }
        }
        assert_eq!(end_of_head(b"A\r\nB: \r", b"\nC"), None);
    }

    #[test]
    fn short_heads_take_no_more_room_than_their_bytes() {
        let mut held = b"GET / HTTP/1.1\r\n".to_vec();
        extend(&mut held, b"Host: h", true);
        assert_eq!(held.capacity(), held.len());
    }

    #[test]
    fn no_more_is_taken_than_the_bound() {
        let mut held = vec![b'x'; HEAD_BYTES_MAX - 1];
        let (rest, complete) = extend(&mut held, b"yz\n\n", true);
        assert_eq!(
            (rest, complete, held.len()),
            (&b"z\n\n"[..], false, HEAD_BYTES_MAX)
        );
    }

    #[test]
    fn the_host_may_be_known_when_a_line_ends_and_in_a_long_field_when_that_ends() {
        assert!(may_tell_host(b"A: b\r\n", 3, 0));
        assert!(may_tell_host(b"A: b\r\n c", 6, 0));
        assert!(!may_tell_host(b"A: b\r\nCd", 7, 0));
        let long = [&b"A: "[..], &[b'b'; FRAMING_FIELD_BYTES_MAX], b"\n"].concat();
        let with = |more: &[u8]| [long.as_slice(), more].concat();
        assert!(!may_tell_host(&long, long.len() - 1, 0));
        assert!(!may_tell_host(&with(b" "), long.len(), 0));
        assert!(may_tell_host(&with(b"C"), long.len(), 0));
    }
}
