//! Passwords and tokens: read when they are needed, from where only we look.

use std::env;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::config::Secret;
use crate::outbound::SendError;

/// Reads a secret; one line break at its end is none of it.
pub(super) fn read(secret: &Secret) -> Result<String, SendError> {
    let path = path_of(secret)?;
    let wrong = |why: &dyn std::fmt::Display| {
        SendError::Later(format!("cannot read {}: {why}", path.display()))
    };
    let found = fs::metadata(&path).map_err(|error| wrong(&error))?;
    if found.mode() & 0o004 != 0 {
        let why = format!("everybody can; sudo chmod o-rwx {}", path.display());
        return Err(wrong(&why));
    }
    if found.len() > BYTES_MAX {
        return Err(wrong(&"it is too long for a secret"));
    }
    let text = fs::read_to_string(&path).map_err(|error| wrong(&error))?;
    let text = text.trim_end_matches(['\r', '\n']);
    if text.is_empty() || text.contains(char::is_control) {
        return Err(wrong(&"a secret is one line that is not empty"));
    }
    Ok(text.to_owned())
}

fn path_of(secret: &Secret) -> Result<PathBuf, SendError> {
    match secret {
        Secret::File(path) => Ok(path.clone()),
        Secret::Credential(name) => match env::var_os("CREDENTIALS_DIRECTORY") {
            Some(folder) => Ok(Path::new(&folder).join(name)),
            None => Err(SendError::Later(format!(
                "the credential {name} is given to the service only: \
                 sudo systemctl edit canarytap-alert, [Service], LoadCredential={name}:FILE"
            ))),
        },
    }
}

const BYTES_MAX: u64 = 4096;

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_secret_is_one_line_that_others_cannot_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        let read_with = |text: &str, mode| {
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            read(&Secret::File(path.clone()))
        };
        assert_eq!(read_with("hush\n", 0o640), Ok("hush".into()));
        for (text, mode, words) in [
            ("hush", 0o644, "chmod o-rwx"),
            ("", 0o600, "one line"),
            ("a\nb", 0o600, "one line"),
        ] {
            let error = read_with(text, mode).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
            assert!(!error.contains("hush"), "{error}");
        }
    }

    #[test]
    fn a_credential_outside_the_service_says_how_to_give_it() {
        let error = read(&Secret::Credential("none".into())).unwrap_err();
        assert!(error.to_string().contains("LoadCredential=none"), "{error}");
    }
}
