//! A bucket of an S3-compatible store: how it is reached, and what is told of it where it cannot be used. What the store
//! says of that is for programs; what is told here names what to change.

use std::error::Error as StdError;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::client::{HttpError, HttpErrorKind};
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{BackoffConfig, Certificate, ClientOptions, ObjectStore, RetryConfig};
use url::{Host, Url};

use super::Ill;

/// Milliseconds until the store must have accepted a connection.
const CONNECT_MAX_MS: u64 = 5_000;

/// How often a request is sent again that the store did not take in, and milliseconds until then at first. A host asks
/// again by itself, and whoever starts one wants to read why it does not.
const RETRIES_MAX: usize = 2;
const RETRY_MS: u64 = 100;

/// What a store says that does not take who asks for who he says he is, also where nothing else tells it from another error.
const REFUSALS: [&str; 6] = [
    "ExpiredToken",
    "InvalidAccessKeyId",
    "InvalidToken",
    "RequestTimeTooSkewed",
    "SignatureDoesNotMatch",
    "TokenRefreshRequired",
];

/// Where machines that are given a role ask for it.
const INSTANCE_METADATA: &str = "169.254.169.254";

/// How a bucket is reached.
#[derive(Clone)]
pub struct Bucket {
    /// Its name.
    pub name: String,
    /// What its objects' names begin with; may be empty.
    pub prefix: String,
    /// The store; none for AWS's own.
    pub endpoint: Option<Url>,
    /// Where it lies.
    pub region: String,
    /// Who asks.
    pub credentials: Credentials,
    /// Certificates that are trusted beside the machine's own, as PEM; may be empty.
    pub ca_certificates: Vec<u8>,
    /// Lets components, and signatures that can be sent again, go over the network in clear.
    pub allow_http: bool,
}

/// Who asks an S3-compatible store.
#[derive(Clone)]
pub enum Credentials {
    /// A key pair, with the token of a session where they are lent.
    Keys {
        /// The access key's id.
        id: String,
        /// The secret that requests are signed with.
        secret: String,
        /// The session's token.
        session: Option<String>,
    },
    /// A role: how to get it is in these variables, by name. With none of them the machine's metadata is asked.
    Role(Vec<(String, String)>),
}

impl Bucket {
    /// Takes `s3://BUCKET/PREFIX` apart.
    ///
    /// # Errors
    /// It names no bucket, or more than a bucket and a prefix.
    pub fn name_and_prefix(url: &str) -> Result<(String, String), String> {
        let rest = url.strip_prefix("s3://").unwrap_or(url);
        let (name, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let is_name = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '.' | '_');
        if name.is_empty() || !name.chars().all(is_name) || prefix.contains(['?', '#']) {
            return Err(format!("'{url}' names no bucket: write it as in s3://BUCKET or s3://BUCKET/PREFIX"));
        }
        let prefix = prefix.trim_matches('/');
        Path::parse(prefix).map_err(|error| format!("'{url}': {error}"))?;
        Ok((name.to_owned(), prefix.to_owned()))
    }

    /// The store, as people know it.
    pub fn place(&self) -> String {
        match &self.endpoint {
            Some(endpoint) => endpoint.as_str().trim_end_matches('/').to_owned(),
            None => format!("https://s3.{}.amazonaws.com", self.region),
        }
    }

