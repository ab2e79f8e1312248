//! The program as somebody runs it who may do nothing.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

/// Somebody who may do nothing: root gives its rights away, everybody else has none.
pub fn without_rights(folder: &Path) -> Command {
    if !rustix::process::geteuid().is_root() {
        return Command::new(env!("CARGO_BIN_EXE_canarytap"));
    }
    fs::set_permissions(folder, fs::Permissions::from_mode(0o777)).unwrap();
    // The build may lie where nobody else may look.
    let program = folder.join("canarytap");
    // By another process: a file that this one has open for writing, and a test beside it hands
    // on to a child, cannot be executed.
    let copied = Command::new("cp")
        .args([Path::new(env!("CARGO_BIN_EXE_canarytap")), &program])
        .status();
    assert!(copied.unwrap().success());
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .args(["--bounding-set=-all", "--inh-caps=-all"])
        .arg(program);
    command
}
