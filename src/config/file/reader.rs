//! The tables and keys of one file, and the faults in them.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::KEYS;
use crate::config::fault::{Fault, LONGEST_SHOWN, Refusal, nearest, quoted};
use crate::config::units;
use crate::config::value::{not_a, shown};

/// Collects the faults of one file. Where a value is refused, its default stands in, so that the rest can be read.
pub(super) struct Reader<'f> {
    file: &'f str,
    line_ends: Vec<usize>,
    pub(super) faults: Vec<Fault>,
}

/// A table of the file, while its keys are read.
pub(super) struct Section<'t> {
    /// What stands before a key in a fault: nothing, `timeouts.`, `route "chat": `.
    pub(super) label: String,
    pub(super) line: usize,
    /// None where the file leaves the table out.
    table: Option<&'t DeTable<'t>>,
    /// What unknown keys were probably meant to be; nobody needs to hear that these are missing, too.
    pub(super) meant: Vec<&'static str>,
}

impl<'t> Section<'t> {
    pub(super) fn get(&self, key: &str) -> Option<&'t Spanned<DeValue<'t>>> {
        self.table?.get(key)
    }

    /// Whether a key is there and is not one of the words for nothing.
    pub(super) fn says(&self, key: &str) -> bool {
        self.get(key).is_some_and(|value| !value.get_ref().as_str().is_some_and(units::is_off))
    }
}

