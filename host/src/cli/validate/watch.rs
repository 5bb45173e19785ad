//! `--watch`: judges again whenever something changes in what is read.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use anyhow::Context as _;
use notify::{EventKind, RecursiveMode, Watcher as _};

use crate::cli::{Outcome, Trouble, show, tell};

/// Milliseconds in which what changes is gathered: editors write a file in several steps.
const GATHER_MS: u64 = 200;

/// Judges, and again at each change, until the process is told to stop.
pub fn run(paths: &[PathBuf], judge: impl Fn() -> Outcome) -> Outcome {
    let (sender, changes) = channel();
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // Reading a file is an event too.
        if event.is_ok_and(|event| !matches!(event.kind, EventKind::Access(_))) {
            // Nobody listens any more where the process ends.
            let _ = sender.send(());
        }
    })
    .context("the files cannot be watched")?;
    for path in paths {
        if path.as_os_str() == "-" {
            return Err(Trouble::Usage("--watch: the standard input cannot be watched: name files".to_owned()));
        }
        // An editor may put a new file in the place of the old: the folder sees both.
        let folder = if path.is_dir() { path.as_path() } else { path.parent().unwrap_or(Path::new("")) };
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        let mode = if path.is_dir() { RecursiveMode::Recursive } else { RecursiveMode::NonRecursive };
        watcher.watch(folder, mode).with_context(|| format!("{} cannot be watched", folder.display()))?;
    }
    loop {
        // What is wrong now may be mended by the next change.
        if let Err(trouble) = judge() {
            tell(&trouble);
        }
        show::err("waiting for a change: end with Ctrl-C");
        wait(&changes)?;
    }
}

fn wait(changes: &Receiver<()>) -> anyhow::Result<()> {
    changes.recv().context("the files are watched no more")?;
    while changes.recv_timeout(Duration::from_millis(GATHER_MS)).is_ok() {}
    Ok(())
}
