//! Runs every fuzz target over its corpus: what once was a finding stays none.

#![cfg(feature = "daemon")]
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may assert in the plainest way"
)]

use std::fs;
use std::path::Path;

#[path = "../fuzz/src/lib.rs"]
mod targets;

#[test]
fn every_fuzz_target_bears_its_corpus() {
    for (name, target) in targets::TARGETS.iter().copied() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("fuzz/corpus")
            .join(name);
        let mut files = 0;
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            println!("{}", path.display()); // printed when it fails
            target(&fs::read(&path).unwrap());
            files += 1;
        }
        assert!(files > 0, "no corpus in {}", folder.display());
        target(b"");
    }
}

#[test]
fn the_lock_file_of_the_fuzz_targets_knows_every_dependency_of_the_program() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let table = |path: &str| -> toml::Table {
        fs::read_to_string(root.join(path))
            .unwrap()
            .parse()
            .unwrap()
    };
    let lock = table("fuzz/Cargo.lock");
    let packages = lock["package"].as_array().unwrap();
    for path in ["Cargo.toml", "src/engine/Cargo.toml"] {
        let manifest = table(path);
        let is_this = |package: &&toml::Value| package["name"] == manifest["package"]["name"];
        let package = packages.iter().find(is_this).unwrap();
        let locked = package["dependencies"].as_array().unwrap();
        for name in manifest["dependencies"].as_table().unwrap().keys() {
            let known = |one: &toml::Value| {
                one.as_str().and_then(|one| one.split(' ').next()) == Some(name)
            };
            assert!(
                locked.iter().any(known),
                "{name} is missing: cargo update --workspace --manifest-path fuzz/Cargo.toml"
            );
        }
    }
}
