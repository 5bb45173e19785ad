//! Row-level security on PostgreSQL: what a statement sees that forgets whose rows it means, and what a connection carries
//! that was given back. And, for SQLite, which has none: that no statement forgets.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::task::{Context, Waker};

use hallmark::clock::Millis;
use hallmark::config::Limits;
use hallmark::names::Tenant;
use hallmark::registry::store::{ImpactStore as _, Store as _, TokenStore as _};
use hallmark::registry::tenants;
use hallmark::sql::{Database, DatabaseError, OF_NO_TENANT};
use serde_json::json;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AssertSqlSafe, Connection as _, Executor as _, Row as _};

use crate::support::as_superuser;
use crate::support::command::{hallmark, text};
use crate::support::ground::{Ground, Member, limits, notes};
use crate::support::host::root;
use crate::support::new_postgres_database;

/// PostgreSQL's code for what a policy does not let be written.
const NOT_ALLOWED: &str = "42501";

/// Every table of the database but PostgreSQL's own, with what row-level security does about it.
const TABLES: &str =
    "SELECT (CASE WHEN spaces.nspname = 'public' THEN '' ELSE spaces.nspname || '.' END || tables.relname)::text,
        tables.relrowsecurity AND tables.relforcerowsecurity AND EXISTS (
            SELECT 1 FROM pg_policy WHERE polrelid = tables.oid AND polname = 'of_its_tenant' AND polcmd = '*')
     FROM pg_class AS tables JOIN pg_namespace AS spaces ON spaces.oid = tables.relnamespace
     WHERE tables.relkind IN ('r', 'p') AND spaces.nspname NOT IN ('pg_catalog', 'information_schema')
     ORDER BY 1";

fn acme() -> Tenant {
    "acme".parse().expect("a tenant")
}

/// A host with two tenants, the first of which has published something.
async fn two(limits: Limits) -> (Ground, Member) {
    let ground = Ground::postgres().await;
    let host = ground.host(limits).await;
    host.apply(notes(json!({"type": "object", "required": ["text"]}))).await;
    host.publish("a", "1.0.0", json!({"text": "secret"})).await.expect("it is published");
    host.publish("a", "1.1.0", json!({})).await.expect_err("it is refused");
    tenants::create(&*host.database, &acme(), Millis::now()).await.expect("an answer").expect("made");
    // The queue of previews makes its tables when it is first used.
    host.database.enqueue_chunks(&acme(), "none", &[]).await.expect("a queue");
    (ground, host)
}

/// Each table with whether a policy keeps it.
async fn tables(host: &Member) -> Vec<(String, bool)> {
    let rows = host.database.pool().fetch_all(TABLES).await.expect("tables");
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

async fn of_tenants(host: &Member) -> Vec<String> {
    tables(host).await.into_iter().filter(|(_, is_kept)| *is_kept).map(|(name, _)| name).collect()
}

fn column(table: &str) -> &'static str {
    if table == "tenants" { "id" } else { "tenant_id" }
}

fn code(error: &sqlx::Error) -> String {
    error.as_database_error().and_then(|error| error.code()).unwrap_or_default().into_owned()
}

fn count(row: &AnyRow) -> i64 {
    row.get(0)
}

#[tokio::test]
async fn every_table_is_kept_to_its_tenants_or_says_why_not() {
    let (_ground, host) = two(limits()).await;
    let unkept: BTreeSet<String> =
        tables(&host).await.into_iter().filter(|(_, is_kept)| !is_kept).map(|(name, _)| name).collect();
    let listed: BTreeSet<String> = OF_NO_TENANT.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(
        unkept, listed,
        "a new table is kept by a policy in its migration, as 0058 does it, or listed with a reason"
    );
    let page = fs::read_to_string(root().join("docs/OPERATIONS.md")).expect("the runbook");
    for (name, why) in OF_NO_TENANT {
        assert!(page.contains(&format!("| `{name}` | {why} |")), "docs/OPERATIONS.md lacks: | `{name}` | {why} |");
    }
}

