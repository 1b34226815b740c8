//! The client's part of each dialect: the opening handshake as its browsers send it.
//!
//! What it holds the answer to are its [`Terms`].

#[cfg(test)]
mod tests;

use super::opening::Asked;
use super::terms::{Expected, Terms};
use super::{Dialect, hixie76, hybi};

/// What a client asks for. The texts go out as they are: whoever fills them in keeps line ends out of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    dialect: Dialect,
    secret: Secret,
    /// The `Host` header: in lower case, with the port where it is not the scheme's own.
    pub host: String,
    /// Path and query.
    pub target: String,
    /// Whether the client's own connection is encrypted, so that hixie expects `wss` in the answer.
    pub secure: bool,
    /// The page's origin; `None` for a client without pages.
    pub origin: Option<String>,
    /// The subprotocols it would speak. hixie asks with the whole list as one opaque value.
    pub subprotocols: Vec<String>,
    /// The value of `Cookie`.
    pub cookie: Option<String>,
    /// Further fields, such as `User-Agent` or `Sec-WebSocket-Extensions`, where such a browser has its own.
    pub fields: Vec<(String, String)>,
}

/// What only a server that understood the handshake can answer.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Secret {
    None,
    Challenge { key1: String, key2: String, key3: [u8; hixie76::KEY3] },
    Key(String),
}

