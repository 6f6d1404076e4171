//! How many connections there may be, per user, per address and in all, and how many handshakes:
//! counted at the door.
//!
//! A [`Seat`] is taken before the handshake is answered and given back when it is dropped.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::Tick;
use crate::rate::Buckets;
use crate::settings::Settings;

/// The seats of the house, and how often one may knock.
pub struct Admission {
    address_handshakes: Buckets<IpAddr>,
    user_handshakes: Buckets<Arc<str>>,
    taken: Mutex<Taken>,
    address_max: usize,
    user_max: usize,
    max: usize,
}

#[derive(Default)]
struct Taken {
    all: usize,
    users: HashMap<Arc<str>, usize>,
    addresses: HashMap<IpAddr, usize>,
}

/// One connection's place.
pub struct Seat {
    admission: Arc<Admission>,
    user: Arc<str>,
    /// Where limits per address are for it.
    address: Option<IpAddr>,
}

impl Admission {
    /// All seats free.
    pub fn new(settings: &Settings) -> Arc<Self> {
        Arc::new(Self {
            address_handshakes: Buckets::new(settings.address_handshakes),
            user_handshakes: Buckets::new(settings.user_handshakes),
            taken: Mutex::default(),
            address_max: match settings.address_connections_max {
                0 => usize::MAX,
                max => max,
            },
            user_max: settings.user_connections_max,
            max: settings.connections_max,
        })
    }

    /// Counts a handshake from an address.
    ///
    /// # Errors
    ///
    /// How long to wait, where there were too many.
    pub fn knock(&self, address: Option<IpAddr>, now: Tick) -> Result<(), Duration> {
        address.map_or(Ok(()), |address| self.address_handshakes.take(address, 1, now))
    }

    /// Counts a handshake of a user whose token is good. Clients without a user are not counted.
    ///
    /// # Errors
    ///
    /// How long to wait, where there were too many.
    pub fn knock_as(&self, user: &Arc<str>, now: Tick) -> Result<(), Duration> {
        if user.is_empty() {
            return Ok(());
        }
        self.user_handshakes.take(Arc::clone(user), 1, now)
    }

    /// A seat for the user, or the sentence that says why there is none. The empty user (clients
    /// without a token) is bounded by the house only.
    pub fn enter(
        self: &Arc<Self>,
        user: &Arc<str>,
        address: Option<IpAddr>,
    ) -> Result<Seat, String> {
        let mut taken = self.lock();
        if let Some(why) = self.refusal(&taken, user, address) {
            return Err(why);
        }
        if let Some(address) = address {
            *taken.addresses.entry(address).or_default() += 1;
        }
        *taken.users.entry(Arc::clone(user)).or_default() += 1;
        taken.all += 1;
        Ok(Seat { admission: Arc::clone(self), user: Arc::clone(user), address })
    }

    /// True where somebody who knocked now would be given a seat. Nothing is counted or taken.
    pub fn has_room(&self, user: &Arc<str>, address: Option<IpAddr>, now: Tick) -> bool {
        address.is_none_or(|address| self.address_handshakes.has_one(&address, now))
            && (user.is_empty() || self.user_handshakes.has_one(user, now))
            && self.refusal(&self.lock(), user, address).is_none()
    }

    /// Why there is no seat, where there is none.
    fn refusal(&self, taken: &Taken, user: &str, address: Option<IpAddr>) -> Option<String> {
        if taken.all >= self.max {
            return Some(format!("the server carries {} connections already", self.max));
        }
        let of_user = taken.users.get(user).copied().unwrap_or(0);
        if of_user >= self.user_max && !user.is_empty() {
            return Some(format!("this user has {} connections already", self.user_max));
        }
        let of_address = address.and_then(|address| taken.addresses.get(&address).copied());
        if of_address.unwrap_or(0) >= self.address_max && address.is_some() {
            return Some(format!("this address has {} connections already", self.address_max));
        }
        None
    }

    /// Seats that are taken, also by connections whose handshake was answered a moment ago.
    pub fn taken(&self) -> usize {
        self.lock().all
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.admission.lock();
        taken.all -= 1;
        let Taken { users, addresses, .. } = &mut *taken;
        give_back(users, &self.user);
        if let Some(address) = &self.address {
            give_back(addresses, address);
        }
    }
}

fn give_back<K: std::hash::Hash + Eq>(counts: &mut HashMap<K, usize>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seats_are_bounded_and_given_back() {
        let settings =
            Settings { user_connections_max: 2, connections_max: 3, ..Settings::default() };
        let admission = Admission::new(&settings);
        let (ann, bob): (Arc<str>, Arc<str>) = ("ann".into(), "bob".into());
        let first = admission.enter(&ann, None).ok();
        let second = admission.enter(&ann, None).ok();
        assert!(first.is_some() && second.is_some());
        assert!(admission.enter(&ann, None).is_err(), "two of one user are enough");
        let third = admission.enter(&bob, None).ok();
        assert!(admission.enter(&bob, None).is_err(), "the house is full");
        drop(first);
        assert!(admission.enter(&ann, None).is_ok());
        drop((second, third));
        assert!(admission.lock().users.is_empty(), "no user is remembered for nothing");
    }

    #[test]
    fn an_address_has_so_many_seats_whoever_sits_there() {
        let settings = Settings { address_connections_max: 2, ..Settings::default() };
        let admission = Admission::new(&settings);
        let (ann, bob): (Arc<str>, Arc<str>) = ("ann".into(), "bob".into());
        let office: Option<IpAddr> = "203.0.113.7".parse().ok();
        let first = admission.enter(&ann, office).ok();
        let _second = admission.enter(&bob, office);
        assert!(admission.enter(&bob, office).is_err_and(|why| why.contains("address")));
        assert!(admission.enter(&bob, None).is_ok(), "elsewhere");
        drop(first);
        let third = admission.enter(&ann, office).ok();
        drop((_second, third));
        assert!(admission.lock().addresses.is_empty(), "no address is remembered for nothing");
    }
}
