//! Every play of fixtures/ through the pure core, whole and cut at every place.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

use hybridge::transcript::{Transcript, play};

/// Folders of fixtures/, and how many plays each has at the least. A filter that finds nothing must not pass.
const FOLDERS: [(&str, usize); 8] = [
    ("hixie-75", 60),
    ("hixie-76", 85),
    ("v7", 55),
    ("v8", 60),
    ("v13", 85),
    ("refused", 100),
    ("http", 6),
    ("sse", 90),
];

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures")
}

/// The plays of each folder.
fn plays() -> BTreeMap<String, Vec<PathBuf>> {
    let mut plays: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    for folder in fs::read_dir(fixtures()).expect("fixtures/ is there").map(|entry| entry.unwrap().path()) {
        if folder.is_dir() {
            let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
            let mut files: Vec<PathBuf> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
            files.sort();
            plays.insert(name, files);
        }
    }
    plays
}

/// What is wrong with a play, if anything is.
fn fault(path: &Path) -> Option<String> {
    let shown = path.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap_or(path).display().to_string();
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => return Some(format!("{shown}: {error}")),
    };
    let transcript = match Transcript::parse(&text, &shown) {
        Ok(transcript) => transcript,
        Err(fault) => return Some(fault.to_string()),
    };
    play(&transcript).err().map(|difference| format!("{shown}, {difference}\n  ({})", transcript.title()))
}

#[test]
fn every_play_goes_as_written_whole_and_at_every_split() {
    let all: Vec<PathBuf> = plays().into_values().flatten().collect();
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let faults: Vec<String> = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|first| {
                let own = all.iter().skip(first).step_by(threads);
                scope.spawn(move || own.filter_map(|path| fault(path)).collect::<Vec<_>>())
            })
            .collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    assert!(faults.is_empty(), "{} of {} plays\n\n{}\n", faults.len(), all.len(), faults.join("\n\n"));
}

#[test]
fn every_folder_has_its_plays() {
    let plays = plays();
    for (folder, least) in FOLDERS {
        let found = plays.get(folder).map_or(0, Vec::len);
        assert!(found >= least, "{found} plays in fixtures/{folder}, expected at least {least}");
    }
    for (folder, files) in &plays {
        assert!(FOLDERS.iter().any(|(known, _)| known == folder), "fixtures/{folder} is no dialect");
        for file in files {
            assert_eq!(file.extension().and_then(|ext| ext.to_str()), Some("txt"), "{}", file.display());
        }
    }
}

#[test]
fn the_readme_shows_a_play_that_goes() {
    let readme = fs::read_to_string(fixtures().join("README.md")).unwrap();
    let (_, rest) = readme.split_once("```text\n").expect("an example");
    let (example, _) = rest.split_once("```").expect("its end");
    let transcript = Transcript::parse(example, "fixtures/README.md").unwrap_or_else(|fault| panic!("{fault}"));
    play(&transcript).unwrap_or_else(|difference| panic!("{difference}"));
}

#[test]
fn what_a_play_prints_reads_back_the_same() {
    for path in plays().into_values().flatten() {
        let text = fs::read_to_string(&path).unwrap();
        let read = Transcript::parse(&text, "").unwrap();
        let again = Transcript::parse(&read.to_string(), "").unwrap();
        let acts = |transcript: &Transcript| transcript.lines().iter().map(|line| line.act.clone()).collect::<Vec<_>>();
        assert_eq!(acts(&read), acts(&again), "{}", path.display());
    }
}
