//! TCP connections in a file of tcpdump, pcap or pcapng: from packets to streams to recordings.

mod packet;
mod stream;

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read;
use std::net::SocketAddr;
use std::time::Duration;

use pcap_parser::pcapng::Block;
use pcap_parser::traits::PcapNGPacketBlock as _;
use pcap_parser::{PcapBlockOwned, PcapError, create_reader};

pub use self::packet::{Link, Piece};
use self::stream::Connection;
use super::{Manner, Moment, Scribe};

/// Bytes of the file that are in hand at a time; it grows up to the most where a block is longer.
const BUFFER: usize = 128 << 10;
const MOST_BUFFER: usize = 64 << 20;
/// How long after its end a connection is kept, for what comes late.
const LINGER: Duration = Duration::from_secs(60);
/// How many packets pass between looks for those.
const SWEEP: u64 = 10_000;

/// Why a file cannot be read as a capture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BadCapture {
    /// It begins like none.
    NotOne,
    /// Its packets begin with something that cannot be read; the number that captures give it.
    UnknownLink(i32),
    /// It cannot be read on from somewhere, before anything was found in it.
    Broken,
}

impl fmt::Display for BadCapture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BadCapture::NotOne => f.write_str(
                "this is no capture; write one with tcpdump -w FILE (a compressed one must be unpacked first)",
            ),
            BadCapture::UnknownLink(number) => {
                write!(f, "its packets are of link type {number}, which cannot be read; {} can", Link::KNOWN)
            }
            BadCapture::Broken => f.write_str("the capture is damaged, and nothing in it can be read"),
        }
    }
}

impl std::error::Error for BadCapture {}

/// What was read of a capture.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Connections that were recorded.
    pub recorded: usize,
    /// Connections in which no byte was sent.
    pub empty: usize,
    /// Packets, and among them those of TCP.
    pub packets: u64,
    /// Those of TCP.
    pub pieces: u64,
    /// The file ends inside a packet, or is damaged from some place on.
    pub cut_short: bool,
}

/// Reads a capture, and hands every connection's recording, finished, to `done`.
///
/// # Errors
/// The file is no capture, or none whose packets can be read.
pub fn read(
    file: impl Read + Send,
    port: Option<u16>,
    manner: Manner,
    done: impl FnMut(Scribe),
) -> Result<Tally, BadCapture> {
    let mut reader = create_reader(BUFFER, file).map_err(|_| BadCapture::NotOne)?;
    let mut wire = Wire { port, manner, done, open: BTreeMap::new(), tally: Tally::default() };
    let mut links = Links::default();
    let mut size = BUFFER;
    loop {
        match reader.next() {
            Ok((length, block)) => {
                if let Some((link, at, original, packet)) = links.packet(&block)? {
                    wire.packet(link, at, original, packet);
                }
                reader.consume(length);
                continue;
            }
            Err(PcapError::Eof) => break,
            Err(PcapError::Incomplete(_) | PcapError::BufferTooSmall) => {}
            Err(_) => return wire.cut_short(),
        }
        let in_hand = reader.data().len();
        if reader.reader_exhausted() || reader.refill().is_err() {
            return wire.cut_short();
        }
        // Only bytes that are there make the buffer grow, not a length that a damaged file announces.
        if reader.data().len() == in_hand && !reader.reader_exhausted() {
            size *= 2;
            if size > MOST_BUFFER || !reader.grow(size) {
                return wire.cut_short();
            }
        }
    }
    Ok(wire.end())
}

/// What a file says of where its packets were captured.
#[derive(Default)]
struct Links {
    /// Of each interface: the link, and how many units of time a second has and by how many seconds it is off.
    interfaces: Vec<(i32, u64, i64)>,
}

type Captured<'a> = (Link, Moment, usize, &'a [u8]);

