//! The server, as the other subcommands reach it: one request, its answer or the problem that it tells.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, anyhow};
use serde::Deserialize;
use serde_json::Value;
use ureq::http::{HeaderValue, Request, Response};
use ureq::middleware::{Middleware, MiddlewareNext};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::typestate::WithBody;
use ureq::{Agent, Body, RequestBuilder, SendBody};

use super::{Trouble, show};
use crate::names::{EntryId, KindName, Tenant};
use crate::registry::signing::PluginSignature;
use crate::report::{Finding, Remark};

/// Milliseconds until a server must have accepted a connection.
const CONNECT_MAX_MS: u64 = 5_000;
/// Milliseconds that one request may take: a plugin that is pushed is compiled first.
const REQUEST_MAX_MS: u64 = 120_000;
/// Bytes of a body from which on a server is asked first whether it reads it.
const ANNOUNCED_FROM_BYTES: usize = 64 * 1024;
/// Bytes of an answer that are read.
const ANSWER_MAX_BYTES: u64 = 64 * 1024 * 1024;

/// Which server, and who asks.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The server.
    #[arg(long, default_value = "http://127.0.0.1:8080", value_name = "URL")]
    server: String,
    /// The token. A command line is seen by every user of the machine: prefer --token-file or the environment.
    #[arg(long, conflicts_with = "token_file")]
    token: Option<String>,
    /// The file that the token is in.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Certificates (PEM) that the server's must be signed by, instead of those that everybody trusts.
    #[arg(long, value_name = "FILE")]
    ca_certificate: Option<PathBuf>,
    /// The tenant that is meant, where the token is an issuer's that names none; a token of the registry's own is of one.
    #[arg(long, value_name = "NAME")]
    tenant: Option<Tenant>,
}

/// What a server answers that does not do what was asked (RFC 9457).
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// The kind of problem in words.
    #[serde(default)]
    pub title: String,
    /// The status code.
    #[serde(default)]
    pub status: u16,
    /// What to change.
    #[serde(default)]
    pub detail: String,
    /// The kind of problem for programs.
    #[serde(default)]
    pub code: String,
    /// What the operator finds it by in the log.
    #[serde(default)]
    pub correlation_id: String,
    /// The decision that rejects.
    #[serde(default)]
    pub decision_id: Option<String>,
    #[serde(default)]
    findings: Vec<Value>,
}

impl Problem {
    /// The gate's findings.
    pub fn findings(&self) -> Vec<Finding> {
        self.findings.iter().filter_map(|finding| serde_json::from_value(finding.clone()).ok()).collect()
    }

    /// True where what was sent must change; else the server could not do its part, or would not for this caller.
    pub fn is_about_what_was_sent(&self) -> bool {
        matches!(self.status, 400 | 409 | 412 | 413 | 422 | 428)
    }

    /// Everything that it says, for people.
    pub fn text(&self) -> String {
        let mut text = format!("error[{}]: {}", self.code, show::plain(&self.title));
        if !self.detail.is_empty() {
            text.push_str(&format!("\n  {}", show::plain(&self.detail)));
        }
        for remark in &self.findings {
            if let Ok(remark) = serde_json::from_value::<Remark>(remark.clone()) {
                let place = if remark.path.is_empty() { String::new() } else { format!("{}: ", remark.path) };
                text.push_str(&format!("\n  {}", show::plain(&format!("{place}{}", remark.message))));
                if let Some(help) = &remark.help {
                    text.push_str(&format!("\n    help: {}", show::plain(help)));
                }
            }
        }
        if !self.correlation_id.is_empty() {
            text.push_str(&format!("\n  correlation id: {}", show::plain(&self.correlation_id)));
        }
        text
    }
}

impl From<Problem> for Trouble {
    fn from(problem: Problem) -> Self {
        if problem.is_about_what_was_sent() { Self::Wrong(problem.text()) } else { Self::Refused(problem.text()) }
    }
}

/// Makes every request part of the trace that the environment names, as build servers do (`TRACEPARENT`, `TRACESTATE`).
fn in_trace(mut request: Request<SendBody<'_>>, next: MiddlewareNext<'_>) -> Result<Response<Body>, ureq::Error> {
    for (variable, header) in [("TRACEPARENT", "traceparent"), ("TRACESTATE", "tracestate")] {
        // One that cannot be sent is the server's to ignore: no publish fails for want of a trace.
        if let Some(value) = std::env::var(variable).ok().and_then(|text| HeaderValue::try_from(text).ok()) {
            request.headers_mut().insert(header, value);
        }
    }
    next.handle(request)
}

/// Says with every request which tenant is meant, where one is named.
struct ForTenant(Option<HeaderValue>);

