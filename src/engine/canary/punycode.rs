//! Punycode (RFC 3492), encoding only: how a label beyond ASCII stands in DNS and on the wire.

const BASE: u32 = 36;
const T_MIN: u32 = 1;
const T_MAX: u32 = 26;
const SKEW: u32 = 38;
const DAMP: u32 = 700;
const INITIAL_BIAS: u32 = 72;
const INITIAL_N: u32 = 0x80;

/// The `xn--` form of a label; None when it is too long to be one. Case and normal form are the
/// caller's.
pub(super) fn to_a_label(label: &str) -> Option<String> {
    let mut encoded = String::from("xn--");
    encode(label, &mut encoded)?;
    (encoded.len() <= 63).then_some(encoded)
}

/// RFC 3492 §6.3.
fn encode(label: &str, output: &mut String) -> Option<()> {
    output.extend(label.chars().filter(char::is_ascii));
    let basic = u32::try_from(label.chars().filter(char::is_ascii).count()).ok()?;
    if basic > 0 {
        output.push('-');
    }
    let total = u32::try_from(label.chars().count()).ok()?;
    let (mut n, mut delta, mut bias, mut handled) = (INITIAL_N, 0_u32, INITIAL_BIAS, basic);
    while handled < total {
        let next = label.chars().map(u32::from).filter(|c| *c >= n).min()?;
        delta = delta.checked_add((next - n).checked_mul(handled + 1)?)?;
        n = next;
        for code_point in label.chars().map(u32::from) {
            if code_point < n {
                delta = delta.checked_add(1)?;
            } else if code_point == n {
                push_integer(delta, bias, output)?;
                bias = adapted(delta, handled + 1, handled == basic);
                delta = 0;
                handled += 1;
            }
        }
        delta = delta.checked_add(1)?;
        n += 1;
    }
    Some(())
}

/// A variable-length integer, RFC 3492 §3.3.
fn push_integer(delta: u32, bias: u32, output: &mut String) -> Option<()> {
    let mut rest = delta;
    let mut k = BASE;
    loop {
        let threshold = k.saturating_sub(bias).clamp(T_MIN, T_MAX);
        if rest < threshold {
            output.push(digit(rest)?);
            return Some(());
        }
        let span = BASE - threshold;
        output.push(digit(threshold + (rest - threshold) % span)?);
        rest = (rest - threshold) / span;
        k += BASE;
    }
}

/// `a`–`z` for 0–25, `0`–`9` for 26–35.
fn digit(value: u32) -> Option<char> {
    let byte = u8::try_from(value).ok()?;
    Some(char::from(if byte < 26 {
        b'a' + byte
    } else {
        b'0' + (byte - 26)
    }))
}

/// RFC 3492 §6.1.
fn adapted(delta: u32, points: u32, first: bool) -> u32 {
    let mut delta = if first { delta / DAMP } else { delta / 2 };
    delta += delta / points;
    let mut k = 0;
    while delta > ((BASE - T_MIN) * T_MAX) / 2 {
        delta /= BASE - T_MIN;
        k += BASE;
    }
    k + (BASE - T_MIN + 1) * delta / (delta + SKEW)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn german_greek_and_chinese_labels_have_their_known_forms() {
        assert_eq!(to_a_label("bücher").as_deref(), Some("xn--bcher-kva"));
        assert_eq!(to_a_label("münchen").as_deref(), Some("xn--mnchen-3ya"));
        assert_eq!(
            to_a_label("παράδειγμα").as_deref(),
            Some("xn--hxajbheg2az3al")
        );
        assert_eq!(to_a_label("例子").as_deref(), Some("xn--fsqu00a"));
    }

    #[test]
    fn a_label_that_grows_beyond_63_octets_is_none() {
        assert_eq!(to_a_label(&"ü".repeat(200)), None);
    }
}
