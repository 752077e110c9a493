//! Identifies the caller that work is done for, so that the pools share their threads fairly. The caller is
//! the user once the guard has identified them, and the network before that. The server's own work has its
//! own party.

use std::cell::Cell;
use std::hash::{BuildHasher, Hash, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::LazyLock;

use uuid::Uuid;

use super::fair_queue::{Claim, Lane, Party};

/// The key of the parties' hashes. It is random, so that no one can choose a name that collides with
/// another's.
static KEY: LazyLock<RandomState> = LazyLock::new(RandomState::new);

/// The number of leading bits of an IPv6 address that a subscriber cannot choose, since providers assign
/// prefixes of up to /48. Subscribers that share a prefix share its place in a queue, where their accounts
/// alternate.
pub const IPV6_PREFIX: u32 = 48;

tokio::task_local! {
    static CALLER: Cell<WorkOwner>;
}

/// The caller of a request, as far as it is identified.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WorkOwner {
    network: Option<IpAddr>,
    user_id: Option<Uuid>,
}

/// The kinds of parties. They are hashed with the value, so that parties of different kinds never collide.
#[derive(Hash)]
enum Kind {
    Server,
    Network(IpAddr),
    User(Uuid),
    UsersAt(Option<IpAddr>),
}

fn party(of: &impl Hash) -> Party {
    Party::of_hash(KEY.hash_one(of))
}

/// Returns the network that an address counts as: the IPv4 address itself, or the prefix of an IPv6 address.
#[must_use]
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << (u128::BITS - IPV6_PREFIX))).into()
        }
        address => address,
    }
}

impl WorkOwner {
    /// Creates the caller at this address, before the user is identified.
    #[must_use]
    pub fn at(address: Option<IpAddr>) -> Self {
        Self { network: address.map(network), user_id: None }
    }

    /// Returns the claim of the user, or of the network if the user is not identified yet.
    #[must_use]
    pub fn claim(self, lane: Lane) -> Claim {
        match self.user_id {
            Some(id) => Claim::new(lane, party(&Kind::User(id))),
            None => Claim::new(lane, self.network_party()),
        }
    }

    /// Returns the claim for hashing a password: the signed-in user's, or the network's.
    #[must_use]
    pub fn claim_of_password(self) -> Claim {
        match self.user_id {
            Some(id) => self.claim_of_account(Lane::SignedIn, &id),
            None => self.claim(Lane::Ordinary),
        }
    }

    /// Returns the claim of an account at the caller's network. An account has a separate share in each lane,
    /// so that a stranger who names the account takes nothing from its owner.
    #[must_use]
    pub fn claim_of_account(self, lane: Lane, account: &impl Hash) -> Claim {
        Claim::of_account(lane, self.network_party(), party(&(lane.as_str(), account)))
    }

    /// Returns the user's party and the party of all users at their network. Returns only the network's party
    /// if the user is not identified yet.
    #[must_use]
    pub fn with_users_of_network(self) -> (Party, Option<Party>) {
        match self.user_id {
            Some(id) => (party(&Kind::User(id)), Some(party(&Kind::UsersAt(self.network)))),
            None => (self.network_party(), None),
        }
    }

    fn network_party(self) -> Party {
        party(&self.network.map_or(Kind::Server, Kind::Network))
    }
}

/// Runs `work` on behalf of this caller.
pub async fn on_behalf_of<T>(caller: WorkOwner, work: impl Future<Output = T>) -> T {
    CALLER.scope(Cell::new(caller), work).await
}

/// Records that the current request comes from this user.
pub fn set_user(user_id: Uuid) {
    let _ = CALLER.try_with(|caller| caller.set(WorkOwner { user_id: Some(user_id), ..caller.get() }));
}

/// Returns the caller of the current work. Outside a request it is the server.
#[must_use]
pub fn current() -> WorkOwner {
    CALLER.try_with(Cell::get).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(address: &str) -> WorkOwner {
        WorkOwner::at(Some(address.parse().expect("an address")))
    }

    #[test]
    fn ipv6_48_bit_network_and_ipv4_address_identify_a_caller() {
        for (one, other, are_one) in [
            ("192.0.2.7", "192.0.2.8", false),
            ("192.0.2.7", "::ffff:192.0.2.7", true),
            ("2001:db8:1:2::3", "2001:db8:1:ffff::4", true),
            ("2001:db8:1:2::3", "2001:db8:2:2::3", false),
        ] {
            assert_eq!(at(one) == at(other), are_one, "{one} {other}");
        }
    }

    #[actix_web::test]
    async fn work_is_attributed_to_the_network_until_the_user_is_known() {
        let (alice, caller) = (Uuid::from_u128(1), at("192.0.2.7"));
        set_user(alice);
        assert_eq!(current(), WorkOwner::default(), "nobody is served here");
        on_behalf_of(caller, async {
            assert_eq!(current(), caller);
            set_user(alice);
            assert_eq!(current().user_id, Some(alice));
        })
        .await;
        assert_eq!(current(), WorkOwner::default());
    }
}
