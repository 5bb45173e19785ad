//! Exemptions: one entry, or those of a pattern, may pass one finding's code until a date, for a reason. What is let
//! pass stays in every answer and every decision, with the exemption beside it.

mod codes;

use std::sync::Arc;

use serde_json::json;

use super::audit::AuditRecord;
use super::publish::{not_found, sane_id};
use super::store::{ExemptionMade, Page};
use super::{Actor, Decision, Registry, RegistryError};
use crate::clock::{Instant, Millis, new_id};
use crate::names::{EntryId, KindName, is_like};
use crate::report::{Exempted, Finding, Stage};

/// Milliseconds of a day.
const DAY_MS: i64 = 86_400_000;

/// Bytes of a reason.
const REASON_MAX_BYTES: usize = 2_000;

/// Which entries: `KIND/ENTRY`, where `*` in either part stands for any characters, none among them.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pattern {
    kind: String,
    entry: String,
}

/// A text that is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{0}' is not a pattern of entries: write KIND/ENTRY, as in agents/weather or agents/legacy-*, where '*' stands for any characters"
)]
pub struct NoPattern(String);

impl Pattern {
    /// True where it means this entry.
    pub fn matches(&self, kind: &str, id: &str) -> bool {
        is_like(&self.kind, kind) && is_like(&self.entry, id)
    }
}

impl std::str::FromStr for Pattern {
    type Err = NoPattern;

    fn from_str(text: &str) -> Result<Self, NoPattern> {
        let refused = || NoPattern(text.chars().take(150).collect());
        let (kind, entry) = text.split_once('/').ok_or_else(refused)?;
        // With a letter in the place of every '*' each part is a name.
        let kind_is_one = kind.replace('*', "a").parse::<KindName>().is_ok();
        let entry_is_one = entry.replace('*', "a").parse::<EntryId>().is_ok();
        if !kind_is_one || !entry_is_one {
            return Err(refused());
        }
        Ok(Self { kind: kind.to_owned(), entry: entry.to_owned() })
    }
}

impl TryFrom<String> for Pattern {
    type Error = NoPattern;

    fn try_from(text: String) -> Result<Self, NoPattern> {
        text.parse()
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> Self {
        pattern.to_string()
    }
}

impl std::fmt::Display for Pattern {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}/{}", self.kind, self.entry)
    }
}

/// One exemption.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Exemption {
    /// Its id.
    pub id: String,
    /// The entries.
    pub pattern: Pattern,
    /// The code of the findings.
    pub code: String,
    /// The binding, where it is for the findings of one alone.
    pub binding: Option<String>,
    /// The first instant at which it does not hold.
    pub until: Millis,
    /// Why.
    pub reason: String,
    /// Who gave it.
    pub author: String,
    /// When.
    pub created_at: Millis,
    /// When it was taken back, and by whom.
    pub revoked: Option<(Millis, String)>,
}

impl Exemption {
    /// Whether it is known, at an instant, to hold.
    pub fn holds(&self, at: Millis) -> bool {
        self.revoked.is_none() && at < self.until
    }

    fn lets_pass(&self, finding: &Finding) -> bool {
        self.code == finding.remark.code
            && self.binding.as_ref().is_none_or(|binding| finding.plugin.as_ref() == Some(binding))
    }
}

impl AuditRecord {
    /// An exemption that was made.
    pub fn exempted(exemption: &Exemption) -> Self {
        let body = json!({
            "entries": exemption.pattern,
            "code": exemption.code,
            "binding": exemption.binding,
            "until": Instant(exemption.until),
            "reason": exemption.reason,
        });
        let subject = format!("exemptions/{}", exemption.id);
        Self::new("exemption.made", &exemption.author, subject, body, exemption.created_at)
    }

    /// An exemption that was taken back.
    pub fn exemption_revoked(exemption: &Exemption, by: &str, at: Millis) -> Self {
        let body = json!({"entries": exemption.pattern, "code": exemption.code});
        Self::new("exemption.revoked", by, format!("exemptions/{}", exemption.id), body, at)
    }
}

