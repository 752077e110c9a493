//! A bounded queue that is fair to those who wait in it. It serves the parties alternately, however much work
//! each has waiting. Once it is full, it refuses the newest work of the party with the most waiting.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// The number of parties that the queue remembers in addition to those of a full queue.
const PARTIES_SPARE: usize = 64;

/// A network, account or user whose work is counted together. It is a keyed hash, so that no one can aim at
/// another's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Party(u64);

impl Party {
    #[must_use]
    pub const fn of_hash(hash: u64) -> Self {
        Self(hash)
    }
}

/// The kinds of work, in order of precedence among parties that are due equally.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lane {
    /// Hashing a signed-in user's password, for a step-up or a change of password.
    SignedIn,
    /// A sign-in from an address that the account is known to use.
    KnownAddress,
    /// Everything else.
    Ordinary,
    /// A database read that may take long.
    Expensive,
}

const LANES: usize = 4;

impl Lane {
    /// Returns the lane's name in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SignedIn => "signed_in",
            Self::KnownAddress => "known_address",
            Self::Ordinary => "ordinary",
            Self::Expensive => "expensive",
        }
    }
}

/// The lane and the parties that work counts against. Work with two parties is due when it is due for both.
#[derive(Clone, Copy, Debug)]
pub struct Claim {
    lane: Lane,
    party: Party,
    /// A subdivision of the first party, such as an account that signs in from a network.
    account: Option<Party>,
}

impl Claim {
    /// Creates a claim with one party.
    #[must_use]
    pub const fn new(lane: Lane, party: Party) -> Self {
        Self { lane, party, account: None }
    }

    /// Creates the claim of an account at a network. The account cannot exceed its share by using many
    /// networks, nor the network by using many accounts.
    #[must_use]
    pub const fn of_account(lane: Lane, network: Party, account: Party) -> Self {
        Self { lane, party: network, account: Some(account) }
    }

    #[must_use]
    pub const fn lane(&self) -> Lane {
        self.lane
    }

    fn parties(&self) -> impl Iterator<Item = Party> {
        std::iter::once(self.party).chain(self.account)
    }
}

/// The part of a queue that a lane may use.
#[derive(Clone, Copy, Debug)]
pub struct LaneLimits {
    /// The limit of work that runs at a time, in this lane and the lanes after it.
    pub running: usize,
    /// The limit of one party's work that runs at a time, in this lane and the lanes after it.
    pub running_per_party: usize,
    /// The limit of work that waits, in this lane and the lanes after it. The remaining places are kept for
    /// the lanes before it.
    pub waiting: usize,
}

#[derive(Clone, Copy, Debug)]
pub struct QueueLimits {
    running: usize,
    waiting: usize,
    lanes: [LaneLimits; LANES],
}

impl QueueLimits {
    /// Creates limits on running and waiting work that are the same for all lanes.
    #[must_use]
    pub const fn new(running: usize, waiting: usize) -> Self {
        let lane = LaneLimits { running, running_per_party: running, waiting };
        Self { running, waiting, lanes: [lane; LANES] }
    }

    /// Creates a limit on waiting work alone. The queue's owner limits what runs.
    #[must_use]
    pub const fn of_waiting(waiting: usize) -> Self {
        let lane = LaneLimits { running: usize::MAX, running_per_party: usize::MAX, waiting };
        Self { running: 0, waiting, lanes: [lane; LANES] }
    }

    /// Sets further limits for one lane.
    #[must_use]
    pub const fn with_lane(mut self, lane: Lane, limits: LaneLimits) -> Self {
        self.lanes[lane as usize] = limits;
        self
    }

    /// Returns the limit of running work.
    #[must_use]
    pub const fn running(&self) -> usize {
        self.running
    }

    /// Returns the limit of waiting work.
    #[must_use]
    pub const fn waiting(&self) -> usize {
        self.waiting
    }
}

/// Work that waits in a queue.
pub(crate) trait Queued {
    /// Returns whether anyone still waits for the result.
    fn is_awaited(&self) -> bool;

    /// Returns whether the queue may refuse the work after accepting it.
    fn is_refusable(&self) -> bool {
        true
    }
}

/// A hasher that returns its input unchanged, since a party is already a hash.
#[derive(Default)]
struct IdentityHasher(u64);

