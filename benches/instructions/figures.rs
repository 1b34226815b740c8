//! The committed figures: what they were taken with, and a row each.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::{env, fs};

use toml::{Table, Value};

/// More than this part above its committed figure, and a figure has become worse; as much below, and it is worth a new one.
const SLACK: f64 = 0.03;

/// Instructions by name.
pub type Rows = BTreeMap<String, f64>;

/// Figures, and what moves them besides the code.
pub struct Figures {
    setting: BTreeMap<String, String>,
    pub rows: Rows,
}

/// What the program was compiled with, and what chooses between routines of the C library and of others' crates.
fn setting() -> BTreeMap<String, String> {
    let said = |program: &str, argument: &str| {
        let output = Command::new(program).arg(argument).output();
        output.map_or_else(|_| "none".to_owned(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let target = [env::consts::ARCH, env::consts::OS, if cfg!(target_env = "musl") { "musl" } else { "gnu" }].join("-");
    let setting = [
        ("rustc", said("rustc", "--version")),
        ("target", target),
        ("processor", processor().to_owned()),
        ("libc", said("getconf", "GNU_LIBC_VERSION")),
        ("valgrind", said("valgrind", "--version")),
    ];
    setting.map(|(what, which)| (what.to_owned(), which)).into()
}

/// The widest instructions that are looked for at run time and that valgrind has, too.
fn processor() -> &'static str {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        return "avx2";
    }
    "baseline"
}

impl Figures {
    /// Those of this machine.
    pub fn here(rows: Rows) -> Figures {
        Figures { setting: setting(), rows }
    }

    /// Those of the file.
    pub fn read(file: &Path) -> Result<Figures, String> {
        let text = fs::read_to_string(file).map_err(|why| why.to_string())?;
        let table: Table = text.parse().map_err(|why| format!("{why}"))?;
        let part = |name| table.get(name).and_then(Value::as_table).ok_or(format!("[{name}] is missing"));
        let setting =
            part("taken_with")?.iter().filter_map(|(what, which)| Some((what.clone(), which.as_str()?.into())));
        let rows = part("instructions")?.iter().filter_map(|(name, figure)| Some((name.clone(), figure.as_float()?)));
        Ok(Figures { setting: setting.collect(), rows: rows.collect() })
    }

    pub fn write(&self, file: &Path) -> Result<(), String> {
        let mut text = "# User instructions per message or handshake. Written by the command in benches/README.md.\n\
                        \n[taken_with]\n"
            .to_owned();
        text.extend(self.setting.iter().map(|(what, which)| format!("{what} = \"{which}\"\n")));
        text.push_str("\n[instructions]\n");
        text.extend(self.rows.iter().map(|(name, figure)| format!("{:<26} = {figure:.1}\n", format!("\"{name}\""))));
        fs::write(file, text).map_err(|why| why.to_string())
    }

    /// Why these cannot be compared with those, if anything but the code differs.
    pub fn stranger(&self, other: &Figures) -> Option<String> {
        let none = "none".to_owned();
        let differs = self.setting.iter().find(|(what, which)| other.setting.get(*what) != Some(which));
        differs.map(|(what, which)| {
            format!("{what} is {which:?}, and {:?} in the committed figures", other.setting.get(what).unwrap_or(&none))
        })
    }
}

/// What became of a figure.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Change {
    Same,
    Better,
    Worse,
    /// Without a committed figure, or committed and not measured.
    Odd,
}

/// Prints a row, and judges it.
pub fn compare(name: &str, now: Option<f64>, committed: Option<f64>) -> Change {
    let shown = |figure: Option<f64>| figure.map_or("-".to_owned(), |figure| format!("{figure:.1}"));
    let part = now.zip(committed).map(|(now, committed)| now / committed - 1.0);
    let change = match part {
        None => Change::Odd,
        Some(part) if part > SLACK => Change::Worse,
        Some(part) if part < -SLACK => Change::Better,
        Some(_) => Change::Same,
    };
    let (part, mark) = (part.map_or("-".to_owned(), |part| format!("{:+.1} %", part * 100.0)), change.mark());
    println!("{name:<24} {:>12} {:>12} {part:>9}{mark}", shown(now), shown(committed));
    change
}

impl Change {
    fn mark(self) -> &'static str {
        match self {
            Change::Same => "",
            Change::Better => "  better",
            Change::Worse => "  WORSE",
            Change::Odd => "  UNKNOWN",
        }
    }
}
