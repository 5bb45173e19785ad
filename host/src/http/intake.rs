//! What a request may carry: its media type is judged before a byte of the body is read, and the body is read no
//! further than its limit.

use std::time::Duration;

use axum::body::{Body, BodyDataStream, HttpBody as _};
use axum::http::header::{CONTENT_TYPE, EXPECT};
use axum::http::{HeaderMap, HeaderValue};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;

use super::error::{Code, Problem};
use crate::config::Limits;
use crate::registry::decode::Format;

/// What a route reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Intake {
    /// No body.
    Nothing,
    /// A document: JSON or YAML.
    Document,
    /// JSON alone.
    Json,
    /// A scope's rules, as JSON.
    Rules,
    /// A component's bytes.
    Component,
}

impl Intake {
    /// How the body is written. A route without a body has no say in it.
    ///
    /// # Errors
    /// The Content-Type is missing, or not one that is read here.
    pub fn format(self, headers: &HeaderMap) -> Result<Format, Problem> {
        if self == Self::Nothing {
            return Ok(Format::Json);
        }
        let Some(value) = headers.get(CONTENT_TYPE) else {
            return Err(self.refusal("the request has no Content-Type"));
        };
        let Some((essence, charset)) = parse(value) else {
            return Err(self.refusal("the Content-Type cannot be read"));
        };
        if let Some(charset) = charset.filter(|charset| !charset.eq_ignore_ascii_case("utf-8")) {
            return Err(self.refusal(&format!("charset '{charset}' is not read, only utf-8")));
        }
        let (kind, subtype) = essence.split_once('/').unwrap_or((&essence, ""));
        let is_json = essence == "application/json" || (kind == "application" && subtype.ends_with("+json"));
        let is_yaml = matches!(&*essence, "application/yaml" | "application/x-yaml" | "text/yaml" | "text/x-yaml")
            || (kind == "application" && subtype.ends_with("+yaml"));
        let is_component = matches!(&*essence, "application/wasm" | "application/octet-stream");
        match self {
            Self::Document | Self::Json | Self::Rules if is_json => Ok(Format::Json),
            Self::Document if is_yaml => Ok(Format::Yaml),
            Self::Component if is_component => Ok(Format::Json),
            _ => Err(self.refusal(&format!("Content-Type '{essence}' is not read here"))),
        }
    }

    /// The media types that are told of; others say the same.
    pub fn media_types(self) -> &'static [&'static str] {
        match self {
            Self::Document => &["application/json", "application/yaml", "application/x-yaml", "text/yaml"],
            Self::Component => &["application/wasm", "application/octet-stream"],
            Self::Json | Self::Rules => &["application/json"],
            Self::Nothing => &[],
        }
    }

    fn refusal(self, what: &str) -> Problem {
        let accepted = match self.media_types() {
            [one] => (*one).to_owned(),
            [others @ .., last] => format!("{} or {last}", others.join(", ")),
            [] => String::new(),
        };
        Problem::new(Code::MediaType, format!("{what}: send {accepted}"))
    }

    /// Whether the route takes a component or rules.
    pub fn is_change(self) -> bool {
        matches!(self, Self::Component | Self::Rules)
    }

    /// The limit on its body, by name.
    pub fn limit(self, limits: &Limits) -> (&'static str, usize) {
        match self {
            Self::Component => ("plugin_component_max_bytes", limits.plugin_component_max_bytes),
            Self::Rules => ("rules_size_max_bytes", limits.rules_size_max_bytes),
            _ => ("document_size_max_bytes", limits.document_size_max_bytes),
        }
    }

    /// The whole body.
    ///
    /// # Errors
    /// It is larger than its limit, came too slowly, or ended before its end.
    pub async fn read(self, body: Body, limits: &Limits) -> Result<Bytes, Problem> {
        if self == Self::Nothing {
            return Ok(Bytes::new());
        }
        let (limit, limit_bytes) = self.limit(limits);
        let announced_bytes = body.size_hint().lower();
        let mut stream = body.into_data_stream();
        let read = async {
            if announced_bytes > u64::try_from(limit_bytes).unwrap_or(u64::MAX) {
                return Err(Unread::TooLarge);
            }
            collect(&mut stream, limit_bytes).await
        };
        match tokio::time::timeout(Duration::from_millis(limits.request_read_max_ms), read).await {
            Ok(Ok(bytes)) => Ok(bytes),
            Ok(Err(Unread::TooLarge)) => {
                discard(stream).await;
                Err(Problem::too_large(limit, limit_bytes))
            }
            Ok(Err(Unread::Broken)) => {
                Err(Problem::new(Code::Malformed, "the body ended before its end: send it again"))
            }
            Err(_) => {
                let detail = format!(
                    "the body did not come within request_read_max_ms = {}: send it faster",
                    limits.request_read_max_ms
                );
                Err(Problem::new(Code::TooSlow, detail).limited_by("request_read_max_ms"))
            }
        }
    }
}

