//! What services name each other for: that the named exist, and that none waits for itself.

use std::collections::{BTreeMap, BTreeSet};

use hallmark_plugin::findings::{Findings, cut, quoted};
use hallmark_plugin::{Finding, Patch, registry};

use crate::codes;
use crate::manifest::{Loose, Manifest, Place, Service, Token};
use crate::placeholders::Left;
use crate::settings::{Reference, Settings};

/// One service naming another.
#[derive(Debug)]
struct Edge<'b> {
    name: &'b str,
    place: Place<'b>,
    reference: Reference,
    /// It stands in a list as a plain text, so that it can be taken away alone.
    is_removable: bool,
}

/// Checks every reference of every service. `first` holds the services of the document by slug.
pub fn check<'b>(
    settings: &Settings,
    manifest: &'b Manifest,
    services: &str,
    first: &BTreeMap<&'b str, usize>,
    left: &Left,
    findings: &mut Findings,
) {
    let mut graph: Vec<Vec<(usize, Place)>> = Vec::with_capacity(manifest.services.len());
    let mut lookups = Lookups { settings, known: BTreeMap::new(), is_over: false };
    for (index, service) in manifest.services.iter().enumerate() {
        let mut targets = Vec::new();
        for edge in edges(service, index, services, left, findings) {
            let is_followed = settings.cycles_through.contains(&edge.reference);
            if service.slug.text() == Some(edge.name) {
                if is_followed {
                    findings.add(self_finding(&edge, services));
                }
            } else if let Some(&target) = first.get(edge.name) {
                if is_followed {
                    targets.push((target, edge.place));
                }
            } else if !left.touches(|| edge.place.pointer(services)) {
                lookups.check(&edge, services, findings);
            }
        }
        graph.push(targets);
    }
    check_cycles(manifest, &graph, services, findings);
}

fn edges<'b>(
    service: &'b Service,
    index: usize,
    services: &str,
    left: &Left,
    findings: &mut Findings,
) -> Vec<Edge<'b>> {
    let mut edges = Vec::new();
    let mut add = |value: &'b Loose, place: Place<'b>, reference, is_listed: bool| {
        if let Some(name) = target(value) {
            let is_removable = is_listed && value.text().is_some();
            edges.push(Edge { name, place, reference, is_removable });
        } else if !left.touches(|| place.pointer(services)) {
            findings.add(
                codes::DEPENDENCIES_FORM
                    .at(place.pointer(services))
                    .message("no service is named here")
                    .help("write a slug, or an object with the slug as 'service'"),
            );
        }
    };
    let field = Place::field(index, "/dependsOn");
    match &service.depends_on {
        Loose::Absent => {}
        Loose::List(entries) => {
            for (number, entry) in entries.iter().enumerate() {
                add(entry, field.below(Token::Index(number), ""), Reference::DependsOn, true);
            }
        }
        single => add(single, field, Reference::DependsOn, false),
    }
    let field = Place::field(index, "/env");
    for variable in service.variables().filter(|variable| !variable.from_service.is_absent()) {
        add(variable.from_service, field.below(variable.token, "/fromService"), Reference::FromService, false);
    }
    edges
}

fn target<'b>(value: &'b Loose) -> Option<&'b str> {
    let named = ["service", "slug", "id", "name"].iter().find_map(|name| value.member(name).text());
    value.text().or(named).filter(|name| !name.trim().is_empty())
}

fn self_finding(edge: &Edge, services: &str) -> Finding {
    let place = edge.place.pointer(services);
    let finding = codes::DEPENDENCIES_SELF
        .at(place.as_str())
        .message(format!("the service {} depends on itself", quoted(edge.name)))
        .help("remove this reference");
    if edge.is_removable { finding.fix(Patch::removal(&place, edge.name)) } else { finding }
}

struct Lookups<'a, 'b> {
    settings: &'a Settings,
    known: BTreeMap<&'b str, bool>,
    is_over: bool,
}

