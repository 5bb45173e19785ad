//! Log lines: for people or for machines, filtered by `RUST_LOG`. Spans are for traces and are not told here.

use std::io::IsTerminal as _;

use tracing_subscriber::filter::{FilterExt as _, LevelFilter, filter_fn};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer};

use super::Exporter;

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// For people.
    #[default]
    Pretty,
    /// One JSON object a line.
    Json,
}

impl std::str::FromStr for LogFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "pretty" => Ok(Self::Pretty),
            "json" => Ok(Self::Json),
            _ => Err(format!("unknown log format '{text}': it is 'pretty' or 'json'")),
        }
    }
}

/// Writes log lines to the standard error from here on, filtered by `RUST_LOG` (`info` where it is unset). Spans go to
/// the exporter; where there is none, nobody asks for them and they cost a look at a flag.
///
/// # Errors
/// `RUST_LOG` cannot be read, or logging was started before.
pub fn start_logging(format: LogFormat, exporter: Option<&Exporter>) -> Result<(), String> {
    let filter = match std::env::var("RUST_LOG") {
        Ok(directives) if !directives.is_empty() => {
            EnvFilter::try_new(&directives).map_err(|error| format!("RUST_LOG cannot be read: {error}"))?
        }
        _ => EnvFilter::new("info,apalis_core=warn"),
    };
    // Of two hints the lower holds, and none would be the lowest: every line of every crate would be looked at.
    let events = filter_fn(|metadata| metadata.is_event()).with_max_level_hint(LevelFilter::TRACE);
    let filter = filter.and(events);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines = match format {
        LogFormat::Pretty => lines.with_ansi(std::io::stderr().is_terminal()).with_filter(filter).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).with_filter(filter).boxed(),
    };
    let layers: Vec<_> = std::iter::once(lines).chain(exporter.and_then(Exporter::layer)).collect();
    let started = tracing_subscriber::registry().with(layers).try_init();
    started.map_err(|error| format!("logging cannot be started: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_formats_are_two() {
        assert_eq!("json".parse(), Ok(LogFormat::Json));
        assert_eq!("xml".parse::<LogFormat>(), Err("unknown log format 'xml': it is 'pretty' or 'json'".to_owned()));
    }
}
