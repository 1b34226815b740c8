//! Frames of hixie-75 and hixie-76: however they are cut they mean the same; what is handed on is always valid text and
//! ends at a character; little is left for later; what was decoded, written anew, means the same; and what is told to be
//! a whole message is one that a second, plain reader finds there too.

use hybridge::dialect::Dialect;
use hybridge::dialect::hybi::Role;
use hybridge::transcript::Meaning;

use crate::frames::{self, Said};
use crate::input::{Input, pieces};
use crate::meant::{Kin, Shortly, means_the_same_written_anew, read};

pub fn check(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let (choice, seed) = (input.byte(), input.byte());
    let dialect = if choice & 1 == 0 { Dialect::Hixie75 } else { Dialect::Hixie76 };
    let kin = Kin { dialect, role: Role::Server, extensions: false };
    let bytes = input.rest();
    let whole = read(&mut kin.codec(), [bytes]);
    assert_eq!(whole, read(&mut kin.codec(), pieces(bytes, seed)), "cut otherwise");
    assert_eq!(whole, read(&mut Shortly(kin.codec()), pieces(bytes, seed)), "cut otherwise, and read the short way");
    means_the_same_written_anew(kin, pieces(bytes, seed));

    let texts = |said: &[Meaning]| -> Vec<String> {
        let text = |said: &Meaning| match said {
            Meaning::Text(text) => Some(String::from_utf8(text.clone()).expect("a text is handed on")),
            _ => None,
        };
        said.iter().filter_map(text).collect()
    };
    let found = frames::hixie(bytes, false).messages().into_iter().filter_map(|said| match said {
        Said::Text(text, _) => Some(String::from_utf8_lossy(&text).into_owned()),
        _ => None,
    });
    assert!(found.collect::<Vec<_>>().starts_with(&texts(&whole.said)), "{:?}", whole.said);
    if let Some((_, text)) = &whole.going_on {
        assert!(std::str::from_utf8(text).is_ok(), "it ends at a character");
    }
}
