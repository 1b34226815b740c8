//! How plays went: a bar while they go, a word on each that did not go as written, a summary, and JUnit's XML.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesText, Event};

use super::Failure;

/// How a play went.
pub struct Result {
    /// Its file.
    pub file: PathBuf,
    /// What it shows; empty where it could not be read.
    pub title: String,
    /// What came of it.
    pub verdict: Verdict,
    /// How long it took.
    pub took: Duration,
}

/// What came of a play.
pub enum Verdict {
    /// It went as written.
    Passed,
    /// It did not, and this is where.
    Failed(String),
    /// It cannot be performed so. Completes the sentence "plays that".
    Skipped(String),
    /// It did not, as the play itself notes of this server, and this is why.
    Differs(String),
}

/// Takes results as they come.
pub struct Report {
    bar: ProgressBar,
    verbose: bool,
    results: Vec<Result>,
}

impl Report {
    /// Of so many plays; with a bar on stderr if somebody watches.
    pub fn new(plays: usize, verbose: bool, watched: bool) -> Report {
        let bar = ProgressBar::with_draw_target(
            Some(plays as u64),
            match watched {
                true => ProgressDrawTarget::stderr(),
                false => ProgressDrawTarget::hidden(),
            },
        );
        let style = ProgressStyle::with_template("{wide_bar} {pos}/{len} {eta}");
        bar.set_style(style.expect("the template is well formed"));
        Report { bar, verbose, results: Vec::new() }
    }

    /// Takes one.
    pub fn add(&mut self, result: Result) {
        let file = result.file.display();
        let said = match &result.verdict {
            Verdict::Failed(why) if result.title.is_empty() => Some(format!("failed  {why}\n")),
            Verdict::Failed(why) => Some(format!("failed  {why}\n  in a play that shows: {}\n", result.title)),
            Verdict::Passed if self.verbose => Some(format!("passed  {file}")),
            Verdict::Skipped(why) if self.verbose => Some(format!("skipped {file}: plays that {why}")),
            Verdict::Differs(why) if self.verbose => Some(format!("differs {file}: {why}")),
            _ => None,
        };
        if let Some(said) = said {
            // Plays come from others, too, and a terminal obeys what is written to it.
            self.bar.suspend(|| show(&printable(&said)));
        }
        self.bar.inc(1);
        self.results.push(result);
    }

    /// Prints the summary.
    ///
    /// # Errors
    /// Something failed, or nothing was performed.
    pub fn summary(&self) -> std::result::Result<(), Failure> {
        self.bar.finish_and_clear();
        let count = |is: fn(&Verdict) -> bool| self.results.iter().filter(|result| is(&result.verdict)).count();
        let passed = count(|verdict| matches!(verdict, Verdict::Passed));
        let failed = count(|verdict| matches!(verdict, Verdict::Failed(_)));
        let differ = count(|verdict| matches!(verdict, Verdict::Differs(_)));
        let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
        for result in &self.results {
            if let Verdict::Skipped(why) = &result.verdict {
                *reasons.entry(why).or_default() += 1;
            }
        }
        for (why, plays) in &reasons {
            show(&format!("skipped {plays}: plays that {why}"));
        }
        let mut summary = format!("{passed} passed, {failed} failed");
        if differ > 0 {
            summary.push_str(&format!(", {differ} differ as noted in them"));
        }
        if !reasons.is_empty() {
            summary.push_str(&format!(", {} skipped", reasons.values().sum::<usize>()));
        }
        show(&summary);
        match (failed, passed) {
            (0, 0) => Err("no play was performed".into()),
            (0, _) => Ok(()),
            (1, _) => Err("one play did not go as written".into()),
            _ => Err(format!("{failed} plays did not go as written").into()),
        }
    }

    /// Writes the results as JUnit's XML, which test servers read, in the order of the files.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write_junit(&mut self, file: &Path) -> io::Result<()> {
        self.results.sort_by(|a, b| a.file.cmp(&b.file));
        let mut writer = Writer::new_with_indent(BufWriter::new(File::create(file)?), b' ', 2);
        writer.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
        let count =
            |is: fn(&Verdict) -> bool| self.results.iter().filter(|result| is(&result.verdict)).count().to_string();
        let seconds = |time: Duration| format!("{:.3}", time.as_secs_f64());
        let attributes = [
            ("name", "hybridge replay".to_owned()),
            ("tests", self.results.len().to_string()),
            ("failures", count(|verdict| matches!(verdict, Verdict::Failed(_)))),
            ("skipped", count(|verdict| matches!(verdict, Verdict::Skipped(_) | Verdict::Differs(_)))),
            ("time", seconds(self.results.iter().map(|result| result.took).sum())),
        ];
        let suite = writer.create_element("testsuite");
        let suite = suite.with_attributes(attributes.iter().map(|(name, value)| (*name, value.as_str())));
        suite.write_inner_content(|writer| {
            for result in &self.results {
                let folder = printable(&result.file.parent().unwrap_or(Path::new("")).display().to_string());
                let name = printable(&result.file.file_stem().unwrap_or_default().to_string_lossy());
                let case = writer.create_element("testcase").with_attributes([
                    ("classname", folder.as_str()),
                    ("name", name.as_str()),
                    ("time", seconds(result.took).as_str()),
                ]);
                match &result.verdict {
                    Verdict::Passed => case.write_empty()?,
                    Verdict::Failed(why) => case.write_inner_content(|writer| {
                        let message = printable(&result.title);
                        let failure = writer.create_element("failure").with_attribute(("message", message.as_str()));
                        failure.write_text_content(BytesText::new(&printable(why))).map(drop)
                    })?,
                    Verdict::Skipped(why) | Verdict::Differs(why) => case.write_inner_content(|writer| {
                        writer
                            .create_element("skipped")
                            .with_attribute(("message", printable(why).as_str()))
                            .write_empty()
                            .map(drop)
                    })?,
                };
            }
            Ok(())
        })?;
        writer.into_inner().into_inner()?.sync_all()
    }
}

/// Writes a line to stdout; nobody need read it.
fn show(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}

/// Without what a terminal obeys, and what XML cannot hold (XML 1.0 §2.2).
fn printable(text: &str) -> String {
    let held = |c: char| matches!(c, '\n' | '\t') || !c.is_control() && !matches!(c, '\u{FFFE}' | '\u{FFFF}');
    text.chars().map(|c| if held(c) { c } else { '\u{FFFD}' }).collect()
}
