//! What a token must say (protocol, *Tokens*), whatever it was signed with.
//!
//! Owns the splitting of a compact JWS, the header's refusals and the claims' rules (RFC 7519,
//! RFC 8725). Signatures are the verifiers' business.

use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use draftwire_protocol::Timestamp;
use draftwire_protocol::json::{Kind, Value};
use draftwire_protocol::limits::{TOKEN_BYTES_MAX, TOKEN_LEEWAY_SECONDS};
use draftwire_protocol::names::is_user_id;

/// Nested arrays and objects in a token's header or claims.
const TOKEN_LEVELS_MAX: usize = 16;
/// The last second of the year 9999: expiries beyond it are shown as this.
const LAST_SECOND: f64 = 253_402_300_799.0;

/// Checks tokens. Implementations hold the keys; they must not look at the header to decide which
/// algorithm counts.
pub trait Verifier: Send + Sync + 'static {
    /// The claims of a token whose signature, times and rules hold at `now`.
    fn verify(&self, token: &str, now: Timestamp) -> Result<Claims, TokenError>;
}

/// Why a token is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenError {
    /// There is none: send one.
    Missing,
    /// It can't be read, its signature does not hold, or a claim is missing or wrong: sign in
    /// again, or mend the backend. The text says which rule, never what stood in the token.
    Bad(&'static str),
    /// Its time is over: fetch a fresh one.
    Expired,
    /// It was revoked: sign in again.
    Revoked,
}

impl fmt::Display for TokenError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => out.write_str(
                "there is no token: fetch one and send it as Authorization: Bearer, or as a browser \
                 in Sec-WebSocket-Protocol",
            ),
            Self::Bad(why) => write!(
                out,
                "the token is not accepted: {why}; fetch another, and mend the backend that signs \
                 them where that is refused too"
            ),
            Self::Expired => out.write_str("the token has expired: fetch a fresh one"),
            Self::Revoked => out.write_str("the token was revoked: sign in again"),
        }
    }
}

impl std::error::Error for TokenError {}

/// What a token says.
#[derive(Debug, Clone, PartialEq)]
pub struct Claims {
    /// `sub`, or `userId` where there is no `sub`.
    pub user: Arc<str>,
    /// `exp`.
    pub expires_at: Timestamp,
    /// `iat`, in seconds since 1970.
    pub issued_at: Option<f64>,
    /// `jti`.
    pub id: Option<String>,
    /// The role claim is or holds `"admin"`.
    pub admin: bool,
}

/// Who a connection belongs to: all that is kept of a token.
#[derive(Debug, Clone, PartialEq)]
pub struct Identity {
    /// The user.
    pub user: Arc<str>,
    /// When the token ends.
    pub expires_at: Timestamp,
    /// When it was issued: for revocations. NaN where the token does not say.
    pub issued_at: f64,
    /// A hash of the token's `jti`, 0 where there is none: for revocations.
    pub token_hash: u64,
    /// May call what is for admins.
    pub admin: bool,
}

impl Identity {
    /// When the token stops working: its end and the leeway.
    pub fn good_until(&self) -> Timestamp {
        let leeway = TOKEN_LEEWAY_SECONDS as i64 * 1000;
        Timestamp::from_millis(self.expires_at.as_millis().saturating_add(leeway))
    }
}

/// Which claims are wanted besides `exp` and the user.
#[derive(Debug, Clone)]
pub struct ClaimRules {
    /// If set, `iss` must be this.
    pub issuer: Option<String>,
    /// If set, `aud` must be or contain this.
    pub audience: Option<String>,
    /// The claim that makes an admin when it is `"admin"` (or, with an `s` behind its name, an
    /// array that contains it).
    pub role_claim: String,
}

impl Default for ClaimRules {
    fn default() -> Self {
        Self { issuer: None, audience: None, role_claim: "role".into() }
    }
}

/// The three parts of a compact JWS.
pub(super) struct Parts<'a> {
    pub(super) signed: &'a str,
    pub(super) signature: &'a str,
    header: String,
    claims: String,
}

