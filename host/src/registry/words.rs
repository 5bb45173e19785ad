//! The words that entries are found by. They are cut here and not by the databases, whose tokenizers differ: so the same
//! search finds the same entries in the same order on every engine.
//!
//! A word is a run of letters and digits (Unicode's), in lower case. Nothing is stemmed and no word is left out.

use std::collections::HashSet;
use std::fmt;

use serde_json::Value;

use super::release::Kind;

/// Characters of a word; what is longer is cut.
const WORD_MAX: usize = 64;
/// Bytes of the words of one entry's texts, without its id, name, category, tags and description.
const BODY_MAX_BYTES: usize = 16 * 1024;
/// Words of one search.
const QUERY_WORDS_MAX: usize = 16;

/// The words of an entry, by where they stand; each a text with a space between words.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EntryText {
    /// Of its id and name.
    pub title: String,
    /// Of its category, tags and description.
    pub about: String,
    /// Of everything else, as far as there is room.
    pub body: String,
}

impl EntryText {
    /// The words of a resolved submission of the kind.
    pub fn of(kind: &Kind, submission: &Value) -> Self {
        let field = |name: &str| submission.get(name).unwrap_or(&Value::Null);
        let mut title = Gathered::new(usize::MAX);
        for name in [kind.id_field.as_str(), "name"] {
            title.take_all(field(name));
        }
        let mut about = Gathered::new(usize::MAX);
        for name in ["category", "tags", "description"] {
            about.take_all(field(name));
        }
        let mut body = Gathered::new(BODY_MAX_BYTES);
        let rest = submission.as_object().into_iter().flatten();
        for (name, value) in rest {
            let is_told = [kind.id_field.as_str(), "name", "category", "tags", "description", "version"];
            if !is_told.contains(&name.as_str()) {
                body.take_all(value);
            }
        }
        Self { title: title.text, about: about.text, body: body.text }
    }
}

/// Words, each once, as far as there is room.
struct Gathered {
    text: String,
    known: HashSet<String>,
    room_bytes: usize,
}

impl Gathered {
    fn new(room_bytes: usize) -> Self {
        Self { text: String::new(), known: HashSet::new(), room_bytes }
    }

    /// The words of every text of the value, and of its members' names.
    fn take_all(&mut self, value: &Value) {
        match value {
            Value::String(text) => self.take(text),
            Value::Array(elements) => elements.iter().for_each(|element| self.take_all(element)),
            Value::Object(members) => {
                for (name, value) in members {
                    self.take(name);
                    self.take_all(value);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn take(&mut self, text: &str) {
        for word in words(text) {
            if word.len() >= self.room_bytes || self.known.contains(&word) {
                continue;
            }
            self.room_bytes -= word.len() + 1;
            if !self.text.is_empty() {
                self.text.push(' ');
            }
            self.text.push_str(&word);
            self.known.insert(word);
        }
    }
}

fn words(text: &str) -> impl Iterator<Item = String> {
    let cut = text.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty());
    cut.map(|word| word.chars().flat_map(char::to_lowercase).filter(|it| it.is_alphanumeric()).take(WORD_MAX).collect())
}

/// What is searched for: entries that hold, for every word of it, a word that begins so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query(Vec<String>);

/// A text that nothing can be searched by.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a search is 1 to {QUERY_WORDS_MAX} words of letters and digits")]
pub struct NoQuery;

impl Query {
    /// Its words.
    pub fn words(&self) -> &[String] {
        &self.0
    }
}

impl std::str::FromStr for Query {
    type Err = NoQuery;

    fn from_str(text: &str) -> Result<Self, NoQuery> {
        let mut query: Vec<String> = Vec::new();
        for word in words(text) {
            if !query.contains(&word) {
                query.push(word);
            }
        }
        if (1..=QUERY_WORDS_MAX).contains(&query.len()) { Ok(Self(query)) } else { Err(NoQuery) }
    }
}

impl fmt::Display for Query {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn kind() -> Kind {
        serde_json::from_value(json!({
            "name": "agents", "singular": "agent", "idField": "agentId", "documentField": "manifest", "schema": {},
        }))
        .expect("a kind")
    }

    #[test]
    fn words_are_runs_of_letters_and_digits_in_lower_case() {
        let cut = |text: &str| words(text).collect::<Vec<_>>();
        assert_eq!(cut("Weather-Agent v1.0, for ZÜRICH_2"), ["weather", "agent", "v1", "0", "for", "zürich", "2"]);
        assert_eq!(cut("' : & * \" \u{0} ( NOT"), ["not"]);
        assert_eq!(cut("日本語 İstanbul"), ["日本語", "istanbul"]);
        assert_eq!(cut(&"a".repeat(100)), ["a".repeat(WORD_MAX)]);
    }

    #[test]
    fn an_entrys_words_are_told_by_where_they_stand() {
        let submission = json!({
            "agentId": "planner", "name": "The Planner", "version": "1.0.0", "tags": ["travel"], "category": "trips",
            "description": "Plans a trip.", "manifest": {"steps": ["book trains", "book trains", 3]},
        });
        assert_eq!(
            EntryText::of(&kind(), &submission),
            EntryText {
                title: "planner the".to_owned(),
                about: "trips travel plans a trip".to_owned(),
                body: "steps book trains".to_owned(),
            }
        );
        let long: Vec<String> = (0..10_000).map(|number| format!("word{number}")).collect();
        let text = EntryText::of(&kind(), &json!({"agentId": "a", "manifest": long}));
        assert!(text.body.len() <= BODY_MAX_BYTES && text.body.len() > BODY_MAX_BYTES / 2, "{}", text.body.len());
    }

    #[test]
    fn a_search_needs_a_word() {
        assert_eq!("Plan plan  a TRIP!".parse::<Query>().expect("a query").words(), ["plan", "a", "trip"]);
        for wrong in ["", " -- ", &(0..17).map(|number| format!("w{number} ")).collect::<String>()] {
            assert_eq!(wrong.parse::<Query>(), Err(NoQuery), "{wrong}");
        }
        assert_eq!(NoQuery.to_string(), "a search is 1 to 16 words of letters and digits");
    }
}
