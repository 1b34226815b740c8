//! `hybridge record --from-pcap`: the connections in a file of tcpdump.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use hybridge::recording::{Manner, Scribe, capture};
use tracing::{info, warn};

use super::page::{self, Page};
use super::{Failure, say, shown};

/// Writes a recording for each connection in the file.
pub fn run(file: &Path, port: Option<u16>, folder: &Path, manner: Manner) -> Result<(), Failure> {
    let failed = |why: &dyn std::fmt::Display| -> Failure { format!("--from-pcap {}: {why}", shown(file)).into() };
    let opened = File::open(file).map_err(|why| failed(&format!("it cannot be read; name a capture ({why})")))?;
    if opened.metadata().is_ok_and(|metadata| metadata.is_dir()) {
        return Err(failed(&"it is a folder; name a capture"));
    }
    page::prepare(folder)?;
    let mut unwritten = 0;
    let done = |mut scribe: Scribe| {
        let mut page = Page::new(folder);
        page.update(&mut scribe);
        unwritten += usize::from(page.is_broken());
        let [client_bytes, server_bytes] = scribe.passed();
        let taken = scribe.taken().map(ToString::to_string).unwrap_or_default();
        info!(client_bytes, server_bytes, file = %page.name(), "recorded {taken}");
    };
    let tally = capture::read(BufReader::new(opened), port, manner, done).map_err(|why| failed(&why))?;
    if tally.cut_short {
        warn!("{} ends inside a packet, or is damaged there; what comes before is recorded", shown(file));
    }
    if tally.recorded == 0 {
        let (packets, pieces, empty) = (tally.packets, tally.pieces, tally.empty);
        return Err(failed(&format!(
            "no connection in it has any bytes ({packets} packets, {pieces} of them TCP, {empty} connections); capture \
             with tcpdump -s 0 -w FILE tcp port N while the client connects"
        )));
    }
    let without = if tally.empty == 0 { String::new() } else { format!(", {} without bytes left out", tally.empty) };
    let noun = if tally.recorded == 1 { "connection" } else { "connections" };
    say(&format!("{} {noun} of {}, into {}{without}", tally.recorded, shown(file), folder.display()));
    if unwritten > 0 {
        return Err(format!("{unwritten} of them could not be written whole; see above").into());
    }
    Ok(())
}
