//! Every finding code of this plugin, with its weight and its words. README.md holds the same list; a test compares.

use hallmark_plugin::Severity;
use hallmark_plugin::findings::{Code, OMITTED};
use shared_rules::codes::{ID_FORM, TAGS_COUNT, TAGS_DUPLICATE, TAGS_FORM, VERSION_FORM, VERSION_LOWER};

/// There is no description.
pub const DESCRIPTION_MISSING: Code = Code {
    name: "description.missing",
    severity: Severity::Warning,
    summary: "The submission has no `description`, or a blank one.",
    help: "People choose a template by what it says it is for.",
};
/// The category does not have its form.
pub const CATEGORY_FORM: Code = Code {
    name: "category.form",
    severity: Severity::Error,
    summary: "The category is not lower case words joined by single '-', '.' or '_', where the settings list none.",
    help: "Lists are filtered by it, byte for byte.",
};
/// The category is not one of those that there are.
pub const CATEGORY_UNKNOWN: Code = Code {
    name: "category.unknown",
    severity: Severity::Error,
    summary: "The category is not one of the setting `categories`.",
    help: "Take one of them; a new one is added to the settings of the module's binding.",
};
/// There is no text.
pub const CONTENT_BLANK: Code = Code {
    name: "content.blank",
    severity: Severity::Error,
    summary: "The content has no text, or white space alone, and extends no other template.",
    help: "Write the text: as the content itself, as its `body`, or as the bodies of `messages` or `files`.",
};
/// The texts are too large.
pub const CONTENT_SIZE: Code = Code {
    name: "content.size",
    severity: Severity::Error,
    summary: "The texts of the content have more bytes together than `content_size_max_bytes`; their placeholders are not looked at.",
    help: "Divide the template and include the parts, or keep data out of it.",
};
/// A placeholder is not closed.
pub const PLACEHOLDERS_UNCLOSED: Code = Code {
    name: "placeholders.unclosed",
    severity: Severity::Error,
    summary: "A placeholder begins and does not end in the same line.",
    help: "Close it: `{{ name }}`. A `{{` that is text is written `\\{{`.",
};
/// A placeholder is not opened.
pub const PLACEHOLDERS_UNOPENED: Code = Code {
    name: "placeholders.unopened",
    severity: Severity::Error,
    summary: "The end of a placeholder stands where none began. Braces that close others, as in JSON, are none.",
    help: "Open it: `{{ name }}`, or take it out.",
};
/// What stands in a placeholder is no name.
pub const PLACEHOLDERS_FORM: Code = Code {
    name: "placeholders.form",
    severity: Severity::Error,
    summary: "A placeholder holds something other than a parameter's name; a dotted name, where `dotted_names` does not allow it.",
    help: "Write the name of a parameter. Sections, filters and partials of template engines are not known here.",
};
/// A placeholder reads a member of what has none.
pub const PLACEHOLDERS_MEMBER: Code = Code {
    name: "placeholders.member",
    severity: Severity::Error,
    summary: "A dotted placeholder reads a member of a parameter that is neither an object nor an array.",
    help: "Declare the parameter with `\"type\": \"object\"`, or use it whole.",
};
/// A placeholder names no parameter.
pub const PLACEHOLDERS_UNDECLARED: Code = Code {
    name: "placeholders.undeclared",
    severity: Severity::Error,
    summary: "A placeholder names a parameter that neither this template nor one that it extends or includes declares.",
    help: "Who fills the template in reads the parameters alone. Declare it, or correct its name.",
};
/// A parameter's name does not have its form.
pub const PARAMETERS_FORM: Code = Code {
    name: "parameters.form",
    severity: Severity::Error,
    summary: "A parameter has no name, or one that is not a letter or '_' and then letters, digits, '_' or '-', or is longer than 64.",
    help: "Placeholders are read by this form.",
};
/// A parameter is declared twice.
pub const PARAMETERS_DUPLICATE: Code = Code {
    name: "parameters.duplicate",
    severity: Severity::Error,
    summary: "Two parameters have one name.",
    help: "Keep one; the fix removes the second where both say the same.",
};
/// A parameter's type is none.
pub const PARAMETERS_TYPE: Code = Code {
    name: "parameters.type",
    severity: Severity::Error,
    summary: "A parameter's type is none of string, integer, number, boolean, array and object.",
    help: "These are the types of JSON Schema; a parameter without one is a string.",
};
/// An allowed value does not have the type.
pub const PARAMETERS_ENUM: Code = Code {
    name: "parameters.enum",
    severity: Severity::Error,
    summary: "An allowed value of a parameter does not have its type.",
    help: "Nobody could ever give it.",
};
/// A default cannot be given.
pub const PARAMETERS_DEFAULT: Code = Code {
    name: "parameters.default",
    severity: Severity::Error,
    summary: "A default does not have its parameter's type, or is none of the allowed values.",
    help: "A default is used where nobody looks: it must be right.",
};
/// A required parameter has a default.
pub const PARAMETERS_REQUIRED: Code = Code {
    name: "parameters.required",
    severity: Severity::Error,
    summary: "A parameter is required and has a default, which would never be used.",
    help: "Remove one of them. A parameter without a default is required unless it says `\"required\": false`.",
};
/// A parameter has no description.
pub const PARAMETERS_DESCRIPTION: Code = Code {
    name: "parameters.description",
    severity: Severity::Info,
    summary: "A parameter has no description.",
    help: "Who fills the template in knows its name alone.",
};
/// Nothing uses a parameter.
pub const PARAMETERS_UNUSED: Code = Code {
    name: "parameters.unused",
    severity: Severity::Warning,
    summary: "A declared parameter is used by no text, and declared by no template that is extended or included.",
    help: "People would be asked for what nobody reads. Use it or remove it.",
};
/// A file lies outside.
pub const FILES_PATH: Code = Code {
    name: "files.path",
    severity: Severity::Error,
    summary: "A file has no path, or one that could lead out of the folder: absolute, with `..`, or with a backslash.",
    help: "Write it from the folder that the template is unfolded in, with `/`.",
};
/// Two files have one path.
pub const FILES_DUPLICATE: Code = Code {
    name: "files.duplicate",
    severity: Severity::Error,
    summary: "Two files have one path.",
    help: "The second would overwrite the first.",
};
/// A reference names no template.
pub const REFERENCES_FORM: Code = Code {
    name: "references.form",
    severity: Severity::Error,
    summary: "`extends`, or an element of `includes`, is neither an id nor an object with an `id`.",
    help: "Write the id under which the template is published, or `{\"id\": …, \"version\": …}`.",
};
/// A template refers to itself.
pub const REFERENCES_SELF: Code = Code {
    name: "references.self",
    severity: Severity::Error,
    summary: "The template extends or includes itself.",
    help: "It could never be filled in. Remove the reference.",
};
/// A template is not published.
pub const REFERENCES_UNKNOWN: Code = Code {
    name: "references.unknown",
    severity: Severity::Error,
    summary: "A template that is extended or included is not published, or not in this version.",
    help: "Publish it first, or correct the id or the version.",
};
/// Templates wait for each other.
pub const REFERENCES_CYCLE: Code = Code {
    name: "references.cycle",
    severity: Severity::Error,
    summary: "A template that is extended or included comes back to this one.",
    help: "None of them could be filled in. Remove one of the references.",
};
/// There are more templates than are read.
pub const REFERENCES_COUNT: Code = Code {
    name: "references.count",
    severity: Severity::Error,
    summary: "More templates than `references_max` are extended and included, those that included ones include counted in.",
    help: "Each is read, and the host bounds how often a plugin may ask (`plugin_lookups_max`).",
};
/// A parameter was taken away.
pub const COMPATIBILITY_REMOVED: Code = Code {
    name: "compatibility.removed",
    severity: Severity::Error,
    summary: "A parameter of the active version is gone, within one major version.",
    help: "Who uses the template still gives it. Publish a new major version (of 0.x, a new minor one), or keep it.",
};
/// A parameter must now be given.
pub const COMPATIBILITY_REQUIRED: Code = Code {
    name: "compatibility.required",
    severity: Severity::Error,
    summary: "A parameter must be given that the active version does without, within one major version.",
    help: "Who uses the template does not give it. Give it a default, or publish a new major version.",
};
/// A parameter has another type.
pub const COMPATIBILITY_TYPE: Code = Code {
    name: "compatibility.type",
    severity: Severity::Error,
    summary: "A parameter has another type than in the active version, within one major version. A number takes what an integer took.",
    help: "What people give would be refused. Publish a new major version, or a parameter of another name.",
};
/// A parameter takes less.
pub const COMPATIBILITY_ENUM: Code = Code {
    name: "compatibility.enum",
    severity: Severity::Error,
    summary: "A parameter no longer takes a value that the active version takes, within one major version.",
    help: "What people give would be refused. Keep the value, or publish a new major version.",
};
/// An address is in clear.
pub const URLS_IN_CLEAR: Code = Code {
    name: "urls.in-clear",
    severity: Severity::Error,
    summary: "A text names an address that is reached without encryption (http, ws, ftp), on another machine and not of `http_hosts_allowed`.",
    help: "What is sent there can be read and changed on its way. Write https; the fix does.",
};
/// A credential is in clear.
pub const SECRETS_IN_CLEAR: Code = Code {
    name: "secrets.in-clear",
    severity: Severity::Error,
    summary: "A text holds what looks like a token, a key or a password.",
    help: "Everybody who may read the registry could use it. Make it a parameter without a default, and revoke the one that was sent.",
};
/// A path is somebody's own.
pub const PATHS_PERSONAL: Code = Code {
    name: "paths.personal",
    severity: Severity::Warning,
    summary: "A text names a folder of a person's machine, such as `/home/ada/` or `C:\\Users\\ada\\`.",
    help: "It is there on no other machine, and tells who wrote the template. Write it from the project's folder, or make it a parameter.",
};

