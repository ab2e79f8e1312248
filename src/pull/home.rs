//! Where the copy of a tap lies, and what is remembered of the tap beside it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use crate::pull::PullError;
use crate::store::{ASIDE, Head};

/// The place of one tap's copy. It is held for one pull at a time.
#[derive(Debug)]
pub struct CopyHome {
    store: PathBuf,
    name: String,
    _lock: File,
}

/// Whether a tap may be called so: a name of one directory, which no file beside it bears.
pub fn is_tap_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=64).contains(&name.len())
        && name.bytes().all(plain)
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && !name.ends_with(".head")
        && !name.ends_with(".lock")
        && !name.contains(ASIDE)
}

/// A name for the tap on a host, as ssh takes it.
pub fn tap_name_of(host: &str) -> String {
    let host = host.rsplit('@').next().unwrap_or(host);
    let mut name: String = host
        .chars()
        .map(|c| match c {
            c if c.is_ascii_alphanumeric() || "._-".contains(c) => c,
            _ => '_',
        })
        .skip_while(|c| !c.is_ascii_alphanumeric())
        .take(64)
        .collect();
    if !is_tap_name(&name) {
        name = "tap".into();
    }
    name
}

/// What is remembered of the tap whose copy this directory is; None: it is no copy, or nothing is.
///
/// # Errors
/// It cannot be read, or is no link.
pub fn remembered_beside(directory: &Path) -> Result<Option<Head>, PullError> {
    let directory = fs::canonicalize(directory).unwrap_or_else(|_| directory.to_path_buf());
    let Some(name) = directory.file_name().and_then(|name| name.to_str()) else {
        return Ok(None);
    };
    read_head(&directory.with_file_name(format!("{name}.head")))
}

fn read_head(path: &Path) -> Result<Option<Head>, PullError> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(PullError::File(path.to_path_buf(), error)),
    };
    match text.trim().parse() {
        Ok(head) => Ok(Some(head)),
        Err(why) => Err(PullError::File(path.to_path_buf(), io::Error::other(why))),
    }
}

impl CopyHome {
    /// The place of the tap `name` in `store`; directories are made where they are missing.
    ///
    /// # Errors
    /// [`PullError::Running`]; what the file system says.
    pub fn open(store: &Path, name: &str) -> Result<Self, PullError> {
        let failed = |path: &Path| {
            let path = path.to_path_buf();
            move |error| PullError::File(path, error)
        };
        fs::create_dir_all(store).map_err(failed(store))?;
        let path = store.join(format!("{name}.lock"));
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&path)
            .map_err(failed(&path))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Err(PullError::Running(path)),
            Err(error) => return Err(PullError::File(path, error.into())),
        }
        Ok(Self {
            store: store.to_path_buf(),
            name: name.to_owned(),
            _lock: lock,
        })
    }

    /// The tap's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The copy's directory.
    pub fn directory(&self) -> PathBuf {
        self.store.join(&self.name)
    }

    /// Sets copy and memory aside under names of their own, because the tap begins anew. Gives
    /// the old copy's new name, if there was one.
    ///
    /// # Errors
    /// What the file system says; the memory goes last.
    pub fn set_aside(&self, date: &str) -> Result<Option<PathBuf>, PullError> {
        let aside = |suffix: &str| -> Result<Option<PathBuf>, PullError> {
            let from = self.store.join(format!("{}{suffix}", self.name));
            let to = free_name(&self.store, &format!("{}{ASIDE}{date}{suffix}", self.name));
            match fs::rename(&from, &to) {
                Ok(()) => Ok(Some(to)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(PullError::File(from, error)),
            }
        };
        let copy = aside("")?;
        aside(".head")?;
        Ok(copy)
    }

    /// The newest link that was ever seen of this tap.
    ///
    /// # Errors
    /// The file cannot be read, or holds no link: nothing is believed then.
    pub fn remembered(&self) -> Result<Option<Head>, PullError> {
        read_head(&self.head_path())
    }

    /// Remembers a newer link; it is on disk when this returns.
    ///
    /// # Errors
    /// What the file system says; the old one stays then.
    pub fn remember(&self, head: &Head) -> Result<(), PullError> {
        let path = self.head_path();
        let new = path.with_extension("head.new");
        let write = || -> io::Result<()> {
            let mut file = File::create(&new)?;
            writeln!(file, "{}:{}", head.seq, head.hash)?;
            file.sync_all()?;
            fs::rename(&new, &path)?;
            File::open(&self.store)?.sync_all()
        };
        write().map_err(|error| PullError::File(path.clone(), error))
    }

    fn head_path(&self) -> PathBuf {
        self.store.join(format!("{}.head", self.name))
    }
}

/// A name that nothing has yet.
fn free_name(folder: &Path, name: &str) -> PathBuf {
    let mut path = folder.join(name);
    let mut number = 1;
    while path.exists() {
        number += 1;
        path = folder.join(format!("{name}.{number}"));
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tap_is_called_as_its_host() {
        for (host, name) in [
            ("pi@tap.example.org", "tap.example.org"),
            ("fe80::1%eth0", "fe80__1_eth0"),
            ("[::1]", "1_"),
            ("::", "tap"),
            ("ssh://pi@tap:22", "tap_22"),
        ] {
            assert_eq!(tap_name_of(host), name);
            assert!(is_tap_name(name));
        }
    }

    #[test]
    fn a_name_that_leads_elsewhere_is_refused() {
        for name in [
            "",
            ".",
            "..",
            "a/b",
            "-a",
            ".a",
            "a.head",
            "a.lock",
            "a.before-b",
            "ä",
        ] {
            assert!(!is_tap_name(name), "{name}");
        }
    }

    #[test]
    fn what_is_remembered_comes_back_and_what_is_no_link_is_not_believed() {
        let folder = tempfile::tempdir().unwrap();
        let home = CopyHome::open(folder.path(), "pi").unwrap();
        assert_eq!(home.remembered().unwrap(), None);
        let head = Head {
            seq: 7,
            hash: "a".repeat(64),
        };
        home.remember(&head).unwrap();
        assert_eq!(home.remembered().unwrap(), Some(head));
        fs::write(folder.path().join("pi.head"), "7").unwrap();
        assert!(home.remembered().is_err());
    }

    #[test]
    fn one_pull_holds_the_place_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let first = CopyHome::open(folder.path(), "pi").unwrap();
        let second = CopyHome::open(folder.path(), "pi");
        assert!(matches!(second, Err(PullError::Running(_))));
        CopyHome::open(folder.path(), "other").unwrap();
        drop(first);
        CopyHome::open(folder.path(), "pi").unwrap();
    }

    #[test]
    fn what_is_set_aside_is_there_under_another_name() {
        let folder = tempfile::tempdir().unwrap();
        let home = CopyHome::open(folder.path(), "pi").unwrap();
        for round in 1..3 {
            fs::create_dir(home.directory()).unwrap();
            fs::write(folder.path().join("pi.head"), "x").unwrap();
            let aside = home.set_aside("2013-04-30").unwrap().unwrap();
            assert!(aside.is_dir(), "{round}");
            assert!(!home.directory().exists());
        }
        assert!(home.set_aside("2013-04-30").unwrap().is_none());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 5);
    }
}
