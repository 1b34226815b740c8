//! Every play of fixtures/ through the pure core, whole and cut at every place.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

use hybridge::conversation::Side;
use hybridge::explain::{Fault, Scene, check, explain};
use hybridge::transcript::{Act, Transcript, play};

/// Folders of fixtures/, and how many plays each has at the least. A filter that finds nothing must not pass.
const FOLDERS: [(&str, usize); 9] = [
    ("hixie-75", 60),
    ("hixie-76", 85),
    ("v7", 55),
    ("v8", 60),
    ("v13", 85),
    ("refused", 100),
    ("http", 6),
    ("sse", 90),
    ("explained", 150),
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
    if explained(&transcript).is_some() {
        return check(&transcript)
            .err()
            .map(|unexplained| format!("{shown}, {unexplained}\n  ({})", transcript.title()));
    }
    play(&transcript).err().map(|difference| format!("{shown}, {difference}\n  ({})", transcript.title()))
}

/// The fault that hybridge explains in a play, if it is one of those.
fn explained(transcript: &Transcript) -> Option<&str> {
    transcript.lines().iter().find_map(|line| match &line.act {
        Act::Explains(name) => Some(name.as_str()),
        _ => None,
    })
}

fn read(path: &Path) -> Transcript {
    let shown = path.display().to_string();
    Transcript::parse(&fs::read_to_string(path).unwrap(), &shown).unwrap_or_else(|fault| panic!("{fault}"))
}