impl<'f> Reader<'f> {
    pub(super) fn new(text: &str, file: &'f str) -> Reader<'f> {
        Reader { file, line_ends: text.match_indices('\n').map(|(offset, _)| offset).collect(), faults: Vec::new() }
    }

    /// Refuses a value that was read already.
    pub(super) fn refuse_as_is(&mut self, section: &Section<'_>, key: &str, refusal: Refusal) {
        if let Some(value) = section.get(key) {
            self.refuse(section, key, value, refusal);
        }
    }

    /// Opens a table, and reports the keys in it that nobody knows.
    pub(super) fn section<'t>(
        &mut self,
        label: String,
        name: &str,
        line: usize,
        table: Option<&'t DeTable<'t>>,
    ) -> Section<'t> {
        let mut section = Section { label, line, table, meant: Vec::new() };
        let known = KEYS.iter().find(|(table, _)| *table == name).map_or([].as_slice(), |(_, keys)| *keys);
        for key in table.into_iter().flatten().map(|(key, _)| key) {
            let word = key.get_ref().as_ref();
            if known.contains(&word) {
                continue;
            }
            let homes: Vec<&str> =
                KEYS.iter().filter(|(_, keys)| keys.contains(&word)).map(|(home, _)| *home).collect();
            let remedy = if homes.is_empty() {
                match nearest(word, known) {
                    Some(near) => {
                        section.meant.push(near);
                        format!("did you mean {near}?")
                    }
                    None => format!("known here are {}", known.join(", ")),
                }
            } else {
                move_to(word, name, &homes)
            };
            // A key may hold any text when it stands in quotes; bare it is shown as it stands.
            let bare = word.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
            let shown = if bare && word.len() <= LONGEST_SHOWN { word.to_owned() } else { quoted(word) };
            let refusal = Refusal::new("unknown key", remedy);
            let fault = self.fault(self.line(key.span().start), format!("{}{shown}", section.label), None, refusal);
            self.faults.push(fault);
        }
        section
    }

    /// Opens a table that may be left out.
    pub(super) fn table<'t>(&mut self, top: &Section<'t>, key: &str) -> Section<'t> {
        let mut table = None;
        let mut line = 1;
        if let Some(value) = top.get(key) {
            line = self.line(value.span().start);
            match value.get_ref() {
                DeValue::Table(found) => table = Some(found),
                other => {
                    let refusal = not_a("a table", other, &format!("write a line [{key}], and its settings below it"));
                    self.refuse(top, key, value, refusal);
                }
            }
        }
        self.section(format!("{key}."), key, line, table)
    }

    /// The tables of a list, each with its number and its line.
    pub(super) fn tables<'t>(
        &mut self,
        section: &Section<'t>,
        key: &str,
        remedy: &str,
    ) -> Vec<(usize, usize, &'t DeTable<'t>)> {
        let Some(value) = section.get(key) else { return Vec::new() };
        let DeValue::Array(items) = value.get_ref() else {
            self.refuse(section, key, value, not_a("a list of tables", value.get_ref(), remedy));
            return Vec::new();
        };
        if items.is_empty() {
            self.refuse(section, key, value, Refusal::new("the list is empty", remedy));
        }
        let mut tables = Vec::new();
        for (index, item) in items.iter().enumerate() {
            match item.get_ref() {
                DeValue::Table(table) => tables.push((index + 1, self.line(item.span().start), table)),
                other => self.refuse(section, key, item, not_a("a table", other, remedy)),
            }
        }
        tables
    }

    /// Puts the value of a key into its place, if the file has one. False when the value is refused.
    pub(super) fn set<T>(
        &mut self,
        section: &Section<'_>,
        key: &str,
        place: &mut T,
        read: impl Fn(&DeValue<'_>) -> Result<T, Refusal>,
    ) -> bool {
        let Some(value) = section.get(key) else { return true };
        match read(value.get_ref()) {
            Ok(read) => *place = read,
            Err(refusal) => {
                self.refuse(section, key, value, refusal);
                return false;
            }
        }
        true
    }

    /// The values of a list without those that are wrong; none where there is no list.
    pub(super) fn list<T: PartialEq>(
        &mut self,
        section: &Section<'_>,
        key: &str,
        example: &str,
        read: impl Fn(&DeValue<'_>) -> Result<T, Refusal>,
    ) -> Option<Vec<T>> {
        let value = section.get(key)?;
        let DeValue::Array(items) = value.get_ref() else {
            let one = value.get_ref().as_str().filter(|_| read(value.get_ref()).is_ok());
            let list = one.map_or(example.to_owned(), |item| format!("[{}]", quoted(item)));
            self.refuse(section, key, value, not_a("a list", value.get_ref(), &format!("write {key} = {list}")));
            return None;
        };
        if items.is_empty() {
            let remedy = format!("write at least one, as in {key} = {example}");
            self.refuse(section, key, value, Refusal::new("the list is empty", remedy));
        }
        let mut list = Vec::new();
        for item in items {
            match read(item.get_ref()) {
                Ok(entry) if list.contains(&entry) => {
                    self.refuse(section, key, item, Refusal::new("it is in the list already", "leave one out"));
                }
                Ok(entry) => list.push(entry),
                Err(refusal) => self.refuse(section, key, item, refusal),
            }
        }
        Some(list)
    }

    /// The values of a list in whose place a word may stand; none where it does, or where there is neither.
    pub(super) fn list_or<T: PartialEq>(
        &mut self,
        section: &Section<'_>,
        key: &str,
        word: &str,
        example: &str,
        read: impl Fn(&DeValue<'_>) -> Result<T, Refusal>,
    ) -> Option<Vec<T>> {
        let value = section.get(key)?;
        let same = |text: &str| text == word || word == "none" && units::is_off(text);
        if value.get_ref().as_str().is_some_and(same) {
            return None;
        }
        let before = self.faults.len();
        let list = self.list(section, key, example, read);
        // What is wrong with the list as a whole may be that there shall be none.
        if list.as_ref().is_none_or(Vec::is_empty)
            && self.faults.len() == before + 1
            && let Some(fault) = self.faults.last_mut()
        {
            fault.remedy = format!("{}, or {word:?}", fault.remedy);
        }
        list
    }

    pub(super) fn required(&mut self, section: &Section<'_>, key: &'static str, remedy: &str) {
        if section.get(key).is_none() && !section.meant.contains(&key) {
            let key = format!("{}{key}", section.label);
            let fault = self.fault(section.line, key, None, Refusal::new("it is missing", remedy));
            self.faults.push(fault);
        }
    }

    pub(super) fn refuse(&mut self, section: &Section<'_>, key: &str, value: &Spanned<DeValue<'_>>, refusal: Refusal) {
        let line = self.line(value.span().start);
        let fault = self.fault(line, format!("{}{key}", section.label), shown(value.get_ref()), refusal);
        self.faults.push(fault);
    }

    pub(super) fn fault(&self, line: usize, key: String, value: Option<String>, refusal: Refusal) -> Fault {
        Fault { file: self.file.to_owned(), line, key, value, reason: refusal.reason, remedy: refusal.remedy }
    }

    pub(super) fn line(&self, offset: usize) -> usize {
        1 + self.line_ends.partition_point(|end| *end < offset)
    }
}

/// What to do with a key that stands in the table of this name and belongs into others.
fn move_to(word: &str, name: &str, homes: &[&str]) -> String {
    if name == "listener" && homes.contains(&"certificates") {
        return "write certificates = [{ cert = \"FILE\", key = \"FILE\" }]".to_owned();
    }
    if name == "certificates" {
        return format!("move {word} below the line [[listener]], on a line of its own");
    }
    let place = |home: &str| match home {
        "" => "to the top of the file, above the first line in brackets".to_owned(),
        "route" | "listener" => format!("below a line [[{home}]]"),
        home => format!("below the line [{home}]"),
    };
    let places: Vec<String> = homes.iter().filter(|home| **home != "certificates").map(|home| place(home)).collect();
    format!("move it {}", places.join(", or "))
}

/// For text that is no TOML, by what the parser says of it and the line that it points at.
pub(super) fn not_toml(message: &str, line: &str) -> Refusal {
    const REMEDIES: [(&str, &str); 7] = [
        ("must be quoted", "put the value in quotes, as in head = \"10s\""),
        ("invalid float", "put text, addresses and durations in quotes, as in head = \"10s\""),
        (
            "duplicate key",
            "leave one out: a key stands once in its table, a table once in the file, only [[route]] more often",
        ),
        ("table", "close the brackets, as in [timeouts] or [[route]]"),
        ("array", "put a comma between the entries of a list, and a bracket at its end"),
        ("string", "put a quote at the end of the text, and write \\\\ for a backslash"),
        ("escape", "write \\\\ for a backslash"),
    ];
    let (what, _) = message.split_once(", expected").unwrap_or((message, ""));
    let remedy = REMEDIES.iter().find(|(part, _)| what.contains(part)).map(|(_, remedy)| *remedy);
    // As it stands in the file, for a line of TOML is full of quotes; but nothing in it moves the cursor.
    let line: String = line.trim().chars().map(|c| if c.is_control() { '?' } else { c }).take(LONGEST_SHOWN).collect();
    Refusal::new(
        if line.is_empty() { what.to_owned() } else { format!("{what} in `{line}`") },
        remedy.unwrap_or("write KEY = VALUE, [TABLE] or [[route]] on each line, as config.example.toml does"),
    )
}