impl<'b> Lookups<'_, 'b> {
    /// Checks a service that the document does not have.
    fn check(&mut self, edge: &Edge<'b>, services: &str, findings: &mut Findings) {
        let Some(kind) = self.settings.registry_kind.as_deref() else {
            return findings.add(unknown_finding(edge, services, "", "add the service to the document"));
        };
        let lookups_max = self.settings.lookups_max;
        if self.known.len() >= lookups_max && !self.known.contains_key(edge.name) {
            if !self.is_over {
                findings.add(
                    codes::DEPENDENCIES_COUNT
                        .at(edge.place.pointer(services))
                        .message(format!("more than {lookups_max} services are named that are not in the document"))
                        .help("divide the manifest, or raise 'lookups_max'"),
                );
            }
            self.is_over = true;
            return;
        }
        let is_published =
            self.known.entry(edge.name).or_insert_with(|| registry::lookup(kind, edge.name, None).is_some());
        if !*is_published {
            let elsewhere = format!(" nor published in {kind}");
            let help = "add the service, publish it first, or correct the slug";
            findings.add(unknown_finding(edge, services, &elsewhere, help));
        }
    }
}

fn unknown_finding(edge: &Edge, services: &str, elsewhere: &str, help: &str) -> Finding {
    let is_not = if elsewhere.is_empty() { "is not in the document" } else { "is neither in the document" };
    codes::DEPENDENCIES_UNKNOWN
        .at(edge.place.pointer(services))
        .message(format!("the service {} {is_not}{elsewhere}", quoted(edge.name)))
        .help(help)
}

/// Walks the references depth first, without recursion since a chain may be as long as the document. A reference to
/// a service that is still being walked closes a circle; each is found at one reference at least.
fn check_cycles(manifest: &Manifest, graph: &[Vec<(usize, Place)>], services: &str, findings: &mut Findings) {
    const UNSEEN: usize = usize::MAX;
    const DONE: usize = usize::MAX - 1;
    // A service's place on the way to the one being walked, while it is on it.
    let mut depths = vec![UNSEEN; graph.len()];
    let mut closed = BTreeSet::new();
    for start in 0..graph.len() {
        if depths[start] != UNSEEN {
            continue;
        }
        depths[start] = 0;
        let mut way = vec![start];
        let mut next = vec![0];
        while let (Some(&node), Some(edge)) = (way.last(), next.last_mut()) {
            let Some((target, place)) = graph[node].get(*edge) else {
                depths[node] = DONE;
                way.pop();
                next.pop();
                continue;
            };
            *edge += 1;
            match depths[*target] {
                UNSEEN => {
                    depths[*target] = way.len();
                    way.push(*target);
                    next.push(0);
                }
                DONE => {}
                depth if closed.insert((node, *target)) => {
                    findings.add(cycle_finding(manifest, &way[depth..], place.pointer(services)));
                }
                _ => {}
            }
        }
    }
}

fn cycle_finding(manifest: &Manifest, cycle: &[usize], place: String) -> Finding {
    // A long circle shows both of its ends.
    const SHOWN_FIRST: usize = 8;
    const SHOWN_LAST: usize = 2;
    let slug = |&index: &usize| cut(manifest.services[index].slug.text().unwrap_or_default()).into_owned();
    let left_out = cycle.len().saturating_sub(SHOWN_FIRST + SHOWN_LAST);
    let mut names: Vec<_> = if left_out == 0 {
        cycle.iter().map(slug).collect()
    } else {
        let (first, last) = (&cycle[..SHOWN_FIRST], &cycle[cycle.len() - SHOWN_LAST..]);
        first.iter().map(slug).chain([format!("({left_out} more)")]).chain(last.iter().map(slug)).collect()
    };
    names.extend(cycle.first().map(slug));
    codes::DEPENDENCIES_CYCLE
        .at(place)
        .message(format!("the services depend on each other in a circle: {}", names.join(" -> ")))
        .help("remove this reference, or another one of the circle")
}
