//! Lists, searches, references and what people think: the same on every engine.

use hallmark::clock::{Millis, new_id};
use hallmark::names::{EntryId, KindName};
use hallmark::registry::release::ReleaseRef;
use hallmark::registry::store::{
    ChangePlace, Committed, Direction, EntriesAsked, EntryAct, EntryName, EntryOrder, EntryPlace, EntryStatus,
    Followed, FoundEntry, LifeStore as _, ListedEntry, RatingRow, ReadingStore as _, Reference, ReferencePlace, Search,
    Shown, Standing, Store as _, day,
};
use hallmark::registry::words::{EntryText, Query};
use serde_json::json;

use super::life::change;
use super::{AT, World, commit};
use crate::support::approval::approve;

fn agents() -> KindName {
    "agents".parse().expect("a kind")
}

fn name(text: &str) -> EntryName {
    text.parse().expect("an entry")
}

fn shown(submission: &serde_json::Value) -> Shown {
    let kind = serde_json::from_value(json!({
        "name": "agents", "singular": "agent", "idField": "agentId", "documentField": "manifest", "schema": {},
    }))
    .expect("a kind");
    let text = |field: &str| submission[field].as_str().map(str::to_owned);
    Shown {
        name: text("name").unwrap_or_default(),
        description: text("description"),
        tags: submission.get("tags").map_or_else(|| "[]".to_owned(), ToString::to_string),
        category: text("category"),
        text: EntryText::of(&kind, submission),
    }
}

impl World {
    /// Publishes a version that says this, at a time after the beginning.
    async fn say(&self, judged: &[ReleaseRef], version: &str, after_ms: i64, submission: serde_json::Value) {
        let approved = approve(judged);
        let id = submission["agentId"].as_str().expect("an id");
        let mut commit = commit(&self.tenant, &approved, id, version);
        commit.shown = shown(&submission);
        commit.version.published_at = Millis(AT.0 + after_ms);
        assert!(matches!(self.database.commit(&commit).await.expect("an answer"), Committed::Written { .. }));
    }

    async fn list(&self, asked: &EntriesAsked) -> Vec<String> {
        let mut seen: Vec<String> = Vec::new();
        let mut after: Option<EntryPlace> = None;
        loop {
            let page = self.database.entries(&self.tenant, asked, after.as_ref(), 2).await.expect("a page");
            let place = page.items.last().map(|listed: &ListedEntry| listed.place(asked.order, AT));
            seen.extend(page.items.iter().map(|listed| listed.entry.id.to_string()));
            if !page.more {
                return seen;
            }
            // As a cursor carries it.
            after = place.map(|place| place.to_string().parse().expect("a place"));
        }
    }

    async fn find(&self, words: &str) -> Vec<String> {
        let query: Query = words.parse().expect("a query");
        let kinds = [agents()];
        let search = Search { kinds: &kinds, statuses: &EntryStatus::OFFERED, query: &query };
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = self.database.search(&self.tenant, search, after.as_ref(), 2).await.expect("a page");
            let place = page.items.last().map(FoundEntry::place);
            found.extend(page.items.iter().map(|found| format!("{} {}", found.part, found.entry.id)));
            if !page.more {
                return found;
            }
            after = place.map(|place| place.to_string().parse().expect("a place"));
        }
    }

    async fn set(&self, id: &str, status: EntryStatus) {
        let (kind, id): (KindName, EntryId) = (agents(), id.parse().expect("an id"));
        let act = EntryAct::SetStatus { status, reason: None, replacement: None };
        self.database.change_entry(&change(self, (&kind, &id), act)).await.expect("an answer");
    }
}

