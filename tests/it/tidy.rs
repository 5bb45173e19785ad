//! The shape of the tree: which room may use which, and the invariants that `docs/ARCHITECTURE.md` states. What
//! fails here is not a matter of taste: either the code is in the wrong room or the document is wrong.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use hallmark::config::Limits;

/// Longest file, in lines, tests included.
const FILE_LINES_MAX: usize = 500;

/// Each room and the rooms of `host/src` that it may use. `cli` names every room, since it assembles them.
const MAY_USE: &[(&str, &[&str])] = &[
    ("names", &[]),
    ("report", &[]),
    ("clock", &[]),
    ("config", &[]),
    ("telemetry", &["config"]),
    ("plugin", &["names", "report", "clock", "config"]),
    ("identity", &["names", "clock", "config"]),
    ("registry", &["names", "report", "clock", "config", "plugin", "identity"]),
    ("sql", &["names", "report", "clock", "config", "registry"]),
    ("announce", &["names", "report", "clock", "config", "registry"]),
    ("http", &["names", "report", "clock", "config", "telemetry", "plugin", "identity", "registry"]),
    (
        "cli",
        &[
            "names",
            "report",
            "clock",
            "config",
            "telemetry",
            "plugin",
            "identity",
            "registry",
            "sql",
            "announce",
            "http",
        ],
    ),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the host lies in the workspace").to_owned()
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.expect("a readable folder").path();
        if path.is_dir() && path.file_name().is_none_or(|name| name != "target") {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Every source file of the host with its room and its code, comments and unit tests left out.
fn host_sources() -> Vec<(String, PathBuf, String)> {
    let source = root().join("host/src");
    let mut files = Vec::new();
    rust_files(&source, &mut files);
    files.sort();
    files
        .into_iter()
        .map(|path| {
            let inside = path.strip_prefix(&source).expect("a file of the host");
            let room = inside.components().next().expect("a path").as_os_str().to_string_lossy().replace(".rs", "");
            let text = fs::read_to_string(&path).expect("a readable file");
            let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
            let code = code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
            (room, inside.to_owned(), code)
        })
        .filter(|(_, path, _)| {
            !path.ends_with("tests.rs") && !path.components().any(|part| part.as_os_str() == "tests")
        })
        .collect()
}

fn complain(what: &str, places: &[String]) {
    assert!(places.is_empty(), "{what}:\n  {}", places.join("\n  "));
}

#[test]
fn rooms_use_only_the_rooms_they_may() {
    let mut wrong = Vec::new();
    for (room, path, code) in host_sources() {
        if ["lib", "main"].contains(&room.as_str()) {
            continue;
        }
        let Some((_, allowed)) = MAY_USE.iter().find(|(name, _)| *name == room) else {
            wrong.push(format!("{}: the room '{room}' is not in the list of this test", path.display()));
            continue;
        };
        for used in code.split("crate::").skip(1) {
            let used: String = used.chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect();
            if used != room && MAY_USE.iter().any(|(name, _)| *name == used) && !allowed.contains(&used.as_str()) {
                wrong.push(format!("{}: '{room}' uses '{used}'", path.display()));
            }
        }
    }
    complain("dependencies that point outwards", &wrong);
}

#[test]
fn each_foreign_world_stays_in_its_room() {
    // What is looked for, and the one place it may be.
    let kept: &[(&[&str], &str)] = &[
        (&["wasmtime::", "wasmtime_wizer::"], "plugin"),
        (&["sqlx::"], "sql"),
        (&["StatusCode::"], "http/error.rs"),
        (&["axum::"], "http"),
        (&["object_store::"], "registry/blobs"),
        (&["clap::"], "cli"),
        (&["jsonwebtoken::", " ring::"], "identity"),
    ];
    let mut wrong = Vec::new();
    for (_, path, code) in host_sources() {
        let path = path.to_string_lossy().into_owned();
        for (words, place) in kept {
            let at_home = path == *place || path.starts_with(&format!("{place}/")) || path == format!("{place}.rs");
            for word in words.iter().filter(|word| code.contains(**word)) {
                if !at_home {
                    wrong.push(format!("{path}: {word} belongs in {place}"));
                }
            }
        }
    }
    complain("foreign names outside their room", &wrong);
}

#[test]
fn only_the_policy_stage_makes_an_approval() {
    let makers: Vec<String> = host_sources()
        .into_iter()
        .flat_map(|(_, path, code)| {
            let count = code.matches("Approved(record)").count();
            std::iter::repeat_n(path.to_string_lossy().into_owned(), count)
        })
        .collect();
    assert_eq!(makers, ["registry/gate.rs"], "an approval is made in one place, by gate::policy");
}

#[test]
fn files_say_what_they_are_for_and_stay_short() {
    let mut files = Vec::new();
    for folder in ["host/src", "host/benches", "tests", "plugins"] {
        rust_files(&root().join(folder), &mut files);
    }
    let mut wrong = Vec::new();
    for path in files {
        let text = fs::read_to_string(&path).expect("a readable file");
        let shown = path.strip_prefix(root()).expect("a file of the workspace").display().to_string();
        if !text.starts_with("//!") {
            wrong.push(format!("{shown}: does not open with //!"));
        }
        let lines = text.lines().count();
        if lines > FILE_LINES_MAX {
            wrong.push(format!("{shown}: {lines} lines, at most {FILE_LINES_MAX}"));
        }
        for word in ["TODO", "FIXME", "todo!(", "unimplemented!(", "#[ignore", "#[allow(", "thread::sleep", "dbg!("] {
            // Tests wait for conditions; a thread that paces itself, or asks a process again and again, may sleep.
            let paced = word == "thread::sleep" && !shown.starts_with("tests/it/");
            if text.contains(word) && !shown.ends_with("tidy.rs") && !paced {
                wrong.push(format!("{shown}: {word}"));
            }
        }
    }
    complain("files against the house rules", &wrong);
}

/// The tests of the tree: the files of tests, and what stands under `#[cfg(test)]` in the host's own files.
fn test_sources() -> String {
    let mut files = Vec::new();
    for folder in ["host/src", "tests/it"] {
        rust_files(&root().join(folder), &mut files);
    }
    let is_of_tests =
        |path: &Path| path.ends_with("tests.rs") || path.components().any(|part| part.as_os_str() == "tests");
    let tests = files.into_iter().map(|path| {
        let text = fs::read_to_string(&path).expect("a readable file");
        let inside = path.strip_prefix(root()).expect("a file of the workspace");
        if is_of_tests(inside) {
            return text;
        }
        text.split_once("#[cfg(test)]\nmod tests {").map_or_else(String::new, |(_, tests)| tests.to_owned())
    });
    tests.collect::<Vec<_>>().join("\n")
}

#[test]
fn every_limit_is_named_by_a_test() {
    let sources = test_sources();
    let is_part_of_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let named: HashSet<&str> = sources.split(|letter| !is_part_of_name(letter)).collect();
    assert!(named.contains("plugin_deadline_ms"), "the tests are read");
    let forgotten: Vec<String> =
        Limits::NAMES.iter().filter(|name| !named.contains(**name)).map(|name| (*name).to_owned()).collect();
    complain("limits that no test breaks", &forgotten);
}

#[test]
fn dependencies_have_licences_that_an_apache_project_can_carry() {
    const ACCEPTED: &[&str] = &[
        "Apache-2.0",
        "Apache-2.0 WITH LLVM-exception",
        "MIT",
        "MIT-0",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "BSL-1.0",
        "CC0-1.0",
        "CDLA-Permissive-2.0",
        "ISC",
        "Unicode-3.0",
        "Unlicense",
        "Zlib",
    ];
    let mut wrong = Vec::new();
    for (manifest, platform) in
        [("Cargo.toml", "x86_64-unknown-linux-gnu"), ("plugins/Cargo.toml", "wasm32-unknown-unknown")]
    {
        let output = std::process::Command::new(env!("CARGO"))
            .args(["metadata", "--format-version=1", "--offline", "--locked"])
            .args(["--filter-platform", platform, "--manifest-path"])
            .arg(root().join(manifest))
            .output()
            .expect("cargo runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).expect("cargo writes JSON");
        for package in metadata["packages"].as_array().expect("packages") {
            let stated = package["license"].as_str().map(str::to_owned).or_else(|| licence_in_file(package));
            let licence = stated.unwrap_or_else(|| "none stated".to_owned()).replace('/', " OR ");
            // Every side of an AND must be acceptable, and one side of an OR.
            let acceptable = licence
                .replace(['(', ')'], "")
                .split(" AND ")
                .all(|side| side.split(" OR ").any(|name| ACCEPTED.contains(&name.trim())));
            if !acceptable {
                wrong.push(format!("{} {}: {licence}", package["name"], package["version"]));
            }
        }
    }
    complain("licences to look at", &wrong);
}

/// The licence of a package that states none and has a file of it.
fn licence_in_file(package: &serde_json::Value) -> Option<String> {
    let folder = Path::new(package["manifest_path"].as_str()?).parent()?;
    let text = fs::read_to_string(folder.join(package["license_file"].as_str()?)).ok()?;
    text.starts_with("MIT License\n").then(|| "MIT".to_owned())
}
