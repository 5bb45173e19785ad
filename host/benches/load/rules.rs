//! The rules of the loads, written on the spot.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use crate::samples::cel_settings;
use crate::support::host::component;
use crate::support::rules::{module, own_binding, own_copy};

/// Two kinds: the validator of one is healthy, that of the other never returns.
pub fn with_loop(folder: &Path) -> PathBuf {
    for (name, breaks) in [("note", "none"), ("loop", "loop")] {
        let settings = format!("{{ break = \"{breaks}\" }}");
        module(folder, name, &own_binding(folder, name, "validate", "hostile", &settings));
    }
    folder.to_owned()
}

/// A module of 80 bindings, to 16 plugins with five settings each.
pub fn many_validators(folder: &Path) -> PathBuf {
    let mut text = String::new();
    for plugin in 0..16 {
        let copy = own_copy(folder, &component("agent-rules"), &format!("rules-{plugin}"));
        for time in 0..5 {
            let settings = format!("{{ id_length_max = {} }}", 40 + time);
            binding(&mut text, &format!("b-{plugin}-{time}"), "validate", &copy, &format!("settings = {settings}"));
        }
    }
    module(folder, "many", &text)
}

/// Policies of 20 bindings, to four large plugins with five settings each.
pub fn many_policies(folder: &Path) -> PathBuf {
    let mut text = String::new();
    for plugin in 0..4 {
        let copy = own_copy(folder, &component("cel"), &format!("cel-{plugin}"));
        for time in 0..5 {
            let file = format!("rules-{time}.json");
            fs::write(folder.join(&file), cel_settings(time + 1).to_string()).expect("a file");
            let settings = format!("settings_file = \"{file}\"");
            binding(&mut text, &format!("b-{plugin}-{time}"), "policy", &copy, &settings);
        }
    }
    fs::write(folder.join("policy.toml"), text).expect("a file");
    folder.to_owned()
}

fn binding(text: &mut String, name: &str, stage: &str, component: &Path, settings: &str) {
    write!(
        text,
        "\n[[bindings]]\nname = \"{name}\"\nstage = \"{stage}\"\ncomponent = \"{}\"\n{settings}\n",
        component.display()
    )
    .expect("text");
}

/// A policy of that many CEL rules, none of which objects.
pub fn policies(folder: &Path, count: usize) -> PathBuf {
    fs::create_dir_all(folder).expect("a folder");
    let mut text = String::new();
    binding(&mut text, "cel", "policy", &component("cel"), "settings_file = \"rules.json\"");
    fs::write(folder.join("policy.toml"), text).expect("a file");
    fs::write(folder.join("rules.json"), cel_settings(count).to_string()).expect("a file");
    folder.to_owned()
}
