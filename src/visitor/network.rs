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

#[cfg(test)]
mod tests {
    use std::fs::File;

    use maxminddb_writer::metadata::IpVersion;
    use maxminddb_writer::paths::IpAddrWithMask;
    use serde::Serialize;
    use serde_json::{Value, json};

    use super::*;

    /// Numbers of systems have 32 bits in these databases; JSON's would be written with 64.
    #[derive(Serialize)]
    #[serde(untagged)]
    enum Shape {
        System {
            autonomous_system_number: u32,
            autonomous_system_organization: &'static str,
        },
        Other(Value),
    }

    /// A database that holds each value for its network.
    fn write(path: &Path, version: IpVersion, entries: &[(&str, Shape)]) {
        let mut database = maxminddb_writer::Database::default();
        database.metadata.ip_version = version;
        database.metadata.binary_format_major_version = 2;
        for (network, value) in entries {
            let data = database.insert_value(value).unwrap();
            database.insert_node(network.parse::<IpAddrWithMask>().unwrap(), data);
        }
        database.write_to(File::create(path).unwrap()).unwrap();
    }

    fn said(entries: &[(&str, Shape)], address: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.mmdb");
        write(&path, IpVersion::V4, entries);
        let mut networks = Networks::default();
        networks.add(&path).unwrap();
        networks.of(address.parse().unwrap()).to_string()
    }

    #[test]
    fn the_shapes_of_each_vendor_are_read() {
        let geolite_asn = Shape::System {
            autonomous_system_number: 8075,
            autonomous_system_organization: "MICROSOFT-CORP-MSN-AS-BLOCK",
        };
        let geolite_country = Shape::Other(json!({
            "country": {"geoname_id": 1, "iso_code": "US", "names": {"en": "United States"}}
        }));
        let ipinfo = Shape::Other(json!({
            "asn": "AS8075", "as_name": "Microsoft Corporation", "as_domain": "microsoft.com",
            "country": "United States", "country_code": "US", "continent": "North America"
        }));
        let ipinfo_country =
            Shape::Other(json!({"country": "US", "country_name": "United States"}));
        for (shape, words) in [
            (geolite_asn, "AS8075 MICROSOFT-CORP-MSN-AS-BLOCK"),
            (geolite_country, "US"),
            (ipinfo, "AS8075 Microsoft Corporation US"),
            (ipinfo_country, "US"),
        ] {
            let entries = [("65.52.0.0/14", shape)];
            assert_eq!(said(&entries, "65.52.100.214"), words);
            assert_eq!(said(&entries, "203.0.113.7"), "network not known");
        }
    }

    #[test]
    fn an_entry_of_another_shape_says_nothing() {
        assert_eq!(
            said(&[("0.0.0.0/1", Shape::Other(json!("text")))], "1.2.3.4"),
            "network not known"
        );
        assert_eq!(
            said(&[("0.0.0.0/1", Shape::Other(json!({"x": "y"})))], "1.2.3.4"),
            "network not known"
        );
    }

    #[test]
    fn several_databases_complete_each_other_and_the_first_counts() {
        let folder = tempfile::tempdir().unwrap();
        let mut networks = Networks::default();
        let shapes = [
            Shape::System {
                autonomous_system_number: 64500,
                autonomous_system_organization: "Example",
            },
            Shape::Other(json!({"asn": "AS64501", "as_name": "Other"})),
            Shape::Other(json!({"country": {"iso_code": "DE"}})),
        ];
        for (number, shape) in shapes.into_iter().enumerate() {
            let path = folder.path().join(format!("{number}.mmdb"));
            write(&path, IpVersion::V6, &[("2001:db8::/32", shape)]);
            networks.add(&path).unwrap();
        }
        let found = networks.of("2001:db8::7".parse().unwrap());
        assert_eq!(found.to_string(), "AS64500 Example DE");
    }

    #[test]
    fn a_file_that_is_no_database_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("no.mmdb");
        std::fs::write(&path, "this is no database").unwrap();
        let mut networks = Networks::default();
        let error = networks.add(&path).unwrap_err().to_string();
        assert!(
            error.contains("no.mmdb is no database in MaxMind's format"),
            "{error}"
        );
        assert!(networks.add(Path::new("/nowhere.mmdb")).is_err());
        assert!(networks.is_empty());
    }
}
