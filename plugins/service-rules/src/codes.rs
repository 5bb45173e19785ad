//! Every finding code of this plugin, with its weight and its words. README.md holds the same list; a test compares.

use hallmark_plugin::Severity;
use hallmark_plugin::findings::{Code, OMITTED};

/// The slug does not have its form.
pub const SLUG_FORM: Code = Code {
    name: "slug.form",
    severity: Severity::Error,
    summary: "A service has no slug, or one that is not lower case letters and digits joined by single dashes, or is too long.",
    help: "The slug is how other services name it. Use one such as `ai-connector`.",
};
/// A slug is there twice.
pub const SLUG_DUPLICATE: Code = Code {
    name: "slug.duplicate",
    severity: Severity::Error,
    summary: "Two services of the document have one slug.",
    help: "Give each service its own slug.",
};
/// A base URL cannot be one.
pub const BASE_URL_FORM: Code = Code {
    name: "base-url.form",
    severity: Severity::Error,
    summary: "A `baseUrl` is not an absolute http or https URL with a host.",
    help: "Write scheme, host and, where it is not the scheme's own, port: `http://127.0.0.1:4311`.",
};
/// A health endpoint cannot be one.
pub const HEALTH_ENDPOINT_FORM: Code = Code {
    name: "health-endpoint.form",
    severity: Severity::Error,
    summary: "A `healthEndpoint` is neither a path that starts with `/` nor an absolute http or https URL.",
    help: "Write the path below the base URL: `/healthz`.",
};
/// A reference names no service.
pub const DEPENDENCIES_FORM: Code = Code {
    name: "dependencies.form",
    severity: Severity::Error,
    summary: "An entry of `dependsOn`, or a `fromService`, names no service.",
    help: "Write a slug, or an object with the slug as `service`: `{\"service\": \"billing\", \"property\": \"baseUrl\"}`.",
};
/// A referenced service does not exist.
pub const DEPENDENCIES_UNKNOWN: Code = Code {
    name: "dependencies.unknown",
    severity: Severity::Error,
    summary: "`dependsOn` or `fromService` names a service that is neither in the document nor published.",
    help: "Add the service, publish it first, or correct the slug.",
};
/// A service depends on itself.
pub const DEPENDENCIES_SELF: Code = Code {
    name: "dependencies.self",
    severity: Severity::Error,
    summary: "A service names itself in `dependsOn` or `fromService`.",
    help: "Remove the entry; it could never be started.",
};
/// Services wait for each other.
pub const DEPENDENCIES_CYCLE: Code = Code {
    name: "dependencies.cycle",
    severity: Severity::Error,
    summary: "Services of the document depend on each other in a circle; the finding stands where the circle closes.",
    help: "None of them could be started first. Remove one of the references.",
};
/// There are more services than can be looked up.
pub const DEPENDENCIES_COUNT: Code = Code {
    name: "dependencies.count",
    severity: Severity::Error,
    summary: "More different services than `lookups_max` are named that are not in the document.",
    help: "Each is looked up, and the host bounds how often a plugin may ask (`plugin_lookups_max`). Divide the manifest.",
};
/// A port cannot be one.
pub const PORTS_FORM: Code = Code {
    name: "ports.form",
    severity: Severity::Error,
    summary: "A port in `port`, `ports` or the variable PORT is not a number from 1 to 65535.",
    help: "Write a number; 0 in PORT, which lets the system choose, is taken for no claim.",
};
/// Two services claim a port of one host.
pub const PORTS_DUPLICATE: Code = Code {
    name: "ports.duplicate",
    severity: Severity::Error,
    summary: "Two services claim one port of one host.",
    help: "Only the first to start would get it. Give one of them another port.",
};
/// A placeholder was left.
pub const PLACEHOLDERS_UNRESOLVED: Code = Code {
    name: "placeholders.unresolved",
    severity: Severity::Error,
    summary: "A `${NAME}` or a `{\"$var\": …}` is left in the document where no resolver replaced it.",
    help: "Write the value, or move the placeholder to where the module resolves them. Text that is no placeholder is \
           escaped as `$${NAME}`.",
};

/// All of them.
pub const ALL: &[&Code] = &[
    &SLUG_FORM,
    &SLUG_DUPLICATE,
    &BASE_URL_FORM,
    &HEALTH_ENDPOINT_FORM,
    &DEPENDENCIES_FORM,
    &DEPENDENCIES_UNKNOWN,
    &DEPENDENCIES_SELF,
    &DEPENDENCIES_CYCLE,
    &DEPENDENCIES_COUNT,
    &PORTS_FORM,
    &PORTS_DUPLICATE,
    &PLACEHOLDERS_UNRESOLVED,
    &OMITTED,
];
