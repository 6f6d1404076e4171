//! Which tokens no longer work: a table in memory, filled from the store at start.
//!
//! Asked at every handshake, every HTTP call and every `AUTH`. In relay mode there is no store
//! behind it.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock};

use draftwire_store::Revocation;

use super::token::{Claims, Identity};

/// Revoked tokens, by user.
#[derive(Debug, Default)]
pub struct Revocations {
    users: RwLock<HashMap<String, Revoked>>,
    loaded: AtomicBool,
}

#[derive(Debug, Default)]
struct Revoked {
    /// Seconds since 1970; 0 where nothing was revoked by time.
    issued_before: f64,
    tokens: HashSet<u64>,
}

impl Revocations {
    /// Adds one.
    pub fn add(&self, user: &str, revocation: &Revocation) {
        let mut users = self.users.write().unwrap_or_else(PoisonError::into_inner);
        let revoked = users.entry(user.to_owned()).or_default();
        match revocation {
            Revocation::IssuedBefore(moment) => {
                revoked.issued_before = revoked.issued_before.max(*moment);
            }
            Revocation::Token(jti) => {
                revoked.tokens.insert(hash(jti));
            }
        }
    }

    /// Everything the store keeps has been added.
    pub fn set_loaded(&self) {
        self.loaded.store(true, Ordering::Release);
    }

    /// True after [`Revocations::set_loaded`].
    pub fn are_loaded(&self) -> bool {
        self.loaded.load(Ordering::Acquire)
    }

    /// True where the token of this identity no longer works.
    pub fn cover(&self, identity: &Identity) -> bool {
        let users = self.users.read().unwrap_or_else(PoisonError::into_inner);
        users.get(&*identity.user).is_some_and(|revoked| revoked.covers(identity))
    }
}

impl Revoked {
    /// A token without `iat` (its `issued_at` is NaN) counts as old.
    fn covers(&self, identity: &Identity) -> bool {
        let old = identity.issued_at.is_nan() || identity.issued_at < self.issued_before;
        let by_time = self.issued_before > 0.0 && old;
        by_time || (identity.token_hash != 0 && self.tokens.contains(&identity.token_hash))
    }
}

/// A hash of a `jti` that is never 0. The same within a process: nothing of it is stored.
fn hash(jti: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    jti.hash(&mut hasher);
    hasher.finish().max(1)
}

impl From<Claims> for Identity {
    fn from(claims: Claims) -> Self {
        Self {
            user: claims.user,
            expires_at: claims.expires_at,
            issued_at: claims.issued_at.unwrap_or(f64::NAN),
            token_hash: claims.id.as_deref().map_or(0, hash),
            admin: claims.admin,
        }
    }
}
