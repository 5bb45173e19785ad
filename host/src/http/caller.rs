//! Who asks: by a token in a header, or by a session in a cookie. A browser sends its cookies with whatever any page has
//! it send, so a change by a session must show that it comes from a page of this registry.

use axum::http::header::{AUTHORIZATION, COOKIE, HOST, ORIGIN};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use url::Url;

use super::Host;
use super::error::{Code, Problem};
use super::session::COOKIE_NAME;
use crate::clock::Millis;
use crate::names::{NameError, Tenant};
use crate::registry::access::{NoEntry, Role, Session};
use crate::registry::{Actor, Registry};

/// Another header for a token.
static API_KEY: HeaderName = HeaderName::from_static("x-api-key");
/// What a browser says of the page that has it ask.
static FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// What a page of this registry knows of its session.
static CSRF_TOKEN: HeaderName = HeaderName::from_static("x-csrf-token");

/// Which tenant is meant, where an issuer's token does not say.
static TENANT: HeaderName = HeaderName::from_static("hallmark-tenant");

/// What a request shows.
enum Shown<'a> {
    Token(&'a str),
    Session(&'a str),
}

/// Who asks, and by which session, where it is one.
///
/// # Errors
/// Nobody is known by what the request shows, or a change by a session may come from somebody else's page.
pub async fn identify(host: &Host, parts: &Parts) -> Result<(Actor, Option<Session>), Problem> {
    let shown = shown(&parts.headers)?;
    let asked = tenant_asked_for(&parts.headers)?;
    let registry = host.registry().ok_or_else(starting)?;
    let (actor, session) = match shown {
        Shown::Token(token) => {
            let actor = registry.authenticate(token, asked.as_ref(), Millis::now()).await?;
            (actor.map_err(|why| refusal(&why))?, None)
        }
        Shown::Session(cookie) => {
            let (actor, session) = registry.session(cookie, Millis::now()).await?.map_err(|why| refusal(&why))?;
            if !parts.method.is_safe() {
                is_of_own_page(registry, &parts.headers, &session)?;
            }
            (actor, Some(session))
        }
    };
    if let Some(asked) = asked.filter(|asked| *asked != actor.tenant) {
        let of = &actor.tenant;
        let detail =
            format!("the header Hallmark-Tenant asks for '{asked}', and the token is one of '{of}': leave it out");
        return Err(Problem::new(Code::Forbidden, detail));
    }
    Ok((actor, session))
}

fn tenant_asked_for(headers: &HeaderMap) -> Result<Option<Tenant>, Problem> {
    let Some(value) = headers.get(&TENANT) else { return Ok(None) };
    let named = value.to_str().map_err(|_| "it is no text".to_owned());
    let named = named.and_then(|text| text.trim().parse().map_err(|error: NameError| error.to_string()));
    named
        .map(Some)
        .map_err(|why| Problem::new(Code::BadHeader, format!("the header Hallmark-Tenant names no tenant: {why}")))
}

/// What is said to somebody whom an issuer vouches for in a tenant that is not here.
pub fn no_such_tenant(actor: &Actor) -> Problem {
    let detail =
        format!("the token is for the tenant '{}', which is not here: ask the operator of this registry", actor.tenant);
    Problem::new(Code::Forbidden, detail)
}

/// Makes sure that who asks has the role.
///
/// # Errors
/// He has not.
pub fn demand(actor: &Actor, role: Role) -> Result<(), Problem> {
    if actor.grants.include(role) {
        return Ok(());
    }
    let (name, held) = (&actor.name, actor.grants.roles_text());
    let asked = if role == Role::Admin { "admin".to_owned() } else { format!("{role} or admin") };
    let detail = format!("this asks for the role {asked}, and the token '{name}' has {held}: use another token");
    Err(Problem::new(Code::Forbidden, detail))
}

fn starting() -> Problem {
    Problem::new(Code::NotReady, "the host is starting: try again")
}

fn refusal(why: &NoEntry) -> Problem {
    let code = match why {
        NoEntry::NothingGranted => Code::Forbidden,
        NoEntry::Unknown | NoEntry::Expired { .. } | NoEntry::Session | NoEntry::NotBelieved(_) => {
            Code::Unauthenticated
        }
    };
    Problem::new(code, why.to_string())
}

/// The token of the `Authorization` header (RFC 6750, 2.1) or of `X-API-Key`, which somebody has put there, else the
/// session's cookie, which comes by itself.
fn shown(headers: &HeaderMap) -> Result<Shown<'_>, Problem> {
    match (headers.get(AUTHORIZATION), headers.get(&API_KEY)) {
        (Some(value), None) => bearer(value).map(Shown::Token),
        (None, Some(key)) => key
            .to_str()
            .ok()
            .map(str::trim)
            .filter(|key| !key.is_empty())
            .map(Shown::Token)
            .ok_or_else(|| Problem::new(Code::Unauthenticated, "the X-API-Key header holds no token")),
        (Some(_), Some(_)) => {
            let detail = "the request has two tokens: send 'Authorization' or 'X-API-Key', not both";
            Err(Problem::new(Code::Unauthenticated, detail))
        }
        (None, None) => cookie(headers).map(Shown::Session).ok_or_else(|| {
            let detail = "the request has no token: send the header 'Authorization: Bearer TOKEN'";
            Problem::new(Code::Unauthenticated, detail)
        }),
    }
}

