//! What differs alone. Where two bindings of one component differ in an array of their settings whose elements its
//! schema declares independent, the elements that only one side has say whether anything changes: the same is said of
//! the others. That is the plugin's word, which is put to the proof while the run goes on, and nothing but "unchanged"
//! rests on it (docs/decisions/0021-independent-settings.md).

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use serde_json::{Map, Value};
use tokio::runtime::Handle;

use super::judge::{Bound, KindPlan, Plan, exempt_alike};
use crate::names::{Digest, KindName, Scope};
use crate::plugin::{Case, Configured, Description, Failure, SERIES_MAX, Series, Unconfigured, Unfit};
use crate::registry::canonical::canonical;
use crate::registry::exemptions::Exemptions;
use crate::registry::releasing::{components, off_path, parse_rules};
use crate::registry::store::ReleaseRow;
use crate::registry::{Registry, RegistryError};
use crate::report::{Remark, Stage};

/// What stands in the place of the bindings that only one side has, without the elements that both have.
pub(super) struct Reduced {
    pub(super) active: Vec<Part>,
    pub(super) candidate: Vec<Part>,
    /// The bindings whose word it is.
    pub(super) claimants: Vec<String>,
}

/// A binding, whole or with nothing but what differs.
#[derive(Clone)]
pub(super) struct Part {
    pub(super) bound: Bound,
    pub(super) alone: Option<Alone>,
}

/// What differs of a binding's settings, with the component to judge by it.
pub(super) type Alone = Arc<Configured>;

/// Instances that judge the manifests of a chunk, one after another, by what differs alone. What broke once is not tried
/// again.
#[derive(Default)]
pub(super) struct Instances(Vec<(Alone, Result<Series, Failure>)>);

impl Instances {
    pub(super) fn judge(&mut self, alone: &Alone, case: &Case) -> Result<Vec<Remark>, Failure> {
        let place = self.0.iter().position(|(of, _)| Arc::ptr_eq(of, alone)).unwrap_or_else(|| {
            self.0.push((Arc::clone(alone), alone.series()));
            self.0.len() - 1
        });
        let (_, series) = &mut self.0[place];
        let judging = match series {
            Ok(judging) => judging,
            Err(failure) => return Err(failure.clone()),
        };
        let said = judging.judge(case);
        if let Err(failure) = &said {
            tracing::info!(error = failure as &dyn std::error::Error, "what differs cannot be judged alone");
            *series = Err(failure.clone());
        } else if judging.is_worn() {
            drop(self.0.remove(place));
        }
        said
    }
}

/// The settings of a scope's bindings, by stage and name.
#[derive(Default)]
pub(super) struct Settings(HashMap<(Stage, String), Value>);

impl Settings {
    /// Those of a scope among releases.
    pub(super) fn of(rows: &[ReleaseRow], scope: &Scope) -> Result<Self, RegistryError> {
        let Some(row) = rows.iter().find(|row| row.release.scope == *scope) else { return Ok(Self::default()) };
        let bindings = parse_rules(row)?.bindings.into_iter();
        Ok(Self(bindings.map(|binding| ((binding.stage, binding.name), binding.settings)).collect()))
    }

    fn get(&self, (stage, binding): &Bound) -> Option<&Value> {
        self.0.get(&(*stage, binding.name.clone()))
    }
}

/// Two bindings, by their places among those that only one side has, with settings of what each has alone; none where
/// it has nothing, which says nothing.
#[derive(Debug)]
struct Pair {
    active: usize,
    candidate: usize,
    alone: [Option<Value>; 2],
}

impl Registry {
    /// Adds to a plan what differs alone, where it is less than half, and the component is compiled already or the run's
    /// versions repay that it is.
    pub(super) async fn reduce(
        self: &Arc<Self>,
        mut plan: Plan,
        settings: [Settings; 2],
        versions: i64,
    ) -> Result<Plan, RegistryError> {
        let exemptions = plan.exemptions();
        let pairs = |(name, kind): (&KindName, &KindPlan)| (name.clone(), pairs(kind, &settings, exemptions));
        let mut kinds: Vec<(KindName, Vec<Pair>)> = plan.kinds.iter().map(pairs).collect();
        kinds.retain(|(_, pairs)| !pairs.is_empty());
        if kinds.is_empty() {
            return Ok(plan);
        }
        let repays = versions >= i64::from(self.limits.impact_reduced_versions_min);
        let (registry, runtime) = (Arc::clone(self), Handle::current());
        off_path(move || {
            let bytes = components(&registry, &runtime);
            let mut at_hand: HashMap<Digest, Option<Arc<Unconfigured>>> = HashMap::new();
            let mut component = |digest: &Digest| {
                let found = at_hand.entry(digest.clone()).or_insert_with(|| match repays {
                    true => registry.sandbox.unconfigured(digest, &|| bytes(digest)).inspect_err(tell).ok(),
                    false => registry.sandbox.unconfigured_at_hand(digest),
                });
                found.clone()
            };
            let mut load = |bound: &Bound, settings: &Value| -> Option<Part> {
                let (stage, binding) = bound;
                let component = component(binding.plugin.digest())?;
                let alone = component.with_settings(*stage, settings).inspect_err(tell).ok()?;
                Some(Part { bound: bound.clone(), alone: Some(Arc::new(alone)) })
            };
            for (name, pairs) in kinds {
                if let Some(kind) = plan.kinds.get_mut(&name) {
                    kind.reduced = reduced(kind, &pairs, &mut load);
                }
            }
            plan
        })
        .await
    }
}

