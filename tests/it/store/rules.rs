//! Plugins, releases and activation.

use futures_util::future::join_all;
use hallmark::clock::Millis;
use hallmark::names::{Digest, ModuleName, Scope};
use hallmark::registry::store::{NewRelease, PluginPlace, PluginRow, Store as _};

use super::{AT, World};

fn agents() -> Scope {
    "module:agents".parse().expect("a scope")
}

pub async fn numbers_releases_made_at_once(world: World) {
    let world = world.ready().await;
    let other = world.second_host().await;
    let releases: Vec<_> = (0..40)
        .map(|number| NewRelease {
            scope: agents(),
            digest: Digest::of(format!("{number}").as_bytes()),
            rules: format!("{number}"),
            author: "ada".to_owned(),
            message: "at once".to_owned(),
            created_at: AT,
        })
        .collect();
    let made = join_all(releases.iter().enumerate().map(|(place, release)| {
        let host = if place % 2 == 0 { &world.database } else { &other };
        host.create_release(&world.tenant, release)
    }))
    .await;
    let mut numbers = Vec::new();
    for (made, wanted) in made.into_iter().zip(&releases) {
        let made = made.expect("a release");
        let read = world.database.release(&world.tenant, &agents(), made.release.number).await.expect("an answer");
        assert_eq!(read.as_ref(), Some(&made));
        assert_eq!((&made.rules, &made.release.digest), (&wanted.rules, &wanted.digest));
        numbers.push(made.release.number);
    }
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=40).collect::<Vec<_>>());
    let listed = world.database.releases(&world.tenant, &agents(), None, 100).await.expect("releases");
    assert!(listed.items.is_sorted_by(|one, next| one.release.number > next.release.number));
    assert_eq!((listed.items.len(), listed.more), (40, false));
}

pub async fn pages_releases_newest_first(world: World) {
    let world = world.ready().await;
    for number in 1..=5 {
        world.create("module:agents", &number.to_string()).await;
        world.create("module:others", &number.to_string()).await;
    }
    let (mut seen, mut before) = (Vec::new(), None);
    loop {
        let page = world.database.releases(&world.tenant, &agents(), before, 2).await.expect("a page");
        assert!(page.items.iter().all(|head| head.release.scope == agents() && head.author == "ada"));
        seen.extend(page.items.iter().map(|head| head.release.number));
        before = seen.last().copied();
        // What is released meanwhile comes before all of them, and disturbs no page.
        world.create("module:agents", &format!("later {}", seen.len())).await;
        if !page.more {
            break;
        }
    }
    assert_eq!(seen, [5, 4, 3, 2, 1]);
    let none = world.database.releases(&world.tenant, &Scope::Policies, None, 2).await.expect("a page");
    assert_eq!((none.items.len(), none.more), (0, false));
}

pub async fn pages_modules_by_name(world: World) {
    let world = world.ready().await;
    world.activate_new("policies", "{}").await;
    for name in ["b", "ab", "a-b", "c", "a"] {
        world.activate_new(&format!("module:{name}"), "{}").await;
    }
    world.create("module:idle", "{}").await;
    let (mut seen, mut after): (Vec<String>, Option<ModuleName>) = (Vec::new(), None);
    loop {
        let page = world.database.active_modules(&world.tenant, after.as_ref(), 2).await.expect("a page");
        seen.extend(page.items.iter().map(|row| row.release.scope.to_string()));
        after = seen.last().and_then(|scope| scope.strip_prefix("module:")?.parse().ok());
        if !page.more {
            break;
        }
    }
    assert_eq!(seen, ["module:a", "module:a-b", "module:ab", "module:b", "module:c"]);
    for (scope, number) in [("policies", Some(1)), ("module:c", Some(1)), ("module:idle", None), ("module:d", None)] {
        let scope: Scope = scope.parse().expect("a scope");
        let active = world.database.active_release(&world.tenant, &scope).await.expect("an answer");
        assert_eq!(active.map(|row| row.release.number), number, "{scope}");
    }
}

pub async fn lists_active_releases_by_scope(world: World) {
    let world = world.ready().await;
    assert!(world.database.active_releases(&world.tenant).await.expect("an answer").is_empty());
    let services = world.activate_new("module:services", "{\"s\":1}").await;
    let policies = world.activate_new("policies", "{\"p\":1}").await;
    let agents = world.activate_new("module:agents", "{\"a\":1}").await;
    world.create("module:idle", "{}").await;
    let expected = vec![agents, services, policies];
    assert_eq!(world.database.active_release_refs(&world.tenant).await.expect("refs"), expected);
    let rows = world.database.active_releases(&world.tenant).await.expect("rows");
    assert_eq!(rows.iter().map(|row| row.release.clone()).collect::<Vec<_>>(), expected);
    assert_eq!(rows.iter().map(|row| row.rules.as_str()).collect::<Vec<_>>(), ["{\"a\":1}", "{\"s\":1}", "{\"p\":1}"]);
}

pub async fn keeps_plugins_by_digest(world: World) {
    let world = world.ready().await;
    let plugin = |name: &str, bytes: &str, at: i64| PluginRow {
        digest: Digest::of(bytes.as_bytes()),
        name: name.to_owned(),
        version: "1.0.0".to_owned(),
        contract: "hallmark:plugin@0.1.0".to_owned(),
        inspection: "{}".to_owned(),
        size_bytes: 5_000_000_000,
        pushed_by: "ada".to_owned(),
        pushed_at: Millis(at),
    };
    let rows = [plugin("Zeta", "z", 9), plugin("cel", "2", 7), plugin("cel", "1", 8), plugin("agent-rules", "a", 10)];
    for row in &rows {
        assert!(world.database.insert_plugin(&world.tenant, row).await.expect("an answer"));
        assert!(!world.database.insert_plugin(&world.tenant, row).await.expect("an answer"));
        let read = world.database.plugin(&world.tenant, &row.digest).await.expect("an answer");
        assert_eq!(read.as_ref(), Some(row));
    }
    let unknown = world.database.plugin(&world.tenant, &Digest::of(b"unknown")).await.expect("an answer");
    assert_eq!(unknown, None);
    let page = world.database.plugins(&world.tenant, None, 100).await.expect("plugins");
    assert_eq!(page.items, [rows[0].clone(), rows[3].clone(), rows[1].clone(), rows[2].clone()]);
    let (mut seen, mut more) = (Vec::new(), true);
    while more {
        let after = seen.last().map(PluginRow::place);
        let read: Option<PluginPlace> = after.as_ref().map(|place| place.to_string().parse().expect("a place"));
        assert_eq!(read, after);
        let next = world.database.plugins(&world.tenant, read.as_ref(), 1).await.expect("a page");
        assert_eq!(next.items.len(), 1);
        more = next.more;
        seen.extend(next.items);
    }
    assert_eq!(seen, page.items);
}
