//! What somebody does who holds the whole tap, and lies.

use std::path::Path;

use ring::digest::{SHA256, digest};
use rusqlite::Connection;
use serde_json::Value;

/// Changes the record `first`, and makes the chain anew from there on.
pub fn rewrite(database: &Path, first: u64) {
    let database = Connection::open(database).unwrap();
    let before = database.query_row(
        "SELECT hash FROM visits WHERE seq < ?1 ORDER BY seq DESC LIMIT 1",
        [first],
        |row| row.get(0),
    );
    let mut before = before.unwrap_or("0".repeat(64));
    for (seq, record) in links_from(&database, first) {
        let mut fields: Value = serde_json::from_str(&record).unwrap();
        if seq == first {
            fields["time"] = "2013-04-30T00:00:00.000000Z".into();
        }
        fields["prev"] = before.into();
        let record = serde_json::to_string(&fields).unwrap(); // keys are sorted
        before = sha256(record.as_bytes());
        let statement = "UPDATE visits SET record = ?2, hash = ?3 WHERE seq = ?1";
        database.execute(statement, (seq, record, &before)).unwrap();
    }
}

fn links_from(database: &Connection, first: u64) -> Vec<(u64, String)> {
    let mut links = database
        .prepare("SELECT seq, record FROM visits WHERE seq >= ?1 ORDER BY seq")
        .unwrap();
    let links = links.query_map([first], |row| Ok((row.get(0)?, row.get(1)?)));
    links.unwrap().map(Result::unwrap).collect()
}

/// Lower-case hex.
pub fn sha256(bytes: &[u8]) -> String {
    let digest = digest(&SHA256, bytes);
    let hex = digest.as_ref().iter().map(|byte| format!("{byte:02x}"));
    hex.collect()
}
