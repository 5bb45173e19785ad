//! Every limit of the host, by name, with its unit in the name and its default beside it.

use serde::{Deserialize, Serialize};

// One list makes the struct, its defaults and its flags' names, so that no limit exists without all three.
macro_rules! limits {
    ($($(#[doc = $doc:literal])+ $name:ident: $type:ty = $default:expr,)+) => {
        /// What the host allows. Set by the name of the field: `--limit plugin_deadline_ms=250`, in `[limits]`, or
        /// by `HALLMARK_LIMITS__PLUGIN_DEADLINE_MS`.
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct Limits {
            $($(#[doc = $doc])+ pub $name: $type,)+
        }

        impl Default for Limits {
            fn default() -> Self {
                Self { $($name: $default,)+ }
            }
        }

        impl Limits {
            /// Every limit's name, in the order of their declaration.
            pub const NAMES: &[&str] = &[$(stringify!($name),)+];

            /// What each of them bounds, in the same order.
            pub const MEANINGS: &[&str] = &[$(concat!($($doc),+),)+];

            /// Sets one limit from `name=value`.
            ///
            /// # Errors
            /// A sentence that names the limit, or the nearest one, and what a value looks like.
            pub fn set(&mut self, assignment: &str) -> Result<(), String> {
                let Some((name, value)) = assignment.split_once('=') else {
                    return Err(format!("'{assignment}' is not of the form name=value"));
                };
                match name {
                    $(stringify!($name) => {
                        self.$name = value
                            .parse()
                            .map_err(|_| format!("limit {name} takes {}, not '{value}'", form(stringify!($type))))?;
                    })+
                    _ => return Err(unknown(name, Self::NAMES)),
                }
                Ok(())
            }
        }
    };
}

/// What a value of this type looks like.
fn form(type_name: &str) -> &'static str {
    if type_name == "bool" { "true or false" } else { "a whole number" }
}

limits! {
    /// Bytes of one request body or manifest file.
    document_size_max_bytes: usize = 1024 * 1024,
    /// Bytes of one scope's rules, settings included.
    rules_size_max_bytes: usize = 8 * 1024 * 1024,
    /// Levels of nesting in a document.
    document_depth_max: usize = 64,
    /// Variables of one request.
    variables_max: usize = 256,
    /// Bytes of one variable's value.
    variable_size_max_bytes: usize = 16 * 1024,
    /// Findings that the schema stage gathers before it stops.
    schema_findings_max: usize = 100,
    /// Requests held at once; past it the host answers 503.
    requests_in_flight_max: usize = 512,
    /// Components and rules held and tried at once, which are large and slow; past it the host answers 503.
    changes_in_flight_max: usize = 8,
    /// Decisions run again at once, beside the gate's threads; past it the host answers 503.
    replays_in_flight_max: usize = 2,
    /// Pages of the audit log read at once, each for an export or a check; past it the host answers 503.
    audit_reads_in_flight_max: usize = 4,
    /// Milliseconds that a client may take to send a request's body.
    request_read_max_ms: u64 = 30_000,
    /// Connections held at once; past it new ones wait to be accepted.
    connections_max: usize = 4_096,
    /// Requests of one token in `requests_window_s`, which may come at once; past it the host answers 429. 0 for any
    /// number.
    requests_per_token_max: u32 = 30_000,
    /// Requests of one address (IPv6: of one /64) in `requests_window_s`, which may come at once; past it the host
    /// answers 429. 0 for any number.
    requests_per_address_max: u32 = 60_000,
    /// Seconds in which a caller that asked for all that it may can ask for as much again.
    requests_window_s: u32 = 60,
    /// Tokens, and addresses, whose requests are counted; where more ask, those that asked longest ago are forgotten.
    callers_counted_max: usize = 100_000,
    /// Seconds for which a browser's session holds.
    session_max_s: u32 = 8 * 60 * 60,
    /// Milliseconds that an issuer of JSON Web Tokens may take to tell its keys.
    issuer_fetch_max_ms: u64 = 5_000,
    /// Bytes of what an issuer tells.
    issuer_document_max_bytes: usize = 512 * 1024,
    /// Milliseconds between two questions to one issuer, however many tokens name keys that it has not told.
    issuer_poll_ms: u64 = 10_000,
    /// Milliseconds after which an issuer's keys are asked for again.
    issuer_keys_fresh_ms: u64 = 3_600_000,
    /// Milliseconds after which keys that could not be asked for again are believed no more.
    issuer_keys_kept_ms: u64 = 24 * 60 * 60 * 1_000,
    /// Trusted publishers of a tenant.
    trusted_publishers_max: u32 = 1_000,
    /// Milliseconds that a client may take for the handshake of TLS.
    tls_handshake_max_ms: u64 = 10_000,
    /// Milliseconds between two looks whether the certificate or its key changed.
    tls_poll_ms: u64 = 2_000,
    /// Milliseconds that a stopping host gives the requests it has accepted.
    shutdown_max_ms: u64 = 30_000,
    /// Milliseconds for which a host that is asked to stop says that it is not ready and serves on, so that whoever sends
    /// it requests learns of it before its port is closed; asked again, it waits no longer.
    shutdown_drain_ms: u64 = 0,
    /// Milliseconds that one request to an S3-compatible object store may take, tries after the first apart.
    object_request_max_ms: u64 = 30_000,
    /// Milliseconds that each part of the host has to answer when it is asked how it is.
    health_check_max_ms: u64 = 2_000,
    /// Milliseconds between two looks at what metrics tell of pools, the outbox, the disk and the last backup.
    metrics_sample_ms: u64 = 5_000,
    /// Values that a label of the metrics tells apart; those that come later are one.
    metric_label_values_max: usize = 200,
    /// Milliseconds between two looks for events that nobody was woken for.
    event_poll_ms: u64 = 1_000,
    /// Milliseconds for which the answer to a request with an Idempotency-Key is kept and sent again.
    idempotency_kept_ms: u64 = 24 * 60 * 60 * 1_000,
    /// Milliseconds after which such a request is believed to have died with its host, and may be run again.
    idempotency_lease_ms: u64 = 600_000,
    /// Bytes of an answer that is kept; a request with a larger one is run again where it is sent again.
    idempotency_answer_max_bytes: usize = 1024 * 1024,
    /// Whether entries are changed, publishes aside, only under If-Match.
    require_if_match: bool = false,
    /// Milliseconds by which whoever follows changes begins again before the last look: longer than a publish takes, and by
    /// how much the clocks of the hosts differ.
    follow_overlap_ms: u64 = 60_000,
    /// Milliseconds after a commit in which more events are gathered, to be announced together.
    event_gather_ms: u64 = 20,
    /// Versions from before words, categories and references were kept that are given theirs at once.
    fill_versions_max: u32 = 50,
    /// Milliseconds between two times that some are.
    fill_pause_ms: u64 = 20,
    /// Milliseconds between two looks for kinds that came into force and have such versions.
    fill_poll_ms: u64 = 60_000,
    /// Milliseconds for which events are kept, to be read and to be sent.
    events_kept_ms: u64 = 7 * 24 * 60 * 60 * 1_000,
    /// Streams of events that a host serves at once; past it, it answers 503.
    event_streams_max: usize = 64,
    /// Milliseconds without an event after which a stream says that it lives.
    event_heartbeat_ms: u64 = 15_000,
    /// Milliseconds after which a stream ends, so that its reader is asked for its token again.
    event_stream_max_ms: u64 = 60 * 60 * 1_000,
    /// Webhooks of a tenant.
    webhooks_max: u32 = 100,
    /// Deliveries that a host sends at once.
    webhook_sends_max: usize = 16,
    /// Deliveries that a host sends to one webhook at once.
    webhook_sends_each_max: u32 = 4,
    /// Milliseconds that a webhook's receiver may take, from the look for its address to the end of its answer.
    webhook_timeout_ms: u64 = 10_000,
    /// Bytes of a receiver's answer that are read; what it says is thrown away.
    webhook_answer_max_bytes: u64 = 64 * 1024,
    /// Milliseconds until a delivery that did not arrive is sent again; twice as many after each further try.
    webhook_retry_ms: u64 = 5_000,
    /// Milliseconds between two tries at most.
    webhook_retry_max_ms: u64 = 6 * 60 * 60 * 1_000,
    /// Tries of a delivery: with those times, about a day.
    webhook_attempts_max: u32 = 18,
    /// Deliveries given up in a row after which a webhook is disabled.
    webhook_failures_max: u32 = 5,
    /// Milliseconds for which a webhook's secret signs on after it was replaced.
    webhook_overlap_ms: u64 = 24 * 60 * 60 * 1_000,
    /// Milliseconds between two looks for rows of the audit log that are not sealed.
    audit_seal_ms: u64 = 500,

    /// Threads that judge submissions; 0 means eight for each core.
    gate_threads: usize = 0,
    /// Submissions that wait for such a thread; past it the host answers 503.
    gate_queue_max: usize = 256,
    /// Milliseconds that a submission may wait for a thread before it is answered 503.
    gate_queue_wait_max_ms: u64 = 2_000,

    /// Milliseconds of processor time for one evaluation.
    plugin_deadline_ms: u64 = 250,
    /// Milliseconds of wall time for one evaluation, host calls included.
    plugin_wall_max_ms: u64 = 2_000,
    /// Milliseconds for `configure`, once for each release.
    plugin_configure_deadline_ms: u64 = 10_000,
    /// Bytes of linear memory of one instance, its memories together.
    plugin_memory_max_bytes: usize = 64 * 1024 * 1024,
    /// Elements of one instance's tables.
    plugin_table_elements_max: usize = 20_000,
    /// Core instances in one component.
    plugin_core_instances_max: u32 = 64,
    /// Linear memories in one component.
    plugin_memories_max: u32 = 2,
    /// Tables in one component.
    plugin_tables_max: u32 = 8,
    /// Handles of host resources that one instance may hold at once.
    plugin_handles_max: usize = 1_000,
    /// Bytes of a guest's stack.
    plugin_stack_max_bytes: usize = 512 * 1024,
    /// Bytes that one evaluation may hand to the host in its answer, and as much again in the arguments of its calls.
    plugin_answer_max_bytes: usize = 1024 * 1024,
    /// Findings in one answer.
    plugin_findings_max: usize = 500,
    /// Bytes of log lines of one evaluation.
    plugin_log_max_bytes: usize = 64 * 1024,
    /// Host calls of one evaluation.
    plugin_host_calls_max: u64 = 100_000,
    /// Bytes that the host hands to one evaluation through host calls.
    plugin_read_max_bytes: usize = 64 * 1024 * 1024,
    /// Steps that one JSONPath query may take, at the worst.
    plugin_query_steps_max: u64 = 5_000_000,
    /// Registry look-ups of one evaluation.
    plugin_lookups_max: u64 = 200,
    /// Examples in the self-test of one component.
    plugin_examples_max: usize = 200,
    /// Milliseconds that the examples of one component may take together.
    plugin_self_test_max_ms: u64 = 60_000,
    /// Bytes of one component.
    plugin_component_max_bytes: usize = 32 * 1024 * 1024,
    /// Bytes of one binding's settings.
    plugin_settings_max_bytes: usize = 1024 * 1024,
    /// Evaluations of one plugin that run at once; 0 means a quarter of the gate's threads, at least two.
    plugin_running_max: usize = 0,
    /// Milliseconds that an evaluation waits for its turn behind others of the same plugin before it is answered 503.
    plugin_turn_wait_max_ms: u64 = 100,
    /// Failures in a row after which a plugin is quarantined.
    plugin_failures_max: u32 = 5,
    /// Milliseconds of quarantine, in which the plugin is not run and its submissions are answered 503.
    plugin_quarantine_ms: u64 = 5_000,
    /// Plugins compiled at once.
    plugin_compilations_max: usize = 1,
    /// Milliseconds between two ticks of the clock that deadlines are measured by.
    plugin_tick_ms: u64 = 2,
    /// Bytes of compiled code kept on disk; the oldest files go first.
    plugin_cache_max_bytes: u64 = 2 * 1024 * 1024 * 1024,

    /// Milliseconds between two looks for staged releases that are due.
    staged_poll_ms: u64 = 2_000,
    /// Days from its making for which an exemption may hold.
    exemption_days_max: u32 = 366,
    /// Exemptions of a tenant that hold at once.
    exemptions_max: u32 = 1_000,

    /// Connections to the database.
    database_connections_max: u32 = 16,
    /// Milliseconds to wait for a connection, and for a publish to be committed.
    database_acquire_max_ms: u64 = 5_000,
    /// Milliseconds that a transaction may stand still before PostgreSQL ends it, so that a host that is frozen in the
    /// middle of one does not keep the rules of the fleet from being changed.
    database_idle_max_ms: u64 = 3_000,
    /// Publishes that are committed in one transaction, at most: those that arrived while others were committed.
    commits_together_max: usize = 16,
    /// Such transactions at once, on PostgreSQL; SQLite has one writer.
    commit_groups_max: u32 = 2,
    /// Milliseconds between two looks for releases that another host activated and that this one was not told of.
    release_poll_ms: u64 = 1_000,
    /// Milliseconds between two looks for tenants that were made elsewhere; who shows a token of one is served at once.
    tenant_poll_ms: u64 = 10_000,
    /// Milliseconds between two looks for a kind that this host does not know and another may just have put in force.
    kind_look_ms: u64 = 50,
    /// Sets of rules kept ready to judge by, those in force among them: going back to one loads nothing.
    rules_kept_max: usize = 4,

    /// Threads that judge for previews (impact), at a low priority; 0 means one for each core.
    impact_threads: usize = 0,
    /// Entries of one chunk of a preview, which one host judges as a whole.
    impact_chunk_entries: u32 = 500,
    /// Versions that a preview must have for this host to compile a component for it; one that it was pushed to has done so.
    impact_reduced_versions_min: u32 = 10_000,
    /// Examples that are kept of each finding code of a preview.
    impact_examples_max: usize = 5,
    /// Finding codes that are told apart in each part of a preview's report; the others are told as one.
    impact_codes_max: usize = 200,
    /// Entries of one sample.
    impact_sample_max: u32 = 100_000,
    /// Previews that run at once; past it the host answers 503.
    impacts_running_max: u32 = 4,
    /// Previews that are kept; the oldest ended ones go first.
    impacts_kept_max: u32 = 200,
    /// Milliseconds that an activation waits for the preview that it depends on.
    impact_wait_max_ms: u64 = 60_000,
    /// Milliseconds between two looks for chunks to judge.
    impact_poll_ms: u64 = 500,
    /// Milliseconds between two signs of life of a host that judges chunks; after three that are missed, others take
    /// its chunk.
    impact_heartbeat_ms: u64 = 2_000,
    /// Milliseconds without progress after which a preview's chunks are handed out again.
    impact_stalled_ms: u64 = 600_000,
}

/// The sentence for a name that is not known, with the nearest that is.
pub fn unknown(name: &str, known: &[&str]) -> String {
    match nearest(name, known) {
        Some(near) => format!("unknown name '{name}': did you mean '{near}'?"),
        None => format!("unknown name '{name}'; known are {}", known.join(", ")),
    }
}

/// Bytes of a name that is compared with those that are known; no known name is near as long.
const COMPARED_MAX_BYTES: usize = 256;

/// The known name nearest to `name`, where one is near enough to be meant.
pub fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    known
        .iter()
        // The name may be a publisher's, and comparing takes time and memory by the product of the lengths.
        .filter(|_| name.len() <= COMPARED_MAX_BYTES)
        .map(|candidate| (strsim::damerau_levenshtein(name, candidate), *candidate))
        .filter(|(distance, _)| *distance <= name.len() / 3 + 1)
        .min()
        .map(|(_, candidate)| candidate)
}

/// What to do about a name that is not known: take the one that was meant, or none.
pub fn instead(name: &str, known: &[&str]) -> String {
    match nearest(name, known) {
        Some(near) => format!("did you mean '{near}'?"),
        None if known.is_empty() => "take it out".to_owned(),
        None => format!("take it out; known are: {}", known.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_limits_by_name_and_names_the_nearest() {
        let mut limits = Limits::default();
        limits.set("plugin_deadline_ms=7").expect("a known limit");
        assert_eq!(limits.plugin_deadline_ms, 7);
        assert_eq!(
            limits.set("plugin_dedline_ms=7"),
            Err("unknown name 'plugin_dedline_ms': did you mean 'plugin_deadline_ms'?".to_owned())
        );
        assert_eq!(
            limits.set("plugin_deadline_ms=soon"),
            Err("limit plugin_deadline_ms takes a whole number, not 'soon'".to_owned())
        );
        assert_eq!(limits.set("x"), Err("'x' is not of the form name=value".to_owned()));
    }

    #[test]
    fn long_names_are_compared_with_none() {
        let long = "a".repeat(COMPARED_MAX_BYTES);
        assert_eq!(nearest(&long, &[&long]), Some(long.as_str()));
        assert_eq!(nearest(&format!("{long}a"), &[&long]), None);
    }
}
