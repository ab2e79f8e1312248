//! Times as users write them: RFC 3339 or an age.

use std::time::Duration;

use crate::engine::frame::Timestamp;

/// This moment by the system's clock; its epoch when the clock stands before that.
pub fn now() -> Timestamp {
    let nanos = jiff::Timestamp::now().as_nanosecond();
    Timestamp::from_nanos(u64::try_from(nanos).unwrap_or(0))
}

/// The time that `text` names: RFC 3339 (`2013-04-30T17:28:32Z`, `2013-04-30T19:28:32+02:00`) or
/// an age before `now` (`90m`, `24h`, `7d`).
///
/// # Errors
/// It is neither; the text says what would be.
pub fn parse(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    match (age(text), instant(text)) {
        (Some(age), _) => Ok(earlier(now, age)),
        (None, Some(instant)) => Ok(instant),
        (None, None) => Err(
            "give RFC 3339 with a zone (2013-04-30T17:28:32Z) or an age (90s, 90m, 24h, 7d)".into(),
        ),
    }
}

/// Whether it is an age, which goes by the clock of this machine.
pub fn is_age(text: &str) -> bool {
    age(text).is_some()
}

fn age(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        "w" => 604_800,
        _ => return None,
    };
    if !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None; // a sign is no age
    }
    let count: u64 = digits.parse().ok()?;
    Some(Duration::from_secs(count.saturating_mul(seconds)))
}

fn instant(text: &str) -> Option<Timestamp> {
    let time: jiff::Timestamp = text.parse().ok()?;
    // What lies before the epoch lies before every event.
    Some(Timestamp::from_nanos(
        u64::try_from(time.as_nanosecond()).unwrap_or(0),
    ))
}

fn earlier(now: Timestamp, age: Duration) -> Timestamp {
    let nanos = u64::try_from(age.as_nanos()).unwrap_or(u64::MAX);
    Timestamp::from_nanos(now.as_nanos().saturating_sub(nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs_nanos(1_367_342_912, 0);

    fn read(text: &str) -> String {
        parse(text, NOW).unwrap().to_string()
    }

    #[test]
    fn an_age_counts_back_from_now() {
        assert_eq!(read("90m"), "2013-04-30T15:58:32.000000Z");
        assert_eq!(read("24h"), "2013-04-29T17:28:32.000000Z");
        assert_eq!(read("7d"), "2013-04-23T17:28:32.000000Z");
        assert_eq!(read("99999999999999999w"), "1970-01-01T00:00:00.000000Z");
    }

    #[test]
    fn rfc_3339_is_read_with_its_zone() {
        assert_eq!(
            read("2013-04-30T17:28:32.5Z"),
            "2013-04-30T17:28:32.500000Z"
        );
        assert_eq!(
            read("2013-04-30T19:28:32+02:00"),
            "2013-04-30T17:28:32.000000Z"
        );
    }

    #[test]
    fn what_is_neither_is_refused() {
        for text in [
            "",
            "m",
            "7",
            "-7d",
            "7x",
            "yesterday",
            "2013-04-30",
            "ä",
            "+1h",
            "1é",
        ] {
            assert!(parse(text, NOW).is_err(), "{text}");
        }
    }
}
