//! Trusted publishers: written, listed, removed, each in its tenant.

use hallmark::clock::{Millis, new_id};
use hallmark::identity::Claims;
use hallmark::names::Tenant;
use hallmark::registry::store::{PublisherRow, PublisherStore as _};

use super::audit::written;
use super::{AT, World};

fn publisher(name: &str) -> PublisherRow {
    let mut claims = Claims::default();
    for (claim, value) in [("repository", "acme/search"), ("ref", "refs/heads/main"), ("ref", "refs/tags/v*")] {
        claims.add(claim.to_owned(), value.to_owned());
    }
    PublisherRow {
        id: new_id(AT),
        name: name.to_owned(),
        issuer: "https://ci.example".to_owned(),
        claims,
        entries: vec!["agents/a-*".parse().expect("a pattern"), "services/b".parse().expect("a pattern")],
        added_by: "ada".to_owned(),
        added_at: AT,
        removed: None,
    }
}

pub async fn keeps_whom_a_tenant_trusts_to_publish(world: World) {
    let world = world.ready().await;
    let (database, tenant) = (&world.database, &world.tenant);
    let rows = ["one", "two", "three"].map(publisher);
    for row in &rows {
        database.insert_publisher(tenant, row).await.expect("written");
    }
    let [one, two, three] = &rows;
    assert_eq!(database.publisher(tenant, &one.id).await.expect("an answer").as_ref(), Some(one));
    let other: Tenant = "other".parse().expect("a tenant");
    assert_eq!(database.publisher(&other, &one.id).await.expect("an answer"), None);
    assert!(database.publishers_trusted(&other, 10).await.expect("an answer").is_empty());

    assert!(database.remove_publisher(tenant, two, "bob", Millis(7)).await.expect("an answer"));
    assert!(!database.remove_publisher(tenant, two, "eve", Millis(8)).await.expect("an answer"), "once");
    let trusted = database.publishers_trusted(tenant, 10).await.expect("an answer");
    assert_eq!(trusted, [one.clone(), three.clone()]);
    assert_eq!(database.publishers_trusted(tenant, 1).await.expect("an answer").len(), 1);
    let page = database.publishers(tenant, None, 2).await.expect("a page");
    let removed = PublisherRow { removed: Some(("bob".to_owned(), Millis(7))), ..two.clone() };
    assert_eq!((page.items.as_slice(), page.more), (&[three.clone(), removed][..], true));
    let rest = database.publishers(tenant, Some(&two.id), 2).await.expect("a page");
    assert_eq!((rest.items.as_slice(), rest.more), (&[one.clone()][..], false));
    let told: Vec<String> = written(&world)
        .await
        .into_iter()
        .filter(|line| line.starts_with("publisher."))
        .map(|line| line.split(" {").next().unwrap_or_default().to_owned())
        .collect();
    let expected = ["one", "two", "three"].map(|name| format!("publisher.trusted ada trusted-publishers/{name}"));
    assert_eq!(told[..3], expected);
    assert_eq!(told[3], "publisher.removed bob trusted-publishers/two");
}
