//! One end of a TCP connection, read byte by byte as it comes.

use std::fmt::Write as _;
use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use socket2::SockRef;

use super::{PATIENCE, consent};

/// How bytes are cut into writes.
#[derive(Clone, Copy, Debug)]
pub enum Cut {
    /// All in one.
    Whole,
    /// A head, then what follows its blank line.
    Head,
    /// Each byte for itself.
    Bytes,
}

/// A frame of RFC 6455 as it was received.
#[derive(Clone, PartialEq, Eq)]
pub struct Frame {
    /// FIN, reserved bits and opcode.
    pub first: u8,
    /// What it holds, without its mask.
    pub payload: Vec<u8>,
}

impl Frame {
    pub fn new(first: u8, payload: impl AsRef<[u8]>) -> Frame {
        Frame { first, payload: payload.as_ref().to_vec() }
    }
}

impl std::fmt::Debug for Frame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:02x} {}", self.first, shown(&self.payload))
    }
}

/// Bytes for people; of many, the first.
pub fn shown(bytes: &[u8]) -> String {
    let mut text = format!("{}", bytes[..bytes.len().min(400)].escape_ascii());
    if bytes.len() > 400 {
        let _ = write!(text, "... ({} bytes)", bytes.len());
    }
    text
}

/// One end of a connection.
pub struct Wire {
    stream: TcpStream,
    /// Read from the stream, and not yet asked for.
    buffer: Vec<u8>,
}

impl Wire {
    pub fn over(stream: TcpStream) -> Wire {
        stream.set_nodelay(true).expect("an option can be set");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
        stream.set_write_timeout(Some(PATIENCE)).expect("a timeout can be set");
        Wire { stream, buffer: Vec::new() }
    }

    #[track_caller]
    pub fn connect(address: SocketAddr) -> Wire {
        Wire::over(TcpStream::connect(address).expect("the listener takes connections"))
    }

    pub fn local_address(&self) -> SocketAddr {
        self.stream.local_addr().expect("a connection has an address")
    }

    /// The same connection, for another thread.
    pub fn twin(&self) -> Wire {
        assert!(self.buffer.is_empty(), "bytes were read that nobody asked for yet");
        Wire::over(self.stream.try_clone().expect("a descriptor is free"))
    }

