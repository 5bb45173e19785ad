//! Previews through the built binary: what they find and how they tell it, and that a run is finished whatever becomes
//! of the hosts that judge it.

mod held;
mod independent;
mod resolvers;
mod runs;

use std::path::Path;

use hallmark::clock::Millis;
use hallmark::registry::impact::{Candidate, Impact, What};
use hallmark::registry::release::Rules;
use hallmark::registry::store::{ImpactRow, ImpactState};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::as_superuser;
use crate::support::command::{against, argument, text};
use crate::support::ground::Member;
use crate::support::host::{Host, Options, component, until};
use crate::support::new_postgres_database;
use crate::support::rules::own_copy;

impl Member {
    /// Begins a preview of rules over every active manifest.
    async fn begin_preview(&self, rules: Value) -> ImpactRow {
        self.begin_preview_over(rules, What::Active).await
    }

    async fn begin_preview_over(&self, rules: Value, what: What) -> ImpactRow {
        let rules: Rules = serde_json::from_value(rules).expect("rules");
        let (scope, candidate) = (rules.scope.clone(), Candidate::Rules(Box::new(rules)));
        self.registry.begin_impact(&self.actor, &scope, candidate, what).await.expect("it begins")
    }

    /// Judges every chunk of a preview.
    async fn finish_preview(&self, row: &ImpactRow) -> Impact {
        for number in 1..=row.chunks {
            self.registry.run_chunk(&self.actor.tenant, &row.id, number).await.expect("a chunk");
        }
        let impact = self.registry.impact(&self.actor, &row.id).await.expect("it is there");
        assert_eq!((impact.row.state, &impact.row.why), (ImpactState::Done, &None));
        impact
    }

    /// Previews rules over every active manifest.
    async fn preview(&self, rules: Value) -> Impact {
        self.finish_preview(&self.begin_preview(rules).await).await
    }

    /// The same over every version since an instant.
    async fn preview_since(&self, rules: Value, since: Millis) -> Impact {
        self.finish_preview(&self.begin_preview_over(rules, What::Since(since)).await).await
    }
}

/// Rules of the module `notes`, whose titles have this schema, with these bindings.
fn rules(title: &Value, bindings: &Value) -> Value {
    json!({
        "scope": "module:notes",
        "kinds": [{
            "name": "notes", "singular": "note", "idField": "noteId", "documentField": "content",
            "schema": {"properties": {"title": title}},
        }],
        "bindings": bindings,
    })
}

/// Makes a release and gives its number.
fn release(host: &Host, rules: &Value) -> i64 {
    let released = host.post("/api/modules/notes/releases", &json!({"rules": rules, "message": ""}));
    assert_eq!(released.status, 201, "{released:?}");
    released.body["number"].as_i64().expect("a number")
}

fn put_in_force(host: &Host, rules: &Value) {
    let activated = host.post("/api/modules/notes/activate", &json!({"release": release(host, rules)}));
    assert_eq!(activated.status, 200, "{activated:?}");
}

fn publish(host: &Host, id: &str, version: &str, title: &str) {
    let note = json!({"noteId": id, "name": id, "version": version, "content": {"title": title}});
    let published = host.post("/api/notes/publish", &note);
    assert_eq!(published.status, 201, "{published:?}");
}

fn publish_many(host: &Host, count: usize) {
    (0..count).for_each(|number| publish(host, &format!("n{number:03}"), "1.0.0", "some title"));
}

/// Begins a preview and gives its id.
fn begin(host: &Host, request: &Value) -> String {
    let begun = host.post("/api/modules/notes/impact", request);
    assert_eq!(begun.status, 202, "{begun:?}");
    let id = begun.body["id"].as_str().expect("an id").to_owned();
    assert_eq!(begun.header("location"), Some(&*format!("/api/impacts/{id}")));
    id
}

fn shown(host: &Host, id: &str) -> Value {
    host.get(&format!("/api/impacts/{id}")).body
}

fn ended(host: &Host, id: &str) -> Value {
    until("the preview has ended", || shown(host, id)["state"] != "running");
    shown(host, id)
}

