//! What makes an http address well-formed, and which machine it names, without fetching anything.

use std::net::{Ipv4Addr, Ipv6Addr};

/// The parts of an http or https URL that matter here.
#[derive(Debug, PartialEq, Eq)]
pub struct Address<'a> {
    /// The host, IPv6 without its brackets.
    pub host: &'a str,
    /// The port, if it is written.
    pub port: Option<u16>,
    /// Path, query and fragment.
    pub rest: &'a str,
}

impl<'a> Address<'a> {
    /// Parses an absolute URL.
    ///
    /// # Errors
    /// What is wrong, to follow "… is not an absolute http or https URL: ".
    pub fn parse(text: &'a str) -> Result<Self, &'static str> {
        let Some((scheme, after)) = text.split_once("://") else {
            return Err("it does not start with http:// or https://");
        };
        if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
            return Err("its scheme is neither http nor https");
        }
        let (authority, rest) = after.split_at(after.find(['/', '?', '#']).unwrap_or(after.len()));
        let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        check_characters(text)?;
        let (host, port) = split_port(authority)?;
        let port = match port {
            None => None,
            Some(port) => Some(parse_port(port).ok_or("its port is not a number from 1 to 65535")?),
        };
        Ok(Self { host, port, rest })
    }

    /// The host as two writings of one machine compare: all of the machine itself are one.
    pub fn machine(&self) -> String {
        machine(self.host)
    }
}

/// See [`Address::machine`].
pub fn machine(host: &str) -> String {
    let is_this = match (host.parse::<Ipv4Addr>(), host.parse::<Ipv6Addr>()) {
        (Ok(address), _) => address.is_loopback() || address.is_unspecified(),
        (_, Ok(address)) => address.is_loopback() || address.is_unspecified(),
        _ => host.trim_end_matches('.').eq_ignore_ascii_case("localhost"),
    };
    if is_this { THIS_MACHINE.to_owned() } else { host.trim_end_matches('.').to_ascii_lowercase() }
}

/// What [`machine`] answers for the machine itself.
pub const THIS_MACHINE: &str = "127.0.0.1";

/// A port that can be connected to.
pub fn parse_port(text: &str) -> Option<u16> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|&port: &u16| is_number && port > 0)
}

/// Checks the characters and the percent escapes of a URL or a path.
///
/// # Errors
/// What is wrong.
pub fn check_characters(text: &str) -> Result<(), &'static str> {
    let is_refused =
        |byte: u8| byte <= b' ' || matches!(byte, b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}' | 0x7f);
    if text.bytes().any(|byte| byte <= b' ') {
        return Err("it contains white space or a control character");
    }
    if text.bytes().any(is_refused) {
        return Err("it contains a character that must be written as a percent escape");
    }
    let mut escapes = text.split('%').skip(1);
    if !escapes.all(|after| after.len() >= 2 && after.bytes().take(2).all(|byte| byte.is_ascii_hexdigit())) {
        return Err("it contains a '%' without two hexadecimal digits");
    }
    Ok(())
}

fn split_port(authority: &str) -> Result<(&str, Option<&str>), &'static str> {
    if let Some(inner) = authority.strip_prefix('[') {
        let (host, after) = inner.split_once(']').ok_or("the bracket of its IPv6 address is not closed")?;
        host.parse::<Ipv6Addr>().map_err(|_| "its IPv6 address is not one")?;
        return match after.strip_prefix(':') {
            Some(port) => Ok((host, Some(port))),
            None if after.is_empty() => Ok((host, None)),
            None => Err("something other than a port follows its IPv6 address"),
        };
    }
    let (host, port) = match authority.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (authority, None),
    };
    check_host(host)?;
    Ok((host, port))
}

fn check_host(host: &str) -> Result<(), &'static str> {
    if host.is_empty() {
        return Err("it has no host");
    }
    let name = host.strip_suffix('.').unwrap_or(host);
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    if name.len() > 253 || !name.split('.').all(is_label) {
        return Err("its host is not a name or an address");
    }
    let ends_in_number = name.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
    if ends_in_number && name.parse::<Ipv4Addr>().is_err() {
        return Err("its host looks like an IPv4 address and is not one");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_addresses_apart() {
        let parsed = Address::parse("http://user:secret@Example.org:8080/a?b#c").expect("an address");
        assert_eq!(parsed, Address { host: "Example.org", port: Some(8080), rest: "/a?b#c" });
        assert_eq!(parsed.machine(), "example.org");
        assert_eq!(Address::parse("HTTPS://[::1]:443").expect("an address").machine(), "127.0.0.1");
        for right in ["http://a", "https://a_b.internal.", "http://10.0.0.1?x=%20", "http://xn--bcher-kva.example/"] {
            assert!(Address::parse(right).is_ok(), "{right}");
        }
    }

    #[test]
    fn says_what_is_wrong() {
        for (wrong, why) in [
            ("127.0.0.1:4174", "it does not start with http:// or https://"),
            ("", "it does not start with http:// or https://"),
            ("ftp://a", "its scheme is neither http nor https"),
            ("http://", "it has no host"),
            ("http:///healthz", "it has no host"),
            ("http://:80", "it has no host"),
            ("http://a b", "it contains white space or a control character"),
            ("http://a/{x}", "it contains a character that must be written as a percent escape"),
            ("http://a/%2", "it contains a '%' without two hexadecimal digits"),
            ("http://a:0", "its port is not a number from 1 to 65535"),
            ("http://a:", "its port is not a number from 1 to 65535"),
            ("http://a:+80", "its port is not a number from 1 to 65535"),
            ("http://a:65536", "its port is not a number from 1 to 65535"),
            ("http://a..b", "its host is not a name or an address"),
            ("http://-a", "its host is not a name or an address"),
            ("http://bücher", "its host is not a name or an address"),
            ("http://256.1.1.1", "its host looks like an IPv4 address and is not one"),
            ("http://[::1", "the bracket of its IPv6 address is not closed"),
            ("http://[::g]", "its IPv6 address is not one"),
            ("http://[::1]x", "something other than a port follows its IPv6 address"),
        ] {
            assert_eq!(Address::parse(wrong).expect_err(wrong), why, "{wrong}");
        }
    }

    #[test]
    fn one_machine_has_many_names() {
        for this in ["localhost", "LocalHost.", "127.0.0.1", "127.1.2.3", "0.0.0.0", "::1", "::"] {
            assert_eq!(machine(this), THIS_MACHINE, "{this}");
        }
        assert_eq!(machine("Billing.Internal."), "billing.internal");
    }
}
