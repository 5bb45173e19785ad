//! Previews, as the store keeps them: what a run judges by, what its chunks found, and what was sent of the versions.

use hallmark::clock::{Millis, new_id};
use hallmark::names::{Digest, Scope};
use hallmark::registry::exemptions::Exemptions;
use hallmark::registry::release::ReleaseRef;
use hallmark::registry::store::{
    ChunkDone, Committed, HeldExemptions, ImpactBegun, ImpactChunk, ImpactRow, ImpactRules, ImpactState,
    ImpactStore as _, Judged, KeptSubmission, NewImpact, PublishMark, Reading, Store as _, StoredVersion,
};

use super::exemptions::exemption;
use super::{AT, World, commit};
use crate::support::approval::approve;

/// A run of five chunks.
fn run(exemptions: &Exemptions) -> (ImpactRow, Vec<ImpactChunk>) {
    let chunk = |number: i64| ImpactChunk {
        number,
        kind: "agents".parse().expect("a kind"),
        after: String::new(),
        until: "z".to_owned(),
        ids: None,
    };
    let row = ImpactRow {
        id: new_id(AT),
        scope: Scope::Policies,
        candidate: Digest::of(b"rules"),
        number: None,
        active: Vec::new(),
        what: "\"active\"".to_owned(),
        state: ImpactState::Running,
        why: None,
        versions: 5,
        judged: 0,
        chunks: 5,
        chunks_done: 0,
        mark: PublishMark { events: 0, last: 0 },
        exemptions: exemptions.into(),
        not_independent: None,
        author: "ada".to_owned(),
        created_at: AT,
        ended_at: None,
    };
    (row, (1..=5).map(chunk).collect())
}

impl World {
    async fn begin_run(&self, exemptions: &Exemptions) -> ImpactRow {
        let (row, chunks) = run(exemptions);
        let new = NewImpact { row: &row, rules: "{}", exemptions: &exemptions.list, chunks: &chunks };
        let begun = self.database.begin_impact(&self.tenant, new, 10, 10).await.expect("an answer");
        assert_eq!(begun, ImpactBegun::Begun);
        row
    }

    async fn run_row(&self, id: &str) -> ImpactRow {
        self.database.impact(&self.tenant, id).await.expect("an answer").expect("it is there")
    }

    async fn finish_one(&self, id: &str, number: i64, rests_on_claim: bool) -> bool {
        let result = format!("result {number}");
        let done = ChunkDone { number, judged: 1, result: &result, rests_on_claim, at: AT };
        self.database.finish_chunk(&self.tenant, id, done).await.expect("an answer")
    }

    /// The numbers of the results, page by page.
    async fn result_pages(&self, id: &str) -> Vec<Vec<i64>> {
        let (mut pages, mut last) = (Vec::new(), 0);
        loop {
            let page = self.database.chunk_results(&self.tenant, id, last, 2).await.expect("a page");
            page.iter().for_each(|(number, result)| assert_eq!(*result, format!("result {number}")));
            let numbers: Vec<i64> = page.into_iter().map(|(number, _)| number).collect();
            let Some(number) = numbers.last() else { return pages };
            last = *number;
            pages.push(numbers);
        }
    }
}

pub async fn keeps_the_exemptions_that_a_run_judges_by(world: World) {
    let world = world.ready().await;
    let (mut one, mut other) = (exemption(), exemption());
    (one.until, other.until) = (Millis(AT.0 + 9), Millis(AT.0 + 5));
    other.binding = Some("house".to_owned());
    let exemptions = Exemptions { number: 7, list: vec![one, other] };
    let row = world.begin_run(&exemptions).await;
    let held = HeldExemptions { number: 7, count: 2, until: Some(Millis(AT.0 + 5)) };
    assert_eq!(row.exemptions, held);
    assert_eq!(world.run_row(&row.id).await, row);
    let rules = world.database.impact_rules(&world.tenant, &row.id).await.expect("an answer");
    assert_eq!(rules, Some(ImpactRules { rules: "{}".to_owned(), exemptions: exemptions.list }));
    let none = world.begin_run(&Exemptions::default()).await;
    assert_eq!(world.run_row(&none.id).await.exemptions, HeldExemptions { number: 0, count: 0, until: None });
}