/// A place in the request, in the order of the dialect's browsers.
enum Slot {
    Line(&'static str),
    Host,
    Origin(&'static str),
    Subprotocols(&'static str),
    Cookie,
    Secret,
    Others,
}

/// The places of a dialect's request: hixie-75 §4.1 fixes them; the others are WebKit's for hixie-76 and v8 (Safari 5,
/// Chrome 14), Firefox's for v7 and Chrome's for v13.
fn layout(dialect: Dialect) -> &'static [Slot] {
    use Slot::{Cookie, Host, Line, Origin, Others, Secret, Subprotocols};
    match dialect {
        Dialect::Hixie75 => &[
            Line("Upgrade: WebSocket"),
            Line("Connection: Upgrade"),
            Host,
            Origin("Origin"),
            Subprotocols("WebSocket-Protocol"),
            Cookie,
            Others,
        ],
        Dialect::Hixie76 => &[
            Line("Upgrade: WebSocket"),
            Line("Connection: Upgrade"),
            Host,
            Origin("Origin"),
            Subprotocols("Sec-WebSocket-Protocol"),
            Cookie,
            Secret,
            Others,
        ],
        Dialect::Hybi07 => &[
            Host,
            Others,
            Line("Connection: keep-alive, Upgrade"),
            Line("Sec-WebSocket-Version: 7"),
            Origin("Sec-WebSocket-Origin"),
            Subprotocols("Sec-WebSocket-Protocol"),
            Secret,
            Cookie,
            Line("Pragma: no-cache"),
            Line("Cache-Control: no-cache"),
            Line("Upgrade: websocket"),
        ],
        Dialect::Hybi10 => &[
            Line("Upgrade: websocket"),
            Line("Connection: Upgrade"),
            Host,
            Origin("Sec-WebSocket-Origin"),
            Subprotocols("Sec-WebSocket-Protocol"),
            Secret,
            Line("Sec-WebSocket-Version: 8"),
            Others,
            Cookie,
        ],
        Dialect::Rfc6455 => &[
            Line("Upgrade: websocket"),
            Line("Connection: Upgrade"),
            Host,
            Origin("Origin"),
            Subprotocols("Sec-WebSocket-Protocol"),
            Line("Pragma: no-cache"),
            Line("Cache-Control: no-cache"),
            Secret,
            Line("Sec-WebSocket-Version: 13"),
            Others,
            Cookie,
        ],
    }
}

impl Ask {
    /// A client that asks for this `target` at this `host`, over a plain connection and without anything optional. Its
    /// keys are made from the numbers that `random` draws; nobody may foretell them where a browser is involved.
    pub fn new(dialect: Dialect, host: &str, target: &str, random: &mut dyn FnMut() -> u32) -> Ask {
        let secret = match dialect {
            Dialect::Hixie75 => Secret::None,
            Dialect::Hixie76 => {
                let (key1, key2) = (hixie_key(random), hixie_key(random));
                let mut key3 = [0; hixie76::KEY3];
                fill(&mut key3, random);
                Secret::Challenge { key1, key2, key3 }
            }
            Dialect::Hybi07 | Dialect::Hybi10 | Dialect::Rfc6455 => {
                let mut nonce = [0; 16];
                fill(&mut nonce, random);
                Secret::Key(hybi::client_key(nonce))
            }
        };
        Ask {
            dialect,
            secret,
            host: host.to_owned(),
            target: target.to_owned(),
            secure: false,
            origin: None,
            subprotocols: Vec::new(),
            cookie: None,
            fields: Vec::new(),
        }
    }

    /// What the client speaks.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// The opening handshake, with the eight bytes that follow the head of hixie-76.
    pub fn request(&self) -> Vec<u8> {
        let mut out = format!("GET {} HTTP/1.1\r\n", self.target);
        let mut put = |name: &str, value: &str| {
            for part in [name, ": ", value, "\r\n"] {
                out.push_str(part);
            }
        };
        for slot in layout(self.dialect) {
            match (slot, &self.secret) {
                (Slot::Line(line), _) => {
                    let (name, value) = line.split_once(": ").expect("the fixed lines are fields");
                    put(name, value);
                }
                (Slot::Host, _) => put("Host", &self.host),
                (Slot::Origin(name), _) => self.origin.iter().for_each(|origin| put(name, origin)),
                (Slot::Subprotocols(name), _) => self.asked().iter().for_each(|asked| put(name, asked)),
                (Slot::Cookie, _) => self.cookie.iter().for_each(|cookie| put("Cookie", cookie)),
                (Slot::Secret, Secret::Challenge { key1, key2, .. }) => {
                    put("Sec-WebSocket-Key1", key1);
                    put("Sec-WebSocket-Key2", key2);
                }
                (Slot::Secret, Secret::Key(key)) => put("Sec-WebSocket-Key", key),
                (Slot::Secret, Secret::None) => {}
                (Slot::Others, _) => self.fields.iter().for_each(|(name, value)| put(name, value)),
            }
        }
        out.push_str("\r\n");
        let mut out = out.into_bytes();
        if let Secret::Challenge { key3, .. } = &self.secret {
            out.extend_from_slice(key3);
        }
        out
    }

    /// What the answer is held to.
    pub fn terms(&self) -> Terms {
        let header = if self.dialect == Dialect::Hixie75 { "WebSocket-Protocol" } else { "Sec-WebSocket-Protocol" };
        let asked = |value| Asked { header, value, names: self.subprotocols.clone(), answer_name: false };
        let offers = self.fields.iter().filter(|(name, _)| name.eq_ignore_ascii_case("sec-websocket-extensions"));
        Terms {
            dialect: self.dialect,
            secure: self.secure,
            host: self.host.clone(),
            target: self.target.clone(),
            origin: self.origin.clone(),
            asked: self.asked().map(asked),
            offers: offers.map(|(_, value)| value.clone()).collect(),
            proof: match &self.secret {
                Secret::None => Expected::Nothing,
                Secret::Challenge { key1, key2, key3 } => Expected::Digest(challenge_answer(key1, key2, *key3)),
                Secret::Key(key) => Expected::Accept(hybi::accept(key)),
            },
        }
    }

    /// The value that asks for the subprotocols, if any are asked for.
    fn asked(&self) -> Option<String> {
        (!self.subprotocols.is_empty()).then(|| self.subprotocols.join(", "))
    }
}

fn challenge_answer(key1: &str, key2: &str, key3: [u8; hixie76::KEY3]) -> Option<[u8; 16]> {
    let number1 = hixie76::key_number(key1.as_bytes()).ok()?;
    let number2 = hixie76::key_number(key2.as_bytes()).ok()?;
    Some(hixie76::answer(number1, number2, key3))
}

/// A `Sec-WebSocket-Key1` or `-Key2` (hixie-76 §4.1, steps 16 to 22): a number that is a multiple of its spaces, with
/// other characters strewn in.
fn hixie_key(random: &mut dyn FnMut() -> u32) -> String {
    let mut below = |end: usize| random() as usize % end;
    let spaces = 1 + below(12);
    let number = below(u32::MAX as usize / spaces);
    let mut key = (number * spaces).to_string();
    for _ in 0..=below(12) {
        let others = ('!'..='/').chain(':'..='~');
        let other = others.clone().nth(below(others.count())).expect("drawn below their count");
        key.insert(below(key.len() + 1), other);
    }
    for _ in 0..spaces {
        // Neither first nor last, where a server would trim it.
        key.insert(1 + below(key.len() - 1), ' ');
    }
    key
}

fn fill(bytes: &mut [u8], random: &mut dyn FnMut() -> u32) {
    for piece in bytes.chunks_mut(4) {
        piece.copy_from_slice(&random().to_be_bytes()[..piece.len()]);
    }
}
