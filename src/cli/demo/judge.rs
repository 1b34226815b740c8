//! Whether a client was answered right: by the bytes it heard, and by what came to the backend.
//!
//! The bytes expected are spelled out here once more, without the codecs: what those get wrong must not agree with
//! itself.

use hybridge::dialect::Dialect;

use super::clients::Browser;
use super::play::{Transcript, Voice, farewell, script};
use super::wire::Meaning;

/// Everything that was wrong, each as a sentence; nothing if the client was answered right.
pub fn judge(browser: &Browser, transcript: &Transcript) -> Vec<String> {
    let dialect = browser.dialect;
    let mut faults = transcript.broken.clone();
    let lines = |voice| {
        transcript
            .lines
            .iter()
            .filter(move |line| line.voice == voice)
            .map(|line| (line.pieces.concat(), &line.meaning))
    };

    let head = lines(Voice::BackendHears).find(|(_, meaning)| meaning.is_none()).map(|(bytes, _)| bytes);
    let head = String::from_utf8_lossy(head.as_deref().unwrap_or_default()).into_owned();
    for line in ["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"] {
        if !head.split("\r\n").any(|found| found == line) {
            faults.push(format!("the backend's opening handshake has no line \"{line}\""));
        }
    }

    let heard: Vec<(Vec<u8>, String)> =
        lines(Voice::ClientHears).filter_map(|(bytes, meaning)| Some((bytes, meaning.as_ref()?.to_string()))).collect();
    let expected: Vec<(Vec<u8>, String)> =
        echoes(dialect).into_iter().map(|meaning| (frame(dialect, &meaning), meaning.to_string())).collect();
    compare("the client", &heard, &expected, &mut faults);

    let meanings = lines(Voice::BackendHears).filter_map(|(_, meaning)| Some(meaning.as_ref()?.to_string()));
    // After a close the backend may or may not see the stream end.
    let end = Meaning::End.to_string();
    let received: Vec<String> = meanings.filter(|meaning| *meaning != end).collect();
    let said = script(dialect).into_iter().map(|(meaning, _)| meaning);
    let expected: Vec<String> = said.chain([goodbye(dialect)]).map(|meaning| meaning.to_string()).collect();
    compare("the backend", &received, &expected, &mut faults);
    faults
}

/// What the client hears between the opening handshake and the end of its connection.
fn echoes(dialect: Dialect) -> Vec<Meaning> {
    let mut echoes: Vec<Meaning> = script(dialect)
        .into_iter()
        .map(|(meaning, _)| match meaning {
            Meaning::Ping(payload) => Meaning::Pong(payload),
            message => message,
        })
        .collect();
    // Each dialect's close is answered in kind, and then the server ends the stream.
    echoes.push(farewell(dialect));
    if dialect != Dialect::Hixie75 {
        echoes.push(Meaning::End);
    }
    echoes
}

/// What the farewell becomes in RFC 6455.
fn goodbye(dialect: Dialect) -> Meaning {
    match dialect {
        // A hixie-75 client that ends its stream is gone.
        Dialect::Hixie75 => Meaning::Close(Some(1001), String::new()),
        Dialect::Hixie76 => Meaning::Close(Some(1000), String::new()),
        Dialect::Hybi07 | Dialect::Hybi10 | Dialect::Rfc6455 => farewell(dialect),
    }
}

/// The bytes in which a server of this dialect says it; for what the script has, which is short.
fn frame(dialect: Dialect, meaning: &Meaning) -> Vec<u8> {
    let hybi = dialect.facts().version.is_some();
    let framed = |opcode: u8, payload: &[u8]| [&[0x80 | opcode, payload.len() as u8], payload].concat();
    match meaning {
        Meaning::Text(text) if hybi => framed(0x1, text.as_bytes()),
        Meaning::Text(text) => [b"\0", text.as_bytes(), b"\xff"].concat(),
        Meaning::Binary(bytes) => framed(0x2, bytes),
        Meaning::Ping(payload) => framed(0x9, payload),
        Meaning::Pong(payload) => framed(0xA, payload),
        Meaning::Close(Some(code), reason) => framed(0x8, &[&code.to_be_bytes(), reason.as_bytes()].concat()),
        Meaning::Close(None, _) if hybi => framed(0x8, b""),
        Meaning::Close(None, _) => b"\xff\0".to_vec(),
        Meaning::End => Vec::new(),
    }
}

/// What can be named in a fault.
trait Name {
    fn name(&self) -> String;
}

impl Name for String {
    fn name(&self) -> String {
        self.clone()
    }
}

impl Name for (Vec<u8>, String) {
    fn name(&self) -> String {
        format!("{} as \"{}\"", self.1, self.0.escape_ascii())
    }
}

