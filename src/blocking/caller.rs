//! Names the caller whose work is done, so that the pools can share their threads fairly: the user once the guard knows
//! them, before that the network, and a party of its own for what the server does by itself.

use std::cell::Cell;
use std::hash::{BuildHasher, Hash, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::LazyLock;

use uuid::Uuid;

use super::fair_queue::{Claim, Lane, Party};

/// The key of the parties' hashes: nobody can choose a name that collides with another's.
static KEY: LazyLock<RandomState> = LazyLock::new(RandomState::new);

/// Bits of an IPv6 address that one subscriber does not choose: providers hand out prefixes of up to /48. Those who share
/// one also share its place in a queue, where their accounts alternate.
pub const IPV6_PREFIX: u32 = 48;

tokio::task_local! {
    static CALLER: Cell<Caller>;
}

/// A caller, as far as they are known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Caller {
    network: Option<IpAddr>,
    user_id: Option<Uuid>,
}

/// The parties of different kinds never collide by their values.
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

/// Returns the network that is counted as one: an IPv4 address, or the first bits of an IPv6 address.
#[must_use]
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << (u128::BITS - IPV6_PREFIX))).into()
        }
        address => address,
    }
}

impl Caller {
    /// A caller at this address whom nobody knows yet.
    #[must_use]
    pub fn at(address: Option<IpAddr>) -> Self {
        Self { network: address.map(network), user_id: None }
    }

    /// Returns the claim of the user, or else of the network.
    #[must_use]
    pub fn claim(self, lane: Lane) -> Claim {
        match self.user_id {
            Some(id) => Claim::new(lane, party(&Kind::User(id))),
            None => Claim::new(lane, self.network_party()),
        }
    }

    /// Returns the claim for hashing a password: a signed-in user's, or else the network's.
    #[must_use]
    pub fn claim_of_password(self) -> Claim {
        match self.user_id {
            Some(id) => self.claim_of_account(Lane::SignedIn, &id),
            None => self.claim(Lane::Ordinary),
        }
    }

    /// Returns the claim of an account at the caller's network. An account has a share in each lane, so that a stranger
    /// who names it takes nothing from its owner.
    #[must_use]
    pub fn claim_of_account(self, lane: Lane, account: &impl Hash) -> Claim {
        Claim::of_account(lane, self.network_party(), party(&(lane.as_str(), account)))
    }

    /// Returns the party of the user, or else of the network, and the party of all users at a user's network.
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

/// Runs `work` in the name of this caller.
pub async fn in_the_name_of<T>(caller: Caller, work: impl Future<Output = T>) -> T {
    CALLER.scope(Cell::new(caller), work).await
}

/// Notes that the request served here is this user's.
pub fn note_user(user_id: Uuid) {
    let _ = CALLER.try_with(|caller| caller.set(Caller { user_id: Some(user_id), ..caller.get() }));
}

/// Returns whose work is done here. Outside a request it is the server's own.
#[must_use]
pub fn current() -> Caller {
    CALLER.try_with(Cell::get).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(address: &str) -> Caller {
        Caller::at(Some(address.parse().expect("an address")))
    }

    #[test]
    fn an_ipv6_network_is_a_site_and_an_ipv4_network_an_address() {
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
    async fn work_is_the_networks_until_the_user_is_known() {
        let (alice, caller) = (Uuid::from_u128(1), at("192.0.2.7"));
        note_user(alice);
        assert_eq!(current(), Caller::default(), "nobody is served here");
        in_the_name_of(caller, async {
            assert_eq!(current(), caller);
            note_user(alice);
            assert_eq!(current().user_id, Some(alice));
        })
        .await;
        assert_eq!(current(), Caller::default());
    }
}