    /// Nothing is asked yet.
    ///
    /// # Errors
    /// What must be set otherwise.
    pub(super) fn open(&self, request_max_ms: u64) -> Result<Arc<dyn ObjectStore>, String> {
        let is_http = self.endpoint.as_ref().is_some_and(|endpoint| endpoint.scheme() == "http");
        if is_http && !self.allow_http && !self.endpoint.as_ref().is_some_and(is_loopback) {
            return Err(format!(
                "{} is not encrypted: use https, or set s3.allow_http where the network between is yours alone",
                self.place()
            ));
        }
        let mut options = ClientOptions::new()
            .with_allow_http(is_http)
            .with_connect_timeout(Duration::from_millis(CONNECT_MAX_MS.min(request_max_ms)))
            .with_timeout(Duration::from_millis(request_max_ms));
        if !self.ca_certificates.is_empty() {
            let found = Certificate::from_pem_bundle(&self.ca_certificates);
            let found = found.ok().filter(|found| !found.is_empty()).ok_or("s3.ca_certificate holds no certificate")?;
            options = found.into_iter().fold(options, ClientOptions::with_root_certificate);
        }
        let backoff = BackoffConfig { init_backoff: Duration::from_millis(RETRY_MS), ..BackoffConfig::default() };
        let retry_timeout = Duration::from_millis(request_max_ms);
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(&self.name)
            .with_region(&self.region)
            .with_client_options(options)
            .with_retry(RetryConfig { backoff, max_retries: RETRIES_MAX, retry_timeout })
            // Stores of one's own are seldom reachable by a name for each bucket, and AWS's only by that some day.
            .with_virtual_hosted_style_request(self.endpoint.is_none());
        if let Some(endpoint) = &self.endpoint {
            builder = builder.with_endpoint(endpoint.as_str().trim_end_matches('/'));
        }
        let store = self.identify(builder).build().map_err(|error| root(&error))?;
        if self.prefix.is_empty() {
            return Ok(Arc::new(store));
        }
        Ok(Arc::new(PrefixStore::new(store, self.prefix.as_str())))
    }

    fn identify(&self, builder: AmazonS3Builder) -> AmazonS3Builder {
        match &self.credentials {
            Credentials::Keys { id, secret, session } => {
                let builder = builder.with_access_key_id(id).with_secret_access_key(secret);
                session.iter().fold(builder, AmazonS3Builder::with_token)
            }
            Credentials::Role(variables) => variables.iter().fold(builder, |builder, (name, value)| {
                match name.to_ascii_lowercase().parse::<AmazonS3ConfigKey>() {
                    Ok(key) => builder.with_config(key, value),
                    Err(_) => builder,
                }
            }),
        }
    }

    /// What is wrong, and what to change.
    pub(super) fn told(&self, error: &object_store::Error) -> (Ill, String) {
        use object_store::Error as E;
        let text = error.to_string();
        let code = element(&text, "Code");
        let (place, name) = (self.place(), &self.name);
        match (code, error) {
            (Some("NoSuchBucket"), _) => {
                (Ill::Missing, format!("{place} has no bucket '{name}': make it, or name another (serve.objects)"))
            }
            (Some("PermanentRedirect" | "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException"), _) => {
                let region = &self.region;
                (Ill::Missing, format!("the bucket '{name}' of {place} is not in the region {region}: set s3.region"))
            }
            (Some("AccessDenied" | "AllAccessDisabled"), _) => (
                Ill::Refused,
                format!(
                    "{place} does not let these credentials use the bucket '{name}' (AccessDenied): give them \
                     s3:GetObject and s3:PutObject on its objects and s3:ListBucket on it"
                ),
            ),
            (Some(code), _) if REFUSALS.contains(&code) => (Ill::Refused, self.refused(code)),
            (code, E::PermissionDenied { .. } | E::Unauthenticated { .. }) => {
                (Ill::Refused, self.refused(code.unwrap_or("no reason is given")))
            }
            (_, E::NotFound { path, .. }) => {
                (Ill::Broken, format!("the bucket '{name}' of {place} has no object '{path}'"))
            }
            _ => self.unreachable(error).unwrap_or_else(|| {
                (Ill::Broken, format!("the bucket '{name}' of {place} cannot be used: {}", root(error)))
            }),
        }
    }

    fn refused(&self, code: &str) -> String {
        format!("{} refuses the credentials ({code}): look at s3.access_key_id and its secret", self.place())
    }

    fn unreachable(&self, error: &object_store::Error) -> Option<(Ill, String)> {
        let kind = causes(error).find_map(|cause| cause.downcast_ref::<HttpError>()).map(HttpError::kind)?;
        if matches!(self.credentials, Credentials::Role(_)) && error.to_string().contains(INSTANCE_METADATA) {
            let told = "no credentials: set s3.access_key_id and s3.secret_access_key_file, or run this where it is given \
                        a role";
            return Some((Ill::Refused, told.to_owned()));
        }
        let place = self.place();
        match kind {
            HttpErrorKind::Connect | HttpErrorKind::Timeout => Some((
                Ill::Unreachable,
                format!("{place} cannot be reached: {}: is it up, and is s3.endpoint right?", root(error)),
            )),
            _ => None,
        }
    }
}

