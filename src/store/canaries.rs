//! Minted canaries.

use rusqlite::{Connection, TransactionBehavior, params};

use crate::engine::canary::{Canary, NormalizedUrl, UrlError};

/// A canary as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredCanary {
    /// Lower-case letters and digits.
    pub id: String,
    /// The URL as it was given away.
    pub url: String,
    /// The channel that it was given to.
    pub channel: String,
    /// The owner's words for it.
    pub label: Option<String>,
    /// A string that stands in its URL and nowhere else.
    pub token: Option<String>,
    /// Whether it was given to nobody.
    pub control: bool,
    /// When it was made, RFC 3339.
    pub created: String,
}

impl StoredCanary {
    /// The canary as the engine looks for it.
    ///
    /// # Errors
    /// Its URL is none (only when somebody else wrote it).
    pub fn to_canary(&self) -> Result<Canary, UrlError> {
        Ok(Canary {
            id: self.id.clone(),
            channel: self.channel.clone(),
            label: self.label.clone(),
            written: self.url.clone(),
            url: NormalizedUrl::parse(&self.url)?,
            token: self.token.clone(),
            control: self.control,
        })
    }
}

/// All of them, in the order in which they were made.
pub(super) fn all(connection: &Connection) -> rusqlite::Result<Vec<StoredCanary>> {
    connection
        .prepare_cached(
            "SELECT id, url, channel, label, token, control, created FROM canaries ORDER BY rowid",
        )?
        .query_map([], |row| {
            Ok(StoredCanary {
                id: row.get(0)?,
                url: row.get(1)?,
                channel: row.get(2)?,
                label: row.get(3)?,
                token: row.get(4)?,
                control: row.get(5)?,
                created: row.get(6)?,
            })
        })?
        .collect()
}

/// Adds all of them or none.
pub(super) fn add(connection: &mut Connection, new: &[StoredCanary]) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for canary in new {
        transaction
            .prepare_cached(
                "INSERT INTO canaries (id, url, channel, label, token, control, created)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?
            .execute(params![
                canary.id,
                canary.url,
                canary.channel,
                canary.label,
                canary.token,
                canary.control,
                canary.created,
            ])?;
    }
    transaction.commit()
}
