//! Configurations on disk.

use std::error::Error as _;
use std::path::Path;

use crate::*;

#[test]
fn a_file_that_cannot_be_read_says_what_to_do() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"));
    let error = Config::read(&directory.join("no/such.toml")).unwrap_err();
    assert!(error.to_string().contains("such.toml: the configuration cannot be read; check the path"), "{error}");
    assert!(error.source().is_some(), "the operating system has a say");
    let error = Config::read(directory).unwrap_err();
    assert!(error.to_string().ends_with("name a file in that directory"), "{error}");
}

#[test]
fn a_file_is_read_and_named_in_its_faults() {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let path = directory.join("config-good.toml");
    std::fs::write(&path, LEAST).unwrap();
    assert_eq!(Config::read(&path).unwrap(), config(LEAST));

    let path = directory.join("config-faulty.toml");
    std::fs::write(&path, least_with("", "threads = 0")).unwrap();
    let error = Config::read(&path).unwrap_err().to_string();
    assert!(error.starts_with(&format!("{}:1: threads = 0: ", path.display())), "{error}");

    let path = directory.join("config-latin1.toml");
    std::fs::write(&path, b"threads = 2\n# B\xfcro\n").unwrap();
    let error = Config::read(&path).unwrap_err().to_string();
    assert_eq!(error, format!("{}:2: this is not UTF-8; save the file as UTF-8", path.display()));
}

#[test]
fn a_file_from_another_system_is_read() {
    let windows = format!("\u{feff}{}", LEAST.replace('\n', "\r\n"));
    assert_eq!(config(&windows), config(LEAST));
    let faults = parse(&windows.replace("10.0.0.5", "10.0.0.500")).unwrap_err();
    assert_eq!(faults.as_slice()[0].line, 5);
}
