//! Whatever a network does to segments, what is told is what the stream in one piece says: any
//! cutting, overlap, order, duplication and first number, of a visitor and of what answers him.

use std::time::Duration;

use proptest::prelude::*;

use super::http1::word;
use super::losses::{ACK, Frame, Wire, tap};

/// Where a piece begins and how long it is.
type Piece = (usize, usize);

/// The visitor's stream cut into `pieces`, which may overlap; what they leave out follows them.
fn cut(wire: &mut Wire, bytes: &[u8], pieces: &[Piece]) {
    let start = wire.sent[0];
    let rest = (0..bytes.len()).step_by(40).map(|at| (at, 40));
    for (at, length) in pieces.iter().copied().chain(rest) {
        let at = at % bytes.len();
        let piece = &bytes[at..(at + length).min(bytes.len())];
        wire.sent[0] = start.wrapping_add(at as u32);
        wire.send(true, ACK, piece);
    }
    wire.sent[0] = start.wrapping_add(bytes.len() as u32);
}

fn pieces() -> impl Strategy<Value = Vec<Piece>> {
    proptest::collection::vec((0usize..600, 1usize..60), 0..40)
}

fn numbers() -> impl Strategy<Value = [u32; 2]> {
    // Half of them so that the numbers wrap within the stream.
    let number = prop_oneof![any::<u32>(), (u32::MAX - 600)..=u32::MAX];
    [number.clone(), number]
}

fn told(wire: &Wire) -> Vec<String> {
    tap(&wire.frames, Duration::from_millis(1))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_stream_in_pieces_says_what_it_says_in_one(
        words in proptest::collection::vec(word(), 1..25),
        numbers in numbers(),
        pieces in pieces(),
    ) {
        let bytes = words.concat().into_bytes();
        let mut whole = Wire::open_at(numbers);
        whole.send(true, ACK, &bytes);
        let mut in_pieces = Wire::open_at(numbers);
        cut(&mut in_pieces, &bytes, &pieces);
        prop_assert_eq!(told(&in_pieces), told(&whole));
    }

    /// The first piece tells where the stream stands; more of it than a keep-alive's byte.
    #[test]
    fn a_stream_from_its_middle_in_pieces_says_what_it_says_in_one(
        words in proptest::collection::vec(word(), 1..25),
        numbers in numbers(),
        first in 2usize..60,
        mut pieces in pieces(),
    ) {
        let bytes = words.concat().into_bytes();
        prop_assume!(bytes.len() > 1);
        let mut whole = Wire::at(numbers);
        whole.send(true, ACK, &bytes);
        let mut in_pieces = Wire::at(numbers);
        pieces.insert(0, (0, first));
        cut(&mut in_pieces, &bytes, &pieces);
        prop_assert_eq!(told(&in_pieces), told(&whole));
    }

    /// Both sides, each in its own order and doubled; the answers come behind what they answer.
    #[test]
    fn a_conversation_in_pieces_says_what_it_says_in_one(
        targets in proptest::collection::vec("[a-z]{1,20}", 1..5),
        numbers in numbers(),
        asked in pieces(),
        answered in pieces(),
    ) {
        let asks: String = targets.iter().map(|one| format!("GET /{one} HTTP/1.1\r\nHost: h\r\n\r\n")).collect();
        let answers: String = targets.iter().enumerate().map(|(at, one)| {
            format!("HTTP/1.1 {} X\r\nContent-Length: {}\r\n\r\n{one}", 200 + at, one.len())
        }).collect();
        let talk = |asked: &[Piece], answered: &[Piece]| {
            let mut wire = Wire::open_at(numbers);
            cut(&mut wire, asks.as_bytes(), asked);
            let from = wire.frames.len();
            wire.sent.swap(0, 1);
            cut(&mut wire, answers.as_bytes(), answered);
            wire.frames[from..].iter_mut().for_each(Frame::turn);
            told(&wire)
        };
        let whole = talk(&[(0, 600)], &[(0, 600)]);
        prop_assert_eq!(whole.iter().filter(|line| line.starts_with("GET")).count(), targets.len());
        prop_assert_eq!(talk(&asked, &answered), whole);
    }

    /// A decoy with the visitor's numbers, which no host takes, changes nothing.
    #[test]
    fn what_no_host_takes_changes_nothing(
        words in proptest::collection::vec(word(), 1..25),
        numbers in numbers(),
        pieces in pieces(),
        places in proptest::collection::vec(0usize..40, 1..6),
    ) {
        let bytes = words.concat().into_bytes();
        let mut plain = Wire::open_at(numbers);
        cut(&mut plain, &bytes, &pieces);
        let mut decoyed = plain.frames.clone();
        for place in places {
            let place = 3 + place % (decoyed.len() - 3);
            let mut decoy = decoyed[place].clone();
            decoy.change(|flags| flags & !ACK, b'?');
            decoyed.insert(place, decoy);
        }
        prop_assert_eq!(tap(&decoyed, Duration::from_millis(1)), told(&plain));
    }
}
