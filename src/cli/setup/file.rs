//! The configuration file: read before the questions, replaced whole after them.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, chown};
use std::path::{Path, PathBuf};

use crate::cli::Failure;

/// As it is installed; what a machine without a file begins with.
const EXAMPLE: &str = include_str!("../../../config/canarytap.toml");

/// A file that may be replaced.
#[derive(Debug)]
pub(super) struct ConfigFile {
    path: PathBuf,
    /// What stands in it now; nothing where there is no file.
    pub(super) before: Option<String>,
}

impl ConfigFile {
    /// Reads it, and sees whether it may be replaced, so that nobody answers in vain.
    ///
    /// # Errors
    /// With the cure.
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        // What a link leads to is replaced, not the link.
        let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let before = match fs::read_to_string(&path) {
            Ok(text) => Some(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(refused(&path, "read", &error)),
        };
        let file = Self { path, before };
        let trial = file.beside();
        file.make(&trial)
            .and_then(|_| fs::remove_file(&trial))
            .map_err(|error| refused(&file.path, "written", &error))?;
        Ok(file)
    }

    /// What is edited: the file, or the example where there is none.
    pub(super) fn text(&self) -> &str {
        self.before.as_deref().unwrap_or(EXAMPLE)
    }

    /// Replaces it at once: whoever reads it sees the old or the new one, also after a power cut.
    ///
    /// # Errors
    /// With the cure.
    pub(super) fn write(&self, text: &str) -> Result<(), Failure> {
        let new = self.beside();
        let written = self.make(&new).and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&new, &self.path)?;
            File::open(self.folder())?.sync_all()
        });
        written.map_err(|error| {
            let _gone_already = fs::remove_file(&new);
            refused(&self.path, "written", &error)
        })
    }

    /// An empty file with the mode and the owner of the one that it shall replace.
    fn make(&self, path: &Path) -> io::Result<File> {
        fs::create_dir_all(self.folder())?;
        let old = fs::metadata(&self.path).ok();
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(MODE)
            .open(path)?;
        if let Some(old) = old {
            file.set_permissions(old.permissions())?;
            chown(path, Some(old.uid()), Some(old.gid()))?;
        }
        Ok(file)
    }

    fn beside(&self) -> PathBuf {
        let mut name = self.path.file_name().unwrap_or_default().to_owned();
        name.push(".new");
        self.path.with_file_name(name)
    }

    fn folder(&self) -> &Path {
        match self.path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        }
    }
}

fn refused(path: &Path, what: &str, error: &io::Error) -> Failure {
    let cure = match error.kind() {
        io::ErrorKind::PermissionDenied => "; run it as root: sudo canarytap setup",
        _ => "; name another file with -c FILE",
    };
    Failure::Usage(format!(
        "{} cannot be {what}: {error}{cure}",
        path.display()
    ))
}

/// Everybody may read it: it holds no secret, and every command reads it.
const MODE: u32 = 0o644;

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    #[test]
    fn a_file_that_is_missing_begins_as_the_example() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("etc/canarytap.toml");
        let file = ConfigFile::open(&path).unwrap();
        assert_eq!((file.before.as_deref(), file.text()), (None, EXAMPLE));
        assert!(!path.exists(), "a trial leaves nothing behind");
        file.write("[capture]\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "[capture]\n");
    }

    #[test]
    fn what_is_replaced_keeps_its_mode_and_links_to_it() {
        let folder = tempfile::tempdir().unwrap();
        let (path, link) = (folder.path().join("real"), folder.path().join("link"));
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        symlink(&path, &link).unwrap();
        ConfigFile::open(&link).unwrap().write("new").unwrap();
        assert!(link.is_symlink());
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }
}