#[tokio::test]
async fn a_statement_that_forgets_the_tenant_sees_and_writes_nothing() {
    let (ground, host) = two(limits()).await;
    let pool = host.database.pool();
    host.database.active_releases(&acme()).await.expect("each connection has carried a tenant before");
    let mut superuser = AnyConnection::connect(&as_superuser(&ground.address)).await.expect("it connects");
    let (mut with_rows, tables) = (0, of_tenants(&host).await);
    assert!(tables.len() > 20, "{tables:?}");
    for table in &tables {
        let select = format!("SELECT COUNT(*) FROM {table}");
        let all = count(&superuser.fetch_one(AssertSqlSafe(select.clone())).await.expect("a count"));
        with_rows += i32::from(all > 0);
        assert_eq!(count(&pool.fetch_one(AssertSqlSafe(select)).await.expect("a count")), 0, "{table}");
        let column = column(table);
        for statement in [
            format!("INSERT INTO {table} ({column}) VALUES ('default')"),
            // What a setting is after the transaction that it was set for.
            format!("INSERT INTO {table} ({column}) VALUES ('')"),
        ] {
            let refused = pool.execute(AssertSqlSafe(statement)).await.expect_err("refused");
            assert_eq!(code(&refused), NOT_ALLOWED, "{table}: {refused}");
        }
        for statement in [format!("UPDATE {table} SET {column} = {column}"), format!("DELETE FROM {table}")] {
            let done = pool.execute(AssertSqlSafe(statement.clone())).await.expect("it finds nothing");
            assert_eq!(done.rows_affected(), 0, "{statement}");
        }
    }
    assert!(with_rows >= 10, "the test is about tables with rows: {with_rows}");
}

#[tokio::test]
async fn who_carries_a_tenant_sees_and_writes_its_rows_alone() {
    let (_ground, host) = two(limits()).await;
    let tables = of_tenants(&host).await;
    for (tenant, other) in [("default", "acme"), ("acme", "default")] {
        let mut connection = host.database.pool().acquire().await.expect("a connection");
        let begin = format!("BEGIN; SET LOCAL hallmark.tenant = '{tenant}'");
        connection.execute(AssertSqlSafe(begin.clone())).await.expect("begun");
        let mut seen = 0;
        for table in &tables {
            let select =
                format!("SELECT COUNT(*), COUNT(*) FILTER (WHERE {} <> '{tenant}') FROM {table}", column(table));
            let row = connection.fetch_one(AssertSqlSafe(select)).await.expect("counts");
            assert_eq!(row.get::<i64, _>(1), 0, "{table} shows {tenant} what is {other}'s");
            seen += count(&row);
        }
        assert!(seen >= 4, "{tenant} sees its own: {seen}");
        for table in tables.iter().filter(|table| *table != "tenants") {
            let moved = format!("SAVEPOINT here; INSERT INTO {table} (tenant_id) VALUES ('{other}')");
            let refused = connection.execute(AssertSqlSafe(moved)).await.expect_err("refused");
            assert_eq!(code(&refused), NOT_ALLOWED, "{table}: {refused}");
            connection.execute("ROLLBACK TO SAVEPOINT here").await.expect("taken back");
        }
        connection.execute("ROLLBACK").await.expect("taken back");
    }
}

#[tokio::test]
async fn the_list_of_tenants_shows_no_row_of_theirs_and_a_token_shows_itself_alone() {
    let (ground, host) = two(limits()).await;
    let mut superuser = AnyConnection::connect(&as_superuser(&ground.address)).await.expect("it connects");
    let hash: String =
        superuser.fetch_one("SELECT hash FROM tokens WHERE tenant_id = 'acme'").await.expect("one").get(0);
    let mut connection = host.database.pool().acquire().await.expect("a connection");
    for (carried, shown) in
        [("hallmark.tenants = 'listed'".to_owned(), "tenants"), (format!("hallmark.token = '{hash}'"), "tokens")]
    {
        connection.execute(AssertSqlSafe(format!("BEGIN; SET LOCAL {carried}"))).await.expect("begun");
        for table in of_tenants(&host).await {
            let select = format!("SELECT COUNT(*) FROM {table}");
            let seen = count(&connection.fetch_one(AssertSqlSafe(select)).await.expect("a count"));
            let expected = match (shown == table, shown) {
                (true, "tenants") => 2,
                (true, _) => 1,
                (false, _) => 0,
            };
            assert_eq!(seen, expected, "{carried}: {table}");
            let done =
                connection.execute(AssertSqlSafe(format!("DELETE FROM {table}"))).await.expect("it finds nothing");
            assert_eq!(done.rows_affected(), 0, "{carried}: {table}");
        }
        connection.execute("ROLLBACK").await.expect("taken back");
    }
}