/// All of them.
pub const ALL: &[&Code] = &[
    &ID_FORM,
    &VERSION_FORM,
    &VERSION_LOWER,
    &TAGS_COUNT,
    &TAGS_FORM,
    &TAGS_DUPLICATE,
    &DESCRIPTION_MISSING,
    &CATEGORY_FORM,
    &CATEGORY_UNKNOWN,
    &CONTENT_BLANK,
    &CONTENT_SIZE,
    &PLACEHOLDERS_UNCLOSED,
    &PLACEHOLDERS_UNOPENED,
    &PLACEHOLDERS_FORM,
    &PLACEHOLDERS_MEMBER,
    &PLACEHOLDERS_UNDECLARED,
    &PARAMETERS_FORM,
    &PARAMETERS_DUPLICATE,
    &PARAMETERS_TYPE,
    &PARAMETERS_ENUM,
    &PARAMETERS_DEFAULT,
    &PARAMETERS_REQUIRED,
    &PARAMETERS_DESCRIPTION,
    &PARAMETERS_UNUSED,
    &FILES_PATH,
    &FILES_DUPLICATE,
    &REFERENCES_FORM,
    &REFERENCES_SELF,
    &REFERENCES_UNKNOWN,
    &REFERENCES_CYCLE,
    &REFERENCES_COUNT,
    &COMPATIBILITY_REMOVED,
    &COMPATIBILITY_REQUIRED,
    &COMPATIBILITY_TYPE,
    &COMPATIBILITY_ENUM,
    &URLS_IN_CLEAR,
    &SECRETS_IN_CLEAR,
    &PATHS_PERSONAL,
    &OMITTED,
];