/// The type and subtype in lower case, and the charset. Other parameters do not change what is read.
fn parse(value: &HeaderValue) -> Option<(String, Option<&str>)> {
    let mut parts = value.to_str().ok()?.split(';');
    let essence = parts.next()?.trim().to_ascii_lowercase();
    let charset = parts
        .filter_map(|parameter| parameter.split_once('='))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("charset"))
        .map(|(_, value)| value.trim().trim_matches('"'));
    Some((essence, charset))
}

enum Unread {
    TooLarge,
    Broken,
}

async fn collect(stream: &mut BodyDataStream, limit_bytes: usize) -> Result<Bytes, Unread> {
    // Most bodies are one chunk, which is handed on as it came.
    let Some(first) = next(stream).await? else { return Ok(Bytes::new()) };
    if first.len() > limit_bytes {
        return Err(Unread::TooLarge);
    }
    let Some(second) = next(stream).await? else { return Ok(first) };
    let mut whole = BytesMut::from(first);
    let mut chunk = second;
    loop {
        if chunk.len() > limit_bytes - whole.len() {
            return Err(Unread::TooLarge);
        }
        whole.extend_from_slice(&chunk);
        match next(stream).await? {
            Some(more) => chunk = more,
            None => return Ok(whole.freeze()),
        }
    }
}

async fn next(stream: &mut BodyDataStream) -> Result<Option<Bytes>, Unread> {
    stream.next().await.transpose().map_err(|_| Unread::Broken)
}

/// Bytes and milliseconds for which a refused body is read on and thrown away. A client that is still sending when the
/// connection closes often never sees the answer that says why.
const DISCARD_MAX_BYTES: usize = 64 * 1024 * 1024;
const DISCARD_MAX_MS: u64 = 2_000;

/// A body that nobody has read yet.
pub struct Incoming {
    body: Body,
    /// Its sender waits to be told to send it, and reads the answer otherwise (RFC 9110, 10.1.1).
    is_held_back: bool,
}

impl Incoming {
    /// The body of a request with these headers.
    pub fn of(body: Body, headers: &HeaderMap) -> Self {
        Self { body, is_held_back: headers.contains_key(EXPECT) }
    }

    /// What is to be read.
    pub fn take(&mut self) -> Body {
        std::mem::take(&mut self.body)
    }

    /// Throws away what is left where the request is refused without it.
    pub async fn discard(&mut self) {
        if !self.is_held_back {
            discard(self.take().into_data_stream()).await;
        }
    }
}

