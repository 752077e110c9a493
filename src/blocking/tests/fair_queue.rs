//! Tests the order in which a queue serves work, and which work it refuses.

use crate::blocking::fair_queue::{Claim, FairQueue, Lane, LaneLimits, Party, QueueLimits, Queued};

/// A piece of work, identified by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Job(&'static str);

impl Queued for Job {
    fn is_awaited(&self) -> bool {
        !self.0.ends_with("gone")
    }

    fn is_refusable(&self) -> bool {
        !self.0.ends_with("pinned")
    }
}

const fn party(number: u64) -> Party {
    Party::of_hash(number)
}

/// Returns the claim of an account at a network, as a sign-in has.
fn at(network: u64, account: u64) -> Claim {
    Claim::of_account(Lane::Ordinary, party(network), party(1_000 + account))
}

fn in_lane(lane: Lane, network: u64) -> Claim {
    Claim::of_account(lane, party(network), party(1_000 + network))
}

/// Returns a queue whose only thread is busy, so that everything pushed waits.
fn busy(limits: QueueLimits) -> FairQueue<Job> {
    let mut queue = FairQueue::new(limits);
    assert!(queue.push(at(0, 0), Job("at work")).is_empty());
    assert_eq!(queue.take(&mut Vec::new()).map(|(_, job)| job), Some(Job("at work")));
    queue
}

/// Pushes work and checks that none is refused.
fn push_all(queue: &mut FairQueue<Job>, all: impl IntoIterator<Item = (Claim, &'static str)>) {
    for (claim, name) in all {
        assert_eq!(queue.push(claim, Job(name)), [], "{name}");
    }
}

/// Returns the order in which one thread serves the waiting work, after its current work.
fn serve_all(queue: &mut FairQueue<Job>) -> Vec<&'static str> {
    let mut served = Vec::new();
    let mut running = at(0, 0);
    loop {
        queue.finish(&running);
        let Some((claim, Job(name))) = queue.take(&mut Vec::new()) else { return served };
        served.push(name);
        running = claim;
    }
}

#[test]
fn one_party_is_served_in_order_of_arrival() {
    let mut queue = busy(QueueLimits::new(1, 10));
    push_all(&mut queue, [(at(1, 1), "a"), (at(1, 1), "b"), (at(1, 1), "c")]);
    assert_eq!(serve_all(&mut queue), ["a", "b", "c"]);
}

#[test]
fn other_network_is_served_before_the_rest_of_a_flood() {
    let mut queue = busy(QueueLimits::new(1, 10));
    push_all(&mut queue, ["flood 1", "flood 2", "flood 3", "flood 4"].map(|name| (at(1, 1), name)));
    push_all(&mut queue, [(at(2, 2), "other 1"), (at(3, 3), "another 1"), (at(2, 2), "other 2")]);
    assert_eq!(
        serve_all(&mut queue),
        ["flood 1", "other 1", "another 1", "flood 2", "other 2", "flood 3", "flood 4"]
    );
}

#[test]
fn many_accounts_at_one_network_get_one_share() {
    let mut queue = busy(QueueLimits::new(1, 10));
    push_all(&mut queue, [(at(1, 1), "flood 1"), (at(1, 2), "flood 2"), (at(1, 3), "flood 3")]);
    push_all(&mut queue, [(at(2, 4), "other 1"), (at(2, 4), "other 2")]);
    assert_eq!(serve_all(&mut queue), ["flood 1", "other 1", "flood 2", "other 2", "flood 3"]);
}

#[test]
fn one_account_at_many_networks_gets_one_share() {
    let mut queue = busy(QueueLimits::new(1, 10));
    push_all(&mut queue, [(at(1, 1), "flood 1"), (at(2, 1), "flood 2"), (at(3, 1), "flood 3")]);
    push_all(&mut queue, [(at(4, 2), "other 1"), (at(4, 2), "other 2")]);
    assert_eq!(serve_all(&mut queue), ["flood 1", "other 1", "flood 2", "other 2", "flood 3"]);
}

#[test]
fn account_beside_a_flood_at_its_network_is_served_next() {
    let mut queue = busy(QueueLimits::new(1, 20));
    let flood = ["flood 1", "flood 2", "flood 3", "flood 4"];
    push_all(&mut queue, flood.iter().zip([1, 2, 1, 2]).map(|(name, account)| (at(1, account), *name)));
    queue.finish(&at(0, 0));
    let mut served: Vec<&str> = Vec::new();
    for _ in 0..2 {
        let (claim, job) = queue.take(&mut Vec::new()).expect("it waits");
        served.push(job.0);
        queue.finish(&claim);
    }
    push_all(&mut queue, [(at(1, 3), "colleague")]);
    while let Some((claim, job)) = queue.take(&mut Vec::new()) {
        served.push(job.0);
        queue.finish(&claim);
    }
    assert_eq!(served, ["flood 1", "flood 2", "colleague", "flood 3", "flood 4"]);
}

