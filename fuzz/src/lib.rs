//! What `cargo fuzz` runs, as functions of bytes: each holds an invariant, which stands on top of its file.
//!
//! They are here and not in `fuzz_targets/` so that the seeds can be replayed through them without a fuzzer.

mod frames;
mod heads;
mod input;

#[path = "../../tests/support/explained.rs"]
mod explained;
#[path = "../../tests/support/meant.rs"]
mod meant;
#[path = "../../tests/support/plainly.rs"]
mod plainly;

pub mod answer;
pub mod body;
pub mod capture;
pub mod challenge;
pub mod claims;
pub mod config;
pub mod conversation;
pub mod explain;
pub mod hello;
pub mod hixie;
pub mod hybi;
pub mod play;
pub mod preamble;
pub mod seeds;
pub mod sniff;
pub mod sse;

/// A target: what `cargo fuzz run` calls it, and what it does with the fuzzer's bytes.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: [Target; 15] = [
    ("answer", answer::check),
    ("body", body::check),
    ("capture", capture::check),
    ("challenge", challenge::check),
    ("claims", claims::check),
    ("config", config::check),
    ("conversation", conversation::check),
    ("explain", explain::check),
    ("hello", hello::check),
    ("hixie", hixie::check),
    ("hybi", hybi::check),
    ("play", play::check),
    ("preamble", preamble::check),
    ("sniff", sniff::check),
    ("sse", sse::check),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_seed_passes_its_target() {
        for (name, check) in TARGETS {
            let seeds = seeds::of(name);
            assert!(seeds.len() > 3, "{name} has {} seeds", seeds.len());
            for (seed, bytes) in seeds {
                println!("{name}: {seed}");
                check(&bytes);
            }
        }
    }

    #[test]
    fn every_target_has_its_program() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz_targets");
        let mut programs: Vec<String> = std::fs::read_dir(folder)
            .expect("a folder")
            .map(|entry| entry.expect("a file").path().file_stem().expect("a name").display().to_string())
            .collect();
        programs.sort();
        assert_eq!(programs, TARGETS.map(|(name, _)| name));
    }
}