async fn discard(mut stream: BodyDataStream) {
    let reading = async {
        let mut discarded = 0;
        while let Ok(Some(chunk)) = next(&mut stream).await {
            discarded += chunk.len();
            if discarded > DISCARD_MAX_BYTES {
                break;
            }
        }
    };
    let _ = tokio::time::timeout(Duration::from_millis(DISCARD_MAX_MS), reading).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn format(intake: Intake, content_type: &'static str) -> Result<Format, Problem> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        intake.format(&headers)
    }

    #[test]
    fn media_types_say_how_a_body_is_written() {
        for json in
            ["application/json", "Application/JSON; charset=UTF-8", "application/vnd.x+json", "application/json;a=b"]
        {
            assert_eq!(format(Intake::Document, json).expect(json), Format::Json);
        }
        for yaml in ["application/yaml", "application/x-yaml", "text/yaml; charset=\"utf-8\"", "text/x-yaml"] {
            assert_eq!(format(Intake::Document, yaml).expect(yaml), Format::Yaml);
            assert!(format(Intake::Json, yaml).is_err());
        }
        assert!(format(Intake::Component, "application/wasm").is_ok());
        assert!(format(Intake::Document, "application/wasm").is_err());
        assert!(format(Intake::Document, "").is_err());
    }

    #[test]
    fn a_refused_media_type_says_what_is_accepted() {
        let detail = |result: Result<Format, Problem>| {
            let (body, _) = result.expect_err("refused").document("id");
            serde_json::from_slice::<serde_json::Value>(&body).expect("JSON")["detail"].as_str().map(str::to_owned)
        };
        assert_eq!(
            detail(Intake::Document.format(&HeaderMap::new())).as_deref(),
            Some(
                "the request has no Content-Type: send application/json, application/yaml, application/x-yaml or text/yaml"
            )
        );
        assert_eq!(
            detail(format(Intake::Json, "application/json; charset=latin1")).as_deref(),
            Some("charset 'latin1' is not read, only utf-8: send application/json")
        );
        assert_eq!(
            detail(format(Intake::Component, "text/plain")).as_deref(),
            Some("Content-Type 'text/plain' is not read here: send application/wasm or application/octet-stream")
        );
    }

    fn chunks(sizes: &[usize]) -> Body {
        let chunks: Vec<Result<Bytes, std::io::Error>> =
            sizes.iter().map(|size| Ok(Bytes::from(vec![b'x'; *size]))).collect();
        Body::from_stream(futures_util::stream::iter(chunks))
    }

    #[tokio::test]
    async fn reads_no_further_than_the_limit() {
        let limits = Limits { document_size_max_bytes: 10, ..Limits::default() };
        for fits in [&[][..], &[10], &[4, 6], &[1, 2, 3, 4]] {
            let read = Intake::Document.read(chunks(fits), &limits).await.expect("it fits");
            assert_eq!(read.len(), fits.iter().sum::<usize>());
        }
        for over in [&[11][..], &[10, 1], &[4, 4, 4]] {
            let problem = Intake::Document.read(chunks(over), &limits).await.expect_err("too large");
            assert_eq!(problem.code(), Code::TooLarge);
        }
        let announced = Body::from(vec![0; 11]);
        let problem = Intake::Document.read(announced, &limits).await.expect_err("too large");
        assert_eq!(problem.code(), Code::TooLarge);
    }

    #[tokio::test]
    async fn a_body_that_never_comes_is_given_up() {
        let limits = Limits { request_read_max_ms: 1, ..Limits::default() };
        let never = Body::from_stream(futures_util::stream::pending::<Result<Bytes, std::io::Error>>());
        let problem = Intake::Json.read(never, &limits).await.expect_err("too slow");
        assert_eq!(problem.code(), Code::TooSlow);
        let (document, _) = problem.document("id");
        let document: serde_json::Value = serde_json::from_slice(&document).expect("JSON");
        assert_eq!(document["limit"], "request_read_max_ms");
        assert_eq!(document["detail"], "the body did not come within request_read_max_ms = 1: send it faster");
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_is_malformed() {
        let broken =
            Body::from_stream(futures_util::stream::iter([Ok(Bytes::from("{")), Err(std::io::Error::other("gone"))]));
        let problem = Intake::Json.read(broken, &Limits::default()).await.expect_err("broken");
        assert_eq!(problem.code(), Code::Malformed);
    }
}
