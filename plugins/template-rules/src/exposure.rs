//! What a text should not carry into a registry, wherever in the submission it stands: addresses in clear, credentials,
//! and folders of somebody's machine. What a credential is, `secrets.rs` knows. No finding shows one.

use hallmark_plugin::Patch;
use hallmark_plugin::findings::{Findings, quoted};
use serde_json::Value;
use shared_rules::address::{THIS_MACHINE, machine};
use shared_rules::values::each_child;

use crate::codes;
use crate::content::Text;
use crate::secrets;
use crate::syntax::Syntax;

/// What is looked for.
#[derive(Debug)]
pub struct Rules<'a> {
    /// How placeholders are written: what they stand for is known to nobody yet.
    pub syntax: &'a Syntax,
    /// Hosts that may be named in clear.
    pub hosts_allowed: &'a [String],
}

impl Rules<'_> {
    /// Checks every text of a value, wherever it stands in it.
    pub fn check(&self, value: &Value, place: String, findings: &mut Findings) {
        match value {
            Value::String(text) => {
                let text = Text::new(text, place);
                self.check_addresses(&text, findings);
                check_secrets(&text, findings);
                check_folders(&text, findings);
            }
            _ => each_child(value, &place, |child, place| self.check(child, place, findings)),
        }
    }

    /// One finding for each text, since one patch mends them all.
    fn check_addresses(&self, text: &Text<'_>, findings: &mut Findings) {
        let found = self.addresses_in_clear(text.text);
        let Some(first) = found.first() else { return };
        findings.add_with(&codes::URLS_IN_CLEAR, || {
            let shown = text.text[first.start..].split(is_end_of_address).next().unwrap_or_default();
            let in_line = text.in_line_of(first.start);
            let finding = codes::URLS_IN_CLEAR
                .at(text.place.as_str())
                .message(format!("{}{in_line} is reached without encryption{}", quoted(shown), and_more(found.len())))
                .help("write https:// (wss:// for ws://), or name the host in the setting 'http_hosts_allowed'");
            match with_encryption(text.text, &found) {
                Some(changed) => finding.fix(Patch::exchange(&text.place, text.text, changed)),
                None => finding,
            }
        });
    }

    fn addresses_in_clear(&self, text: &str) -> Vec<InClear> {
        let mut found = Vec::new();
        for (colon, _) in text.match_indices("://") {
            let letters = text[..colon].bytes().rev().take_while(u8::is_ascii_alphabetic).take(8).count();
            let scheme = &text[colon - letters..colon];
            let Some((_, secure)) = IN_CLEAR.iter().find(|(known, _)| known.eq_ignore_ascii_case(scheme)) else {
                continue;
            };
            let after = &text[colon + 3..];
            if self.is_away(after) {
                found.push(InClear { start: colon - letters, colon, secure: *secure });
            }
        }
        found
    }

    /// True where what follows `http://` is another machine, or one that nobody knows yet.
    fn is_away(&self, after: &str) -> bool {
        if after.starts_with(self.syntax.open()) {
            return true;
        }
        let end = after.find(|sign| is_end_of_address(sign) || matches!(sign, '/' | '?' | '#')).unwrap_or(after.len());
        let authority = &after[..end];
        let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        let host = match host.strip_prefix('[') {
            Some(inner) => inner.split(']').next().unwrap_or_default(),
            None => host.split(':').next().unwrap_or_default(),
        };
        let host = machine(host);
        let is_allowed = |allowed: &String| {
            host.strip_suffix(allowed.as_str()).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        };
        !host.is_empty() && host != THIS_MACHINE && !self.hosts_allowed.iter().any(is_allowed)
    }
}

/// Schemes that are read by whoever carries them, each with the one that is not.
const IN_CLEAR: [(&str, Option<&str>); 3] = [("http", Some("https")), ("ws", Some("wss")), ("ftp", None)];

struct InClear {
    start: usize,
    colon: usize,
    secure: Option<&'static str>,
}

fn is_end_of_address(sign: char) -> bool {
    sign.is_whitespace() || matches!(sign, '"' | '\'' | '<' | '>' | '(' | ')' | '`' | ',' | ';' | '|' | '\\')
}

/// The text with encrypted addresses; none where there is nothing to change, or it is too long to be shown twice.
fn with_encryption(text: &str, found: &[InClear]) -> Option<String> {
    const REWRITTEN_MAX_BYTES: usize = 2_000;
    if text.len() > REWRITTEN_MAX_BYTES {
        return None;
    }
    let (mut changed, mut done) = (String::with_capacity(text.len() + found.len()), 0);
    for address in found {
        let Some(secure) = address.secure else { continue };
        changed.push_str(&text[done..address.start]);
        changed.push_str(secure);
        done = address.colon;
    }
    changed.push_str(&text[done..]);
    (done > 0).then_some(changed)
}