/// The exemptions of a tenant that are not taken back, as a host judges by them.
#[derive(Debug, Default)]
pub struct Exemptions {
    /// Raised by every change: a publish judged under another number is judged again.
    pub number: i64,
    /// Every one.
    pub list: Vec<Exemption>,
}

impl Exemptions {
    /// Those that let findings of a decision pass, for that entry alone, so that it can be run again.
    pub fn of_decision(decision: &Decision) -> Self {
        let mut list: Vec<Exemption> = Vec::new();
        for finding in &decision.findings {
            let Some(Exempted { id, reason }) = &finding.exemption else { continue };
            let exemption = Exemption {
                id: id.clone(),
                pattern: Pattern { kind: decision.kind.to_string(), entry: decision.entry.to_string() },
                code: finding.remark.code.clone(),
                binding: finding.plugin.clone(),
                until: Millis(i64::MAX),
                reason: reason.clone(),
                author: String::new(),
                created_at: Millis(0),
                revoked: None,
            };
            if !list.contains(&exemption) {
                list.push(exemption);
            }
        }
        // Any number but that of none.
        Self { number: 1, list }
    }

    /// Marks those findings of an entry that would reject it and that one lets pass at the submission's time. Findings
    /// of the schema and of resolvers are never marked: they end the run, and what comes after could not be judged.
    pub fn mark(&self, findings: &mut [Finding], kind: &KindName, id: &EntryId, at: Millis) {
        if self.list.is_empty() {
            return;
        }
        let ours =
            |exemption: &&Exemption| exemption.holds(at) && exemption.pattern.matches(kind.as_str(), id.as_str());
        let rejecting = findings.iter_mut().filter(|finding| finding.rejects());
        for finding in rejecting.filter(|finding| matches!(finding.stage, Stage::Validate | Stage::Policy)) {
            let found = self.list.iter().filter(|exemption| exemption.lets_pass(finding)).find(ours);
            finding.exemption = found.map(|found| Exempted { id: found.id.clone(), reason: found.reason.clone() });
        }
    }
}

/// What an exemption is asked for with.
#[derive(Debug, Clone)]
pub struct ExemptionWanted {
    /// The entries.
    pub pattern: String,
    /// The code of the findings.
    pub code: String,
    /// The binding.
    pub binding: Option<String>,
    /// The first instant at which it does not hold.
    pub until: Millis,
    /// Why.
    pub reason: String,
    /// Whether the code may be one that no plugin documents.
    pub undocumented: bool,
}

/// An exemption that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExemptionToTell {
    /// It.
    pub exemption: Exemption,
    /// What whoever made it should know, where no rule in force is known to give its code.
    pub note: Option<String>,
}

impl Registry {
    /// Lets findings pass.
    ///
    /// # Errors
    /// `BadChange` says what cannot be; `Store`.
    pub async fn exempt(
        self: &Arc<Self>,
        actor: &Actor,
        wanted: ExemptionWanted,
        at: Millis,
    ) -> Result<ExemptionToTell, RegistryError> {
        let refused = |why: String| RegistryError::BadChange(why);
        let pattern: Pattern = wanted.pattern.parse().map_err(|error: NoPattern| refused(error.to_string()))?;
        self.check_exemption(&wanted, at)?;
        if self.means_what_is_in_force(&pattern, &wanted).is_err() {
            // Another host may have put it in force a moment ago.
            self.look_again().await?;
            self.means_what_is_in_force(&pattern, &wanted)?;
        }
        let note = self.check_code(actor, &pattern, &wanted).await?;
        let exemption = Exemption {
            id: new_id(at),
            pattern,
            code: wanted.code,
            binding: wanted.binding,
            until: wanted.until,
            reason: wanted.reason.trim().to_owned(),
            author: actor.name.clone(),
            created_at: at,
            revoked: None,
        };
        let limit = self.limits.exemptions_max;
        match self.store.insert_exemption(&actor.tenant, &exemption, limit).await? {
            ExemptionMade::Made => {}
            ExemptionMade::TooMany => {
                let why = format!("{limit} exemptions hold already (exemptions_max): take back some of them first");
                return Err(refused(why));
            }
        }
        tracing::info!(
            exemption = exemption.id,
            pattern = %exemption.pattern,
            code = exemption.code,
            actor = actor.name,
            "registry.exemption.made"
        );
        self.catch_up().await;
        Ok(ExemptionToTell { exemption, note })
    }

