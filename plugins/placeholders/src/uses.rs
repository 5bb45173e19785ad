//! Finding placeholders: one walk over the submission, which gathers every place that uses one.

use std::borrow::Cow;
use std::collections::BTreeMap;

use hallmark_plugin::{Finding, pointer};

use crate::scope::{Reach, Scope};
use crate::syntax::{self, Part, SyntaxError};
use crate::tree::{Tree, member};

/// Bytes of pointers, names and values that one submission may make the plugin answer; the host allows a megabyte.
pub const ANSWER_MAX_BYTES: usize = 512 * 1024;

/// Findings that one submission may make the plugin give; the host allows 500.
pub const FINDINGS_MAX: usize = 200;

/// The placeholders and their values come to more than [`ANSWER_MAX_BYTES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLarge;

impl From<TooLarge> for Finding {
    fn from(_: TooLarge) -> Self {
        Self::error("placeholder.too-large")
            .message(format!("the placeholders and their values come to more than {ANSWER_MAX_BYTES} bytes"))
            .help("use fewer placeholders, or shorter values")
    }
}

/// A place whose value a placeholder makes.
pub struct Place<'a> {
    /// Its pointer.
    pub path: String,
    /// What stands there; for the object form its one variable.
    pub parts: Vec<Part<'a>>,
}

/// What the manifest itself says of one name.
#[derive(Default)]
pub struct Name<'a> {
    /// The name.
    pub name: &'a str,
    /// The first description of an object form.
    pub description: Option<&'a str>,
    /// The inline defaults that differ from each other, in order of first use.
    pub defaults: Vec<Cow<'a, str>>,
    /// The places, in order.
    pub occurrences: Vec<String>,
}

/// Everything that a walk gathers.
#[derive(Default)]
pub struct Uses<'a> {
    /// Every place.
    pub places: Vec<Place<'a>>,
    /// Every name, in order of first use.
    pub names: Vec<Name<'a>>,
    /// Placeholders that do not have their form.
    pub findings: Vec<Finding>,
    index: BTreeMap<&'a str, usize>,
    size_bytes: usize,
}

impl<'a> Uses<'a> {
    /// Walks over a submission.
    ///
    /// # Errors
    /// It uses more placeholders than can be answered.
    pub fn gather(submission: &'a Tree<'a>, scope: &Scope, document: &str) -> Result<Self, TooLarge> {
        let (scope, start) = scope.start(document);
        let mut uses = Self::default();
        uses.walk(submission, &scope, &start, &mut String::new())?;
        Ok(uses)
    }

