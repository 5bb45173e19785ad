//! Answers: a body that is serialised once, straight into the bytes that are sent.

use std::convert::Infallible;

use axum::body::Body;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, LINK, LOCATION, RETRY_AFTER, SET_COOKIE,
    WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use bytes::Bytes;
use futures_util::stream;
use serde::Serialize;
use tokio::sync::mpsc::{Receiver, UnboundedReceiver};

use super::error::{Problem, Success, kept_status};
use crate::names::Digest;
use crate::registry::idempotency::KeptAnswer;

/// Says that an answer was given before, to the same request.
static REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// What a handler gives.
pub type Answer = Result<Reply, Problem>;

/// The answers that a reader has: the tags of its `If-None-Match`.
pub struct Known(Vec<HeaderValue>);

impl Known {
    /// Those of a request.
    pub fn of(headers: &HeaderMap) -> Self {
        Self(headers.get_all(IF_NONE_MATCH).iter().cloned().collect())
    }

    /// True where this tag is among them; weak ones compare as strong ones do (RFC 9110, 8.8.3.2), and our tags have no
    /// commas.
    fn names(&self, tag: &HeaderValue) -> bool {
        let listed = self.0.iter().filter_map(|value| value.to_str().ok()).flat_map(|text| text.split(','));
        let mut bare = listed.map(|one| one.trim()).map(|one| one.strip_prefix("W/").unwrap_or(one));
        bare.any(|one| one == "*" || one.as_bytes() == tag.as_bytes())
    }
}

/// A request that was served.
#[derive(Debug)]
pub struct Reply {
    status: StatusCode,
    content_type: HeaderValue,
    location: Option<HeaderValue>,
    etag: Option<HeaderValue>,
    link: Option<HeaderValue>,
    cache: Option<HeaderValue>,
    cookie: Option<HeaderValue>,
    /// What a page may do.
    policy: Option<HeaderValue>,
    body: Content,
    /// It is an answer that was given before.
    is_again: bool,
    /// It may be kept nowhere.
    is_secret: bool,
    /// Its tag is the release's that is active, or none where none is.
    is_of_release: bool,
    /// It shows an entry that is at this revision.
    revision: Option<i64>,
}

#[derive(Debug)]
enum Content {
    Whole(Bytes),
    /// Sent as they come.
    Lines(UnboundedReceiver<Bytes>),
    /// Sent as they come, while their sender waits for a slow reader.
    Events(Receiver<Bytes>),
}

impl Reply {
    /// A JSON answer.
    ///
    /// # Errors
    /// The value cannot be written, which is a defect.
    pub fn json(success: Success, value: &impl Serialize) -> Answer {
        let body = serde_json::to_vec(value).map_err(Problem::internal)?;
        Ok(Self::of(success, "application/json", Content::Whole(body.into())))
    }

    fn of(success: Success, content_type: &'static str, body: Content) -> Self {
        let content_type = HeaderValue::from_static(content_type);
        let (status, (location, etag, link, cache, cookie)) = (success.status(), Default::default());
        Self {
            status,
            content_type,
            location,
            etag,
            link,
            cache,
            cookie,
            policy: None,
            body,
            is_again: false,
            is_secret: false,
            is_of_release: false,
            revision: None,
        }
    }

    /// A text answer.
    pub fn text(content_type: &'static str, text: String) -> Self {
        Self::of(Success::Found, content_type, Content::Whole(text.into()))
    }

    /// JSON lines, each sent as it comes, until their sender is gone.
    pub fn lines(lines: UnboundedReceiver<Bytes>) -> Self {
        Self::of(Success::Found, "application/x-ndjson", Content::Lines(lines))
    }

    /// Server-sent events, each sent as it comes, until their sender is gone. No store of answers may hold them back.
    pub fn events(events: Receiver<Bytes>) -> Self {
        let cache = Some(HeaderValue::from_static("no-store"));
        Self { cache, ..Self::of(Success::Found, "text/event-stream", Content::Events(events)) }
    }

    /// An answer that was kept; none where its body was not.
    pub fn again(kept: KeptAnswer) -> Option<Self> {
        let header = |text: Option<String>| text.and_then(|text| HeaderValue::try_from(text).ok());
        Some(Self {
            status: kept_status(kept.status),
            content_type: HeaderValue::try_from(kept.content_type).ok()?,
            location: header(kept.location),
            etag: header(kept.etag),
            link: None,
            cache: None,
            cookie: None,
            policy: None,
            body: Content::Whole(kept.body?.into()),
            is_again: true,
            is_secret: false,
            is_of_release: false,
            revision: None,
        })
    }

    /// The same; what it says is kept nowhere.
    #[must_use]
    pub fn secret(mut self) -> Self {
        self.is_secret = true;
        self.cache = Some(HeaderValue::from_static("no-store"));
        self
    }

    /// The same, and the browser keeps a cookie.
    #[must_use]
    pub fn with_cookie(mut self, cookie: HeaderValue) -> Self {
        self.cookie = Some(cookie);
        self
    }

    /// What is kept of it; none where it is not whole, or longer than may be kept.
    pub fn to_keep(&self, limit_bytes: usize) -> Option<KeptAnswer> {
        let Content::Whole(bytes) = &self.body else { return None };
        let text = std::str::from_utf8(bytes).ok().filter(|text| text.len() <= limit_bytes)?;
        let header = |value: &HeaderValue| value.to_str().map(str::to_owned).ok();
        Some(KeptAnswer {
            status: self.status.as_u16(),
            content_type: header(&self.content_type)?,
            location: self.location.as_ref().and_then(header),
            etag: self.etag.as_ref().and_then(header),
            body: (!self.is_secret).then(|| text.to_owned()),
        })
    }