    fn means_what_is_in_force(&self, pattern: &Pattern, wanted: &ExemptionWanted) -> Result<(), RegistryError> {
        let refuse = |why: String| Err(RegistryError::BadChange(why));
        let kinds = self.kind_names();
        if !kinds.iter().any(|kind| is_like(&pattern.kind, kind)) {
            return refuse(format!("no kind is like '{}'; known kinds are: {}", pattern.kind, listed(&kinds)));
        }
        let Some(binding) = &wanted.binding else { return Ok(()) };
        let known = self.rules.load().loaded.judges();
        if !known.contains(binding) {
            let known = listed(&known);
            return refuse(format!("no validator or policy in force is called '{binding}'; there are: {known}"));
        }
        Ok(())
    }

    fn check_exemption(&self, wanted: &ExemptionWanted, at: Millis) -> Result<(), RegistryError> {
        let refuse = |why: String| Err(RegistryError::BadChange(why));
        let code = &wanted.code;
        if code.starts_with("schema.") || code.starts_with("resolve.") {
            return refuse(format!(
                "'{code}' cannot be exempted: what the schema or a resolver refuses ends the run, and nothing after it \
                 could be judged. Change the kind's schema, or the submission"
            ));
        }
        let is_code =
            (1..=100).contains(&code.len()) && code.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'*');
        if !is_code {
            return refuse(
                "an exemption is for one finding's code, as in permissions.wildcard, without '*'".to_owned(),
            );
        }
        if wanted.reason.trim().is_empty() || wanted.reason.len() > REASON_MAX_BYTES {
            return refuse(format!(
                "an exemption needs a reason of at most {REASON_MAX_BYTES} bytes: say who allows it, and why"
            ));
        }
        let days = self.limits.exemption_days_max;
        if wanted.until <= at {
            return refuse("the exemption's end has gone by: name a later one".to_owned());
        }
        if wanted.until.0 - at.0 > i64::from(days) * DAY_MS {
            return refuse(format!(
                "the exemption would hold for more than {days} days (exemption_days_max): name an earlier end"
            ));
        }
        Ok(())
    }

    /// Takes an exemption back; one that was taken back before stays as it was.
    ///
    /// # Errors
    /// `NotFound`, `Store`.
    pub async fn revoke_exemption(
        self: &Arc<Self>,
        actor: &Actor,
        id: &str,
        at: Millis,
    ) -> Result<Exemption, RegistryError> {
        sane_id("exemption", id)?;
        let exemption = self.store.revoke_exemption(&actor.tenant, id, &actor.name, at).await?;
        let exemption = exemption.ok_or_else(|| not_found("exemption", id))?;
        tracing::info!(exemption = id, actor = actor.name, "registry.exemption.revoked");
        self.catch_up().await;
        Ok(exemption)
    }

    /// Exemptions, newest first: those that hold at the instant, or all that ever were.
    ///
    /// # Errors
    /// `Store`.
    pub async fn exemptions(
        &self,
        actor: &Actor,
        holding_at: Option<Millis>,
        before: Option<&str>,
        limit: u32,
    ) -> Result<Page<Exemption>, RegistryError> {
        Ok(self.store.exemptions(&actor.tenant, holding_at, before, limit).await?)
    }
}

