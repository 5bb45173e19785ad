//! Where components are kept: a folder, or a bucket of an S3-compatible store with what it is reached by. Said in the same
//! way to every command that looks there.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use url::Url;

use super::Trouble;
use super::serve::read_secret;
use crate::config::Limits;
use crate::registry::blobs::{Blobs, Bucket, Credentials, Location};

/// The folder in the data folder.
const FOLDER: &str = "objects";

/// Variables by which clusters and build servers give a role, as S3 tools know them.
const ROLE_VARIABLES: [&str; 7] = [
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_ENDPOINT_URL_STS",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
];

/// What names them.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Where the components are: a folder, file:///PATH or s3://BUCKET/PREFIX; without it a folder in the data folder.
    /// Hosts that share a database share it.
    #[arg(long, value_name = "DIR|URL")]
    objects: Option<String>,
    /// The address of the S3-compatible store; without it AWS's own. http is for this machine alone, or for
    /// --s3-allow-http.
    #[arg(long, value_name = "URL")]
    s3_endpoint: Option<String>,
    /// The region of the bucket.
    #[arg(long, value_name = "REGION", default_value = "us-east-1")]
    s3_region: String,
    /// The id of the access key; without one a role is taken, from the environment or from the machine.
    #[arg(long, value_name = "ID")]
    s3_access_key_id: Option<String>,
    /// The access key's secret. A command line is seen by every user of the machine: prefer the file or the environment.
    #[arg(long, value_name = "SECRET")]
    s3_secret_access_key: Option<String>,
    /// The file that the access key's secret is in.
    #[arg(long, value_name = "FILE", conflicts_with = "s3_secret_access_key")]
    s3_secret_access_key_file: Option<PathBuf>,
    /// The token of the session that the access key is lent for.
    #[arg(long, value_name = "TOKEN")]
    s3_session_token: Option<String>,
    /// Certificates (PEM) that the store's may be signed by, beside those that the machine trusts.
    #[arg(long, value_name = "FILE")]
    s3_ca_certificate: Option<PathBuf>,
    /// Lets the store be reached without TLS wherever it is.
    #[arg(long)]
    s3_allow_http: bool,
}

impl Arguments {
    /// Where they are.
    ///
    /// # Errors
    /// What is said cannot be.
    pub fn location(&self, data: &Path) -> Result<Location, Trouble> {
        match self.objects.as_deref() {
            None => Ok(Location::Folder(data.join(FOLDER))),
            Some(url) if url.starts_with("s3://") => Ok(Location::Bucket(Box::new(self.bucket(url)?))),
            Some(url) if url.starts_with("file:") => folder(url).map(Location::Folder),
            Some(url) if url.contains("://") => Err(usage(format!(
                "--objects: '{url}' is of no kind that is known: write a folder, file:///PATH or s3://BUCKET/PREFIX"
            ))),
            Some(path) => Ok(Location::Folder(PathBuf::from(path))),
        }
    }

    /// The store; a folder is made where it is missing, and a bucket is not asked yet.
    pub fn open(&self, data: &Path, limits: &Limits) -> Result<Blobs, Trouble> {
        let opened = Blobs::at(&self.location(data)?, limits.object_request_max_ms);
        Ok(opened.map_err(anyhow::Error::from)?)
    }

    fn bucket(&self, url: &str) -> Result<Bucket, Trouble> {
        let (name, prefix) = Bucket::name_and_prefix(url).map_err(|why| usage(format!("--objects: {why}")))?;
        let ca_certificates = match &self.s3_ca_certificate {
            Some(file) => std::fs::read(file)
                .map_err(|error| usage(format!("--s3-ca-certificate: {}: {error}", file.display())))?,
            None => Vec::new(),
        };
        Ok(Bucket {
            name,
            prefix,
            endpoint: self.s3_endpoint.as_deref().map(endpoint).transpose()?,
            region: self.s3_region.clone(),
            credentials: self.credentials()?,
            ca_certificates,
            allow_http: self.s3_allow_http,
        })
    }

    fn credentials(&self) -> Result<Credentials, Trouble> {
        let secret = match (&self.s3_secret_access_key, &self.s3_secret_access_key_file) {
            (Some(secret), _) => Some(secret.clone()),
            (None, Some(file)) => Some(secret_in(file)?),
            (None, None) => None,
        };
        match (&self.s3_access_key_id, secret) {
            (Some(id), Some(secret)) => {
                Ok(Credentials::Keys { id: id.clone(), secret, session: self.s3_session_token.clone() })
            }
            (Some(id), None) => Err(usage(format!(
                "the access key {id} has no secret: give --s3-secret-access-key-file FILE, or set AWS_SECRET_ACCESS_KEY"
            ))),
            (None, Some(_)) => Err(usage(
                "the access key's secret belongs to no id: give --s3-access-key-id ID, or set AWS_ACCESS_KEY_ID"
                    .to_owned(),
            )),
            (None, None) => role(&|name| std::env::var(name).ok(), self.s3_endpoint.as_deref()),
        }
    }
}

