//! Records of the chain that are no events: what the owner noted, what the tap noted of itself.

use rusqlite::{Connection, params};
use serde::de::DeserializeOwned;

use crate::store::schema::{key, other_kinds};

/// Those of one kind, from the record `first` on, in the order of `seq`.
pub(super) fn of_kind<T: DeserializeOwned>(
    connection: &Connection,
    kind: &str,
    first: u64,
) -> rusqlite::Result<Vec<(u64, T)>> {
    let mut statement = connection.prepare_cached(OF_KIND)?;
    let rows = statement.query_map(params![kind, first], |row| {
        let (seq, record): (u64, String) = (row.get(0)?, row.get(1)?);
        Ok(serde_json::from_str(&record).ok().map(|read| (seq, read)))
    })?;
    rows.filter_map(Result::transpose).collect()
}

const OF_KIND: &str = concat!(
    "SELECT seq, record FROM visits WHERE ",
    key!("kind"),
    " = ?1 AND ",
    other_kinds!(),
    " AND seq >= ?2 ORDER BY seq"
);

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::store::{EventQuery, Store, StoreError, StoreOptions, StoreReader};

    #[test]
    fn records_of_other_kinds_stand_in_the_chain_and_are_no_lines_of_the_log() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Store::open(folder.path(), StoreOptions::default()).unwrap();
        let numbers = store
            .add_records("remark", &[json!({"text": "one"}), json!({"text": "two"})])
            .unwrap();
        store
            .add_records("other", &[json!({"text": "three"})])
            .unwrap();
        assert_eq!(numbers, [1, 2]);

        let reader = StoreReader::open(folder.path()).unwrap();
        let texts = |kind, first| -> Vec<String> {
            let found: Vec<(u64, Value)> = reader.records(kind, first).unwrap();
            found
                .iter()
                .map(|(seq, record)| format!("{seq} {}", record["text"]))
                .collect()
        };
        assert_eq!(texts("remark", 0), [r#"1 "one""#, r#"2 "two""#]);
        assert_eq!(texts("remark", 2), [r#"2 "two""#]);
        assert_eq!(texts("none", 0), [""; 0]);
        assert!(reader.verify(&[]).unwrap().broken.is_none());
        let unreadable = reader
            .for_each(&EventQuery::default(), |event| -> Result<_, StoreError> {
                panic!("no event: {event:?}")
            })
            .unwrap();
        assert_eq!(unreadable.count, 0);
    }
}