fn header(tenant: &Tenant) -> HeaderValue {
    HeaderValue::from_str(tenant.as_str()).expect("a tenant's name has only letters, digits and dashes")
}

impl Middleware for ForTenant {
    fn handle(
        &self,
        mut request: Request<SendBody<'_>>,
        next: MiddlewareNext<'_>,
    ) -> Result<Response<Body>, ureq::Error> {
        if let Some(name) = &self.0 {
            request.headers_mut().insert("hallmark-tenant", name.clone());
        }
        next.handle(request)
    }
}

/// An answer of success.
#[derive(Debug)]
pub struct Answer {
    /// The body.
    pub body: Value,
    /// The tag that a later request names it by.
    pub etag: Option<String>,
}

/// A server with a token.
pub struct Client {
    agent: Agent,
    server: String,
    token: String,
}

impl Client {
    /// The server that the arguments name.
    ///
    /// # Errors
    /// No token is given, or the file that it is in cannot be read.
    pub fn new(arguments: &Arguments) -> Result<Self, Trouble> {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_connect(Some(Duration::from_millis(CONNECT_MAX_MS)))
            .timeout_global(Some(Duration::from_millis(REQUEST_MAX_MS)))
            .user_agent(concat!("hallmark/", env!("CARGO_PKG_VERSION")))
            .middleware(in_trace)
            .middleware(ForTenant(arguments.tenant.as_ref().map(header)));
        let config = match &arguments.ca_certificate {
            Some(file) => config.tls_config(TlsConfig::builder().root_certs(authorities(file)?).build()).build(),
            None => config.build(),
        };
        let server = arguments.server.trim_end_matches('/').to_owned();
        if !server.starts_with("http://") && !server.starts_with("https://") {
            let message = format!("--server: '{server}' is not a URL: write it as in http://127.0.0.1:8080");
            return Err(Trouble::Usage(message));
        }
        Ok(Self { agent: config.new_agent(), server, token: token(arguments)? })
    }

    /// Asks for what is at the path.
    ///
    /// # Errors
    /// The problem that the server tells, or why it cannot be asked.
    pub fn get(&self, path: &str) -> Result<Answer, Trouble> {
        Ok(self.try_get(path)??)
    }

    /// The same; a problem is a value.
    ///
    /// # Errors
    /// Why the server cannot be asked.
    pub fn try_get(&self, path: &str) -> Result<Result<Answer, Problem>, Trouble> {
        let request = self.agent.get(self.url(path)).header("authorization", &self.authorization());
        self.read(request.call())
    }

    /// Sends JSON to the path.
    ///
    /// # Errors
    /// The problem that the server tells, or why it cannot be asked.
    pub fn post(&self, path: &str, body: &Value) -> Result<Answer, Trouble> {
        Ok(self.try_post(path, body)??)
    }

    /// The same; a problem is a value.
    ///
    /// # Errors
    /// Why the server cannot be asked.
    pub fn try_post(&self, path: &str, body: &Value) -> Result<Result<Answer, Problem>, Trouble> {
        let bytes = serde_json::to_vec(body).expect("a JSON value can be written");
        self.send(path, "application/json", &bytes)
    }

    /// Sends JSON to the path, under a precondition.
    ///
    /// # Errors
    /// The problem that the server tells, or why it cannot be asked.
    pub fn post_if(&self, path: &str, body: &Value, (header, value): (&str, &str)) -> Result<Answer, Trouble> {
        let bytes = serde_json::to_vec(body).expect("a JSON value can be written");
        let request = self.sending(path, "application/json", &bytes).header(header, value);
        Ok(self.read(request.send(&bytes[..]))??)
    }

    /// Sends JSON to what is done to an entry, where the entry is still as it is now.
    ///
    /// # Errors
    /// The problem that the server tells, or why it cannot be asked.
    pub fn change(&self, kind: &KindName, id: &EntryId, what: &str, body: &Value) -> Result<Answer, Trouble> {
        let seen = self.get(&format!("/api/{kind}/{id}"))?;
        let tag = seen.etag.as_deref().unwrap_or("*");
        self.post_if(&format!("/api/{kind}/{id}/{what}"), body, ("if-match", tag))
    }

    /// Sends bytes to the path; a problem is a value.
    ///
    /// # Errors
    /// Why the server cannot be asked.
    pub fn send(&self, path: &str, media_type: &str, bytes: &[u8]) -> Result<Result<Answer, Problem>, Trouble> {
        self.read(self.sending(path, media_type, bytes).send(bytes))
    }