#[tokio::test]
async fn a_connection_that_is_given_back_carries_nothing() {
    let (ground, _host) = two(limits()).await;
    let one = Limits { database_connections_max: 1, ..limits() };
    let database = Database::connect(&ground.address, &one).await.expect("it opens");
    let default = Tenant::default_tenant();
    let carried = || async {
        let said = "SELECT COALESCE(current_setting('hallmark.tenant', true), '')
                        || COALESCE(current_setting('hallmark.token', true), '')
                        || COALESCE(current_setting('hallmark.tenants', true), '') || (SELECT COUNT(*) FROM entries)";
        database.pool().fetch_one(said).await.expect("an answer").get::<String, _>(0)
    };
    let (kind, id) = ("notes".parse().expect("a kind"), "a".parse().expect("an id"));
    assert!(database.entry(&default, &kind, &id).await.expect("an answer").is_some(), "it was read");
    assert_eq!(carried().await, "0");
    database.ensure_tenant(&default, Millis::now()).await.expect("it is written");
    assert_eq!(carried().await, "0");
    assert_eq!(database.tenants().await.expect("an answer").len(), 2);
    assert_eq!(carried().await, "0");
    assert!(database.token_by_hash("0").await.expect("an answer").is_none());
    assert_eq!(carried().await, "0");
    // Who hangs up in the middle, wherever that is.
    for polls in 0..40 {
        let mut read = Box::pin(database.entry(&default, &kind, &id));
        let mut write = Box::pin(database.ensure_tenant(&default, Millis::now()));
        for _ in 0..polls {
            let mut context = Context::from_waker(Waker::noop());
            if read.as_mut().poll(&mut context).is_ready() || write.as_mut().poll(&mut context).is_ready() {
                break;
            }
            tokio::task::yield_now().await;
        }
        drop((read, write));
        assert_eq!(carried().await, "0", "after {polls} polls");
    }
    assert!(database.entry(&acme(), &kind, &id).await.expect("an answer").is_none(), "it is the other tenant's");
}

#[tokio::test]
async fn no_host_serves_as_a_role_that_no_policy_holds_for() {
    let address = new_postgres_database().await;
    let mut superuser = AnyConnection::connect(&as_superuser(&address)).await.expect("it connects");
    let make = "DO $$ BEGIN CREATE ROLE unbound LOGIN BYPASSRLS;
                EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$";
    superuser.execute(make).await.expect("a role");
    for (role, why) in [("postgres", "is a superuser"), ("unbound", "has BYPASSRLS")] {
        let address = address.replacen("hallmark@", &format!("{role}@"), 1);
        let told = format!(
            "PostgreSQL's role '{role}' {why}, so nothing there keeps tenants' rows apart: connect as a role of the host's own, \
             which owns the database and is neither a superuser nor has BYPASSRLS (docs/OPERATIONS.md: PostgreSQL's role)"
        );
        let database = Database::connect(&address, &limits()).await.expect("it opens");
        let refused = database.check_role().await.expect_err("refused");
        assert!(matches!(refused, DatabaseError::Unbound { .. }), "{refused}");
        let data = tempfile::tempdir().expect("a folder");
        let (data, address) = (data.path().display().to_string(), address.as_str());
        let serves = ["serve", "--listen", "127.0.0.1:0", "--data", &data, "--database", address];
        let served = hallmark(&serves);
        let said = text(&served.stderr);
        assert!(served.status.code() == Some(3) && said.ends_with(&format!("error: {told}\n")), "{said}");
        let looked = hallmark(&["doctor", "--data", &data, "--database", address]);
        let said = text(&looked.stdout);
        assert!(looked.status.code() == Some(1) && said.contains(&format!("fail  role           {told}")), "{said}");
    }
    let database = Database::connect(&address, &limits()).await.expect("it opens");
    database.check_role().await.expect("the tests' own is held to it");
}

/// The texts between quotes in a source, with lines that are joined as the compiler joins them.
fn literals(code: &str) -> Vec<String> {
    let (mut found, mut characters) = (Vec::new(), code.chars().peekable());
    while let Some(character) = characters.next() {
        match character {
            // What is quoted alone, as '"' is.
            '\'' if characters.peek() == Some(&'"') => {
                characters.next();
            }
            '"' => {
                let mut literal = String::new();
                while let Some(inside) = characters.next().filter(|inside| *inside != '"') {
                    match inside {
                        '\\' => match characters.next() {
                            Some('\n') => while characters.next_if(|next| next.is_whitespace()).is_some() {},
                            Some(escaped) => literal.push(escaped),
                            None => {}
                        },
                        inside => literal.push(inside),
                    }
                }
                found.push(literal);
            }
            _ => {}
        }
    }
    found
}

