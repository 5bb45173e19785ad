//! Which submission is sent when. Entries go side by side; the versions of one entry go one after the other, as the files
//! name them. What the gate rejects is sent once more when others were stored meanwhile: it may refer to them.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;

use super::super::client::{Client, Problem};
use super::super::report::{FailOn, Verdict};
use super::super::source::Candidate;
use super::super::{Trouble, pages, parallel};
use super::judge;
use crate::report::Finding;

/// The code of a rejection by the gate.
const REJECTED: &str = "rejected";

/// What the server did with one submission.
#[derive(Debug)]
pub enum Sent {
    /// Stored, or there already.
    Stored {
        /// It was there.
        skipped: bool,
        /// What the server answered.
        answer: Value,
    },
    /// Not sent, for what is found in it.
    Held(Vec<Finding>),
    /// Neither.
    Refused(Problem),
}

impl Sent {
    fn is_new(&self) -> bool {
        matches!(self, Self::Stored { skipped: false, .. })
    }

    /// Whether it could be otherwise when more is published.
    fn may_change(&self) -> bool {
        match self {
            Self::Refused(problem) => problem.code == REJECTED,
            Self::Held(_) => true,
            Self::Stored { .. } => false,
        }
    }
}

/// How they are sent.
#[derive(Debug, Clone, Copy)]
pub struct How {
    /// Which findings keep one back that the gate would let pass.
    pub fail_on: FailOn,
    /// Entries that are new begin as drafts.
    pub is_draft: bool,
}

/// Sends them all. One has no result where something went wrong for all before it was sent: the second value.
pub fn send_all(
    client: &Client,
    candidates: &[Candidate],
    jobs: usize,
    how: How,
) -> (Vec<Option<Sent>>, Option<Trouble>) {
    let bar = parallel::progress(candidates.len(), "publishing");
    let broken = AtomicBool::new(false);
    let mut results: Vec<Option<Sent>> = candidates.iter().map(|_| None).collect();
    let mut waiting = by_entry(candidates);
    let mut trouble = None;
    while !waiting.is_empty() && trouble.is_none() {
        let rounds = parallel::each(jobs, &waiting, |entry| {
            let mut done: Vec<(usize, Result<Sent, Trouble>)> = Vec::new();
            for index in entry {
                if broken.load(Ordering::Relaxed) {
                    break;
                }
                let sent = send(client, &candidates[*index], how);
                broken.fetch_or(sent.is_err(), Ordering::Relaxed);
                let waits = sent.as_ref().is_ok_and(Sent::may_change);
                bar.inc(u64::from(!waits));
                done.push((*index, sent));
                // A later version must not go before it.
                if waits {
                    break;
                }
            }
            done
        });
        let mut stored = false;
        for (index, sent) in rounds.into_iter().flatten() {
            match sent {
                Ok(sent) => {
                    stored |= sent.is_new();
                    results[index] = Some(sent);
                }
                Err(why) => trouble = trouble.or(Some(why)),
            }
        }
        for entry in &mut waiting {
            let is_done = |index: &usize| results[*index].as_ref().is_some_and(|sent| !sent.may_change());
            while entry.front().is_some_and(is_done) {
                entry.pop_front();
            }
            // Nothing came to be that could change it: it stays so, and the versions after it go on.
            if !stored {
                bar.inc(u64::from(entry.pop_front().is_some()));
            }
        }
        waiting.retain(|entry| !entry.is_empty());
    }
    bar.finish_and_clear();
    (results, trouble)
}

/// The submissions of each entry, in their order.
fn by_entry(candidates: &[Candidate]) -> Vec<VecDeque<usize>> {
    let mut places: HashMap<(&str, Option<&str>), usize> = HashMap::new();
    let mut entries: Vec<VecDeque<usize>> = Vec::new();
    for (index, candidate) in candidates.iter().enumerate() {
        let place = *places.entry((candidate.kind.name.as_str(), candidate.id())).or_insert(entries.len());
        match entries.get_mut(place) {
            Some(entry) => entry.push_back(index),
            None => entries.push(VecDeque::from([index])),
        }
    }
    entries
}

fn send(client: &Client, candidate: &Candidate, How { fail_on, is_draft }: How) -> Result<Sent, Trouble> {
    if fail_on != FailOn::Error
        && let Verdict::Judged(report) = judge(client, candidate)?
        && report.valid
        && report.findings.iter().any(|finding| fail_on.includes(finding))
    {
        return Ok(Sent::Held(report.findings));
    }
    let status = is_draft.then(|| "draft".to_owned());
    let path = pages::path(&format!("/api/{}/publish", candidate.kind.name), &[("status", status)]);
    Ok(match client.try_post(&path, &candidate.body)? {
        Ok(answer) => Sent::Stored { skipped: answer.body["status"] == "skipped", answer: answer.body },
        // Whatever is wrong with the token is wrong with all of them.
        Err(problem) if matches!(problem.status, 401 | 403) => return Err(problem.into()),
        Err(problem) => Sent::Refused(problem),
    })
}
