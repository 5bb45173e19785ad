//! What no request tells and only the process as a whole can: how full its pools, its outbox, its deliveries and its disk are, and when
//! the last backup was. Looked at every `metrics_sample_ms`.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::sql::Database;
use crate::telemetry;

/// The file in the data folder that says when the last backup was done, in seconds since the Unix epoch.
const BACKUP_FILE: &str = "backup.last";

/// Looks again and again, for as long as it is polled.
pub async fn keep_sampled(database: Arc<Database>, data: Arc<Path>, every_ms: u64) {
    let mut tick = tokio::time::interval(Duration::from_millis(every_ms.max(1)));
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut last = Troubles::default();
    loop {
        tick.tick().await;
        let now = sample(&database, &data).await;
        now.tell(&last);
        last = now;
    }
}

/// What could not be looked at. Told when it begins, not at each look.
#[derive(Debug, Default, PartialEq, Eq)]
struct Troubles {
    outbox: Option<String>,
    deliveries: Option<String>,
    disk: Option<String>,
    backup: Option<String>,
}

impl Troubles {
    fn tell(&self, before: &Self) {
        let parts = [
            ("the outbox", &self.outbox, &before.outbox),
            ("the deliveries", &self.deliveries, &before.deliveries),
            ("the disk", &self.disk, &before.disk),
            (BACKUP_FILE, &self.backup, &before.backup),
        ];
        for (part, why, before) in parts {
            if let Some(why) = why.as_ref().filter(|_| before.is_none()) {
                tracing::warn!(part, why, "a metric stays what it was: its source cannot be read");
            }
        }
    }
}

async fn sample(database: &Database, data: &Path) -> Troubles {
    for pool in database.connections() {
        telemetry::connections_counted(pool.pool, pool.in_use, pool.idle, pool.max);
    }
    let disk = disk(data).map(|(free, size)| telemetry::disk_measured(free, size)).err();
    let backup = backup(data).map(|at| at.into_iter().for_each(telemetry::backup_found)).err();
    let waiting = database.deliveries_waiting().await;
    let deliveries = waiting.map(telemetry::deliveries_counted).err().map(|error| error.to_string());
    let waiting = database.events_waiting().await;
    let outbox = waiting.map(telemetry::outbox_counted).err().map(|error| error.to_string());
    Troubles { outbox, deliveries, disk, backup }
}

/// Bytes that may still be written beside the folder, and all there are.
fn disk(data: &Path) -> Result<(u64, u64), String> {
    let stated = rustix::fs::statvfs(data).map_err(|error| format!("{}: {error}", data.display()))?;
    // What is kept for root is not free for the host.
    Ok((stated.f_bavail.saturating_mul(stated.f_frsize), stated.f_blocks.saturating_mul(stated.f_frsize)))
}

fn backup(data: &Path) -> Result<Option<u64>, String> {
    let path = data.join(BACKUP_FILE);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("{}: {error}", path.display())),
    };
    let at = text.trim().parse();
    at.map(Some).map_err(|_| format!("{} holds no time: it is whole seconds since the Unix epoch", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_backup_is_what_its_file_says() {
        let folder = tempfile::tempdir().expect("a folder");
        assert_eq!(backup(folder.path()), Ok(None));
        std::fs::write(folder.path().join(BACKUP_FILE), "1700000000\n").expect("a file");
        assert_eq!(backup(folder.path()), Ok(Some(1_700_000_000)));
        std::fs::write(folder.path().join(BACKUP_FILE), "yesterday").expect("a file");
        let told = format!(
            "{} holds no time: it is whole seconds since the Unix epoch",
            folder.path().join(BACKUP_FILE).display()
        );
        assert_eq!(backup(folder.path()), Err(told));
    }

    #[test]
    fn a_disk_has_room() {
        let folder = tempfile::tempdir().expect("a folder");
        let (free, size) = disk(folder.path()).expect("a file system");
        assert!(0 < free && free <= size, "{free} of {size}");
        assert!(disk(Path::new("/nowhere")).is_err_and(|why| why.starts_with("/nowhere: ")));
    }
}
