//! The templates that this one extends or includes: that they are published, and that none leads back here.

use std::collections::{BTreeMap, BTreeSet};

use hallmark_plugin::findings::{Findings, quoted};
use hallmark_plugin::{Finding, Subject, Submission, registry};
use serde_json::Value;

use crate::codes;
use crate::content::{Content, Kind, Reference};

/// What the templates that this one builds upon declare.
#[derive(Debug)]
pub struct Inherited {
    parameters: BTreeMap<String, Option<Kind>>,
    is_whole: bool,
}

impl Inherited {
    /// True where one of them declares a parameter of this name.
    pub fn has(&self, name: &str) -> bool {
        self.parameters.contains_key(name)
    }

    /// The type of the parameter of this name; none inside where it is no type.
    pub fn kind(&self, name: &str) -> Option<Option<Kind>> {
        self.parameters.get(name).copied()
    }

    /// True where all of them could be read.
    pub fn is_whole(&self) -> bool {
        self.is_whole
    }
}

/// Reads the templates, and those that they build upon.
pub fn check(
    content: &Content<'_>,
    references_max: usize,
    submission: &Submission,
    findings: &mut Findings,
) -> Inherited {
    let mut walk = Walk {
        subject: submission.subject(),
        references_max,
        seen: BTreeSet::new(),
        is_over: false,
        inherited: Inherited { parameters: BTreeMap::new(), is_whole: true },
    };
    for reference in &content.references {
        match reference.id {
            None => findings.add(
                codes::REFERENCES_FORM
                    .at(reference.place.as_str())
                    .message("the reference names no template: it is neither a text nor an object with an 'id'")
                    .help("write the id under which the template is published, or {\"id\": …, \"version\": …}"),
            ),
            Some(id) if *id == walk.subject.id => findings.add(
                codes::REFERENCES_SELF
                    .at(reference.place.as_str())
                    .message(format!("the template {} builds upon itself", quoted(id)))
                    .help("remove this reference"),
            ),
            Some(id) => walk.follow(reference, id, findings),
        }
    }
    walk.inherited
}

struct Walk<'a> {
    subject: &'a Subject,
    references_max: usize,
    /// What was read, by id and version.
    seen: BTreeSet<(String, Option<String>)>,
    is_over: bool,
    inherited: Inherited,
}

/// A template to be read, and the ids on the way to it, its own last.
struct Step {
    version: Option<String>,
    way: Vec<String>,
}

impl Step {
    fn id(&self) -> &str {
        self.way.last().map_or("", String::as_str)
    }
}

impl Walk<'_> {
    fn follow(&mut self, reference: &Reference<'_>, id: &str, findings: &mut Findings) {
        let start = Step { version: reference.version.map(str::to_owned), way: vec![id.to_owned()] };
        let mut waiting = vec![start];
        while let Some(step) = waiting.pop() {
            if !self.seen.insert((step.id().to_owned(), step.version.clone())) {
                continue;
            }
            if self.seen.len() > self.references_max {
                return self.end(reference, findings);
            }
            let Some(text) = registry::manifest(&self.subject.kind, step.id(), step.version.as_deref()) else {
                self.inherited.is_whole = false;
                if step.way.len() == 1 {
                    findings.add(unknown_finding(reference, &self.subject.kind));
                }
                continue;
            };
            // The host hands out JSON alone.
            let Ok(value) = serde_json::from_str::<Value>(&text) else { continue };
            let read = Content::read(value.pointer(&self.subject.document), &self.subject.document, &[]);
            for (name, parameter) in read.declared() {
                self.inherited.parameters.entry(name.to_owned()).or_insert(parameter.kind);
            }
            for next in &read.references {
                let Some(id) = next.id else { continue };
                let way: Vec<_> = step.way.iter().map(String::as_str).chain([id]).map(str::to_owned).collect();
                let is_this_version = next.version.is_none_or(|version| version == self.subject.version);
                if id == self.subject.id && is_this_version {
                    findings.add(cycle_finding(reference, &self.subject.id, &way));
                } else {
                    waiting.push(Step { version: next.version.map(str::to_owned), way });
                }
            }
        }
    }

    /// Says once that there are too many.
    fn end(&mut self, reference: &Reference<'_>, findings: &mut Findings) {
        self.inherited.is_whole = false;
        if self.is_over {
            return;
        }
        self.is_over = true;
        let references_max = self.references_max;
        findings.add(
            codes::REFERENCES_COUNT
                .at(reference.place.as_str())
                .message(format!(
                    "the template builds upon more than {references_max} templates, those of the included ones counted"
                ))
                .help(format!("build upon at most {references_max}, or raise 'references_max'")),
        );
    }
}

fn unknown_finding(reference: &Reference<'_>, kind: &str) -> Finding {
    codes::REFERENCES_UNKNOWN
        .at(reference.place.as_str())
        .message(format!("the template {} is not published in {kind}", quoted(&reference.title())))
        .help(match reference.version {
            None => "publish it first, or correct its id",
            Some(_) => "publish it first, or correct its id or its version",
        })
}

fn cycle_finding(reference: &Reference<'_>, id: &str, way: &[String]) -> Finding {
    codes::REFERENCES_CYCLE
        .at(reference.place.as_str())
        .message(format!("the templates build upon each other in a circle: {id} -> {}", way.join(" -> ")))
        .help("remove this reference, or another one of the circle")
}
