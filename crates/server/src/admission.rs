//! How many connections there may be, per user and in all: counted at the door.
//!
//! A [`Seat`] is taken before the handshake is answered and given back when it is dropped.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::settings::Settings;

/// The seats of the house.
pub struct Admission {
    taken: Mutex<Taken>,
    user_max: usize,
    max: usize,
}

#[derive(Default)]
struct Taken {
    all: usize,
    users: HashMap<Arc<str>, usize>,
}

/// One connection's place.
pub struct Seat {
    admission: Arc<Admission>,
    user: Arc<str>,
}

impl Admission {
    /// All seats free.
    pub fn new(settings: &Settings) -> Arc<Self> {
        Arc::new(Self {
            taken: Mutex::default(),
            user_max: settings.user_connections_max,
            max: settings.connections_max,
        })
    }

    /// A seat for the user, or the sentence that says why there is none. The empty user (clients
    /// without a token) is bounded by the house only.
    pub fn enter(self: &Arc<Self>, user: &Arc<str>) -> Result<Seat, String> {
        let mut taken = self.lock();
        if taken.all >= self.max {
            return Err(format!("the server carries {} connections already", self.max));
        }
        let count = taken.users.entry(Arc::clone(user)).or_default();
        if *count >= self.user_max && !user.is_empty() {
            return Err(format!("this user has {} connections already", self.user_max));
        }
        *count += 1;
        taken.all += 1;
        Ok(Seat { admission: Arc::clone(self), user: Arc::clone(user) })
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
        if let Some(count) = taken.users.get_mut(&self.user) {
            *count -= 1;
            if *count == 0 {
                taken.users.remove(&self.user);
            }
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
        let first = admission.enter(&ann).ok();
        let second = admission.enter(&ann).ok();
        assert!(first.is_some() && second.is_some());
        assert!(admission.enter(&ann).is_err(), "two of one user are enough");
        let third = admission.enter(&bob).ok();
        assert!(admission.enter(&bob).is_err(), "the house is full");
        drop(first);
        assert!(admission.enter(&ann).is_ok());
        drop((second, third));
        assert!(admission.lock().users.is_empty(), "no user is remembered for nothing");
    }
}
