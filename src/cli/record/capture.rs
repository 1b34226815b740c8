//! `hybridge record --from-pcap`: the connections in a file of tcpdump.

use std::path::Path;

use hybridge::recording::Manner;

use super::Failure;

/// Writes a recording for each connection in the file.
pub fn run(_file: &Path, _port: Option<u16>, _folder: &Path, _manner: Manner) -> Result<(), Failure> {
    Err("not yet".into())
}
