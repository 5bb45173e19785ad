//! The table of keys. What a key means is told where its flag is declared, and nowhere else.

/// One key.
#[derive(Debug)]
pub struct Key {
    /// As `hallmark.toml` writes it: `section.key`, or a key that stands before the sections.
    pub name: &'static str,
    /// The argument that it is the default of.
    pub argument: &'static str,
    /// What it takes.
    pub form: Form,
    /// The key that says the same in another way: of the two, what is said nearer the command line holds.
    pub twin: Option<&'static str>,
    /// Variables of other programs that say it too; an earlier one over a later.
    variables: &'static [&'static str],
    whose: Whose,
}

/// What a key takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A text.
    Text,
    /// A text that is never shown.
    Secret,
    /// A URL that may hold a password, which is never shown.
    Address,
    /// A path; in a file it is taken from the file's own folder.
    Path,
    /// A path, or a URL, which is left as it is.
    Location,
    /// True or false.
    Flag,
}

/// Which commands have a key: those with these arguments.
#[derive(Debug, Clone, Copy)]
enum Whose {
    Host,
    /// A host, and what looks at what it keeps.
    Place,
    Database,
    Client,
    Publisher,
}

/// Every key but the limits.
pub const KEYS: &[Key] = &[
    key("server", "server", Form::Text, Whose::Client),
    key("token", "token", Form::Secret, Whose::Client).or("token_file"),
    key("token_file", "token_file", Form::Path, Whose::Client).or("token"),
    key("ca_certificate", "ca_certificate", Form::Path, Whose::Client),
    key("tenant", "tenant", Form::Text, Whose::Client),
    key("dry_run", "dry_run", Form::Flag, Whose::Publisher),
    key("serve.listen", "listen", Form::Text, Whose::Host),
    key("serve.tls_certificate", "tls_certificate", Form::Path, Whose::Place),
    key("serve.tls_key", "tls_key", Form::Path, Whose::Place),
    key("serve.data", "data", Form::Path, Whose::Place),
    key("serve.objects", "objects", Form::Location, Whose::Place),
    key("serve.signing_key", "signing_key", Form::Path, Whose::Place),
    key("serve.webhook_key", "webhook_key", Form::Path, Whose::Place),
    key("serve.allow_private_webhooks", "allow_private_webhooks", Form::Flag, Whose::Host),
    key("serve.modules", "modules", Form::Path, Whose::Host),
    key("serve.policies", "policies", Form::Path, Whose::Host),
    key("access.issuers", "issuers", Form::Path, Whose::Host),
    key("access.trusted_proxies", "trusted_proxies", Form::Text, Whose::Host),
    key("access.proxy_header", "proxy_header", Form::Text, Whose::Host),
    key("access.session_key", "session_key", Form::Path, Whose::Host),
    key("database.url", "database", Form::Address, Whose::Database).or("database.url_file").also(&["DATABASE_URL"]),
    key("database.url_file", "database_file", Form::Path, Whose::Database).or("database.url"),
    key("s3.endpoint", "s3_endpoint", Form::Text, Whose::Place).also(&["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"]),
    key("s3.region", "s3_region", Form::Text, Whose::Place).also(&["AWS_REGION", "AWS_DEFAULT_REGION"]),
    key("s3.access_key_id", "s3_access_key_id", Form::Text, Whose::Place).also(&["AWS_ACCESS_KEY_ID"]),
    key("s3.secret_access_key", "s3_secret_access_key", Form::Secret, Whose::Place)
        .or("s3.secret_access_key_file")
        .also(&["AWS_SECRET_ACCESS_KEY"]),
    key("s3.secret_access_key_file", "s3_secret_access_key_file", Form::Path, Whose::Place).or("s3.secret_access_key"),
    key("s3.session_token", "s3_session_token", Form::Secret, Whose::Place).also(&["AWS_SESSION_TOKEN"]),
    key("s3.ca_certificate", "s3_ca_certificate", Form::Path, Whose::Place).also(&["AWS_CA_BUNDLE"]),
    key("s3.allow_http", "s3_allow_http", Form::Flag, Whose::Place),
    key("log.format", "log_format", Form::Text, Whose::Host),
];

const fn key(name: &'static str, argument: &'static str, form: Form, whose: Whose) -> Key {
    Key { name, argument, form, twin: None, variables: &[], whose }
}

/// The key of this name.
pub(super) fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// The variable that sets what the file calls `name`.
pub(super) fn variable(name: &str) -> String {
    format!("HALLMARK_{}", name.replace('.', "__").to_uppercase())
}

impl Key {
    const fn or(self, twin: &'static str) -> Self {
        Self { twin: Some(twin), ..self }
    }

    const fn also(self, variables: &'static [&'static str]) -> Self {
        Self { variables, ..self }
    }

    /// The flag that says it.
    pub fn flag(&self) -> String {
        format!("--{}", self.argument.replace('_', "-"))
    }

    /// The variables that say it; an earlier one over a later.
    pub fn variables(&self) -> Vec<String> {
        std::iter::once(variable(self.name)).chain(self.variables.iter().map(|name| (*name).to_owned())).collect()
    }

    /// The section and the key's name in it.
    pub(super) fn parts(&self) -> (Option<&'static str>, &'static str) {
        match self.name.split_once('.') {
            Some((section, name)) => (Some(section), name),
            None => (None, self.name),
        }
    }

    /// Whether the command has it. Known by arguments that stand together, since commands may use one name for two things.
    pub(super) fn is_of(&self, command: &clap::Command) -> bool {
        let marks: &[&str] = match self.whose {
            Whose::Host => &["listen", "data"],
            Whose::Place => &["data", "objects"],
            Whose::Database => &["database", "database_file"],
            Whose::Client => &["server", "token", "token_file"],
            Whose::Publisher => &["dry_run", "server"],
        };
        marks.iter().all(|mark| command.get_arguments().any(|argument| argument.get_id() == mark))
    }
}
