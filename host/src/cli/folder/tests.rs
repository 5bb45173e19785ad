//! Every text about a rules folder, with its file and line.

use serde_json::json;

use super::*;

struct Files(tempfile::TempDir);

impl Files {
    fn with(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).expect("a file");
        }
        Self(folder)
    }

    fn plain(&self, error: &FolderError) -> String {
        error.to_string().replace(&format!("{}/", self.0.path().display()), "")
    }

    fn module(&self) -> Result<Folder, String> {
        read_module(self.0.path(), &Limits::default()).map_err(|error| self.plain(&error))
    }

    fn policies(&self) -> Result<Folder, String> {
        read_policies(self.0.path(), &Limits::default(), "the others").map_err(|error| self.plain(&error))
    }
}

fn refusal(text: &str) -> String {
    let files = Files::with(&[
        ("module.toml", text),
        ("a.schema.json", "{\"type\": \"object\"}"),
        ("bad.schema.json", "{\"type\": \"objekt\"}"),
        ("broken.json", "{"),
        ("a.wasm", "bytes"),
    ]);
    files.module().expect_err("refused")
}

const KIND: &str = r#"
[[kinds]]
name = "agents"
singular = "agent"
id_field = "agentId"
schema = "a.schema.json"
"#;

/// A module with a bit of everything.
const MODULE: &str = r#"
[module]
name = "agents"
description = "Agents."

[[kinds]]
name = "agents"
singular = "agent"
id_field = "agentId"
document_field = "manifest"
versioning = "any"
schema = "agent.schema.json"

[kinds.derive]
id = "/metadata/name"

[kinds.fields.owner]
type = "string"
maxLength = 10

[[placeholders]]
name = "REGION"
description = "Where it runs."
default = "eu"

[[placeholders]]
name = "TOKEN"
secret = true

[[bindings]]
name = "placeholders"
stage = "resolve"
component = "a.wasm"
kinds = ["agents"]
settings = { within = ["/manifest"], depth = 2, ratio = 0.5, on = 2024-01-02 }

[[bindings]]
name = "rules"
stage = "validate"
component = "a.wasm"
mode = "observe"
percent = 25
settings_file = "settings.yaml"
"#;

#[test]
fn reads_a_module() {
    let files = Files::with(&[
        ("module.toml", MODULE),
        ("agent.schema.json", "{\"type\": \"object\"}"),
        ("settings.yaml", "a: [1]\n"),
        ("a.wasm", "bytes"),
    ]);
    let folder = files.module().expect("a module");
    let digest = Digest::of(b"bytes");
    assert_eq!(
        serde_json::to_value(&folder.rules).expect("JSON"),
        json!({
            "scope": "module:agents",
            "description": "Agents.",
            "kinds": [{
                "name": "agents", "singular": "agent", "idField": "agentId", "documentField": "manifest",
                "versioning": "any", "schema": {"type": "object"},
                "fields": {"owner": {"type": "string", "maxLength": 10}},
                "derive": {"id": "/metadata/name"},
            }],
            "placeholders": [
                {"name": "REGION", "description": "Where it runs.", "default": "eu"},
                {"name": "TOKEN", "secret": true},
            ],
            "bindings": [
                {
                    "name": "placeholders", "stage": "resolve", "plugin": digest, "mode": "enforce", "kinds": ["agents"],
                    "settings": {"within": ["/manifest"], "depth": 2, "ratio": 0.5, "on": "2024-01-02"},
                },
                {
                    "name": "rules", "stage": "validate", "plugin": digest, "mode": "observe", "percent": 25,
                    "settings": {"a": [1]},
                },
            ],
        })
    );
    assert_eq!(folder.components, BTreeMap::from([(digest, b"bytes".to_vec())]));
}

