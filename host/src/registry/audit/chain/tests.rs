//! What is found in a log that somebody worked on, and what is said of it.

use super::*;

/// A log as it is exported.
fn log(rows: i64) -> Vec<Value> {
    let mut previous = nothing();
    let row = |place| AuditRow {
        place,
        hash: String::new(),
        tenant: Tenant::default_tenant(),
        id: format!("id-{place}"),
        what: "entry.published".to_owned(),
        actor: "ada".to_owned(),
        subject: format!("agents/a@{place}.0.0"),
        body: json!({"digest": "sha256:…", "ä": 1}),
        at: Millis(1_763_660_456_123),
    };
    let sealed = (1..=rows).map(row).map(|mut row| {
        row.seal(&previous);
        previous = row.hash.parse().expect("a digest");
        row.line()
    });
    sealed.collect()
}

fn verify(lines: &[Value], kept: Option<Head>) -> Result<Checked, Broken> {
    let mut verifier = Verifier::new(kept);
    for line in lines {
        verifier.read(&line.to_string())?;
    }
    verifier.end()
}

fn told(lines: &[Value], kept: Option<Head>) -> String {
    verify(lines, kept).expect_err("it is broken").to_string()
}

/// Gives the rows from `from` new hashes, as one could who may write to the database.
fn made_anew(lines: &mut [Value], from: usize) {
    for index in from..lines.len() {
        let previous = match index {
            0 => nothing(),
            _ => lines[index - 1][HASH].as_str().expect("a hash").parse().expect("a digest"),
        };
        lines[index].as_object_mut().expect("a row").remove(HASH);
        lines[index][HASH] = json!(link(&previous, &lines[index]));
    }
}

fn head(lines: &[Value], place: usize) -> Option<Head> {
    let hash = lines[place - 1][HASH].as_str().expect("a hash");
    Some(format!("{place}:{hash}").parse().expect("a head"))
}

#[test]
fn a_log_that_nobody_touched_holds() {
    let lines = log(5);
    assert_eq!(verify(&lines, head(&lines, 3)), Ok(Checked { first: Some(1), head: head(&lines, 5) }));
    assert_eq!(verify(&[], None), Ok(Checked { first: None, head: None }));
    let later = &lines[2..];
    assert_eq!(verify(later, head(&lines, 4)), Ok(Checked { first: Some(3), head: head(&lines, 5) }));
    assert_eq!(told(later, head(&lines, 2)), "the rows begin at 3, after the head 2: read from before it");
}

/// Pinned: a log that was sealed by one release must hold for the next.
#[test]
fn the_hash_is_over_the_hash_before_and_the_canonical_row() {
    let content = r#"{"actor":"ada","at":"2025-11-20T17:40:56.123Z","body":{"digest":"sha256:…","ä":1},"id":"id-1","place":1,"subject":"agents/a@1.0.0","tenant":"default","what":"entry.published"}"#;
    let mut hashed = vec![0; 32];
    hashed.extend(content.as_bytes());
    assert_eq!(log(1)[0][HASH], json!(format!("sha256:{}", hex(&Sha256::digest(&hashed)))));
}

#[test]
fn an_edited_row_is_named() {
    for (member, value) in [
        ("actor", json!("eve")),
        ("at", json!("2025-11-20T17:40:56.124Z")),
        ("body", json!({})),
        ("note", json!("added")),
        ("hash", json!(nothing())),
        ("hash", json!(null)),
    ] {
        let mut lines = log(5);
        lines[2][member] = value;
        assert_eq!(
            told(&lines, None),
            "row 3 (entry.published agents/a@3.0.0) was edited: its hash is not that of what it says after row 2, or that \
             row was edited and its own hash made anew",
            "{member}"
        );
    }
    let mut lines = log(2);
    lines[0]["actor"] = json!("eve");
    assert_eq!(
        told(&lines, None),
        "row 1 (entry.published agents/a@1.0.0) was edited: its hash is not that of what it says after no other"
    );
    let mut lines = log(5);
    lines[2]["actor"] = json!("eve");
    made_anew(&mut lines[..3], 2);
    assert!(
        told(&lines, None).starts_with("row 4 (entry.published agents/a@4.0.0) was edited"),
        "the next does not follow"
    );
}

#[test]
fn removed_and_inserted_rows_are_named() {
    let mut lines = log(6);
    lines.remove(2);
    assert_eq!(told(&lines, None), "row 3 was removed: after row 2 comes row 4");
    lines.remove(2);
    assert_eq!(told(&lines, None), "rows 3 to 4 were removed: after row 2 comes row 5");
    let mut lines = log(3);
    lines.insert(2, lines[1].clone());
    assert_eq!(told(&lines, None), "row 2 (entry.published agents/a@2.0.0) was put in: it comes after row 2");
    let mut lines = log(4);
    lines.remove(1);
    (1..3).for_each(|index| lines[index]["place"] = json!(index + 1));
    assert!(told(&lines, None).starts_with("row 2 (entry.published agents/a@3.0.0) was edited"));
}

#[test]
fn a_chain_made_anew_does_not_hold_an_earlier_head() {
    let whole = log(6);
    let mut lines = whole.clone();
    lines[2]["actor"] = json!("eve");
    made_anew(&mut lines, 2);
    assert!(verify(&lines, None).is_ok(), "by itself it holds");
    assert!(verify(&lines, head(&whole, 2)).is_ok(), "before what was edited nothing changed");
    assert_eq!(
        told(&lines, head(&whole, 5)),
        "row 5 has another hash than the head that was kept: the chain was made anew from this row or one before it"
    );
    assert_eq!(
        told(&whole[..4], head(&whole, 6)),
        "the log ends at row 4, before the head 6: rows were removed from its end"
    );
}

#[test]
fn what_is_no_row_is_named_by_its_line() {
    let mut verifier = Verifier::default();
    verifier.read(&log(1)[0].to_string()).expect("a row");
    let told = verifier.read("{").expect_err("no JSON").to_string();
    assert!(told.starts_with("line 2 is not a row of an audit log: EOF"), "{told}");
    for (line, why) in
        [("[]", "it has no place"), ("{\"place\": 0}", "it has no place"), ("{\"place\": 2}", "it has no hash")]
    {
        let told = Verifier::default().read(line).expect_err("no row").to_string();
        assert_eq!(told, format!("line 1 is not a row of an audit log: {why}"));
    }
}

#[test]
fn heads_are_a_place_and_a_hash() {
    let text = format!("7:{}", nothing());
    assert_eq!(text.parse::<Head>().expect("a head").to_string(), text);
    for wrong in ["", "7", "0:sha256:00", "x:y", "7:sha256:00"] {
        assert!(wrong.parse::<Head>().is_err(), "{wrong}");
    }
}
