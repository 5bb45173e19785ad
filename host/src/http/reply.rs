//! Answers: a body that is serialised once, straight into the bytes that are sent.

use std::convert::Infallible;

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, ETAG, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderName, HeaderValue, Response, StatusCode};
use bytes::Bytes;
use futures_util::stream;
use serde::Serialize;
use tokio::sync::mpsc::UnboundedReceiver;

use super::error::{Problem, Success, kept_status};
use crate::registry::idempotency::KeptAnswer;

/// Says that an answer was given before, to the same request.
static REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// What a handler gives.
pub type Answer = Result<Reply, Problem>;

/// A request that was served.
#[derive(Debug)]
pub struct Reply {
    status: StatusCode,
    content_type: HeaderValue,
    location: Option<HeaderValue>,
    etag: Option<HeaderValue>,
    body: Content,
    /// It is an answer that was given before.
    is_again: bool,
    /// It may be kept nowhere.
    is_secret: bool,
}

#[derive(Debug)]
enum Content {
    Whole(Bytes),
    /// Sent as they come.
    Lines(UnboundedReceiver<Bytes>),
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
        let (location, etag) = (None, None);
        Self { status: success.status(), content_type, location, etag, body, is_again: false, is_secret: false }
    }

    /// A text answer.
    pub fn text(content_type: &'static str, text: String) -> Self {
        Self::of(Success::Found, content_type, Content::Whole(text.into()))
    }

    /// JSON lines, each sent as it comes, until their sender is gone.
    pub fn lines(lines: UnboundedReceiver<Bytes>) -> Self {
        Self::of(Success::Found, "application/x-ndjson", Content::Lines(lines))
    }

    /// An answer that was kept; none where its body was not.
    pub fn again(kept: KeptAnswer) -> Option<Self> {
        let header = |text: Option<String>| text.and_then(|text| HeaderValue::try_from(text).ok());
        Some(Self {
            status: kept_status(kept.status),
            content_type: HeaderValue::try_from(kept.content_type).ok()?,
            location: header(kept.location),
            etag: header(kept.etag),
            body: Content::Whole(kept.body?.into()),
            is_again: true,
            is_secret: false,
        })
    }

    /// The same; what it says is kept nowhere.
    #[must_use]
    pub fn secret(mut self) -> Self {
        self.is_secret = true;
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

    /// The release that is active: what `If-Match` is compared with.
    #[must_use]
    pub fn of_release(mut self, number: Option<i64>) -> Self {
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
    if let Some(seconds) = extra.retry_after {
        headers.insert(RETRY_AFTER, HeaderValue::from_static(seconds));
    }
    if let Some(challenge) = extra.www_authenticate {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    }
    response
}
