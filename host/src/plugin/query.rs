//! JSONPath (RFC 9535) for guests. A query runs in the host, where no deadline reaches, and a short path can select
//! without end (`$..*..*..*`): so the steps that it could take at the worst are counted before it runs.

use serde_json::Value;
use serde_json_path::JsonPath;

use super::Cause;

/// Bytes of one path. The parser goes back and forth in it.
const PATH_MAX_BYTES: usize = 1_024;
/// Brackets within brackets. The parser calls itself for each.
const NESTING_MAX: usize = 8;

/// Gives every node that the path selects to `take`, with its JSON Pointer, in document order. The inner error says
/// what is wrong with the path.
pub fn select(
    document: &Value,
    path: &str,
    steps_max: u64,
    mut take: impl FnMut(String, &Value) -> Result<(), Cause>,
) -> Result<Result<(), String>, Cause> {
    let shape = match Shape::of(path) {
        Ok(shape) => shape,
        Err(wrong) => return Ok(Err(wrong)),
    };
    let parsed = match JsonPath::parse(path) {
        Ok(parsed) => parsed,
        Err(error) => return Ok(Err(format!("not a JSONPath (RFC 9535): {error}"))),
    };
    let (nodes, depth) = size(document);
    let steps = shape.steps(nodes, depth);
    if steps > steps_max {
        return Ok(Err(format!(
            "could take {steps} steps in this submission (plugin_query_steps_max = {steps_max}): use fewer '..', \
             lists and filters within filters"
        )));
    }
    for node in parsed.query_located(document).iter() {
        take(node.location().to_json_pointer(), node.node())?;
    }
    Ok(Ok(()))
}

/// What makes a path expensive, read off its text.
#[derive(Debug, Default, PartialEq, Eq)]
struct Shape {
    /// `..` segments: each may meet a node once for every one of its ancestors.
    descents: u32,
    /// Commas: each selector of a list may select the same node again.
    commas: u32,
    /// Filters that search on their own for each node that they are asked about.
    searching_filters: u32,
}

impl Shape {
    fn of(path: &str) -> Result<Self, String> {
        if path.len() > PATH_MAX_BYTES {
            return Err(format!("has {} bytes, more than {PATH_MAX_BYTES}", path.len()));
        }
        let mut shape = Self::default();
        // For each open bracket, whether a filter began in it that has not been seen to search.
        let mut open: Vec<bool> = Vec::new();
        let mut quote = None;
        let mut bytes = path.bytes().peekable();
        while let Some(byte) = bytes.next() {
            match (quote, byte) {
                (Some(_), b'\\') => {
                    bytes.next();
                }
                (Some(end), byte) if byte == end => quote = None,
                (Some(_), _) => {}
                (None, b'\'' | b'"') => quote = Some(byte),
                (None, b'[' | b'(') => open.push(false),
                (None, b']' | b')') => {
                    open.pop();
                }
                (None, b',') => shape.commas += 1,
                (None, b'?') => {
                    shape.searches(&mut open);
                    if let Some(innermost) = open.last_mut() {
                        *innermost = true;
                    }
                }
                (None, b'*' | b':') => shape.searches(&mut open),
                (None, b'.') if bytes.peek() == Some(&b'.') => {
                    bytes.next();
                    shape.descents += 1;
                    shape.searches(&mut open);
                }
                (None, _) => {}
            }
            if open.len() > NESTING_MAX {
                return Err(format!("nests brackets more than {NESTING_MAX} deep"));
            }
        }
        Ok(shape)
    }

    /// Counts the filters that what was just met makes expensive, each once.
    fn searches(&mut self, open: &mut [bool]) {
        for filter in open.iter_mut().filter(|filter| **filter) {
            *filter = false;
            self.searching_filters += 1;
        }
    }

    fn steps(&self, nodes: u64, depth: u64) -> u64 {
        // After the first `..` a node is met once for each of its ancestors, and each time its location, as long as the
        // node is deep, is written down.
        let again = depth.saturating_pow(self.descents);
        let lists = 2_u64.saturating_pow(self.commas);
        let searches = nodes.saturating_pow(self.searching_filters);
        nodes.saturating_mul(again).saturating_mul(lists).saturating_mul(searches)
    }
}

/// How many nodes a document has, and how deep it is.
fn size(value: &Value) -> (u64, u64) {
    let mut nodes = 0;
    let mut deepest = 0;
    let mut left = vec![(value, 1)];
    while let Some((value, depth)) = left.pop() {
        nodes += 1;
        deepest = deepest.max(depth);
        match value {
            Value::Array(items) => left.extend(items.iter().map(|item| (item, depth + 1))),
            Value::Object(members) => left.extend(members.values().map(|member| (member, depth + 1))),
            _ => {}
        }
    }
    (nodes, deepest)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn selected(document: &Value, path: &str) -> Result<Vec<String>, String> {
        let mut found = Vec::new();
        let outcome = select(document, path, 1_000, |pointer, value| {
            found.push(format!("{pointer} {value}"));
            Ok(())
        });
        outcome.expect("nothing is charged").map(|()| found)
    }

    #[test]
    fn selects_with_pointers_in_document_order() {
        let document = json!({"a": [{"n": 1, "x/y": true}, {"n": 5}], "n": 7});
        assert_eq!(selected(&document, "$.a[?@.n > 2].n"), Ok(vec!["/a/1/n 5".to_owned()]));
        assert_eq!(selected(&document, "$.a[0]['x/y']"), Ok(vec!["/a/0/x~1y true".to_owned()]));
        assert_eq!(selected(&document, "$..n").map(|found| found.len()), Ok(3));
        assert_eq!(selected(&document, "$.nothing"), Ok(vec![]));
    }

    #[test]
    fn says_what_is_wrong_with_a_path() {
        let document = json!({"a": 1});
        assert!(selected(&document, "a.b").expect_err("no root").starts_with("not a JSONPath (RFC 9535): "));
        assert_eq!(
            selected(&document, &format!("$[?{}", "(".repeat(20))),
            Err("nests brackets more than 8 deep".to_owned())
        );
        assert_eq!(
            selected(&document, &format!("$.{}", "a".repeat(2000))),
            Err("has 2002 bytes, more than 1024".into())
        );
    }

    #[test]
    fn refuses_a_path_that_could_run_without_end() {
        let deep = json!({"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": 1}}}}}}}});
        assert_eq!(
            selected(&deep, "$..*..*..*..*"),
            Err(
                "could take 59049 steps in this submission (plugin_query_steps_max = 1000): use fewer '..', lists and \
                 filters within filters"
                    .to_owned()
            )
        );
        assert!(selected(&deep, "$['a','a','a','a','a']['a','a','a','a','a']").is_err());
        assert!(selected(&deep, "$..[?@..[?@..a]]").is_err());
        assert!(selected(&deep, "$..[?@.a == 1]").is_ok());
    }

    #[test]
    fn counts_what_makes_a_path_expensive_outside_quotes() {
        let shape = Shape::of("$..['a,b..?(', \"c\\\",\"][?@.x && @..y]").expect("well formed");
        assert_eq!(shape, Shape { descents: 2, commas: 1, searching_filters: 1 });
    }
}
