//! A bounded queue that is fair to those who wait in it. Parties are served alternately, however much of theirs waits. Past
//! the limit the newest work of the party with the most is refused.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// Parties that are remembered beside those of a full queue.
const PARTIES_SPARE: usize = 64;

/// One whose work is counted together: a network, an account or a user, by a keyed hash that nobody can aim at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Party(u64);

impl Party {
    /// The party of this hash.
    #[must_use]
    pub const fn of_hash(hash: u64) -> Self {
        Self(hash)
    }
}

/// Kinds of work, in the order of precedence among those who are entitled alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lane {
    /// A signed-in user's password: a step-up, a change of password.
    SignedIn,
    /// A sign-in from an address that the account is known at.
    KnownAddress,
    /// Everything else.
    Ordinary,
    /// A read that may take long.
    Expensive,
}

const LANES: usize = 4;

impl Lane {
    /// The name in metrics.
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

/// The lane and the parties that work counts against. With two parties the work is due when it is due for both.
#[derive(Clone, Copy, Debug)]
pub struct Claim {
    lane: Lane,
    party: Party,
    /// A part of the first party, such as an account that signs in from a network.
    account: Option<Party>,
}

impl Claim {
    /// A claim of one party.
    #[must_use]
    pub const fn new(lane: Lane, party: Party) -> Self {
        Self { lane, party, account: None }
    }

    /// The claim of an account at a network: neither gets more than its share by way of the other.
    #[must_use]
    pub const fn of_account(lane: Lane, network: Party, account: Party) -> Self {
        Self { lane, party: network, account: Some(account) }
    }

    /// The lane.
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
    /// Work of this lane and of those after it that may run at a time.
    pub running: usize,
    /// Work of one party that may run at a time, of this lane and of those after it.
    pub running_per_party: usize,
    /// Work of this lane and of those after it that may wait. The rest is kept for the lanes before it.
    pub waiting: usize,
}

/// The limits of a queue.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    running: usize,
    waiting: usize,
    lanes: [LaneLimits; LANES],
}

impl Limits {
    /// So much may run and so much may wait, whichever lane it is of.
    #[must_use]
    pub const fn new(running: usize, waiting: usize) -> Self {
        let lane = LaneLimits { running, running_per_party: running, waiting };
        Self { running, waiting, lanes: [lane; LANES] }
    }

    /// So much may wait; the queue's owner bounds what runs.
    #[must_use]
    pub const fn of_waiting(waiting: usize) -> Self {
        let lane = LaneLimits { running: usize::MAX, running_per_party: usize::MAX, waiting };
        Self { running: 0, waiting, lanes: [lane; LANES] }
    }

    /// Limits a lane further.
    #[must_use]
    pub const fn with_lane(mut self, lane: Lane, limits: LaneLimits) -> Self {
        self.lanes[lane as usize] = limits;
        self
    }

    /// Returns how much may run.
    #[must_use]
    pub const fn running(&self) -> usize {
        self.running
    }

    /// Returns how much may wait.
    #[must_use]
    pub const fn waiting(&self) -> usize {
        self.waiting
    }
}

/// Work that waits.
pub trait Queued {
    /// Returns whether somebody still waits for its result.
    fn is_wanted(&self) -> bool;

    /// Returns whether it may be refused once it is in the queue.
    fn is_refusable(&self) -> bool {
        true
    }
}

/// A party's hash is one already.
#[derive(Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
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

/// The state of a party.
#[derive(Clone, Copy, Default)]
struct PartyState {
    /// The round in which its next work is due (start-time fair queueing), apart for its expensive work: that would never
    /// be due beside constant work of other lanes.
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

    /// Returns how much of its work runs, of this lane and of those after it.
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

/// The queue. It holds no lock and starts no thread.
pub struct FairQueue<W> {
    limits: Limits,
    /// In the order of arrival.
    waiting: Vec<(Claim, W)>,
    running: usize,
    waiting_by_lane: [usize; LANES],
    running_by_lane: [usize; LANES],
    parties: HashMap<Party, PartyState, BuildHasherDefault<AsItIs>>,
    /// The round of the work that was started last.
    round: u64,
}

impl<W: Queued> FairQueue<W> {
    /// An empty queue.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
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

