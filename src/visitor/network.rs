//! The network of an address, from databases in MaxMind's format that lie on this machine.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use maxminddb::Reader;
use serde::Deserialize;

/// What databases say of an address. What is none they do not say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Network {
    /// Number of its autonomous system.
    pub system: Option<u32>,
    /// Who runs that.
    pub organisation: Option<String>,
    /// Country, as two letters.
    pub country: Option<String>,
}

/// Databases, in the order in which they were named: the first that says something counts.
#[derive(Default)]
pub struct Networks {
    databases: Vec<(PathBuf, Reader<Vec<u8>>)>,
}

impl fmt::Debug for Networks {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let paths = self.databases.iter().map(|(path, _)| path);
        formatter.debug_list().entries(paths).finish()
    }
}

/// A database that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabaseError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong.
    pub reason: String,
}

impl fmt::Display for DatabaseError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{} is no database in MaxMind's format (.mmdb) that can be used: {}",
            self.path.display(),
            self.reason
        )
    }
}

impl Networks {
    /// Adds a database: its whole file is read into memory.
    ///
    /// # Errors
    /// The file cannot be read, or is none.
    pub fn add(&mut self, path: &Path) -> Result<(), DatabaseError> {
        let reader = Reader::open_readfile(path).map_err(|error| DatabaseError {
            path: path.to_owned(),
            reason: error.to_string(),
        })?;
        self.databases.push((path.to_owned(), reader));
        Ok(())
    }

    /// Whether there is any.
    pub fn is_empty(&self) -> bool {
        self.databases.is_empty()
    }

    /// What they say of an address.
    pub fn of(&self, address: IpAddr) -> Network {
        let mut network = Network::default();
        for (_, reader) in &self.databases {
            // A damaged entry says nothing; another database may.
            let entry = reader
                .lookup(address)
                .ok()
                .and_then(|found| found.decode::<Entry>().ok());
            if let Some(entry) = entry.flatten() {
                entry.join(&mut network);
            }
        }
        network
    }
}

/// What is read of an entry, in the shapes of GeoLite2 and DB-IP (`autonomous_system_number`,
/// `country` as a map) and of IPinfo (`asn` as text, `country_code`).
#[derive(Deserialize)]
struct Entry {
    autonomous_system_number: Option<u32>,
    autonomous_system_organization: Option<String>,
    asn: Option<String>,
    as_name: Option<String>,
    name: Option<String>,
    country: Option<Country>,
    country_code: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Country {
    Map { iso_code: Option<String> },
    Text(String),
}

impl Entry {
    fn join(self, network: &mut Network) {
        let number = self
            .asn
            .as_deref()
            .and_then(|asn| asn.trim_start_matches("AS").parse().ok());
        let country = match self.country {
            Some(Country::Map { iso_code }) => iso_code,
            Some(Country::Text(text)) => Some(text).filter(|text| text.len() == 2),
            None => None,
        };
        fill(
            &mut network.system,
            self.autonomous_system_number.or(number),
        );
        let organisation = self
            .autonomous_system_organization
            .or(self.as_name)
            .or(self.name);
        fill(&mut network.organisation, organisation);
        fill(&mut network.country, self.country_code.or(country));
    }
}

fn fill<T>(into: &mut Option<T>, found: Option<T>) {
    if into.is_none() {
        *into = found;
    }
}

impl fmt::Display for Network {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let system = self.system.map(|number| format!("AS{number}"));
        let parts = [system, self.organisation.clone(), self.country.clone()];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        match parts.is_empty() {
            true => formatter.write_str("network not known"),
            false => formatter.write_str(&parts.join(" ")),
        }
    }
}