#[test]
fn parties_within_their_share_are_served_by_lane() {
    let mut queue = busy(QueueLimits::new(1, 10));
    push_all(
        &mut queue,
        [
            (in_lane(Lane::Ordinary, 1), "stranger"),
            (in_lane(Lane::KnownAddress, 2), "known 1"),
            (in_lane(Lane::KnownAddress, 2), "known 2"),
            (in_lane(Lane::SignedIn, 3), "step-up"),
        ],
    );
    assert_eq!(serve_all(&mut queue), ["step-up", "known 1", "stranger", "known 2"]);
}

#[test]
fn full_queue_refuses_the_party_with_the_most_entries() {
    let mut queue = busy(QueueLimits::new(1, 4));
    push_all(&mut queue, [(at(1, 1), "flood 1"), (at(1, 2), "flood 2"), (at(1, 3), "flood 3")]);
    push_all(&mut queue, [(at(2, 4), "other")]);
    assert_eq!(queue.push(at(1, 5), Job("flood 4")), [Job("flood 4")], "it is past its share");
    assert_eq!(queue.push(at(3, 6), Job("another")), [Job("flood 3")]);
    assert_eq!(queue.push(at(4, 7), Job("a third")), [Job("flood 2")]);
    assert_eq!(serve_all(&mut queue), ["flood 1", "other", "another", "a third"]);
}

#[test]
fn full_queue_refuses_an_account_at_many_networks() {
    let mut queue = busy(QueueLimits::new(1, 3));
    push_all(&mut queue, [(at(1, 1), "flood 1"), (at(2, 1), "flood 2"), (at(3, 1), "flood 3")]);
    assert_eq!(queue.push(at(4, 1), Job("flood 4")), [Job("flood 4")]);
    assert_eq!(queue.push(at(5, 2), Job("other")), [Job("flood 3")]);
}

#[test]
fn full_queue_refuses_the_largest_account_of_a_network() {
    let mut queue = busy(QueueLimits::new(1, 4));
    push_all(&mut queue, ["flood 1", "flood 2", "flood 3", "flood 4"].map(|name| (at(1, 1), name)));
    assert_eq!(queue.push(at(1, 2), Job("colleague")), [Job("flood 4")]);
}

#[test]
fn places_are_reserved_for_earlier_lanes() {
    let lane = |waiting| LaneLimits { running: 1, running_per_party: 1, waiting };
    let limits =
        QueueLimits::new(1, 4).with_lane(Lane::KnownAddress, lane(3)).with_lane(Lane::Ordinary, lane(2));
    let mut queue = busy(limits);
    push_all(
        &mut queue,
        [(in_lane(Lane::Ordinary, 1), "stranger 1"), (in_lane(Lane::Ordinary, 2), "stranger 2")],
    );
    assert_eq!(queue.push(in_lane(Lane::Ordinary, 3), Job("stranger 3")), [Job("stranger 3")]);
    push_all(&mut queue, [(in_lane(Lane::KnownAddress, 4), "known 1")]);
    // The lane and those after it have no place left, so the newest work of the last lane makes room.
    assert_eq!(queue.push(in_lane(Lane::KnownAddress, 5), Job("known 2")), [Job("stranger 2")]);
    push_all(&mut queue, [(in_lane(Lane::SignedIn, 6), "step-up")]);
    assert_eq!(serve_all(&mut queue), ["step-up", "known 1", "known 2", "stranger 1"]);
}

#[test]
fn party_at_its_limit_waits_while_others_run() {
    let lane = |running, running_per_party| LaneLimits { running, running_per_party, waiting: 9 };
    let limits =
        QueueLimits::new(4, 9).with_lane(Lane::Ordinary, lane(4, 2)).with_lane(Lane::Expensive, lane(1, 1));
    let mut queue = FairQueue::new(limits);
    let (one, other) = (Claim::new(Lane::Ordinary, party(1)), Claim::new(Lane::Ordinary, party(2)));
    let search = |number| Claim::new(Lane::Expensive, party(number));
    push_all(&mut queue, [(one, "one 1"), (one, "one 2"), (one, "one 3"), (other, "other 1")]);
    push_all(&mut queue, [(search(3), "search 1"), (search(4), "search 2")]);
    let mut take = || queue.take(&mut Vec::new()).map(|(_, job)| job.0);
    assert_eq!([take(), take(), take()], [Some("one 1"), Some("other 1"), Some("search 1")]);
    assert_eq!([take(), take()], [Some("one 2"), None], "one party may run two, and one search runs");
    queue.finish(&search(3));
    assert!(queue.may_run(&search(4)) && queue.has_runnable());
    assert_eq!(queue.take(&mut Vec::new()).map(|(_, job)| job.0), Some("search 2"));
    assert!(!queue.has_runnable() && !queue.may_run(&one));
    queue.finish(&one);
    assert_eq!(queue.take(&mut Vec::new()).map(|(_, job)| job.0), Some("one 3"));
}

