//! JUnit's XML: a test for each manifest that passes, and for each finding of one that does not, so that rules are told
//! apart by their codes.

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::cases::{Case, Told};
use crate::cli::{Ended, show};

/// The cases as one suite.
pub fn of(cases: &[Case]) -> String {
    let mut suite = TestSuite::new("hallmark");
    for case in cases {
        let failing: Vec<&Told> = case.told.iter().filter(|told| told.fails).collect();
        if failing.is_empty() {
            let mut passed = TestCase::new(case.title.as_str(), TestCaseStatus::success());
            passed.set_classname(case.file.as_str());
            if !case.told.is_empty() {
                let lines: Vec<String> = case.told.iter().map(|told| text(case, told)).collect();
                passed.set_system_out(lines.join("\n"));
            }
            suite.add_test_case(passed);
        }
        suite.add_test_cases(failing.into_iter().map(|told| failure(case, told)));
    }
    let mut report = Report::new("hallmark");
    report.add_test_suite(suite);
    report.to_string().unwrap_or_else(|error| format!("<!-- {error} -->"))
}

fn failure(case: &Case, told: &Told) -> TestCase {
    let kind = if case.ended == Ended::CouldNotRun { NonSuccessKind::Error } else { NonSuccessKind::Failure };
    let mut status = TestCaseStatus::non_success(kind);
    status.set_type(told.code.as_str()).set_message(told.message.as_str()).set_description(text(case, told));
    let mut failed = TestCase::new(format!("{} {}: {}", case.title, told.code, show::place(&told.path)), status);
    failed.set_classname(case.file.as_str());
    if let Some(place) = told.place {
        let attributes = [("file", case.file.clone()), ("line", place.line.to_string())];
        failed.extra.extend(attributes.map(|(name, value)| (name.into(), value.into())));
    }
    failed
}

fn text(case: &Case, told: &Told) -> String {
    let place = told.place.map_or_else(String::new, |place| format!(":{}:{}", place.line, place.column));
    let help = told.help.as_ref().map_or_else(String::new, |help| format!("\nhelp: {help}"));
    format!(
        "{}{place}: [{}] {}\nby {}, at {}{help}",
        case.file,
        told.code,
        told.message,
        told.who,
        show::place(&told.path)
    )
}
