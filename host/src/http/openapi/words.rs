//! What docs/API.md and docs/ERRORS.md say of routes and problems, so that the description tells it in the same words.
//! What a test over the route table or the codes would miss in the documents is missing here as well, and no more.

use serde_json::{Map, Value, json};

use crate::http::error::Code;

static API: &str = include_str!("../../../../docs/API.md");
static ERRORS: &str = include_str!("../../../../docs/ERRORS.md");

/// The id that examples of problems carry.
const CORRELATION_ID: &str = "0199e2c4-6f0b-7c3e-9a51-3a1f0c1d2e3f";

/// What a route is for: the last cell of its row, as plain text.
pub fn of_route(method: &str, path: &str) -> Option<String> {
    let start = format!("| `{method}` | `{path}` |");
    let cells = API.lines().find_map(|line| line.strip_prefix(&start))?;
    cells.split('|').nth(1).map(plain)
}

/// What stands before the first part that only adds to it.
pub fn summary(text: &str) -> &str {
    text.split_once(';').map_or(text, |(first, _)| first)
}

/// The same without Markdown: pages that are pointed to in brackets are left out, other links are their text.
fn plain(cell: &str) -> String {
    let mut text = String::with_capacity(cell.len());
    let mut rest = cell.trim();
    while let Some((before, link)) = rest.split_once('[') {
        let Some((name, link)) = link.split_once("](") else { break };
        let Some((_, after)) = link.split_once(')') else { break };
        match (before.strip_suffix(" ("), after.strip_prefix(')')) {
            (Some(before), Some(after)) => {
                text.push_str(before);
                rest = after;
            }
            _ => {
                text.push_str(before);
                text.push_str(name);
                rest = after;
            }
        }
    }
    text.push_str(rest);
    text.replace('`', "")
}

/// The section of a code: from its heading to the next.
fn section(code: Code) -> Option<&'static str> {
    let heading = format!("### `{}` ({})\n", code.as_str(), code.status().as_u16());
    let (_, rest) = ERRORS.split_once(&heading)?;
    Some(rest.split("\n##").next().unwrap_or(rest))
}

/// What a problem means, and who must act.
pub fn of_problem(code: Code) -> Option<String> {
    let (text, _) = section(code)?.split_once("```json")?;
    Some(text.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// The example of a problem, whole: the documents leave out what is the same in all.
pub fn example(code: Code) -> Option<Value> {
    let (_, rest) = section(code)?.split_once("```json\n")?;
    let (text, _) = rest.split_once("\n```")?;
    let told: Map<String, Value> = serde_json::from_str(text).ok()?;
    let mut example = json!({
        "type": format!("urn:hallmark:problem:{}", code.as_str()),
        "title": code.title(),
        "status": code.status().as_u16(),
        "detail": code.title().to_lowercase(),
        "code": code.as_str(),
        "correlationId": CORRELATION_ID,
    });
    if let Some(members) = example.as_object_mut() {
        members.extend(told);
    }
    Some(example)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_told_as_plain_text() {
        for (cell, text) in [
            (" Prometheus text ([OBSERVABILITY.md](OBSERVABILITY.md)) ", "Prometheus text"),
            ("every part ([A.md](A.md)); `behind` names one", "every part; behind names one"),
            ("as [A.md](A.md#a) says", "as A.md says"),
            ("brackets [ are kept", "brackets [ are kept"),
        ] {
            assert_eq!(plain(cell), text);
        }
        assert_eq!(summary("one; two; three"), "one");
    }

    #[test]
    fn every_code_has_its_words_and_an_example_of_its_own() {
        for code in Code::ALL {
            let (words, example) = (of_problem(*code), example(*code));
            assert!(words.is_some_and(|words| words.contains("Who must act")), "{code:?}: who must act?");
            let example = example.unwrap_or_else(|| panic!("{code:?} has no example that is JSON in docs/ERRORS.md"));
            assert_eq!((example["code"].as_str(), example["status"].as_u64()), {
                (Some(code.as_str()), Some(u64::from(code.status().as_u16())))
            });
        }
    }
}
