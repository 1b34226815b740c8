//! Programs under valgrind's callgrind, which counts the instructions they execute in user space.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::{env, fs};

/// Where one program's instructions are counted.
pub struct Count(PathBuf);

impl Count {
    pub fn new() -> Count {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let name = format!("instructions-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        Count(env::temp_dir().join(name))
    }

    /// The command that runs `program`, to be given its arguments. It has no environment but what finds valgrind: the C
    /// library and Rust's look up variables, and take their time with long lists of them. It ends with this process, even
    /// where a check fails: releases abort.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("setpriv");
        command.env_clear().env("PATH", env::var_os("PATH").unwrap_or_default());
        command.args(["--pdeathsig", "KILL", "valgrind", "--quiet", "--tool=callgrind"]);
        command.arg(format!("--callgrind-out-file={}", self.0.display())).arg(program);
        command
    }

    /// Instructions from the program's start to its end, which must have come.
    pub fn total(&self) -> u64 {
        let told = fs::read_to_string(&self.0).expect("callgrind writes its file when the program ends");
        let total = told.lines().find_map(|line| line.strip_prefix("totals: ")?.trim().parse().ok());
        total.expect("callgrind's file ends with its totals")
    }
}

impl Drop for Count {
    fn drop(&mut self) {
        // Without a count there is no file.
        let _ = fs::remove_file(&self.0);
    }
}