    /// Where the thing that was made is. Names have only characters that a path may have, save for `+` and `:`,
    /// which need no escape in one.
    #[must_use]
    pub fn at(mut self, path: &str) -> Self {
        self.location = HeaderValue::from_str(path).ok();
        self
    }

    /// Where the next page is, as a link.
    #[must_use]
    pub fn followed_by(mut self, next: Option<String>) -> Self {
        self.link = next.and_then(|link| HeaderValue::try_from(link).ok());
        self
    }

    /// What is there under this digest and will never be anything else.
    pub fn forever(digest: &Digest, text: Bytes) -> Self {
        let etag = HeaderValue::try_from(format!("\"{digest}\"")).ok();
        let cache = Some(HeaderValue::from_static("private, max-age=31536000, immutable"));
        Self { etag, cache, ..Self::of(Success::Found, "application/json", Content::Whole(text)) }
    }

    /// What says the same to everybody until the host is another; any store may keep it, and asks whether it still does.
    pub fn of_everybody(content_type: &'static str, bytes: &'static [u8]) -> Self {
        let cache = Some(HeaderValue::from_static("public, no-cache"));
        Self { cache, ..Self::of(Success::Found, content_type, Content::Whole(Bytes::from_static(bytes))) }
    }

    /// The same, asked for by a name that stands for nothing else.
    #[must_use]
    pub fn for_good(mut self) -> Self {
        self.cache = Some(HeaderValue::from_static("public, max-age=31536000, immutable"));
        self
    }

    /// The same as a page that may do no more than its policy says.
    #[must_use]
    pub fn under(mut self, policy: &str) -> Self {
        self.policy = HeaderValue::from_str(policy).ok();
        self
    }

    /// The answer to a reader who may have it already (RFC 9110, 13.1.2): a strong tag over its bytes, and no body where
    /// the reader named it. A tag that says something else than the bytes is left as it is.
    #[must_use]
    pub fn unless_known(mut self, known: &Known) -> Self {
        let Content::Whole(bytes) = &self.body else { return self };
        if self.status != Success::Found.status() || self.is_of_release {
            return self;
        }
        let tag = self.etag.take().or_else(|| {
            let digest = Digest::of(bytes);
            // An entry's begins with its revision, which `If-Match` is compared with; the bytes may differ otherwise.
            let text = match self.revision {
                Some(revision) => format!("\"{revision}-{}\"", &digest.hex()[..16]),
                None => format!("\"{}\"", digest.hex()),
            };
            HeaderValue::try_from(text).ok()
        });
        self.cache.get_or_insert(HeaderValue::from_static("private, no-cache"));
        if tag.as_ref().is_some_and(|tag| known.names(tag)) {
            self.status = Success::Unchanged.status();
            self.body = Content::Whole(Bytes::new());
        }
        self.etag = tag;
        self
    }

    /// The entry's revision: what `If-Match` is compared with.
    #[must_use]
    pub fn at_revision(mut self, revision: i64) -> Self {
        self.revision = Some(revision);
        self
    }

    /// The same, of an answer to a change: its tag is the revision alone.
    #[must_use]
    pub fn now_at(mut self, revision: i64) -> Self {
        self.etag = HeaderValue::try_from(format!("\"{revision}\"")).ok();
        self
    }

    /// The release that is active: what `If-Match` is compared with.
    #[must_use]
    pub fn of_release(mut self, number: Option<i64>) -> Self {
        self.is_of_release = true;
        self.etag = number.and_then(|number| HeaderValue::try_from(format!("\"{number}\"")).ok());
        self
    }

    /// The response.
    pub fn into_response(self) -> Response<Body> {
        let body = match self.body {
            Content::Whole(bytes) => Body::from(bytes),
            Content::Lines(lines) => Body::from_stream(stream::unfold(lines, async |mut lines| {
                lines.recv().await.map(|line| (Ok::<_, Infallible>(line), lines))
            })),
            Content::Events(events) => Body::from_stream(stream::unfold(events, async |mut events| {
                events.recv().await.map(|event| (Ok::<_, Infallible>(event), events))
            })),
        };
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        response.headers_mut().insert(CONTENT_TYPE, self.content_type);
        if let Some(location) = self.location {
            response.headers_mut().insert(LOCATION, location);
        }
        if let Some(etag) = self.etag {
            response.headers_mut().insert(ETAG, etag);
        }
        if let Some(link) = self.link {
            response.headers_mut().insert(LINK, link);
        }
        if let Some(cache) = self.cache {
            response.headers_mut().insert(CACHE_CONTROL, cache);
        }
        if let Some(cookie) = self.cookie {
            response.headers_mut().insert(SET_COOKIE, cookie);
        }
        if let Some(policy) = self.policy {
            response.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
            response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        }
        if self.is_again {
            response.headers_mut().insert(&REPLAYED, HeaderValue::from_static("true"));
        }
        response
    }
}

/// The response to a request that was not served.
pub fn refusal(problem: &Problem, correlation_id: &str) -> Response<Body> {
    let (body, extra) = problem.document(correlation_id);
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = problem.code().status();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    if let Some(seconds) = extra.retry_after_s {
        headers.insert(RETRY_AFTER, seconds.into());
    }
    if let Some(challenge) = extra.www_authenticate {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    }
    response
}