pub async fn lists_by_what_is_asked(world: World) {
    let (world, judged) = world.with_rules().await;
    for (at, (id, tags, category)) in [
        ("a", json!(["x", "y"]), "mail"),
        ("b", json!(["y\"", "x,y"]), "mail"),
        ("c", json!(["xy"]), "chat"),
        ("d", json!([]), "chat"),
        ("e", json!(["ä"]), "chat"),
    ]
    .into_iter()
    .enumerate()
    {
        let submission = json!({"agentId": id, "name": id, "tags": tags, "category": category, "description": "One"});
        world.say(&judged, "1.0.0", i64::try_from(at).expect("few"), submission).await;
    }
    world.set("d", EntryStatus::Disabled).await;
    let all = EntriesAsked::all(agents());
    assert_eq!(world.list(&all).await, ["a", "b", "c", "d", "e"]);
    assert_eq!(world.list(&EntriesAsked { order: EntryOrder::Recent, ..all.clone() }).await, ["d", "e", "c", "b", "a"]);
    let tagged = |tag: &str| EntriesAsked { tag: Some(tag.to_owned()), ..all.clone() };
    for (tag, found) in
        [("x", vec!["a"]), ("y", vec!["a"]), ("y\"", vec!["b"]), ("xy", vec!["c"]), ("ä", vec!["e"]), ("", vec![])]
    {
        assert_eq!(world.list(&tagged(tag)).await, found, "{tag}");
    }
    let offered = EntriesAsked { statuses: EntryStatus::OFFERED.to_vec(), ..all.clone() };
    assert_eq!(world.list(&offered).await, ["a", "b", "c", "e"]);
    let chat = EntriesAsked { category: Some("chat".to_owned()), ..offered };
    assert_eq!(world.list(&chat).await, ["c", "e"]);
    let sought = EntriesAsked { search: Some("on xy".parse().expect("a query")), order: EntryOrder::Recent, ..all };
    assert_eq!(world.list(&sought).await, ["c"], "the words may begin so, each");
}

pub async fn follows_changes_without_missing_one(world: World) {
    let (world, judged) = world.with_rules().await;
    let submission = |id: &str| json!({"agentId": id, "name": id});
    // Three in one moment: the place has the id, so none is skipped and none comes twice.
    for (id, at) in [("c", 5), ("a", 5), ("b", 5), ("d", 9), ("e", 1)] {
        world.say(&judged, "1.0.0", at, submission(id)).await;
    }
    let since = |after_ms: i64| EntriesAsked {
        updated_since: Some(Millis(AT.0 + after_ms)),
        order: EntryOrder::Changes,
        ..EntriesAsked::all(agents())
    };
    assert_eq!(world.list(&since(0)).await, ["e", "a", "b", "c", "d"]);
    assert_eq!(world.list(&since(5)).await, ["a", "b", "c", "d"]);
    assert_eq!(world.list(&since(6)).await, ["d"]);
    // Whatever changes comes again, at its end; also what was judged earlier and committed later.
    world.set("d", EntryStatus::Disabled).await;
    assert_eq!(world.list(&since(10)).await, ["d"]);
    world.say(&judged, "2.0.0", 3, submission("a")).await;
    let page = world.database.entries(&world.tenant, &since(0), None, 10).await.expect("a page");
    let told = page.items.iter().map(|listed| (listed.entry.id.as_str(), listed.entry.updated_at.0 - AT.0));
    assert_eq!(told.collect::<Vec<_>>(), [("e", 1), ("b", 5), ("c", 5), ("a", 6), ("d", 10)]);
}

pub async fn follows_several_kinds_at_once(world: World) {
    let (world, judged) = world.with_rules().await;
    for (id, at) in [("b", 5), ("a", 5), ("c", 1), ("d", 9)] {
        world.say(&judged, "1.0.0", at, json!({"agentId": id, "name": id})).await;
    }
    world.set("c", EntryStatus::Disabled).await;
    let kinds = [agents(), "services".parse().expect("a kind")];
    let follow = async |kinds: &[KindName], since: i64| {
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let followed = Followed { kinds, since: Millis(AT.0 + since), at: AT };
            let page = world.database.changes(&world.tenant, followed, after.as_ref(), 2).await.expect("a page");
            seen.extend(page.items.iter().map(|listed| listed.entry.id.to_string()));
            match page.items.last().filter(|_| page.more) {
                // As a cursor carries it.
                Some(last) => after = Some(last.change_place(AT).to_string().parse::<ChangePlace>().expect("a place")),
                None => return seen,
            }
        }
    };
    // What was disabled is among them, from the moment on at which it was.
    assert_eq!(follow(&kinds, 0).await, ["c", "a", "b", "d"]);
    assert_eq!(follow(&kinds, 2).await, ["c", "a", "b", "d"]);
    assert_eq!(follow(&kinds, 6).await, ["d"]);
    assert_eq!(follow(&kinds[1..], 0).await, [""; 0]);
    assert_eq!(follow(&[], 0).await, [""; 0]);
}

