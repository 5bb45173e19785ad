//! What the texts use and what is declared: each use has its declaration, each declaration its use.

use std::collections::{BTreeMap, BTreeSet};

use hallmark_plugin::findings::{Code, Findings, cut, quoted};
use hallmark_plugin::{Finding, Patch, pointer};
use serde_json::{Value, json};
use shared_rules::nearest::nearest;

use crate::codes;
use crate::content::{Content, Kind, Text};
use crate::references::Inherited;
use crate::syntax::{Found, Syntax, What, is_name};

/// For no more names is looked for the one that was meant.
const COMPARED_MAX: usize = 20;
/// A longer text is not written again by a fix.
const REWRITTEN_MAX_BYTES: usize = 2_000;
/// No more declarations are made by one fix.
const DECLARED_BY_A_FIX_MAX: usize = 50;

/// Where a parameter is used.
#[derive(Debug)]
struct Used<'v> {
    /// Index of the first text, and the line in it.
    first: (usize, usize),
    /// Indices of all texts.
    texts: BTreeSet<usize>,
    /// The first use that reads a member: text, line and path.
    member: Option<(usize, usize, &'v str)>,
}

/// Every parameter that a template's texts use.
#[derive(Debug, Default)]
pub struct Uses<'v> {
    by_name: BTreeMap<&'v str, Used<'v>>,
    /// Parameters in placeholders that hold more than a name: they are no use that must be declared.
    mentioned: BTreeSet<&'v str>,
}

impl<'v> Uses<'v> {
    /// Finds them, and gives a finding for each placeholder without its form.
    pub fn check(syntax: &Syntax, content: &Content<'v>, findings: &mut Findings) -> Self {
        let mut uses = Self::default();
        for (index, text) in content.texts.iter().enumerate() {
            syntax.scan(text.text, |Found { line, what }| {
                let code = match what {
                    What::Name { name, path, .. } => return uses.add(name, path, index, line),
                    What::Malformed { name, .. } => {
                        uses.mentioned.extend(name);
                        &codes::PLACEHOLDERS_FORM
                    }
                    What::Unclosed(_) => &codes::PLACEHOLDERS_UNCLOSED,
                    What::Unopened => &codes::PLACEHOLDERS_UNOPENED,
                };
                findings.add_with(code, || form_finding(code, syntax, text, line, &what));
            });
        }
        uses
    }

    fn add(&mut self, name: &'v str, path: &'v str, index: usize, line: usize) {
        let used = self.by_name.entry(name).or_insert_with(|| Used {
            first: (index, line),
            texts: BTreeSet::new(),
            member: None,
        });
        used.texts.insert(index);
        if path != name && used.member.is_none() {
            used.member = Some((index, line, path));
        }
    }

    /// Compares what is used with what is declared here and by the templates that this one builds upon.
    pub fn compare(&self, syntax: &Syntax, content: &Content<'v>, inherited: &Inherited, findings: &mut Findings) {
        let declared: BTreeMap<_, _> = content.declared().map(|(name, parameter)| (name, parameter.kind)).collect();
        let is_undeclared = |name: &&str| !declared.contains_key(name) && !inherited.has(name);
        let mut undeclared: Vec<&str> = self.by_name.keys().copied().filter(is_undeclared).collect();
        undeclared.sort_by_key(|name| self.by_name[name].first);
        let comparison = Comparison { syntax, content, declared: &declared, undeclared: &undeclared, uses: self };
        for (index, name) in undeclared.iter().enumerate() {
            // Where a template that is included cannot be read, what it declares is not known.
            if inherited.is_whole() {
                findings.add_with(&codes::PLACEHOLDERS_UNDECLARED, || {
                    comparison.undeclared_finding(name, index < COMPARED_MAX)
                });
            }
        }
        for (name, used) in &self.by_name {
            let kind = declared.get(name).copied().or_else(|| inherited.kind(name)).flatten();
            if let (Some((index, line, path)), Some(kind)) = (used.member, kind)
                && !matches!(kind, Kind::Object | Kind::Array)
            {
                findings.add_with(&codes::PLACEHOLDERS_MEMBER, || {
                    member_finding(syntax, &content.texts[index], line, name, path, kind)
                });
            }
        }
        let is_used = |name| self.by_name.contains_key(name) || self.mentioned.contains(name) || inherited.has(name);
        let unused = content.declared().filter(|(name, _)| is_name(name) && !is_used(name));
        for (index, (name, parameter)) in unused.enumerate() {
            if inherited.is_whole() {
                findings.add_with(&codes::PARAMETERS_UNUSED, || {
                    comparison.unused_finding(name, &parameter.place, parameter.value, index < COMPARED_MAX)
                });
            }
        }
    }
}

/// What a finding about a name is made from.
struct Comparison<'a, 'v> {
    syntax: &'a Syntax,
    content: &'a Content<'v>,
    declared: &'a BTreeMap<&'v str, Option<Kind>>,
    undeclared: &'a [&'v str],
    uses: &'a Uses<'v>,
}

