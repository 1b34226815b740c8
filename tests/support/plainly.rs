//! Event streams read as plainly as the standard writes it: for the properties here and for `fuzz/`.

use hybridge::dialect::sse::Form;

/// WHATWG HTML §9.2.6 as it is written there, on the whole stream at once: messages, the last id, the time to wait.
pub fn plainly(stream: &[u8], form: Form) -> (Vec<String>, String, Option<u64>) {
    let text = String::from_utf8_lossy(stream);
    let text = text.strip_prefix('\u{FEFF}').unwrap_or(&text).replace("\r\n", "\n").replace('\r', "\n");
    let (mut told, mut last_id, mut retry) = (Vec::new(), String::new(), None);
    let (mut data, mut name, mut id) = (String::new(), String::new(), String::new());
    let Some((whole, _unfinished)) = text.rsplit_once('\n') else { return (told, last_id, retry) };
    for line in whole.split('\n') {
        if line.is_empty() {
            last_id.clone_from(&id);
            if let Some(data) = data.strip_suffix('\n') {
                told.push(match form {
                    Form::Data => data.to_owned(),
                    Form::Json => json(&name, data, &last_id),
                });
            }
            data.clear();
            name.clear();
            continue;
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => data.extend([value, "\n"]),
            "event" => name = value.to_owned(),
            "id" if !value.contains('\0') => id = value.to_owned(),
            // A number that no machine counts to is as long as any.
            "retry" if !value.is_empty() && value.chars().all(|c| c.is_ascii_digit()) => {
                retry = Some(value.parse().unwrap_or(u64::MAX));
            }
            _ => {}
        }
    }
    (told, last_id, retry)
}

fn json(name: &str, data: &str, id: &str) -> String {
    let quoted = |text: &str| {
        let mut out = String::from("\"");
        for c in text.chars() {
            match c {
                '"' | '\\' => out.extend(['\\', c]),
                '\n' => out += "\\n",
                '\t' => out += "\\t",
                '\0'..='\x1F' => out += &format!("\\u{:04x}", u32::from(c)),
                _ => out.push(c),
            }
        }
        out + "\""
    };
    let name = if name.is_empty() { "message" } else { name };
    let id = if id.is_empty() { String::new() } else { format!(",\"id\":{}", quoted(id)) };
    format!("{{\"type\":{},\"data\":{}{id}}}", quoted(name), quoted(data))
}