/// What cannot be compiled or configured alone is judged whole.
fn tell(error: &Unfit) {
    tracing::info!(error = error as &dyn std::error::Error, "what differs cannot be judged alone");
}

/// None where no pair can be loaded; those that cannot stay whole, and so do those that are more than a thread may hold.
fn reduced(kind: &KindPlan, pairs: &[Pair], load: &mut impl FnMut(&Bound, &Value) -> Option<Part>) -> Option<Reduced> {
    // Of each binding what stands in its place, where something else does.
    let (mut ours, mut theirs) = (HashMap::new(), HashMap::new());
    let mut claimants = Vec::new();
    let mut series = 0;
    for Pair { active, candidate, alone } in pairs {
        series += alone.iter().flatten().count();
        if series > SERIES_MAX {
            break;
        }
        let (one, other) = (&kind.only_active[*active], &kind.only_candidate[*candidate]);
        let mut loaded = |bound, settings: &Option<Value>| match settings {
            Some(settings) => load(bound, settings).map(Some),
            None => Some(None),
        };
        let (Some(one), Some(said)) = (loaded(one, &alone[0]), loaded(other, &alone[1])) else { continue };
        claimants.push(other.1.name.clone());
        ours.insert(*active, one);
        theirs.insert(*candidate, said);
    }
    let replaced = |bindings: &[Bound], places: &HashMap<usize, Option<Part>>| -> Vec<Part> {
        let at = |(place, bound): (usize, &Bound)| {
            places.get(&place).cloned().unwrap_or_else(|| Some(Part { bound: bound.clone(), alone: None }))
        };
        bindings.iter().enumerate().filter_map(at).collect()
    };
    let (active, candidate) = (replaced(&kind.only_active, &ours), replaced(&kind.only_candidate, &theirs));
    (!claimants.is_empty()).then_some(Reduced { active, candidate, claimants })
}

/// The bindings of one component that differ in independent settings alone: by their names first, then in line.
fn pairs(kind: &KindPlan, settings: &[Settings; 2], exemptions: &Exemptions) -> Vec<Pair> {
    let mut pairs = Vec::new();
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for has_one_name in [true, false] {
        for (active, one) in kind.only_active.iter().enumerate() {
            let fits = |(candidate, other): &(usize, &Bound)| {
                !theirs.contains(candidate) && alike(one, other) && (one.1.name == other.1.name || !has_one_name)
            };
            if ours.contains(&active) {
                continue;
            }
            let Some((candidate, other)) = kind.only_candidate.iter().enumerate().find(fits) else { continue };
            ours.push(active);
            theirs.push(candidate);
            let (Some(now), Some(then)) = (settings[0].get(one), settings[1].get(other)) else { continue };
            let description = other.1.plugin.description();
            if exempt_alike(exemptions, &one.1.name, &other.1.name)
                && let Some(alone) = alone(description, now, then)
            {
                pairs.push(Pair { active, candidate, alone });
            }
        }
    }
    pairs
}

/// True where nothing but names and settings may differ.
fn alike((stage, one): &Bound, (other_stage, other): &Bound) -> bool {
    let same_plugin = one.plugin.digest() == other.plugin.digest();
    same_plugin && (stage, one.mode, one.percent) == (other_stage, other.mode, other.percent)
}