fn and_more(count: usize) -> String {
    if count > 1 { format!(", and {} more", count - 1) } else { String::new() }
}

fn check_secrets(text: &Text<'_>, findings: &mut Findings) {
    for (what, offset) in secrets::find(text.text) {
        findings.add_with(&codes::SECRETS_IN_CLEAR, || {
            codes::SECRETS_IN_CLEAR
                .at(text.place.as_str())
                .message(format!("the text holds what looks like {what}{}", text.in_line_of(offset)))
                .help("make it a parameter without a default, and revoke this one: it was sent")
        });
    }
}

fn check_folders(text: &Text<'_>, findings: &mut Findings) {
    let mut folders = folders(text.text);
    let Some((offset, folder)) = folders.next() else { return };
    findings.add_with(&codes::PATHS_PERSONAL, || {
        let (in_line, more) = (text.in_line_of(offset), and_more(1 + folders.count()));
        codes::PATHS_PERSONAL
            .at(text.place.as_str())
            .message(format!("{}{in_line} is a folder of a person's machine{more}", quoted(folder)))
            .help("write the path from the project's folder, or make it a parameter")
    });
}

/// Folders of people, as Linux, macOS and Windows name them. Accounts of containers and of examples are nobody's.
fn folders(text: &str) -> impl Iterator<Item = (usize, &str)> {
    const BEGINNINGS: [&str; 3] = ["/home/", "/Users/", ":\\Users\\"];
    const NOBODYS: [&str; 14] = [
        "app", "default", "name", "node", "public", "runner", "shared", "someone", "ubuntu", "user", "username",
        "vscode", "you", "yourname",
    ];
    BEGINNINGS.iter().flat_map(move |beginning| {
        text.match_indices(beginning).filter_map(move |(offset, _)| {
            let drive = usize::from(beginning.starts_with(':'));
            let start = offset.checked_sub(drive)?;
            let has_drive = text.as_bytes()[start..offset].iter().all(u8::is_ascii_alphabetic);
            if !has_drive || is_continued(&text[..start]) {
                return None;
            }
            let after = &text[offset + beginning.len()..];
            let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
            let name = &after[..after.bytes().take_while(is_part).count()];
            let is_somebodys = name.starts_with(|first: char| first.is_ascii_alphanumeric())
                && !NOBODYS.contains(&name.to_ascii_lowercase().as_str());
            is_somebodys.then(|| (start, &text[start..offset + beginning.len() + name.len()]))
        })
    })
}

/// True where what stands before a folder makes it a part of a longer path or of an address.
fn is_continued(before: &str) -> bool {
    let is_of_a_path = |sign: char| sign.is_alphanumeric() || matches!(sign, '/' | '.' | '-' | '_' | '}' | '>');
    before.ends_with(is_of_a_path) && !before.ends_with("file://")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_clear(text: &str) -> usize {
        let syntax = Syntax::new("{{", "}}", false);
        let hosts_allowed = ["www.w3.org".to_owned(), "purl.org".to_owned()];
        Rules { syntax: &syntax, hosts_allowed: &hosts_allowed }.addresses_in_clear(text).len()
    }

    #[test]
    fn knows_addresses_in_clear() {
        for wrong in [
            "http://example.org",
            "see (HTTP://example.org/a)",
            "ws://example.org:80",
            "ftp://example.org",
            "http://{{ host }}/",
            "http://user@example.org",
            "http://www.w3.org.example.org",
        ] {
            assert_eq!(in_clear(wrong), 1, "{wrong}");
        }
        for right in [
            "https://example.org",
            "http://localhost:8080/a",
            "http://127.0.0.1",
            "http://[::1]:80/",
            "xmlns=\"http://www.w3.org/1999/xhtml\"",
            "http://sub.purl.org/x",
            "begins with http:// or https://",
            "xhttp://example.org",
            "://",
        ] {
            assert_eq!(in_clear(right), 0, "{right}");
        }
    }

    #[test]
    fn knows_folders_of_people() {
        let first = |text: &'static str| folders(text).next();
        assert_eq!(first("cd /home/ada/work"), Some((3, "/home/ada")));
        assert_eq!(first("\"/Users/ada.l/x\""), Some((1, "/Users/ada.l")));
        assert_eq!(first("C:\\Users\\ada\\x"), Some((0, "C:\\Users\\ada")));
        assert_eq!(first("file:///home/ada"), Some((7, "/home/ada")));
        for nobodys in [
            "/home/{{ user }}/x",
            "/home/node/app",
            "https://example.org/home/ada",
            "{{ root }}/home/ada",
            "./home/ada",
            "ä:\\Users\\ada",
            "/home/",
            "/Users/Shared/x",
            "/home/$USER",
        ] {
            assert_eq!(folders(nobodys).next(), None, "{nobodys}");
        }
    }
}
