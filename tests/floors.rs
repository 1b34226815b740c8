//! The floors of the house: which module may use which, read off the source.
//!
//! What is checked is what stands in `src/`, so that a new file or import cannot slip past.

use std::fs;
use std::path::{Path, PathBuf};

/// The modules in floor order, as `src/lib.rs` declares them. Each may use those before it, those of its own floor only
/// where named after it.
const FLOORS: [&[&str]; 8] = [
    &["event", "http", "utf8"],
    &["hello", "preamble"],
    &["arrival", "dialect"],
    &["config", "conversation", "sniff"],
    &["access", "handshake"],
    &["transcript"],
    &["explain", "recording"],
    &["proxy"],
];

/// What belongs to the shell alone: it waits, listens and reads clocks.
const SHELL: [&str; 7] = ["tokio", "hyper", "hyper_util", "rustls", "tokio_rustls", "socket2", "rand"];
/// Parts of the standard library that do the same.
const SHELL_STD: [&str; 4] = ["std::net::Tcp", "std::time::Instant", "std::time::SystemTime", "std::thread"];

/// A source file: its path below src/, and its lines of code, without comments and tests.
struct Source {
    path: String,
    text: String,
}

impl Source {
    /// The module it belongs to: the first part of its path.
    fn module(&self) -> &str {
        let first = self.path.split('/').next().unwrap();
        first.strip_suffix(".rs").unwrap_or(first)
    }

    fn is_shell(&self) -> bool {
        matches!(self.module(), "main" | "cli" | "proxy")
    }

    /// Numbered lines of code.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let tests = if self.path.ends_with("/tests.rs") { Some(0) } else { self.text.find("#[cfg(test)]") };
        let tests = tests.unwrap_or(self.text.len());
        let lines = self.text[..tests].lines().enumerate();
        lines.map(|(index, line)| (index + 1, line.split("//").next().unwrap())).filter(|(_, line)| !line.is_empty())
    }
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ext| ext == "rs") {
                found.push(source(&root, path));
            }
        }
    }
    assert!(found.len() >= 30, "only {} files were found in src/", found.len());
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

fn source(root: &Path, path: PathBuf) -> Source {
    let text = fs::read_to_string(&path).unwrap();
    Source { path: path.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/"), text }
}

fn floor(module: &str) -> Option<usize> {
    FLOORS.iter().position(|modules| modules.contains(&module))
}

/// Whether `name` stands in the line as a word of its own.
fn names(line: &str, name: &str) -> bool {
    let word = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(name).any(|(at, _)| {
        !line[..at].chars().next_back().is_some_and(word) && !line[at + name.len()..].chars().next().is_some_and(word)
    })
}

/// The modules of this crate that the code of a file names, with the lines.
fn used(source: &Source) -> Vec<(usize, String)> {
    let mut used = Vec::new();
    for (number, line) in source.code() {
        for (at, _) in line.match_indices("crate::") {
            let rest = &line[at + "crate::".len()..];
            // `crate::{a::X, b::Y}` names several.
            let parts: Vec<&str> = match rest.strip_prefix('{') {
                Some(group) => group.split(',').collect(),
                None => vec![rest],
            };
            for part in parts {
                let name: String = part.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                used.push((number, name));
            }
        }
    }
    used
}

#[test]
fn nothing_but_the_shell_waits_listens_or_reads_clocks() {
    let sources = sources();
    assert!(sources.iter().any(|source| source.is_shell() && source.text.contains("tokio")), "the shell was not found");
    for source in sources.iter().filter(|source| !source.is_shell()) {
        for (number, line) in source.code() {
            for name in SHELL {
                assert!(!names(line, name), "src/{}:{number} names {name}: {line}", source.path);
            }
            for name in SHELL_STD {
                assert!(!line.contains(name), "src/{}:{number} names {name}: {line}", source.path);
            }
        }
    }
}

#[test]
fn each_module_uses_only_floors_below_it() {
    let mut edges = 0;
    for source in sources() {
        let module = source.module();
        if matches!(module, "main" | "cli" | "lib") {
            continue;
        }
        let own = floor(module).unwrap_or_else(|| panic!("src/{} stands on no floor: add it here", source.path));
        for (number, name) in used(&source) {
            let Some(below) = floor(&name) else {
                panic!("src/{}:{number} uses crate::{name}, which is no module", source.path);
            };
            edges += 1;
            let utf8_reads_payloads = (module, name.as_str()) == ("utf8", "event");
            assert!(
                below < own || name == module || utf8_reads_payloads,
                "src/{}:{number} uses crate::{name}, which stands no lower than {module}",
                source.path
            );
        }
    }
    assert!(edges > 30, "only {edges} uses were found");
}

#[test]
fn the_library_declares_its_modules_in_floor_order() {
    let sources = sources();
    let lib = sources.iter().find(|source| source.path == "lib.rs").expect("src/lib.rs");
    let declared: Vec<&str> = lib
        .code()
        .filter_map(|(_, line)| line.trim_start_matches("pub ").strip_prefix("mod "))
        .map(|rest| rest.trim_end_matches(';').trim())
        .collect();
    let expected: Vec<&str> = FLOORS.concat();
    assert_eq!(declared, expected);
}

#[test]
fn no_dialect_knows_another() {
    let sources = sources();
    let dialects: Vec<&Source> = sources.iter().filter(|source| source.module() == "dialect").collect();
    assert!(dialects.len() >= 4);
    for source in dialects {
        let file = source.path.trim_start_matches("dialect/").trim_end_matches(".rs").split('/').next().unwrap();
        let others = ["hixie75", "hixie76", "hybi", "sse"].into_iter().filter(|other| *other != file);
        // The list of dialects and the handshake know all of them; hixie-76 alone builds on another.
        if !["hixie75", "hixie76", "hybi", "sse"].contains(&file) {
            continue;
        }
        for (number, line) in source.code() {
            for other in others.clone() {
                let imports = line.contains(&format!("super::{other}")) || line.contains(&format!("dialect::{other}"));
                let builds_on = (file, other) == ("hixie76", "hixie75");
                assert!(!imports || builds_on, "src/{}:{number} knows {other}: {line}", source.path);
            }
        }
    }
}

#[test]
fn the_conversation_has_heard_of_no_dialect() {
    let sources = sources();
    let conversation = sources.iter().find(|source| source.path == "conversation.rs").expect("src/conversation.rs");
    for (number, name) in used(conversation) {
        assert_eq!(name, "event", "src/conversation.rs:{number}");
    }
}

#[test]
fn every_file_says_what_it_is() {
    for source in sources() {
        let header: String = source.text.lines().take_while(|line| line.starts_with("//!")).collect();
        assert!(header.len() > 20, "src/{} has no `//!` header", source.path);
    }
}

#[test]
fn unsafe_code_is_forbidden_in_every_target() {
    // The lint table counts for library, program, tests and benches alike, and what is forbidden no attribute allows.
    let manifest = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")).unwrap();
    let manifest: toml::Table = manifest.parse().unwrap();
    assert_eq!(manifest["lints"]["rust"]["unsafe_code"].as_str(), Some("forbid"));
}
