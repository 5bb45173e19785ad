//! The layers, each over the one before, and what is said of what cannot be.

use tempfile::TempDir;

use super::*;

/// What a file and an environment say, or what is wrong with them.
fn read(file: &str, environment: &[(&str, &str)]) -> Result<Configuration, String> {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join(FILE);
    std::fs::write(&path, file).expect("a file");
    let variables = environment.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
    let read = Configuration::read(Some(&path), variables);
    let within = format!("{}/", folder.path().display());
    read.map_err(|trouble| match trouble {
        Trouble::Usage(message) => message.replace(&within, ""),
        other => format!("{other:?}"),
    })
}

fn value(configuration: &Configuration, name: &str) -> Option<String> {
    configuration.keys.get(name).map(|given| given.value.clone())
}

#[test]
fn the_environment_goes_over_the_file() {
    let file = "server = \"http://file\"\n[serve]\nlisten = \"0.0.0.0:1\"\n[log]\nformat = \"json\"\n";
    let read = read(file, &[("HALLMARK_SERVE__LISTEN", "0.0.0.0:2"), ("HALLMARK_LOG__FORMAT", "")]).expect("read");
    assert_eq!(value(&read, "server").as_deref(), Some("http://file"));
    assert_eq!(
        read.keys["serve.listen"],
        Given { value: "0.0.0.0:2".into(), origin: Origin::Environment("HALLMARK_SERVE__LISTEN".into()) }
    );
    assert_eq!(value(&read, "log.format").as_deref(), Some("json"), "what is empty says nothing");
}

#[test]
fn of_two_that_say_one_thing_the_later_layer_holds() {
    let file = "token_file = \"a.token\"\n[database]\nurl_file = \"url\"\n";
    let read = read(file, &[("HALLMARK_TOKEN", "hm_1"), ("DATABASE_URL", "sqlite:a")]).expect("read");
    assert_eq!(value(&read, "token").as_deref(), Some("hm_1"));
    assert_eq!(value(&read, "token_file"), None);
    assert_eq!(value(&read, "database.url").as_deref(), Some("sqlite:a"));
    assert_eq!(value(&read, "database.url_file"), None);
}

#[test]
fn paths_of_a_file_begin_in_its_folder() {
    let read = read("[serve]\ndata = \"data\"\nobjects = \"/srv/objects\"\n", &[]).expect("read");
    assert!(value(&read, "serve.data").is_some_and(|path| path.starts_with('/') && path.ends_with("/data")));
    assert_eq!(value(&read, "serve.objects").as_deref(), Some("/srv/objects"));
}

#[test]
fn limits_are_set_by_every_layer() {
    let file = "[limits]\nplugin_deadline_ms = 10\ngate_queue_max = 20\nimpact_examples_max = 30\n";
    let read = read(file, &[("HALLMARK_LIMITS__GATE_QUEUE_MAX", "21"), ("HALLMARK_LIMITS__IMPACT_EXAMPLES_MAX", "31")]);
    let read = read.expect("read");
    let limits = read.limits(&["impact_examples_max=32".to_owned()]).expect("limits");
    assert_eq!((limits.plugin_deadline_ms, limits.gate_queue_max, limits.impact_examples_max), (10, 21, 32));
    assert_eq!(read.origin_of_limit("gate_queue_max"), Origin::Environment("HALLMARK_LIMITS__GATE_QUEUE_MAX".into()));
    assert_eq!(read.origin_of_limit("plugin_tick_ms"), Origin::Default);
}

#[test]
fn everything_that_is_wrong_is_told_with_its_place() {
    let file = "sever = \"http://file\"\n[serve]\nlisten = 8080\nlissen = \"a\"\n[limits]\nplugin_dedline_ms = 1\n\
                plugin_tables_max = 5000000000\nplugin_tick_ms = \"soon\"\n";
    let environment = [("HALLMARK_LIMITS__PLUGIN_TICK_MSS", "1"), ("HALLMARK_DRY_RUN", "perhaps")];
    assert_eq!(
        read(file, &environment).err().unwrap_or_default().split("\nerror: ").collect::<Vec<_>>(),
        [
            "hallmark.toml:1: the file: unknown name 'sever': did you mean 'server'?",
            "hallmark.toml:3: [serve]: listen: takes text in quotes, not an integer",
            "hallmark.toml:4: [serve]: unknown name 'lissen': did you mean 'listen'?",
            "hallmark.toml:6: [limits]: unknown name 'plugin_dedline_ms': did you mean 'plugin_deadline_ms'?",
            "hallmark.toml:7: [limits]: plugin_tables_max: limit plugin_tables_max takes a whole number, not '5000000000'",
            "hallmark.toml:8: [limits]: plugin_tick_ms: takes a whole number from 0 to 9223372036854775807",
            "HALLMARK_DRY_RUN: takes 1 or 0, not 'perhaps'",
            "unknown name 'HALLMARK_LIMITS__PLUGIN_TICK_MSS': did you mean 'HALLMARK_LIMITS__PLUGIN_TICK_MS'?",
        ]
    );
    assert_eq!(
        read("token = \"a\"\ntoken_file = \"b\"\n", &[]).err().as_deref(),
        Some(
            "'token' in hallmark.toml and 'token_file' in hallmark.toml both say where to find one thing: keep one of them"
        )
    );
    assert_eq!(
        read("server = ", &[]).err().as_deref(),
        Some("hallmark.toml:1: string values must be quoted, expected literal string")
    );
}

#[test]
fn variables_of_others_are_let_be_and_slips_are_not() {
    for (name, told) in [
        ("HALLMARK_VERSION", None),
        ("HALLMARK_SERVICE_HOST", None),
        ("HALLMARK_PORT_8080_TCP_PROTO", None),
        ("HALLMARK_SERVE_LISTEN", Some("did you mean 'HALLMARK_SERVE__LISTEN'?")),
        ("HALLMARK_LISTEN", Some("did you mean 'HALLMARK_SERVE__LISTEN'?")),
        ("HALLMARK_TOKEN_FIEL", Some("did you mean 'HALLMARK_TOKEN_FILE'?")),
        ("HALLMARK_CONFIGG", Some("did you mean 'HALLMARK_CONFIG'?")),
        ("HALLMARK_NOWHERE__AT_ALL", Some("'hallmark config show --output json' has every name that is known")),
    ] {
        let refused = read("", &[(name, "1")]).err();
        let expected = told.map(|told| format!("unknown name '{name}': {told}"));
        assert_eq!(refused, expected, "{name}");
    }
}

#[test]
fn every_key_is_the_default_of_a_flag() {
    let command = crate::cli::command();
    for key in KEYS {
        let has = |command: &clap::Command| {
            key.is_of(command) && command.get_arguments().any(|argument| argument.get_id() == key.argument)
        };
        let holders: Vec<&str> =
            ["serve", "publish"].into_iter().filter(|name| command.find_subcommand(name).is_some_and(has)).collect();
        assert!(!holders.is_empty(), "{} is of no command", key.name);
        assert_eq!(key.twin.and_then(keys::find).and_then(|twin| twin.twin), key.twin.map(|_| key.name));
    }
    let serve = command.find_subcommand("serve").expect("a command");
    let of_no_key = ["help", "limits", "config"];
    for argument in serve.get_arguments().filter(|argument| !of_no_key.contains(&argument.get_id().as_str())) {
        let is_known = KEYS.iter().any(|key| argument.get_id() == key.argument && key.is_of(serve));
        assert!(is_known, "--{} has no key: add it to the table", argument.get_id());
    }
}
