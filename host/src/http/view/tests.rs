//! Views are pinned here member by member: they are the API.

use serde_json::{Value, json};

use super::*;
use crate::registry::release::Kind;
use crate::registry::store::{EntryRow, EntryStatus, VersionHead, VersionRow};

fn kind() -> Kind {
    serde_json::from_value(json!({
        "name": "agents", "singular": "agent", "idField": "agentId", "documentField": "manifest", "schema": {},
    }))
    .expect("a kind")
}

fn entry_row() -> EntryRow {
    EntryRow {
        kind: "agents".parse().expect("a kind"),
        id: "weather".parse().expect("an id"),
        name: "Weather".to_owned(),
        description: None,
        status: EntryStatus::Active,
        status_reason: None,
        replacement: None,
        category: None,
        current_version: "1.0.0".parse().expect("a version"),
        highest_version: "2.0.0".parse().expect("a version"),
        tags: r#"["a"]"#.to_owned(),
        created_at: Millis(0),
        updated_at: Millis(1),
    }
}

fn version_row(manifest: &str) -> VersionRow {
    VersionRow {
        kind: "agents".parse().expect("a kind"),
        id: "weather".parse().expect("an id"),
        version: "1.0.0".parse().expect("a version"),
        status: "archived".to_owned(),
        withdrawal: None,
        digest: Digest::of(b"a"),
        submitted_digest: Digest::of(b"b"),
        manifest: manifest.into(),
        decision: "0199e2c4-6f0d-7d11-8f64-1c9a7b2e4d55".parse().expect("a decision id"),
        published_by: "admin".to_owned(),
        published_at: Millis(2),
    }
}

#[test]
fn an_entry_shows_the_stored_submission_and_what_the_host_knows() {
    let (kind, entry) = (kind(), entry_row());
    let row = version_row(
        r#"{"agentId":"weather","capabilities":["x"],"digest":"theirs","manifest":{"b":[1.5,null]},"name":"Weather","tags":["a"],"version":"1.0.0"}"#,
    );
    let stored = Stored::of(&row).expect("an object");
    let versions = [VersionHead {
        version: row.version.clone(),
        status: row.status.clone(),
        withdrawal: None,
        published_at: row.published_at,
        decision: row.decision.clone(),
    }];
    let view = EntryView { versions: Some(&versions), ..EntryView::full(&kind, &entry, &row, &stored) };
    let text = serde_json::to_string(&view).expect("JSON");
    assert!(text.starts_with(r#"{"agentId":"weather","name":"Weather","version":"1.0.0","status":"active""#), "{text}");
    assert_eq!(
        serde_json::from_str::<Value>(&text).expect("JSON"),
        json!({
            "agentId": "weather", "name": "Weather", "version": "1.0.0", "status": "active",
            "description": null, "tags": ["a"], "capabilities": ["x"], "manifest": {"b": [1.5, null]},
            "highestVersion": "2.0.0", "digest": Digest::of(b"a"), "decisionId": row.decision,
            "createdAt": "1970-01-01T00:00:00.000Z", "updatedAt": "1970-01-01T00:00:00.001Z",
            "publishedAt": "1970-01-01T00:00:00.002Z", "publishedBy": "admin",
            "versions": [{"version": "1.0.0", "status": "archived", "publishedAt": "1970-01-01T00:00:00.002Z"}],
        })
    );
    assert_eq!(text.matches(r#""digest""#).count(), 1, "a field of theirs does not stand beside one of ours");
}

#[test]
fn lists_and_versions_show_what_they_have() {
    let (kind, entry) = (kind(), entry_row());
    assert_eq!(
        serde_json::to_value(EntryView::listed(&kind, &entry)).expect("JSON"),
        json!({
            "agentId": "weather", "name": "Weather", "version": "1.0.0", "status": "active",
            "description": null, "tags": ["a"], "highestVersion": "2.0.0",
            "createdAt": "1970-01-01T00:00:00.000Z", "updatedAt": "1970-01-01T00:00:00.001Z",
        })
    );
    let row = version_row(r#"{"agentId":"weather","manifest":{},"name":"Old name"}"#);
    let stored = Stored::of(&row).expect("an object");
    let named = Named { singular: "agent", thing: EntryView::version(&kind, &row, &stored), more: json!({"x": 1}) };
    assert_eq!(
        serde_json::to_value(named).expect("JSON"),
        json!({
            "agent": {
                "agentId": "weather", "name": "Old name", "version": "1.0.0", "status": "archived",
                "description": null, "tags": [], "manifest": {}, "digest": Digest::of(b"a"),
                "publishedAt": "1970-01-01T00:00:00.002Z", "publishedBy": "admin", "decisionId": row.decision,
            },
            "x": 1,
        })
    );
    assert!(Stored::of(&version_row("[")).is_err());
}
