//! Which addresses are nobody's but somebody's own network. A webhook that could be sent there would let whoever makes
//! it reach what only the host can.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Which addresses may be sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Addresses {
    /// Those of the public internet.
    Public,
    /// Every one.
    Any,
}

/// What the address is called, where it is not one of the public internet (the registries of IANA for special purposes,
/// RFC 6890 and its successors).
pub fn kind_of(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => kind_of_v4(address),
        IpAddr::V6(address) => kind_of_v6(address),
    }
}

/// The sentence for an address that may not be sent to.
pub fn refusal(shown: String, kind: &str) -> String {
    format!(
        "{shown} is a {kind} address: webhooks are sent to public addresses \
         (serve --allow-private-webhooks lets them be sent to any)"
    )
}

fn kind_of_v4(address: Ipv4Addr) -> Option<&'static str> {
    match address.octets() {
        [0, ..] => Some("this-network"),
        [127, ..] => Some("loopback"),
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => Some("private"),
        [169, 254, ..] => Some("link-local"),
        [100, 64..=127, ..] => Some("shared"),
        [192, 0, 0, _] | [192, 88, 99, _] | [198, 18..=19, ..] => Some("reserved"),
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => Some("documentation"),
        [224..=239, ..] => Some("multicast"),
        [240..=255, ..] => Some("reserved"),
        _ => None,
    }
}

fn kind_of_v6(address: Ipv6Addr) -> Option<&'static str> {
    let groups = address.segments();
    let low = |high: u16, low: u16| {
        let [[a, b], [c, d]] = [high.to_be_bytes(), low.to_be_bytes()];
        kind_of_v4(Ipv4Addr::new(a, b, c, d))
    };
    match groups {
        [0, 0, 0, 0, 0, 0, 0, 0] => Some("unspecified"),
        [0, 0, 0, 0, 0, 0, 0, 1] => Some("loopback"),
        // What carries an address of the older protocol is what that is: mapped, compatible, translated (RFC 6052), 6to4.
        [0, 0, 0, 0, 0, 0xffff, a, b] | [0, 0, 0, 0, 0, 0, a, b] | [0x64, 0xff9b, 0, 0, 0, 0, a, b] => low(a, b),
        [0x2002, a, b, ..] => low(a, b),
        [0x64, 0xff9b, 1, ..] => Some("private"),
        [0x100, 0, 0, ..] => Some("discard"),
        // Teredo hides an address, and the rest of the block is for protocols.
        [0x2001, 0..=0x1ff, ..] => Some("reserved"),
        [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => Some("documentation"),
        [0xfc00..=0xfdff, ..] => Some("private"),
        [0xfe80..=0xfebf, ..] => Some("link-local"),
        [0xfec0..=0xfeff, ..] => Some("site-local"),
        [0xff00..=0xffff, ..] => Some("multicast"),
        // Only this block was given out.
        [0x2000..=0x3fff, ..] => None,
        _ => Some("reserved"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_public_addresses_from_others() {
        for (text, kind) in [
            ("8.8.8.8", None),
            ("172.15.0.1", None),
            ("172.32.0.1", None),
            ("100.63.0.1", None),
            ("2606:4700::1111", None),
            ("::ffff:8.8.8.8", None),
            ("2002:808:808::1", None),
            ("0.0.0.0", Some("this-network")),
            ("127.0.0.1", Some("loopback")),
            ("127.255.255.254", Some("loopback")),
            ("10.1.2.3", Some("private")),
            ("172.16.0.1", Some("private")),
            ("172.31.255.255", Some("private")),
            ("192.168.0.1", Some("private")),
            // Where clouds keep the keys of a machine.
            ("169.254.169.254", Some("link-local")),
            ("100.64.0.1", Some("shared")),
            ("198.19.0.1", Some("reserved")),
            ("203.0.113.7", Some("documentation")),
            ("224.0.0.1", Some("multicast")),
            ("255.255.255.255", Some("reserved")),
            ("::", Some("unspecified")),
            ("::1", Some("loopback")),
            ("::ffff:127.0.0.1", Some("loopback")),
            ("::7f00:1", Some("loopback")),
            ("64:ff9b::a00:1", Some("private")),
            ("2002:7f00:1::", Some("loopback")),
            ("2001::1", Some("reserved")),
            ("2001:db8::1", Some("documentation")),
            ("fd00:ec2::254", Some("private")),
            ("fe80::1", Some("link-local")),
            ("fec0::1", Some("site-local")),
            ("ff02::1", Some("multicast")),
            ("4000::1", Some("reserved")),
        ] {
            assert_eq!(kind_of(text.parse().expect("an address")), kind, "{text}");
        }
    }
}