impl Comparison<'_, '_> {
    fn undeclared_finding(&self, name: &str, is_compared: bool) -> Finding {
        let used = &self.uses.by_name[name];
        let text = &self.content.texts[used.first.0];
        let finding = codes::PLACEHOLDERS_UNDECLARED.at(text.place.as_str()).message(format!(
            "the placeholder {}{} names no declared parameter",
            quoted(&self.syntax.written(name)),
            text.in_line(used.first.1)
        ));
        let meant = if is_compared { nearest(name, self.declared.keys().copied()) } else { None };
        match meant {
            // A name that nothing else uses was meant; one that is used somewhere may be another.
            Some(meant) if !self.uses.by_name.contains_key(meant) => {
                let finding = finding.help(format!("write '{meant}'"));
                self.renamed(used, name, meant).map_or(finding.clone(), |patch| finding.fix(patch))
            }
            meant => {
                let where_to = if self.content.is_bare_text {
                    "write the content as an object with this text as 'body', and declare it in its 'parameters'"
                        .to_owned()
                } else {
                    format!("declare it in {}", self.content.parameters_place())
                };
                let help =
                    meant.map_or(where_to.clone(), |meant| format!("did you mean '{meant}'? Otherwise {where_to}"));
                let finding = finding.help(help);
                match self.declaring(name).filter(|_| meant.is_none()) {
                    Some(patch) => finding.fix(patch),
                    None => finding,
                }
            }
        }
    }

    /// Writes another name in every text that uses this one; none where one of them is too long to be shown twice.
    fn renamed(&self, used: &Used<'_>, name: &str, meant: &str) -> Option<Patch> {
        let mut patch = Patch::new();
        for text in used.texts.iter().map(|index| &self.content.texts[*index]) {
            if text.text.len() > REWRITTEN_MAX_BYTES {
                return None;
            }
            let (mut changed, mut done) = (String::with_capacity(text.text.len()), 0);
            self.syntax.scan(text.text, |Found { what, .. }| {
                if let What::Name { name: found, at, .. } = what
                    && found == name
                {
                    changed.push_str(&text.text[done..at]);
                    changed.push_str(meant);
                    done = at + name.len();
                }
            });
            changed.push_str(&text.text[done..]);
            patch = patch.and(Patch::exchange(&text.place, text.text, changed));
        }
        Some(patch)
    }

    /// Declares a name. Where there is no list yet one patch declares all, so that those of several findings agree.
    fn declaring(&self, name: &str) -> Option<Patch> {
        if !is_name(name) {
            return None;
        }
        if self.content.parameters.is_some() {
            let place = pointer::child(&self.content.parameters_place(), "-");
            return Some(Patch::new().add(&place, json!({"name": name})));
        }
        if self.undeclared.len() > DECLARED_BY_A_FIX_MAX {
            return None;
        }
        let all: Vec<Value> =
            self.undeclared.iter().filter(|name| is_name(name)).map(|name| json!({"name": name})).collect();
        match self.content.texts.first().filter(|_| self.content.is_bare_text) {
            None => Some(Patch::new().add(&self.content.parameters_place(), all)),
            Some(text) if text.text.len() <= REWRITTEN_MAX_BYTES => {
                Some(Patch::new().replace(&text.place, json!({"body": text.text, "parameters": all})))
            }
            Some(_) => None,
        }
    }

    fn unused_finding(&self, name: &str, place: &str, value: &Value, is_compared: bool) -> Finding {
        let finding = codes::PARAMETERS_UNUSED
            .at(place)
            .message(format!("nothing in the template uses the parameter {}", quoted(name)));
        let meant = if is_compared { nearest(name, self.undeclared.iter().copied()) } else { None };
        match meant {
            Some(meant) => finding.help(format!("is it what {} means?", quoted(&self.syntax.written(meant)))),
            None => finding
                .help(format!("write {} where it belongs, or remove it", quoted(&self.syntax.written(name))))
                .fix(Patch::removal(place, value.clone())),
        }
    }
}

fn form_finding(code: &Code, syntax: &Syntax, text: &Text<'_>, line: usize, what: &What<'_>) -> Finding {
    let (open, close) = (syntax.open(), syntax.close());
    let (in_line, example) = (text.in_line(line), syntax.written("name"));
    let (message, help) = match what {
        What::Unclosed(from) => (
            format!("the placeholder that begins with {}{in_line} has no '{close}'", quoted(from.trim_end())),
            format!("close it in the same line, as in {example}; a '{open}' that is text is written '\\{open}'"),
        ),
        What::Malformed { inner, .. } if inner.trim().is_empty() => {
            (format!("a placeholder{in_line} is empty"), format!("write the name of a parameter, as in {example}"))
        }
        What::Malformed { inner, is_dotted: true, .. } => (
            format!("the placeholder {}{in_line} has a dotted name", quoted(&[open, inner, close].concat())),
            "pass the member as a parameter of its own; the setting 'dotted_names' would allow it".to_owned(),
        ),
        What::Malformed { inner, .. } => (
            format!("the placeholder {}{in_line} does not hold a name", quoted(&[open, inner, close].concat())),
            format!(
                "write the name of a parameter alone, as in {example}: letters, digits, '_' and '-'; sections, filters and \
                 partials are not known here"
            ),
        ),
        What::Unopened | What::Name { .. } => (
            format!("a '{close}'{in_line} ends no placeholder"),
            format!("begin it, as in {example}, or take the '{close}' out"),
        ),
    };
    code.at(text.place.as_str()).message(message).help(help)
}

fn member_finding(syntax: &Syntax, text: &Text<'_>, line: usize, name: &str, path: &str, kind: Kind) -> Finding {
    codes::PLACEHOLDERS_MEMBER
        .at(text.place.as_str())
        .message(format!(
            "the placeholder {}{} reads a member of {}, which has the type {}",
            quoted(&syntax.written(path)),
            text.in_line(line),
            quoted(name),
            kind.name()
        ))
        .help(format!("declare {} with the type object, or write {}", quoted(name), cut(&syntax.written(name))))
}
