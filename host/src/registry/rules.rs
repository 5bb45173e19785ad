//! The rules in force on this host: every active release of the tenant with its schemas compiled and its plugins
//! configured, ready to judge. Loaded as a whole, off the request path, and swapped as a whole.

mod checks;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use super::RegistryError;
use super::exemptions::Exemptions;
use super::release::{Binding, Declaration, Kind, ReleaseRef, Rules};
use super::sample;
use super::schema::{self, Schema};
use crate::names::{Digest, EntryId, KindName, ModuleName, Scope, pointer};
use crate::plugin::{Haste, Plugin, Sandbox};
use crate::report::{Mode, Remark, Stage};

pub use checks::{ANSWER_WORDS, check, is_variable, unknown_kinds};

/// Gives a component's bytes by digest; the error says why not.
pub type LoadComponent<'a> = dyn Fn(&Digest) -> Result<Vec<u8>, String> + 'a;

/// What tells one configured plugin from another: component, stage, digest of the settings.
type PluginKey = (Digest, Stage, Digest);

/// A plugin at work in a binding.
pub struct LoadedBinding {
    /// The binding's name.
    pub name: String,
    /// Whether its findings decide.
    pub mode: Mode,
    /// The share of entries that it sees.
    pub percent: u8,
    /// The configured plugin.
    pub plugin: Arc<Plugin>,
}

impl LoadedBinding {
    /// True where it sees this entry.
    pub fn sees(&self, kind: &KindName, id: &EntryId) -> bool {
        sample::is_within(self.percent, kind, id)
    }
}

/// A kind with everything that judges it. What is large in it is shared by its copies.
#[derive(Clone)]
pub struct LoadedKind {
    /// The kind.
    pub kind: Arc<Kind>,
    /// The module that declares it.
    pub module: ModuleName,
    /// Pointer of the document field.
    pub document: String,
    /// The releases that judge it: its module's and, where there is one, the policies'.
    pub releases: Vec<ReleaseRef>,
    /// What lets findings pass.
    pub exemptions: Arc<Exemptions>,
    pub(super) envelope: Arc<Schema>,
    pub(super) schema: Arc<Schema>,
    pub(super) declarations: Arc<[Declaration]>,
    pub(super) resolvers: Vec<Arc<LoadedBinding>>,
    pub(super) validators: Vec<Arc<LoadedBinding>>,
    pub(super) policies: Vec<Arc<LoadedBinding>>,
}

impl LoadedKind {
    /// True where the placeholders of a submission are resolved alike: nothing but the resolvers' names may differ.
    pub(super) fn resolves_like(&self, other: &Self) -> bool {
        let same = |(one, other): (&Arc<LoadedBinding>, &Arc<LoadedBinding>)| {
            Arc::ptr_eq(&one.plugin, &other.plugin) && (one.mode, one.percent) == (other.mode, other.percent)
        };
        self.declarations == other.declarations
            && self.resolvers.len() == other.resolvers.len()
            && self.resolvers.iter().zip(&other.resolvers).all(same)
    }
}

/// Every active release of a tenant, loaded.
#[derive(Default)]
pub struct RulesInForce {
    releases: Vec<ReleaseRef>,
    exemptions: Arc<Exemptions>,
    kinds: BTreeMap<KindName, Arc<LoadedKind>>,
    plugins: HashMap<PluginKey, Arc<Plugin>>,
}

impl fmt::Debug for RulesInForce {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("RulesInForce").field("releases", &self.releases).finish_non_exhaustive()
    }
}

impl RulesInForce {
    /// Loads releases, taking from `previous` every plugin that it has configured alike.
    ///
    /// # Errors
    /// `BadRules` or `Unfit` name the first scope or binding that cannot be loaded, a kind that two modules declare among them.
    pub fn load(
        sandbox: &Sandbox,
        releases: Vec<(ReleaseRef, Rules)>,
        component: &LoadComponent<'_>,
        previous: Option<&Self>,
    ) -> Result<Arc<Self>, RegistryError> {
        let loading = Loading { sandbox, component, previous, turns: Turns::Shared(Haste::Ahead) };
        Self::load_or_name(loading, releases, Arc::default()).map_err(|not| not.error)
    }

    /// Loads releases to judge by beside what is in force: their plugins share nothing with those that judge publishes.
    ///
    /// # Errors
    /// As `load`.
    pub fn load_aside(
        sandbox: &Sandbox,
        releases: Vec<(ReleaseRef, Rules)>,
        component: &LoadComponent<'_>,
        exemptions: Arc<Exemptions>,
    ) -> Result<Arc<Self>, RegistryError> {
        let loading = Loading { sandbox, component, previous: None, turns: Turns::Own };
        Self::load_or_name(loading, releases, exemptions).map_err(|not| not.error)
    }

