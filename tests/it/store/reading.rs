//! Pages, decisions and events.

use hallmark::clock::{Millis, new_id};
use hallmark::names::{EntryId, KindName, Tenant};
use hallmark::registry::store::{
    Activation, Committed, DecisionRow, EntriesAsked, EntryOrder, EntryPlace, ReadingStore as _, Store as _,
    VersionHead, VersionPlace,
};

use super::{AT, World, activate, commit};
use crate::support::approval::approve;

fn agents() -> KindName {
    "agents".parse().expect("a kind")
}

pub async fn pages_entries_in_byte_order(world: World) {
    let (world, judged) = world.with_rules().await;
    for id in ["b", "a-b", "Z", "a.b", "a_b", "aB", "9", "ab"] {
        assert!(matches!(world.publish(&judged, id, "1.0.0").await, Committed::Written { .. }));
    }
    let (mut seen, mut after): (Vec<EntryId>, Option<EntryPlace>) = (Vec::new(), None);
    let all = EntriesAsked::all(agents());
    loop {
        let page = world.database.entries(&world.tenant, &all, after.as_ref(), 3).await.expect("a page");
        assert_eq!(page.more, seen.len() + page.items.len() < 8);
        after = page.items.last().map(|listed| listed.place(EntryOrder::Id, AT));
        seen.extend(page.items.into_iter().map(|listed| listed.entry.id));
        if !page.more {
            break;
        }
    }
    assert_eq!(seen.iter().map(EntryId::as_str).collect::<Vec<_>>(), ["9", "Z", "a-b", "a.b", "aB", "a_b", "ab", "b"]);
    let whole = world.database.entries(&world.tenant, &all, None, 8).await.expect("a page");
    assert_eq!((whole.items.len(), whole.more), (8, false));
    let skills = EntriesAsked::all("skills".parse().expect("a kind"));
    let none = world.database.entries(&world.tenant, &skills, None, 8).await.expect("a page");
    assert_eq!((none.items.len(), none.more), (0, false));
}

pub async fn keeps_tenants_apart(world: World) {
    let (world, judged) = world.with_rules().await;
    assert!(matches!(world.publish(&judged, "a", "1.0.0").await, Committed::Written { .. }));
    let other: Tenant = "other".parse().expect("a tenant");
    world.database.ensure_tenant(&other, AT).await.expect("it is made");
    world.database.ensure_tenant(&other, AT).await.expect("it is there");
    let id: EntryId = "a".parse().expect("an id");
    assert_eq!(world.database.entry(&other, &agents(), &id).await.expect("an answer"), None);
    assert_eq!(world.database.version(&other, &agents(), &id, None).await.expect("an answer"), None);
    assert!(world.database.active_release_refs(&other).await.expect("an answer").is_empty());
    let own = world.create_for(&other, "module:agents", "{\"own\":true}").await;
    let activated = activate(&world.database, &other, (&own.scope, own.number), None).await.expect("an answer");
    assert_eq!(activated, Activation::Activated);
    let approved = approve(&[own]);
    let same = commit(&other, &approved, "a", "1.0.0");
    assert!(matches!(world.database.commit(&same).await.expect("an answer"), Committed::Written { .. }));
    let approved = approve(&judged);
    let foreign = commit(&other, &approved, "b", "1.0.0");
    assert_eq!(world.database.commit(&foreign).await.expect("an answer"), Committed::RulesMoved);
}

pub async fn keeps_decisions(world: World) {
    let world = world.ready().await;
    let decision = DecisionRow {
        id: new_id(AT).parse().expect("an id"),
        kind: agents(),
        entry: "never-published".parse().expect("an id"),
        version: "1.0.0".parse().expect("a version"),
        outcome: "rejected".to_owned(),
        body: "{\"findings\":[\"ünïcode \\u0000\"]}".to_owned(),
        submission: None,
        created_at: AT,
    };
    world.database.insert_decision(&world.tenant, &decision).await.expect("it is written");
    let read = world.database.decision(&world.tenant, &decision.id).await.expect("an answer");
    assert_eq!(read, Some(decision));
    let unknown = new_id(AT).parse().expect("an id");
    assert_eq!(world.database.decision(&world.tenant, &unknown).await.expect("an answer"), None);
}

pub async fn pages_versions_newest_first(world: World) {
    let (world, judged) = world.with_rules().await;
    let approved = approve(&judged);
    for (version, at) in [("2.0.0", 5), ("1.0.0", 9), ("3.0.0", 7)] {
        let mut commit = commit(&world.tenant, &approved, "a", version);
        commit.version.published_at = Millis(at);
        world.database.commit(&commit).await.expect("an answer");
    }
    // Of those published in one instant the one decided later comes first.
    world.publish(&judged, "a", "4.0.0").await;
    world.publish(&judged, "a", "5.0.0").await;
    let id: EntryId = "a".parse().expect("an id");
    let mut expected = vec![("1.0.0", "archived", 9), ("3.0.0", "archived", 7), ("2.0.0", "archived", 5)];
    let whole = world.database.versions(&world.tenant, &agents(), &id, None, 5).await.expect("a page");
    assert!(!whole.more);
    let (later, earlier) = (&whole.items[0], &whole.items[1]);
    assert!(later.decision.as_str() > earlier.decision.as_str());
    for head in [earlier, later] {
        let status = if head.version.as_str() == "5.0.0" { "active" } else { "archived" };
        expected.insert(0, (head.version.as_str(), status, AT.0));
    }
    let told: Vec<_> =
        whole.items.iter().map(|head| (head.version.as_str(), head.status.as_str(), head.published_at.0)).collect();
    assert_eq!(told, expected);
    let (mut seen, mut more) = (Vec::new(), true);
    while more {
        let after = seen.last().map(VersionHead::place);
        let read: Option<VersionPlace> = after.as_ref().map(|place| place.to_string().parse().expect("a place"));
        assert_eq!(read, after);
        let page = world.database.versions(&world.tenant, &agents(), &id, read.as_ref(), 1).await.expect("a page");
        assert_eq!(page.items.len(), 1);
        more = page.more;
        seen.extend(page.items);
    }
    assert_eq!(seen, whole.items);
}
