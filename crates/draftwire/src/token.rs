//! `draftwire token`: signs a token, for trying things out and for scripts.

use std::process::ExitCode;
use std::time::Duration;

use draftwire_protocol::json::object;
use draftwire_protocol::names::{USER_ID_RULE, is_user_id};
use draftwire_server::auth::{ClaimRules, Hs256};

use crate::flags::TokenFlags;
use crate::secret;

pub(crate) fn run(flags: &TokenFlags) -> Result<ExitCode, String> {
    let signer = secret::from_file(&flags.jwt_secret_file, ClaimRules::default())?;
    println!("{}", sign(&signer, &flags.user, flags.admin, flags.ttl)?);
    Ok(ExitCode::SUCCESS)
}

/// A token for the user that is good from now on for `ttl`.
pub(crate) fn sign(
    signer: &Hs256,
    user: &str,
    admin: bool,
    ttl: Duration,
) -> Result<String, String> {
    if !is_user_id(user) {
        return Err(format!("a user's id is {USER_ID_RULE}"));
    }
    let now = draftwire_server::clock::wall().as_millis() / 1000;
    let now = u64::try_from(now).unwrap_or(0);
    let claims = object(|claims| {
        claims.string("sub", user).integer("iat", now).integer("exp", now + ttl.as_secs());
        if admin {
            claims.string("role", "admin");
        }
    });
    signer.sign(&claims)
}
