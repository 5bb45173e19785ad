//! Every status code and every problem document (RFC 9457). Causes go to the log, never to a stranger.

use axum::http::StatusCode;
use serde::Serialize;
use utoipa::openapi::Ref;
use utoipa::openapi::schema::{AnyOfBuilder, Array, Schema};

use crate::names::{DecisionId, NameError};
use crate::plugin::{Cause, Failure, Unfit};
use crate::registry::RegistryError;
use crate::registry::decode::Malformed;
use crate::registry::store::StoreError;
use crate::report::{Finding, Remark};

// One list makes the codes, their statuses and `ALL`, so that none can be left out of the test over docs/ERRORS.md.
macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $code:literal, $status:ident, $title:literal;)+) => {
        /// What went wrong, as programs tell it apart. `docs/ERRORS.md` says of each who must act.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Code {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Code {
            /// Every code.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The stable word.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $code,)+
                }
            }

            /// Its status.
            pub fn status(self) -> StatusCode {
                match self {
                    $(Self::$name => StatusCode::$status,)+
                }
            }

            /// What it is called.
            pub fn title(self) -> &'static str {
                match self {
                    $(Self::$name => $title,)+
                }
            }
        }
    };
}

codes! {
    /// The body is not the JSON or YAML that it says it is.
    Malformed = "malformed", BAD_REQUEST, "The body cannot be read";
    /// A name in the path or the body does not have its form.
    BadName = "bad-name", BAD_REQUEST, "A name does not have its form";
    /// A query parameter, or a cursor.
    BadQuery = "bad-query", BAD_REQUEST, "The query cannot be read";
    /// A header.
    BadHeader = "bad-header", BAD_REQUEST, "A header cannot be read";
    /// No token, or one that nobody holds.
    Unauthenticated = "unauthenticated", UNAUTHORIZED, "A valid token is needed";
    /// The token is not for this.
    Forbidden = "forbidden", FORBIDDEN, "The token is not for this";
    /// A change by a browser's session may come from somebody else's page.
    CrossSite = "cross-site", FORBIDDEN, "The change may come from another site";
    /// Nothing is served at this path.
    NoRoute = "no-route", NOT_FOUND, "Nothing is served here";
    /// No module declares the kind.
    NoKind = "no-kind", NOT_FOUND, "No such kind";
    /// The named thing is not there.
    NotFound = "not-found", NOT_FOUND, "No such thing";
    /// The path is served, the method is not.
    NoMethod = "no-method", METHOD_NOT_ALLOWED, "The method is not served here";
    /// The body came too slowly.
    TooSlow = "too-slow", REQUEST_TIMEOUT, "The body came too slowly";
    /// A request with the same idempotency key runs.
    IdempotencyRunning = "idempotency-running", CONFLICT, "The request runs already";
    /// The answer to a request that was run once held a secret.
    IdempotencyGone = "idempotency-gone", CONFLICT, "The answer was told once";
    /// The version is there with other content.
    VersionExists = "version-exists", CONFLICT, "The version is published with other content";
    /// The entry is out of service.
    EntryDisabled = "entry-disabled", CONFLICT, "The entry is disabled";
    /// The version that is to become active was taken back.
    VersionWithdrawn = "version-withdrawn", CONFLICT, "The version was withdrawn";
    /// The scope's active release may not be replaced.
    ScopeFrozen = "scope-frozen", CONFLICT, "The scope is frozen";
    /// Events that were asked for are not kept any more.
    EventsGone = "events-gone", GONE, "The events are not kept any more";
    /// Another release is active than the caller believed.
    ReleaseMoved = "release-moved", PRECONDITION_FAILED, "Another release is active";
    /// The entry is not as the caller believed.
    EntryChanged = "entry-changed", PRECONDITION_FAILED, "The entry has changed";
    /// The host changes no entry without a precondition.
    MatchRequired = "match-required", PRECONDITION_REQUIRED, "A precondition is needed";
    /// More stored manifests would newly fail than the caller allows.
    ImpactTooLarge = "impact-too-large", PRECONDITION_FAILED, "Too many stored manifests would newly fail";
    /// A shadow of the scope runs already.
    ShadowRunning = "shadow-running", CONFLICT, "A shadow runs already";
    /// The body is larger than its limit.
    TooLarge = "too-large", PAYLOAD_TOO_LARGE, "The body is too large";
    /// The body is of a kind that is not read here.
    MediaType = "media-type", UNSUPPORTED_MEDIA_TYPE, "The media type is not read here";
    /// The gate's findings reject the submission.
    Rejected = "rejected", UNPROCESSABLE_ENTITY, "The gate rejects the submission";
    /// Another request came with the same idempotency key.
    IdempotencyReused = "idempotency-reused", UNPROCESSABLE_ENTITY, "The idempotency key was used for another request";
    /// The submission does not say what it is.
    Unidentified = "unidentified", UNPROCESSABLE_ENTITY, "The submission does not say what it is";
    /// The rules cannot be a release.
    BadRules = "bad-rules", UNPROCESSABLE_ENTITY, "The rules are refused";
    /// The change that is asked for cannot be.
    BadChange = "bad-change", UNPROCESSABLE_ENTITY, "The change is refused";
    /// The component cannot be put to work.
    PluginUnfit = "plugin-unfit", UNPROCESSABLE_ENTITY, "The plugin cannot be put to work";
    /// A plugin that must be signed is not, or its signature does not fit.
    PluginUnsigned = "plugin-unsigned", UNPROCESSABLE_ENTITY, "The plugin's signature does not do";
    /// A public key cannot be trusted.
    BadKey = "bad-key", UNPROCESSABLE_ENTITY, "The key cannot be trusted";
    /// What is to be previewed cannot be.
    BadImpact = "bad-impact", UNPROCESSABLE_ENTITY, "The preview cannot be made";
    /// The caller has sent as many requests as it may.
    QuotaExceeded = "quota-exceeded", TOO_MANY_REQUESTS, "Too many requests";
    /// A defect of the host.
    Internal = "internal", INTERNAL_SERVER_ERROR, "The host failed";
    /// The host has as much to do as it can hold.
    Busy = "busy", SERVICE_UNAVAILABLE, "The host is busy";
    /// An enforcing plugin broke.
    PluginFailed = "plugin-failed", SERVICE_UNAVAILABLE, "A plugin broke";
    /// The rules in force are not loaded.
    NotReady = "not-ready", SERVICE_UNAVAILABLE, "The host is not ready";
    /// The database or the object store cannot be reached.
    Unavailable = "unavailable", SERVICE_UNAVAILABLE, "A part of the host cannot be reached";
}

