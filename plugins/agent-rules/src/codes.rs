//! Every finding code of this plugin, with its weight and its words. README.md holds the same list; a test compares.

use hallmark_plugin::Severity;
use hallmark_plugin::findings::{Code, OMITTED};
use shared_rules::codes::{ID_FORM, TAGS_COUNT, TAGS_DUPLICATE, TAGS_FORM, VERSION_FORM, VERSION_LOWER};

/// A capability is not named.
pub const CAPABILITIES_FORM: Code = Code {
    name: "capabilities.form",
    severity: Severity::Error,
    summary: "A declared capability is neither a text nor an object with a `name`, `id` or `slug`, or it is blank.",
    help: "Write each capability as its name.",
};
/// A capability is declared twice.
pub const CAPABILITIES_DUPLICATE: Code = Code {
    name: "capabilities.duplicate",
    severity: Severity::Error,
    summary: "A capability is declared more than once.",
    help: "Keep the first declaration; the fix removes the other.",
};
/// A capability is used and not declared.
pub const CAPABILITIES_UNDECLARED: Code = Code {
    name: "capabilities.undeclared",
    severity: Severity::Error,
    summary: "The manifest uses a capability that the submission's `capabilities` do not declare.",
    help: "What an agent can do is read from the top level. Declare the capability there, or stop using it.",
};
/// A permission grants everything.
pub const PERMISSIONS_WILDCARD: Code = Code {
    name: "permissions.wildcard",
    severity: Severity::Error,
    summary: "A permission consists of wildcards alone, such as `*` or `*.*`: it grants everything.",
    help: "Name what the agent needs.",
};
/// A permission grants everything within a scope.
pub const PERMISSIONS_WILDCARD_SCOPED: Code = Code {
    name: "permissions.wildcard-scoped",
    severity: Severity::Warning,
    summary: "A permission has a wildcard within a scope, such as `agent.*`: it grants what is added there later too.",
    help: "Name what the agent needs, or list the permission in the setting `permissions_allowed`.",
};
/// A reference to a service names none.
pub const SERVICES_FORM: Code = Code {
    name: "services.form",
    severity: Severity::Error,
    summary: "A reference to a service is neither a text nor an object with a `name`, `id` or `slug`, or it is blank.",
    help: "Write the id under which the service is published.",
};
/// A service does not exist.
pub const SERVICES_UNKNOWN: Code = Code {
    name: "services.unknown",
    severity: Severity::Error,
    summary: "The manifest refers to a service that is not published.",
    help: "Publish the service first, or correct its id.",
};
/// There are more services than can be looked up.
pub const SERVICES_COUNT: Code = Code {
    name: "services.count",
    severity: Severity::Error,
    summary: "The manifest refers to more different services than `services_max`.",
    help: "Each is looked up, and the host bounds how often a plugin may ask (`plugin_lookups_max`).",
};

/// All of them.
pub const ALL: &[&Code] = &[
    &ID_FORM,
    &VERSION_FORM,
    &VERSION_LOWER,
    &CAPABILITIES_FORM,
    &CAPABILITIES_DUPLICATE,
    &CAPABILITIES_UNDECLARED,
    &PERMISSIONS_WILDCARD,
    &PERMISSIONS_WILDCARD_SCOPED,
    &TAGS_COUNT,
    &TAGS_FORM,
    &TAGS_DUPLICATE,
    &SERVICES_FORM,
    &SERVICES_UNKNOWN,
    &SERVICES_COUNT,
    &OMITTED,
];
