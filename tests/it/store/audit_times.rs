//! The audit log by time: its rows have places in the order in which they were sealed, and times near that order.

use hallmark::clock::Millis;
use hallmark::registry::store::{AuditSpan, AuditStore as _};
use hallmark::sql::AUDIT_READS;
use sqlx::{AssertSqlSafe, Executor as _, Row as _};

use super::audit::{ALL, behind, seal_all};
use super::{AT, World};

pub async fn spans_the_log_by_time(world: World) {
    let world = world.ready().await;
    let mut connection = behind(&world).await;
    // Written by hosts whose clocks differ.
    for (place, at) in [10, 30, 20, 40, 60, 50].into_iter().enumerate() {
        let statement = format!(
            "INSERT INTO audit (tenant_id, id, what, actor, subject, body, created_at)
             VALUES ('default', '{place}', 'token.created', 'serve', 'tokens/{at}', '{{}}', {at})"
        );
        connection.execute(AssertSqlSafe(statement)).await.expect("written");
    }
    let span = async |since: Option<i64>, until: Option<i64>| {
        let database = &world.database;
        let span = database.audit_span(&world.tenant, since.map(Millis), until.map(Millis)).await.expect("a span");
        let rows = database.audit_rows(&world.tenant, span, 100).await.expect("rows");
        rows.items.iter().map(|row| row.at.0).collect::<Vec<_>>()
    };
    assert!(span(None, None).await.is_empty(), "only sealed rows are read");
    assert!(span(Some(20), None).await.is_empty());
    assert_eq!(seal_all(&world.database, &world).await, 6);
    assert_eq!(span(None, None).await, [10, 30, 20, 40, 60, 50]);
    assert_eq!(span(Some(20), None).await, [30, 20, 40, 60, 50]);
    assert_eq!(span(Some(30), None).await, [30, 20, 40, 60, 50], "what lies between is read too");
    assert_eq!(span(Some(40), Some(60)).await, [40, 60, 50]);
    assert_eq!(span(None, Some(20)).await, [10]);
    assert!(span(Some(61), None).await.is_empty());
    assert!(span(Some(40), Some(40)).await.is_empty());
    let first = world.database.audit_rows(&world.tenant, ALL, 4).await.expect("rows");
    assert_eq!((first.items.len(), first.more), (4, true));
    let after = AuditSpan { after: 4, ..ALL };
    let next = world.database.audit_rows(&world.tenant, after, 4).await.expect("rows");
    assert_eq!((next.items.iter().map(|row| row.place).collect::<Vec<_>>(), next.more), (vec![5, 6], false));
}

/// Writes rows of these times, as hosts with different clocks do.
async fn write_times(world: &World, times: &[i64]) {
    let mut connection = behind(world).await;
    let rows: Vec<String> = times
        .iter()
        .map(|at| format!("('default', 'row', 'token.created', 'serve', 'tokens/{at}', '{{}}', {at})"))
        .collect();
    let text =
        format!("INSERT INTO audit (tenant_id, id, what, actor, subject, body, created_at) VALUES {}", rows.join(", "));
    connection.execute(AssertSqlSafe(text)).await.expect("written");
}

/// Some times: near their order, some far from it, and some the same.
fn uneven_times(count: usize) -> Vec<i64> {
    let mut state: u64 = 7;
    let mut below = |end: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        i64::try_from((state >> 33) % end).expect("it fits")
    };
    let place = |index: usize| i64::try_from(index).expect("it fits");
    (0..count)
        .map(|index| match below(50) {
            0 => place(index) - below(2_000),
            1 => place(index) + below(2_000),
            _ => place(index) / 2 * 2 - below(4),
        })
        .collect()
}

