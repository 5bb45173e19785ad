//! Answers: a body that is serialised once, straight into the bytes that are sent.

use std::convert::Infallible;

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, ETAG, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, Response};
use bytes::Bytes;
use futures_util::stream;
use serde::Serialize;
use tokio::sync::mpsc::UnboundedReceiver;

use super::error::{Problem, Success};

/// What a handler gives.
pub type Answer = Result<Reply, Problem>;

/// A request that was served.
#[derive(Debug)]
pub struct Reply {
    success: Success,
    content_type: HeaderValue,
    location: Option<HeaderValue>,
    etag: Option<HeaderValue>,
    body: Content,
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
        let content_type = HeaderValue::from_static("application/json");
        Ok(Self { success, content_type, location: None, etag: None, body: Content::Whole(body.into()) })
    }

    /// A text answer.
    pub fn text(content_type: &'static str, text: String) -> Self {
        let content_type = HeaderValue::from_static(content_type);
        Self { success: Success::Found, content_type, location: None, etag: None, body: Content::Whole(text.into()) }
    }

    /// JSON lines, each sent as it comes, until their sender is gone.
    pub fn lines(lines: UnboundedReceiver<Bytes>) -> Self {
        let content_type = HeaderValue::from_static("application/x-ndjson");
        Self { success: Success::Found, content_type, location: None, etag: None, body: Content::Lines(lines) }
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
        *response.status_mut() = self.success.status();
        response.headers_mut().insert(CONTENT_TYPE, self.content_type);
        if let Some(location) = self.location {
            response.headers_mut().insert(LOCATION, location);
        }
        if let Some(etag) = self.etag {
            response.headers_mut().insert(ETAG, etag);
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