pub async fn orders_by_what_people_think(world: World) {
    let (world, judged) = world.with_rules().await;
    for id in ["a", "b", "c", "d"] {
        world.say(&judged, "1.0.0", 0, json!({"agentId": id, "name": id})).await;
    }
    let rate_by = async |actor: &str, id: &str, rating: i64, by: Option<&str>| {
        let row = RatingRow {
            id: new_id(AT),
            of: name(&format!("agents/{id}")),
            submitted_by: by.map(str::to_owned),
            rating,
            comment: Some("so".to_owned()),
            actor: actor.to_owned(),
            at: AT,
        };
        world.database.rate(&world.tenant, &row).await.expect("an answer")
    };
    let rate = async |id: &str, rating: i64, by: Option<&str>| rate_by("ada", id, rating, by).await;
    assert!(!rate("a", 1, Some("bob")).await);
    assert!(rate("a", 5, Some("bob")).await, "bob changed his mind");
    assert!(!rate_by("eve", "a", 4, Some("bob")).await, "eve does not change what ada said of bob");
    assert!(!rate("a", 4, None).await && !rate("a", 4, None).await, "who gives no name is heard each time");
    assert!(!rate("b", 5, Some("bob")).await && !rate("c", 4, Some("bob")).await && !rate("c", 4, Some("eve")).await);
    let asked = |order: EntryOrder| EntriesAsked { order, at: AT, ..EntriesAsked::all(agents()) };
    assert_eq!(world.list(&asked(EntryOrder::Rating)).await, ["b", "a", "c", "d"]);
    let standing = world.database.standing(&world.tenant, &name("agents/a"), AT).await.expect("an answer");
    assert_eq!((standing.ratings, standing.total, standing.average_thousandths()), (4, 17, 4250));
    let ratings = world.database.ratings(&world.tenant, &name("agents/a"), None, 2).await.expect("a page");
    assert_eq!((ratings.items.len(), ratings.more), (2, true));
    let rest = world.database.ratings(&world.tenant, &name("agents/a"), Some(&ratings.items[1].id), 2).await;
    assert_eq!(rest.expect("a page").items.len(), 2);

    let today = day(AT);
    for (id, on, went_well, times) in [
        ("a", today, true, 2),
        ("a", today, false, 5),
        ("b", today - 29, true, 3),
        ("c", today - 30, true, 9),
        ("d", today, true, 2),
    ] {
        for _ in 0..times {
            world
                .database
                .count_use(&world.tenant, &name(&format!("agents/{id}")), on, went_well)
                .await
                .expect("counted");
        }
    }
    assert_eq!(world.list(&asked(EntryOrder::Popular)).await, ["b", "a", "d", "c"]);
    let standing = world.database.standing(&world.tenant, &name("agents/a"), AT).await.expect("an answer");
    assert_eq!((standing.uses, standing.successes), (7, 2));
    let none = world.database.standing(&world.tenant, &name("agents/none"), AT).await.expect("an answer");
    assert_eq!(none, Standing::default());
}

/// One corpus for both engines, whose answers are the same text here.
pub async fn finds_the_same_on_every_engine(world: World) {
    let (world, judged) = world.with_rules().await;
    let corpus = [
        json!({"agentId": "weather-agent", "name": "Weather", "description": "Tells the weather in Zürich.", "tags": ["forecast"]}),
        json!({"agentId": "planner", "name": "Trip planner", "description": "Plans trips by the weather.", "tags": ["travel"]}),
        json!({"agentId": "mailer", "name": "Mailer", "manifest": {"prompt": "Write about the weather, don't mention e-mail."}}),
        json!({"agentId": "numbers", "name": "Numbers 1e5 v2.0", "manifest": {"x": "user@example.com http://example.com/a-b"}}),
        json!({"agentId": "languages", "name": "言語 ÉTÉ straße", "manifest": {"text": "naïve İstanbul ñandú 日本語"}}),
        json!({"agentId": "stop", "name": "The and of", "description": "and AND or NOT near"}),
        json!({"agentId": "quotes", "name": "'; DROP \"x\" * : & | ! ( ) \\", "manifest": {"a": "O'Reilly <b>bold</b>"}}),
        json!({"agentId": "draft", "name": "Weather draft"}),
    ];
    for submission in corpus {
        world.say(&judged, "1.0.0", 0, submission).await;
    }
    world.set("draft", EntryStatus::Draft).await;
    let searches: [(&str, &[&str]); 20] = [
        ("weather", &["1 weather-agent", "2 planner", "3 mailer"]),
        ("WEATH", &["1 weather-agent", "2 planner", "3 mailer"]),
        ("weather trip", &["2 planner"]),
        ("weather-agent", &["1 weather-agent"]),
        ("zürich", &["2 weather-agent"]),
        ("zurich", &[]),
        ("e-mail", &["3 mailer"]),
        ("mail", &["1 mailer"]),
        ("1e5", &["1 numbers"]),
        ("v2.0", &["1 numbers"]),
        ("user@example.com", &["3 numbers"]),
        ("http://example.com/a", &["3 numbers"]),
        ("été", &["1 languages"]),
        ("strasse", &[]),
        ("日本", &["3 languages"]),
        ("語", &[]),
        ("and", &["1 stop"]),
        ("and not near", &["2 stop"]),
        ("o'reilly", &["3 quotes"]),
        ("drop OR 'x'", &[]),
    ];
    for (words, found) in searches {
        assert_eq!(world.find(words).await, found, "{words}");
    }
}