    /// A request with a body. A large one is sent when the server says that it reads it: one that refuses it by its head
    /// alone may close before it is sent, and then nobody would hear why (RFC 9110, 10.1.1).
    fn sending(&self, path: &str, media_type: &str, bytes: &[u8]) -> RequestBuilder<WithBody> {
        let request = self.agent.post(self.url(path)).header("authorization", &self.authorization());
        let request = request.header("content-type", media_type);
        if bytes.len() > ANNOUNCED_FROM_BYTES { request.header("expect", "100-continue") } else { request }
    }

    /// Sends a component with its signature; `step` is told each step as the server begins it.
    ///
    /// # Errors
    /// Why the server cannot be asked.
    pub fn push(
        &self,
        component: &[u8],
        signature: Option<&PluginSignature>,
        mut step: impl FnMut(&str),
    ) -> Result<Result<Value, Problem>, Trouble> {
        let request = self.sending("/api/plugins", "application/wasm", component);
        let mut request = request.header("accept", "application/x-ndjson");
        if let Some(PluginSignature { key_id, signature, .. }) = signature {
            request = request.header("plugin-signature", format!("{key_id} {signature}"));
        }
        let mut answer = request.send(component).map_err(|error| self.no_answer(error))?;
        if answer.status() != 200 || answer.body().mime_type() != Some("application/x-ndjson") {
            return Ok(self.read(Ok(answer))?.map(|answer| answer.body));
        }
        let lines = BufReader::new(answer.body_mut().with_config().limit(ANSWER_MAX_BYTES).reader()).lines();
        for line in lines {
            let line = line.with_context(|| format!("the answer of {} broke off", self.server))?;
            let mut told: Value = serde_json::from_str(&line).context("the server answered a line that is no JSON")?;
            if let Some(name) = told["step"].as_str() {
                step(name);
            } else if told["plugin"].is_object() {
                return Ok(Ok(told["plugin"].take()));
            } else {
                let problem = serde_json::from_value(told["problem"].take());
                return Ok(Err(problem.context("the server answered a line that says nothing")?));
            }
        }
        Err(anyhow!("{} broke off before it said what came of the push: push again", self.server).into())
    }

    /// Has what is at the path removed.
    ///
    /// # Errors
    /// The problem that the server tells, or why it cannot be asked.
    pub fn delete(&self, path: &str) -> Result<Answer, Trouble> {
        let request = self.agent.delete(self.url(path)).header("authorization", &self.authorization());
        Ok(self.read(request.call())??)
    }

    fn no_answer(&self, error: ureq::Error) -> anyhow::Error {
        if error.to_string().contains("invalid peer certificate") {
            let server = &self.server;
            let help = "name who signed it with --ca-certificate FILE";
            return anyhow!(error).context(format!("the certificate of {server} is not believed: {help}"));
        }
        anyhow!(error).context(format!("no answer from {}: does 'hallmark serve' run there? (--server)", self.server))
    }

    /// Asks for a text.
    ///
    /// # Errors
    /// The problem that the server tells, or why it cannot be asked.
    pub fn get_text(&self, path: &str) -> Result<String, Trouble> {
        let request = self.agent.get(self.url(path)).header("authorization", &self.authorization());
        let bytes = self.read_bytes(request.call())??;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.server)
    }

    fn authorization(&self) -> String {
        format!("Bearer {}", self.token)
    }

    fn read(&self, answer: Result<Response<Body>, ureq::Error>) -> Result<Result<Answer, Problem>, Trouble> {
        let tag = |answer: &Response<Body>| answer.headers().get("etag")?.to_str().ok().map(str::to_owned);
        let etag = answer.as_ref().ok().and_then(tag);
        let bytes = match self.read_bytes(answer)? {
            Ok(bytes) => bytes,
            Err(problem) => return Ok(Err(problem)),
        };
        let body = serde_json::from_slice(&bytes).map_err(|_| self.foreign("200"))?;
        Ok(Ok(Answer { body, etag }))
    }

    fn foreign(&self, status: &str) -> anyhow::Error {
        anyhow!("{} answered {status} and no JSON: is it a Hallmark server? (--server)", self.server)
    }

    fn read_bytes(&self, answer: Result<Response<Body>, ureq::Error>) -> Result<Result<Vec<u8>, Problem>, Trouble> {
        let mut answer = answer.map_err(|error| self.no_answer(error))?;
        let status = answer.status().as_u16();
        let bytes = answer.body_mut().with_config().limit(ANSWER_MAX_BYTES).read_to_vec();
        let bytes = bytes.with_context(|| format!("the answer of {} broke off", self.server))?;
        if (200..300).contains(&status) {
            return Ok(Ok(bytes));
        }
        let mut problem: Problem = serde_json::from_slice(&bytes).map_err(|_| self.foreign(&status.to_string()))?;
        problem.status = status;
        Ok(Err(problem))
    }
}

