//! Writes the seeds of the targets that are named, or of all, each to a folder of its own below `seeds/`.

use std::path::Path;
use std::{env, fs, io};

use hybridge_fuzz::{TARGETS, seeds};

fn main() -> io::Result<()> {
    let named: Vec<String> = env::args().skip(1).collect();
    for (target, _) in TARGETS.iter().filter(|(target, _)| named.is_empty() || named.iter().any(|name| name == target))
    {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(target);
        fs::create_dir_all(&folder)?;
        for (name, bytes) in seeds::of(target) {
            fs::write(folder.join(name), bytes)?;
        }
    }
    Ok(())
}