/// The id of the preview that was begun last.
fn newest(host: &Host) -> String {
    host.get("/api/impacts?limit=1").body["items"][0]["id"].as_str().expect("an id").to_owned()
}

fn counts(run: &Value) -> [u64; 5] {
    ["newlyFail", "newlyPass", "changed", "notJudged", "unchanged"]
        .map(|part| run["counts"][part].as_u64().expect("a count"))
}

fn digest(pushed: &Value) -> String {
    pushed["digest"].as_str().expect("a digest").to_owned()
}

/// Pushes a copy of the guest that breaks as it is told to, and gives a binding to it.
fn hostile(host: &Host, folder: &Path, name: &str, settings: &Value) -> Value {
    let copy = own_copy(folder, &component("hostile"), name);
    let pushed = host.send("/api/plugins", "application/wasm", &std::fs::read(copy).expect("a component"));
    assert!([200, 201].contains(&pushed.status), "{pushed:?}");
    json!({"name": name, "stage": "validate", "plugin": digest(&pushed.body), "settings": settings})
}

/// Four notes: `a` passes before and after, `b` fails now, `c` fails before and after, `d` would fail.
fn four_notes(options: Options) -> Host {
    let host = options.start();
    put_in_force(&host, &rules(&json!({}), &json!([])));
    publish(&host, "a", "1.0.0", "abc");
    publish(&host, "b", "1.0.0", "abcdef");
    publish(&host, "c", "1.0.0", "much-too-long-a-title");
    publish(&host, "d", "0.9.0", "1");
    publish(&host, "d", "1.0.0", "<1&2>");
    put_in_force(&host, &rules(&json!({"maxLength": 5}), &json!([])));
    assert_eq!(release(&host, &rules(&json!({"maxLength": 20, "pattern": "^[a-z-]+$"}), &json!([]))), 3);
    host
}

