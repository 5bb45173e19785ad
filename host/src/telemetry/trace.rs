//! The trace that a request is part of (W3C Trace Context): read from its head, told in its answer and its log line, and
//! where traces are exported the parent of everything that is done for it.

use std::collections::HashMap;

use opentelemetry::propagation::TextMapPropagator as _;
use opentelemetry::trace::{SpanContext, TraceContextExt as _};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{IdGenerator as _, RandomIdGenerator};
use tracing::Span;
use tracing::field::Empty;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// The span that a request begins.
pub(super) const REQUEST: &str = "request";

/// What a request's head says of the trace that it is part of.
#[derive(Debug, Clone, Copy, Default)]
pub struct Caller<'a> {
    /// The `traceparent` header.
    pub parent: Option<&'a str>,
    /// The `tracestate` header.
    pub state: Option<&'a str>,
}

/// Bytes of a `traceparent` of version 00 (W3C Trace Context, 3.2).
const PARENT_BYTES: usize = 55;

impl Caller<'_> {
    /// The caller's span; none where the head has none of a sane form.
    fn span(self) -> Option<opentelemetry::Context> {
        let parent = self.parent.filter(|parent| is_whole(parent))?;
        let mut head = HashMap::from([("traceparent".to_owned(), parent.to_owned())]);
        head.extend(self.state.map(|state| ("tracestate".to_owned(), state.to_owned())));
        let context = TraceContextPropagator::new().extract(&head);
        context.span().span_context().is_valid().then_some(context)
    }
}

/// True where its flags have both their digits; what a later version of the format says behind them is let pass.
fn is_whole(parent: &str) -> bool {
    let (own, later) = parent.split_at_checked(PARENT_BYTES).unwrap_or_default();
    !own.is_empty() && (later.is_empty() || (!own.starts_with("00") && later.starts_with('-')))
}

/// One request's trace.
pub struct Trace {
    span: Span,
    own: Option<SpanContext>,
    id: String,
}

impl Trace {
    /// Begins the request's span, below the caller's where it has one. Where nothing is exported the caller's trace is
    /// still followed in log lines and in the answer.
    pub fn begin(caller: Caller<'_>, method: &'static str, route: &'static str, correlation_id: &str) -> Self {
        let above = caller.span();
        let span = tracing::info_span!(
            "request",
            otel.name = %format_args!("{method} {route}"),
            otel.kind = "server",
            otel.status_code = Empty,
            http.request.method = method,
            http.route = route,
            http.response.status_code = Empty,
            correlation_id,
        );
        let own = if span.is_disabled() {
            above.map(|above| below(above.span().span_context()))
        } else {
            // It fails where the span is none of the exporter's; then it has no context either.
            let _ = above.map(|above| span.set_parent(above));
            Some(span.context().span().span_context().clone()).filter(SpanContext::is_valid)
        };
        let id = own.as_ref().map(|own| own.trace_id().to_string()).unwrap_or_default();
        Self { span, own, id }
    }

    /// What everything that is done for the request is done in.
    pub fn span(&self) -> &Span {
        &self.span
    }

    /// The trace's id; none where there is no trace.
    pub fn id(&self) -> Option<&str> {
        (!self.id.is_empty()).then_some(&self.id)
    }

    /// The `traceparent` of the request's own span.
    pub fn parent(&self) -> Option<String> {
        let own = self.own.as_ref()?;
        Some(format!("00-{}-{}-{:02x}", own.trace_id(), own.span_id(), own.trace_flags().to_u8()))
    }

    /// Tells the span what was answered.
    pub fn answered(&self, status: u16) {
        self.span.record("http.response.status_code", i64::from(status));
        if status >= 500 {
            self.span.record("otel.status_code", "ERROR");
        }
    }
}

/// A span below another that nobody exports.
fn below(above: &SpanContext) -> SpanContext {
    let id = RandomIdGenerator::default().new_span_id();
    SpanContext::new(above.trace_id(), id, above.trace_flags(), false, above.trace_state().clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn trace(parent: Option<&str>) -> Trace {
        Trace::begin(Caller { parent, state: Some("vendor=1") }, "GET", "/livez", "r-1")
    }

    #[test]
    fn a_callers_trace_is_followed_where_nothing_is_exported() {
        let followed = trace(Some(PARENT));
        assert_eq!(followed.id(), Some("4bf92f3577b34da6a3ce929d0e0e4736"));
        let told = followed.parent().expect("a parent");
        assert!(told.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-") && told.ends_with("-01"), "{told}");
        assert_ne!(told, PARENT, "the answer names a span of the host's");
    }

    #[test]
    fn a_parent_of_another_form_is_none() {
        let zeros = "00-00000000000000000000000000000000-00f067aa0ba902b7-01";
        let upper = "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01";
        for wrong in [None, Some(""), Some("nonsense"), Some(zeros), Some(upper), Some(&PARENT[..54])] {
            let alone = trace(wrong);
            assert_eq!((alone.id(), alone.parent()), (None, None), "{wrong:?}");
        }
    }
}