/// The role that the environment gives. A store of one's own gives none, so there a missing key is a mistake.
fn role(variable: &dyn Fn(&str) -> Option<String>, endpoint: Option<&str>) -> Result<Credentials, Trouble> {
    let given: Vec<_> = ROLE_VARIABLES.iter().filter_map(|name| Some(((*name).to_owned(), variable(name)?))).collect();
    match endpoint {
        Some(endpoint) if given.is_empty() => Err(usage(format!(
            "no credentials for {endpoint}: give --s3-access-key-id ID and --s3-secret-access-key-file FILE, or set \
             AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        ))),
        _ => Ok(Credentials::Role(given)),
    }
}

fn secret_in(file: &Path) -> Result<String, Trouble> {
    let missing = || usage(format!("--s3-secret-access-key-file: there is no file {}", file.display()));
    let text = read_secret(file).context("--s3-secret-access-key-file")?.ok_or_else(missing)?;
    match text.trim() {
        "" => Err(usage(format!("--s3-secret-access-key-file: {} is empty", file.display()))),
        secret => Ok(secret.to_owned()),
    }
}

fn endpoint(text: &str) -> Result<Url, Trouble> {
    let wrong =
        || usage(format!("--s3-endpoint: '{text}' is no address of a store: write it as in https://s3.example:9000"));
    let url = Url::parse(text).map_err(|_| wrong())?;
    let is_plain = url.username().is_empty() && url.password().is_none() && url.query().is_none();
    let is_one = matches!(url.scheme(), "http" | "https") && url.host().is_some() && is_plain;
    if is_one { Ok(url) } else { Err(wrong()) }
}

fn folder(url: &str) -> Result<PathBuf, Trouble> {
    let parsed = Url::parse(url).ok().and_then(|url| url.to_file_path().ok());
    parsed.ok_or_else(|| usage(format!("--objects: '{url}' names no folder: write it as in file:///srv/components")))
}

fn usage(message: String) -> Trouble {
    Trouble::Usage(message)
}

#[cfg(test)]
mod tests {
    use clap::{Args as _, FromArgMatches as _};

    use super::*;

    fn arguments(line: &[&str]) -> Arguments {
        let command = Arguments::augment_args(clap::Command::new("test").no_binary_name(true));
        Arguments::from_arg_matches(&command.get_matches_from(line)).expect("arguments")
    }

    fn refused(line: &[&str]) -> String {
        match arguments(line).location(Path::new("data")) {
            Err(Trouble::Usage(message)) => message,
            _ => String::new(),
        }
    }

    #[test]
    fn folders_are_named_by_path_or_url() {
        for (line, expected) in [
            (&[][..], "data/objects"),
            (&["--objects", "elsewhere"], "elsewhere"),
            (&["--objects", "file:///srv/a%20b"], "/srv/a b"),
        ] {
            let Ok(Location::Folder(folder)) = arguments(line).location(Path::new("data")) else { panic!("{line:?}") };
            assert_eq!(folder, Path::new(expected));
        }
        assert_eq!(
            refused(&["--objects", "gs://bucket"]),
            "--objects: 'gs://bucket' is of no kind that is known: write a folder, file:///PATH or s3://BUCKET/PREFIX"
        );
        assert_eq!(
            refused(&["--objects", "file://host/a"]),
            "--objects: 'file://host/a' names no folder: write it as in file:///srv/components"
        );
    }

    #[test]
    fn what_is_missing_to_reach_a_bucket_is_told() {
        let of = |more: &[&str]| refused(&[&["--objects", "s3://b"], more].concat());
        let (id, secret) = (["--s3-access-key-id", "k"], ["--s3-secret-access-key", "s"]);
        assert_eq!(
            of(&id),
            "the access key k has no secret: give --s3-secret-access-key-file FILE, or set AWS_SECRET_ACCESS_KEY"
        );
        assert_eq!(
            of(&secret),
            "the access key's secret belongs to no id: give --s3-access-key-id ID, or set AWS_ACCESS_KEY_ID"
        );
        assert_eq!(
            of(&["--s3-access-key-id", "k", "--s3-secret-access-key-file", "/nowhere"]),
            "--s3-secret-access-key-file: there is no file /nowhere"
        );
        assert_eq!(
            of(&[&id[..], &secret, &["--s3-endpoint", "s3.example:9000"]].concat()),
            "--s3-endpoint: 's3.example:9000' is no address of a store: write it as in https://s3.example:9000"
        );
        assert_eq!(
            of(&[&id[..], &secret, &["--s3-ca-certificate", "/nowhere"]].concat()),
            "--s3-ca-certificate: /nowhere: No such file or directory (os error 2)"
        );
        assert!(matches!(
            role(&|_| None, Some("https://s3.example")),
            Err(Trouble::Usage(message)) if message.starts_with("no credentials for https://s3.example: give")
        ));
    }

    #[test]
    fn a_role_is_taken_from_the_environment() {
        let variable = |name: &str| (name == "AWS_ROLE_ARN").then(|| "arn:aws:iam::1:role/hosts".to_owned());
        let Ok(Credentials::Role(given)) = role(&variable, None) else { panic!("no role") };
        assert_eq!(given, [("AWS_ROLE_ARN".to_owned(), "arn:aws:iam::1:role/hosts".to_owned())]);
    }
}
