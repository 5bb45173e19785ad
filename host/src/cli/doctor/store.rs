//! The database and the components: whether they answer, fit this binary, and fit each other.

use std::collections::BTreeMap;

use super::super::Trouble;
use super::super::place::Place;
use super::super::webhook_key::{mute, own_key};
use super::{Arguments, Check};
use crate::clock::Millis;
use crate::config::Limits;
use crate::names::Digest;
use crate::registry::blobs::{Blobs, Location};
use crate::registry::store::Store as _;
use crate::sql::{Database, DatabaseError, Server, connections_of_host, is_there};

/// Milliseconds that clocks may differ by before somebody should look, and before what is given out for a time is given
/// out for another.
const CLOCK_WARN_MS: i64 = 1_000;
const CLOCK_FAIL_MS: i64 = 30_000;

/// Components that are named.
const NAMED_MAX: usize = 10;

/// Looks at both.
pub async fn look(arguments: &Arguments, limits: &Limits, checks: &mut Vec<Check>) {
    let place = &arguments.place;
    const PART: &str = "database";
    let address = match place.address() {
        Ok(address) => address,
        Err(Trouble::Usage(why)) => return checks.push(Check::fail(PART, why, "name the file that its URL is in")),
        Err(_) => return checks.push(Check::fail(PART, "no database is named", "name one with --database")),
    };
    if !is_there(&address) {
        let detail = format!("there is no file {} yet", address.trim_start_matches("sqlite:"));
        return checks.push(Check::warn(PART, detail, "the first start makes it; name another with --database"));
    }
    let unreachable = |error: anyhow::Error| {
        Check::fail(PART, format!("{error:#}"), "is the server up, and are address, user and password right?")
    };
    let database = match Database::connect(&address, limits).await {
        Ok(database) => database,
        Err(error) => return checks.push(unreachable(error.into())),
    };
    if let Err(error) = database.ping().await {
        return checks.push(unreachable(error.into()));
    }
    checks.push(Check::ok(PART, "it answers"));
    checks.push(role(&database).await);
    let has_schema = schema(&database, checks).await;
    server(&database, limits, checks).await;
    if has_schema {
        components(place, &database, limits, checks).await;
        webhooks(arguments, &database, checks).await;
    }
    database.close().await;
}

async fn schema(database: &Database, checks: &mut Vec<Check>) -> bool {
    const PART: &str = "schema";
    match database.check_schema().await {
        Ok(()) => {
            checks.push(Check::ok(PART, "it is this version's"));
            true
        }
        Err(error) => {
            let help = "`hallmark migrate` brings it forward, and `hallmark migrate --revert-to` back";
            checks.push(Check::fail(PART, format!("{:#}", anyhow::Error::from(error)), help));
            false
        }
    }
}

async fn role(database: &Database) -> Check {
    const PART: &str = "role";
    match database.check_role().await {
        Ok(()) => Check::ok(PART, "it cannot see past row-level security (SQLite has neither)"),
        Err(error @ DatabaseError::Unbound { .. }) => {
            let help = "no host serves as this role; a backup may be made as it";
            Check::fail(PART, error.to_string(), help)
        }
        Err(error) => Check::fail(PART, format!("{:#}", anyhow::Error::from(error)), "run it again"),
    }
}

async fn server(database: &Database, limits: &Limits, checks: &mut Vec<Check>) {
    let before = Millis::now();
    match database.server().await {
        Ok(Some(server)) => {
            checks.push(clock(server.at, before, Millis::now()));
            checks.push(connections(server, limits));
        }
        Ok(None) => {
            checks.push(Check::ok("clock", "the database is on this machine"));
            checks.push(Check::ok("connections", "SQLite has no limit of them"));
        }
        Err(error) => {
            let detail = format!("{:#}", anyhow::Error::from(error));
            checks.push(Check::fail("connections", detail, "run it again; the server may be at its maximum"));
        }
    }
}

/// The server's clock was read between the two instants.
fn clock(server: Millis, before: Millis, after: Millis) -> Check {
    const PART: &str = "clock";
    let apart = (before.0 - server.0).max(server.0 - after.0).max(0);
    let which = if server.0 > after.0 { "behind" } else { "ahead of" };
    let detail = format!("this machine's is {apart} ms {which} the database's");
    let help = "have both kept by NTP: ends of tokens, exemptions, leases and staged releases are read off them";
    if apart > CLOCK_FAIL_MS {
        Check::fail(PART, detail, help)
    } else if apart > CLOCK_WARN_MS {
        Check::warn(PART, detail, help)
    } else {
        Check::ok(PART, "this machine's and the database's agree")
    }
}

fn connections(server: Server, limits: &Limits) -> Check {
    const PART: &str = "connections";
    let (of_host, max) = (connections_of_host(limits), server.connections_max);
    let hosts = server.hosts.max(1);
    let all = of_host.saturating_mul(hosts);
    let detail = format!("a host takes up to {of_host}, {hosts} of them {all}, and the server gives {max}");
    let help = "lower database_connections_max (--limit), or raise PostgreSQL's max_connections";
    if of_host > max {
        Check::fail(PART, detail, help)
    } else if all > max {
        Check::warn(PART, detail, help)
    } else {
        Check::ok(PART, detail)
    }
}

async fn webhooks(arguments: &Arguments, database: &Database, checks: &mut Vec<Check>) {
    const PART: &str = "webhooks";
    let (own, _) = own_key(&arguments.place.data, arguments.webhook_key.as_deref());
    match database.webhook_keys().await {
        Ok(made) if made.is_empty() => {}
        Ok(made) => checks.push(match mute(&made, own.as_ref()) {
            None => Check::ok(PART, "they are signed with the key that is here"),
            Some(why) => Check::fail(PART, why, "the hosts of a database share one key; no backup has it"),
        }),
        Err(error) => checks.push(Check::fail(PART, format!("{:#}", anyhow::Error::from(error)), "run it again")),
    }
}

