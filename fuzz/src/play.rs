//! Plays: what is read and printed reads as the same again, and prints the same; a fault names a place in the text; and
//! what is a play can be performed, whole and in pieces, and explained, whatever it says, without a panic.

use hybridge::explain::{Scene, explain};
use hybridge::transcript::{Act, Cutting, Transcript, play_cut};

use crate::explained::check_form;
use crate::input::Input;

/// `"…" x N` makes many bytes of few, and a play is performed several times.
const MOST: usize = 64 << 10;

pub fn check(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let size = 1 + usize::from(input.byte());
    let Ok(text) = std::str::from_utf8(input.rest()) else { return };
    let repeats = text.split(" x ").skip(1).filter_map(|rest| rest.split_whitespace().next()?.parse::<usize>().ok());
    if repeats.map(|times| times.saturating_mul(text.len())).fold(0, usize::saturating_add) > MOST {
        return;
    }
    let play = match Transcript::parse(text, "play") {
        Ok(play) => play,
        Err(fault) => {
            let line = text.lines().nth(fault.line - 1).unwrap_or_default();
            assert!((1..=line.chars().count() + 1).contains(&fault.column), "{fault}");
            return;
        }
    };
    let printed = play.to_string();
    let again = Transcript::parse(&printed, "play").unwrap_or_else(|fault| panic!("{fault}\n{printed}"));
    assert_eq!(acts(&play), acts(&again), "{printed}");
    assert_eq!(again.to_string(), printed);

    // Most such plays go other than written.
    let whole = play_cut(&play, Cutting::Whole);
    assert_eq!(whole.is_err(), play_cut(&again, Cutting::Whole).is_err());
    drop(play_cut(&play, Cutting::Pieces(size)));
    check_form(&explain(&Scene::of_play(&play)));
}

fn acts(play: &Transcript) -> Vec<&Act> {
    play.lines().iter().map(|line| &line.act).collect()
}
