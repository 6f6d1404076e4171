//! JWT verification: any text as a token, and any header and claims under a signature that holds.
//!
//! An even first byte means that the rest is the token; an odd one that it is header, line feed,
//! claims, which are then signed. Who is let in is decided a second time with `serde_json`.

use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use draftwire_protocol::Timestamp;
use draftwire_protocol::limits::{TOKEN_BYTES_MAX, USER_ID_BYTES_MAX};
use draftwire_server::auth::{ClaimRules, Claims, Hs256, TokenError, Verifier};
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use serde_json::Value as Json;

use crate::reference::{self, Verdict};

/// The secret of this target and of the handshakes.
pub(crate) const SECRET: &[u8] = b"a secret for fuzzing, which everybody knows";

/// The time at which tokens are looked at, in seconds since 1970.
const NOW_SECONDS: f64 = 1_795_000_000.0;
const LEEWAY_SECONDS: f64 = 10.0;
/// Nested arrays and objects that header and claims may have.
const LEVELS_MAX: usize = 16;

static KEY: LazyLock<EncodingKey> = LazyLock::new(|| EncodingKey::from_secret(SECRET));
static VERIFIER: LazyLock<Hs256> =
    LazyLock::new(|| match Hs256::new(SECRET, ClaimRules::default()) {
        Ok(verifier) => verifier,
        Err(why) => panic!("{why}"),
    });

/// The body. See the module.
pub fn body(data: &[u8]) {
    let Some((how, rest)) = data.split_first() else { return };
    if how & 1 == 0 {
        if let Ok(token) = str::from_utf8(rest) {
            any_token(token);
        }
        return;
    }
    let at = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
    let (header, claims) = (&rest[..at], rest.get(at + 1..).unwrap_or_default());
    let parts = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part));
    let signed = parts.join(".");
    signed_token(&format!("{signed}.{}", sign(&signed)), header, claims);
}

fn sign(signed: &str) -> String {
    crypto::sign(signed.as_bytes(), &KEY, Algorithm::HS256).unwrap_or_default()
}

fn verify(token: &str) -> Result<Claims, TokenError> {
    VERIFIER.verify(token, Timestamp::from_millis(NOW_SECONDS as i64 * 1000))
}

/// Whoever comes in with a text has the one signature that holds on it, in its one spelling.
fn any_token(token: &str) {
    let Ok(claims) = verify(token) else { return };
    let parts: Vec<&str> = token.split('.').collect();
    assert_eq!(parts.len(), 3, "three parts: {token:?}");
    assert_eq!(parts[2], sign(&[parts[0], parts[1]].join(".")), "a forged token: {token:?}");
    let decoded = [parts[0], parts[1]].map(|part| URL_SAFE_NO_PAD.decode(part));
    let [Ok(header), Ok(body)] = decoded else { panic!("no base64url: {token:?}") };
    assert_eq!(decide(&header, &body).flatten().as_deref(), Some(&*claims.user), "{token:?}");
}

fn signed_token(token: &str, header: &[u8], claims: &[u8]) {
    let ours = verify(token);
    if token.len() > TOKEN_BYTES_MAX {
        assert!(ours.is_err(), "a token is at most {TOKEN_BYTES_MAX} bytes");
        return;
    }
    let shown = || (String::from_utf8_lossy(header), String::from_utf8_lossy(claims));
    if let Some(theirs) = decide(header, claims) {
        let user = ours.as_ref().ok().map(|claims| claims.user.to_string());
        assert_eq!(user, theirs, "{:?} for {:?}", ours, shown());
    }
    if let Ok(claims) = ours {
        assert!(!claims.user.is_empty() && claims.user.len() <= USER_ID_BYTES_MAX);
        assert!(claims.expires_at.as_millis() > (NOW_SECONDS - LEEWAY_SECONDS) as i64 * 1000);
    }
}

/// Whom header and claims let in, by the rules of the protocol. `None` where that can't be told.
fn decide(header: &[u8], claims: &[u8]) -> Option<Option<String>> {
    let (Ok(header), Ok(claims)) = (str::from_utf8(header), str::from_utf8(claims)) else {
        return Some(None);
    };
    let header = match object(header)? {
        Some(header) => header,
        None => return Some(None),
    };
    let claims = match object(claims)? {
        Some(claims) => claims,
        None => return Some(None),
    };
    let asks = header.get("crit").is_some() || header.get("b64").is_some();
    if header["alg"] != "HS256" || asks {
        return Some(None);
    }
    let mut times = [None; 3];
    for (time, name) in times.iter_mut().zip(["exp", "nbf", "iat"]) {
        match claims.get(name).map(Json::as_f64) {
            Some(None) => return Some(None),
            Some(number) => *time = number,
            None => {}
        }
    }
    let [expires, not_before, _] = times;
    let near = |time: f64| (time - NOW_SECONDS).abs() < LEEWAY_SECONDS + 2.0;
    if expires.is_some_and(near) || not_before.is_some_and(near) {
        return None;
    }
    let in_time = expires.is_some_and(|time| time > NOW_SECONDS)
        && not_before.is_none_or(|time| time < NOW_SECONDS)
        && claims.get("jti").is_none_or(Json::is_string);
    let user = claims.get("sub").or_else(|| claims.get("userId")).and_then(Json::as_str);
    let user = user.filter(|user| {
        in_time && !user.is_empty() && user.len() <= 128 && !user.chars().any(char::is_control)
    });
    Some(user.map(str::to_owned))
}

/// An object that is not too deep; inside `None` where it is none, outside where nobody can tell.
fn object(text: &str) -> Option<Option<Json>> {
    match reference::read(text) {
        Verdict::Means(json) => {
            Some((json.is_object() && reference::levels(&json) <= LEVELS_MAX).then_some(json))
        }
        Verdict::Refused => Some(None),
        Verdict::Unknown => None,
    }
}
