//! Whether a code is one that the rules in force can give. An exemption for one that none gives lets nothing pass, and
//! whoever made it believes that it does: a code that nobody documents is refused, and of one that nobody is known to give
//! it is told.

use std::collections::{BTreeSet, HashMap};

use serde_json::Value;

use super::super::releasing::parse_rules;
use super::super::{Actor, Registry, RegistryError};
use super::{ExemptionWanted, Pattern, is_like};
use crate::config::nearest;
use crate::names::Scope;
use crate::plugin::FindingCode;
use crate::registry::release::{Binding, Rules};
use crate::report::Stage;

/// Plugins of a page, where all of them are looked through.
const PLUGINS_AT_ONCE: u32 = 100;
/// Codes with names of settings that a code is compared with, to find the nearest.
const COMPARED_MAX: usize = 10_000;
/// Known codes that a refusal names where none is near.
const CODES_NAMED: usize = 12;
/// Members of settings by which a plugin names what it gives findings of.
const NAMES: [&str; 3] = ["id", "name", "code"];

/// A binding whose findings the exemption could let pass, by what its plugin documents.
struct Judge {
    name: String,
    codes: Vec<String>,
    /// What its settings name, which may follow a documented code.
    named: BTreeSet<String>,
}

/// What is known of a code.
#[derive(Debug, PartialEq, Eq)]
enum Known {
    /// It is given, or nothing speaks against it.
    Given,
    /// A binding gives such codes for what its settings name, and they do not name this.
    Unnamed { binding: String, name: String, near: Option<String> },
    /// No plugin documents it.
    Undocumented { near: Option<String>, codes: Vec<String> },
}

impl Registry {
    /// Refuses a code that no plugin documents, unless it is said to be such a one. Gives what whoever exempts it should
    /// know, where no rule in force is known to give it.
    ///
    /// # Errors
    /// `BadChange` names the nearest code that is known; `Store`.
    pub(super) async fn check_code(
        &self,
        actor: &Actor,
        pattern: &Pattern,
        wanted: &ExemptionWanted,
    ) -> Result<Option<String>, RegistryError> {
        let code = &wanted.code;
        match known(code, &self.judges_of(actor, pattern, wanted.binding.as_deref()).await?) {
            Known::Given => Ok(None),
            Known::Unnamed { binding, name, near } => {
                let hint = near.map_or_else(String::new, |near| format!("; did you mean '{near}'?"));
                let note = format!(
                    "it may let nothing pass: the settings of '{binding}', which could give '{code}', name no '{name}'{hint}"
                );
                Ok(Some(note))
            }
            Known::Undocumented { .. } if wanted.undocumented => Ok(None),
            Known::Undocumented { near, codes } => {
                let nobody = match &wanted.binding {
                    Some(binding) => format!("the binding '{binding}' does not document the code '{code}'"),
                    None => format!("no validator or policy in force for '{pattern}' documents the code '{code}'"),
                };
                // It may be exempted ahead of the release that brings it.
                if let Some(plugin) = self.documented_by(actor, code).await? {
                    let note = format!(
                        "it lets nothing pass for now: {nobody}; the plugin {plugin} does, where a release puts it to work"
                    );
                    return Ok(Some(note));
                }
                Err(RegistryError::BadChange(format!("{nobody}, and no other plugin does{}", instead(near, codes))))
            }
        }
    }

    /// The validators and policies in force for entries that the pattern means, or the one of this name.
    async fn judges_of(
        &self,
        actor: &Actor,
        pattern: &Pattern,
        binding: Option<&str>,
    ) -> Result<Vec<Judge>, RegistryError> {
        let mut judges = Vec::new();
        let mut documented: HashMap<_, Vec<String>> = HashMap::new();
        for row in self.store.active_releases(&actor.tenant).await? {
            let rules = parse_rules(&row)?;
            for judge in rules.bindings.iter().filter(|judge| may_object(judge, &rules, pattern)) {
                if binding.is_some_and(|binding| binding != judge.name) {
                    continue;
                }
                if !documented.contains_key(&judge.plugin) {
                    let inspection = self.inspection(actor, &judge.plugin).await?;
                    let codes = inspection.map(|inspection| inspection.description.finding_codes).unwrap_or_default();
                    documented.insert(judge.plugin.clone(), codes.into_iter().map(|code| code.code).collect());
                }
                let codes = documented.get(&judge.plugin).cloned().unwrap_or_default();
                let mut named = BTreeSet::new();
                names(&judge.settings, &mut named);
                judges.push(Judge { name: judge.name.clone(), codes, named });
            }
        }
        Ok(judges)
    }

    /// A plugin that was pushed and documents the code, the newest of its name, with its version.
    async fn documented_by(&self, actor: &Actor, code: &str) -> Result<Option<String>, RegistryError> {
        let (mut after, mut found) = (None, None);
        loop {
            let page = self.store.plugins(&actor.tenant, after.as_ref(), PLUGINS_AT_ONCE).await?;
            for row in &page.items {
                let inspection = self.inspection(actor, &row.digest).await?;
                let documents =
                    |codes: &[FindingCode]| codes.iter().any(|known| stands_for(&known.code, code).is_some());
                if inspection.is_some_and(|inspection| documents(&inspection.description.finding_codes)) {
                    found = Some(format!("{} {}", row.name, row.version));
                }
            }
            after = page.items.last().map(|row| row.place());
            if !page.more || after.is_none() {
                return Ok(found);
            }
        }
    }
}

