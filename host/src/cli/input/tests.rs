//! Every text about the paths, kinds and variables of a command line.

use super::*;

fn kinds() -> Vec<Arc<Kind>> {
    let kind = |name: &str, singular: &str, derive: Value| {
        let kind = json!({
            "name": name, "singular": singular, "idField": format!("{singular}Id"), "documentField": "manifest",
            "schema": {}, "derive": derive,
        });
        Arc::new(serde_json::from_value(kind).expect("a kind"))
    };
    vec![
        kind("agents", "agent", json!({"id": "/metadata/name", "version": "/metadata/version"})),
        kind("services", "service", json!({})),
    ]
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn with(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, text) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            std::fs::write(path, text).expect("a file");
        }
        Self(folder)
    }

    fn arguments(&self, names: &[&str]) -> Arguments {
        Arguments { paths: names.iter().map(|name| self.0.path().join(name)).collect(), ..Arguments::default() }
    }

    /// The submissions as they would be sent, or the message without the folder's own path.
    fn read(&self, arguments: &Arguments) -> Result<Vec<Value>, String> {
        match read(arguments, &kinds(), &Limits::default()) {
            Ok(read) => Ok(read.candidates.into_iter().map(|candidate| candidate.body).collect()),
            Err(Trouble::Usage(message)) => Err(message.replace(&format!("{}/", self.0.path().display()), "")),
            Err(other) => Err(format!("{other:?}")),
        }
    }
}