impl Hasher for IdentityHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

/// A party's work in the queue.
#[derive(Clone, Copy, Default)]
struct PartyState {
    /// The round in which the party's next work is due (start-time fair queueing). Expensive work has a round
    /// of its own. Otherwise it would never be due while the party has constant work in other lanes.
    due: [u64; 2],
    waiting: usize,
    running: [usize; LANES],
}

impl PartyState {
    fn due(&self, lane: Lane) -> u64 {
        self.due[usize::from(lane == Lane::Expensive)]
    }

    fn set_due(&mut self, lane: Lane, round: u64) {
        self.due[usize::from(lane == Lane::Expensive)] = round;
    }

    /// Returns how much of the party's work runs, in this lane and the lanes after it.
    fn running_from(&self, lane: Lane) -> usize {
        self.running[lane as usize..].iter().sum()
    }

    fn is_in_use(&self) -> bool {
        self.waiting > 0 || self.running_from(Lane::SignedIn) > 0
    }

    fn is_owed_after(&self, round: u64) -> bool {
        self.due.iter().any(|due| *due > round)
    }
}

/// The queue. It takes no lock and starts no thread.
pub(crate) struct FairQueue<W> {
    limits: QueueLimits,
    /// Waiting work in order of arrival.
    waiting: Vec<(Claim, W)>,
    running: usize,
    waiting_by_lane: [usize; LANES],
    running_by_lane: [usize; LANES],
    parties: HashMap<Party, PartyState, BuildHasherDefault<IdentityHasher>>,
    /// The round of the work that was started last.
    round: u64,
}

impl<W: Queued> FairQueue<W> {
    #[must_use]
    pub(crate) fn new(limits: QueueLimits) -> Self {
        Self {
            limits,
            waiting: Vec::new(),
            running: 0,
            waiting_by_lane: [0; LANES],
            running_by_lane: [0; LANES],
            parties: HashMap::default(),
            round: 0,
        }
    }

    /// Returns how much work waits.
    #[must_use]
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Returns how much work runs.
    #[must_use]
    pub(crate) fn running(&self) -> usize {
        self.running
    }

    /// Returns how many parties the queue remembers.
    #[cfg(test)]
    #[must_use]
    pub(crate) fn parties(&self) -> usize {
        self.parties.len()
    }

    /// Adds work. Returns the work that leaves the queue for it: abandoned work, or one piece of work that is
    /// refused, which may be the new one.
    pub(crate) fn push(&mut self, claim: Claim, work: W) -> Vec<W> {
        self.forget_parties();
        self.waiting_by_lane[claim.lane as usize] += 1;
        for party in claim.parties() {
            self.parties.entry(party).or_default().waiting += 1;
        }
        self.waiting.push((claim, work));
        if self.is_over(claim.lane) { self.make_room(claim.lane) } else { Vec::new() }
    }

    /// Takes the work that is due first, or `None` if limits keep all waiting work from running. The work
    /// counts as running until [`FairQueue::finish`]. Abandoned work is moved to `discarded`.
    pub(crate) fn take(&mut self, discarded: &mut Vec<W>) -> Option<(Claim, W)> {
        self.take_if(discarded, |_| true)
    }

    /// Takes the work that is due first among the work that `fits` accepts.
    pub(crate) fn take_if(
        &mut self,
        discarded: &mut Vec<W>,
        fits: impl Fn(&W) -> bool,
    ) -> Option<(Claim, W)> {
        loop {
            let (at, due) = self.next(&fits)?;
            let (claim, work) = self.remove(at);
            if !work.is_awaited() {
                discarded.push(work);
                continue;
            }
            self.round = self.round.max(due);
            self.running += 1;
            self.running_by_lane[claim.lane as usize] += 1;
            for party in claim.parties() {
                let state = self.parties.entry(party).or_default();
                state.set_due(claim.lane, due + 1);
                state.running[claim.lane as usize] += 1;
            }
            return Some((claim, work));
        }
    }

    /// Removes all waiting work.
    pub(crate) fn drain(&mut self) -> Vec<W> {
        (0..self.waiting.len()).rev().map(|at| self.remove(at).1).collect()
    }

