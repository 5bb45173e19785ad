//! Lists, which the server gives page by page.

use serde_json::Value;
use url::form_urlencoded::Serializer;

use super::client::Client;
use super::{Trouble, show};

/// Items of a page where all of them are read.
const ITEMS_AT_ONCE: &str = "100";

/// Which page of a list.
#[derive(Debug, clap::Args)]
pub struct Paging {
    /// Items of the page, 1 to 100.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100))]
    limit: Option<u32>,
    /// Where the page begins: the cursor that the page before ended with.
    #[arg(long)]
    cursor: Option<String>,
}

impl Paging {
    /// What asks for it.
    pub fn parameters(&self) -> [(&'static str, Option<String>); 2] {
        [("limit", self.limit.map(|limit| limit.to_string())), ("cursor", self.cursor.clone())]
    }
}

/// The path with those of the parameters that are given.
pub fn path(path: &str, parameters: &[(&str, Option<String>)]) -> String {
    let mut query = Serializer::new(String::new());
    for (name, value) in parameters {
        if let Some(value) = value {
            query.append_pair(name, value);
        }
    }
    let query = query.finish();
    if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
}

/// The path below `path` of these words, whatever is in them.
pub fn below(path: &str, words: &[&str]) -> String {
    let mut below = path.to_owned();
    for word in words {
        below.push('/');
        for byte in word.bytes() {
            // What a segment of a path may have (RFC 3986, 3.3).
            if byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@".contains(&byte) {
                below.push(char::from(byte));
            } else {
                below.push_str(&format!("%{byte:02X}"));
            }
        }
    }
    below
}

/// Says how to read on, where more follow.
pub fn tell_more(page: &Value) {
    if let Some(cursor) = page["nextCursor"].as_str() {
        show::err(&format!("more follow: --cursor {cursor}"));
    }
}

/// Every item of a list.
///
/// # Errors
/// The problem that the server tells, or why it cannot be asked.
pub fn all(client: &Client, list: &str, parameters: &[(&str, Option<String>)]) -> Result<Vec<Value>, Trouble> {
    let mut items = Vec::new();
    let mut cursor = None;
    loop {
        let own = [("limit", Some(ITEMS_AT_ONCE.to_owned())), ("cursor", cursor)];
        let mut page = client.get(&path(list, &[parameters, &own].concat()))?.body;
        if let Value::Array(more) = page["items"].take() {
            items.extend(more);
        }
        cursor = page["nextCursor"].as_str().map(str::to_owned);
        if cursor.is_none() {
            return Ok(items);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_a_path_stay_words() {
        assert_eq!(
            below("/api/inbox", &["registry:agent:a/b:1.0.0+x y"]),
            "/api/inbox/registry:agent:a%2Fb:1.0.0+x%20y"
        );
    }

    #[test]
    fn a_path_has_the_parameters_that_are_given() {
        let some = [("limit", None), ("kind", Some("a b".to_owned())), ("cursor", Some("x=&".to_owned()))];
        assert_eq!(path("/api/keys", &some), "/api/keys?kind=a+b&cursor=x%3D%26");
        assert_eq!(path("/api/keys", &some[..1]), "/api/keys");
    }
}
