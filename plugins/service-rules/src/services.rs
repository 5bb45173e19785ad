//! What is asked of each service by itself: its slug, its base URL and its health endpoint.

use std::collections::BTreeMap;

use hallmark_plugin::findings::{Findings, quoted};
use hallmark_plugin::{Finding, Patch};
use shared_rules::address::{Address, check_characters};
use shared_rules::forms::is_words;

use crate::codes;
use crate::manifest::{Loose, Manifest, Place};
use crate::placeholders::Left;

/// Checks the slugs; answers the first service of each.
pub fn check_slugs<'b>(
    manifest: &'b Manifest,
    services: &str,
    length_max: usize,
    left: &Left,
    findings: &mut Findings,
) -> BTreeMap<&'b str, usize> {
    let mut first: BTreeMap<&str, usize> = BTreeMap::new();
    for (index, service) in manifest.services.iter().enumerate() {
        let place = || Place::field(index, "/slug").pointer(services);
        let Some(slug) = service.slug.text() else {
            let at = if service.slug.is_absent() { Place::field(index, "").pointer(services) } else { place() };
            if !left.touches(place) {
                findings.add(
                    codes::SLUG_FORM
                        .at(at)
                        .message("the service has no slug")
                        .help("add a 'slug' such as 'ai-connector'"),
                );
            }
            continue;
        };
        if let Some(before) = first.get(slug) {
            findings.add(
                codes::SLUG_DUPLICATE
                    .at(place())
                    .message(format!("the slug {} is already that of {services}/{before}", quoted(slug)))
                    .help("give each service its own slug"),
            );
            continue;
        }
        first.insert(slug, index);
        let length = slug.chars().count();
        let wrong = if length > length_max {
            Some(format!("has {length} characters, {length_max} are allowed"))
        } else if !is_words(slug, b"-") {
            Some("is not lower case letters and digits joined by single dashes".to_owned())
        } else {
            None
        };
        if let Some(wrong) = wrong.filter(|_| !left.touches(place)) {
            let message = format!("the slug {} {wrong}", quoted(slug));
            findings.add(codes::SLUG_FORM.at(place()).message(message).help("choose a slug such as 'ai-connector'"));
        }
    }
    first
}

/// Checks the base URLs and the health endpoints.
pub fn check_addresses(manifest: &Manifest, services: &str, left: &Left, findings: &mut Findings) {
    for (index, service) in manifest.services.iter().enumerate() {
        for (field, value, judge) in [
            ("/baseUrl", &service.base_url, base_url_finding as fn(&str, &dyn Fn() -> String) -> Option<Finding>),
            ("/healthEndpoint", &service.health_endpoint, health_endpoint_finding),
        ] {
            let place = || Place::field(index, field).pointer(services);
            let text = match value {
                Loose::Absent => continue,
                Loose::Text(text) => text.as_ref(),
                // No text is no address; what to say is the same.
                _ => "",
            };
            if let Some(finding) = judge(text, &place).filter(|_| !left.touches(place)) {
                findings.add(finding);
            }
        }
    }
}

fn base_url_finding(text: &str, place: &dyn Fn() -> String) -> Option<Finding> {
    let wrong = Address::parse(text).err()?;
    let finding = codes::BASE_URL_FORM
        .at(place())
        .message(format!("{} is not an absolute http or https URL: {wrong}", quoted(text)));
    let trimmed = text.trim();
    Some(if Address::parse(trimmed).is_ok() {
        finding.help("remove the white space around it").fix(Patch::new().replace(&place(), trimmed))
    } else if Address::parse(&["http://", trimmed].concat()).is_ok() {
        finding.help(format!("write the scheme too: {} or with https", quoted(&["http://", trimmed].concat())))
    } else {
        finding.help("write scheme, host and port, such as 'http://127.0.0.1:4311'")
    })
}

fn health_endpoint_finding(text: &str, place: &dyn Fn() -> String) -> Option<Finding> {
    let wrong = match text.strip_prefix('/') {
        Some(rest) if rest.starts_with('/') => "it starts with two slashes, which name a host",
        Some(_) => check_characters(text).err()?,
        None if text.contains("://") => Address::parse(text).err()?,
        None => "it does not start with '/'",
    };
    let finding = codes::HEALTH_ENDPOINT_FORM
        .at(place())
        .message(format!("{} is neither a path nor an absolute http or https URL: {wrong}", quoted(text)));
    let meant = ["/", text.trim().trim_start_matches('/')].concat();
    Some(if text.contains("://") || meant == "/" || check_characters(&meant).is_err() {
        finding.help("write a path below the base URL, such as '/healthz'")
    } else {
        finding.help(format!("write {}", quoted(&meant))).fix(Patch::new().replace(&place(), meant))
    })
}
