//! Imports point one way: a module names only those that stand before it on a packet's way.

#![allow(clippy::unwrap_used, reason = "a test may assert in the plainest way")]

use std::fs;
use std::path::{Path, PathBuf};

/// The rooms of the crate, in order: each may name those to its left, and itself.
const CRATE_ORDER: [&[&str]; 8] = [
    &["engine"],
    &["config"],
    &["capture", "store", "led"],
    &["alert", "experiment", "pull"],
    &["visitor"],
    &["daemon"],
    &["doctor", "outbound"],
    &["cli"],
];

/// The same inside the core. `engine` itself, the whole way in one function, comes last.
const CORE_ORDER: [&[&str]; 9] = [
    &["frame"],
    &["link"],
    &["net"],
    &["transport"],
    &["recorder"],
    &["app"],
    &["canary"],
    &["reporter"],
    &["keeping"],
];

/// Plain data that every module of the core may name; of the core it names the frame only.
const CORE_PLAIN_DATA: [&str; 3] = ["event", "limits", "counters"];

/// What both the core and the rest depend on: none of it touches the world as the core has it.
const SHARED: [&str; 6] = ["flate2", "ipnet", "jiff", "memchr", "ring", "serde"];

/// What of the standard library does.
const WORLD: [&str; 10] = [
    "std::env",
    "std::fs",
    "std::process",
    "std::thread",
    "Instant",
    "SystemTime",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "std::os",
];