/// Names the first difference: what follows one is often no more than its consequence.
fn compare<T: Name + PartialEq>(who: &str, heard: &[T], expected: &[T], faults: &mut Vec<String>) {
    let same = heard.iter().zip(expected).take_while(|(heard, expected)| heard == expected).count();
    faults.extend(match (heard.get(same), expected.get(same)) {
        (None, None) => None,
        (Some(heard), Some(expected)) => Some(format!("{who} heard {}, and not {}", heard.name(), expected.name())),
        (Some(heard), None) => Some(format!("{who} heard {} when all had been said", heard.name())),
        (None, Some(expected)) => Some(format!("{who} did not hear {}", expected.name())),
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::demo::clients::CAST;
    use crate::cli::demo::play::Line;

    const HEAD: &str =
        "GET /echo HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\r\n";

    fn line(voice: Voice, bytes: &[u8], meaning: Option<Meaning>) -> Line {
        Line { voice, pieces: vec![bytes.to_vec()], meaning }
    }

    /// A transcript in which everything is right.
    fn right(dialect: Dialect) -> Transcript {
        let mut lines = vec![line(Voice::BackendHears, HEAD.as_bytes(), None)];
        lines.push(line(Voice::ClientHears, b"HTTP/1.1 101", None));
        let said = script(dialect).into_iter().map(|(meaning, _)| meaning);
        lines.extend(said.chain([goodbye(dialect)]).map(|meaning| line(Voice::BackendHears, b"", Some(meaning))));
        lines.extend(
            echoes(dialect)
                .into_iter()
                .map(|meaning| line(Voice::ClientHears, &frame(dialect, &meaning), Some(meaning))),
        );
        Transcript { lines, broken: Vec::new() }
    }

    #[test]
    fn the_bytes_expected_are_those_of_the_drafts() {
        let check = |dialect, meaning, bytes: &[u8]| assert_eq!(frame(dialect, &meaning), bytes, "{dialect} {meaning}");
        let hello = || Meaning::Text("Hello".into());
        check(Dialect::Hixie75, hello(), b"\0Hello\xff");
        check(Dialect::Hixie76, hello(), b"\0Hello\xff");
        check(Dialect::Hixie76, farewell(Dialect::Hixie76), b"\xff\0");
        check(Dialect::Hybi07, hello(), b"\x81\x05Hello");
        check(Dialect::Rfc6455, farewell(Dialect::Rfc6455), b"\x88\x05\x03\xe8bye");
    }

    #[test]
    fn what_is_right_has_no_fault() {
        for browser in &CAST {
            assert_eq!(judge(browser, &right(browser.dialect)), [""; 0], "{}", browser.dialect);
        }
    }

    #[test]
    fn every_single_thing_that_is_wrong_is_found() {
        for browser in &CAST {
            let whole = right(browser.dialect);
            for at in 0..whole.lines.len() {
                let without = |change: &dyn Fn(&mut Vec<Line>)| {
                    let mut wrong = right(browser.dialect);
                    change(&mut wrong.lines);
                    judge(browser, &wrong)
                };
                let of = &whole.lines[at];
                // The client's opening handshake is judged when it is made.
                if of.voice == Voice::ClientHears && of.meaning.is_none() {
                    continue;
                }
                assert_ne!(without(&|lines| drop(lines.remove(at))), [""; 0], "{} without {of:?}", browser.dialect);
                assert_ne!(
                    without(&|lines| lines[at].meaning = Some(Meaning::Text("other".into()))),
                    [""; 0],
                    "{} with another meaning for {of:?}",
                    browser.dialect
                );
                if of.voice == Voice::ClientHears {
                    assert_ne!(
                        without(&|lines| lines[at].pieces.push(b"\0".to_vec())),
                        [""; 0],
                        "{} with a byte after {of:?}",
                        browser.dialect
                    );
                }
            }
            let twice = {
                let mut wrong = right(browser.dialect);
                wrong.lines.push(line(Voice::BackendHears, b"", Some(Meaning::Text("again".into()))));
                judge(browser, &wrong)
            };
            assert_eq!(twice, ["the backend heard text \"again\" when all had been said"]);
        }
    }

    #[test]
    fn a_fault_names_what_was_heard_and_what_was_not() {
        let mut wrong = right(Dialect::Hixie75);
        let hello = wrong.lines.iter_mut().find(|line| line.pieces == [b"\0Hello\xff"]).expect("it says Hello");
        (hello.pieces, hello.meaning) = (vec![b"\0Hell\xff".to_vec()], Some(Meaning::Text("Hell".into())));
        wrong.broken.push("it was not done within 10 s".into());
        assert_eq!(
            judge(&CAST[0], &wrong),
            [
                "it was not done within 10 s",
                r#"the client heard text "Hell" as "\x00Hell\xff", and not text "Hello" as "\x00Hello\xff""#
            ]
        );
    }
}
