//! What the hostile guests break, by the name that their settings give. Shared as a file, not as a crate: a component
//! exports what its dependencies export.

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};

use hallmark_plugin::{Finding, Submission, log, registry, serde_json};

/// What to break, and how much of it.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The damage; `none` where absent.
    #[serde(default, rename = "break")]
    pub damage: Damage,
    /// How much: bytes, findings, calls or turns, whichever the damage counts.
    #[serde(default)]
    pub amount: Option<u64>,
    /// What `rules` looks through.
    #[serde(default)]
    pub rules: Vec<Rule>,
}

/// A rule of the kind that teams keep many of.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// What it is known by.
    pub id: String,
    /// The name that no submission may have.
    pub forbidden: String,
    /// What it says then.
    pub message: String,
}

/// A way to break.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Damage {
    /// Behaves: finds nothing.
    #[default]
    None,
    /// Behaves: gives one error.
    Error,
    /// Behaves: gives one warning.
    Warning,
    /// Behaves: computes for `amount` turns, then finds nothing.
    Spin,
    /// Behaves: reads `amount` fields, then finds nothing.
    Fields,
    /// Behaves: parses the whole document `amount` times, then finds nothing.
    Parse,
    /// Behaves: gives an error for each of `rules` that forbids the submission's name.
    Rules,
    /// Gives an error where there are more than `amount` of `rules`, which it declares independent of each other, and none
    /// forbids the submission's name.
    RulesTogether,
    /// Looks through `rules`, and objects to everything once it has objected.
    RulesGrudge,
    /// Looks through `rules`, and never gives back a megabyte.
    RulesLeak,
    /// Never ends.
    Loop,
    /// Allocates until it is refused.
    Memory,
    /// Calls itself until the stack ends.
    Stack,
    /// Panics.
    Panic,
    /// Answers with a message of `amount` bytes.
    Answer,
    /// Gives `amount` findings.
    Findings,
    /// Logs `amount` lines of a kilobyte.
    Log,
    /// Calls the host `amount` times.
    Calls,
    /// Asks the registry `amount` times.
    Lookups,
    /// Reads the whole submission `amount` times.
    Read,
    /// Gives a code that is not one.
    NonsenseCode,
    /// Gives a path that is no pointer.
    NonsensePath,
    /// Gives a fix that is no JSON.
    NonsenseFix,
    /// Never ends, while it is configured.
    ConfigureLoop,
    /// Panics, while it is configured.
    ConfigurePanic,
    /// Allocates until it is refused, while it is configured.
    ConfigureMemory,
    /// Refuses its settings.
    ConfigureRefuse,
    /// Tells how many evaluations its memory has seen.
    Leak,
}

static EVALUATIONS: AtomicU64 = AtomicU64::new(0);
static OBJECTIONS: AtomicU64 = AtomicU64::new(0);

/// What the settings do to `configure`.
///
/// # Errors
/// The settings ask to be refused.
pub fn configure(settings: Settings) -> Result<Settings, Vec<Finding>> {
    match settings.damage {
        Damage::ConfigureLoop => never_end(),
        Damage::ConfigurePanic => panic!("configured to panic"),
        Damage::ConfigureMemory => allocate(),
        Damage::ConfigureRefuse => {
            return Err(vec![
                Finding::setting("/break").message("it asks to be refused").help("ask for something else"),
            ]);
        }
        _ => {}
    }
    Ok(settings)
}

