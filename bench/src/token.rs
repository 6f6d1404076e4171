//! Tokens for the devices and publishers of the benchmark: HS256 (RFC 7518 §3.2).

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};

/// The secret that every server of a run is given.
pub const SECRET: &str = "a benchmark's secret, longer than thirty-two bytes";
/// The environment variable in which they get it.
pub const SECRET_VARIABLE: &str = "BENCH_SECRET";
/// When the tokens end, in seconds since 1970: in the year 2100.
const EXPIRES_AT: u64 = 4_102_444_800;

/// The user with this number.
pub fn user_name(user: u32) -> String {
    format!("user-{user}")
}

/// A device's token.
pub fn for_user(user: u32) -> String {
    sign(&serde_json::json!({"sub": user_name(user), "exp": EXPIRES_AT}))
}

/// A publisher's token.
pub fn for_admin() -> String {
    sign(&serde_json::json!({"sub": "backend", "role": "admin", "exp": EXPIRES_AT}))
}

fn sign(claims: &serde_json::Value) -> String {
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    encode(&Header::new(Algorithm::HS256), claims, &key).expect("HS256 signs any claims")
}