    /// Returns how much waits.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Returns how much runs.
    #[must_use]
    pub fn running(&self) -> usize {
        self.running
    }

    /// Returns how many parties are remembered.
    #[must_use]
    pub fn parties(&self) -> usize {
        self.parties.len()
    }

    /// Adds work. Returns what leaves the queue for it: work that nobody waits for, or one that is refused, which may be
    /// the new one.
    pub fn push(&mut self, claim: Claim, work: W) -> Vec<W> {
        self.forget_parties();
        self.waiting_by_lane[claim.lane as usize] += 1;
        for party in claim.parties() {
            self.parties.entry(party).or_default().waiting += 1;
        }
        self.waiting.push((claim, work));
        if self.is_over(claim.lane) { self.make_room(claim.lane) } else { Vec::new() }
    }

    /// Takes the work that is due first, unless all that waits has to wait longer for a limit. It runs until
    /// [`FairQueue::finish`]. What nobody waits for is moved to `discarded`.
    pub fn take(&mut self, discarded: &mut Vec<W>) -> Option<(Claim, W)> {
        self.take_if(discarded, |_| true)
    }

    /// Takes the work that is due first among those that `fits` accepts.
    pub fn take_if(&mut self, discarded: &mut Vec<W>, fits: impl Fn(&W) -> bool) -> Option<(Claim, W)> {
        loop {
            let (at, due) = self.next(&fits)?;
            let (claim, work) = self.remove(at);
            if !work.is_wanted() {
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

    /// Removes all that waits.
    pub fn drain(&mut self) -> Vec<W> {
        (0..self.waiting.len()).rev().map(|at| self.remove(at).1).collect()
    }

    /// Notes that work of this claim has ended.
    pub fn finish(&mut self, claim: &Claim) {
        self.running -= 1;
        self.running_by_lane[claim.lane as usize] -= 1;
        for party in claim.parties() {
            if let Some(state) = self.parties.get_mut(&party) {
                state.running[claim.lane as usize] -= 1;
            }
        }
    }

    /// Returns whether work of this claim would not have to wait for a limit.
    #[must_use]
    pub fn may_run(&self, claim: &Claim) -> bool {
        let limits = self.limits.lanes[claim.lane as usize];
        let in_lanes: usize = self.running_by_lane[claim.lane as usize..].iter().sum();
        let of_party = |party| self.state_of(party).running_from(claim.lane);
        in_lanes < limits.running && claim.parties().all(|party| of_party(party) < limits.running_per_party)
    }

    /// Returns whether anything that waits may run.
    #[must_use]
    pub fn has_runnable(&self) -> bool {
        self.waiting.iter().any(|(claim, _)| self.may_run(claim))
    }

    fn state_of(&self, party: Party) -> PartyState {
        self.parties.get(&party).copied().unwrap_or_default()
    }

    /// Finds the work that is due first, and its round. Work of the current round is of those who have had no more than
    /// their share: lanes have precedence there. Beyond it a network's accounts alternate.
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

    /// Removes what nobody waits for, and otherwise the newest work of whoever has the most waiting.
    fn make_room(&mut self, lane: Lane) -> Vec<W> {
        let mut removed = Vec::new();
        for at in (0..self.waiting.len()).rev() {
            if !self.waiting[at].1.is_wanted() {
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

    /// Drops parties that have nothing in the queue and are owed nothing, once there are many.
    fn forget_parties(&mut self) {
        let most = 2 * (self.limits.running + self.limits.waiting) + PARTIES_SPARE;
        if self.parties.len() < most {
            return;
        }
        let round = self.round;
        self.parties.retain(|_, state| state.is_in_use() || state.is_owed_after(round));
        if self.parties.len() >= most {
            // Everybody was served once: the next round begins.
            self.round += 1;
            self.parties.retain(|_, state| state.is_in_use());
        }
    }
}
