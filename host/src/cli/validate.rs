//! `hallmark validate`: judges manifests on this machine, with no server, through the code that the server runs.

mod watch;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, anyhow};

use super::configuration::Configuration;
use super::fix::{self, Mended};
use super::folder::{self, Folder};
use super::report::{self, Verdict};
use super::source::Candidate;
use super::{Outcome, Trouble, facts, input, show};
use crate::clock::Millis;
use crate::config::Limits;
use crate::names::{Digest, KindName, Tenant};
use crate::plugin::{Sandbox, Unfit};
use crate::registry::decode::Format;
use crate::registry::gate::Bench;
use crate::registry::publish::report_on;
use crate::registry::release::{Kind, ReleaseRef, Rules};
use crate::registry::rules::{RulesInForce, unknown_kinds};
use crate::registry::{RegistryError, Report};
use crate::report::Remark;

/// What `validate` takes.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    input: input::Arguments,
    /// The folder of a module, or of several modules' folders.
    #[arg(long, value_name = "DIR")]
    modules: PathBuf,
    /// The folder of the policies.
    #[arg(long, value_name = "DIR")]
    policies: Option<PathBuf>,
    /// A folder of manifests that are taken as published.
    #[arg(long, value_name = "DIR")]
    registry: Option<PathBuf>,
    /// The folder of compiled plugins [default: hallmark in the user's cache folder].
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
    /// Set a limit; may be given more than once.
    #[arg(long = "limit", value_name = "NAME=VALUE")]
    limits: Vec<String>,
    /// Change the files as the findings' fixes say, show what was changed, and judge again.
    #[arg(long)]
    fix: bool,
    /// Judge again whenever a manifest, a module or a policy changes.
    #[arg(long)]
    watch: bool,
    #[command(flatten)]
    report: report::Options,
}

/// Judges, writes, and gives the exit code.
pub fn run(arguments: &Arguments, configuration: &Configuration) -> Outcome {
    let limits = Arc::new(configuration.limits(&arguments.limits)?);
    if !arguments.watch {
        return judge_all(arguments, &limits);
    }
    let folders = [Some(&arguments.modules), arguments.policies.as_ref(), arguments.registry.as_ref()];
    let paths: Vec<PathBuf> = arguments.input.paths.iter().chain(folders.into_iter().flatten()).cloned().collect();
    watch::run(&paths, || judge_all(arguments, &limits))
}

fn judge_all(arguments: &Arguments, limits: &Arc<Limits>) -> Outcome {
    let folders = folder::read_all(Some(&arguments.modules), arguments.policies.as_deref(), limits)?;
    let kinds: Vec<Arc<Kind>> =
        folders.iter().flat_map(|folder| &folder.rules.kinds).map(|kind| Arc::new(kind.clone())).collect();
    let published = match &arguments.registry {
        Some(registry) => read_registry(registry, &kinds, limits)?,
        None => Vec::new(),
    };
    let mut read = input::read(&arguments.input, &kinds, limits)?;
    let rules = load(folders, arguments.cache.clone(), limits)?;
    let mut mended = Mended::default();
    let mut judged = judge_each(&rules, &published, std::mem::take(&mut read.candidates), limits);
    if arguments.fix {
        for _ in 0..fix::PASSES_MAX {
            if !mended.pass(&judged, limits)? {
                break;
            }
            read = input::read(&arguments.input, &kinds, limits)?;
            judged = judge_each(&rules, &published, std::mem::take(&mut read.candidates), limits);
        }
        // Programs get one document on the standard output.
        mended.tell(if arguments.report.output == report::Format::Text { show::out } else { show::err });
    }
    Ok(report::write(arguments.report, &read.unreadable, &judged))
}

fn judge_each(
    rules: &RulesInForce,
    published: &[Candidate],
    candidates: Vec<Candidate>,
    limits: &Arc<Limits>,
) -> Vec<(Candidate, Verdict)> {
    let known = facts::Known::new(published, &candidates);
    let at = Millis::now();
    let judged = candidates.into_iter().map(|candidate| {
        let bench = Bench {
            tenant: Tenant::default_tenant().to_string(),
            publisher: "local".to_owned(),
            at,
            facts: known.facts_for(&candidate),
            limits: Arc::clone(limits),
        };
        let verdict = judge(rules, &bench, &candidate);
        (candidate, verdict)
    });
    judged.collect()
}