/// Statements that do not say the tenant themselves, each with who does.
const SAID_ELSEWHERE: [(&str, &str); 14] = [
    ("SELECT id FROM tenants ORDER BY id", "it lists them"),
    ("INSERT INTO tenants (id, created_at) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING", "a tenant's own row"),
    ("UPDATE tenants SET signatures_required = $2 WHERE id = $1 AND signatures_required <> $2", "a tenant's own row"),
    ("UPDATE tenants SET trust = trust + 1 WHERE id = $1", "a tenant's own row"),
    ("SELECT signatures_required, trust FROM tenants WHERE id = $1", "a tenant's own row"),
    (
        "id, tenant_id, name, prefix, hash, roles, entries, created_by, created_at, expires_at, last_used_at, \
         revoked_by, revoked_at FROM tokens",
        "columns: what follows them says the tenant, or the token's hash",
    ),
    (
        "id, url, types, kinds, key_id, salt, previous_salt, previous_until, failures, disabled_at, disabled_reason, \
         created_by, created_at FROM webhooks",
        "columns: what follows them says it",
    ),
    (
        "id, name, issuer, claims, entries, added_by, added_at, removed_by, removed_at FROM trusted_publishers",
        "columns: what follows them says it",
    ),
    (
        "id, pattern, code, binding, until_at, reason, author, created_at, revoked_at, revoked_by FROM exemptions",
        "columns: what follows them says it",
    ),
    (
        "id, scope, release_number AS number, release_digest AS digest, percent, state, reason, plan, started_by, \
         started_at, changed_by, changed_at FROM shadows",
        "columns: what follows them says it",
    ),
    (
        "SELECT tenant_id, place, id, what, kind, entry_id, subject, body, created_at FROM events",
        "columns: what follows them says it",
    ),
    ("COALESCE((SELECT t.{what} FROM entry_ratings t WHERE {of}), 0)", "`of` is the entry at hand, its tenant's"),
    (
        "SELECT CAST(SUM(t.{what}) AS BIGINT) FROM entry_uses t WHERE {of} AND t.day >= {first_day}",
        "`of` is the entry at hand, its tenant's",
    ),
    (
        "SELECT * FROM (SELECT {}, {standing} FROM entries WHERE {is_listed}) AS listed {follows} ORDER BY {order} \
         LIMIT {limit}",
        "`is_listed` begins with it",
    ),
];

/// Sources without comments and unit tests.
fn sql_sources(folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sql_sources(&path, found);
        } else {
            found.push(code_of(&path));
        }
    }
}

fn code_of(path: &Path) -> String {
    let text = fs::read_to_string(path).expect("a text");
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn no_statement_forgets_the_tenant_where_no_policy_reminds_it() {
    let (_ground, host) = two(limits()).await;
    let tables = of_tenants(&host).await;
    let mut sources = Vec::new();
    sql_sources(&root().join("host/src/sql"), &mut sources);
    sources.push(code_of(&root().join("host/src/sql.rs")));
    let (mut looked, mut unsaid) = (0, BTreeSet::new());
    for literal in sources.iter().flat_map(|code| literals(code)) {
        let words: Vec<&str> = literal.split_whitespace().collect();
        let names_one = |pair: &[&str]| {
            let table = pair[1].trim_matches(|letter: char| !letter.is_alphanumeric() && letter != '_');
            ["FROM", "INTO", "UPDATE", "JOIN"].contains(&pair[0].trim_start_matches('('))
                && tables.iter().any(|known| known == table)
        };
        if words.windows(2).any(names_one) {
            looked += 1;
            let is_said = literal.contains(if literal.contains("INSERT INTO") { "tenant_id" } else { "tenant_id = " });
            unsaid.extend((!is_said).then(|| words.join(" ")));
        }
    }
    assert!(looked > 100, "the statements are found: {looked}");
    let known: BTreeSet<String> = SAID_ELSEWHERE.iter().map(|(statement, _)| (*statement).to_owned()).collect();
    assert_eq!(unsaid, known, "statements that do not say whose rows they mean");
}