async fn components(place: &Place, database: &Database, limits: &Limits, checks: &mut Vec<Check>) {
    const PART: &str = "components";
    let said = match database.components().await {
        Ok(said) => said,
        Err(error) => {
            let detail = format!("{:#}", anyhow::Error::from(error));
            return checks.push(Check::fail(PART, detail, "run it again"));
        }
    };
    let (location, help) = match place.objects() {
        Ok(location @ Location::Folder(_)) => (location, "may this user read the folder?"),
        Ok(location @ Location::Bucket(_)) => (location, "a host that is given this store does not start"),
        Err(Trouble::Usage(why)) => {
            return checks.push(Check::fail(PART, why, "a host that is given this does not start: change it"));
        }
        Err(_) => {
            return checks.push(Check::fail(PART, "they cannot be looked for", "may this user read its secrets?"));
        }
    };
    if let Location::Folder(folder) = &location
        && !folder.is_dir()
    {
        return checks.push(match said.len() {
            0 => Check::ok(PART, "there are none yet"),
            count => Check::fail(
                PART,
                format!("{} is not there, and the database names {count}", folder.display()),
                "name the folder with --objects, or put it back",
            ),
        });
    }
    let kept = match Blobs::at(&location, limits.object_request_max_ms) {
        Ok(blobs) => blobs.list().await,
        Err(error) => Err(error),
    };
    match kept {
        Ok(kept) => checks.extend(compare(&said, &kept)),
        Err(error) => checks.push(Check::fail(PART, format!("{:#}", anyhow::Error::from(error)), help)),
    }
}

/// What the database names, and what is kept.
fn compare(said: &[(Digest, u64)], kept: &[(Digest, u64)]) -> Vec<Check> {
    const PART: &str = "components";
    let sizes = |of: &[(Digest, u64)]| of.iter().cloned().collect::<BTreeMap<Digest, u64>>();
    let (said, kept) = (sizes(said), sizes(kept));
    let missing: Vec<&Digest> = said.keys().filter(|digest| !kept.contains_key(*digest)).collect();
    let damaged: Vec<&Digest> = said
        .iter()
        .filter(|(digest, size)| kept.get(*digest).is_some_and(|found| found != *size))
        .map(|(digest, _)| digest)
        .collect();
    let orphaned: Vec<&Digest> = kept.keys().filter(|digest| !said.contains_key(*digest)).collect();
    let mut checks = Vec::new();
    for (lost, how) in [(missing, "lost"), (damaged, "damaged")] {
        if !lost.is_empty() {
            let detail = format!("{} of {} {how}: {}", lost.len(), said.len(), named(&lost));
            let help = "push them again (`hallmark plugin push`), or put them back from a backup: a host cannot load \
                        releases that bind them";
            checks.push(Check::fail(PART, detail, help));
        }
    }
    if !orphaned.is_empty() {
        let detail = format!("{} that no plugin's row names: {}", orphaned.len(), named(&orphaned));
        let help = "left by a push that was broken off or a restore: those older than a day can be removed";
        checks.push(Check::warn(PART, detail, help));
    }
    if checks.is_empty() {
        checks.push(Check::ok(PART, format!("all {} are there, and no others", said.len())));
    }
    checks
}

fn named(digests: &[&Digest]) -> String {
    let mut names: Vec<String> = digests.iter().take(NAMED_MAX).map(|digest| digest.to_string()).collect();
    if digests.len() > NAMED_MAX {
        names.push("…".to_owned());
    }
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::State;

    #[test]
    fn clocks_that_differ_are_told() {
        let of = |server: i64| clock(Millis(server), Millis(100_000), Millis(100_010));
        assert_eq!((of(100_005).state, of(99_000).state, of(101_010).state), (State::Ok, State::Ok, State::Ok));
        assert_eq!(of(98_999).detail, "this machine's is 1001 ms ahead of the database's");
        assert_eq!((of(98_999).state, of(200_000).state), (State::Warn, State::Fail));
        assert_eq!(of(200_000).detail, "this machine's is 99990 ms behind the database's");
    }

    #[test]
    fn a_server_with_too_few_connections_is_told() {
        let limits = Limits { database_connections_max: 16, impact_threads: 2, ..Limits::default() };
        let of = |connections_max, hosts| connections(Server { at: Millis(0), connections_max, hosts }, &limits);
        assert_eq!(of(97, 0).detail, "a host takes up to 21, 1 of them 21, and the server gives 97");
        assert_eq!((of(97, 4).state, of(97, 5).state, of(20, 1).state), (State::Ok, State::Warn, State::Fail));
    }

    #[test]
    fn components_are_compared_by_name_and_size() {
        let [a, b, c] = ["a", "b", "c"].map(|text| Digest::of(text.as_bytes()));
        let told = |said: &[(Digest, u64)], kept: &[(Digest, u64)]| -> Vec<(State, String)> {
            compare(said, kept).into_iter().map(|check| (check.state, check.detail)).collect()
        };
        let whole = [(a.clone(), 1), (b.clone(), 2)];
        assert_eq!(told(&whole, &whole), [(State::Ok, "all 2 are there, and no others".to_owned())]);
        assert_eq!(
            told(&whole, &[(b.clone(), 3), (c.clone(), 1)]),
            [
                (State::Fail, format!("1 of 2 lost: {a}")),
                (State::Fail, format!("1 of 2 damaged: {b}")),
                (State::Warn, format!("1 that no plugin's row names: {c}")),
            ]
        );
    }
}
