//! From where a request comes. A header can say anything: it is believed where a proxy that was named sent it, and no
//! further than to the first address that was not.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::task::{Context, Poll};

use axum::Router;
use axum::http::header::FORWARDED;
use axum::http::{HeaderMap, HeaderName, Request};
use ipnet::IpNet;
use tower::Service;

/// What many proxies send, after the address that they have the request from.
static X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Who is at the other end of the connection.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub IpAddr);

/// The header in which a proxy says from whom it has a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ProxyHeader {
    /// `X-Forwarded-For`.
    #[default]
    XForwardedFor,
    /// `Forwarded` (RFC 7239).
    Forwarded,
}

impl FromStr for ProxyHeader {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        match word.to_ascii_lowercase().as_str() {
            "x-forwarded-for" => Ok(Self::XForwardedFor),
            "forwarded" => Ok(Self::Forwarded),
            _ => Err(format!("'{word}' is no header that is read here: name x-forwarded-for or forwarded")),
        }
    }
}

/// The proxies whose header is believed; none, where none is named.
#[derive(Debug, Clone, Default)]
pub struct Proxies {
    networks: Vec<IpNet>,
    header: ProxyHeader,
}

impl Proxies {
    /// From texts such as `10.0.0.0/8` or `192.0.2.7`.
    ///
    /// # Errors
    /// A text is neither an address nor a network.
    pub fn new<'a>(networks: impl Iterator<Item = &'a str>, header: ProxyHeader) -> Result<Self, String> {
        let network = |text: &str| {
            let address = text.parse::<IpAddr>().map(IpNet::from);
            address
                .or_else(|_| text.parse::<IpNet>())
                .map_err(|_| format!("'{text}' is no address and no network of proxies: write 192.0.2.7 or 10.0.0.0/8"))
        };
        Ok(Self { networks: networks.map(network).collect::<Result<_, _>>()?, header })
    }

    /// From where a request comes that this peer sent: each proxy that is trusted says who came before it.
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer.to_canonical();
        if !self.trust(client) {
            return client;
        }
        for hop in self.hops(headers).into_iter().rev() {
            // What is no address is a name that a proxy made up: who is behind it cannot be told apart.
            let Some(hop) = hop else { return client };
            client = hop.to_canonical();
            if !self.trust(client) {
                return client;
            }
        }
        client
    }

    fn trust(&self, address: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(&address))
    }

    /// Every address that the header names, the one that was added last at the end.
    fn hops(&self, headers: &HeaderMap) -> Vec<Option<IpAddr>> {
        let name = match self.header {
            ProxyHeader::XForwardedFor => &X_FORWARDED_FOR,
            ProxyHeader::Forwarded => &FORWARDED,
        };
        let values = headers.get_all(name).iter().map(|value| value.to_str().unwrap_or_default());
        let items = values.flat_map(|value| value.split(','));
        items
            .map(|item| match self.header {
                ProxyHeader::XForwardedFor => address(item.trim()),
                ProxyHeader::Forwarded => item.split(';').find_map(for_of).and_then(address),
            })
            .collect()
    }
}

/// The value of `for=` in one part of an item of `Forwarded`, out of its quotes.
fn for_of(part: &str) -> Option<&str> {
    let (name, value) = part.split_once('=')?;
    name.trim().eq_ignore_ascii_case("for").then(|| value.trim().trim_matches('"'))
}

/// An address, with or without a port, and IPv6 with or without brackets.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    bare.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|socket| socket.ip()))
}

/// The router, as one connection sees it: each request knows its peer.
#[derive(Clone)]
pub struct OfPeer {
    /// The router.
    pub app: Router,
    /// Who is at the other end.
    pub peer: IpAddr,
}

impl<B> Service<Request<B>> for OfPeer
where
    Router: Service<Request<B>>,
{
    type Response = <Router as Service<Request<B>>>::Response;
    type Error = <Router as Service<Request<B>>>::Error;
    type Future = <Router as Service<Request<B>>>::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.app.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        request.extensions_mut().insert(Peer(self.peer));
        self.app.call(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(header: ProxyHeader, peer: &str, values: &[&str]) -> String {
        let proxies = Proxies::new(["10.0.0.0/8", "2001:db8::7"].into_iter(), header).expect("networks");
        let name = if header == ProxyHeader::Forwarded { FORWARDED } else { X_FORWARDED_FOR.clone() };
        let headers = values.iter().map(|value| (name.clone(), value.parse().expect("a value"))).collect();
        proxies.client(peer.parse().expect("an address"), &headers).to_string()
    }

    #[test]
    fn a_header_is_believed_as_far_as_named_proxies_sent_it() {
        use ProxyHeader::{Forwarded, XForwardedFor};
        for (header, peer, values, expected) in [
            (XForwardedFor, "192.0.2.1", &["198.51.100.1"][..], "192.0.2.1"),
            (XForwardedFor, "10.0.0.1", &["198.51.100.1"], "198.51.100.1"),
            (XForwardedFor, "::ffff:10.0.0.1", &["198.51.100.1"], "198.51.100.1"),
            (XForwardedFor, "10.0.0.1", &["203.0.113.9, 198.51.100.1, 10.9.9.9"], "198.51.100.1"),
            (XForwardedFor, "10.0.0.1", &["203.0.113.9", "198.51.100.1"], "198.51.100.1"),
            (XForwardedFor, "10.0.0.1", &["198.51.100.1:4711"], "198.51.100.1"),
            (XForwardedFor, "10.0.0.1", &["10.0.0.2"], "10.0.0.2"),
            (XForwardedFor, "10.0.0.1", &["203.0.113.9, unknown"], "10.0.0.1"),
            (XForwardedFor, "10.0.0.1", &[], "10.0.0.1"),
            (XForwardedFor, "2001:db8::7", &["2001:db8::8"], "2001:db8::8"),
            (Forwarded, "10.0.0.1", &["for=198.51.100.1;proto=https, for=10.0.0.2"], "198.51.100.1"),
            (Forwarded, "10.0.0.1", &["proto=https; For=\"[2001:db8::8]:4711\""], "2001:db8::8"),
            (Forwarded, "10.0.0.1", &["for=198.51.100.1, for=_hidden"], "10.0.0.1"),
            (Forwarded, "10.0.0.1", &["by=10.0.0.1"], "10.0.0.1"),
        ] {
            assert_eq!(client(header, peer, values), expected, "{header:?} {peer} {values:?}");
        }
    }

    #[test]
    fn what_is_no_network_is_refused() {
        let refused = Proxies::new(["proxy.example"].into_iter(), ProxyHeader::default()).expect_err("a name");
        assert_eq!(refused, "'proxy.example' is no address and no network of proxies: write 192.0.2.7 or 10.0.0.0/8");
        let refused = "via".parse::<ProxyHeader>().expect_err("another header");
        assert_eq!(refused, "'via' is no header that is read here: name x-forwarded-for or forwarded");
    }
}