fn listed(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Mode, Remark};

    fn pattern(text: &str) -> Pattern {
        text.parse().expect("a pattern")
    }

    #[test]
    fn patterns_mean_entries() {
        for (text, kind, id, means) in [
            ("agents/weather", "agents", "weather", true),
            ("agents/weather", "agents", "weather-2", false),
            ("agents/weather*", "agents", "weather", true),
            ("agents/*-old", "agents", "a-old", true),
            ("agents/*-old", "agents", "old", false),
            ("agents/a*b*c", "agents", "aXbYc", true),
            ("agents/a*b*c", "agents", "aXcYb", false),
            ("agents/ab*ba", "agents", "aba", false),
            ("*/weather", "services", "weather", true),
            ("ag*/*", "services", "weather", false),
            ("*/*", "services", "weather", true),
            ("agents/**", "agents", "x", true),
        ] {
            assert_eq!(pattern(text).matches(kind, id), means, "{text} {kind}/{id}");
            assert_eq!(pattern(text).to_string(), text);
        }
        for text in ["agents", "agents/", "/x", "agents/a b", "Agents/x", "agents/a/b", "agents/?"] {
            let error = text.parse::<Pattern>().expect_err("no pattern").to_string();
            assert!(error.starts_with(&format!("'{text}' is not a pattern of entries: write KIND/ENTRY")), "{error}");
        }
    }

    fn finding(stage: Stage, mode: Mode, code: &str) -> Finding {
        let remark = Remark::error(code, "/a", "no");
        Finding { stage, plugin: Some("house".to_owned()), mode, remark, exemption: None }
    }

    fn exemption(id: &str, code: &str, binding: Option<&str>, until: i64) -> Exemption {
        Exemption {
            id: id.to_owned(),
            pattern: pattern("agents/w*"),
            code: code.to_owned(),
            binding: binding.map(str::to_owned),
            until: Millis(until),
            reason: "moving house".to_owned(),
            author: "ada".to_owned(),
            created_at: Millis(0),
            revoked: None,
        }
    }

    /// The exemptions of each finding.
    fn marked(list: Vec<Exemption>, findings: Vec<Finding>, id: &str, at: i64) -> Vec<Option<String>> {
        let (mut findings, exemptions) = (findings, Exemptions { number: 1, list });
        exemptions.mark(&mut findings, &"agents".parse().expect("a kind"), &id.parse().expect("an id"), Millis(at));
        findings.into_iter().map(|finding| finding.exemption.map(|exempted| exempted.id)).collect()
    }

    #[test]
    fn lets_pass_what_would_reject_until_its_end() {
        let list = || vec![exemption("one", "a.b", None, 10)];
        let findings = || {
            vec![
                finding(Stage::Policy, Mode::Enforce, "a.b"),
                finding(Stage::Validate, Mode::Enforce, "a.b"),
                finding(Stage::Policy, Mode::Enforce, "a.c"),
                finding(Stage::Policy, Mode::Observe, "a.b"),
                finding(Stage::Resolve, Mode::Enforce, "a.b"),
            ]
        };
        let one = || Some("one".to_owned());
        assert_eq!(marked(list(), findings(), "weather", 9), [one(), one(), None, None, None]);
        assert_eq!(marked(list(), findings(), "weather", 10), [None, None, None, None, None]);
        assert_eq!(marked(list(), findings(), "triage", 9), [None, None, None, None, None]);
        let mut revoked = list();
        revoked[0].revoked = Some((Millis(3), "eve".to_owned()));
        assert_eq!(marked(revoked, findings(), "weather", 9), [None, None, None, None, None]);
    }

    #[test]
    fn one_of_a_binding_is_for_its_findings_alone() {
        let findings = || vec![finding(Stage::Policy, Mode::Enforce, "a.b")];
        assert_eq!(marked(vec![exemption("one", "a.b", Some("other"), 10)], findings(), "w", 1), [None]);
        let both = vec![exemption("one", "a.b", Some("other"), 10), exemption("two", "a.b", Some("house"), 10)];
        assert_eq!(marked(both, findings(), "w", 1), [Some("two".to_owned())]);
    }
}
