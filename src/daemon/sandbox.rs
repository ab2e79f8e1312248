//! Which files the daemon may use: Landlock, for this thread and all that it makes from then on.
//!
//! The unit's sandbox is systemd's; this one is the daemon's own, holds wherever it is started,
//! and cannot be widened later. No TCP port is listened on or connected to either, from Linux 6.7
//! on.

use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible as _, Ruleset,
    RulesetAttr as _, RulesetCreated, RulesetCreatedAttr as _, RulesetError, RulesetStatus,
    path_beneath_rules,
};

use crate::config::Config;
use crate::led;

/// The newest whose rights are known here; an older kernel keeps what it knows of them.
const KNOWN: ABI = ABI::V5;

/// What holds from now on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sandbox {
    /// `full`, `partial` or `none`: as much as the kernel knows.
    pub state: &'static str,
    /// Below these it may read.
    readable: Vec<PathBuf>,
}

impl Sandbox {
    /// Confines this thread to the files that `config` needs. Directories are there already.
    ///
    /// # Errors
    /// When the kernel refuses what it knows.
    pub fn enter(config: &Config) -> Result<Self, RulesetError> {
        let readable = readable(config);
        let status = rules(&readable, &writable(config))?.restrict_self()?;
        let state = match status.ruleset {
            RulesetStatus::FullyEnforced => "full",
            RulesetStatus::PartiallyEnforced => "partial",
            RulesetStatus::NotEnforced => "none",
        };
        Ok(Self { state, readable })
    }

    /// None of it: what a daemon is in before it enters.
    pub fn none() -> Self {
        Self {
            state: "none",
            readable: vec![PathBuf::from("/")],
        }
    }

    /// Whether a file may be read that a new configuration names.
    pub fn may_read(&self, path: &Path) -> bool {
        let folder = nearest(path.parent().unwrap_or(path));
        self.state == "none" || self.readable.iter().any(|below| folder.starts_with(below))
    }
}

fn rules(readable: &[PathBuf], writable: &[PathBuf]) -> Result<RulesetCreated, RulesetError> {
    let look = AccessFs::ReadFile | AccessFs::ReadDir;
    let drive = AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::IoctlDev;
    let list: BitFlags<AccessFs> = AccessFs::ReadDir.into();
    Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(KNOWN))?
        .handle_access(AccessNet::from_all(KNOWN))?
        .create()?
        .add_rules(path_beneath_rules(readable, look))?
        .add_rules(path_beneath_rules(["/dev"], list))? // chips are looked for
        .add_rules(path_beneath_rules(led::devices(), drive))?
        .add_rules(path_beneath_rules(writable, AccessFs::from_all(KNOWN)))
}

/// The configuration, what the kernel says of interfaces, clock and board, and key logs.
fn readable(config: &Config) -> Vec<PathBuf> {
    let logs = config.key_logs.iter();
    let files = logs.chain([&config.path]);
    ["/proc", "/sys"]
        .map(PathBuf::from)
        .into_iter()
        .chain(files.map(|file| nearest(file.parent().unwrap_or(file))))
        .collect()
}

fn writable(config: &Config) -> Vec<PathBuf> {
    let directories = [config.store.directory.clone(), config.run_directory()];
    let recording = led::recording_path()
        .as_deref()
        .and_then(Path::parent)
        .map(nearest);
    directories.into_iter().chain(recording).collect()
}

/// The folder itself, or the nearest one above it that is there: a key log's may be made later.
fn nearest(folder: &Path) -> PathBuf {
    let here = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    here.ancestors()
        .find_map(|one| one.canonicalize().ok())
        .unwrap_or_else(|| PathBuf::from("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_is_not_there_yet_stands_for_the_nearest_above_it() {
        let directory = tempfile::tempdir().unwrap();
        let there = directory.path().canonicalize().unwrap();
        assert_eq!(nearest(&there.join("later/still")), there);
        assert_eq!(nearest(&there), there);
    }

    /// On a thread of its own, which alone is confined. A kernel that knows less denies less, and
    /// says so.
    #[test]
    fn the_kernel_denies_what_was_not_named() {
        let (home, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (data, other) = (home.path().join("data"), elsewhere.path().join("file"));
        std::fs::create_dir_all(data.join("run")).unwrap();
        std::fs::write(&other, "secret").unwrap();
        let text = format!(
            "[store]\ndirectory = {data:?}\nrun_directory = {:?}\n",
            data.join("run")
        );
        let config = Config::parse(&text, &home.path().join("c.toml")).unwrap();
        let confined = std::thread::spawn(move || {
            let state = Sandbox::enter(&config).unwrap().state;
            let denied = |what: std::io::Result<()>| {
                what.is_err_and(|error| error.raw_os_error() == Some(EACCES))
            };
            let seen = [
                denied(std::fs::read(&other).map(drop)),
                denied(std::fs::write(&other, "changed")),
                denied(std::fs::write(other.with_file_name("new"), "more")),
                denied(std::fs::remove_file(&other)),
                denied(std::net::TcpListener::bind("127.0.0.1:0").map(drop)),
                denied(std::net::TcpStream::connect("127.0.0.1:9").map(drop)),
            ];
            std::fs::write(data.join("log"), "what is named may be written").unwrap();
            (state, seen)
        });
        let (state, seen) = confined.join().unwrap();
        match state {
            "full" => assert_eq!(seen, [true; 6]),
            "partial" => assert_eq!(seen[..4], [true; 4]),
            _ => assert_eq!(seen, [false; 6], "it says that the kernel has none"),
        }
        assert_eq!(
            std::fs::read_to_string(elsewhere.path().join("file")).is_ok(),
            state != "none"
        );
    }

    /// What a denial by Landlock says (landlock(7)).
    const EACCES: i32 = 13;

    #[test]
    fn what_a_new_configuration_names_elsewhere_is_not_readable() {
        let directory = tempfile::tempdir().unwrap();
        let there = directory.path().canonicalize().unwrap();
        let sandbox = Sandbox {
            state: "full",
            readable: vec![there.clone()],
        };
        assert!(sandbox.may_read(&there.join("keys.log")));
        assert!(!sandbox.may_read(Path::new("/etc/passwd")));
        assert!(Sandbox::none().may_read(Path::new("/etc/passwd")));
    }
}
