//! Which events are asked for, and the SQL that asks.

use rusqlite::ToSql;

use crate::engine::frame::Timestamp;
use crate::store::EventRecord;
use crate::store::schema::key;
use crate::store::spans::micros;

/// Which events are asked for; the default is all. Every condition must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventQuery {
    /// At this time or later.
    pub since: Option<Timestamp>,
    /// At this time or earlier.
    pub until: Option<Timestamp>,
    /// With a `seq` larger than this.
    pub after: u64,
    /// Visits to the canary with this id.
    pub canary: Option<String>,
    /// Visits to canaries of this channel.
    pub channel: Option<String>,
    /// Alerts only.
    pub alerts: bool,
}

impl EventQuery {
    /// Whether a record from elsewhere than the tables is asked for, whatever its number.
    pub(super) fn takes(&self, record: &EventRecord) -> bool {
        let same =
            |wanted: &Option<String>, found: &Option<String>| wanted.is_none() || wanted == found;
        same(&self.canary, &record.canary)
            && same(&self.channel, &record.channel)
            && (record.alert || !self.alerts)
            && self.covers(record)
    }

    /// Whether a record lies within the time that is asked for.
    pub(super) fn covers(&self, record: &EventRecord) -> bool {
        let (since, until) = (self.since, self.until);
        since.is_none_or(|since| since.to_string() <= record.time)
            && until.is_none_or(|until| until.to_string() >= record.time)
    }

    /// Whether only some time is asked for.
    pub(super) const fn has_bounds(&self) -> bool {
        self.since.is_some() || self.until.is_some()
    }

    /// The same at any time.
    pub(super) fn at_any_time(&self) -> Self {
        Self {
            since: None,
            until: None,
            ..self.clone()
        }
    }

    /// Only visits can fulfil it, so that requests need not be looked at.
    const fn is_about_visits(&self) -> bool {
        self.canary.is_some() || self.channel.is_some() || self.alerts
    }
}

/// A query made ready: its SQL, and what goes into it beside the range of `seq`.
pub(super) struct Prepared {
    pub(super) sql: String,
    parameters: Vec<(&'static str, Box<dyn ToSql>)>,
}

impl Prepared {
    pub(super) fn new(query: &EventQuery) -> Self {
        let mut prepared = Self {
            sql: String::from(VISITS),
            parameters: Vec::new(),
        };
        if let Some(canary) = &query.canary {
            prepared.and(CANARY_IS, ":canary", Box::new(canary.clone()));
        }
        if let Some(channel) = &query.channel {
            prepared.and(CHANNEL_IS, ":channel", Box::new(channel.clone()));
        }
        if query.alerts {
            prepared.sql.push_str(ALERTS);
        }
        if let Some(since) = query.since {
            prepared.and(VISIT_SINCE, ":since", Box::new(since.to_string()));
        }
        if let Some(until) = query.until {
            prepared.and(VISIT_UNTIL, ":until", Box::new(until.to_string()));
        }
        if !query.is_about_visits() {
            prepared.requests(query);
        }
        prepared.sql.push_str(" ORDER BY seq LIMIT :limit");
        prepared
    }

    /// All parameters, those of one page included.
    pub(super) fn bind<'a>(
        &'a self,
        range: &'a (u64, u64),
        limit: &'a usize,
    ) -> Vec<(&'static str, &'a dyn ToSql)> {
        let own = self
            .parameters
            .iter()
            .map(|(name, value)| (*name, &**value));
        let page: [(&'static str, &dyn ToSql); 3] =
            [(":first", &range.0), (":last", &range.1), (":limit", limit)];
        own.chain(page).collect()
    }

    fn requests(&mut self, query: &EventQuery) {
        self.sql.push_str(REQUESTS);
        if let Some(since) = query.since {
            let since = Box::new(micros(since));
            self.and(" AND time >= :since_micros", ":since_micros", since);
        }
        if let Some(until) = query.until {
            let until = Box::new(micros(until));
            self.and(" AND time <= :until_micros", ":until_micros", until);
        }
    }

    fn and(&mut self, condition: &str, name: &'static str, value: Box<dyn ToSql>) {
        self.sql.push_str(condition);
        self.parameters.push((name, value));
    }
}

/// A record without a kind was tampered with: it is shown as one that cannot be read. Kinds that
/// are no lines of the log, or not known here, are passed over.
const VISITS: &str = concat!(
    "SELECT seq, record, NULL AS status FROM visits WHERE seq BETWEEN :first AND :last AND ifnull(",
    key!("kind"),
    ", 'visit') IN ('visit', 'hello', 'fold', 'health')"
);
const REQUESTS: &str = " UNION ALL SELECT seq, record, status FROM requests
    WHERE seq BETWEEN :first AND :last";
const CANARY_IS: &str = concat!(" AND ", key!("canary"), " = :canary");
const CHANNEL_IS: &str = concat!(" AND ", key!("channel"), " = :channel");
const ALERTS: &str = concat!(" AND ", key!("alert"), " = 1");
const VISIT_SINCE: &str = concat!(" AND ", key!("time"), " >= :since");
const VISIT_UNTIL: &str = concat!(" AND ", key!("time"), " <= :until");

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;
    use crate::store::schema::open_for_writing;

    fn plan(query: &EventQuery) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = crate::store::files::prepare(folder.path()).unwrap();
        let connection: Connection = open_for_writing(&path).unwrap();
        let prepared = Prepared::new(query);
        let mut statement = connection
            .prepare(&format!("EXPLAIN QUERY PLAN {}", prepared.sql))
            .unwrap();
        let steps: Vec<String> = statement
            .query_map(&prepared.bind(&(1, 9), &10)[..], |row| row.get(3))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        steps.join("\n")
    }

    #[test]
    fn events_come_in_order_without_being_sorted() {
        let plan = plan(&EventQuery {
            since: Some(Timestamp::from_nanos(5)),
            until: Some(Timestamp::from_nanos(9)),
            ..EventQuery::default()
        });
        assert!(!plan.contains("TEMP B-TREE"), "{plan}");
        assert!(plan.contains("MERGE"), "{plan}");
    }

    #[test]
    fn each_filter_on_visits_has_its_index() {
        let default = EventQuery::default;
        let cases = [
            (
                EventQuery {
                    canary: Some("c".into()),
                    ..default()
                },
                "visits_by_canary",
            ),
            (
                EventQuery {
                    channel: Some("c".into()),
                    ..default()
                },
                "visits_by_channel",
            ),
            (
                EventQuery {
                    alerts: true,
                    ..default()
                },
                "visits_that_alert",
            ),
        ];
        for (query, index) in cases {
            let plan = plan(&query);
            assert!(plan.contains(index), "{plan}");
            assert!(!plan.contains("TEMP B-TREE"), "{plan}");
        }
    }
}
