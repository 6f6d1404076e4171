//! The one place that turns a token into an [`Identity`].

use std::sync::Arc;

use draftwire_protocol::Timestamp;

use super::revocations::Revocations;
use super::token::{Identity, TokenError, Verifier};

/// Verifier and revocations together.
#[derive(Clone)]
pub struct Gate {
    verifier: Arc<dyn Verifier>,
    /// Which tokens no longer work.
    pub revocations: Arc<Revocations>,
}

impl Gate {
    /// A gate without revocations.
    pub fn new(verifier: Arc<dyn Verifier>) -> Self {
        Self { verifier, revocations: Arc::default() }
    }

    /// Lets a token in, or says why not. A revoked token that has also expired is expired.
    pub fn admit(&self, token: &str, now: Timestamp) -> Result<Identity, TokenError> {
        let identity = Identity::from(self.verifier.verify(token, now)?);
        if self.revocations.cover(&identity) {
            return Err(TokenError::Revoked);
        }
        Ok(identity)
    }

    /// Looks again at one that was let in earlier: a call that waits may outlive its token.
    pub fn still_good(&self, identity: &Identity, now: Timestamp) -> Result<(), TokenError> {
        if now.as_millis() >= identity.good_until().as_millis() {
            return Err(TokenError::Expired);
        }
        if self.revocations.cover(identity) {
            return Err(TokenError::Revoked);
        }
        Ok(())
    }
}
