//! Which service listens where, and that no port of one machine is claimed twice.
//!
//! README.md says what counts as a claim and why; the aim is to be right about manifests of services behind gateways
//! and in containers, where one number twice is no conflict.

use std::collections::BTreeMap;

use hallmark_plugin::findings::{Findings, cut, quoted};
use shared_rules::address::{Address, THIS_MACHINE, machine, parse_port};

use crate::codes;
use crate::manifest::{Loose, Manifest, Place, Service, Token};
use crate::placeholders::Left;

/// What a value says about a port.
#[derive(Debug, PartialEq, Eq)]
enum Port {
    Number(u16),
    /// Nothing that another service could run into: any free port, another protocol, a range.
    Unclaimed,
    Malformed,
}

#[derive(Debug, Clone, Copy)]
struct Claim<'b> {
    slug: &'b str,
    place: Place<'b>,
    service: usize,
    /// The service is reached by another port, so this one is most likely inside a container of its own.
    is_inner: bool,
}

/// The claims on one port: the first, and the first that is not inner.
#[derive(Debug, Default)]
struct Claimed<'b> {
    any: Option<Claim<'b>>,
    outer: Option<Claim<'b>>,
}

/// Checks every service's ports.
pub fn check(manifest: &Manifest, services: &str, default_host: Option<&str>, left: &Left, findings: &mut Findings) {
    let mut claimed: BTreeMap<(String, u16), Claimed> = BTreeMap::new();
    for (index, service) in manifest.services.iter().enumerate() {
        let stated = stated_ports(service, index, services, left, findings);
        let Some((machine, address)) = listening(service, default_host) else { continue };
        let own = address.as_ref().and_then(|address| address.port);
        let own_claim = address.filter(|address| is_bare(address)).and(own);
        let mut ports: Vec<_> = own_claim.map(|port| (port, Place::field(index, "/baseUrl"))).into_iter().collect();
        ports.extend(stated);
        for (port, place) in ports {
            let is_inner = own.is_some_and(|own| own != port);
            let slug = service.slug.text().unwrap_or_default();
            let claim = Claim { slug, place, service: index, is_inner };
            if let Some(before) = claimed.entry((machine.clone(), port)).or_default().add(claim) {
                findings.add(
                    codes::PORTS_DUPLICATE
                        .at(claim.place.pointer(services))
                        .message(format!(
                            "port {port} of {} is already claimed by {} at {}",
                            cut(&machine),
                            quoted(before.slug),
                            before.place.pointer(services)
                        ))
                        .help("give one of the two services another port"),
                );
            }
        }
    }
}

impl<'b> Claimed<'b> {
    /// Adds a claim; answers the one of another service that it runs into.
    fn add(&mut self, claim: Claim<'b>) -> Option<Claim<'b>> {
        let before = if claim.is_inner { self.outer } else { self.outer.or(self.any) };
        self.any.get_or_insert(claim);
        if !claim.is_inner {
            self.outer.get_or_insert(claim);
        }
        before.filter(|before| before.service != claim.service)
    }
}

/// The machine that a service listens on, with its base URL, where that is known: a base URL with a path, or without
/// a port, on another machine is that of a gateway.
fn listening<'s>(service: &'s Service, default_host: Option<&str>) -> Option<(String, Option<Address<'s>>)> {
    if service.base_url.is_absent() {
        return Some((machine(default_host?), None));
    }
    let address = Address::parse(service.base_url.text()?).ok()?;
    let machine = address.machine();
    let is_known = machine == THIS_MACHINE || (address.port.is_some() && is_bare(&address));
    is_known.then_some((machine, Some(address)))
}

fn is_bare(address: &Address) -> bool {
    matches!(address.rest, "" | "/")
}