impl Code {
    /// Seconds after which it is worth trying again.
    pub fn retry_after_s(self) -> Option<u64> {
        match self {
            Self::Busy | Self::NotReady | Self::Unavailable | Self::IdempotencyRunning => Some(1),
            Self::PluginFailed => Some(5),
            _ => None,
        }
    }
}

/// What came of a request that was served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Success {
    /// Here it is.
    Found,
    /// It was made.
    Created,
    /// It was there, and nothing was written.
    Skipped,
    /// It was begun and goes on.
    Begun,
    /// The reader has it already.
    Unchanged,
    /// The answer is complete and says that the host is unwell.
    Unwell,
}

impl Success {
    /// Its status.
    pub fn status(self) -> StatusCode {
        match self {
            Self::Found => StatusCode::OK,
            Self::Created => StatusCode::CREATED,
            Self::Skipped | Self::Begun => StatusCode::ACCEPTED,
            Self::Unchanged => StatusCode::NOT_MODIFIED,
            Self::Unwell => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

/// The status of an answer that was kept.
pub fn kept_status(status: u16) -> StatusCode {
    StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// A request that was not served, and everything that its sender is told.
#[derive(Debug)]
pub struct Problem(Box<Inner>);

#[derive(Debug)]
struct Inner {
    code: Code,
    detail: String,
    more: More,
    retry_after_s: Option<u64>,
    cause: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// The members that only some problems have.
#[derive(Debug, Default, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ProblemMore)]
struct More {
    /// Every reason at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = findings_schema)]
    findings: Option<Findings>,
    #[serde(skip_serializing_if = "Option::is_none")]
    decision_id: Option<DecisionId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    impact_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    binding: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    plugin: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<&'static str>,
    /// As draft-ietf-httpapi-ratelimit-headers spells it.
    #[serde(rename = "violated-policies", skip_serializing_if = "Option::is_none")]
    violated_policies: Option<[&'static str; 1]>,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Findings {
    Gate(Vec<Finding>),
    Remarks(Vec<Remark>),
}

/// A finding is a remark as well, so that both may be true of one.
fn findings_schema() -> Schema {
    let of = |name| Array::new(Ref::from_schema_name(name));
    Schema::AnyOf(AnyOfBuilder::new().item(of("Finding")).item(of("Remark")).build())
}

#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Problem)]
pub struct Document<'a> {
    #[serde(rename = "type")]
    kind: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    code: &'a str,
    correlation_id: &'a str,
    #[serde(flatten)]
    more: &'a More,
}

impl Problem {
    /// A problem with a sentence that says what to change.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        let (more, retry_after_s) = (More::default(), code.retry_after_s());
        Self(Box::new(Inner { code, detail: detail.into(), more, retry_after_s, cause: None }))
    }

    /// The caller has sent as many requests as the policy allows.
    pub fn quota_exceeded(detail: String, policy: &'static str, limit: &'static str, retry_after_s: u64) -> Self {
        let mut problem = Self::new(Code::QuotaExceeded, detail).limited_by(limit);
        problem.0.more.violated_policies = Some([policy]);
        problem.0.retry_after_s = Some(retry_after_s);
        problem
    }

    /// The body is larger than the limit of this name.
    pub fn too_large(limit: &'static str, limit_bytes: usize) -> Self {
        Self::new(Code::TooLarge, format!("the body has more than {limit} = {limit_bytes}")).limited_by(limit)
    }

    /// A defect: strangers learn that there is one, the log learns which.
    pub fn internal(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::new(Code::Internal, "the host failed: its operator finds the cause in the log by the correlationId")
            .caused_by(cause)
    }

    fn caused_by(mut self, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.0.cause = Some(cause.into());
        self
    }

    /// The limit that was met.
    pub fn limited_by(mut self, limit: &'static str) -> Self {
        self.0.more.limit = Some(limit);
        self
    }

    fn found(mut self, findings: Findings) -> Self {
        self.0.more.findings = Some(findings);
        self
    }

    /// True where asking again would not help: the host did its part.
    pub fn is_final(&self) -> bool {
        !self.0.code.status().is_server_error()
    }

    /// Its code.
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// What its sender is told, with the headers beside the body.
    pub fn document(&self, correlation_id: &str) -> (Vec<u8>, Headers) {
        let code = self.0.code;
        let document = Document {
            kind: format!("urn:hallmark:problem:{}", code.as_str()),
            title: code.title(),
            status: code.status().as_u16(),
            detail: &self.0.detail,
            code: code.as_str(),
            correlation_id,
            more: &self.0.more,
        };
        let body = serde_json::to_vec(&document).expect("a problem holds only strings, numbers and JSON values");
        let www_authenticate = (code == Code::Unauthenticated).then_some("Bearer realm=\"hallmark\"");
        (body, Headers { retry_after_s: self.0.retry_after_s, www_authenticate })
    }

    /// Writes the cause to the log, where the operator must act or will be asked. Called once, where it is answered.
    pub fn log(&self, correlation_id: &str) {
        let code = self.0.code;
        let detail = self.0.detail.as_str();
        let cause = self.0.cause.as_deref().map(chain).unwrap_or_default();
        match code {
            Code::Internal | Code::Unavailable => {
                tracing::error!(correlation_id, code = code.as_str(), detail, cause, "request failed");
            }
            Code::NotReady | Code::PluginFailed => {
                tracing::warn!(correlation_id, code = code.as_str(), detail, cause, "request failed");
            }
            // A host that sheds load must not spend it on log lines: the metrics count them.
            _ => tracing::debug!(correlation_id, code = code.as_str(), detail, cause, "request refused"),
        }
    }
}

/// The headers that some problems carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Headers {
    /// `Retry-After`.
    pub retry_after_s: Option<u64>,
    /// `WWW-Authenticate`.
    pub www_authenticate: Option<&'static str>,
}

fn chain(error: &(dyn std::error::Error + Send + Sync + 'static)) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

impl From<NameError> for Problem {
    fn from(error: NameError) -> Self {
        Self::new(Code::BadName, error.to_string())
    }
}

impl From<Malformed> for Problem {
    fn from(malformed: Malformed) -> Self {
        let mut problem = Self::new(Code::Malformed, malformed.to_string());
        problem.0.more.line = Some(malformed.line);
        problem.0.more.column = Some(malformed.column);
        problem
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(_) => {
                Self::new(Code::Unavailable, "the database cannot be reached: try again").caused_by(error)
            }
            StoreError::Broken(..) => Self::internal(error),
        }
    }
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        let code = match failure.cause {
            Cause::Busy { .. } | Cause::Start => Code::Busy,
            Cause::Facts => Code::Unavailable,
            _ => Code::PluginFailed,
        };
        let limit = limit_of(&failure.cause);
        let mut problem = Self::new(code, failure.to_string());
        problem.0.more.plugin = Some(failure.plugin);
        problem.0.more.limit = limit;
        problem
    }
}

/// The name of the limit that a plugin met.
pub fn limit_of(cause: &Cause) -> Option<&'static str> {
    match cause {
        Cause::Deadline { .. } => Some("plugin_deadline_ms"),
        Cause::ConfigureDeadline { .. } => Some("plugin_configure_deadline_ms"),
        Cause::Wall { .. } => Some("plugin_wall_max_ms"),
        Cause::Memory { .. } => Some("plugin_memory_max_bytes"),
        Cause::Table { .. } => Some("plugin_table_elements_max"),
        Cause::Stack { .. } => Some("plugin_stack_max_bytes"),
        Cause::Answer { .. } => Some("plugin_answer_max_bytes"),
        Cause::Findings { .. } => Some("plugin_findings_max"),
        Cause::Log { .. } => Some("plugin_log_max_bytes"),
        Cause::Handles { .. } => Some("plugin_handles_max"),
        Cause::HostCalls { .. } => Some("plugin_host_calls_max"),
        Cause::Read { .. } => Some("plugin_read_max_bytes"),
        Cause::Lookups { .. } => Some("plugin_lookups_max"),
        Cause::Busy { .. } => Some("plugin_turn_wait_max_ms"),
        Cause::Quarantined { .. } => Some("plugin_failures_max"),
        Cause::Trap { .. } | Cause::Panic { .. } | Cause::Nonsense { .. } | Cause::Refused { .. } => None,
        Cause::Facts | Cause::Start => None,
    }
}

fn unfit(binding: Option<String>, unfit: Unfit) -> Problem {
    let whose = binding.as_deref().map_or_else(String::new, |name| format!("binding '{name}': "));
    match unfit {
        Unfit::TooLarge { limit_bytes, .. } => Problem::too_large("plugin_component_max_bytes", limit_bytes),
        Unfit::Load(why) => {
            Problem::new(Code::Unavailable, format!("{whose}its bytes cannot be loaded: try again")).caused_by(why)
        }
        Unfit::Settings(remarks) => Problem::new(Code::PluginUnfit, format!("{whose}its settings are refused"))
            .found(Findings::Remarks(remarks)),
        Unfit::Broke(failure) => {
            let detail = format!("{whose}it broke when it was tried: {failure}");
            let mut problem = Problem::new(Code::PluginUnfit, detail);
            problem.0.more.limit = limit_of(&failure.cause);
            problem.0.more.plugin = Some(failure.plugin);
            problem
        }
        other => Problem::new(Code::PluginUnfit, format!("{whose}{other}")),
    }
}

impl From<RegistryError> for Problem {
    fn from(error: RegistryError) -> Self {
        let text = error.to_string();
        match error {
            RegistryError::Malformed(malformed) => malformed.into(),
            RegistryError::Name(name) => name.into(),
            RegistryError::Store(store) => store.into(),
            RegistryError::PluginFailed { broken, decision } => {
                let mut problem = Self::from(broken.failure);
                problem.0.detail = text;
                problem.0.more.binding = Some(broken.name);
                problem.0.more.decision_id = decision.map(|decision| decision.id);
                problem
            }
            RegistryError::Unfit { binding, unfit: why } => unfit(binding, why),
            RegistryError::TooLarge { limit_bytes } => Self::too_large("document_size_max_bytes", limit_bytes),
            RegistryError::NoKind { .. } => Self::new(Code::NoKind, text),
            RegistryError::NotFound { .. } | RegistryError::NoRelease { .. } => Self::new(Code::NotFound, text),
            RegistryError::OutOfReach { .. } | RegistryError::OtherName { .. } => Self::new(Code::Forbidden, text),
            RegistryError::Rejected { decision } => {
                let mut problem = Self::new(Code::Rejected, text).found(Findings::Gate(decision.findings));
                problem.0.more.decision_id = Some(decision.id);
                problem
            }
            RegistryError::Unidentified { findings } => {
                Self::new(Code::Unidentified, text).found(Findings::Gate(findings))
            }
            RegistryError::VersionExists { .. } => Self::new(Code::VersionExists, text),
            RegistryError::EntryDisabled { .. } => Self::new(Code::EntryDisabled, text),
            RegistryError::EntryChanged { .. } | RegistryError::EntryPresence { .. } => {
                Self::new(Code::EntryChanged, text)
            }
            RegistryError::VersionWithdrawn { .. } => Self::new(Code::VersionWithdrawn, text),
            RegistryError::BadList(_) => Self::new(Code::BadQuery, text),
            RegistryError::BadRules(remarks) => Self::new(Code::BadRules, text).found(Findings::Remarks(remarks)),
            RegistryError::BadChange(_) => Self::new(Code::BadChange, text),
            RegistryError::ShadowRunning { .. } => Self::new(Code::ShadowRunning, text),
            RegistryError::Unsigned { .. } => Self::new(Code::PluginUnsigned, text),
            RegistryError::BadKey(_) => Self::new(Code::BadKey, text),
            RegistryError::ReleaseMoved(_) => Self::new(Code::ReleaseMoved, text),
            RegistryError::ScopeFrozen(_) => Self::new(Code::ScopeFrozen, text),
            RegistryError::ImpactTooLarge { impact, .. } => {
                let mut problem = Self::new(Code::ImpactTooLarge, text);
                problem.0.more.impact_id = Some(impact);
                problem
            }
            RegistryError::ImpactUnfinished { impact, .. } => {
                let mut problem = Self::new(Code::Busy, text).limited_by("impact_wait_max_ms");
                problem.0.more.impact_id = Some(impact);
                problem
            }
            RegistryError::BadImpact(_) => Self::new(Code::BadImpact, text),
            RegistryError::Busy { .. } | RegistryError::RulesKeptMoving { .. } => Self::new(Code::Busy, text),
            RegistryError::NotReady { .. } => Self::new(Code::NotReady, format!("{text}: try again")),
            RegistryError::IssuerUnreachable(_) => Self::new(Code::Unavailable, text),
            RegistryError::Blobs(_) => {
                Self::new(Code::Unavailable, "the object store cannot be used: try again").caused_by(error)
            }
            RegistryError::Internal(_) => Self::internal(error),
        }
    }
}