fn bearer(value: &HeaderValue) -> Result<&str, Problem> {
    value
        .to_str()
        .ok()
        .and_then(|text| text.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim())
        .filter(|token| !token.is_empty())
        .ok_or_else(|| {
            let detail = "the Authorization header is not of the form 'Bearer TOKEN'";
            Problem::new(Code::Unauthenticated, detail)
        })
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == COOKIE_NAME).map(|(_, value)| value)
}

fn is_of_own_page(registry: &Registry, headers: &HeaderMap, session: &Session) -> Result<(), Problem> {
    if !is_same_origin(headers) {
        let detail = "a change by a session comes from this registry's own pages, and the Sec-Fetch-Site or Origin of \
                      this request says otherwise, or is missing: send a token in the Authorization header instead";
        return Err(Problem::new(Code::CrossSite, detail));
    }
    let given = headers.get(&CSRF_TOKEN).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !registry.is_csrf_token(session, given)? {
        let detail = "a change by a session carries the header X-CSRF-Token, with the csrfToken that GET /api/session \
                      tells";
        return Err(Problem::new(Code::CrossSite, detail));
    }
    Ok(())
}

/// Browsers say it in `Sec-Fetch-Site`, which no page can write. Older ones send `Origin`, to be compared with the host
/// that they ask.
fn is_same_origin(headers: &HeaderMap) -> bool {
    let text = |name: &HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    match (text(&FETCH_SITE), text(&ORIGIN)) {
        (Some(site), _) => site == "same-origin",
        (None, Some(origin)) => {
            let Ok(origin) = origin.parse::<Url>() else { return false };
            let asked = text(&HOST).and_then(|host| format!("{}://{host}", origin.scheme()).parse::<Url>().ok());
            asked.is_some_and(|asked| asked.origin().is_tuple() && asked.origin() == origin.origin())
        }
        (None, None) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_page_of_the_host_that_is_asked_is_its_own() {
        for (headers, is_own) in [
            (&[("sec-fetch-site", "same-origin")][..], true),
            (&[("sec-fetch-site", "same-origin"), ("origin", "https://proxied.example"), ("host", "inner")], true),
            (&[("sec-fetch-site", "same-site")], false),
            (&[("sec-fetch-site", "cross-site"), ("origin", "https://r.example"), ("host", "r.example")], false),
            (&[("sec-fetch-site", "none")], false),
            (&[("origin", "https://r.example"), ("host", "r.example")], true),
            (&[("origin", "https://r.example"), ("host", "r.example:443")], true),
            (&[("origin", "http://r.example:8080"), ("host", "r.example:8080")], true),
            (&[("origin", "http://r.example:8081"), ("host", "r.example:8080")], false),
            (&[("origin", "https://evil.example"), ("host", "r.example")], false),
            (&[("origin", "null"), ("host", "r.example")], false),
            (&[("origin", "https://r.example")], false),
            (&[("host", "r.example")], false),
        ] {
            let given: HeaderMap = headers
                .iter()
                .map(|&(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
                .collect();
            assert_eq!(is_same_origin(&given), is_own, "{headers:?}");
        }
    }

    #[test]
    fn a_cookie_is_found_among_others_and_a_header_comes_before_it() {
        let headers = |pairs: &[(&'static str, &'static str)]| -> HeaderMap {
            let pair = |&(name, value): &(&'static str, &'static str)| {
                (HeaderName::from_static(name), HeaderValue::from_static(value))
            };
            pairs.iter().map(pair).collect()
        };
        let found = headers(&[("cookie", "a=b; __Host-hallmark=v1.x.y"), ("cookie", "c=d")]);
        assert!(matches!(shown(&found), Ok(Shown::Session("v1.x.y"))));
        let both = headers(&[("cookie", "__Host-hallmark=v1.x.y"), ("authorization", "Bearer hm_1")]);
        assert!(matches!(shown(&both), Ok(Shown::Token("hm_1"))));
        assert!(shown(&headers(&[("cookie", "x__Host-hallmark=v1; hallmark=v1")])).is_err());
    }
}