#[test]
fn a_report_tells_what_would_come_out_otherwise() {
    let host = four_notes(Options::new());
    let output = against(&host, &["module", "impact", "notes", "3"]);
    let id = newest(&host);
    assert_eq!(
        text(&output.stdout).replace(&id, "ID"),
        "module:notes: release 3 beside module:notes release 2 (preview ID)\n\
         4 judged: 1 would newly fail, 1 would newly pass, 1 have other findings, 0 could not be judged, 1 are unchanged\n\
         \n\
         would newly fail: schema.pattern (1)\n  notes/d 1.0.0\n    /content/title: the text does not match the pattern \
         ^[a-z-]+$\n\
         \n\
         would newly pass: schema.max-length (1)\n  notes/b 1.0.0\n    no longer: /content/title: the value is longer than \
         5 characters\n\
         \n\
         other findings: schema.max-length (1)\n  notes/c 1.0.0\n    /content/title: the value is longer than 20 \
         characters\n"
    );
    assert_eq!(output.status.code(), Some(1));

    let json: Value =
        serde_json::from_slice(&against(&host, &["module", "impact", "notes", "3", "--output", "json"]).stdout)
            .expect("JSON");
    assert_eq!(counts(&json), [1, 1, 1, 0, 1]);
    assert_eq!(
        json["newlyFail"],
        json!([{"code": "schema.pattern", "count": 1, "examples": [{
            "kind": "notes", "id": "d", "version": "1.0.0", "plugin": null, "severity": "error",
            "path": "/content/title", "message": "the text does not match the pattern ^[a-z-]+$", "change": "new",
        }]}])
    );
    assert_eq!((&json["scope"], &json["candidate"]["release"]), (&json!("module:notes"), &json!(3)));
    assert_eq!((&json["beside"][0]["number"], &json["what"]), (&json!(2), &json!("active")));
    assert_eq!(json["progress"], json!({"versions": 4, "judged": 4, "chunks": 1, "done": 1}));

    let sarif: Value =
        serde_json::from_slice(&against(&host, &["module", "impact", "notes", "3", "--output", "sarif"]).stdout)
            .expect("JSON");
    assert_eq!(sarif["version"], "2.1.0");
    let run = &sarif["runs"][0];
    assert_eq!(run["tool"]["driver"]["rules"], json!([{"id": "schema.pattern"}, {"id": "schema.max-length"}]));
    let told: Vec<_> = run["results"]
        .as_array()
        .expect("results")
        .iter()
        .map(|result| {
            (
                result["ruleId"].as_str(),
                result["ruleIndex"].as_u64(),
                result["baselineState"].as_str(),
                result["level"].as_str(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            (Some("schema.pattern"), Some(0), Some("new"), Some("error")),
            (Some("schema.max-length"), Some(1), Some("absent"), Some("error")),
            (Some("schema.max-length"), Some(1), Some("updated"), Some("error")),
        ]
    );
    let place = &run["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"];
    assert_eq!(place, "notes/d/versions/1.0.0");
}

#[test]
fn a_report_is_a_page_that_needs_nothing_else() {
    let host = four_notes(Options::new());
    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join("page.html");
    let written = against(&host, &["module", "impact", "notes", "3", "--output", "html", "-o", argument(&file)]);
    assert_eq!(text(&written.stdout), "");
    let page = std::fs::read_to_string(&file).expect("a page");
    for part in [
        "<!doctype html>",
        "default-src 'none'",
        "<h1>Preview of module:notes: release 3</h1>",
        "<tr><td>1</td><td>1</td><td>1</td><td>0</td><td>1</td></tr>",
        "<tr><td>notes/d 1.0.0</td><td><code>/content/title</code></td><td>the text does not match the pattern \
         ^[a-z-]+$</td><td>the host</td></tr>",
        "<tr><th scope=\"row\">Exemptions</th><td>none held when it began</td></tr>",
    ] {
        assert!(page.contains(part), "{part} is missing: {page}");
    }
    assert!(!page.contains("<script") && !page.contains("http:") && !page.contains("https:"), "{page}");
}

#[test]
fn a_page_escapes_what_others_wrote() {
    let host = four_notes(Options::new());
    let request = json!({"rules": rules(&json!({"const": "<script>alert('&\"')</script>"}), &json!([]))});
    let id = begin(&host, &request);
    ended(&host, &id);
    let page = host.get(&format!("/api/impacts/{id}/page"));
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    let page = page.body.as_str().expect("a text").to_owned();
    assert!(page.contains("&lt;script&gt;alert(&#39;&amp;"), "{page}");
    assert!(!page.contains("<script"), "{page}");
    assert_eq!(host.get("/api/impacts/none/page").status, 404);
}

#[test]
fn what_is_judged_can_be_all_that_is_new_or_a_sample() {
    let host = four_notes(Options::new().limit("impact_sample_max", 10).limit("impact_chunk_entries", 1));
    let strict = json!({"const": "never"});
    let since = |since: &str| json!({"rules": rules(&strict, &json!([])), "since": since});
    let all = ended(&host, &begin(&host, &since("2000-01-01")));
    // Both versions of `d`; the one that failed before fails still.
    assert_eq!((counts(&all).iter().sum::<u64>(), all["progress"]["judged"].as_u64()), (5, Some(5)), "{all}");
    let none = ended(&host, &begin(&host, &since("2999-01-01T00:00:00Z")));
    assert_eq!((counts(&none).iter().sum::<u64>(), &none["since"]), (0, &json!("2999-01-01T00:00:00.000Z")));
    let sample = |count: u64| {
        let run = ended(&host, &begin(&host, &json!({"rules": rules(&strict, &json!([])), "sample": count})));
        let groups = [&run["newlyFail"], &run["changed"]];
        let examples = groups.iter().flat_map(|part| part.as_array().expect("groups"));
        let examples = examples.flat_map(|group| group["examples"].as_array().expect("examples"));
        let mut ids: Vec<String> = examples.map(|example| example["id"].as_str().expect("an id").to_owned()).collect();
        ids.sort();
        ids.dedup();
        ids
    };
    let (two, three) = (sample(2), sample(3));
    assert_eq!((two.len(), three.len()), (2, 3));
    assert!(two.iter().all(|id| three.contains(id)), "{two:?} {three:?}");
    assert_eq!(sample(2), two);

    for (request, detail) in [
        (json!({"release": 3, "sample": 11}), "a sample is of 1 to 10 entries (impact_sample_max)"),
        (
            json!({"release": 3, "since": "today"}),
            "since: 'today' is not an instant: write it as in 2026-12-31, which is its first moment in UTC, or 2026-12-31T18:00:00Z",
        ),
        (
            json!({"release": 3, "since": "2026-02-30"}),
            "since: '2026-02-30' is not an instant: write it as in 2026-12-31, which is its first moment in UTC, or 2026-12-31T18:00:00Z",
        ),
        (json!({}), "say what is previewed: \"release\" or \"rules\", one of them"),
        (
            json!({"release": 3, "what": "some"}),
            "say what is judged: \"what\": \"active\", \"since\": TIME or \"sample\": NUMBER, one of them",
        ),
    ] {
        let refused = host.post("/api/modules/notes/impact", &request);
        let told = (refused.status, &refused.body["code"], &refused.body["detail"]);
        assert_eq!(told, (422, &json!("bad-impact"), &json!(detail)));
    }
    assert_eq!(host.post("/api/modules/notes/impact", &json!({"release": 9})).status, 404);
}

#[test]
fn a_release_is_activated_only_where_few_enough_would_newly_fail() {
    let host = four_notes(Options::new());
    let refused = host.post("/api/modules/notes/activate", &json!({"release": 3, "ifImpactAtMost": 0}));
    let id = refused.body["impactId"].as_str().expect("an id").to_owned();
    let detail =
        format!("1 active manifest would newly fail, more than 0: schema.pattern (1); see `hallmark impact show {id}`");
    assert_eq!(
        (refused.status, &refused.body["code"], &refused.body["detail"]),
        (412, &json!("impact-too-large"), &json!(detail))
    );
    let output = against(&host, &["module", "activate", "notes", "3", "--if-impact-at-most", "0"]);
    assert_eq!(output.status.code(), Some(1));
    let told = text(&output.stderr);
    assert!(told.contains(&detail), "the same preview answers again: {told}");
    // Something was published since: it is judged too.
    publish(&host, "e", "1.0.0", "22");
    let output = against(&host, &["module", "activate", "notes", "3", "--if-impact-at-most", "1"]);
    assert!(text(&output.stderr).contains("2 active manifests would newly fail, more than 1"), "{output:?}");
    let output = against(&host, &["module", "activate", "notes", "3", "--if-impact-at-most", "2"]);
    assert_eq!(text(&output.stdout), "module:notes: release 3 is active, it was 2\n");
    assert_eq!(host.get("/api/impacts").body["items"].as_array().map(Vec::len), Some(2));
}

#[test]
fn a_plugin_that_breaks_is_told_and_rests_for_nobody() {
    let folder = TempDir::new().expect("a folder");
    let host = Options::new().start();
    let fine = hostile(&host, folder.path(), "guest", &json!({"break": "none"}));
    put_in_force(&host, &rules(&json!({}), &json!([fine])));
    publish_many(&host, 8);
    let breaks = hostile(&host, folder.path(), "guest", &json!({"break": "panic"}));
    let run = ended(&host, &begin(&host, &json!({"rules": rules(&json!({}), &json!([breaks]))})));
    assert_eq!(counts(&run), [0, 0, 0, 8, 0], "{run}");
    assert_eq!((&run["notJudged"][0]["code"], &run["notJudged"][0]["count"]), (&json!("guest"), &json!(8)));
    let why = run["notJudged"][0]["examples"][0]["message"].as_str().expect("a message");
    assert!(why.starts_with("under the candidate: plugin hostile panicked: asked to panic (damage.rs:"), "{why}");
    // The same component judges publishes.
    publish(&host, "after", "1.0.0", "title");
    assert_eq!(host.get("/health").body["plugins"]["quarantined"], json!([]));
}

#[test]
fn what_plugins_would_let_pass_again_is_told_as_what_they_would_not() {
    let folder = TempDir::new().expect("a folder");
    let host = Options::new().start();
    put_in_force(&host, &rules(&json!({}), &json!([])));
    publish_many(&host, 2);
    let objects =
        |damage: &str| rules(&json!({}), &json!([hostile(&host, folder.path(), "guest", &json!({"break": damage}))]));
    put_in_force(&host, &objects("error"));
    let preview = |damage: &str| ended(&host, &begin(&host, &json!({"rules": objects(damage)})));
    let passes = preview("warning");
    assert_eq!(counts(&passes), [0, 2, 0, 0, 0], "{passes}");
    assert_eq!(passes["newlyPass"][0]["code"], "hostile.error");
    let other = preview("nonsense-code");
    assert_eq!(counts(&other), [0, 0, 0, 2, 0], "{other}");
    let told = ended(&host, &begin(&host, &json!({"rules": rules(&json!({"maxLength": 1}), &json!([]))})));
    assert_eq!((counts(&told), &told["changed"][0]["code"]), ([0, 0, 2, 0, 0], &json!("hostile.error")), "{told}");
}

/// A host whose candidate takes its time: `count` chunks of a manifest each.
fn slow(options: Options, folder: &Path, count: usize) -> (Host, Value) {
    let host = options
        .limit("impact_chunk_entries", 1)
        .limit("impact_heartbeat_ms", 1_000)
        .limit("impact_poll_ms", 20)
        .start();
    put_in_force(&host, &rules(&json!({}), &json!([])));
    publish_many(&host, count);
    let spins = hostile(&host, folder, "slow", &json!({"break": "spin", "amount": 20_000_000}));
    let objects = hostile(&host, folder, "objects", &json!({"break": "error"}));
    (host, json!({"rules": rules(&json!({}), &json!([spins, objects]))}))
}

#[test]
fn a_run_outlives_the_host_that_is_killed_and_even_its_queue() {
    let folder = TempDir::new().expect("a folder");
    let data = folder.path().join("data");
    let (host, candidate) = slow(Options::new().data(&data), folder.path(), 60);
    let id = begin(&host, &candidate);
    until("some chunks are done", || shown(&host, &id)["progress"]["done"].as_i64() >= Some(3));
    // Killed, not stopped.
    drop(host);
    let host = Options::new().data(&data).limit("impact_poll_ms", 20).start();
    let half_way = shown(&host, &id);
    assert_eq!(half_way["state"], "running", "{half_way}");
    let begun_again = half_way["progress"]["done"].as_i64();
    until("it goes on", || shown(&host, &id)["progress"]["done"].as_i64() > begun_again);
    drop(host);
    for part in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(data.join(format!("hallmark.db-queue{part}")));
    }
    let host = Options::new().data(&data).limit("impact_poll_ms", 20).limit("impact_stalled_ms", 500).start();
    let run = ended(&host, &id);
    assert_eq!((&run["state"], counts(&run)), (&json!("done"), [60, 0, 0, 0, 0]), "{run}");
    assert_eq!(run["newlyFail"][0]["count"], 60, "{run}");
}

#[test]
fn a_run_that_is_cancelled_stops() {
    let folder = TempDir::new().expect("a folder");
    let (host, candidate) = slow(Options::new().limit("impacts_running_max", 1), folder.path(), 60);
    let id = begin(&host, &candidate);
    let second = host.post("/api/modules/notes/impact", &candidate);
    assert_eq!((second.status, &second.body["code"]), (503, &json!("busy")));
    assert_eq!(second.body["detail"], "the host is busy: as many previews run as may (impacts_running_max = 1)");
    let cancelled = host.post(&format!("/api/impacts/{id}/cancel"), &json!({}));
    assert_eq!((cancelled.status, &cancelled.body["state"]), (200, &json!("cancelled")));
    let judged = |host: &Host| shown(host, &id)["progress"]["judged"].clone();
    let at_once = judged(&host);
    // Another one gets its turn, and the first goes no further.
    let next = begin(&host, &json!({"rules": rules(&json!({"maxLength": 3}), &json!([]))}));
    assert_eq!(counts(&ended(&host, &next)), [60, 0, 0, 0, 0]);
    assert_eq!(judged(&host), at_once);
    let again = host.post(&format!("/api/impacts/{id}/cancel"), &json!({}));
    assert_eq!((again.status, &again.body["state"]), (200, &json!("cancelled")));
}

#[test]
fn a_run_gives_way_to_everything_else() {
    let folder = TempDir::new().expect("a folder");
    let (host, candidate) = slow(Options::new(), folder.path(), 60);
    begin(&host, &candidate);
    let tasks = format!("/proc/{}/task", host.process());
    // Its name stands in brackets; the niceness is the seventeenth word behind them (proc_pid_stat(5)).
    let niceness = |stat: &str| Some(stat.split_once("(impact) ")?.1.split(' ').nth(16)?.to_owned());
    let threads = || -> Vec<String> {
        let tasks = std::fs::read_dir(&tasks).expect("the host runs").flatten();
        tasks.filter_map(|task| niceness(&std::fs::read_to_string(task.path().join("stat")).ok()?)).collect()
    };
    until("a thread that judges has the lowest priority", || threads().contains(&"19".to_owned()));
}

#[test]
fn an_activation_waits_no_longer_than_it_may() {
    let folder = TempDir::new().expect("a folder");
    let options = Options::new().limit("impact_wait_max_ms", 1).limit("impact_threads", 1).limit("impacts_kept_max", 1);
    let (host, candidate) = slow(options, folder.path(), 60);
    let number = release(&host, &candidate["rules"]);
    let waits = host.post("/api/modules/notes/activate", &json!({"release": number, "ifImpactAtMost": 100}));
    assert_eq!((waits.status, &waits.body["limit"]), (503, &json!("impact_wait_max_ms")), "{waits:?}");
    let id = waits.body["impactId"].as_str().expect("an id").to_owned();
    host.post(&format!("/api/impacts/{id}/cancel"), &json!({}));
    // Of those that have ended so many are kept.
    let next = begin(&host, &json!({"rules": rules(&json!({"maxLength": 3}), &json!([]))}));
    ended(&host, &next);
    assert_eq!(host.get(&format!("/api/impacts/{id}")).status, 404);
}

#[test]
fn a_report_has_as_many_codes_and_examples_as_it_may() {
    let options = Options::new().limit("impact_examples_max", 2).limit("impact_codes_max", 1);
    let host = options.limit("impact_chunk_entries", 3).start();
    put_in_force(&host, &rules(&json!({}), &json!([])));
    publish_many(&host, 8);
    let strict = json!({"const": "x", "maxLength": 1, "pattern": "^$"});
    let run = ended(&host, &begin(&host, &json!({"rules": rules(&strict, &json!([]))})));
    let groups: Vec<_> = run["newlyFail"]
        .as_array()
        .expect("groups")
        .iter()
        .map(|group| {
            (
                group["code"].as_str().expect("a code"),
                group["count"].as_u64(),
                group["examples"].as_array().map(Vec::len),
            )
        })
        .collect();
    assert_eq!(groups, [("(others)", Some(16), Some(2)), ("schema.const", Some(8), Some(2))], "{run}");
    assert_eq!(run["progress"]["chunks"], 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hosts_of_a_fleet_share_a_run() {
    let address = new_postgres_database().await;
    let folder = TempDir::new().expect("a folder");
    let objects = folder.path().join("objects");
    let options = || Options::new().database(&address).objects(&objects).limit("impact_threads", 1);
    let (first, candidate) = slow(options(), folder.path(), 40);
    let second = options().limit("impact_poll_ms", 20).limit("release_poll_ms", 20).start();
    let id = begin(&first, &candidate);
    let run = ended(&second, &id);
    assert_eq!((&run["state"], counts(&run)), (&json!("done"), [40, 0, 0, 0, 0]), "{run}");
    // Each host is one worker.
    sqlx::any::install_default_drivers();
    let mut database =
        <sqlx::AnyConnection as sqlx::Connection>::connect(&as_superuser(&address)).await.expect("it answers");
    let workers: Vec<(String, i64)> = sqlx::query_as("SELECT lock_by, COUNT(*) FROM apalis.jobs GROUP BY lock_by")
        .fetch_all(&mut database)
        .await
        .expect("the queue is there");
    assert_eq!(workers.len(), 2, "{workers:?}");
}