pub async fn spans_the_log_by_time_exactly_over_blocks(world: World) {
    let world = world.ready().await;
    let times = uneven_times(1_500);
    // Sealed in parts, so that blocks are begun by one and filled by the next.
    for part in times.chunks(377) {
        write_times(&world, part).await;
        seal_all(&world.database, &world).await;
    }
    let place = |index: usize| i64::try_from(index).expect("it fits") + 1;
    let check = async |since: i64, until: i64| {
        let first = times.iter().position(|at| *at >= since).map(place);
        let last = times.iter().rposition(|at| *at < until).map(place);
        let expected = first.zip(last).map_or((0, 0), |(first, last)| (first - 1, last));
        let span = world.database.audit_span(&world.tenant, Some(Millis(since)), Some(Millis(until))).await;
        let span = span.expect("a span");
        assert_eq!((span.after, span.last), expected, "from {since} until {until}");
    };
    for since in (-2_100..3_700).step_by(67) {
        check(since, since + 100).await;
        check(since, 10_000).await;
    }
    let span = async |since: Option<i64>, until: Option<i64>| {
        let span =
            world.database.audit_span(&world.tenant, since.map(Millis), until.map(Millis)).await.expect("a span");
        (span.after, span.last)
    };
    assert_eq!(span(None, None).await, (0, 1_500), "what is written from now on is not of it");
    assert_eq!(span(Some(-10_000), None).await, (0, 1_500));
    assert_eq!(span(None, Some(10_000)).await, (0, 1_500));
    // Blocks are made anew from rows that were sealed before there were any.
    world.database.revert_to(22).await.expect("it reverts");
    world.database.migrate(AT).await.expect("it migrates");
    for since in (-2_100..3_700).step_by(201) {
        check(since, since + 100).await;
    }
    write_times(&world, &[3, 4_000]).await;
    seal_all(&world.database, &world).await;
    assert_eq!(span(Some(4_000), None).await, (1_501, 1_502));
    assert_eq!(span(None, Some(4)).await, (0, 1_501));
}

pub async fn reads_no_more_of_the_log_than_it_gives(world: World) {
    let (world, judged) = world.with_rules().await;
    world.publish(&judged, "a", "1.0.0").await;
    for part in uneven_times(20_000).chunks(5_000) {
        write_times(&world, part).await;
    }
    while world.database.seal_audit(&world.tenant, 8_000).await.expect("sealed") > 0 {}
    let mut connection = behind(&world).await;
    let many = "INSERT INTO versions (tenant_id, kind, entry_id, version, digest, submitted_digest, manifest,
                                      decision_id, published_by, published_at)
                WITH RECURSIVE numbers (number) AS (SELECT 1 UNION ALL SELECT number + 1 FROM numbers WHERE number < 5000)
                SELECT tenant_id, kind, entry_id, '2.0.' || number, digest, submitted_digest, manifest, decision_id,
                       published_by, published_at
                FROM versions, numbers";
    connection.execute(many).await.expect("written");
    if world.folder.is_none() {
        connection.execute("ANALYZE").await.expect("done");
    }
    for (what, text) in AUDIT_READS {
        let explain = if world.folder.is_some() { "EXPLAIN QUERY PLAN" } else { "EXPLAIN" };
        let query = sqlx::query(AssertSqlSafe(format!("{explain} {text}"))).bind("default");
        let query = match what {
            "rows" => query.bind(10_000_i64).bind(10_100_i64).bind(100_i64),
            "versions" => query.bind("agents").bind("a").bind("0").bind(100_i64),
            "first since" | "last before" => query.bind(10_000_i64),
            _ => query,
        };
        let rows = query.fetch_all(&mut connection).await.expect("a plan");
        let column = if world.folder.is_some() { "detail" } else { "QUERY PLAN" };
        let plan: Vec<String> = rows.iter().map(|row| row.get::<String, _>(column)).collect();
        let says = |words: &[&str]| plan.iter().any(|line| words.iter().any(|word| line.contains(word)));
        assert!(!says(&["SCAN audit", "SCAN versions", "Seq Scan"]), "{what}: {plan:#?}");
        assert!(says(&["USING INDEX", "USING COVERING INDEX", "Index Scan", "Index Only Scan"]), "{what}: {plan:#?}");
    }
}