pub async fn pages_the_results_of_chunks_in_line(world: World) {
    let world = world.ready().await;
    let row = world.begin_run(&Exemptions::default()).await;
    assert_eq!(world.result_pages(&row.id).await, Vec::<Vec<i64>>::new());
    for number in [5, 1, 4] {
        assert!(world.finish_one(&row.id, number, true).await);
        assert!(!world.finish_one(&row.id, number, true).await, "once");
    }
    assert_eq!(world.result_pages(&row.id).await, [vec![1, 4], vec![5]]);
    for number in [2, 3] {
        assert!(world.finish_one(&row.id, number, true).await);
    }
    let done = world.run_row(&row.id).await;
    assert_eq!((done.state, done.judged, done.chunks_done), (ImpactState::Done, 5, 5));
    let again = world.database.begin_again(&world.tenant, &row.id, "house", AT).await.expect("an answer");
    assert_eq!(again, Vec::<i64>::new(), "it has ended");
    assert_eq!(world.run_row(&row.id).await, done);
}

pub async fn begins_a_run_again_and_believes_no_claim(world: World) {
    let world = world.ready().await;
    let row = world.begin_run(&Exemptions::default()).await;
    for number in [3, 1] {
        assert!(world.finish_one(&row.id, number, true).await);
    }
    let again = || world.database.begin_again(&world.tenant, &row.id, "house", AT);
    assert_eq!(again().await.expect("an answer"), [1, 3]);
    assert_eq!(again().await.expect("an answer"), Vec::<i64>::new(), "once");
    let begun = world.run_row(&row.id).await;
    assert_eq!((begun.judged, begun.chunks_done, begun.not_independent), (0, 0, Some("house".to_owned())));
    assert_eq!(world.result_pages(&row.id).await, Vec::<Vec<i64>>::new());
    let open = world.database.open_chunks(&world.tenant, &row.id).await.expect("an answer");
    assert_eq!(open, [1, 2, 3, 4, 5]);
    assert!(!world.finish_one(&row.id, 2, true).await, "another host had judged it before it knew");
    for number in 1..=5 {
        assert!(world.finish_one(&row.id, number, false).await);
    }
    let done = world.run_row(&row.id).await;
    assert_eq!((done.state, done.judged), (ImpactState::Done, 5));
}

/// Publishes an agent, of which this was kept.
async fn publish_with(world: &World, judged: &[ReleaseRef], id: &str, sent: Option<&str>) {
    let approved = approve(judged);
    let mut commit = commit(&world.tenant, &approved, id, "1.0.0");
    commit.decision.submission = sent.map(str::to_owned);
    assert!(matches!(world.database.commit(&commit).await.expect("an answer"), Committed::Written { .. }));
}

pub async fn reads_versions_with_what_was_sent(world: World) {
    let (world, judged) = world.with_rules().await;
    publish_with(&world, &judged, "a", Some("sent")).await;
    publish_with(&world, &judged, "b", None).await;
    let (_, chunks) = run(&Exemptions::default());
    let named =
        ImpactChunk { ids: Some(vec!["a".parse().expect("an id"), "b".parse().expect("an id")]), ..chunks[0].clone() };
    let kept = |text: Option<&str>| KeptSubmission { digest: Digest::of(b"submitted"), text: text.map(str::to_owned) };
    for chunk in [&chunks[0], &named] {
        for judged in [Judged::Active, Judged::Since(AT)] {
            let read = |reading| world.database.versions_to_judge(&world.tenant, chunk, (judged, reading), None, 10);
            let sent: Vec<StoredVersion> = read(Reading::Sent).await.expect("versions");
            let texts: Vec<_> = sent.iter().map(|version| version.sent.clone()).collect();
            assert_eq!(texts, [Some(kept(Some("sent"))), Some(kept(None))]);
            let stored: Vec<StoredVersion> = read(Reading::Stored).await.expect("versions");
            assert_eq!(stored.iter().map(|version| version.sent.clone()).collect::<Vec<_>>(), [None, None]);
            let manifests = |versions: &[StoredVersion]| -> Vec<String> {
                versions.iter().map(|version| version.manifest.clone()).collect()
            };
            assert_eq!(manifests(&sent), manifests(&stored));
        }
    }
}