#[test]
fn reads_folders_by_name_and_arrays_in_order() {
    let folder = Folder::with(&[
        ("all/b.json", r#"[{"serviceId": "b1"}, {"agentId": "b2"}]"#),
        ("all/a/z.yml", "agentId: az\n"),
        ("all/c.yaml", "agentId: c\n"),
        ("all/notes.txt", "not read"),
    ]);
    let read = folder.read(&folder.arguments(&["all"]));
    let expected =
        [json!({"agentId": "az"}), json!({"serviceId": "b1"}), json!({"agentId": "b2"}), json!({"agentId": "c"})];
    assert_eq!(read, Ok(expected.to_vec()));
}

#[test]
fn makes_submissions_of_bare_documents() {
    let folder =
        Folder::with(&[("a.yaml", "metadata: {name: planner, version: 1.0.0}\n"), ("s.json", "{\"services\": []}")]);
    let agents = Arguments { kind: Some("agents".to_owned()), ..folder.arguments(&["a.yaml"]) };
    let document = json!({"metadata": {"name": "planner", "version": "1.0.0"}});
    assert_eq!(
        folder.read(&agents),
        Ok(vec![json!({"agentId": "planner", "name": "planner", "version": "1.0.0", "manifest": document})])
    );
    let services = Arguments {
        kind: Some("services".to_owned()),
        id: Some("observatory".to_owned()),
        version: Some("2.0.0".to_owned()),
        name: Some("Observatory".to_owned()),
        ..folder.arguments(&["s.json"])
    };
    assert_eq!(
        folder.read(&services),
        Ok(vec![json!({
            "serviceId": "observatory", "name": "Observatory", "version": "2.0.0", "manifest": {"services": []},
        })])
    );
}

#[test]
fn the_command_lines_variables_go_over_the_files() {
    let folder = Folder::with(&[
        ("a.json", r#"{"agentId": "a", "variables": {"A": "file", "B": "file", "C": "file"}}"#),
        ("vars.yaml", "B: vars\nC: vars\nD: {value: x, secret: true}\n"),
    ]);
    let arguments = Arguments {
        vars: vec!["C=x=y".to_owned(), "E=".to_owned()],
        secret_vars: vec!["F=hush".to_owned()],
        var_file: Some(folder.0.path().join("vars.yaml")),
        ..folder.arguments(&["a.json"])
    };
    assert_eq!(
        folder.read(&arguments),
        Ok(vec![json!({"agentId": "a", "variables": {
            "A": "file", "B": "vars", "C": "x=y", "D": {"value": "x", "secret": true}, "E": "",
            "F": {"value": "hush", "secret": true},
        }})])
    );
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table of cases")]
fn says_what_to_write_instead() {
    let folder = Folder::with(&[
        ("agent.json", r#"{"agentId": "a"}"#),
        ("both.json", r#"{"agentId": "a", "serviceId": "a"}"#),
        ("bare.yaml", "metadata: {name: planner}\n"),
        ("list.json", "[1]"),
        ("text.yaml", "just text\n"),
        ("vars.json", "[]"),
        ("badvars.json", "{"),
        ("oddvars.json", r#"{"agentId": "a", "variables": 3}"#),
        ("empty/notes.txt", ""),
    ]);
    let known = "known kinds are: agents (agentId), services (serviceId)";
    let of = |names: &[&str]| folder.arguments(names);
    let agents = |names: &[&str]| Arguments { kind: Some("agents".to_owned()), ..of(names) };
    let some = |text: &str| Some(text.to_owned());
    for (arguments, expected) in [
        (of(&["missing.json"]), "missing.json: no such file or folder".to_owned()),
        (of(&["empty"]), "empty: no .json, .yaml or .yml file in this folder".to_owned()),
        (
            of(&["bare.yaml"]),
            format!("bare.yaml: the kind cannot be told, since it has the id field of no kind: give --kind; {known}"),
        ),
        (
            of(&["both.json"]),
            format!(
                "both.json: the kind cannot be told, since it has the id fields of two kinds: give --kind; {known}"
            ),
        ),
        (
            Arguments { kind: some("agent"), ..of(&["agent.json"]) },
            format!("--kind: no module declares the kind 'agent'; {known}"),
        ),
        (
            agents(&["bare.yaml"]),
            "bare.yaml: the version is not known, since nothing stands at /metadata/version: give --version".to_owned(),
        ),
        (
            Arguments { version: some("1.0.0"), ..agents(&["agent.json"]) },
            "--version is for bare documents, and agent.json is a whole submission: change it there".to_owned(),
        ),
        (
            Arguments { id: some("x"), version: some("1.0.0"), ..agents(&["bare.yaml", "bare.yaml"]) },
            "--id names one document, and 2 are given".to_owned(),
        ),
        (of(&["list.json"]), "list.json: not a submission at /0: expected an object".to_owned()),
        (of(&["text.yaml"]), "text.yaml: not a submission: expected an object".to_owned()),
        (
            Arguments { vars: vec!["A".to_owned()], ..of(&["agent.json"]) },
            "--var takes KEY=VALUE: an '=' is missing".to_owned(),
        ),
        (
            Arguments { secret_vars: vec!["hush".to_owned()], ..of(&["agent.json"]) },
            "--secret-var takes KEY=VALUE: an '=' is missing".to_owned(),
        ),
        (
            Arguments { var_file: Some(folder.0.path().join("vars.json")), ..of(&["agent.json"]) },
            "vars.json: expected an object of names to values".to_owned(),
        ),
        (
            Arguments { var_file: Some(folder.0.path().join("badvars.json")), ..of(&["agent.json"]) },
            "badvars.json: the document ends where a member name in double quotes should be: complete it at line 1, \
             column 2"
                .to_owned(),
        ),
        (
            Arguments { vars: vec!["A=1".to_owned()], ..of(&["oddvars.json"]) },
            "oddvars.json: 'variables' is not an object of names to values".to_owned(),
        ),
    ] {
        assert_eq!(folder.read(&arguments), Err(expected));
    }
}

#[test]
fn keeps_files_that_cannot_be_decoded_apart() {
    let folder = Folder::with(&[("bad.json", "{"), ("good.json", r#"{"agentId": "a"}"#)]);
    let read = read(&folder.arguments(&["bad.json", "good.json"]), &kinds(), &Limits::default()).expect("a reading");
    assert_eq!((read.candidates.len(), read.unreadable.len()), (1, 1));
}
