//! Tokens signed with a shared secret (HS256, RFC 7518 §3.2).

use draftwire_protocol::Timestamp;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, crypto};

use super::token::{ClaimRules, Claims, Parts, TokenError, Verifier};

/// Bytes a secret must have (RFC 7518 §3.2: at least the size of the hash).
pub const SECRET_BYTES_MIN: usize = 32;

/// Verifies, and for tests and `draftwire token` also signs, with one secret.
pub struct Hs256 {
    verify: DecodingKey,
    sign: EncodingKey,
    rules: ClaimRules,
}

impl Hs256 {
    /// Bytes a secret must have.
    pub const SECRET_BYTES_MIN: usize = SECRET_BYTES_MIN;

    /// Takes the secret; a short one is refused with the sentence that says what to do.
    pub fn new(secret: &[u8], rules: ClaimRules) -> Result<Self, String> {
        if secret.len() < SECRET_BYTES_MIN {
            return Err(format!(
                "the JWT secret has {} bytes, at least {SECRET_BYTES_MIN} are needed: make one \
                 with `openssl rand -hex 32`, and give the same to the backend that signs tokens",
                secret.len()
            ));
        }
        Ok(Self {
            verify: DecodingKey::from_secret(secret),
            sign: EncodingKey::from_secret(secret),
            rules,
        })
    }

    /// A token with these claims (a JSON object as text).
    pub fn sign(&self, claims: &str) -> Result<String, String> {
        use base64::Engine;
        use base64::engine::general_purpose::URL_SAFE_NO_PAD;
        let header = URL_SAFE_NO_PAD.encode(br#"{"alg":"HS256","typ":"JWT"}"#);
        let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims));
        let signature = crypto::sign(signed.as_bytes(), &self.sign, Algorithm::HS256)
            .map_err(|error| format!("the token can't be signed: {error}"))?;
        Ok(format!("{signed}.{signature}"))
    }
}

impl Verifier for Hs256 {
    fn verify(&self, token: &str, now: Timestamp) -> Result<Claims, TokenError> {
        let parts = Parts::of(token)?;
        if !parts.algorithm_is("HS256") {
            return Err(TokenError::Bad("its algorithm is not the one that is configured (HS256)"));
        }
        let signed = parts.signed.as_bytes();
        match crypto::verify(parts.signature, signed, &self.verify, Algorithm::HS256) {
            Ok(true) => parts.claims(&self.rules, now),
            Ok(false) | Err(_) => Err(TokenError::Bad("its signature does not hold")),
        }
    }
}
