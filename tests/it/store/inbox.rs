//! The inbox: its keys by what they begin with, and forgetting one.

use hallmark::clock::Millis;
use hallmark::registry::store::InboxStore as _;

use super::audit::written;
use super::{AT, World};

async fn keys(world: &World, prefix: &str, after: Option<&str>, limit: u32) -> (Vec<String>, bool) {
    let page = world.database.inbox(&world.tenant, prefix, after, limit).await.expect("a page");
    (page.items.into_iter().map(|row| row.key).collect(), page.more)
}

pub async fn pages_keys_by_what_they_begin_with(world: World) {
    let (world, judged) = world.with_rules().await;
    for (id, version) in [("b", "1.0.0"), ("a", "1.0.0"), ("ab", "1.0.0"), ("a", "1.10.0")] {
        world.publish(&judged, id, version).await;
    }
    let all =
        ["registry:agent:a:1.0.0", "registry:agent:a:1.10.0", "registry:agent:ab:1.0.0", "registry:agent:b:1.0.0"];
    assert_eq!(keys(&world, "", None, 10).await, (all.map(str::to_owned).to_vec(), false));
    assert_eq!(
        keys(&world, "registry:agent:a:", None, 10).await,
        (all[..2].iter().map(ToString::to_string).collect(), false)
    );
    assert_eq!(keys(&world, "registry:agent:a", Some(all[0]), 1).await, (vec![all[1].to_owned()], true));
    // What would be a pattern in SQL is text.
    assert_eq!(keys(&world, "registry:%", None, 10).await, (Vec::new(), false));
    let other = "other".parse().expect("a tenant");
    let page = world.database.inbox(&other, "", None, 10).await.expect("a page");
    assert!(page.items.is_empty());
}

pub async fn forgets_a_key_once(world: World) {
    let (world, judged) = world.with_rules().await;
    world.publish(&judged, "a", "1.0.0").await;
    let forget =
        |by: &'static str| world.database.forget_inbox(&world.tenant, "registry:agent:a:1.0.0", by, Millis(AT.0 + 1));
    assert!(forget("ada").await.expect("an answer"));
    assert!(!forget("eve").await.expect("an answer"));
    assert_eq!(keys(&world, "", None, 10).await, (Vec::new(), false));
    let log = written(&world).await;
    let told: Vec<&String> = log.iter().filter(|line| line.starts_with("inbox.forgotten ")).collect();
    assert_eq!(told, ["inbox.forgotten ada inbox/registry:agent:a:1.0.0 {}"]);
}
