//! Heads of HTTP read a second time, by other means than the product's, and the digests that stand in them.

/// A head: its first line, and its fields in their order, names in lower case and values without blanks around them.
pub struct Head {
    pub first: Vec<u8>,
    pub fields: Vec<(String, Vec<u8>)>,
}

/// Reads a whole head that must be clean: every line ends in CR LF, the last is blank and nothing follows it, and nowhere
/// else is a CR, LF or NUL.
pub fn clean(head: &[u8]) -> Head {
    let text: String = head.iter().copied().map(char::from).collect();
    let lines = text.strip_suffix("\r\n\r\n").unwrap_or_else(|| panic!("no blank line ends {text:?}"));
    assert!(!lines.replace("\r\n", "").contains(['\r', '\n', '\0']), "a bare line end or NUL in {text:?}");
    assert!(!lines.contains("\r\n\r\n"), "two heads in {text:?}");
    let bytes = |text: &str| text.chars().map(|c| u8::try_from(c).expect("it was one")).collect::<Vec<u8>>();
    let mut lines = lines.split("\r\n");
    let first = bytes(lines.next().unwrap_or_default());
    let fields = lines.map(|line| {
        let (name, value) = line.split_once(':').unwrap_or_else(|| panic!("no colon in {line:?}"));
        assert!(!name.is_empty() && name.chars().all(|c| c.is_ascii_graphic()), "a name in {line:?}");
        (name.to_ascii_lowercase(), bytes(value.trim_matches([' ', '\t'])))
    });
    Head { first, fields: fields.collect() }
}

impl Head {
    /// The values of the fields of this name.
    pub fn all(&self, name: &str) -> Vec<&[u8]> {
        self.fields.iter().filter(|(own, _)| own == name).map(|(_, value)| &value[..]).collect()
    }

    /// The value of the field that must stand there once.
    pub fn one(&self, name: &str) -> &[u8] {
        let all = self.all(name);
        assert_eq!(all.len(), 1, "{name} stands once");
        all[0]
    }

    /// The members of all lists of this name, in lower case.
    pub fn list(&self, name: &str) -> Vec<Vec<u8>> {
        let joined = self.all(name).join(&b","[..]);
        joined.split(|byte| *byte == b',').map(|item| item.trim_ascii().to_ascii_lowercase()).collect()
    }
}

/// `Sec-WebSocket-Accept` (RFC 6455 §4.2.2).
pub fn accept(key: &str) -> String {
    let mut sha1 = sha1_smol::Sha1::new();
    sha1.update(key.as_bytes());
    sha1.update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    data_encoding::BASE64.encode(&sha1.digest().bytes())
}
