//! The finding codes of what is asked here. A plugin that asks it lists them among its own.

use hallmark_plugin::Severity;
use hallmark_plugin::findings::Code;

/// The id does not have its form.
pub const ID_FORM: Code = Code {
    name: "id.form",
    severity: Severity::Error,
    summary: "The id is not lower case words joined by single '-', '.' or '_', a letter first, or is too long.",
    help: "An id is part of addresses and of other manifests, and cannot be changed later. Use one such as `daily-report`.",
};
/// The version is not semantic.
pub const VERSION_FORM: Code = Code {
    name: "version.form",
    severity: Severity::Error,
    summary: "The version is not a semantic version (semver 2.0.0).",
    help: "Versions are ordered by semver; write `MAJOR.MINOR.PATCH`, such as `1.2.0` or `2.0.0-rc.1`.",
};
/// The version is lower than the highest published one.
pub const VERSION_LOWER: Code = Code {
    name: "version.lower",
    severity: Severity::Error,
    summary: "The version is new and lower than the highest one that is published.",
    help: "Publish a higher version. To go back to an older one, roll back. `allow_lower_version` permits late patches \
           of an older line.",
};
/// There are too many tags.
pub const TAGS_COUNT: Code = Code {
    name: "tags.count",
    severity: Severity::Error,
    summary: "There are more tags than `tags_max`.",
    help: "Keep the tags that people search for.",
};
/// A tag does not have its form.
pub const TAGS_FORM: Code = Code {
    name: "tags.form",
    severity: Severity::Error,
    summary: "A tag is not lower case words joined by single '-', '.', '_' or ':', or is too long.",
    help: "Tags are compared byte for byte; one form keeps `Data Science` and `data-science` from being two.",
};
/// A tag is there twice.
pub const TAGS_DUPLICATE: Code = Code {
    name: "tags.duplicate",
    severity: Severity::Error,
    summary: "A tag is there more than once.",
    help: "Keep the first; the fix removes the other.",
};
