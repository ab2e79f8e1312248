//! New canaries: ids that cannot be guessed, in URLs that look like any other.
//!
//! Randomness is an argument: the core has no source of it.

/// Lower-case letters and digits without those that are taken for each other (0 o, 1 l i).
const ALPHABET: &[u8; 31] = b"23456789abcdefghjkmnpqrstuvwxyz";
/// Characters of an id: 13 of 31 are 64 bits, more than anyone guesses through a web server.
pub const ID_CHARACTERS: usize = 13;
/// Random bytes to hand to [`id`]: one in 32 is refused to keep the choice even, so twice as many
/// as characters fail once in 10^13 times.
pub const RANDOM_BYTES: usize = 2 * ID_CHARACTERS;

/// Paths around an id, as file shares, blogs and calendars have them. `*` is the id.
const PATHS: [&str; 8] = [
    "/s/*",
    "/share/*",
    "/d/*/view",
    "/files/*.pdf",
    "/photos/*",
    "/docs/*/edit",
    "/invite/*",
    "/p/*.html",
];

/// An id out of random bytes; None when too many of them had to be refused.
pub fn id(random: &[u8; RANDOM_BYTES]) -> Option<String> {
    let even = 256 / ALPHABET.len() * ALPHABET.len();
    let id: String = random
        .iter()
        .map(|byte| usize::from(*byte))
        .filter(|byte| *byte < even)
        .filter_map(|byte| ALPHABET.get(byte % ALPHABET.len()))
        .take(ID_CHARACTERS)
        .map(|byte| char::from(*byte))
        .collect();
    (id.len() == ID_CHARACTERS).then_some(id)
}

/// The URL of a minted canary: `choice` picks how its path looks.
pub fn url(host: &str, id: &str, choice: u8) -> String {
    let shape = PATHS
        .get(usize::from(choice) % PATHS.len())
        .copied()
        .unwrap_or("/s/*");
    format!("https://{host}{}", shape.replace('*', id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_thirteen_characters_without_look_alikes() {
        let random: [u8; RANDOM_BYTES] = std::array::from_fn(|at| (at * 9) as u8);
        let id = id(&random).unwrap();
        assert_eq!(id.len(), 13);
        assert!(id.bytes().all(|byte| !b"01oli".contains(&byte)));
    }

    #[test]
    fn uneven_bytes_are_refused_rather_than_favoured() {
        assert_eq!(id(&[255; RANDOM_BYTES]), None);
        let mut random = [255; RANDOM_BYTES];
        random[..13].fill(0);
        assert_eq!(id(&random).as_deref(), Some("2222222222222"));
    }

    #[test]
    fn a_minted_url_holds_its_id_once() {
        for choice in 0..=255 {
            let url = url("www.example.org", "k7f3q2m9xw4tz", choice);
            assert_eq!(url.matches("k7f3q2m9xw4tz").count(), 1, "{url}");
            assert!(url.starts_with("https://www.example.org/"), "{url}");
        }
    }
}