    /// Where a name stands in `names`.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.index.get(name).copied()
    }

    /// Counts bytes of the answer.
    ///
    /// # Errors
    /// There are too many.
    pub fn spend(&mut self, size_bytes: usize) -> Result<(), TooLarge> {
        self.size_bytes = self.size_bytes.saturating_add(size_bytes);
        if self.size_bytes <= ANSWER_MAX_BYTES {
            return Ok(());
        }
        Err(TooLarge)
    }

    fn walk(&mut self, value: &'a Tree<'a>, scope: &Scope, reach: &Reach, path: &mut String) -> Result<(), TooLarge> {
        match value {
            Tree::Text(text) if *reach == Reach::Inside && text.contains('$') => self.read_text(text, path),
            Tree::Members(members) if *reach == Reach::Inside && member(members, "$var").is_some() => {
                self.read_object(members, path)
            }
            Tree::Members(members) => {
                members.iter().try_for_each(|(name, value)| self.descend(value, scope, reach, path, name))
            }
            Tree::List(elements) => elements
                .iter()
                .enumerate()
                .try_for_each(|(index, value)| self.descend(value, scope, reach, path, &index.to_string())),
            _ => Ok(()),
        }
    }

    fn descend(
        &mut self,
        value: &'a Tree<'a>,
        scope: &Scope,
        reach: &Reach,
        path: &mut String,
        token: &str,
    ) -> Result<(), TooLarge> {
        // A scalar without a dollar sign needs neither a path nor a scope, and most are such.
        match value {
            Tree::Text(text) if !text.contains('$') => return Ok(()),
            Tree::Other => return Ok(()),
            _ => {}
        }
        let next = scope.step(reach, token);
        if matches!(&next, Reach::Towards(states) if states.is_empty()) {
            return Ok(());
        }
        let length = path.len();
        path.push('/');
        if token.contains(['~', '/']) {
            path.truncate(length);
            *path = pointer::child(path, token);
        } else {
            path.push_str(token);
        }
        self.walk(value, scope, &next, path)?;
        path.truncate(length);
        Ok(())
    }

    fn read_text(&mut self, text: &'a str, path: &str) -> Result<(), TooLarge> {
        match syntax::parse(text) {
            Ok(None) => Ok(()),
            Ok(Some(parts)) => self.add(path, parts, None),
            Err(error) => self.refuse(path, &error),
        }
    }

    fn read_object(&mut self, members: &'a [(Cow<'a, str>, Tree<'a>)], path: &str) -> Result<(), TooLarge> {
        match read_variable(members) {
            Ok((name, default, description)) => {
                let variable = Part::Variable { name, default: default.map(Cow::Borrowed) };
                self.add(path, vec![variable], description)
            }
            Err((below, error)) => self.refuse(&format!("{path}{below}"), &error),
        }
    }

    fn add(&mut self, path: &str, parts: Vec<Part<'a>>, description: Option<&'a str>) -> Result<(), TooLarge> {
        self.spend(path.len())?;
        for part in &parts {
            let Part::Variable { name, default } = part else { continue };
            self.spend(name.len() + path.len())?;
            let position = *self.index.entry(name).or_insert_with(|| {
                self.names.push(Name { name, ..Name::default() });
                self.names.len() - 1
            });
            let known = &mut self.names[position];
            known.description = known.description.or(description);
            if let Some(default) = default
                && !known.defaults.contains(default)
            {
                known.defaults.push(default.clone());
            }
            if known.occurrences.last().is_none_or(|last| last != path) {
                known.occurrences.push(path.to_owned());
            }
        }
        self.places.push(Place { path: path.to_owned(), parts });
        Ok(())
    }

    fn refuse(&mut self, path: &str, error: &SyntaxError) -> Result<(), TooLarge> {
        self.spend(path.len() + error.message.len() + error.help.len())?;
        self.findings.push(Finding::error("placeholder.syntax").at(path).message(&error.message).help(&error.help));
        Ok(())
    }
}

const OBJECT_FORM: &str =
    r#"write {"$var": {"name": "NAME", "default": "…", "description": "…"}}; only the name is needed"#;

type Variable<'a> = (&'a str, Option<&'a str>, Option<&'a str>);

/// Name, default and description of the object form; or where in it something is wrong, and what.
fn read_variable<'a>(members: &'a [(Cow<'a, str>, Tree<'a>)]) -> Result<Variable<'a>, (String, SyntaxError)> {
    let wrong =
        |below: &str, message: String| (below.to_owned(), SyntaxError { message, help: OBJECT_FORM.to_owned() });
    if members.len() > 1 {
        return Err(wrong("", "an object with '$var' has other members beside it".to_owned()));
    }
    let Some(Tree::Members(variable)) = member(members, "$var") else {
        return Err(wrong("/$var", "'$var' is not an object".to_owned()));
    };
    if let Some(unknown) =
        variable.iter().map(|(key, _)| key).find(|key| !matches!(key.as_ref(), "name" | "default" | "description"))
    {
        return Err(wrong("/$var", format!("'$var' has the unknown member '{unknown}'")));
    }
    let text = |name: &str| match member(variable, name) {
        None => Ok(None),
        Some(Tree::Text(text)) => Ok(Some(text.as_ref())),
        Some(_) => Err(wrong(&format!("/$var/{name}"), format!("the '{name}' of '$var' is not a string"))),
    };
    let Some(name) = text("name")? else {
        return Err(wrong("/$var", "'$var' has no 'name'".to_owned()));
    };
    syntax::check_name(name).map_err(|error| wrong("/$var/name", error.message))?;
    Ok((name, text("default")?, text("description")?))
}
