//! The directory and the database file: made with the right modes, whatever the umask is.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::store::{DATABASE, StoreError, taps};

/// Makes the directory and an empty database file where they are missing, and sees to it that
/// both survive a power cut. SQLite gives the files that it makes beside it the same mode.
pub(super) fn prepare(directory: &Path) -> Result<PathBuf, StoreError> {
    make_directory(directory)?;
    let path = directory.join(DATABASE);
    if make_file(&path)? {
        sync_directory(directory)?;
    }
    Ok(path)
}

/// The database of a store that is there already.
pub(super) fn find(directory: &Path) -> Result<PathBuf, StoreError> {
    let path = directory.join(DATABASE);
    match fs::metadata(&path) {
        Ok(found) if found.is_file() => Ok(path),
        Ok(_) => Err(StoreError::Damaged {
            path,
            reason: "it is no file".into(),
        }),
        Err(error) if is_absent(&error) => Err(missing(directory)),
        Err(error) => Err(StoreError::io(&path, "open", error)),
    }
}

/// There is no store, or there are those of several taps.
fn missing(directory: &Path) -> StoreError {
    let directory = directory.to_path_buf();
    match taps::taps(&directory) {
        taps if taps.is_empty() => StoreError::Missing { directory },
        taps => StoreError::Several { directory, taps },
    }
}

/// Makes the entries of a directory survive a power cut.
pub(super) fn sync_directory(directory: &Path) -> Result<(), StoreError> {
    File::open(directory)
        .and_then(|folder| folder.sync_all())
        .map_err(|error| StoreError::io(directory, "sync", error))
}

/// Makes the directory where it is missing.
///
/// # Errors
/// What the file system says.
pub fn make_directory(directory: &Path) -> Result<(), StoreError> {
    if directory.is_dir() {
        return Ok(());
    }
    make_for_group(directory).map_err(|error| StoreError::io(directory, "make", error))?;
    match directory.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => sync_directory(parent),
        _ => sync_directory(Path::new(".")),
    }
}

/// Makes a directory in which owner and group do everything, whose new files inherit the group, and
/// of which others see nothing.
///
/// The service may not set the bit that hands on the group (`RestrictSUIDSGID`): it is asked for only
/// where the directory above has not handed it on.
///
/// # Errors
/// What the file system says.
pub fn make_for_group(directory: &Path) -> io::Result<()> {
    if let Some(parent) = directory.parent() {
        fs::create_dir_all(parent)?;
    }
    let made = DirBuilder::new()
        .mode(DIRECTORY_MODE & 0o777)
        .create(directory);
    match made {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        other => other?,
    }
    let mode = fs::metadata(directory)?.permissions().mode();
    match mode & 0o7777 {
        DIRECTORY_MODE => Ok(()),
        _ => fs::set_permissions(directory, Permissions::from_mode(DIRECTORY_MODE)),
    }
}

pub(super) fn make_file(path: &Path) -> Result<bool, StoreError> {
    let made = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(FILE_MODE)
        .open(path);
    match made {
        Ok(file) => file
            .set_permissions(Permissions::from_mode(FILE_MODE))
            .map(|()| true)
            .map_err(|error| StoreError::io(path, "set the mode of", error)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(StoreError::io(path, "make", error)),
    }
}

/// Where the disk first gives nothing back of a file that is there. Reads all of it.
pub(super) fn first_unread(path: &Path) -> Option<u64> {
    let file = File::open(path).ok()?;
    let (mut piece, mut place) = (vec![0; PIECE_BYTES], 0);
    loop {
        match file.read_at(&mut piece, place) {
            Ok(0) => return None,
            Ok(read) => place += read as u64,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return Some(place),
        }
    }
}

fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// Owner and group do everything, new files inherit the group, others see nothing.
const DIRECTORY_MODE: u32 = 0o2770;
const FILE_MODE: u32 = 0o660;
/// So much is read at once.
const PIECE_BYTES: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn a_new_directory_and_its_database_are_for_owner_and_group() {
        let folder = tempfile::tempdir().unwrap();
        let directory = folder.path().join("data");
        let path = prepare(&directory).unwrap();
        assert_eq!((mode(&directory), mode(&path)), (0o2770, 0o660));
    }

    #[test]
    fn a_directory_that_is_there_keeps_its_mode() {
        let folder = tempfile::tempdir().unwrap();
        let before = mode(folder.path());
        prepare(folder.path()).unwrap();
        assert_eq!(mode(folder.path()), before);
    }

    #[test]
    fn a_directory_without_a_database_is_a_missing_store() {
        let folder = tempfile::tempdir().unwrap();
        let error = find(folder.path()).unwrap_err();
        assert!(matches!(error, StoreError::Missing { .. }), "{error}");
    }

    #[test]
    fn a_file_where_the_directory_should_be_is_a_missing_store() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, b"").unwrap();
        assert!(matches!(find(&file), Err(StoreError::Missing { .. })));
    }
}
