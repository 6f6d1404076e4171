//! Who may connect: tokens, revocations, origins.
//!
//! Owns verifying; never keeps a token, and no error of it holds any part of one. Which keys and
//! algorithms count is fixed by the [`Verifier`] that the server was built with.

mod gate;
mod hs256;
mod origin;
mod revocations;
mod token;

pub use gate::Gate;
pub use hs256::Hs256;
pub use origin::OriginPolicy;
pub use revocations::Revocations;
pub use token::{ClaimRules, Claims, Identity, TokenError, Verifier};