/// Whom the server's certificate is believed from.
fn authorities(file: &Path) -> Result<RootCerts, Trouble> {
    let wrong = |why: &str| Trouble::Usage(format!("--ca-certificate: {}: {why}", file.display()));
    let pem = std::fs::read(file).map_err(|error| wrong(&error.to_string()))?;
    let certificates: Vec<Certificate<'static>> = parse_pem(&pem)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    match certificates.is_empty() {
        true => Err(wrong("it holds no certificate (PEM)")),
        false => Ok(RootCerts::new_with_certs(&certificates)),
    }
}

fn token(arguments: &Arguments) -> Result<String, Trouble> {
    let token = match (&arguments.token, &arguments.token_file) {
        (Some(token), _) => token.clone(),
        (None, Some(file)) => std::fs::read_to_string(file)
            .map_err(|error| Trouble::Usage(format!("--token-file: {}: {error}", file.display())))?,
        (None, None) => {
            let message = "no token: give --token-file FILE, or set token_file in hallmark.toml, HALLMARK_TOKEN_FILE \
                           or HALLMARK_TOKEN (a server keeps its first in admin.token in its data folder)";
            return Err(Trouble::Usage(message.to_owned()));
        }
    };
    let token = token.trim();
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Trouble::Usage("the token is empty or has characters that no token has".to_owned()));
    }
    Ok(token.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn problem(document: Value) -> Problem {
        serde_json::from_value(document).expect("a problem")
    }

    #[test]
    fn problems_are_told_with_everything_to_act_on() {
        let rules = problem(json!({
            "type": "urn:hallmark:problem:bad-rules", "title": "The rules are refused", "status": 422,
            "detail": "the rules are refused", "code": "bad-rules", "correlationId": "0190",
            "findings": [
                {"severity": "error", "code": "rules.kind", "path": "/kinds/0/name", "message": "taken", "help": "rename"},
                {"severity": "error", "code": "rules.kind", "path": "", "message": "no\u{1b}[2Jkinds"},
            ],
        }));
        assert_eq!(
            rules.text(),
            "error[bad-rules]: The rules are refused\n  the rules are refused\n  /kinds/0/name: taken\n    help: rename\n  \
             no\u{fffd}[2Jkinds\n  correlation id: 0190"
        );
        assert!(rules.is_about_what_was_sent());
        let broken =
            problem(json!({"title": "A plugin broke", "status": 503, "code": "plugin-failed", "plugin": "cel",
            "detail": "plugin cel overran its deadline (plugin_deadline_ms = 250)"}));
        assert_eq!(
            broken.text(),
            "error[plugin-failed]: A plugin broke\n  plugin cel overran its deadline (plugin_deadline_ms = 250)"
        );
        assert!(!broken.is_about_what_was_sent());
    }

    fn refused(server: &str, token: Option<&str>, token_file: Option<&str>) -> String {
        let arguments = Arguments {
            server: server.to_owned(),
            token: token.map(str::to_owned),
            token_file: token_file.map(PathBuf::from),
            ca_certificate: None,
            tenant: None,
        };
        match Client::new(&arguments) {
            Err(Trouble::Usage(message)) => message,
            _ => String::new(),
        }
    }

    #[test]
    fn says_what_keeps_it_from_asking() {
        assert_eq!(
            refused("http://localhost", None, None),
            "no token: give --token-file FILE, or set token_file in hallmark.toml, HALLMARK_TOKEN_FILE or \
             HALLMARK_TOKEN (a server keeps its first in admin.token in its data folder)"
        );
        assert_eq!(
            refused("localhost:1", Some("hm_1"), None),
            "--server: 'localhost:1' is not a URL: write it as in http://127.0.0.1:8080"
        );
        assert_eq!(
            refused("http://localhost", None, Some("/nowhere/token")),
            "--token-file: /nowhere/token: No such file or directory (os error 2)"
        );
        assert_eq!(
            refused("http://localhost", Some("a b"), None),
            "the token is empty or has characters that no token has"
        );
        // Port 1 is nobody's.
        let arguments = Arguments {
            server: "http://127.0.0.1:1/".to_owned(),
            token: Some("hm_1".into()),
            token_file: None,
            ca_certificate: None,
            tenant: None,
        };
        let asked = Client::new(&arguments).expect("a client").get("/api/modules");
        let Err(Trouble::CouldNotRun(error)) = asked else { panic!("{asked:?}") };
        assert_eq!(error.to_string(), "no answer from http://127.0.0.1:1: does 'hallmark serve' run there? (--server)");
    }
}
