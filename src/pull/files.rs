//! Names of kept files. What the other side names is never a path.

/// Where they lie in a data directory.
pub(super) const FOLDER: &str = "evidence";

/// Whether this is the name of a kept file: a number, perhaps another one, and nothing that leads
/// elsewhere.
pub(super) fn is_name(name: &str) -> bool {
    let Some(stem) = name.strip_suffix(".pcapng") else {
        return false;
    };
    let mut parts = stem.splitn(2, '-');
    parts.all(|part| {
        (1..=20).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
    })
}

#[cfg(test)]
mod tests {
    use super::is_name;

    #[test]
    fn a_number_is_a_name_and_a_path_is_none() {
        for name in ["41.pcapng", "41-2.pcapng"] {
            assert!(is_name(name), "{name}");
        }
        for name in [
            "",
            ".pcapng",
            "-1.pcapng",
            "1-.pcapng",
            "../41.pcapng",
            "/41.pcapng",
            "4/1.pcapng",
            "41.pcap",
            "41.pcapng.part",
            "1-2-3.pcapng",
            "111111111111111111111.pcapng",
            "٤.pcapng",
        ] {
            assert!(!is_name(name), "{name}");
        }
    }
}