#[test]
fn reads_policies() {
    let digest = Digest::of(b"x");
    let text = format!("[[bindings]]\nname = \"cel\"\nstage = \"policy\"\nplugin = \"{digest}\"\n");
    let folder = Files::with(&[("policy.toml", &text)]).policies().expect("policies");
    assert_eq!(folder.rules.scope, Scope::Policies);
    assert_eq!((&folder.rules.bindings[0].plugin, &folder.rules.bindings[0].settings), (&digest, &json!({})));
    assert!(folder.components.is_empty());
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table of cases")]
fn says_which_line_and_key_is_wrong() {
    let module = "[module]\nname = \"agents\"\n";
    for (more, expected) in [
        ("nmae = 1", "module.toml:3: [module]: unknown name 'nmae': did you mean 'name'?"),
        ("[extra]", "module.toml:3: the file: unknown name 'extra'; known are module, kinds, placeholders, bindings"),
        ("[[kinds", "module.toml:3: unclosed array table, expected `]]`"),
        ("kinds = 3", "module.toml:3: [module]: unknown name 'kinds'; known are name, description"),
        ("[kinds]", "module.toml:3: the file: kinds: takes tables: write [[kinds]], not a table"),
        (
            "[[placeholders]]\nname = \"A\"\nsecret = true\ndefault = \"x\"",
            "module.toml:6: [[placeholders]]: default: a secret has no default, since rules are stored in clear: remove it",
        ),
        ("[[placeholders]]\nname = 3", "module.toml:4: [[placeholders]]: name: takes text in quotes, not an integer"),
        (
            "[[placeholders]]\nname = \"A\"\nsecret = \"yes\"",
            "module.toml:5: [[placeholders]]: secret: takes true or false, not a string",
        ),
        (
            "[[bindings]]\nname = \"a\"\nstage = \"validate\"",
            "module.toml:3: [[bindings]]: component: is missing: name the component's file, or its digest as 'plugin'",
        ),
        (
            "[[bindings]]\nname = \"a\"\nstage = \"policy\"\ncomponent = \"a.wasm\"",
            "module.toml:5: [[bindings]]: stage: 'policy' is not one of resolve, validate",
        ),
        (
            "[[bindings]]\nname = \"a\"\nstage = \"validate\"\ncomponent = \"b.wasm\"",
            "module.toml:6: [[bindings]]: component: there is no b.wasm: build it first with 'hallmark plugin build'",
        ),
        (
            "[[bindings]]\nname = \"a\"\nstage = \"validate\"\nplugin = \"sha256:1\"",
            "module.toml:6: [[bindings]]: plugin: 'sha256:1' is not a valid digest: sha256: and 64 lower case hexadecimal digits",
        ),
        (
            "[[bindings]]\nname = \"a\"\nstage = \"validate\"\ncomponent = \"a.wasm\"\nplugin = \"sha256:1\"",
            "module.toml:7: [[bindings]]: plugin: stands beside 'component': remove one of them",
        ),
        (
            "[[bindings]]\nname = \"a\"\nstage = \"validate\"\ncomponent = \"a.wasm\"\nsettings = {}\nsettings_file = \"x\"",
            "module.toml:8: [[bindings]]: settings_file: stands beside 'settings': remove one of them",
        ),
        (
            "[[bindings]]\nname = \"a\"\nstage = \"validate\"\ncomponent = \"a.wasm\"\nsettings_file = \"broken.json\"",
            "module.toml:7: [[bindings]]: settings_file: broken.json: the document ends where a member name in double \
             quotes should be: complete it at line 1, column 2",
        ),
        (
            "[[bindings]]\nname = \"a\"\nstage = \"validate\"\ncomponent = \"a.wasm\"\nsettings_file = \"a.wasm\"",
            "module.toml:7: [[bindings]]: settings_file: a.wasm is not a .json, .yaml, .yml or .toml file",
        ),
        (
            "[[bindings]]\nname = \"a\"\nstage = \"validate\"\ncomponent = \"a.wasm\"\nsettings = {a = nan}",
            "module.toml:7: [[bindings]]: settings: JSON has no nan",
        ),
        (
            "[[bindings]]\nname = \"a\"\nstage = \"validate\"\ncomponent = \"a.wasm\"\nsettings = {a = 9007199254740992}",
            "module.toml:7: [[bindings]]: settings: the integer 9007199254740992 is not exact as a double: write it as text",
        ),
        (
            "[[bindings]]\nname = \"a\"\nstage = \"validate\"\ncomponent = \"a.wasm\"\nmode = \"warn\"",
            "module.toml:7: [[bindings]]: mode: 'warn' is not one of enforce, observe",
        ),
        (
            "[[bindings]]\nname = \"a\"\nstage = \"validate\"\ncomponent = \"a.wasm\"\nmode = \"observe\"\npercent = 101",
            "module.toml:8: [[bindings]]: percent: takes a whole number from 1 to 100",
        ),
        (
            "[[bindings]]\nname = \"a\"\nstage = \"validate\"\ncomponent = \"a.wasm\"\npercent = 10",
            "module.toml:7: [[bindings]]: percent: only a binding that observes can have one: set mode = \"observe\", or \
             remove it",
        ),
        (
            "[[bindings]]\nname = \"a\"\nstage = \"validate\"\ncomponent = \"a.wasm\"\nkinds = \"agents\"",
            "module.toml:7: [[bindings]]: kinds: takes a list of names, not a string",
        ),
        (
            "[[bindings]]\nname = \"a\"\nstage = \"validate\"\ncomponent = \"a.wasm\"\nkinds = [\"Agents\"]",
            "module.toml:7: [[bindings]]: kinds: 'Agents' is not a valid kind: lower case letters, digits and dashes, a letter first, at most 63",
        ),
        (
            "[[kinds]]\nname = \"agents\"\nsingular = \"agent\"\nschema = \"a.schema.json\"",
            "module.toml:3: [[kinds]]: 'id_field' is missing: add it",
        ),
    ] {
        assert_eq!(refusal(&format!("{module}{more}\n")), expected);
    }
}

#[test]
fn says_what_is_wrong_with_a_kind() {
    let module = "[module]\nname = \"agents\"\n";
    for (from, to, more, expected) in [
        ("a.schema", "bad.schema", "", "module.toml:8: [[kinds]]: schema: bad.schema.json is not a JSON Schema: "),
        ("a.schema.json", "no.json", "", "module.toml:8: [[kinds]]: schema: there is no no.json"),
        (
            "\"agents\"\nsing",
            "\"Agents\"\nsing",
            "",
            "module.toml:5: [[kinds]]: name: 'Agents' is not a valid kind: lower case letters",
        ),
        (
            "",
            "",
            "versioning = \"date\"",
            "module.toml:9: [[kinds]]: versioning: 'date' is not one of semver, any, auto",
        ),
        (
            "",
            "",
            "[kinds.derive]\nid = \"name\"",
            "module.toml:10: [kinds.derive]: id: 'name' is not a JSON Pointer: write it as in /metadata/name",
        ),
        (
            "",
            "",
            "[kinds.fields.owner]\ntype = \"text\"",
            "module.toml:9: [[kinds]]: fields: owner is not a JSON Schema: ",
        ),
    ] {
        let said = refusal(&format!("{module}{}{more}\n", KIND.replacen(from, to, usize::from(!from.is_empty()))));
        assert!(said.starts_with(expected), "{said}");
    }
}

#[test]
fn gathers_what_is_wrong_in_the_order_of_the_file() {
    let said = refusal("[[placeholders]]\nsecret = 1\n[[bindings]]\nstage = \"x\"\n");
    let lines: Vec<_> = said.lines().collect();
    assert_eq!(
        lines,
        [
            "module.toml:1: [[placeholders]]: 'name' is missing: add it",
            "module.toml:1: the file: module: the table [module] is missing: add it with a name",
            "module.toml:2: [[placeholders]]: secret: takes true or false, not an integer",
            "module.toml:3: [[bindings]]: 'name' is missing: add it",
            "module.toml:3: [[bindings]]: component: is missing: name the component's file, or its digest as 'plugin'",
            "module.toml:4: [[bindings]]: stage: 'x' is not one of resolve, validate",
        ]
    );
}

#[test]
fn says_what_a_folder_lacks_and_what_takes_it_instead() {
    let limits = Limits::default();
    let told = |files: &[(&str, &str)], below: &str| {
        let files = Files::with(files);
        let (folder, shown) = (files.0.path().join(below), files.0.path().display().to_string());
        let errors =
            [read_modules(&folder, &limits, "the others").err(), read_policies(&folder, &limits, "the others").err()];
        errors.map(|error| error.map_or_else(String::new, |error| error.to_string().replace(&shown, "DIR")))
    };
    let empty =
        ["DIR/: no module.toml here or one folder below", "DIR/: no policy.toml here: name the folder that has it"];
    assert_eq!(told(&[], ""), empty);
    assert_eq!(told(&[], "none"), ["DIR/none: there is no such folder"; 2]);
    let a_file = [("module.toml", "[module]\nname = \"a\"")];
    assert_eq!(
        told(&a_file, "")[1],
        "DIR/: no policy.toml here; it is a module's folder (module.toml): give it to the others"
    );
    assert_eq!(
        told(&a_file, "module.toml"),
        [
            "DIR/module.toml: it is a file: name the folder with the module.toml",
            "DIR/module.toml: it is a file: name the folder with the policy.toml",
        ]
    );
    assert_eq!(
        told(&[("policy.toml", "")], "")[0],
        "DIR/: no module.toml here or one folder below; it is a folder of policies (policy.toml): give it to the others"
    );
}

#[test]
fn a_file_that_is_too_large_names_its_own_limit() {
    let text = "[module]\nname = \"agents\"\n[[kinds]]\nname = \"agents\"\nsingular = \"agent\"\nid_field = \"agentId\"\n\
                schema = \"a.schema.json\"\n[[bindings]]\nname = \"a\"\nstage = \"validate\"\ncomponent = \"a.wasm\"\n\
                settings_file = \"a.json\"\n";
    let files = Files::with(&[("module.toml", text), ("a.schema.json", "true"), ("a.wasm", "bytes"), ("a.json", "{}")]);
    let read = |limits: Limits| read_module(files.0.path(), &limits).map_err(|error| files.plain(&error));
    assert!(read(Limits::default()).is_ok());
    for (limits, told) in [
        (
            Limits { document_size_max_bytes: 3, ..Limits::default() },
            "module.toml:7: [[kinds]]: schema: a.schema.json has more than document_size_max_bytes = 3",
        ),
        (
            Limits { plugin_component_max_bytes: 4, ..Limits::default() },
            "module.toml:11: [[bindings]]: component: a.wasm has more than plugin_component_max_bytes = 4",
        ),
        (
            Limits { plugin_settings_max_bytes: 1, ..Limits::default() },
            "module.toml:12: [[bindings]]: settings_file: a.json has more than plugin_settings_max_bytes = 1",
        ),
    ] {
        assert_eq!(read(limits).err().as_deref(), Some(told));
    }
}
