//! Tokens as an application's backend signs them, and as it should not.
//!
//! Signs with `jsonwebtoken`'s primitives and writes the rest itself, so that every part of a
//! token can be wrong on its own. Never asks the server's own verifier.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use serde_json::{Value, json};

/// The shared secret of every test server.
pub const SECRET: &[u8] = b"a secret for tests only, known to everybody";

/// The header of a good token.
pub const HEADER: &str = r#"{"alg":"HS256","typ":"JWT"}"#;

/// Seconds since 1970.
pub fn seconds_now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

/// The claims of a good token: an hour from now.
pub fn claims(user: &str) -> Value {
    let now = seconds_now() as u64;
    json!({"sub": user, "iat": now, "exp": now + 3600})
}

/// A good token of a user.
pub fn of(user: &str) -> String {
    sign(&claims(user))
}

/// A good token of an administrator.
pub fn of_admin(user: &str) -> String {
    let mut claims = claims(user);
    claims["role"] = "admin".into();
    sign(&claims)
}

/// Signs these claims.
pub fn sign(claims: &Value) -> String {
    sign_parts(HEADER, &claims.to_string(), SECRET)
}

/// Signs header and claims as they stand (they need not be JSON), with any secret. The signature
/// is HS256 whatever the header says.
pub fn sign_parts(header: &str, claims: &str, secret: &[u8]) -> String {
    let (header, claims) = (URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    sign_encoded(&header, &claims, secret)
}

/// Signs two parts that are encoded already, well or badly.
///
/// # Panics
///
/// Where the library can't sign.
pub fn sign_encoded(header: &str, claims: &str, secret: &[u8]) -> String {
    let signed = format!("{header}.{claims}");
    let key = EncodingKey::from_secret(secret);
    let signature = crypto::sign(signed.as_bytes(), &key, Algorithm::HS256);
    format!("{signed}.{}", signature.expect("HMAC can't fail"))
}
