//! `hybridge explain`: what is wrong with a conversation, and the remedy.

use std::env;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, IsTerminal as _, Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use hybridge::explain::{Explanation, Fault, Finding, Mark, Scene, explain};

/// As much of a file is read.
const MAX_BYTES: u64 = 16 << 20;
/// What is printed is no wider than this.
const COLUMNS: usize = 100;
/// What `--name` prints where nothing could be understood.
const NOT_UNDERSTOOD: &str = "not-understood";

#[derive(Args)]
pub struct Arguments {
    /// A recording, captured bytes, or a handshake pasted as text; `-` for stdin
    #[arg(value_name = "FILE", required_unless_present = "list")]
    file: Option<PathBuf>,
    /// Print only the fault's name, or nothing where none was found
    #[arg(long)]
    name: bool,
    /// Print every fault that is known, with its meaning and remedy
    #[arg(long, conflicts_with_all = ["file", "name"])]
    list: bool,
}

/// Explains the file: exits with 0 where no fault was found, 1 where one was or nothing could be understood, 2 where the
/// file cannot be read.
pub fn run(arguments: &Arguments) -> ExitCode {
    let paint = Paint::for_stdout();
    let Some(file) = arguments.file.as_deref() else {
        show(&list(paint));
        return ExitCode::SUCCESS;
    };
    let bytes = match read(file) {
        Ok(bytes) => bytes,
        Err(error) => {
            eprintln!("hybridge: {} cannot be read: {error}", file.display());
            return ExitCode::from(2);
        }
    };
    let scene = match Scene::of_bytes(&bytes) {
        Ok(scene) => scene,
        Err(why) if arguments.name => {
            eprintln!("hybridge: {why}");
            show(&format!("{NOT_UNDERSTOOD}\n"));
            return ExitCode::FAILURE;
        }
        Err(why) => {
            show(&not_understood(&why.to_string()));
            return ExitCode::FAILURE;
        }
    };
    let explanation = explain(&scene);
    let name = explanation.finding.as_ref().map(|finding| finding.fault.name());
    if arguments.name {
        name.iter().for_each(|name| show(&format!("{name}\n")));
    } else {
        show(&page(&explanation, paint));
    }
    if name.is_some() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn read(file: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let input: Box<dyn Read> = if file == Path::new("-") { Box::new(io::stdin()) } else { Box::new(File::open(file)?) };
    input.take(MAX_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Writes to stdout; nobody need read it.
fn show(text: &str) {
    let _ = io::stdout().lock().write_all(text.as_bytes());
}

/// Whether a terminal reads, so that colours help.
#[derive(Clone, Copy)]
struct Paint(bool);

impl Paint {
    const BOLD: u8 = 1;
    const DIM: u8 = 2;
    const RED: u8 = 31;
    const GREEN: u8 = 32;

    /// Colours for a terminal, unless its user does not want them (no-color.org).
    fn for_stdout() -> Paint {
        let unwanted = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Paint(io::stdout().is_terminal() && !unwanted)
    }

    fn text(self, colour: u8, text: &str) -> String {
        if self.0 { format!("\x1b[{colour}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// A label and a text, wrapped, further lines under the text's first.
fn labelled(out: &mut String, paint: Paint, colour: u8, label: &str, text: &str) {
    let mut shown = paint.text(colour, &format!("{label:<8}"));
    for line in wrapped(text, COLUMNS - 10) {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{shown}  {line}");
        shown = " ".repeat(8);
    }
}

/// Lines of at most so many characters, broken at blanks; a word that is longer stands alone.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last_mut().expect("never empty");
        if line.is_empty() {
            line.push_str(word);
        } else if line.chars().count() + 1 + word.chars().count() <= width {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

fn not_understood(why: &str) -> String {
    let mut out = String::new();
    labelled(&mut out, Paint(false), Paint::BOLD, "found", &format!("nothing to explain: {why}"));
    labelled(
        &mut out,
        Paint(false),
        Paint::BOLD,
        "give me",
        "the bytes a client or server sent, captured to a file; a recording; or a request and its answer as text, as \
         a browser's network panel, curl -v or tcpdump -A show them",
    );
    out
}

/// The whole explanation: the fault first, for that is what people came for; then what it rests on.
fn page(explanation: &Explanation, paint: Paint) -> String {
    let mut out = String::new();
    match &explanation.finding {
        Some(finding) => {
            labelled(&mut out, paint, Paint::RED, "fault", &format!("{}: {}", finding.fault, finding.fault.meaning()));
            let (label, words) = said(finding);
            labelled(&mut out, paint, Paint::BOLD, label, &words);
            labelled(&mut out, paint, Paint::BOLD, "remedy", &format!("{}.", capitalised(finding.fault.remedy())));
        }
        None => labelled(&mut out, paint, Paint::GREEN, "fault", "none found in what was seen"),
    }
    let findings = out.len();
    out.push('\n');
    let known = out.len();
    if let Some(request) = &explanation.request {
        labelled(&mut out, paint, Paint::BOLD, "request", request);
    }
    if let Some((dialect, by)) = &explanation.dialect {
        labelled(&mut out, paint, Paint::BOLD, "dialect", &format!("{dialect}, told by {by}"));
    }
    if !explanation.programs.is_empty() {
        labelled(&mut out, paint, Paint::BOLD, "perhaps", &explanation.programs.join("; "));
    }
    for remark in &explanation.remarks {
        labelled(&mut out, paint, Paint::BOLD, "note", remark);
    }
    // One blank line where nothing is known of the client.
    out.truncate(if out.len() == known { findings } else { out.len() });
    out.push('\n');
    out.push_str(&rules(explanation, paint));
    out
}

/// What the client would say, or where it would say nothing, what was seen.
fn said(finding: &Finding) -> (&'static str, String) {
    let words = capitalised(&finding.words);
    let mut each = finding.words.split(|c: char| !c.is_alphanumeric());
    let quoted = each.any(|word| matches!(word, "I" | "me" | "my" | "us"));
    match (finding.upstream, quoted) {
        (true, _) => ("upstream", format!("hybridge, as the upstream's client: \"{words}.\"")),
        (false, true) => ("client", format!("\"{words}.\"")),
        (false, false) => ("seen", format!("{words}.")),
    }
}

/// A line for each rule; those that one reason hides, in one.
fn rules(explanation: &Explanation, paint: Paint) -> String {
    let mut out = String::new();
    let dialect = explanation.dialect.as_ref().map(|(dialect, _)| *dialect);
    for alike in explanation.rules.chunk_by(|(_, one), (_, other)| one == other && one.reason() != "") {
        let [(rule, mark), ..] = alike else { continue };
        let (colour, label) = match mark {
            Mark::Passed => (Paint::GREEN, "passed"),
            Mark::Broken => (Paint::RED, "BROKEN"),
            Mark::NotSeen(_) => (Paint::DIM, "not seen"),
        };
        let words = match alike.len() {
            1 => rule.words(dialect).to_owned(),
            several => format!("{several} rules"),
        };
        let why = mark.reason();
        let text = if why.is_empty() { words } else { format!("{words} ({why})") };
        labelled(&mut out, paint, colour, label, &text);
    }
    out
}

fn list(paint: Paint) -> String {
    let mut out = String::new();
    for fault in Fault::ALL {
        out.push_str(&paint.text(Paint::BOLD, fault.name()));
        out.push('\n');
        for text in [fault.meaning(), fault.remedy()] {
            for line in wrapped(&format!("{}.", capitalised(text)), COLUMNS - 4) {
                let _ = writeln!(out, "    {line}");
            }
        }
    }
    let _ = writeln!(
        out,
        "\n{} faults; {NOT_UNDERSTOOD} is what --name prints for text that holds none.",
        Fault::ALL.len()
    );
    out
}

fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}
