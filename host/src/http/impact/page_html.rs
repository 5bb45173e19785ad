//! A preview as a page that one can send: one file that needs no network and runs nothing. Whatever a publisher or a
//! plugin wrote is escaped, and a policy in the page forbids all else.

use std::fmt::Write as _;

use crate::clock::{Instant, Millis};
use crate::http::html::{STYLE, escaped};
use crate::registry::impact::{Change, Group, Impact, What};
use crate::registry::store::ImpactState;

/// Writes the page.
pub fn write(impact: &Impact, at: Millis) -> String {
    let (row, counts) = (&impact.row, &impact.report.counts);
    let candidate = row.number.map_or_else(|| "rules of a folder".to_owned(), |number| format!("release {number}"));
    let title = format!("Preview of {}: {candidate}", row.scope);
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{0}</title>\n\
         <style>{STYLE}</style>\n</head>\n<body>\n<main>\n<h1>{0}</h1>\n<p>{1}</p>\n",
        escaped(&title),
        escaped(&standing(impact, at)),
    );
    let beside: Vec<String> =
        row.active.iter().map(|release| format!("{} release {}", release.scope, release.number)).collect();
    let facts = [
        ("Candidate", row.candidate.to_string()),
        ("Compared with", if beside.is_empty() { "nothing".to_owned() } else { beside.join(", ") }),
        ("Judged", judged(impact)),
        ("Exemptions", exemptions(row.exemptions.count)),
        ("Asked by", format!("{} at {}", row.author, Instant(row.created_at))),
        ("Preview", row.id.clone()),
    ];
    page.push_str("<table>\n<tbody>\n");
    for (name, value) in facts.into_iter().chain(of_plugins(impact)) {
        let _ = writeln!(page, "<tr><th scope=\"row\">{name}</th><td>{}</td></tr>", escaped(&value));
    }
    let _ = write!(
        page,
        "</tbody>\n</table>\n<table class=\"counts\">\n<caption>Manifests</caption>\n<thead><tr>\
         <th scope=\"col\">Would newly fail</th><th scope=\"col\">Would newly pass</th>\
         <th scope=\"col\">Other findings</th><th scope=\"col\">Not judged</th><th scope=\"col\">Unchanged</th></tr></thead>\n\
         <tbody><tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr></tbody>\n</table>\n",
        counts.newly_fail, counts.newly_pass, counts.changed, counts.not_judged, counts.unchanged
    );
    let report = &impact.report;
    part(&mut page, "Would newly fail", &report.newly_fail);
    part(&mut page, "Would newly pass", &report.newly_pass);
    part(&mut page, "Would have other findings", &report.changed);
    part(&mut page, "Could not be judged", &report.not_judged);
    page.push_str("</main>\n</body>\n</html>\n");
    page
}

fn standing(impact: &Impact, at: Millis) -> String {
    let row = &impact.row;
    match row.state {
        ImpactState::Running => {
            format!("It still runs: {} of {} manifests were judged at {}.", row.judged, row.versions, Instant(at))
        }
        ImpactState::Done => match row.ended_at {
            Some(ended) => format!("{} manifests were judged; it ended at {}.", row.judged, Instant(ended)),
            None => format!("{} manifests were judged.", row.judged),
        },
        ImpactState::Cancelled => {
            format!("It was cancelled after {} of {} manifests.", row.judged, row.versions)
        }
        ImpactState::Failed => {
            let why = row.why.as_deref().unwrap_or("the host's log says why");
            format!("It failed after {} of {} manifests: {why}.", row.judged, row.versions)
        }
    }
}

fn judged(impact: &Impact) -> String {
    match impact.what {
        What::Active => "the active version of every entry".to_owned(),
        What::Since(since) => format!("every version published since {}", Instant(since)),
        What::Sample(count) => format!("the active versions of a sample of {count} entries"),
    }
}

fn exemptions(count: i64) -> String {
    match count {
        0 => "none held when it began".to_owned(),
        1 => "1 held when it began, and let its findings pass on both sides".to_owned(),
        count => format!("{count} held when it began, and let their findings pass on both sides"),
    }
}

/// What rests on the word of plugins, or does not any more.
fn of_plugins(impact: &Impact) -> Option<(&'static str, String)> {
    let by_claim = impact.report.counts.unchanged_by_claim;
    match &impact.row.not_independent {
        Some(bindings) => {
            let what = format!(
                "{bindings} declares settings independent that are not: the preview began again, by whole settings"
            );
            Some(("Settings", what))
        }
        None if by_claim > 0 => {
            let what = format!(
                "{by_claim} of the unchanged were judged by what differs in settings alone, which a plugin declares independent"
            );
            Some(("Settings", what))
        }
        None => None,
    }
}

fn part(page: &mut String, title: &str, groups: &[Group]) {
    if groups.is_empty() {
        return;
    }
    let _ = writeln!(page, "<h2>{title}</h2>");
    for group in groups {
        let manifests = if group.count == 1 { "1 manifest".to_owned() } else { format!("{} manifests", group.count) };
        let _ = write!(
            page,
            "<table>\n<caption><code>{}</code>: {manifests}{}</caption>\n<thead><tr><th scope=\"col\">Manifest</th>\
             <th scope=\"col\">Place</th><th scope=\"col\">What is said</th><th scope=\"col\">By</th></tr></thead>\n<tbody>\n",
            escaped(&group.code),
            if group.count > group.examples.len() as u64 { ", some of them" } else { "" },
        );
        for example in &group.examples {
            let manifest = format!("{}/{} {}", example.kind, example.id, example.version);
            let gone = if example.change == Change::Gone { "no longer: " } else { "" };
            let _ = writeln!(
                page,
                "<tr><td>{}</td><td><code>{}</code></td><td>{gone}{}</td><td>{}</td></tr>",
                escaped(&manifest),
                escaped(&example.path),
                escaped(&example.message),
                escaped(example.plugin.as_deref().unwrap_or("the host")),
            );
        }
        page.push_str("</tbody>\n</table>\n");
    }
}