/// What a refusal says to do.
fn instead(near: Option<String>, codes: Vec<String>) -> String {
    let insist = "`undocumented` (--undocumented) exempts one that a plugin gives without saying so";
    match near {
        Some(near) => format!(": did you mean '{near}'? ({insist})"),
        None if codes.is_empty() => format!(" ({insist})"),
        None => {
            let more = codes.len().saturating_sub(CODES_NAMED);
            let and_more = if more == 0 { String::new() } else { format!(" and {more} more") };
            let named: Vec<String> = codes.into_iter().take(CODES_NAMED).collect();
            format!("; known are {}{and_more} ({insist})", named.join(", "))
        }
    }
}

/// True where an exemption for the pattern's entries could let a finding of the binding pass.
fn may_object(binding: &Binding, rules: &Rules, pattern: &Pattern) -> bool {
    let is_judge = matches!(binding.stage, Stage::Validate | Stage::Policy);
    let means = |kind: &str| is_like(&pattern.kind, kind);
    is_judge
        && match (&rules.scope, binding.kinds.is_empty()) {
            (_, false) => binding.kinds.iter().any(|kind| means(kind.as_str())),
            (Scope::Module(_), true) => rules.kinds.iter().any(|kind| means(kind.name.as_str())),
            (Scope::Policies, true) => true,
        }
}

/// What the settings name, however deep: the `id`s of rules, say.
fn names(settings: &Value, named: &mut BTreeSet<String>) {
    match settings {
        Value::Array(elements) => elements.iter().for_each(|element| names(element, named)),
        Value::Object(members) => {
            for (member, value) in members {
                match value {
                    Value::String(name) if NAMES.contains(&member.as_str()) => drop(named.insert(name.clone())),
                    value => names(value, named),
                }
            }
        }
        _ => {}
    }
}

/// What of a code follows a documented one that stands for it: nothing where it is that one.
fn stands_for<'a>(documented: &str, code: &'a str) -> Option<&'a str> {
    match code.strip_prefix(documented)? {
        "" => Some(""),
        rest => rest.strip_prefix('.'),
    }
}

fn known(code: &str, judges: &[Judge]) -> Known {
    let mut unnamed = None;
    for judge in judges {
        for rest in judge.codes.iter().filter_map(|documented| stands_for(documented, code)) {
            // What names nothing in its settings gives such codes by itself.
            if rest.is_empty() || judge.named.is_empty() || judge.named.contains(rest) {
                return Known::Given;
            }
            unnamed.get_or_insert((judge, rest));
        }
    }
    if let Some((judge, rest)) = unnamed {
        let all: Vec<&str> = judge.named.iter().map(String::as_str).collect();
        let family = code.strip_suffix(rest).unwrap_or_default();
        let near = nearest(rest, &all).map(|near| format!("{family}{near}"));
        return Known::Unnamed { binding: judge.name.clone(), name: rest.to_owned(), near };
    }
    let codes: BTreeSet<String> = judges.iter().flat_map(|judge| judge.codes.iter().cloned()).collect();
    let in_full = judges.iter().flat_map(|judge| {
        let below = |code| judge.named.iter().map(move |name| format!("{code}.{name}"));
        judge.codes.iter().flat_map(below)
    });
    let all: BTreeSet<String> = codes.iter().cloned().chain(in_full.take(COMPARED_MAX)).collect();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    Known::Undocumented { near: nearest(code, &all).map(str::to_owned), codes: codes.into_iter().collect() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn judge(name: &str, codes: &[&str], settings: &Value) -> Judge {
        let mut named = BTreeSet::new();
        names(settings, &mut named);
        Judge { name: name.to_owned(), codes: codes.iter().map(|code| (*code).to_owned()).collect(), named }
    }

    #[test]
    fn a_code_is_known_where_a_plugin_documents_it_or_settings_name_it() {
        let rules = json!({"rules": [{"id": "agent.tags", "title": "Tags", "severity": "error"}, {"id": "owner"}]});
        let judges = [
            judge("house", &["rule", "policy.more"], &rules),
            judge("agent-rules", &["permissions.wildcard", "tags"], &json!({"list": ["a"]})),
        ];
        for given in ["policy.more", "rule", "rule.agent.tags", "rule.owner", "permissions.wildcard", "tags.any"] {
            assert_eq!(known(given, &judges), Known::Given, "{given}");
        }
        let unnamed = |name: &str, near: Option<&str>| Known::Unnamed {
            binding: "house".to_owned(),
            name: name.to_owned(),
            near: near.map(str::to_owned),
        };
        assert_eq!(known("rule.agent.tgs", &judges), unnamed("agent.tgs", Some("rule.agent.tags")));
        assert_eq!(known("rule.owners", &judges), unnamed("owners", Some("rule.owner")));
        assert_eq!(known("rule.something-else", &judges), unnamed("something-else", None));
        let undocumented = |code: &str| match known(code, &judges) {
            Known::Undocumented { near, codes } => (near, codes.len()),
            other => panic!("{code}: {other:?}"),
        };
        assert_eq!(undocumented("permissions.wildcrad"), (Some("permissions.wildcard".to_owned()), 4));
        assert_eq!(undocumented("rul.agent.tags"), (Some("rule.agent.tags".to_owned()), 4));
        assert_eq!(undocumented("quite.another-thing"), (None, 4));
    }

    #[test]
    fn a_refusal_names_what_was_meant_or_what_there_is() {
        let insist = "(`undocumented` (--undocumented) exempts one that a plugin gives without saying so)";
        assert_eq!(instead(Some("a.b".to_owned()), Vec::new()), format!(": did you mean 'a.b'? {insist}"));
        assert_eq!(instead(None, Vec::new()), format!(" {insist}"));
        let codes = |count: usize| (0..count).map(|number| format!("c{number}")).collect::<Vec<_>>();
        assert_eq!(instead(None, codes(2)), format!("; known are c0, c1 {insist}"));
        assert!(instead(None, codes(15)).contains("c11 and 3 more ("));
    }
}
