//! A configuration file.

use std::path::Path;

use canarytap::config::Config;

/// Any text is a configuration or refused with reasons, each of which names its line.
pub fn config(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Err(errors) = Config::parse(&text, Path::new("/etc/canarytap/canarytap.toml")) {
        let shown = errors.to_string();
        assert!(!shown.is_empty());
        let line = |character: char| character == '\n' || !character.is_control();
        assert!(shown.chars().all(line), "control characters in {shown:?}");
    }
}
