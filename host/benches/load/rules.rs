//! The rules of the loads, written on the spot.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use crate::samples::cel_settings;
use crate::support::host::component;
use crate::support::rules::{module, own_binding};

/// Two kinds: the validator of one is healthy, that of the other never returns.
pub fn with_loop(folder: &Path) -> PathBuf {
    for (name, breaks) in [("note", "none"), ("loop", "loop")] {
        let settings = format!("{{ break = \"{breaks}\" }}");
        module(folder, name, &own_binding(folder, name, "validate", "hostile", &settings));
    }
    folder.to_owned()
}

/// A policy of that many CEL rules, none of which objects.
pub fn policies(folder: &Path, count: usize) -> PathBuf {
    fs::create_dir_all(folder).expect("a folder");
    let mut text = String::new();
    write!(
        text,
        "[[bindings]]\nname = \"cel\"\nstage = \"policy\"\ncomponent = \"{}\"\nsettings_file = \"rules.json\"\n",
        component("cel").display()
    )
    .expect("text");
    fs::write(folder.join("policy.toml"), text).expect("a file");
    fs::write(folder.join("rules.json"), cel_settings(count).to_string()).expect("a file");
    folder.to_owned()
}
