//! Where the JWT secret comes from: a file, or thrown dice with `--dev`.

use std::fs;
use std::path::Path;

use draftwire_server::auth::{ClaimRules, Hs256};

/// The verifier with the secret of a file: its bytes, less one trailing newline.
pub(crate) fn from_file(path: &Path, rules: ClaimRules) -> Result<Hs256, String> {
    let bytes = fs::read(path).map_err(|error| {
        format!("the JWT secret file {} can't be read: {error}", path.display())
    })?;
    let secret = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
    Hs256::new(secret, rules).map_err(|error| format!("{}: {error}", path.display()))
}

/// A verifier with a secret that nobody knows and that ends with the process.
pub(crate) fn throw_away(rules: ClaimRules) -> Result<Hs256, String> {
    let mut secret = [0; Hs256::SECRET_BYTES_MIN];
    getrandom::fill(&mut secret).map_err(|error| format!("there is no randomness: {error}"))?;
    Hs256::new(&secret, rules)
}

/// What to do where there is no secret.
pub(crate) const MISSING: &str = "there is no JWT secret: give --jwt-secret-file FILE with the \
     secret of the backend that signs your tokens (make one with `openssl rand -hex 32`), or try \
     things out with --dev";