fn stem(path: &Path) -> &str {
    path.file_stem().and_then(|stem| stem.to_str()).unwrap()
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
fn every_fault_has_its_play_and_every_play_its_fault() {
    let plays = plays();
    let mut unseen: Vec<&str> = Fault::ALL.iter().map(|fault| fault.name()).collect();
    let different: std::collections::BTreeSet<&str> = unseen.iter().copied().collect();
    assert_eq!(unseen.len(), different.len(), "two faults share a name");
    for path in &plays["explained"] {
        let transcript = read(path);
        let name = explained(&transcript).unwrap_or_else(|| panic!("{} explains nothing", path.display()));
        // Several plays of one fault are told apart by what follows its name.
        let rest = stem(path).strip_prefix(name).unwrap_or_else(|| panic!("{} explains {name}", path.display()));
        assert!(rest.is_empty() || rest.starts_with('-'), "{}", path.display());
        unseen.retain(|unseen| *unseen != name);
    }
    assert_eq!(unseen, [""; 0], "faults without a play");
    for (folder, files) in plays.iter().filter(|(folder, _)| *folder != "explained") {
        let strays = files.iter().filter(|path| explained(&read(path)).is_some()).count();
        assert_eq!(strays, 0, "fixtures/{folder} has plays that belong into fixtures/explained");
    }
}

#[test]
fn an_explained_play_that_does_not_hold_is_told() {
    let check = |text: &str| check(&Transcript::parse(text, "play").unwrap()).map_err(|why| why.to_string());
    let play = "# x\nclient says \"\\x16\\x03\\x01\"\n";
    assert_eq!(check(&format!("{play}hybridge explains tls-on-plain-port\n# really\n")), Ok(()));
    for (text, why) in [
        (play.to_owned(), "line 1: the play does not say what hybridge explains"),
        (format!("{play}hybridge explains nonsense"), "line 3: nonsense is no fault"),
        (format!("{play}hybridge explains not-http"), "line 3: expected not-http, found tls-on-plain-port"),
        (format!("{play}hybridge explains tls-on-plain-port\nclient ends"), "line 3: nothing may follow"),
        ("# x\nclient opens v13\nhybridge explains idle-cut".into(), "line 3: expected idle-cut, found no fault"),
    ] {
        let told = check(&text).unwrap_err();
        assert!(told.starts_with(why), "{told}");
    }
}

/// An opening that is right for hybridge and not for every client: no subprotocol where one was asked for.
const NOT_FOR_ALL: &str = "v13/opening-with-a-subprotocol-the-upstream-leaves-out";

#[test]
fn conversations_that_go_well_are_explained_without_a_fault() {
    let plays = plays();
    let (mut recorded, mut openings) = (0, 0);
    for folder in ["hixie-75", "hixie-76", "v7", "v8", "v13"] {
        for path in &plays[folder] {
            let name = format!("{folder}/{}", stem(path));
            recorded += usize::from(stem(path).starts_with("recorded-"));
            openings += usize::from(stem(path).starts_with("opening"));
            let well = ["recorded-", "opening", "heartbeat-", "challenge-", "shutdown"];
            if !well.iter().any(|start| stem(path).starts_with(start)) || name == NOT_FOR_ALL {
                continue;
            }
            let explanation = explain(&Scene::of_play(&read(path)));
            assert_eq!(explanation.finding, None, "{name}");
            let dialect = explanation.dialect.map(|(dialect, _)| dialect.name());
            assert_eq!(dialect, Some(folder), "{name}");
        }
    }
    assert!(recorded >= 15 && openings >= 40, "{recorded} recordings and {openings} openings were found");
}

#[test]
fn the_bytes_of_one_side_alone_are_explained_without_a_fault() {
    let plays = plays();
    let mut seen = 0;
    for path in plays.values().flatten().filter(|path| stem(path).starts_with("recorded-")) {
        if path.parent().unwrap().ends_with("refused") {
            continue;
        }
        let (mut client, mut server) = (Vec::new(), Vec::new());
        for line in read(path).lines() {
            match &line.act {
                Act::Says(hybridge::conversation::Side::Downstream, bytes) => client.extend_from_slice(bytes),
                Act::Hears(hybridge::conversation::Side::Downstream, bytes) => server.extend_from_slice(bytes),
                _ => {}
            }
        }
        for bytes in [client, server] {
            let explanation = explain(&Scene::of_bytes(&bytes).unwrap());
            assert_eq!(explanation.finding, None, "{}", path.display());
            seen += 1;
        }
    }
    assert!(seen >= 30, "only {seen} sides were found");
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

/// The play as somebody between client and server would have recorded it.
fn as_recorded(transcript: &Transcript) -> Transcript {
    let of_client = |act: &Act| match act {
        Act::Comment(_) => true,
        Act::Says(side, _) | Act::Hears(side, _) | Act::HearsEnd(side) | Act::Ends(side, _) => {
            *side == Side::Downstream
        }
        _ => false,
    };
    Transcript::of(transcript.lines().iter().map(|line| line.act.clone()).filter(of_client))
}

#[test]
fn a_recording_without_its_backend_goes_as_the_server_had_it() {
    let mut performed = 0;
    for path in plays().into_values().flatten() {
        if !path.file_name().unwrap().to_str().unwrap().starts_with("recorded-")
            || path.parent().unwrap().ends_with("refused")
        {
            continue;
        }
        let transcript = Transcript::parse(&fs::read_to_string(&path).unwrap(), "").unwrap();
        let recording = as_recorded(&transcript);
        play(&recording).unwrap_or_else(|difference| panic!("{}, {difference}\n{recording}", path.display()));
        performed += 1;
    }
    assert!(performed >= 20, "{performed} recordings");
}

#[test]
fn a_recording_of_a_wrong_server_does_not_go_as_the_server_had_it() {
    let path = fixtures().join("hixie-76/recorded-phantomjs-1.9.txt");
    let recording = as_recorded(&Transcript::parse(&fs::read_to_string(path).unwrap(), "").unwrap());
    let wrong = |from: &str, to: &str| {
        let text = recording.to_string();
        assert!(text.contains(from), "{text}");
        play(&Transcript::parse(&text.replace(from, to), "").unwrap()).unwrap_err().to_string()
    };
    let refused = wrong("Sec-WebSocket-Location: ws:", "Sec-WebSocket-Location: wss:");
    for part in [
        "Sec-WebSocket-Location (the play's server did not repeat the URL that was opened) that the client hears is another",
        "expected  wss://127.0.0.1:40961/echo?x=1",
        "got       ws://127.0.0.1:40961/echo?x=1",
    ] {
        assert!(refused.contains(part), "{refused}");
    }
    let unproven = wrong("\\xc0\\x1e\\x82", "\\xc0\\x1e\\x83");
    assert!(unproven.contains("the answer to the challenge (the play's server did not answer"), "{unproven}");
}
