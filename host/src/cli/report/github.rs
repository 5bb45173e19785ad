//! Workflow commands of GitHub Actions: an annotation for each finding. What plugins say cannot begin a command of its
//! own, since line ends are escaped.

use super::cases::{Case, Told};
use crate::cli::{Ended, show};
use crate::report::Severity;

/// A command for each finding, and the count.
pub fn lines(cases: &[Case]) -> Vec<String> {
    let of = |case: &Case| case.told.iter().map(|told| command(case, told)).collect::<Vec<_>>();
    let mut lines: Vec<String> = cases.iter().flat_map(of).collect();
    let failed = cases.iter().filter(|case| case.ended != Ended::Fine).count();
    lines.push(format!("{}: {failed} failed", show::counted(cases.len(), "manifest")));
    lines
}

fn command(case: &Case, told: &Told) -> String {
    let word = match told.severity {
        Severity::Error if told.decides => "error",
        Severity::Warning if told.decides => "warning",
        _ => "notice",
    };
    let mut properties = vec![format!("file={}", property(&case.file))];
    if let Some(place) = told.place {
        properties.push(format!("line={},endLine={}", place.line, place.end_line));
        // Columns are taken where both are of one line.
        if place.line == place.end_line {
            properties.push(format!("col={},endColumn={}", place.column, place.end_column));
        }
    }
    properties.push(format!("title={}", property(&told.code)));
    let help = told.help.as_ref().map_or_else(String::new, |help| format!("\n{help}"));
    let text = format!("{}: {}{help}", case.title, told.message);
    format!("::{word} {}::{}", properties.join(","), data(&show::plain(&text)))
}

fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::report::cases::bare;

    #[test]
    fn what_is_said_cannot_be_another_command() {
        let told = bare("a:b,c", "100%\n::set-output name=x::y");
        let case = Case { file: "a,b.yaml".into(), title: "agents/a".into(), ended: Ended::Findings, told: vec![told] };
        assert_eq!(
            lines(&[case]),
            [
                "::error file=a%2Cb.yaml,title=a%3Ab%2Cc::agents/a: 100%25%0A::set-output name=x::y",
                "1 manifest: 1 failed",
            ]
        );
    }
}