    #[track_caller]
    pub fn say(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).expect("the other end takes bytes");
    }

    #[track_caller]
    pub fn say_cut(&mut self, bytes: &[u8], cut: Cut) {
        match cut {
            Cut::Whole => self.say(bytes),
            Cut::Head => {
                let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").map_or(bytes.len(), |at| at + 4);
                self.say(&bytes[..end]);
                self.say(&bytes[end..]);
            }
            Cut::Bytes => bytes.iter().for_each(|byte| self.say([*byte])),
        }
    }

    /// Says bytes to an end that may be gone, or go while they are said; whether all were taken.
    pub fn try_say(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    /// Writes for as long as the other end takes bytes, at most so many; how many it took until it stopped for
    /// `pause`.
    pub fn say_until_stuck(&mut self, bytes: &[u8], pause: Duration) -> usize {
        self.stream.set_write_timeout(Some(pause)).expect("a timeout can be set");
        let mut taken = 0;
        while taken < bytes.len() {
            match self.stream.write(&bytes[taken..]) {
                Ok(more) => taken += more,
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => break,
                Err(error) => panic!("the other end broke off: {error}"),
            }
        }
        self.stream.set_write_timeout(Some(PATIENCE)).expect("a timeout can be set");
        taken
    }

    fn more(&mut self) -> io::Result<usize> {
        let mut block = [0; 64 << 10];
        let read = self.stream.read(&mut block)?;
        self.buffer.extend_from_slice(&block[..read]);
        Ok(read)
    }

    /// Reads until at least so many bytes are there.
    #[track_caller]
    fn await_bytes(&mut self, count: usize) {
        while self.buffer.len() < count {
            match self.more() {
                Ok(0) => panic!("the stream ended after {:?}, {count} bytes were due", shown(&self.buffer)),
                Ok(_) => {}
                Err(error) => panic!("{error} after {:?}, {count} bytes were due", shown(&self.buffer)),
            }
        }
    }

    /// What a client gets that reads once.
    #[track_caller]
    pub fn next_read(&mut self) -> Vec<u8> {
        self.await_bytes(1);
        std::mem::take(&mut self.buffer)
    }

    /// The next so many bytes.
    #[track_caller]
    pub fn hear(&mut self, count: usize) -> Vec<u8> {
        self.await_bytes(count);
        self.buffer.drain(..count).collect()
    }

    /// That exactly these bytes come next.
    #[track_caller]
    pub fn hears(&mut self, expected: impl AsRef<[u8]>) {
        let expected = expected.as_ref();
        let mut compared = 0;
        while self.buffer.len() < expected.len() && expected[compared..].starts_with(&self.buffer[compared..]) {
            compared = self.buffer.len();
            match self.more() {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) => panic!("{error}\n   heard {}\nexpected {}", shown(&self.buffer), shown(expected)),
            }
        }
        let heard = &self.buffer[..self.buffer.len().min(expected.len())];
        assert!(heard == expected, "\n   heard {}\nexpected {}", shown(&self.buffer), shown(expected));
        self.buffer.drain(..expected.len());
    }

    /// Reads at least so many bytes and forgets them.
    #[track_caller]
    pub fn discard(&mut self, mut count: usize) {
        let mut block = [0; 64 << 10];
        count -= self.buffer.len().min(count);
        while count > 0 {
            let read = self.stream.read(&mut block).expect("there is more to hear");
            assert!(read > 0, "the stream ended, {count} bytes were still due");
            count -= read.min(count);
        }
    }

    /// Everything up to and including this text.
    #[track_caller]
    pub fn hear_until(&mut self, text: &str) -> Vec<u8> {
        loop {
            if let Some(at) = self.buffer.windows(text.len()).position(|window| window == text.as_bytes()) {
                return self.buffer.drain(..at + text.len()).collect();
            }
            self.await_bytes(self.buffer.len() + 1);
        }
    }

    /// What the other end has said and goes on to say until it is silent for a while.
    pub fn said_so_far(&mut self, while_: Duration) -> Vec<u8> {
        self.stream.set_read_timeout(Some(while_)).expect("a timeout can be set");
        while matches!(self.more(), Ok(1..)) {}
        self.stream.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
        std::mem::take(&mut self.buffer)
    }

    /// The next head, up to and including its blank line.
    #[track_caller]
    pub fn head(&mut self) -> String {
        loop {
            if let Some(at) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                return String::from_utf8(self.buffer.drain(..at + 4).collect()).expect("heads are text");
            }
            self.await_bytes(self.buffer.len() + 1);
        }
    }

    /// The next frame and its mask.
    #[track_caller]
    pub fn frame_and_key(&mut self) -> (Frame, Option<[u8; 4]>) {
        self.await_bytes(2);
        let masked = self.buffer[1] & 0x80 != 0;
        let short = usize::from(self.buffer[1] & 0x7F);
        let at = match short {
            126 => 4,
            127 => 10,
            _ => 2,
        };
        self.await_bytes(at + if masked { 4 } else { 0 });
        let length = match short {
            126 | 127 => self.buffer[2..at].iter().fold(0, |length, byte| length << 8 | usize::from(*byte)),
            _ => short,
        };
        let fewest = match length {
            0..=125 => 2,
            126..=0xFFFF => 4,
            _ => 10,
        };
        assert_eq!(at, fewest, "RFC 6455 5.2: a length is written in the fewest bytes");
        let header = self.hear(at + if masked { 4 } else { 0 });
        let mut payload = self.hear(length);
        let key: Option<[u8; 4]> = masked.then(|| header[at..].try_into().expect("four bytes"));
        for (byte, key) in payload.iter_mut().zip(key.iter().flatten().cycle()) {
            *byte ^= key;
        }
        (Frame { first: header[0], payload }, key)
    }

    /// The next frame, for a backend: RFC 6455 §5.1 demands that it is masked.
    #[track_caller]
    pub fn frame(&mut self) -> Frame {
        let (frame, key) = self.frame_and_key();
        assert!(key.is_some(), "a backend was sent an unmasked frame: {frame:?}");
        frame
    }

    /// That this frame comes next, for a backend.
    #[track_caller]
    pub fn gets(&mut self, first: u8, payload: impl AsRef<[u8]>) {
        let frame = self.frame();
        assert_eq!(frame, Frame::new(first, payload));
    }

    /// The next message, for a backend: its opcode, and the payload of all its frames.
    #[track_caller]
    pub fn message(&mut self) -> Frame {
        let mut message = self.frame();
        assert!(matches!(message.first & 0x7F, 1 | 2), "no message begins with {message:?}");
        while message.first & 0x80 == 0 {
            let next = self.frame();
            assert_eq!(next.first & 0x7F, 0, "a message goes on with {next:?}");
            message.payload.extend_from_slice(&next.payload);
            message.first |= next.first;
        }
        message
    }

    /// That this message comes next, in however many frames, for a backend.
    #[track_caller]
    pub fn gets_message(&mut self, first: u8, payload: impl AsRef<[u8]>) {
        let message = self.message();
        assert_eq!(message, Frame::new(first, payload));
    }

    /// That this frame comes after at most some fragments of a message that nothing ends, for a backend.
    #[track_caller]
    pub fn gets_no_message_but(&mut self, first: u8, payload: impl AsRef<[u8]>) {
        let mut frame = self.frame();
        while matches!(frame.first, 0..=2) {
            frame = self.frame();
        }
        assert_eq!(frame, Frame::new(first, payload));
    }

    /// Reads an opening handshake and agrees to it, for a backend; returns the request.
    #[track_caller]
    pub fn agrees(&mut self, more: &[&str]) -> String {
        let request = self.head();
        self.say(consent(&request, more));
        request
    }

    /// That the stream ends now, and properly.
    #[track_caller]
    pub fn hears_end(&mut self) {
        let rest = self.rest();
        assert!(rest.is_empty(), "expected the end of the stream, heard {}", shown(&rest));
    }

    /// Everything up to the proper end of the stream.
    #[track_caller]
    pub fn rest(&mut self) -> Vec<u8> {
        loop {
            match self.more() {
                Ok(0) => return std::mem::take(&mut self.buffer),
                Ok(_) => {}
                Err(error) => panic!("{error} instead of the end of the stream, after {}", shown(&self.buffer)),
            }
        }
    }

    /// Everything up to the end of the stream, be it proper or a reset.
    #[track_caller]
    pub fn rest_or_reset(&mut self) -> Vec<u8> {
        loop {
            match self.more() {
                Ok(0) => return std::mem::take(&mut self.buffer),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
                    return std::mem::take(&mut self.buffer);
                }
                Err(error) => panic!("{error} instead of the end of the stream, after {}", shown(&self.buffer)),
            }
        }
    }

    /// Whether the stream breaks off in the end, whatever comes before.
    #[track_caller]
    pub fn is_reset(&mut self) -> bool {
        loop {
            match self.more() {
                Ok(0) => return false,
                Ok(_) => self.buffer.clear(),
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return true,
                Err(error) => panic!("{error} instead of the end of the stream"),
            }
        }
    }

    /// That nothing comes for a while. A test of absence: too short a while hides a fault, and never invents one.
    #[track_caller]
    pub fn hears_nothing_for(&mut self, while_: Duration) {
        assert!(self.buffer.is_empty(), "heard {}", shown(&self.buffer));
        self.stream.set_read_timeout(Some(while_)).expect("a timeout can be set");
        let read = self.more();
        self.stream.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
        match read {
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
            Err(error) => panic!("{error}"),
            Ok(_) => panic!("expected silence, heard {:?}", shown(&self.buffer)),
        }
    }

    /// Ends our direction.
    pub fn fin(&self) {
        // The other end may have been faster.
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Ends the connection at once, as a device does whose plug is pulled and put back.
    pub fn reset(self) {
        SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).expect("an option can be set");
    }
}
