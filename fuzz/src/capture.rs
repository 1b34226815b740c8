//! Captures, pcap and pcapng: any bytes are read to their end or refused; every recording that is made of them is a play,
//! of a connection in which something was said, and all of them together hold no more bytes than the file.

use hybridge::recording::Manner;
use hybridge::recording::capture::read;
use hybridge::transcript::{Act, Transcript};

pub fn check(bytes: &[u8]) {
    for keep_secrets in [true, false] {
        let (mut plays, mut said) = (0, 0);
        let tally = read(bytes, None, Manner { keep_secrets, max_bytes: 1 << 20 }, |mut scribe| {
            let text = format!("{}{}", scribe.heading().0, scribe.take());
            let play = Transcript::parse(&text, "recording").unwrap_or_else(|fault| panic!("{fault}\n{text}"));
            plays += 1;
            said += play.lines().iter().map(|line| size(&line.act)).sum::<usize>();
        });
        let Ok(tally) = tally else { continue };
        assert_eq!(tally.recorded, plays);
        assert!(tally.pieces <= tally.packets, "{tally:?}");
        assert!(said <= bytes.len(), "{said} bytes of {}", bytes.len());
    }
}

/// How many bytes were said or heard.
fn size(act: &Act) -> usize {
    match act {
        Act::Says(_, bytes) | Act::Hears(_, bytes) => bytes.len(),
        _ => 0,
    }
}
