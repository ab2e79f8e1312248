//! Times as a reader of the report wants them: in a zone, with UTC beside.

use jiff::tz::TimeZone;
use maud::{Markup, html};

use crate::engine::frame::Timestamp;

/// The zone in which times are shown.
#[derive(Clone, Debug)]
pub(super) struct Zone(TimeZone);

impl Zone {
    /// The zone of this name in the IANA database.
    ///
    /// # Errors
    /// There is none; the text says what would be.
    pub(super) fn named(name: &str) -> Result<Self, String> {
        if name.eq_ignore_ascii_case("utc") {
            return Ok(Self(TimeZone::UTC));
        }
        TimeZone::get(name).map(Self).map_err(|_| {
            "this machine knows no such zone; give one of the IANA database, such as \
             Europe/Berlin, or UTC"
                .to_owned()
        })
    }

    /// This machine's.
    pub(super) fn of_this_machine() -> Self {
        Self(TimeZone::try_system().unwrap_or(TimeZone::UTC))
    }

    /// Its name.
    pub(super) fn name(&self) -> String {
        self.0
            .iana_name()
            .unwrap_or("this machine's zone")
            .to_owned()
    }

    fn is_utc(&self) -> bool {
        self.0 == TimeZone::UTC
    }

    /// A moment in the zone, with UTC beside it: `2026-11-01 12:00:32 CET (11:00:32 UTC)`.
    pub(super) fn show(&self, at: Timestamp) -> String {
        match self.parts(at) {
            Some((here, Some(there))) => format!("{here} ({there})"),
            Some((here, None)) => here,
            None => "-".to_owned(),
        }
    }

    /// The same for a cell of a table, where it may break between the two.
    pub(super) fn cell(&self, at: Timestamp) -> Markup {
        let (here, there) = self.parts(at).unwrap_or_default();
        html! {
            time datetime=(at) { (here) }
            @if let Some(there) = there { " " time datetime=(at) { "(" (there) ")" } }
        }
    }

    /// None beside a time that is UTC already.
    fn parts(&self, at: Timestamp) -> Option<(String, Option<String>)> {
        let at = instant(at)?;
        let utc = at.to_zoned(TimeZone::UTC);
        if self.is_utc() {
            return Some((utc.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(), None));
        }
        let here = at.to_zoned(self.0.clone());
        let there = match here.date() == utc.date() {
            true => utc.strftime("%H:%M:%S UTC"),
            false => utc.strftime("%Y-%m-%d %H:%M:%S UTC"),
        };
        let here = here.strftime("%Y-%m-%d %H:%M:%S %Z").to_string();
        Some((here, Some(there.to_string())))
    }

    /// A moment for an axis, to the day or to the minute.
    pub(super) fn tick(&self, at: Timestamp, to_the_day: bool) -> String {
        let Some(at) = instant(at) else {
            return String::new();
        };
        let here = at.to_zoned(self.0.clone());
        let form = if to_the_day {
            "%Y-%m-%d"
        } else {
            "%m-%d %H:%M"
        };
        here.strftime(form).to_string()
    }
}

fn instant(at: Timestamp) -> Option<jiff::Timestamp> {
    jiff::Timestamp::from_nanosecond(i128::from(at.as_nanos())).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn utc_stands_beside_the_zone() {
        let zone = Zone(TimeZone::fixed(jiff::tz::offset(2)));
        let at = Timestamp::from_secs_nanos(1_367_342_912, 5);
        assert_eq!(zone.show(at), "2013-04-30 19:28:32 +02 (17:28:32 UTC)");
        let late = Timestamp::from_secs_nanos(1_367_342_912 + 5 * 3600, 0);
        assert_eq!(
            zone.show(late),
            "2013-05-01 00:28:32 +02 (2013-04-30 22:28:32 UTC)"
        );
        let utc = Zone::named("utc").unwrap();
        assert_eq!(utc.show(at), "2013-04-30 17:28:32 UTC");
    }

    #[test]
    fn a_zone_that_is_none_is_refused() {
        assert!(
            Zone::named("Middle/Earth")
                .unwrap_err()
                .contains("Europe/Berlin")
        );
    }
}
