//! The play on the terminal.

use std::env;
use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write as _};

use super::clients::Browser;
use super::play::{Line, Transcript, Voice};
use crate::cli::bytes::quoted;

/// Whether a terminal reads, so that colours help.
#[derive(Clone, Copy, Debug)]
pub struct Paint {
    colours: bool,
}

/// A colour, as its number in SGR.
#[derive(Clone, Copy)]
enum Colour {
    Bold = 1,
    Dim = 2,
    Red = 31,
    Green = 32,
    Magenta = 35,
    Cyan = 36,
}

impl Paint {
    /// Colours for a terminal, unless its user does not want them (no-color.org).
    pub fn for_stdout() -> Paint {
        let unwanted = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Paint { colours: io::stdout().is_terminal() && !unwanted }
    }

    fn text(self, colour: Colour, text: &str) -> String {
        if self.colours { format!("\x1b[{}m{text}\x1b[0m", colour as u8) } else { text.to_owned() }
    }

    /// A client's whole play.
    pub fn play(self, browser: &Browser, transcript: &Transcript) -> String {
        self.scene(browser.dialect.name(), browser.who, transcript)
    }

    /// What passed, under a title.
    pub fn scene(self, title: &str, explained: &str, transcript: &Transcript) -> String {
        let mut out = format!("\n{}  {}\n", self.text(Colour::Bold, title), self.text(Colour::Dim, explained));
        let mut before = None;
        for line in &transcript.lines {
            // A blank line wherever the client begins anew.
            if line.voice == Voice::ClientSays && before != Some(Voice::ClientSays) {
                out.push('\n');
            }
            before = Some(line.voice);
            self.line(line, &mut out);
        }
        out
    }

    fn line(self, line: &Line, out: &mut String) {
        let (colour, label) = match line.voice {
            Voice::ClientSays => (Colour::Cyan, "client says  "),
            Voice::BackendHears => (Colour::Magenta, "backend hears"),
            Voice::BackendSays => (Colour::Magenta, "backend says "),
            Voice::ClientHears => (Colour::Green, "client hears "),
        };
        let meaning = line.meaning.as_ref().map(|meaning| self.text(Colour::Dim, &meaning.to_string()));
        let mut label = self.text(colour, label);
        let pieces = line.pieces.iter().filter(|piece| !piece.is_empty()).map(|piece| quoted(piece));
        let mut texts: Vec<String> = pieces.collect();
        if let Some(meaning) = meaning {
            match texts.last_mut() {
                Some(last) => *last = format!("{last}  {meaning}"),
                None => texts.push(meaning),
            }
        }
        for text in texts {
            // Writing to a String cannot fail.
            let _ = writeln!(out, "  {label}  {text}");
            label = " ".repeat("backend hears".len());
        }
    }

    /// A row for each client.
    pub fn table(self, results: &[(&str, &Browser, Vec<String>)]) -> String {
        let mut out = format!("\n{}\n", self.text(Colour::Bold, "dialect   client     result"));
        for (title, browser, faults) in results {
            let result = match faults.is_empty() {
                true => self.text(Colour::Green, "answered right"),
                false => self.text(Colour::Red, &faults.join("; ")),
            };
            // Writing to a String cannot fail.
            let _ = writeln!(out, "{title:9} {:10} {result}", browser.name);
        }
        out
    }
}

/// Writes to stdout at once.
///
/// # Errors
/// Nobody reads any more.
pub fn show(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::demo::clients::CAST;
    use crate::cli::demo::wire::Meaning;

    fn transcript() -> Transcript {
        let says = |pieces: &[&[u8]], meaning| Line {
            voice: Voice::ClientSays,
            pieces: pieces.iter().map(|piece| piece.to_vec()).collect(),
            meaning,
        };
        let lines = vec![
            says(&[b"GET / HTTP/1.1\r\n", b"\r\n"], None),
            says(&[b"\0it's", b"\xff"], Some(Meaning::Text("it's".into()))),
            says(&[b""], Some(Meaning::End)),
        ];
        Transcript { lines, broken: Vec::new() }
    }

    #[test]
    fn bytes_are_readable_and_stand_in_one_column() {
        let printed = Paint { colours: false }.play(&CAST[0], &transcript());
        let expected = r#"
hixie-75  Chrome 4 and 5, Safari 5.0.0, Qt 4.7 (2010)

  client says    "GET / HTTP/1.1\r\n"
                 "\r\n"
  client says    "\x00it's"
                 "\xff"  text "it's"
  client says    end of the stream
"#;
        assert_eq!(printed, expected);
    }

    #[test]
    fn colours_add_nothing_but_colours() {
        let coloured = Paint { colours: true }.play(&CAST[0], &transcript());
        let mut plain = String::new();
        for (at, part) in coloured.split('\x1b').enumerate() {
            plain += if at == 0 { part } else { part.split_once('m').expect("a colour ends in m").1 };
        }
        assert_ne!(plain, coloured);
        assert_eq!(plain, Paint { colours: false }.play(&CAST[0], &transcript()));
    }

    #[test]
    fn the_table_has_a_row_for_each_client() {
        let table = Paint { colours: false }
            .table(&[("hixie-75", &CAST[0], vec![]), ("v13", &CAST[4], vec!["a".into(), "b".into()])]);
        let expected =
            "\ndialect   client     result\nhixie-75  Chrome 4   answered right\nv13       Chrome 28  a; b\n";
        assert_eq!(table, expected);
    }
}
