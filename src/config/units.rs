//! Quantities with their unit, as people write them.

/// Bytes out of `16MiB`, `100 MB`, `4096`: binary and decimal multiples by their own names.
pub fn parse_bytes(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(digits)?;
    let factor: u64 = match unit.trim() {
        "" | "B" => 1,
        "kB" | "KB" => 1000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

/// Bytes as people read them.
pub fn bytes_text(bytes: u64) -> String {
    for (unit, size) in [("GiB", 1u64 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)] {
        if bytes >= size && bytes % size == 0 {
            return format!("{}{unit}", bytes / size);
        }
    }
    bytes.to_string()
}

/// Words of the owner's, such as a channel: something, on one line, without blanks around it.
///
/// # Errors
/// The rule that they break.
pub fn parse_words(text: &str) -> Result<String, String> {
    let text = text.trim();
    let good = !text.is_empty()
        && text.chars().count() <= WORDS_CHARACTERS_MAX
        && !text.chars().any(char::is_control);
    good.then(|| text.to_owned())
        .ok_or_else(|| format!("must be 1 to {WORDS_CHARACTERS_MAX} characters on one line"))
}

/// Channels and labels stand in tables on a terminal.
const WORDS_CHARACTERS_MAX: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binary_and_decimal_multiples_are_told_apart() {
        assert_eq!(parse_bytes("16MiB"), Some(16 << 20));
        assert_eq!(parse_bytes("16 MB"), Some(16_000_000));
        assert_eq!(parse_bytes("4096"), Some(4096));
    }

    #[test]
    fn what_is_no_size_is_refused() {
        for text in ["", "MiB", "-1", "1.5MiB", "16mib", "99999999999GiB"] {
            assert_eq!(parse_bytes(text), None, "{text}");
        }
    }

    #[test]
    fn a_size_prints_as_it_is_written() {
        assert_eq!(bytes_text(48 << 20), "48MiB");
        assert_eq!(bytes_text(1001), "1001");
    }
}