impl Links {
    /// The packet in a block of the file, if it has one.
    fn packet<'a>(&mut self, block: &'a PcapBlockOwned<'_>) -> Result<Option<Captured<'a>>, BadCapture> {
        let link = |number: i32| Link::of(number).ok_or(BadCapture::UnknownLink(number));
        match block {
            PcapBlockOwned::LegacyHeader(header) => {
                let units = if header.is_nanosecond_precision() { 1_000_000_000 } else { 1_000_000 };
                self.interfaces = vec![(header.network.0, units, 0)];
                link(header.network.0)?;
            }
            PcapBlockOwned::Legacy(block) => {
                let (number, units, _) = self.interfaces.first().copied().unwrap_or((1, 1_000_000, 0));
                let at = moment(u64::from(block.ts_sec) * units + u64::from(block.ts_usec), units, 0);
                return Ok(Some((link(number)?, at, block.origlen as usize, block.data)));
            }
            PcapBlockOwned::NG(Block::SectionHeader(_)) => self.interfaces.clear(),
            PcapBlockOwned::NG(Block::InterfaceDescription(interface)) => {
                let units = interface.ts_resolution().unwrap_or(1_000_000);
                self.interfaces.push((interface.linktype.0, units, interface.ts_offset()));
            }
            PcapBlockOwned::NG(Block::EnhancedPacket(block)) => {
                let Some((number, units, offset)) = self.interfaces.get(block.if_id as usize).copied() else {
                    return Ok(None);
                };
                let ticks = u64::from(block.ts_high) << 32 | u64::from(block.ts_low);
                let at = moment(ticks, units, offset);
                return Ok(Some((link(number)?, at, block.origlen as usize, block.packet_data())));
            }
            PcapBlockOwned::NG(Block::SimplePacket(block)) => {
                let Some((number, ..)) = self.interfaces.first().copied() else { return Ok(None) };
                // Such blocks have no time.
                return Ok(Some((link(number)?, Moment::default(), block.origlen as usize, block.packet_data())));
            }
            PcapBlockOwned::NG(_) => {}
        }
        Ok(None)
    }
}

fn moment(ticks: u64, units: u64, offset: i64) -> Moment {
    let units = units.max(1);
    let seconds = (ticks / units).saturating_add_signed(offset);
    let nanoseconds = u128::from(ticks % units) * 1_000_000_000 / u128::from(units);
    Moment(Duration::from_secs(seconds) + Duration::from_nanos(nanoseconds as u64))
}

/// The connections that are open.
struct Wire<F> {
    port: Option<u16>,
    manner: Manner,
    done: F,
    /// By their addresses, the lower first.
    open: BTreeMap<(SocketAddr, SocketAddr), Connection>,
    tally: Tally,
}

impl<F: FnMut(Scribe)> Wire<F> {
    fn packet(&mut self, link: Link, at: Moment, original: usize, packet: &[u8]) {
        self.tally.packets += 1;
        if self.tally.packets.is_multiple_of(SWEEP) {
            self.sweep(at);
        }
        let Some(piece) = Piece::read(link, packet, original) else { return };
        self.tally.pieces += 1;
        let pair = (piece.from.min(piece.to), piece.from.max(piece.to));
        if self.open.get(&pair).is_some_and(|connection| connection.is_followed_by(&piece))
            && let Some(connection) = self.open.remove(&pair)
        {
            self.close(connection);
        }
        let connection = self.open.entry(pair).or_insert_with(|| Connection::new(at, &piece, self.port, self.manner));
        connection.take(at, &piece);
    }

    /// Closes what has been over for a while, so that a long capture does not fill the memory.
    fn sweep(&mut self, now: Moment) {
        let is_over =
            |connection: &Connection| connection.over.is_some_and(|over| now.0.saturating_sub(over.0) > LINGER);
        let pairs: Vec<_> = self.open.iter().filter(|(_, open)| is_over(open)).map(|(pair, _)| *pair).collect();
        for pair in pairs {
            if let Some(connection) = self.open.remove(&pair) {
                self.close(connection);
            }
        }
    }

    fn close(&mut self, connection: Connection) {
        if connection.is_empty() {
            self.tally.empty += 1;
        } else {
            self.tally.recorded += 1;
            (self.done)(connection.record(self.manner));
        }
    }

    fn end(mut self) -> Tally {
        let mut left: Vec<Connection> = std::mem::take(&mut self.open).into_values().collect();
        left.sort_by_key(|connection| connection.began);
        for connection in left {
            self.close(connection);
        }
        self.tally
    }

    fn cut_short(mut self) -> Result<Tally, BadCapture> {
        self.tally.cut_short = true;
        let tally = self.end();
        if tally.packets == 0 { Err(BadCapture::Broken) } else { Ok(tally) }
    }
}