fn is_loopback(endpoint: &Url) -> bool {
    match endpoint.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => IpAddr::V4(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::V6(address).is_loopback(),
        None => false,
    }
}

/// What an element of the store's answer holds, where its error carries one.
fn element<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    Some(rest.split_once('<')?.0)
}

fn causes<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    let mut next = Some(error);
    std::iter::from_fn(move || {
        let now = next?;
        next = now.source();
        Some(now)
    })
}

fn root(error: &(dyn StdError + 'static)) -> String {
    causes(error).last().map(ToString::to_string).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket(endpoint: Option<&str>) -> Bucket {
        Bucket {
            name: "registry".to_owned(),
            prefix: "a/b".to_owned(),
            endpoint: endpoint.map(|endpoint| Url::parse(endpoint).expect("a URL")),
            region: "eu-1".to_owned(),
            credentials: Credentials::Keys { id: "id".to_owned(), secret: "secret".to_owned(), session: None },
            ca_certificates: Vec::new(),
            allow_http: false,
        }
    }

    #[test]
    fn a_bucket_is_named_by_a_url() {
        let of = |url: &str| Bucket::name_and_prefix(url);
        assert_eq!(of("s3://registry"), Ok(("registry".to_owned(), String::new())));
        assert_eq!(of("s3://registry/team/one/"), Ok(("registry".to_owned(), "team/one".to_owned())));
        for wrong in ["s3://", "s3:///a", "s3://a b", "s3://a/b?c", "s3://user:pass@a"] {
            assert_eq!(
                of(wrong),
                Err(format!("'{wrong}' names no bucket: write it as in s3://BUCKET or s3://BUCKET/PREFIX"))
            );
        }
    }

    fn refused(bucket: &Bucket) -> Option<String> {
        let _ = tokio_rustls::rustls::crypto::ring::default_provider().install_default();
        bucket.open(1_000).err()
    }

    #[test]
    fn a_store_without_tls_must_be_on_this_machine_or_allowed() {
        for loopback in ["http://localhost:9000", "http://127.0.0.1:9000", "http://[::1]:9000/"] {
            assert_eq!(refused(&bucket(Some(loopback))), None, "{loopback}");
        }
        assert_eq!(
            refused(&bucket(Some("http://store.example:9000/"))).expect("refused"),
            "http://store.example:9000 is not encrypted: use https, or set s3.allow_http where the network between is \
             yours alone"
        );
        assert_eq!(refused(&Bucket { allow_http: true, ..bucket(Some("http://store.example")) }), None);
    }

    #[test]
    fn certificates_that_are_none_are_told() {
        let bucket = Bucket { ca_certificates: b"nonsense".to_vec(), ..bucket(Some("http://127.0.0.1:1")) };
        assert_eq!(refused(&bucket).expect("refused"), "s3.ca_certificate holds no certificate");
    }

    #[test]
    fn what_a_store_says_is_told_as_what_to_change() {
        let told = |code: &str, wrap: fn(String, Box<dyn StdError + Send + Sync>) -> object_store::Error| {
            let body = format!("403: <Error><Code>{code}</Code><Message>m</Message></Error>");
            bucket(None).told(&wrap("health/marker".to_owned(), body.into()))
        };
        let denied = |path, source| object_store::Error::PermissionDenied { path, source };
        let place = "https://s3.eu-1.amazonaws.com";
        assert_eq!(
            told("SignatureDoesNotMatch", denied),
            (
                Ill::Refused,
                format!(
                    "{place} refuses the credentials (SignatureDoesNotMatch): look at s3.access_key_id and its secret"
                )
            )
        );
        assert_eq!(
            told("AuthorizationHeaderMalformed", denied),
            (Ill::Missing, format!("the bucket 'registry' of {place} is not in the region eu-1: set s3.region"))
        );
        let missing = |path, source| object_store::Error::NotFound { path, source };
        assert_eq!(
            told("NoSuchKey", missing),
            (Ill::Broken, format!("the bucket 'registry' of {place} has no object 'health/marker'"))
        );
    }
}