/// The settings of each side with only the elements that the other has not; none where they differ in anything else
/// than one independent array, or in half of it and more.
fn alone(description: &Description, now: &Value, then: &Value) -> Option<[Option<Value>; 2]> {
    let none = Map::new();
    let [now, then] = [now, then].map(|settings| settings.as_object().unwrap_or(&none));
    let names: BTreeSet<&String> = now.keys().chain(then.keys()).collect();
    let mut differ = names.into_iter().filter(|name| now.get(*name) != then.get(*name));
    let (Some(name), None) = (differ.next(), differ.next()) else { return None };
    if !description.is_independent(name) {
        return None;
    }
    let (Value::Array(ours), Value::Array(theirs)) = (now.get(name)?, then.get(name)?) else { return None };
    let (only_ours, only_theirs) = (without(ours, theirs), without(theirs, ours));
    if 2 * (only_ours.len() + only_theirs.len()) >= ours.len() + theirs.len() {
        return None;
    }
    let with = |settings: &Map<String, Value>, elements: Vec<Value>| {
        let mut settings = settings.clone();
        let is_something = !elements.is_empty();
        settings.insert(name.clone(), Value::Array(elements));
        is_something.then_some(Value::Object(settings))
    };
    Some([with(now, only_ours), with(then, only_theirs)])
}

/// The elements that the others have not, as often as they are there more often, in line.
fn without(elements: &[Value], others: &[Value]) -> Vec<Value> {
    let mut left: HashMap<String, usize> = HashMap::new();
    for other in others {
        *left.entry(canonical(other)).or_default() += 1;
    }
    let is_alone = |element: &&Value| match left.get_mut(&canonical(element)) {
        Some(count) if *count > 0 => {
            *count -= 1;
            false
        }
        _ => true,
    };
    elements.iter().filter(is_alone).cloned().collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn description(settings_schema: Value) -> Description {
        let (name, version, summary) = Default::default();
        Description { name, version, summary, settings_schema, finding_codes: Vec::new() }
    }

    fn of(now: Value, then: Value) -> Option<[Option<Value>; 2]> {
        let description = description(json!({"properties": {
            "rules": {"type": "array", "x-hallmark-independent": true},
            "names": {"type": "array"},
            "lists": {"type": "array", "x-hallmark-independent": "yes"},
        }}));
        alone(&description, &now, &then)
    }

    #[test]
    fn what_differs_is_what_only_one_side_has() {
        let rules = |rules: &[i64]| json!({"rules": rules, "names": ["a"]});
        assert_eq!(of(rules(&[1, 2, 3, 4]), rules(&[1, 5, 3, 4])), Some([Some(rules(&[2])), Some(rules(&[5]))]));
        assert_eq!(of(rules(&[1, 2, 3]), rules(&[1, 4, 2, 3])), Some([None, Some(rules(&[4]))]));
        assert_eq!(of(rules(&[1, 2, 3]), rules(&[1, 3])), Some([Some(rules(&[2])), None]));
        assert_eq!(of(rules(&[1, 2, 3]), rules(&[3, 1, 2])), Some([None, None]), "their order is no difference");
        assert_eq!(of(rules(&[1, 2, 3]), rules(&[1, 2, 3, 3])), Some([None, Some(rules(&[3]))]), "twice is another");
        assert_eq!(of(rules(&[1, 1, 2, 3]), rules(&[1, 2, 3])), Some([Some(rules(&[1])), None]));
        let settings = |text: &str| json!({"rules": [{"b": 1, "a": text}, {"a": "x", "b": 2}, {"c": 1}]});
        let alone = json!({"rules": [{"a": "p", "b": 1}]});
        assert_eq!(of(settings("p"), settings("q")).map(|[ours, _]| ours), Some(Some(alone)));
    }

    #[test]
    fn what_is_not_declared_independent_is_judged_whole() {
        for (now, then, why) in [
            (json!({"names": [1, 2, 3]}), json!({"names": [1, 2, 4]}), "nothing is declared"),
            (json!({"lists": [1, 2, 3]}), json!({"lists": [1, 2, 4]}), "it says something else than true"),
            (json!({"rules": [1, 2, 3], "names": []}), json!({"rules": [1, 2, 4], "names": [1]}), "two members differ"),
            (json!({"rules": [1, 2, 3]}), json!({}), "one has no array"),
            (Value::Null, json!({"rules": [1]}), "one has no settings"),
            (json!({"rules": [1, 2, 3]}), json!({"rules": {"a": 1}}), "one is no array"),
            (json!({"rules": [1, 2]}), json!({"rules": [1, 3]}), "half of it differs"),
            (json!({"rules": []}), json!({"rules": [1, 2]}), "all of it is new"),
            (json!({"rules": [1]}), json!({"rules": [1]}), "nothing differs"),
        ] {
            assert_eq!(of(now, then), None, "{why}");
        }
        assert_eq!(alone(&description(json!(true)), &json!({"rules": [1, 2, 3]}), &json!({"rules": [1, 2, 4]})), None);
    }
}
