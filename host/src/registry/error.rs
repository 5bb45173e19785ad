//! Why the registry did not do what was asked: one variant for each who-must-act.

use super::fleet::Behind;
use super::gate::BrokenBinding;
use super::store::{StoreError, Withdrawal};
use super::{Decision, activation, decode, keys, signing};
use crate::clock::{Instant, Millis};
use crate::identity::Unreachable;
use crate::names::{Digest, EntryId, KindName, NameError, Scope, VersionName};
use crate::plugin::{Cause, Failure, Unfit};
use crate::report::{Finding, Remark};

/// Why the registry did not do what was asked. Each variant is one who-must-act; `http/error.rs` gives it a status.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The document cannot be read.
    #[error(transparent)]
    Malformed(#[from] decode::Malformed),
    /// The document is too large.
    #[error("the document has more than document_size_max_bytes = {limit_bytes}")]
    TooLarge {
        /// The limit in force.
        limit_bytes: usize,
    },
    /// A name in the path or the body does not have its form.
    #[error(transparent)]
    Name(#[from] NameError),
    /// No active module declares the kind.
    #[error("no module declares the kind '{kind}'; known kinds are: {known}")]
    NoKind {
        /// What was asked for.
        kind: String,
        /// The kinds there are, with commas, or `none`.
        known: String,
    },
    /// Who rates says that somebody else does.
    #[error(
        "the token '{token}' rates in its own name: leave submittedBy out, or ask an admin for one that may speak for others"
    )]
    OtherName {
        /// The token's name.
        token: String,
    },
    /// The caller's token is not for this entry.
    #[error("the token '{token}' may change {reach}, not {kind}/{id}: ask an admin for one that may")]
    OutOfReach {
        /// What the token is called.
        token: String,
        /// What it may change.
        reach: String,
        /// The kind.
        kind: KindName,
        /// The entry.
        id: EntryId,
    },
    /// No such entry, version, decision, plugin or module.
    #[error("no {what} '{name}'")]
    NotFound {
        /// Which thing.
        what: &'static str,
        /// What it was called.
        name: String,
    },
    /// The scope has no such release.
    #[error(
        "no release {number} of {scope}: `hallmark {}` lists those there are",
        activation::command(scope, "releases")
    )]
    NoRelease {
        /// The scope.
        scope: Scope,
        /// The number.
        number: i64,
    },
    /// The gate's findings reject the submission.
    #[error("the gate rejects it: {} of {} findings are errors", decision.findings.iter().filter(|finding| finding.rejects()).count(), decision.findings.len())]
    Rejected {
        /// The record of the run.
        decision: Box<Decision>,
    },
    /// The submission does not get as far as the gate: its id or version cannot be told.
    #[error("the submission does not say what it is")]
    Unidentified {
        /// What is missing or wrong.
        findings: Vec<Finding>,
    },
    /// The version is there with other content.
    #[error("version {version} of {kind} '{id}' is published with other content: publish a new version")]
    VersionExists {
        /// The kind's singular.
        kind: String,
        /// The entry.
        id: EntryId,
        /// The version.
        version: VersionName,
    },
    /// The entry is out of service.
    #[error("{kind}/{id} is disabled: activate it first (POST /api/{kind}/{id}/activate)")]
    EntryDisabled {
        /// The kind.
        kind: KindName,
        /// The entry.
        id: EntryId,
    },
    /// The entry is not as the caller believed.
    #[error("{kind}/{id} changed at {}: look at it again, and send the ETag that it has now", Instant(*at))]
    EntryChanged {
        /// The kind.
        kind: KindName,
        /// The entry.
        id: EntryId,
        /// When it last changed.
        at: Millis,
    },
    /// There is an entry where none was expected, or none where one was.
    #[error("{}", presence(kind, id, *since))]
    EntryPresence {
        /// The kind.
        kind: KindName,
        /// The entry.
        id: EntryId,
        /// Since when it is there.
        since: Option<Millis>,
    },
    /// The version that is to become active was taken back.
    #[error("version {version} of {kind}/{id} was withdrawn by {} at {}: {}", withdrawal.by, Instant(withdrawal.at), withdrawal.reason)]
    VersionWithdrawn {
        /// The kind.
        kind: KindName,
        /// The entry.
        id: EntryId,
        /// The version.
        version: VersionName,
        /// Why.
        withdrawal: Box<Withdrawal>,
    },
    /// An enforcing plugin broke.
    #[error("{}", told(broken, decision.as_deref()))]
    PluginFailed {
        /// Which binding, and how.
        broken: Box<BrokenBinding>,
        /// The record of the run; none where nothing was decided.
        decision: Option<Box<Decision>>,
    },
    /// The host has as much to do as it can hold.
    #[error("the host is busy: {what}")]
    Busy {
        /// What is full, by the name of the limit.
        what: String,
    },
    /// The host has not loaded the rules in force.
    #[error("the host has not loaded the rules in force: {behind}")]
    NotReady {
        /// What keeps it.
        behind: Box<Behind>,
    },
    /// A component cannot be put to work.
    #[error("{binding}: {unfit}", binding = binding.as_deref().unwrap_or("plugin"))]
    Unfit {
        /// The binding, where it is bound.
        binding: Option<String>,
        /// Why.
        #[source]
        unfit: Unfit,
    },
    /// A plugin that must be signed is not, or its signature does not fit.
    #[error("{}plugin {plugin}: {why}", binding.as_ref().map_or_else(String::new, |name| format!("binding '{name}': ")))]
    Unsigned {
        /// The plugin.
        plugin: Digest,
        /// The binding, where it is bound.
        binding: Option<String>,
        /// Why.
        why: keys::Unsigned,
    },
    /// A public key cannot be trusted.
    #[error(transparent)]
    BadKey(#[from] signing::KeyError),
    /// Rules that cannot be a release; paths point into the rules.
    #[error("the rules are refused")]
    BadRules(Vec<Remark>),
    /// A change that cannot be; the text says what to change.
    #[error("{0}")]
    BadChange(String),
    /// A list that cannot be; the text says what to change.
    #[error("{0}")]
    BadList(String),
    /// A shadow of the scope runs already.
    #[error("a shadow of {scope} runs already, of release {release}, started by {by}: stop it first")]
    ShadowRunning {
        /// The scope.
        scope: Scope,
        /// The release that runs.
        release: i64,
        /// Who started it.
        by: String,
    },
    /// Another release is active than the caller believed.
    #[error("{0}")]
    ReleaseMoved(Box<activation::Overtaken>),
    /// The scope's active release may not be replaced.
    #[error("{0}")]
    ScopeFrozen(Box<activation::Frozen>),
    /// More stored manifests would newly fail than the caller allows.
    #[error("{would_fail} active manifest{} would newly fail{}, more than {at_most}: {}; see `hallmark impact show {impact}`",
        if *would_fail == 1 { "" } else { "s" },
        if *not_judged == 0 { String::new() } else { format!(" and {not_judged} could not be judged") },
        if codes.is_empty() { "no code".to_owned() } else { codes.join(", ") })]
    ImpactTooLarge {
        /// The run that says so.
        impact: String,
        /// How many would newly fail.
        would_fail: u64,
        /// How many could not be judged, which count as well.
        not_judged: u64,
        /// How many may.
        at_most: u64,
        /// The codes that most of them have.
        codes: Vec<String>,
    },
    /// The preview that an activation depends on has not ended.
    #[error(
        "preview {impact} has judged {judged} of {versions} manifests: ask again, it goes on (impact_wait_max_ms); `hallmark impact show {impact} --wait` waits for it"
    )]
    ImpactUnfinished {
        /// The run.
        impact: String,
        /// Manifests that it has judged.
        judged: i64,
        /// Of how many.
        versions: i64,
    },
    /// What is to be previewed cannot be.
    #[error("{0}")]
    BadImpact(String),
    /// The rules moved on each of several tries.
    #[error("the rules changed {tries} times while the submission was judged: try again")]
    RulesKeptMoving {
        /// How often it was judged.
        tries: u32,
    },
    /// An issuer of tokens does not tell its keys.
    #[error(transparent)]
    IssuerUnreachable(#[from] Unreachable),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The object store.
    #[error("the object store cannot be used")]
    Blobs(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A defect of ours.
    #[error("internal: {0}")]
    Internal(String),
}

/// What whoever sent a submission is told of a plugin that broke over it: which, how, whether sending it again helps, and whom
/// to tell.
fn told(broken: &BrokenBinding, decision: Option<&Decision>) -> String {
    let BrokenBinding { name, stage, scope, version, failure: Failure { plugin, cause, .. } } = broken;
    let owner = match scope {
        Scope::Policies => "the policy team".to_owned(),
        Scope::Module(module) => format!("the owner of the module '{module}'"),
    };
    let more = decision.map_or_else(String::new, |it| format!(", with `hallmark decision show {}`", it.id));
    let advice = match cause {
        Cause::Busy { .. } | Cause::Facts | Cause::Start => "send it again".to_owned(),
        Cause::Quarantined { .. } => format!("tell {owner}, and send it again when it is mended or rested"),
        cause if cause.is_passing() => format!("send it again, and where that ends alike tell {owner}{more}"),
        _ => format!("sending it again ends alike until the rules change: tell {owner}{more}"),
    };
    let stage = stage.as_str();
    format!("binding '{name}' of {scope} ({stage}): plugin {plugin} {version} {cause}; nothing is decided: {advice}")
}

fn presence(kind: &KindName, id: &EntryId, since: Option<Millis>) -> String {
    match since {
        Some(since) => format!(
            "{kind}/{id} is published since {}: look at it, and send the ETag that it has in If-Match",
            Instant(since)
        ),
        None => format!("{kind}/{id} is not published: leave If-Match out, or send If-None-Match: *"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Stage;

    #[test]
    fn a_plugin_that_broke_is_told_with_whose_it_is_and_what_to_do() {
        let told = |cause: Cause, scope: Scope, stage: Stage| {
            let failure = Failure { plugin: "cel".to_owned(), digest: Digest::of(b""), cause, lookups: Vec::new() };
            let (name, version) = ("house".to_owned(), "0.3.1".to_owned());
            let broken = Box::new(BrokenBinding { name, stage, scope, version, failure });
            RegistryError::PluginFailed { broken, decision: None }.to_string()
        };
        let agents = || Scope::Module("agents".parse().expect("a name"));
        let panic = Cause::Panic { what: "no owner (lib.rs:7)".to_owned() };
        assert_eq!(
            told(panic, agents(), Stage::Validate),
            "binding 'house' of module:agents (validate): plugin cel 0.3.1 panicked: no owner (lib.rs:7); nothing is decided: \
             sending it again ends alike until the rules change: tell the owner of the module 'agents'"
        );
        assert_eq!(
            told(Cause::Deadline { limit_ms: 250 }, Scope::Policies, Stage::Policy),
            "binding 'house' of policies (policy): plugin cel 0.3.1 overran its deadline (plugin_deadline_ms = 250); nothing \
             is decided: send it again, and where that ends alike tell the policy team"
        );
        assert_eq!(
            told(Cause::Quarantined { failures: 5 }, Scope::Policies, Stage::Policy),
            "binding 'house' of policies (policy): plugin cel 0.3.1 is in quarantine after 5 failures in a row \
             (plugin_failures_max, plugin_quarantine_ms); nothing is decided: tell the policy team, and send it again when it \
             is mended or rested"
        );
        assert_eq!(
            told(Cause::Busy { running: 2, wait_ms: 100 }, agents(), Stage::Resolve),
            "binding 'house' of module:agents (resolve): plugin cel 0.3.1 is busy (plugin_running_max = 2, \
             plugin_turn_wait_max_ms = 100); nothing is decided: send it again"
        );
    }
}