pub async fn finds_the_version_that_is_active(world: World) {
    let (world, judged) = world.with_rules().await;
    let first = json!({"agentId": "a", "name": "Alpha", "manifest": {"text": "first words"}});
    world.say(&judged, "1.0.0", 0, first.clone()).await;
    world.say(&judged, "2.0.0", 1, json!({"agentId": "a", "name": "Beta", "manifest": {"text": "second words"}})).await;
    assert_eq!((world.find("alpha").await.len(), world.find("beta words").await), (0, vec!["3 a".to_owned()]));
    let (kind, id, target, back) =
        (agents(), "a".parse().expect("an id"), "1.0.0".parse().expect("a version"), shown(&first));
    let act = EntryAct::RollBack { target: &target, shown: &back };
    world.database.change_entry(&change(&world, (&kind, &id), act)).await.expect("an answer");
    assert_eq!((world.find("alpha").await, world.find("beta").await.len()), (vec!["1 a".to_owned()], 0));
    world.set("a", EntryStatus::Disabled).await;
    assert!(world.find("alpha").await.is_empty());
}

pub async fn tells_what_refers_to_what(world: World) {
    let (world, judged) = world.with_rules().await;
    let approved = approve(&judged);
    let publish = async |id: &str, version: &str, to: &[(&str, Option<&str>)]| {
        let mut commit = commit(&world.tenant, &approved, id, version);
        commit.references = to
            .iter()
            .map(|(to, version)| Reference {
                to: name(&format!("agents/{to}")),
                version: version.map(|version| version.parse().expect("a version")),
                bindings: vec!["links".to_owned()],
            })
            .collect();
        assert!(matches!(world.database.commit(&commit).await.expect("an answer"), Committed::Written { .. }));
    };
    publish("base", "1.0.0", &[]).await;
    publish("b", "1.0.0", &[("base", None), ("base", Some("1.0.0"))]).await;
    publish("a", "1.0.0", &[("base", None), ("b", None)]).await;
    let follow = async |of: &str, direction: Direction| {
        let (mut seen, mut after): (Vec<String>, Option<ReferencePlace>) = (Vec::new(), None);
        loop {
            let of = name(&format!("agents/{of}"));
            let page =
                world.database.references(&world.tenant, &of, direction, after.as_ref(), 1).await.expect("a page");
            let Some(last) = page.items.last() else { return seen };
            let version = last.version.as_ref().map_or_else(String::new, |version| format!("@{version}"));
            assert_eq!(last.bindings, r#"["links"]"#);
            seen.push(format!("{}{version}", last.entry.id));
            after = Some(last.place().to_string().parse().expect("a place"));
        }
    };
    assert_eq!(follow("a", Direction::From).await, ["b", "base"]);
    assert_eq!(follow("base", Direction::To).await, ["a", "b", "b@1.0.0"]);
    assert_eq!(follow("base", Direction::From).await, Vec::<String>::new());
    // Of an entry its active version counts.
    publish("a", "2.0.0", &[]).await;
    assert_eq!(follow("base", Direction::To).await, ["b", "b@1.0.0"]);
}