    /// Records that work with this claim has ended.
    pub(crate) fn finish(&mut self, claim: &Claim) {
        self.running -= 1;
        self.running_by_lane[claim.lane as usize] -= 1;
        for party in claim.parties() {
            if let Some(state) = self.parties.get_mut(&party) {
                state.running[claim.lane as usize] -= 1;
            }
        }
    }

    /// Returns whether the limits let work with this claim run now.
    #[must_use]
    pub(crate) fn may_run(&self, claim: &Claim) -> bool {
        let limits = self.limits.lanes[claim.lane as usize];
        let in_lanes: usize = self.running_by_lane[claim.lane as usize..].iter().sum();
        let of_party = |party| self.state_of(party).running_from(claim.lane);
        in_lanes < limits.running && claim.parties().all(|party| of_party(party) < limits.running_per_party)
    }

    /// Returns whether the limits let any waiting work run now.
    #[must_use]
    pub(crate) fn has_runnable(&self) -> bool {
        self.waiting.iter().any(|(claim, _)| self.may_run(claim))
    }

    fn state_of(&self, party: Party) -> PartyState {
        self.parties.get(&party).copied().unwrap_or_default()
    }

    /// Finds the index and the round of the work that is due first. Work due in the current round belongs to
    /// parties that have not exceeded their share, and is ordered by lane. Work due in later rounds
    /// alternates among a network's accounts.
    fn next(&self, fits: &impl Fn(&W) -> bool) -> Option<(usize, u64)> {
        let rank = |(at, (claim, _)): (usize, &(Claim, W))| {
            let of_account = claim.account.map_or(0, |account| self.state_of(account).due(claim.lane));
            let due = self.round.max(self.state_of(claim.party).due(claim.lane)).max(of_account);
            let account_due = if due > self.round { of_account } else { 0 };
            (due, account_due, claim.lane, at)
        };
        let runnable = |(_, (claim, work)): &(usize, &(Claim, W))| self.may_run(claim) && fits(work);
        let (due, _, _, at) = self.waiting.iter().enumerate().filter(runnable).map(rank).min()?;
        Some((at, due))
    }

    fn remove(&mut self, at: usize) -> (Claim, W) {
        let (claim, work) = self.waiting.remove(at);
        self.waiting_by_lane[claim.lane as usize] -= 1;
        for party in claim.parties() {
            if let Some(state) = self.parties.get_mut(&party) {
                state.waiting -= 1;
            }
        }
        (claim, work)
    }

    fn is_over(&self, lane: Lane) -> bool {
        let waiting: usize = self.waiting_by_lane[lane as usize..].iter().sum();
        self.running + waiting > self.limits.running + self.limits.lanes[lane as usize].waiting
    }

    /// Removes all abandoned work. If that is not enough, removes the newest work of the party with the most
    /// waiting.
    fn make_room(&mut self, lane: Lane) -> Vec<W> {
        let mut removed = Vec::new();
        for at in (0..self.waiting.len()).rev() {
            if !self.waiting[at].1.is_awaited() {
                removed.push(self.remove(at).1);
            }
        }
        if self.is_over(lane) {
            removed.extend(self.heaviest(lane).map(|at| self.remove(at).1));
        }
        removed
    }

    fn heaviest(&self, lane: Lane) -> Option<usize> {
        let weight = |at: &usize| {
            let (claim, _) = &self.waiting[*at];
            let of_party = self.state_of(claim.party).waiting;
            let of_account = claim.account.map_or(0, |account| self.state_of(account).waiting);
            (of_party.max(of_account), of_account, claim.lane, *at)
        };
        let refusable = |at: &usize| {
            let (claim, work) = &self.waiting[*at];
            claim.lane >= lane && work.is_refusable()
        };
        (0..self.waiting.len()).filter(refusable).max_by_key(weight)
    }

    /// Drops parties that have no work in the queue and are not ahead of their share, once there are many.
    fn forget_parties(&mut self) {
        let most = 2 * (self.limits.running + self.limits.waiting) + PARTIES_SPARE;
        if self.parties.len() < most {
            return;
        }
        let round = self.round;
        self.parties.retain(|_, state| state.is_in_use() || state.is_owed_after(round));
        if self.parties.len() >= most {
            // Every party was served at least once, so the next round begins.
            self.round += 1;
            self.parties.retain(|_, state| state.is_in_use());
        }
    }
}
