//! Warm-ups as both databases keep them.

use std::time::Duration;

use hotshelf_model::{
    Id, NewWarmJob, WarmChange, WarmCounts, WarmJob, WarmJobs, WarmPart, WarmState, WarmTiers,
};

use super::shop::{Shop, products, shops};

fn new(ids: usize) -> NewWarmJob {
    NewWarmJob {
        namespace: products(),
        variants: vec!["currency=EUR".to_owned(), "currency=USD".to_owned()],
        tiers: WarmTiers {
            l1: true,
            l2: true,
            l3: false,
        },
        nodes: vec!["shelf-1".to_owned()],
        ids: (0..ids)
            .map(|at| Id::new(&format!("p{at}")).unwrap())
            .collect(),
        source: "category \"Home\"".to_owned(),
        who: "ops".to_owned(),
    }
}

fn part(node: &str, cursor: u64) -> WarmPart {
    WarmPart {
        node: node.to_owned(),
        cursor,
        counts: WarmCounts {
            filled: cursor,
            held: 2,
            absent: 3,
            failed: 4,
            fetched: 5,
        },
        rate: 12.5,
        yielding: true,
        trouble: "none".to_owned(),
        runner: "shelf-2".to_owned(),
        seen: Duration::ZERO,
    }
}

impl Shop {
    async fn jobs(&self, open: bool) -> Vec<WarmJob> {
        self.origin.jobs(open).await.unwrap()
    }
}

#[tokio::test]
async fn a_job_is_kept_with_its_ids_in_order() {
    for shop in shops("warm_job").await {
        let wanted = new(2_345);
        let job = shop.origin.create(&wanted).await.unwrap();
        let mut ids = Vec::new();
        loop {
            let piece = shop.origin.ids(job, ids.len() as u64).await.unwrap();
            if piece.is_empty() {
                break;
            }
            ids.extend(piece);
        }
        assert_eq!(ids, wanted.ids);
        let piece = shop.origin.ids(job, 1_998).await.unwrap();
        assert_eq!(piece, wanted.ids[1_998..2_000]);

        let [kept] = &shop.jobs(true).await[..] else {
            panic!("one job")
        };
        assert_eq!((kept.id, &kept.namespace), (job, &wanted.namespace));
        assert_eq!((kept.ids, kept.tiers), (2_345, wanted.tiers));
        assert_eq!(
            (&kept.variants, &kept.nodes),
            (&wanted.variants, &wanted.nodes)
        );
        assert_eq!((&*kept.source, &*kept.who), ("category \"Home\"", "ops"));
        assert_eq!((kept.state, kept.parts.len()), (WarmState::Running, 0));
        assert!(kept.created.0 > 1_600_000_000_000, "{:?}", kept.created);
    }
}

#[tokio::test]
async fn a_part_advances_and_never_goes_back() {
    for shop in shops("warm_part").await {
        let job = shop.origin.create(&new(10)).await.unwrap();
        let advance = async |part: WarmPart| shop.origin.advance(job, &part).await.unwrap();
        assert_eq!(advance(part("shelf-1", 4)).await, Some(WarmState::Running));
        assert_eq!(advance(part("", 7)).await, Some(WarmState::Running));
        advance(part("", 6)).await;
        let parts = shop.jobs(true).await.remove(0).parts;
        assert_eq!(parts.len(), 2);
        for (kept, written) in parts.iter().zip([part("", 7), part("shelf-1", 4)]) {
            assert!(kept.seen < Duration::from_secs(60), "{:?}", kept.seen);
            let seen = kept.seen;
            assert_eq!(*kept, WarmPart { seen, ..written });
        }
        let other = |node, cursor| WarmPart {
            runner: "shelf-3".to_owned(),
            ..part(node, cursor)
        };
        advance(other("", 3)).await;
        advance(other("shelf-1", 3)).await;
        let parts = shop.jobs(true).await.remove(0).parts;
        let cursors = [parts[0].cursor, parts[1].cursor];
        assert_eq!(cursors, [7, 3], "a node's own tiers begin anew with it");
        let unknown = shop.origin.advance(job + 1, &part("", 1)).await.unwrap();
        assert_eq!(unknown, None);
    }
}

#[tokio::test]
async fn a_job_that_is_over_stays_so() {
    for shop in shops("warm_change").await {
        let job = shop.origin.create(&new(1)).await.unwrap();
        let change = async |state| shop.origin.change(job, state, "boss").await.unwrap();
        assert_eq!(change(WarmState::Paused).await, WarmChange::Changed);
        let paused = shop.jobs(true).await.remove(0);
        assert_eq!(
            (paused.state, &*paused.changed_by),
            (WarmState::Paused, "boss")
        );
        let state = shop.origin.advance(job, &part("", 1)).await.unwrap();
        assert_eq!(state, Some(WarmState::Paused));
        assert_eq!(change(WarmState::Running).await, WarmChange::Changed);
        assert_eq!(change(WarmState::Cancelled).await, WarmChange::Changed);
        let over = WarmChange::Over(WarmState::Cancelled);
        assert_eq!(change(WarmState::Running).await, over);
        assert_eq!(shop.jobs(true).await, []);
        assert_eq!(shop.jobs(false).await[0].state, WarmState::Cancelled);
        let nobody = shop.origin.change(job + 1, WarmState::Paused, "boss").await;
        assert_eq!(nobody.unwrap(), WarmChange::NotFound);
    }
}

#[tokio::test]
async fn old_jobs_that_are_over_are_forgotten_with_their_ids() {
    for shop in shops("warm_forget").await {
        let open = shop.origin.create(&new(1)).await.unwrap();
        for _ in 0..52 {
            let job = shop.origin.create(&new(1)).await.unwrap();
            let done = shop.origin.change(job, WarmState::Done, "runner").await;
            assert_eq!(done.unwrap(), WarmChange::Changed);
        }
        let last = shop.origin.create(&new(1)).await.unwrap();
        let jobs = shop.jobs(false).await;
        assert_eq!((jobs.len(), jobs[0].id), (52, last));
        assert_eq!(jobs[51].id, open, "it is not over");
        assert_eq!(shop.number("SELECT count(*) FROM warm_ids").await, 52);
    }
}
