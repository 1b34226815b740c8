//! The file of one recording. At any moment, whatever happens to the process or the disk, what it holds is a play.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use hybridge::recording::Scribe;
use tracing::warn;

use super::{Failure, shown};

/// Linux stops a write that a SIGKILL interrupts at a multiple of this, so no line may cross one.
const GRAIN: usize = 4096;
/// Recordings that could have the same name, at the most.
const MOST_ALIKE: usize = 10_000;

/// Makes the folder if it is missing, and sees whether files can be made in it.
pub fn prepare(folder: &Path) -> Result<(), Failure> {
    let failed =
        |remedy: &str, why: io::Error| -> Failure { format!("--out {}: {remedy} ({why})", shown(folder)).into() };
    fs::create_dir_all(folder).map_err(|why| failed("this folder cannot be made; name one that can", why))?;
    let probe = folder.join(format!(".hybridge-{}", std::process::id()));
    File::create(&probe)
        .and_then(|_| fs::remove_file(&probe))
        .map_err(|why| failed("no file can be written into this folder; name another, or allow it", why))
}

/// The file of one recording, made when there is something to write.
pub struct Page {
    folder: PathBuf,
    /// Where it is, and the name that it was made for.
    file: Option<(File, PathBuf, String)>,
    length: u64,
    /// What it holds below its title, while that can still change.
    early: Option<String>,
    broken: bool,
}

impl Page {
    /// One in this folder.
    pub fn new(folder: &Path) -> Page {
        Page { folder: folder.to_owned(), file: None, length: 0, early: Some(String::new()), broken: false }
    }

    /// Writes what the scribe has written since the last time.
    pub fn update(&mut self, scribe: &mut Scribe) {
        let text = scribe.take();
        if self.broken {
            return;
        }
        if let Err(why) = self.write(scribe, &text) {
            warn!("{}: the recording ends here, for it cannot be written: {why}", self.name());
            self.broken = true;
        }
    }

    /// Whether writing failed, and was given up.
    pub fn is_broken(&self) -> bool {
        self.broken
    }

    /// The file's name, for people.
    pub fn name(&self) -> String {
        self.file.as_ref().map_or_else(|| shown(&self.folder), |(_, path, _)| shown(path))
    }

    fn write(&mut self, scribe: &Scribe, text: &str) -> io::Result<()> {
        let Some(early) = &mut self.early else { return self.append(text) };
        let settled = scribe.taken().is_some();
        if text.is_empty() && !settled && self.file.is_none() {
            return Ok(());
        }
        early.push_str(text);
        let (title, name) = scribe.heading();
        if self.file.as_ref().is_some_and(|(_, _, known)| *known == name) {
            self.append(text)?;
        } else {
            // The title stands first, so a file is written anew when the client turns out to be something else; until
            // that is done the one before stays.
            let whole = format!("{title}{early}");
            let before = self.file.replace(create(&self.folder, name)?);
            self.length = 0;
            self.append(&whole)?;
            if let Some((_, path, _)) = before {
                fs::remove_file(path)?;
            }
        }
        if settled {
            self.early = None;
        }
        Ok(())
    }

    /// Appends whole lines, or nothing.
    fn append(&mut self, text: &str) -> io::Result<()> {
        let Some((file, ..)) = &mut self.file else { return Ok(()) };
        let mut block = Vec::with_capacity(text.len() + text.len() / 32);
        for line in text.split_inclusive('\n') {
            let room = GRAIN - (self.length as usize + block.len()) % GRAIN;
            if line.len() > room {
                block.resize(block.len() + room - 1, b' ');
                block.push(b'\n');
            }
            block.extend_from_slice(line.as_bytes());
        }
        let written = file.write_all(&block);
        match written {
            Ok(()) => self.length += block.len() as u64,
            // A full disk takes a part; a cut line would spoil all before it.
            Err(_) => file.set_len(self.length)?,
        }
        written
    }
}

/// Makes a file of this name, or one that differs where there is one already.
fn create(folder: &Path, name: String) -> io::Result<(File, PathBuf, String)> {
    for number in 1..=MOST_ALIKE {
        let path = folder.join(if number == 1 { format!("{name}.txt") } else { format!("{name}-{number}.txt") });
        // Messages have secrets too, and nobody takes them out.
        match OpenOptions::new().append(true).create_new(true).mode(0o600).open(&path) {
            Err(why) if why.kind() == io::ErrorKind::AlreadyExists => {}
            made => return made.map(|file| (file, path, name)),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}
