//! A configuration says what an operator meant, or everything that is wrong with it.

mod access;
mod anything;
mod defaults;
mod faults;
mod files;
mod listeners;
mod program;
mod refusals;
mod servers;
mod settings;
mod summary;
mod upstreams;
mod ways;

use hybridge::config::*;

const EXAMPLE: &str = include_str!("../../config.example.toml");

/// A file of which one line is still to be written.
const LEAST: &str = r#"
listen = ["127.0.0.1:8080"]
[[route]]
name = "chat"
upstream = "ws://10.0.0.5:9000"
"#;

fn parse(text: &str) -> Result<Config, Faults> {
    Config::parse(text, "hybridge.toml")
}

#[track_caller]
fn config(text: &str) -> Config {
    parse(text).unwrap_or_else(|faults| panic!("{faults}\nin\n{text}"))
}

/// The least file with one more line in the table of that name.
fn least_with(table: &str, line: &str) -> String {
    match table {
        "" => format!("{line}\n{LEAST}"),
        "route" => format!("{LEAST}{line}\n"),
        "listener" => format!("{LEAST}[[listener]]\naddress = \"0.0.0.0:443\"\n{line}\n"),
        "tls" => least_with("listener", &format!("certificates = [{{ cert = \"a.pem\", key = \"a.key\" }}]\n{line}")),
        // A route to several servers.
        "servers" => {
            format!("{}{line}\n", LEAST.replace("\"ws://10.0.0.5:9000\"", "[\"ws://10.0.0.5\", \"ws://10.0.0.6\"]"))
        }
        // A route to an event stream.
        "events" => format!("{}{line}\n", LEAST.replace("ws://", "sse+http://")),
        _ => format!("{LEAST}[{table}]\n{line}\n"),
    }
}

/// The least file without the lines that begin like this, and with others at the end.
fn least_but(without: &str, with: &str) -> String {
    let kept: Vec<&str> = LEAST.lines().filter(|line| !line.starts_with(without)).collect();
    format!("{}\n{with}\n", kept.join("\n"))
}

/// That each line, in that table, is refused alone, for that reason and with that remedy (a part of each).
#[track_caller]
fn refused(table: &str, rows: &[(&str, &str, &str)]) {
    for (line, reason, remedy) in rows {
        let required = ["listen", "name", "upstream"].into_iter().find(|key| line.starts_with(&format!("{key} =")));
        let text = match (table, required) {
            ("", Some(key)) => format!("{line}\n{}", least_but(key, "")),
            (_, Some(key)) => least_but(key, line),
            (_, None) => least_with(table, line),
        };
        let faults = parse(&text).expect_err(line);
        let [fault] = faults.as_slice() else { panic!("one fault in {line}, not\n{faults}") };
        assert!(fault.reason.contains(reason), "{line}\nreason: {}\nexpected: {reason}", fault.reason);
        assert!(fault.remedy.contains(remedy), "{line}\nremedy: {}\nexpected: {remedy}", fault.remedy);
        let line_of_fault = text.lines().nth(fault.line - 1);
        assert_eq!(line_of_fault, line.lines().next(), "{fault}");
    }
}

fn upstream(url: &str) -> Upstream {
    Upstream::parse(url).unwrap_or_else(|refusal| panic!("{url}: {refusal}"))
}

fn route(path: &str, url: &str) -> Route {
    Route { path: path.to_owned(), ..Route::new("chat", upstream(url)) }
}
