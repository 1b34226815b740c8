//! Frames of versions 7, 8 and 13, in both roles, with an extension and without: however they are cut they mean the same;
//! an announced length is kept to; what is handed on as text is text; little is left for later; what was decoded, written
//! anew, means the same; and a second, plain reader finds the same messages, pings, pongs and close.

use hybridge::dialect::Dialect;
use hybridge::dialect::hybi::Role;
use hybridge::transcript::Meaning;

use crate::frames::{self, Said};
use crate::input::{Input, pieces};
use crate::meant::{Kin, Shortly, means_the_same_written_anew, read};

pub fn check(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let (choice, seed) = (input.byte(), input.byte());
    let dialect = [Dialect::Hybi07, Dialect::Hybi10, Dialect::Rfc6455][usize::from(choice >> 2) % 3];
    let role = if choice & 1 == 0 { Role::Server } else { Role::Client };
    // Version 7 never agrees on one; which of its marked texts are mended, the second reader does not know.
    let kin = Kin { dialect, role, extensions: choice & 2 != 0 && dialect != Dialect::Hybi07 };
    let bytes = input.rest();
    let whole = read(&mut kin.codec(), [bytes]);
    assert_eq!(whole, read(&mut kin.codec(), pieces(bytes, seed)), "cut otherwise");
    assert_eq!(whole, read(&mut Shortly(kin.codec()), pieces(bytes, seed)), "cut otherwise, and read the short way");
    means_the_same_written_anew(kin, pieces(bytes, seed));

    let found = frames::hybi(bytes, role == Role::Server, kin.extensions);
    let meant: Vec<Meaning> = found.said.iter().map(|said| meaning(said, dialect)).collect();
    // The codec goes on behind a close, of which nobody takes notice.
    let upto =
        whole.said.iter().position(|said| matches!(said, Meaning::Close(..))).map_or(whole.said.len(), |at| at + 1);
    assert!(meant.starts_with(&whole.said[..upto]), "{meant:?} {whole:?}");
    if dialect == Dialect::Rfc6455 && whole.broke.is_none() && !found.is_closed() {
        assert_eq!(found.faults, Vec::<String>::new(), "a strict reader takes it too");
        assert_eq!(meant, whole.said);
    }
}

fn meaning(said: &Said, dialect: Dialect) -> Meaning {
    match said {
        // Version 7 mends what is no text.
        Said::Text(text, 0) if dialect == Dialect::Hybi07 => {
            Meaning::Text(String::from_utf8_lossy(text).into_owned().into())
        }
        Said::Text(text, _) => Meaning::Text(text.clone()),
        Said::Binary(bytes, _) => Meaning::Binary(bytes.clone()),
        Said::Ping(bytes) => Meaning::Ping(bytes.clone()),
        Said::Pong(bytes) => Meaning::Pong(bytes.clone()),
        // hybi-06 to hybi-12: "message too large".
        Said::Close(Some(1004), reason) if dialect != Dialect::Rfc6455 => Meaning::Close(Some(1009), reason.clone()),
        Said::Close(code, reason) => Meaning::Close(*code, reason.clone()),
    }
}