/// What the settings do to an evaluation.
pub fn evaluate(settings: &Settings, submission: &Submission) -> Vec<Finding> {
    let evaluations = EVALUATIONS.fetch_add(1, Ordering::Relaxed) + 1;
    let amount = |default: u64| settings.amount.unwrap_or(default);
    match settings.damage {
        Damage::Error => return vec![Finding::error("hostile.error").message("asked to object")],
        Damage::Warning => return vec![Finding::warning("hostile.warning").message("asked to warn")],
        Damage::Spin => spin(amount(1_000_000)),
        Damage::Fields => ["/name", "/version"].into_iter().cycle().zip(0..amount(2)).for_each(|(place, _)| {
            black_box(submission.text(place));
        }),
        Damage::Parse => (0..amount(1)).for_each(|_| {
            let _ = black_box(submission.document::<serde_json::Value>());
        }),
        Damage::Rules => return forbidden(&settings.rules, &submission.text("/name").unwrap_or_default()),
        Damage::RulesTogether => {
            return too_many(&settings.rules, amount(0), &submission.text("/name").unwrap_or_default());
        }
        Damage::RulesGrudge => {
            let findings = forbidden(&settings.rules, &submission.text("/name").unwrap_or_default());
            if OBJECTIONS.fetch_add(findings.len() as u64, Ordering::Relaxed) > 0 {
                return vec![Finding::error("hostile.grudge").message("it has objected before")];
            }
            return findings;
        }
        Damage::RulesLeak => {
            black_box(vec![1_u8; 1024 * 1024].leak());
            return forbidden(&settings.rules, &submission.text("/name").unwrap_or_default());
        }
        Damage::Loop => never_end(),
        Damage::Memory => allocate(),
        Damage::Stack => return vec![Finding::info("hostile.depth").message(descend(0).to_string())],
        Damage::Panic => panic!("asked to panic"),
        Damage::Answer => {
            let size_bytes = usize::try_from(amount(8 * 1024 * 1024)).unwrap_or(usize::MAX);
            return vec![Finding::error("hostile.answer").message("a".repeat(size_bytes))];
        }
        Damage::Findings => {
            return (0..amount(10_000))
                .map(|number| Finding::info("hostile.findings").message(number.to_string()))
                .collect();
        }
        Damage::Log => {
            let line = "l".repeat(1024);
            (0..amount(100_000)).for_each(|_| log::write(&line));
        }
        Damage::Calls => (0..amount(10_000_000)).for_each(|_| drop(submission.json("/nowhere"))),
        Damage::Lookups => {
            (0..amount(100_000)).for_each(|number| drop(registry::lookup("services", &number.to_string(), None)));
        }
        Damage::Read => (0..amount(10_000_000)).for_each(|_| drop(submission.json(""))),
        Damage::NonsenseCode => return vec![Finding::error("Not A Code").message("a code with spaces")],
        Damage::NonsensePath => return vec![Finding::error("hostile.path").at("manifest.name").message("no pointer")],
        Damage::NonsenseFix => {
            let mut finding = Finding::error("hostile.fix").message("no patch");
            finding.fix = Some("[{".to_owned());
            return vec![finding];
        }
        Damage::Leak => return vec![Finding::info("hostile.leak").message(evaluations.to_string())],
        Damage::None
        | Damage::ConfigureLoop
        | Damage::ConfigurePanic
        | Damage::ConfigureMemory
        | Damage::ConfigureRefuse => {}
    }
    Vec::new()
}

fn forbidden(rules: &[Rule], name: &str) -> Vec<Finding> {
    let broken = rules.iter().filter(|rule| rule.forbidden == name);
    broken.map(|rule| Finding::error("hostile.rule").message(format!("{}: {}", rule.id, rule.message))).collect()
}

fn too_many(rules: &[Rule], most: u64, name: &str) -> Vec<Finding> {
    let is_too_many = rules.len() as u64 > most && rules.iter().all(|rule| rule.forbidden != name);
    let finding = || Finding::error("hostile.rule").message(format!("{} rules are too many", rules.len()));
    is_too_many.then(finding).into_iter().collect()
}

fn spin(turns: u64) {
    (0..turns).for_each(|turn| {
        black_box(turn);
    });
}

fn never_end() -> ! {
    loop {
        black_box(0);
    }
}

fn allocate() {
    let mut kept = Vec::new();
    loop {
        kept.push(vec![1_u8; 1024 * 1024]);
        black_box(&kept);
    }
}

#[expect(unconditional_recursion, reason = "it is what this guest is for")]
fn descend(depth: u64) -> u64 {
    black_box(descend(black_box(depth) + 1)) + 1
}

/// The documented codes.
pub const CODES: [(&str, &str); 10] = [
    ("hostile.error", "It was asked to object."),
    ("hostile.warning", "It was asked to warn."),
    ("hostile.depth", "It survived its own recursion."),
    ("hostile.answer", "It answers too much."),
    ("hostile.findings", "It finds too much."),
    ("hostile.path", "Its path is no pointer."),
    ("hostile.fix", "Its fix is no patch."),
    ("hostile.rule", "One of its rules forbids the name."),
    ("hostile.leak", "How many evaluations its memory has seen: 1, always."),
    ("settings.invalid", "It was asked to refuse its settings."),
];
