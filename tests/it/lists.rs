//! Lists, searches and ratings as readers and mirrors meet them.

use serde_json::{Value, json};

use crate::support::host::{Answer, Host, Options};

fn template(id: &str, version: &str, category: &str, text: &str) -> Value {
    json!({
        "templateId": id, "name": format!("The {id}"), "version": version, "category": category, "tags": [category, id],
        "description": "Says something.", "content": text,
    })
}

fn host() -> Host {
    let host = Options::examples().start();
    for (id, category, text) in [
        ("invoice", "document", "You owe us."),
        ("reminder", "email", "You still owe us."),
        ("thanks", "email", "You paid."),
    ] {
        let answer = host.post("/api/templates/publish", &template(id, "1.0.0", category, text));
        assert_eq!(answer.status, 201, "{answer:?}");
    }
    host
}

fn ids(answer: &Answer) -> Vec<&str> {
    let items = answer.body["items"].as_array().unwrap_or_else(|| panic!("items: {answer:?}"));
    let id = |item: &'_ Value| item.get("templateId").or(item.get("id")).is_some();
    assert!(items.iter().all(id), "{answer:?}");
    items.iter().map(|item| item["templateId"].as_str().or(item["id"].as_str()).expect("an id")).collect()
}

#[test]
fn a_list_is_filtered_and_ordered() {
    let host = host();
    let listed = |query: &str| {
        ids(&host.get(&format!("/api/templates?{query}"))).iter().map(|id| (*id).to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(listed("category=email"), ["reminder", "thanks"]);
    assert_eq!(listed("tag=thanks"), ["thanks"]);
    assert_eq!(listed("search=owe"), ["invoice", "reminder"]);
    assert_eq!(listed("search=owe+still&category=email"), ["reminder"]);
    assert_eq!(listed("sort=recent"), ["thanks", "reminder", "invoice"]);
    assert_eq!(host.get("/api/templates?category=email").body["items"][0]["category"], "email");

    for (id, rating) in [("invoice", 2), ("invoice", 3), ("thanks", 5)] {
        assert_eq!(host.post("/api/templates/rate", &json!({"templateId": id, "rating": rating})).status, 201);
    }
    for (id, success) in
        [("reminder", true), ("reminder", true), ("invoice", true), ("invoice", false), ("invoice", false)]
    {
        let used = host.post("/api/templates/use", &json!({"templateId": id, "success": success}));
        assert_eq!(used.status, 201, "{used:?}");
    }
    assert_eq!(listed("sort=rating"), ["thanks", "invoice", "reminder"]);
    assert_eq!(listed("sort=popular"), ["reminder", "invoice", "thanks"]);
    let first = host.get("/api/templates?sort=rating&limit=1");
    let next = first.header("link").and_then(|link| link[1..].split('>').next()).expect("a link").to_owned();
    assert_eq!(ids(&host.get(&next)), ["invoice"]);
    let read = host.get("/api/templates/invoice").body;
    assert_eq!(
        (&read["ratings"], &read["uses"]),
        (&json!({"average": 2.5, "count": 2}), &json!({"last30Days": 3, "successes": 1}))
    );

    let cursor = first.body["nextCursor"].as_str().expect("a cursor").to_owned();
    for (query, detail) in [
        (
            "status=gone".to_owned(),
            "status is draft, active, deprecated, disabled, several of them with commas, or all, not 'gone'",
        ),
        ("sort=size".to_owned(), "sort is id, recent, popular or rating, not 'size'"),
        ("search=--".to_owned(), "a search is 1 to 16 words of letters and digits"),
        ("tag=%00".to_owned(), "no tag and no category has the character U+0000"),
        (
            "updated_since=2026-01-01&sort=id".to_owned(),
            "a list with updated_since is in the order of the changes: leave sort out",
        ),
        (
            format!("cursor={cursor}"),
            "the cursor is not one that a list of templates gave: pass nextCursor unchanged, or leave it out to begin",
        ),
    ] {
        let refused = host.get(&format!("/api/templates?{query}"));
        assert_eq!(
            (refused.status, &refused.body["code"], &refused.body["detail"]),
            (400, &json!("bad-query"), &json!(detail))
        );
    }
    assert_eq!(host.get("/api/agents?category=email").body["detail"], "agents have no category: leave it out");
}

#[test]
fn a_mirror_follows_what_changes() {
    let host = host();
    let since = |since: &str| host.get(&format!("/api/templates?updated_since={since}&limit=2"));
    let first = since("2020-01-01");
    assert_eq!(ids(&first), ["invoice", "reminder"]);
    let next = first.header("link").and_then(|link| link[1..].split('>').next()).expect("a link").to_owned();
    let second = host.get(&next);
    assert_eq!((ids(&second), &second.body["nextCursor"]), (vec!["thanks"], &Value::Null));
    // One beginning for all pages: what was committed late meanwhile lies after it.
    let resume = second.body["resumeSince"].as_str().expect("an instant").to_owned();
    assert_eq!(first.body["resumeSince"], second.body["resumeSince"]);

    assert_eq!(
        host.post("/api/templates/publish", &template("thanks", "1.1.0", "email", "You paid, thanks.")).status,
        201
    );
    assert_eq!(host.post("/api/templates/thanks/versions/1.1.0/withdraw", &json!({"reason": "so"})).status, 200);
    assert_eq!(host.post("/api/templates/invoice/disable", &json!({"reason": "so"})).status, 200);
    let mut changed = Vec::new();
    let mut page = since(&resume);
    loop {
        changed.extend(page.body["items"].as_array().expect("items").clone());
        let Some(cursor) = page.body["nextCursor"].as_str() else { break };
        page = host.get(&format!("/api/templates?updated_since={resume}&limit=2&cursor={cursor}"));
    }
    let invoice = changed.iter().find(|item| item["templateId"] == "invoice").expect("it changed");
    assert_eq!(invoice["status"], "disabled");
    let thanks = changed.iter().find(|item| item["templateId"] == "thanks").expect("it changed");
    assert_eq!((&thanks["version"], &thanks["withdrawnVersions"]), (&json!("1.0.0"), &json!(["1.1.0"])));
    assert_eq!(since("2100-01-01").body["items"], json!([]));
    // By another overlap the next look begins elsewhere.
    let exact = Options::examples().limit("follow_overlap_ms", 0).start();
    let answer = exact.get("/api/templates?updated_since=2020-01-01").body;
    let resumed: hallmark::clock::Millis =
        answer["resumeSince"].as_str().expect("an instant").parse().expect("an instant");
    let before: hallmark::clock::Millis = resume.parse().expect("an instant");
    assert!(resumed.0 - before.0 >= 60_000);
}

#[test]
fn a_mirror_follows_every_kind_at_once() {
    let host = host();
    let agent =
        std::fs::read(crate::support::host::root().join("examples/manifests/valid/agent.yaml")).expect("a file");
    assert_eq!(host.send("/api/agents/publish", "application/yaml", &agent).status, 201);
    let follow = |query: &str| {
        let (mut seen, mut path) = (Vec::new(), format!("/api/changes?{query}&limit=2"));
        loop {
            let page = host.get(&path);
            assert_eq!(page.status, 200, "{page:?}");
            seen.extend(page.body["items"].as_array().expect("items").clone());
            let resume = page.body["resumeSince"].as_str().expect("an instant").to_owned();
            let Some(link) = page.header("link") else { return (seen, resume) };
            path = link[1..].split('>').next().expect("a link").to_owned();
        }
    };
    let named = |seen: &[Value]| -> Vec<String> {
        let name = |item: &Value| {
            let id = item["entry"].get("agentId").or(item["entry"].get("templateId")).and_then(Value::as_str);
            format!("{}/{}", item["kind"].as_str().expect("a kind"), id.expect("an id"))
        };
        seen.iter().map(name).collect()
    };
    let (seen, resume) = follow("updated_since=2020-01-01");
    assert_eq!(
        named(&seen),
        ["templates/invoice", "templates/reminder", "templates/thanks", "agents/release-notes"],
        "in the order in which they were published"
    );
    assert_eq!(named(&follow("updated_since=2020-01-01&kind=agents").0), ["agents/release-notes"]);
    assert_eq!(follow("updated_since=2020-01-01&kind=agents,templates").0, seen);

    assert_eq!(host.post("/api/templates/invoice/disable", &json!({"reason": "so"})).status, 200);
    let (seen, _) = follow(&format!("updated_since={resume}"));
    let last = seen.last().expect("a change");
    assert_eq!((&last["entry"]["templateId"], &last["entry"]["status"]), (&json!("invoice"), &json!("disabled")));
    assert_eq!(last["entry"]["withdrawnVersions"], json!([]));

    assert_eq!(
        host.get("/api/changes").body["detail"],
        "updated_since is missing: say from when on, as in 2026-01-01; a mirror begins before the first"
    );
    assert_eq!(host.get("/api/changes?updated_since=2020-01-01&kind=none").status, 404);
    let many = vec!["agents"; 101].join(",");
    assert_eq!(
        host.get(&format!("/api/changes?updated_since=2020-01-01&kind={many}")).body["detail"],
        "kind names 100 kinds at most; without it, all"
    );
}

#[test]
fn a_search_goes_over_kinds() {
    let host = host();
    let agent =
        std::fs::read(crate::support::host::root().join("examples/manifests/valid/agent.yaml")).expect("a file");
    assert_eq!(host.send("/api/agents/publish", "application/yaml", &agent).status, 201);
    let found = host.get("/api/search?q=owe");
    assert_eq!(ids(&found), ["invoice", "reminder"]);
    assert_eq!(
        (&found.body["items"][0]["kind"], &found.body["items"][0]["matched"]),
        (&json!("templates"), &json!("text"))
    );
    let released = host.get("/api/search?q=release+notes");
    assert_eq!((ids(&released), &released.body["items"][0]["kind"]), (vec!["release-notes"], &json!("agents")));
    assert!(ids(&host.get("/api/search?q=release&kind=templates")).is_empty());
    let page = host.get("/api/search?q=the&limit=1");
    let next = page.header("link").and_then(|link| link[1..].split('>').next()).expect("a link").to_owned();
    assert_ne!(ids(&host.get(&next)), ids(&page));
    assert_eq!(host.get("/api/search").body["detail"], "q is missing: say what is searched for");
    assert_eq!(host.get("/api/search?q=a&kind=none").status, 404);
}

#[test]
fn versions_are_compared() {
    let host = host();
    assert_eq!(
        host.post("/api/templates/publish", &template("thanks", "1.1.0", "email", "You paid, thanks.")).status,
        201
    );
    let told = host.get("/api/templates/thanks/versions/1.0.0/diff/1.1.0");
    assert_eq!(told.status, 200, "{told:?}");
    assert_eq!(
        told.body["changes"],
        json!([
            {"path": "/content", "before": "You paid.", "after": "You paid, thanks."},
            {"path": "/version", "before": "1.0.0", "after": "1.1.0"},
        ])
    );
    assert_eq!(
        told.body["patch"],
        json!([
            {"op": "replace", "path": "/content", "value": "You paid, thanks."},
            {"op": "replace", "path": "/version", "value": "1.1.0"},
        ])
    );
    assert_eq!((&told.body["from"]["status"], &told.body["to"]["status"]), (&json!("archived"), &json!("active")));
    let same = host.get("/api/templates/thanks/versions/1.1.0/diff/1.1.0").body;
    assert_eq!((&same["changes"], &same["patch"]), (&json!([]), &json!([])));
    assert_eq!(host.get("/api/templates/thanks/versions/1.0.0/diff/9.0.0").body["detail"], "no version '9.0.0'");
}

#[test]
fn nobody_rates_in_the_name_of_another_who_may_not_speak_for_others() {
    let host = host();
    let token = |name: &str, more: Value| {
        let mut request = json!({"name": name, "roles": ["reader"]});
        request.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        let made = host.post("/api/tokens", &request);
        made.body["token"].as_str().expect("a token").to_owned()
    };
    let rate = |token: &str, rating: i64, submitted_by: Value| {
        let body = json!({"templateId": "thanks", "rating": rating, "submittedBy": submitted_by});
        host.by(token).post("/api/templates/rate", &body)
    };
    let told = |answer: &Answer| (answer.status, answer.body["average"].as_f64(), answer.body["count"].as_i64());
    let (ada, mallory) = (token("ada", json!({})), token("mallory", json!({})));
    let bound = token("bound", json!({"roles": ["publisher"], "entries": ["templates/thanks"]}));
    assert_eq!(told(&rate(&ada, 5, json!(null))), (201, Some(5.0), Some(1)));
    for (token, name) in [(&mallory, "mallory"), (&bound, "bound")] {
        let refused = rate(token, 1, json!("ada"));
        let detail = format!(
            "the token '{name}' rates in its own name: leave submittedBy out, or ask an admin for one that may speak \
             for others"
        );
        assert_eq!((refused.status, &refused.body["code"]), (403, &json!("forbidden")));
        assert_eq!(refused.body["detail"], detail);
    }
    assert_eq!(told(&rate(&mallory, 1, json!(null))), (201, Some(3.0), Some(2)));
    assert_eq!(
        told(&rate(&mallory, 3, json!("mallory"))),
        (200, Some(4.0), Some(2)),
        "heard once, by its own name too"
    );
    // What somebody else says in ada's name stands beside what she said.
    let portal = token("portal", json!({"roles": ["publisher"]}));
    assert_eq!(told(&rate(&portal, 2, json!("ada"))), (201, Some(3.33), Some(3)));
    assert_eq!(told(&rate(&portal, 4, json!("ada"))), (200, Some(4.0), Some(3)));
    let listed = host.get("/api/templates/thanks/ratings").body["items"].clone();
    let listed: Vec<_> = listed.as_array().expect("items").iter().collect();
    let who = |item: &Value| (item["submittedBy"].clone(), item["ratedBy"].clone(), item["rating"].as_i64());
    assert_eq!(
        listed.into_iter().map(who).collect::<Vec<_>>(),
        [
            (json!("ada"), json!("portal"), Some(4)),
            (json!("mallory"), json!("mallory"), Some(3)),
            (json!("ada"), json!("ada"), Some(5)),
        ]
    );
}

#[test]
fn a_rating_is_1_to_5_and_one_for_each_name_that_an_admin_speaks_for() {
    let host = host();
    let rate = |body: Value| host.post("/api/templates/rate", &body);
    let first = rate(json!({"templateId": "thanks", "rating": 5, "comment": "Good.", "submittedBy": "ada"}));
    assert_eq!((first.status, &first.body), (201, &json!({"templateId": "thanks", "average": 5.0, "count": 1})));
    let second = rate(json!({"templateId": "thanks", "rating": 4}));
    assert_eq!((second.status, &second.body["average"], &second.body["count"]), (201, &json!(4.5), &json!(2)));
    let again = rate(json!({"templateId": "thanks", "rating": 1, "submittedBy": "ada"}));
    assert_eq!((again.status, &again.body["average"], &again.body["count"]), (200, &json!(2.5), &json!(2)));
    let listed = host.get("/api/templates/thanks/ratings").body["items"].clone();
    assert_eq!(
        (&listed[0]["submittedBy"], &listed[0]["rating"], &listed[1]["rating"]),
        (&json!("ada"), &json!(1), &json!(4))
    );
    assert_eq!((&listed[0]["ratedBy"], &listed[1]["submittedBy"]), (&json!("admin"), &json!(null)));
    let long = "x".repeat(501);
    for (body, detail) in [
        (json!({"templateId": "thanks", "rating": 6}), "a rating is a whole number from 1 to 5, not 6"),
        (json!({"templateId": "thanks", "rating": 0}), "a rating is a whole number from 1 to 5, not 0"),
        (json!({"templateId": "thanks", "rating": 2.5}), "'rating' is a whole number from 1 to 5"),
        (json!({"rating": 5}), "'templateId' is missing: name the entry by its id"),
        (json!({"templateId": "thanks", "rating": 5, "coment": "x"}), "unknown name 'coment': did you mean 'comment'?"),
        (
            json!({"templateId": "thanks", "rating": 5, "comment": long}),
            "comment is 1 to 500 characters without control characters: shorten it, or leave it out",
        ),
        (json!({"templateId": "thanks", "rating": 5, "comment": 7}), "'comment' is text"),
    ] {
        let refused = rate(body);
        assert_eq!(
            (refused.status, &refused.body["code"], &refused.body["detail"]),
            (422, &json!("bad-change"), &json!(detail))
        );
    }
    assert_eq!(rate(json!({"templateId": "none", "rating": 5})).status, 404);
    let wrong = host.post("/api/templates/use", &json!({"templateId": "thanks", "success": "yes"}));
    assert_eq!((wrong.status, &wrong.body["detail"]), (422, &json!("'success' is true or false")));
    // Entries of every kind are rated, and an entry may be called as the action is.
    assert_eq!(host.get("/api/templates/rate").body["detail"], "no entry 'rate'");
}