fn read_registry(folder: &Path, kinds: &[Arc<Kind>], limits: &Limits) -> Result<Vec<Candidate>, Trouble> {
    let arguments = input::Arguments { paths: vec![folder.to_owned()], ..input::Arguments::default() };
    let read = input::read_paths(&arguments, kinds, limits)?;
    match read.unreadable.first() {
        Some(unreadable) => Err(Trouble::Usage(format!("{}: {}", unreadable.source.name, unreadable.error))),
        None => Ok(read.candidates),
    }
}

fn load(folders: Vec<Folder>, cache: Option<PathBuf>, limits: &Arc<Limits>) -> Result<Arc<RulesInForce>, Trouble> {
    let cache = match cache {
        Some(cache) => cache,
        None => user_cache().context("no folder for compiled plugins is known: give --cache DIR")?,
    };
    std::fs::create_dir_all(&cache).with_context(|| format!("{} cannot be made", cache.display()))?;
    let sandbox = Sandbox::start(Arc::clone(limits), Some(&cache)).map_err(|why| anyhow!(why))?;
    let mut components: BTreeMap<Digest, Vec<u8>> = BTreeMap::new();
    let mut releases: Vec<(ReleaseRef, Rules)> = Vec::new();
    for Folder { rules, components: more, .. } in folders {
        components.extend(more);
        let (_, digest) = rules.canonical();
        releases.push((ReleaseRef { scope: rules.scope.clone(), number: 1, digest }, rules));
    }
    let known: Vec<KindName> =
        releases.iter().flat_map(|(_, rules)| &rules.kinds).map(|kind| kind.name.clone()).collect();
    let unknown: Vec<Remark> = releases.iter().flat_map(|(_, rules)| unknown_kinds(rules, &known)).collect();
    if !unknown.is_empty() {
        return Err(unloadable(&RegistryError::BadRules(unknown)));
    }
    let component = |digest: &Digest| {
        let bytes = components.get(digest).cloned();
        bytes.ok_or_else(|| format!("the folders do not have the component {digest}: name it by 'component'"))
    };
    RulesInForce::load(&sandbox, releases, &component, None).map_err(|error| unloadable(&error))
}

/// Why rules cannot be loaded, with every remark.
pub fn unloadable(error: &RegistryError) -> Trouble {
    let line = |remark: &Remark| {
        let place = if remark.path.is_empty() { String::new() } else { format!("{}: ", remark.path) };
        let help = remark.help.as_ref().map(|help| format!("\n    help: {help}")).unwrap_or_default();
        format!("\n  {place}{}{help}", remark.message)
    };
    let list = |remarks: &[Remark]| remarks.iter().map(line).collect::<String>();
    Trouble::Wrong(match error {
        RegistryError::BadRules(remarks) => format!("error: the rules are refused:{}", list(remarks)),
        RegistryError::Unfit { binding, unfit: Unfit::Settings(remarks) } => {
            let binding = binding.as_deref().unwrap_or("plugin");
            format!("error: the settings of the binding '{binding}' are refused:{}", list(remarks))
        }
        error => format!("error: {:#}", anyhow!("{error}")),
    })
}

fn user_cache() -> Option<PathBuf> {
    let folder = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = folder("XDG_CACHE_HOME").or_else(|| folder("HOME").map(|home| home.join(".cache")))?;
    Some(cache.join("hallmark"))
}

fn judge(rules: &RulesInForce, bench: &Bench, candidate: &Candidate) -> Verdict {
    let kind = match rules.kind(candidate.kind.name.as_str()) {
        Ok(kind) => kind,
        Err(error) => return Verdict::Failed(error.to_string()),
    };
    let body = serde_json::to_vec(&candidate.body).expect("a JSON value can be written");
    match report_on(kind, bench, &body, Format::Json) {
        Ok(report) => Verdict::Judged(report),
        // As the server's dry run answers: what is wrong is told, whatever it is.
        Err(RegistryError::Unidentified { findings }) => Verdict::Judged(Report::unidentified(findings)),
        Err(error @ (RegistryError::Malformed(_) | RegistryError::TooLarge { .. })) => {
            Verdict::Refused { why: error.to_string(), findings: Vec::new() }
        }
        Err(error) => Verdict::Failed(error.to_string()),
    }
}