/// Returns limits for eight threads, as the database's pool has.
fn limits_of_eight() -> QueueLimits {
    let lane = |running, running_per_party| LaneLimits { running, running_per_party, waiting: 64 };
    QueueLimits::new(8, 64).with_lane(Lane::Ordinary, lane(8, 6)).with_lane(Lane::Expensive, lane(2, 1))
}

#[test]
fn expensive_work_runs_beside_ordinary_work_of_its_party() {
    let mut queue = FairQueue::new(limits_of_eight());
    let (ordinary, search) = (Claim::new(Lane::Ordinary, party(1)), Claim::new(Lane::Expensive, party(1)));
    push_all(&mut queue, [(ordinary, "read"), (search, "search 1"), (search, "search 2")]);
    let mut take = || queue.take(&mut Vec::new()).map(|(_, job)| job.0);
    assert_eq!([take(), take(), take()], [Some("read"), Some("search 1"), None]);
    queue.finish(&search);
    assert!(queue.may_run(&search));
    // A party's expensive work also counts towards its ordinary limit, which leaves a quarter of the threads
    // to others.
    push_all(&mut queue, ["2", "3", "4", "5", "6"].map(|name| (ordinary, name)));
    while queue.take(&mut Vec::new()).is_some() {}
    assert_eq!((queue.running(), queue.waiting()), (6, 1));
}

#[test]
fn expensive_work_is_served_despite_constant_ordinary_work() {
    let mut queue = FairQueue::new(limits_of_eight());
    let reads = [1, 2].map(|number| Claim::new(Lane::Ordinary, party(number)));
    // Two parties keep all threads busy and always have more work waiting.
    push_all(&mut queue, (0..16).map(|number| (reads[number % 2], "read")));
    let mut running: Vec<Claim> =
        std::iter::from_fn(|| queue.take(&mut Vec::new())).map(|(claim, _)| claim).collect();
    assert_eq!(running.len(), 8);
    push_all(&mut queue, [(Claim::new(Lane::Expensive, party(1)), "search")]);
    let served = (0..8).find(|_| {
        let done = running.remove(0);
        queue.finish(&done);
        push_all(&mut queue, [(done, "read")]);
        let (claim, job) = queue.take(&mut Vec::new()).expect("reads wait");
        running.push(claim);
        job == Job("search")
    });
    assert!(served.is_some(), "the search waits for ever");
}

#[test]
fn abandoned_work_makes_room_and_is_not_served() {
    let mut queue = busy(QueueLimits::new(1, 2));
    push_all(&mut queue, [(at(1, 1), "1 gone"), (at(1, 1), "2")]);
    assert_eq!(queue.push(at(2, 2), Job("3")), [Job("1 gone")]);
    let mut queue = busy(QueueLimits::new(1, 3));
    push_all(&mut queue, [(at(1, 1), "1 gone"), (at(1, 1), "2")]);
    queue.finish(&at(0, 0));
    let mut discarded = Vec::new();
    assert_eq!(queue.take(&mut discarded).map(|(_, job)| job), Some(Job("2")));
    assert_eq!(discarded, [Job("1 gone")]);
}

#[test]
fn pinned_work_is_not_refused() {
    let mut queue = busy(QueueLimits::new(1, 1));
    push_all(&mut queue, [(at(1, 1), "1 pinned")]);
    assert_eq!(queue.push(at(2, 2), Job("2")), [Job("2")]);
    assert_eq!(queue.push(at(1, 1), Job("3 pinned")), []);
    assert_eq!((queue.waiting(), queue.running()), (2, 1));
    assert_eq!(queue.drain().len(), 2);
    assert_eq!(queue.waiting(), 0);
}

#[test]
fn work_that_does_not_fit_is_skipped() {
    let mut queue = FairQueue::new(QueueLimits::of_waiting(3));
    push_all(&mut queue, [(at(1, 1), "a"), (at(2, 2), "b"), (at(3, 3), "c")]);
    let mut take = |unwanted| queue.take_if(&mut Vec::new(), |job: &Job| job.0 != unwanted);
    assert_eq!(take("a").map(|(_, job)| job.0), Some("b"));
    assert_eq!(take("").map(|(_, job)| job.0), Some("a"));
    assert!(take("c").is_none());
}

#[test]
fn number_of_parties_is_bounded() {
    let mut queue = FairQueue::new(QueueLimits::new(2, 8));
    // One piece of work always runs, so that the queue is never idle.
    let mut running = at(0, 0);
    push_all(&mut queue, [(running, "0")]);
    queue.take(&mut Vec::new()).expect("it waits");
    for number in 1..10_000 {
        let claim = at(number, number);
        push_all(&mut queue, [(claim, "next")]);
        queue.take(&mut Vec::new()).expect("it waits");
        queue.finish(&running);
        running = claim;
        assert!(queue.parties() <= 2 * (2 + 8) + 64 + 2, "{number}: {}", queue.parties());
    }
}