impl<'a> Parts<'a> {
    /// Splits and decodes, and refuses what no verifier should have to look at.
    pub(super) fn of(token: &'a str) -> Result<Self, TokenError> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(TokenError::Bad("it is longer than 8 KiB"));
        }
        let malformed = TokenError::Bad("it is not a JWT in compact form");
        let (signed, signature) = token.rsplit_once('.').ok_or(malformed)?;
        let (header, claims) = signed.split_once('.').ok_or(malformed)?;
        if claims.contains('.') || signature.is_empty() {
            return Err(malformed);
        }
        let parts = Self { signed, signature, header: decode(header)?, claims: decode(claims)? };
        let header = parts.header()?;
        if header.get("crit").is_some() || header.get("b64").is_some() {
            return Err(TokenError::Bad("its header asks for an extension"));
        }
        Ok(parts)
    }

    fn header(&self) -> Result<Value<'_>, TokenError> {
        object(&self.header)
    }

    /// The header's `alg`: compared with the one algorithm that is configured, never followed.
    pub(super) fn algorithm_is(&self, name: &str) -> bool {
        let header = self.header().ok();
        let algorithm = header.and_then(|header| header.get("alg")).and_then(Value::as_str);
        algorithm.is_some_and(|algorithm| algorithm == name)
    }

    /// Reads and checks the claims. Call only after the signature has held.
    pub(super) fn claims(&self, rules: &ClaimRules, now: Timestamp) -> Result<Claims, TokenError> {
        let claims = object(&self.claims)?;
        let seconds = now.as_millis() as f64 / 1000.0;
        let leeway = TOKEN_LEEWAY_SECONDS as f64;
        let expires = number(claims, "exp")?.ok_or(TokenError::Bad("exp is missing"))?;
        let not_before = number(claims, "nbf")?;
        let issued_at = number(claims, "iat")?;
        check_issuer(claims, rules)?;
        check_audience(claims, rules)?;
        let user = user(claims)?;
        if expires + leeway <= seconds {
            return Err(TokenError::Expired);
        }
        if not_before.is_some_and(|moment| moment > seconds + leeway) {
            return Err(TokenError::Bad("its time has not come yet (nbf)"));
        }
        Ok(Claims {
            user,
            expires_at: Timestamp::from_millis((expires.min(LAST_SECOND) * 1000.0) as i64),
            issued_at,
            id: id(claims)?,
            admin: is_admin(claims, &rules.role_claim),
        })
    }
}

fn decode(part: &str) -> Result<String, TokenError> {
    let bytes = URL_SAFE_NO_PAD.decode(part).ok();
    bytes
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .ok_or(TokenError::Bad("a part of it is not base64url of UTF-8"))
}

/// A JSON object without repeated members: two readers must not see two users.
fn object(text: &str) -> Result<Value<'_>, TokenError> {
    let value = Value::parse(text, TOKEN_LEVELS_MAX).ok();
    value
        .filter(|value| value.is_object())
        .ok_or(TokenError::Bad("a part of it is not a JSON object without repeated members"))
}

fn number(claims: Value<'_>, name: &'static str) -> Result<Option<f64>, TokenError> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    let number = (value.kind() == Kind::Number).then(|| value.text().parse::<f64>().ok()).flatten();
    match number.filter(|number| number.is_finite()) {
        Some(number) => Ok(Some(number)),
        None => Err(TokenError::Bad("exp, nbf and iat must be numbers")),
    }
}

fn user(claims: Value<'_>) -> Result<Arc<str>, TokenError> {
    let claim = claims.get("sub").or_else(|| claims.get("userId"));
    let user = claim.ok_or(TokenError::Bad("it names no user (sub or userId)"))?.as_str();
    let user = user.filter(|user| is_user_id(user));
    user.map(Arc::from).ok_or(TokenError::Bad(
        "the user (sub) must be a non-empty string of at most 128 bytes without control characters",
    ))
}

fn id(claims: Value<'_>) -> Result<Option<String>, TokenError> {
    let Some(value) = claims.get("jti") else { return Ok(None) };
    let id = value.as_str().ok_or(TokenError::Bad("jti must be a string"))?;
    Ok(Some(id.into_owned()))
}

fn check_issuer(claims: Value<'_>, rules: &ClaimRules) -> Result<(), TokenError> {
    let Some(wanted) = &rules.issuer else { return Ok(()) };
    let issuer = claims.get("iss").and_then(Value::as_str);
    if issuer.is_some_and(|issuer| issuer == wanted.as_str()) {
        return Ok(());
    }
    Err(TokenError::Bad("iss is not the issuer that is expected here"))
}

fn check_audience(claims: Value<'_>, rules: &ClaimRules) -> Result<(), TokenError> {
    let Some(wanted) = &rules.audience else { return Ok(()) };
    let holds = |value: Value<'_>| value.as_str().is_some_and(|text| text == wanted.as_str());
    let audience = claims.get("aud");
    let named = audience.is_some_and(|value| {
        holds(value) || value.elements().is_some_and(|elements| elements.into_iter().any(holds))
    });
    if named { Ok(()) } else { Err(TokenError::Bad("aud does not name this service")) }
}

fn is_admin(claims: Value<'_>, role_claim: &str) -> bool {
    let is_admin = |value: Value<'_>| value.as_str().is_some_and(|role| role == "admin");
    let listed = claims.get(&format!("{role_claim}s")).and_then(Value::elements);
    claims.get(role_claim).is_some_and(is_admin)
        || listed.is_some_and(|roles| roles.into_iter().any(is_admin))
}