    /// Loads releases, with what lets findings pass; the error names the release that cannot be loaded.
    pub(super) fn load_or_name(
        loading: Loading<'_>,
        releases: Vec<(ReleaseRef, Rules)>,
        exemptions: Arc<Exemptions>,
    ) -> Result<Arc<Self>, Box<NotLoaded>> {
        let mut loader = Loader { loading, plugins: HashMap::new() };
        let policy_release = releases.iter().find(|(release, _)| release.scope == Scope::Policies);
        let policies = match policy_release {
            Some((release, rules)) => loader.bindings(rules).map_err(|error| NotLoaded::of(release, rules, error))?,
            None => Vec::new(),
        };
        let policy_ref = policy_release.map(|(release, _)| release.clone());
        let mut kinds = BTreeMap::new();
        for (release, rules) in &releases {
            let Scope::Module(module) = &release.scope else { continue };
            let judged_by: Vec<ReleaseRef> = std::iter::once(release.clone()).chain(policy_ref.clone()).collect();
            loader
                .bindings(rules)
                .and_then(|bindings| load_kinds(module, rules, &judged_by, &bindings, &policies, &mut kinds))
                .map_err(|error| NotLoaded::of(release, rules, error))?;
        }
        let mut releases: Vec<ReleaseRef> = releases.into_iter().map(|(release, _)| release).collect();
        releases.sort();
        Ok(Arc::new(Self { releases, kinds, plugins: loader.plugins, ..Self::default() }).with_exemptions(exemptions))
    }

    /// The same rules, with what lets findings pass now.
    #[must_use]
    pub(super) fn with_exemptions(self: Arc<Self>, exemptions: Arc<Exemptions>) -> Arc<Self> {
        if self.exemptions.number == exemptions.number {
            return self;
        }
        let kinds = self.kinds.iter().map(|(name, kind)| {
            let kind = LoadedKind { exemptions: Arc::clone(&exemptions), ..(**kind).clone() };
            (name.clone(), Arc::new(kind))
        });
        let (releases, plugins) = (self.releases.clone(), self.plugins.clone());
        Arc::new(Self { releases, kinds: kinds.collect(), plugins, exemptions })
    }

    /// No rules, with every plugin that any of these has.
    pub(super) fn at_hand<'a>(rules: impl Iterator<Item = &'a Self>) -> Self {
        let plugins = rules.flat_map(|rules| &rules.plugins).map(|(key, plugin)| (key.clone(), Arc::clone(plugin)));
        Self { plugins: plugins.collect(), ..Self::default() }
    }

    /// The releases that are loaded, by scope.
    pub fn releases(&self) -> &[ReleaseRef] {
        &self.releases
    }

    /// What lets findings pass.
    pub fn exemptions(&self) -> &Arc<Exemptions> {
        &self.exemptions
    }

    /// A kind that an active module declares.
    ///
    /// # Errors
    /// `NoKind`, naming those there are.
    pub fn kind(&self, name: &str) -> Result<&Arc<LoadedKind>, RegistryError> {
        self.kinds.get(name).ok_or_else(|| {
            let known: Vec<&str> = self.kinds.keys().map(KindName::as_str).collect();
            RegistryError::NoKind {
                kind: name.chars().take(80).collect(),
                known: if known.is_empty() { "none".to_owned() } else { known.join(", ") },
            }
        })
    }

    /// The names of the validators and policies at work, sorted.
    pub fn judges(&self) -> Vec<String> {
        let judges = |kind: &LoadedKind| {
            let bindings = kind.validators.iter().chain(&kind.policies);
            bindings.map(|binding| binding.name.clone()).collect::<Vec<_>>()
        };
        let names: std::collections::BTreeSet<String> = self.kinds.values().flat_map(|kind| judges(kind)).collect();
        names.into_iter().collect()
    }

    /// Every kind, by name.
    pub fn kinds(&self) -> impl Iterator<Item = &Arc<LoadedKind>> {
        self.kinds.values()
    }
}

/// A release that cannot be loaded.
#[derive(Debug)]
pub(super) struct NotLoaded {
    /// Which.
    pub(super) release: ReleaseRef,
    /// The component of the binding that keeps it, where one does.
    pub(super) plugin: Option<Digest>,
    /// Why.
    pub(super) error: RegistryError,
}

impl NotLoaded {
    fn of(release: &ReleaseRef, rules: &Rules, error: RegistryError) -> Box<Self> {
        let at_fault = match &error {
            RegistryError::Unfit { binding: Some(name), .. } => rules.bindings.iter().find(|it| it.name == *name),
            _ => None,
        };
        let plugin = at_fault.map(|binding| binding.plugin.clone());
        Box::new(Self { release: release.clone(), plugin, error })
    }
}

fn load_kinds(
    module: &ModuleName,
    rules: &Rules,
    judged_by: &[ReleaseRef],
    bindings: &[Bound],
    policies: &[Bound],
    kinds: &mut BTreeMap<KindName, Arc<LoadedKind>>,
) -> Result<(), RegistryError> {
    for kind in &rules.kinds {
        let loaded = load_kind(kind, module, rules, judged_by.to_vec(), bindings, policies)?;
        if let Some(taken) =
            kinds.values().find(|other| other.kind.name != kind.name && other.kind.singular == kind.singular)
        {
            return Err(singular_taken(kind, module, taken));
        }
        if let Some(taken) = kinds.insert(kind.name.clone(), Arc::new(loaded)) {
            return Err(kind_taken(&kind.name, module, &taken.module));
        }
    }
    Ok(())
}