fn stated_ports<'b>(
    service: &'b Service,
    index: usize,
    services: &str,
    left: &Left,
    findings: &mut Findings,
) -> Vec<(u16, Place<'b>)> {
    let mut stated = Vec::new();
    let mut state = |port: Port, value: &Loose, place: Place<'b>| match port {
        // A service may say its port in several ways: that is one claim.
        Port::Number(number) if stated.iter().all(|(known, _)| *known != number) => stated.push((number, place)),
        Port::Number(_) | Port::Unclaimed => {}
        Port::Malformed if left.touches(|| place.pointer(services)) => {}
        Port::Malformed => findings.add(
            codes::PORTS_FORM
                .at(place.pointer(services))
                .message(format!("{} is not a port", shown(value)))
                .help("write a number from 1 to 65535"),
        ),
    };
    let field = Place::field(index, "/port");
    state(read_port(&service.port), &service.port, field);
    let field = Place::field(index, "/ports");
    for (number, element) in service.ports.elements().iter().enumerate() {
        state(read_port(element), element, field.below(Token::Index(number), ""));
    }
    let field = Place::field(index, "/env");
    for variable in service.variables().filter(|variable| variable.name == "PORT") {
        let port = match variable.value {
            Loose::Number(0) => Port::Unclaimed,
            Loose::Text(text) if matches!(text.trim(), "" | "0") => Port::Unclaimed,
            Loose::Text(text) => written(text.trim()),
            // `{"$var": …}` and the like, which are for the schema to refuse.
            Loose::Members(_) => Port::Unclaimed,
            value => read_port(value),
        };
        state(port, variable.value, field.below(variable.token, variable.value_member));
    }
    stated
}

fn written(text: &str) -> Port {
    parse_port(text).map_or(Port::Malformed, Port::Number)
}

fn read_port(value: &Loose) -> Port {
    match value {
        Loose::Absent => Port::Unclaimed,
        Loose::Number(number) => {
            u16::try_from(*number).ok().filter(|&port| port > 0).map_or(Port::Malformed, Port::Number)
        }
        Loose::Text(text) => published(text),
        Loose::Members(_) => {
            let outside = ["hostPort", "published", "port"].map(|name| value.member(name));
            outside.into_iter().find(|port| !port.is_absent()).map_or(Port::Unclaimed, read_port)
        }
        Loose::List(_) | Loose::Other => Port::Malformed,
    }
}

/// `8080`, or as containers write it `8080:80`, `127.0.0.1:8080:80` and `8080:80/tcp`: the part outside counts.
fn published(text: &str) -> Port {
    let (mapping, protocol) = text.rsplit_once('/').unwrap_or((text, "tcp"));
    match protocol {
        "tcp" => {}
        "udp" | "sctp" => return Port::Unclaimed,
        _ => return Port::Malformed,
    }
    let mut parts = mapping.rsplit(':');
    let inside = parts.next().unwrap_or_default();
    let outside = parts.next().unwrap_or(inside);
    match outside.split_once('-') {
        Some((from, to)) if parse_port(from).is_some() && parse_port(to).is_some() => Port::Unclaimed,
        _ => written(outside),
    }
}

fn shown(value: &Loose) -> String {
    match value {
        Loose::Text(text) => quoted(text),
        Loose::Number(number) => number.to_string(),
        _ => "the value".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_ports_as_containers_write_them() {
        for (text, port) in [
            ("8080", Port::Number(8080)),
            ("8080:80", Port::Number(8080)),
            ("127.0.0.1:8080:80", Port::Number(8080)),
            ("[::1]:8080:80/tcp", Port::Number(8080)),
            ("53:53/udp", Port::Unclaimed),
            ("3000-3005", Port::Unclaimed),
            ("", Port::Malformed),
            ("http", Port::Malformed),
            ("0", Port::Malformed),
            ("70000", Port::Malformed),
            ("80/quic", Port::Malformed),
            ("3000-", Port::Malformed),
        ] {
            assert_eq!(published(text), port, "{text}");
        }
    }
}
