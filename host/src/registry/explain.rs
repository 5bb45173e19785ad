//! Who said what: each finding of a decision with the release, the binding and the plugin behind it, and what the plugin
//! says of its code.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::decisions::JudgedBy;
use super::release::{Binding, ReleaseRef};
use super::{Actor, Decision, Registry, RegistryError};
use crate::names::{Digest, Scope};
use crate::plugin::{FindingCode, Inspection};
use crate::report::{Finding, Stage};

/// A decision with everything that explains it.
#[derive(Debug, Clone)]
pub struct Explanation {
    /// The decision.
    pub decision: Decision,
    /// What was sent, secrets masked, as a submission with its variables; none where it was not kept.
    pub submission: Option<Value>,
    /// Its findings, in their order.
    pub findings: Vec<Explained>,
}

/// A finding with who said it.
#[derive(Debug, Clone)]
pub struct Explained {
    /// The finding.
    pub finding: Finding,
    /// The release whose rule it is; of the host's own findings, the one that declares the kind.
    pub release: Option<ReleaseRef>,
    /// The plugin; none where the host itself speaks.
    pub plugin: Option<Speaker>,
    /// What the plugin says of the code.
    pub documentation: Option<FindingCode>,
}

/// A plugin that said something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Speaker {
    /// Its own name.
    pub name: String,
    /// Its own version.
    pub version: String,
    /// SHA-256 of the component.
    pub digest: Digest,
}

impl Registry {
    /// Tells of each finding who said it and why.
    ///
    /// # Errors
    /// `NotFound`, `Store`.
    pub async fn explain(&self, actor: &Actor, id: &str) -> Result<Explanation, RegistryError> {
        let (decision, sent) = self.decision_and_sent(actor, id).await?;
        let releases = self.judged_by(actor, &decision).await?;
        let mut inspections: HashMap<Digest, Option<Inspection>> = HashMap::new();
        let mut findings = Vec::with_capacity(decision.findings.len());
        for finding in &decision.findings {
            let (release, binding) = origin(&releases, finding);
            let inspection = match binding {
                Some(binding) => {
                    if !inspections.contains_key(&binding.plugin) {
                        inspections.insert(binding.plugin.clone(), self.inspection(actor, &binding.plugin).await?);
                    }
                    inspections.get(&binding.plugin).and_then(Option::as_ref)
                }
                None => None,
            };
            findings.push(Explained {
                finding: finding.clone(),
                release: release.cloned(),
                plugin: inspection.map(|inspection| Speaker {
                    name: inspection.description.name.clone(),
                    version: inspection.description.version.clone(),
                    digest: inspection.digest.clone(),
                }),
                documentation: inspection.and_then(|inspection| {
                    let codes = &inspection.description.finding_codes;
                    documented(codes, &finding.remark.code).cloned()
                }),
            });
        }
        Ok(Explanation { submission: sent.as_deref().and_then(as_submission), findings, decision })
    }

    /// What a plugin that was pushed was found to be.
    pub(super) async fn inspection(&self, actor: &Actor, digest: &Digest) -> Result<Option<Inspection>, RegistryError> {
        let row = self.store.plugin(&actor.tenant, digest).await?;
        let read = row.map(|row| serde_json::from_str(&row.inspection)).transpose();
        read.map_err(|error| RegistryError::Internal(format!("a stored inspection cannot be read: {error}")))
    }
}

/// A code stands for those below it too: `rule` for `rule.owner`. The nearest tells most.
fn documented<'a>(codes: &'a [FindingCode], given: &str) -> Option<&'a FindingCode> {
    let stands = |code: &&FindingCode| {
        given.strip_prefix(&*code.code).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    codes.iter().filter(stands).max_by_key(|code| code.code.len())
}

/// The release and the binding behind a finding.
fn origin<'a>(releases: &'a [JudgedBy], finding: &Finding) -> (Option<&'a ReleaseRef>, Option<&'a Binding>) {
    let of_policies = finding.stage == Stage::Policy;
    let Some((release, rules)) = releases.iter().find(|(release, _)| (release.scope == Scope::Policies) == of_policies)
    else {
        return (None, None);
    };
    let binding = finding.plugin.as_ref().and_then(|name| rules.bindings.iter().find(|binding| binding.name == *name));
    (Some(release), binding)
}

/// What was sent, in the form in which it was.
fn as_submission(sent: &str) -> Option<Value> {
    let mut sent: Map<String, Value> = serde_json::from_str(sent).ok()?;
    let variables =
        sent.remove("variables").filter(|variables| variables.as_object().is_some_and(|all| !all.is_empty()));
    let mut submission = sent.remove("submission")?;
    if let (Some(fields), Some(variables)) = (submission.as_object_mut(), variables) {
        fields.insert("variables".to_owned(), variables);
    }
    Some(submission)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_documented_code_stands_for_those_below_it() {
        let code = |code: &str| FindingCode { code: code.to_owned(), summary: String::new(), help: String::new() };
        let codes = [code("rule"), code("rule.owner"), code("rules")];
        let told = |given: &str| documented(&codes, given).map(|code| code.code.as_str());
        assert_eq!(told("rule.agent.health"), Some("rule"));
        assert_eq!(told("rule.owner.name"), Some("rule.owner"));
        assert_eq!(told("rules"), Some("rules"));
        assert_eq!((told("ruler"), told("other")), (None, None));
    }
}