fn kind_taken(kind: &KindName, by: &ModuleName, from: &ModuleName) -> RegistryError {
    RegistryError::BadRules(vec![Remark::error(
        "rules.kind-taken",
        "/kinds",
        format!("module '{by}' declares the kind '{kind}', which module '{from}' declares already"),
    )])
}

/// Versions are known by their kind's singular, in the keys of the inbox.
fn singular_taken(kind: &Kind, by: &ModuleName, taken: &LoadedKind) -> RegistryError {
    let message = format!(
        "module '{by}' declares the kind '{}' with the singular '{}', which the kind '{}' of module '{}' has already",
        kind.name, kind.singular, taken.kind.name, taken.module
    );
    RegistryError::BadRules(vec![Remark::error("rules.kind-taken", "/kinds", message)])
}

fn load_kind(
    kind: &Kind,
    module: &ModuleName,
    rules: &Rules,
    releases: Vec<ReleaseRef>,
    bindings: &[Bound],
    policies: &[Bound],
) -> Result<LoadedKind, RegistryError> {
    let at = |all: &[Bound], wanted: Stage| -> Vec<Arc<LoadedBinding>> {
        all.iter()
            .filter(|bound| bound.stage == wanted && (bound.kinds.is_empty() || bound.kinds.contains(&kind.name)))
            .map(|bound| Arc::clone(&bound.binding))
            .collect()
    };
    let refused = |remark: Remark| RegistryError::BadRules(vec![remark]);
    Ok(LoadedKind {
        module: module.clone(),
        document: pointer::child("", &kind.document_field),
        releases,
        exemptions: Arc::default(),
        envelope: Schema::compile(schema::envelope(kind)).map(Arc::new).map_err(refused)?,
        schema: Schema::compile(kind.schema.clone()).map(Arc::new).map_err(refused)?,
        declarations: rules.placeholders.clone().into(),
        resolvers: at(bindings, Stage::Resolve),
        validators: at(bindings, Stage::Validate),
        policies: at(policies, Stage::Policy),
        kind: Arc::new(kind.clone()),
    })
}

/// A binding with where it stands.
struct Bound {
    stage: Stage,
    kinds: Vec<KindName>,
    binding: Arc<LoadedBinding>,
}

/// With whom plugins take turns, and share a quarantine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turns {
    /// With every binding of the same component.
    Shared(Haste),
    /// With nobody, but for those that are taken from rules that were loaded before.
    Own,
}

/// What rules are loaded with.
#[derive(Clone, Copy)]
pub struct Loading<'a> {
    /// What runs the plugins.
    pub sandbox: &'a Sandbox,
    /// What gives their bytes.
    pub component: &'a LoadComponent<'a>,
    /// What gives the plugins that are configured alike.
    pub previous: Option<&'a RulesInForce>,
    /// With whom the others take turns.
    pub turns: Turns,
}

struct Loader<'a> {
    loading: Loading<'a>,
    plugins: HashMap<PluginKey, Arc<Plugin>>,
}

impl Loader<'_> {
    fn bindings(&mut self, rules: &Rules) -> Result<Vec<Bound>, RegistryError> {
        let remarks = check(rules);
        if !remarks.is_empty() {
            return Err(RegistryError::BadRules(remarks));
        }
        rules
            .bindings
            .iter()
            .map(|binding| {
                let plugin = self.plugin(binding)?;
                let percent = binding.percent.unwrap_or(100);
                let loaded = LoadedBinding { name: binding.name.clone(), mode: binding.mode, percent, plugin };
                Ok(Bound { stage: binding.stage, kinds: binding.kinds.clone(), binding: Arc::new(loaded) })
            })
            .collect()
    }

    fn plugin(&mut self, binding: &Binding) -> Result<Arc<Plugin>, RegistryError> {
        let settings = serde_json_canonicalizer::to_vec(&binding.settings)
            .map_err(|error| RegistryError::Internal(format!("settings without canonical form: {error}")))?;
        let key = (binding.plugin.clone(), binding.stage, Digest::of(&settings));
        let Loading { sandbox, component, previous, turns } = self.loading;
        let known = self.plugins.get(&key).or_else(|| previous.and_then(|previous| previous.plugins.get(&key)));
        let plugin = match known {
            Some(plugin) => Arc::clone(plugin),
            None => {
                let (digest, load) = (&binding.plugin, || component(&binding.plugin));
                let (stage, settings) = (binding.stage, &binding.settings);
                let prepared = match turns {
                    Turns::Shared(haste) => sandbox.prepare_with(haste, digest, &load, stage, settings),
                    Turns::Own => sandbox.prepare_aside(digest, &load, stage, settings),
                };
                prepared.map_err(|unfit| RegistryError::Unfit { binding: Some(binding.name.clone()), unfit })?
            }
        };
        self.plugins.insert(key, Arc::clone(&plugin));
        Ok(plugin)
    }
}
