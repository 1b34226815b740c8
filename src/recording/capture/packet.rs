//! A packet as it was captured, to the piece of a TCP stream that it carries.

use std::net::{IpAddr, SocketAddr};

use etherparse::{EtherType, LaxNetSlice, LaxSlicedPacket, LenSource, TransportSlice};

/// What stands before the IP header of a capture's packets, by the number that captures give it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// Ethernet, perhaps with VLAN tags.
    Ethernet,
    /// Linux cooked, versions 1 and 2: `tcpdump -i any`.
    Cooked,
    /// The same, version 2.
    Cooked2,
    /// The address family in four bytes: loopback of BSD and macOS.
    Loopback,
    /// Nothing.
    Raw,
}

impl Link {
    /// The link of this number; `None` for those that cannot be read.
    pub fn of(number: i32) -> Option<Link> {
        match number {
            0 | 108 => Some(Link::Loopback),
            1 => Some(Link::Ethernet),
            // DLT_RAW has other numbers in files of some systems.
            12 | 14 | 101 | 228 | 229 => Some(Link::Raw),
            113 => Some(Link::Cooked),
            276 => Some(Link::Cooked2),
            _ => None,
        }
    }

    /// What can be read, for people.
    pub const KNOWN: &str = "Ethernet, Linux cooked (-i any), raw IP and loopback";
}

/// A piece of a TCP stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece<'a> {
    /// Who sent it.
    pub from: SocketAddr,
    /// Whom to.
    pub to: SocketAddr,
    /// The sequence number of the first byte, or of SYN.
    pub seq: u32,
    /// The next sequence number that the sender expects, if it says so.
    pub ack: Option<u32>,
    /// It opens the stream.
    pub syn: bool,
    /// It ends the stream.
    pub fin: bool,
    /// It resets the connection.
    pub rst: bool,
    /// Its bytes, as far as they were captured.
    pub bytes: &'a [u8],
    /// How many bytes there were.
    pub length: usize,
}

impl<'a> Piece<'a> {
    /// Reads a packet of which `original` bytes were on the wire. `None` if it is no TCP, or cannot be read.
    pub fn read(link: Link, packet: &'a [u8], original: usize) -> Option<Piece<'a>> {
        let sliced = match link {
            Link::Ethernet => by_type(packet, 12, 14)?,
            Link::Cooked => by_type(packet, 14, 16)?,
            Link::Cooked2 => by_type(packet, 0, 20)?,
            Link::Loopback => LaxSlicedPacket::from_ip(packet.get(4..)?).ok()?,
            Link::Raw => LaxSlicedPacket::from_ip(packet).ok()?,
        };
        let Some(TransportSlice::Tcp(tcp)) = &sliced.transport else { return None };
        let (from, to, declared, payload) = match sliced.net.as_ref()? {
            LaxNetSlice::Ipv4(ip) => {
                let header = ip.header();
                let declared = usize::from(header.total_len()).saturating_sub(header.slice().len());
                let ends = (IpAddr::V4(header.source_addr()), IpAddr::V4(header.destination_addr()));
                (ends.0, ends.1, declared.saturating_sub(extensions(ip.extensions().auth)), ip.payload())
            }
            LaxNetSlice::Ipv6(ip) => {
                let header = ip.header();
                let declared = usize::from(header.payload_length()).saturating_sub(ip.extensions().slice().len());
                let ends = (IpAddr::V6(header.source_addr()), IpAddr::V6(header.destination_addr()));
                (ends.0, ends.1, declared, ip.payload())
            }
            LaxNetSlice::Arp(_) => return None,
        };
        let missing = match payload.len_source {
            // Large packets that the sender's card cuts up say nothing of their length.
            LenSource::Slice if !payload.incomplete => original.saturating_sub(packet.len()),
            _ => declared.saturating_sub(payload.payload.len()),
        };
        let bytes = if payload.fragmented { return None } else { tcp_payload(payload.payload, tcp.data_offset())? };
        Some(Piece {
            from: SocketAddr::new(from, tcp.source_port()),
            to: SocketAddr::new(to, tcp.destination_port()),
            seq: tcp.sequence_number(),
            ack: tcp.ack().then(|| tcp.acknowledgment_number()),
            syn: tcp.syn(),
            fin: tcp.fin(),
            rst: tcp.rst(),
            bytes,
            length: bytes.len() + missing,
        })
    }
}

/// What follows a header that has its type, in two bytes, at `at`, and is so long.
fn by_type(packet: &[u8], at: usize, header: usize) -> Option<LaxSlicedPacket<'_>> {
    let number = u16::from_be_bytes([*packet.get(at)?, *packet.get(at + 1)?]);
    Some(LaxSlicedPacket::from_ether_type(EtherType(number), packet.get(header..)?))
}

fn extensions(auth: Option<etherparse::IpAuthHeaderSlice<'_>>) -> usize {
    auth.map_or(0, |auth| auth.slice().len())
}

fn tcp_payload(segment: &[u8], words: u8) -> Option<&[u8]> {
    segment.get(usize::from(words) * 4..)
}