#[test]
fn every_module_names_only_modules_before_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut wrong = Vec::new();
    for file in rust_files(&root) {
        let text = fs::read_to_string(&file).unwrap();
        let inside = file.strip_prefix(&root).unwrap();
        wrong.extend(violations(inside, &text));
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

#[test]
fn the_core_names_nothing_that_touches_the_world() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/engine");
    let mut wrong = Vec::new();
    for file in rust_files(&root) {
        let text = without_comments(&fs::read_to_string(&file).unwrap());
        let names = WORLD.iter().filter(|name| text.contains(**name));
        wrong.extend(names.map(|name| format!("{}: {name}", file.display())));
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

#[test]
fn the_core_depends_on_nothing_that_touches_the_world() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let depends = |manifest: &str| -> Vec<String> {
        let text = fs::read_to_string(root.join(manifest)).unwrap();
        let table: toml::Table = text.parse().unwrap();
        table["dependencies"]
            .as_table()
            .unwrap()
            .keys()
            .cloned()
            .collect()
    };
    let (of_core, of_rest) = (depends("src/engine/Cargo.toml"), depends("Cargo.toml"));
    let both: Vec<_> = of_core
        .iter()
        .filter(|name| of_rest.contains(name))
        .collect();
    assert_eq!(both, SHARED);
}

#[test]
fn an_import_against_the_direction_is_found_with_its_file_and_line() {
    let text = "use crate::frame::Frame;\nuse crate::app::Session;\n";
    assert_eq!(
        violations(Path::new("engine/net/defrag.rs"), text),
        [
            "src/engine/net/defrag.rs:2: engine::net names engine::app; \
             only frame < link < net < transport < recorder < app < canary < reporter < keeping \
             (and event, limits, counters)"
        ]
    );
}

#[test]
fn braces_in_an_import_hide_nothing() {
    let text = "use crate::{\n    engine::frame::Frame,\n    daemon::{clock, health},\n};\n";
    let wrong = violations(Path::new("store/mod.rs"), text);
    assert_eq!(wrong.len(), 1, "{wrong:?}");
    assert!(wrong[0].starts_with("src/store/mod.rs:3: store names daemon"));
}

#[test]
fn a_comment_is_no_import() {
    let text = "//! See [`crate::cli`].\n// crate::cli::main\n";
    assert!(violations(Path::new("engine/frame.rs"), text).is_empty());
}

/// What `file` (relative to `src`) names against the direction, as lines for people.
fn violations(file: &Path, text: &str) -> Vec<String> {
    let from = module_of(file);
    if from.is_empty() {
        return Vec::new(); // lib.rs and main.rs see everything
    }
    let mut lines: Vec<String> = crate_paths(text)
        .into_iter()
        .filter_map(|(line, to)| {
            let to = within(&from, to);
            let rule = broken_rule(&from, &to)?;
            Some(format!(
                "src/{}:{line}: {} names {}; {rule}",
                file.display(),
                shown(&from),
                shown(&to),
            ))
        })
        .collect();
    lines.dedup();
    lines
}

/// The core is a package of its own: `crate` is `engine` there.
fn within(from: &[String], to: Vec<String>) -> Vec<String> {
    if from.first().is_some_and(|room| room == "engine") {
        return std::iter::once("engine".to_owned()).chain(to).collect();
    }
    to
}

/// The rule that a module `from` breaks by naming `to`, if it breaks one.
fn broken_rule(from: &[String], to: &[String]) -> Option<String> {
    let (from_room, to_room) = (from.first()?, to.first()?);
    if from_room != "engine" || to_room != "engine" {
        return crate_rule(from_room, to_room);
    }
    let to_layer = to.get(1)?;
    let Some(from_layer) = from.get(1) else {
        return None; // engine/mod.rs is the last of the core
    };
    core_rule(from_layer, to_layer)
}

fn crate_rule(from: &str, to: &str) -> Option<String> {
    let (from_place, to_place) = (place(&CRATE_ORDER, from)?, place(&CRATE_ORDER, to)?);
    let fine = from == to || to_place < from_place;
    (!fine).then(|| format!("only {}", order(&CRATE_ORDER)))
}

fn core_rule(from: &str, to: &str) -> Option<String> {
    if from == to {
        return None;
    }
    let fine = match (place(&CORE_ORDER, from), place(&CORE_ORDER, to)) {
        (Some(from_place), Some(to_place)) => to_place < from_place,
        (Some(_), None) => CORE_PLAIN_DATA.contains(&to),
        (None, _) => to == "frame" || CORE_PLAIN_DATA.contains(&to),
    };
    (!fine).then(|| {
        format!(
            "only {} (and {})",
            order(&CORE_ORDER),
            CORE_PLAIN_DATA.join(", ")
        )
    })
}

fn place(layers: &[&[&str]], name: &str) -> Option<usize> {
    layers.iter().position(|layer| layer.contains(&name))
}

fn order(layers: &[&[&str]]) -> String {
    let layers: Vec<_> = layers.iter().map(|layer| layer.join(", ")).collect();
    layers.join(" < ")
}

/// `engine/net/defrag.rs` is `["engine", "net", "defrag"]`.
fn module_of(file: &Path) -> Vec<String> {
    let mut parts: Vec<String> = file
        .with_extension("")
        .iter()
        .map(|part| part.to_string_lossy().into_owned())
        .collect();
    if matches!(
        parts.last().map(String::as_str),
        Some("mod" | "lib" | "main")
    ) {
        parts.pop();
    }
    parts
}

fn shown(path: &[String]) -> String {
    let depth = if path.first().is_some_and(|room| room == "engine") {
        2
    } else {
        1
    };
    path.iter()
        .take(depth)
        .cloned()
        .collect::<Vec<_>>()
        .join("::")
}

/// Every path that starts at `crate::`, with its line; braces are followed to two segments.
fn crate_paths(text: &str) -> Vec<(usize, Vec<String>)> {
    let code = without_comments(text);
    let mut found = Vec::new();
    for (start, marker) in code.match_indices("crate::") {
        let rest = &code[start + marker.len()..];
        for (offset, path) in leaves(rest) {
            let at = start + marker.len() + offset;
            found.push((code[..at].matches('\n').count() + 1, path));
        }
    }
    found
}

/// The first two segments of each path in `a::b`, `{a::b, c}` or `a::{b, c}`.
fn leaves(rest: &str) -> Vec<(usize, Vec<String>)> {
    let mut found = Vec::new();
    for (offset, name, after) in group(rest) {
        let heads = after.strip_prefix("::").map(group).unwrap_or_default();
        if heads.is_empty() {
            found.push((offset, vec![name.to_owned()]));
        }
        for (_, second, _) in heads {
            found.push((offset, vec![name.to_owned(), second.to_owned()]));
        }
    }
    found
}

/// The names at the head of `text`: one, or one for each member of a brace group. Each comes
/// with its offset and with what follows it.
fn group(text: &str) -> Vec<(usize, &str, &str)> {
    if !text.starts_with('{') {
        return name_at(text, 0).into_iter().collect();
    }
    let mut found = Vec::new();
    let mut depth = 0;
    for (offset, character) in text.char_indices() {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            break;
        }
        if depth == 1 && matches!(character, '{' | ',') {
            found.extend(name_at(text, offset + 1));
        }
    }
    found
}

fn name_at(text: &str, from: usize) -> Option<(usize, &str, &str)> {
    let tail = &text[from..];
    let blank = tail.len() - tail.trim_start().len();
    let tail = &tail[blank..];
    let end = tail
        .find(|c: char| !c.is_alphanumeric() && c != '_')
        .unwrap_or(tail.len());
    (end > 0).then(|| (from + blank, &tail[..end], &tail[end..]))
}

fn without_comments(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    for line in text.lines() {
        code.push_str(line.split("//").next().unwrap_or_default());
        code.push('\n');
    }
    code
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}
