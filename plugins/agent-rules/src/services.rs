//! References to services that must be published.

use std::collections::BTreeMap;

use hallmark_plugin::findings::{Findings, quoted};
use hallmark_plugin::{Submission, registry};

use crate::codes;
use crate::places::{Places, each_name};

/// Looks every service up that the manifest refers to; each once.
pub fn check(paths: &Places, kind: &str, services_max: usize, submission: &Submission, findings: &mut Findings) {
    let references = paths.read(submission);
    let mut known: BTreeMap<&str, bool> = BTreeMap::new();
    let mut is_over = false;
    for (place, value) in &references {
        each_name(value, place.clone(), &mut |name, place| {
            let Some(name) = name else {
                return findings.add(
                    codes::SERVICES_FORM
                        .at(place)
                        .message("the reference names no service: it is neither a text nor an object with a 'name', 'id' or 'slug'")
                        .help(format!("write the id under which the service is published in {kind}")),
                );
            };
            if known.len() >= services_max && !known.contains_key(name) {
                if !is_over {
                    findings.add(
                        codes::SERVICES_COUNT
                            .at(place)
                            .message(format!("the manifest refers to more than {services_max} different services"))
                            .help(format!("refer to at most {services_max}, or raise 'services_max'")),
                    );
                }
                is_over = true;
                return;
            }
            let is_published = known.entry(name).or_insert_with(|| registry::lookup(kind, name, None).is_some());
            if !*is_published {
                findings.add(
                    codes::SERVICES_UNKNOWN
                        .at(place)
                        .message(format!("the service {} is not published in {kind}", quoted(name)))
                        .help("publish the service first, or correct its id"),
                );
            }
        });
    }
}
