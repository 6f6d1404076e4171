//! Who is let in by a handshake, read from the bytes line by line: what the server is compared with.
//!
//! It decides only on what is written plainly (lines that end with CR LF, visible ASCII, no body, a
//! head that is not large) and says that it does not know about the rest, which libraries read in
//! ways of their own.

use base64::Engine;
use base64::alphabet;
use base64::engine::{GeneralPurpose, GeneralPurposeConfig};
use draftwire_protocol::Timestamp;
use draftwire_protocol::limits::INTEGER_MAX;
use draftwire_protocol::names::{is_client_id, is_epoch};
use draftwire_server::http::{PROGRESS_PATH, REALTIME_PATH};

/// A decoder may take a key whose last bits, which stand for nothing, are not zero (RFC 4648 §3.5).
const KEYS: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
);
const HEAD_BYTES_MAX: usize = 4000;
const FIELDS_MAX: usize = 30;

/// What is to become of a client.
pub(crate) enum Verdict {
    LetIn(Guest),
    /// Must not be let in, and why.
    Refused(&'static str),
    /// It can't be told; `names_token` is false where the good token is nowhere.
    Unknown {
        names_token: bool,
    },
}

/// What the answer to a client that is let in depends on.
pub(crate) struct Guest {
    pub(crate) key: String,
    pub(crate) subprotocol: bool,
    /// It came to `/ws/sync`.
    pub(crate) progress: bool,
}

/// Decides; `token` is the only one that holds.
pub(crate) fn decide(data: &[u8], token: &str) -> Verdict {
    let unknown = || {
        let text = String::from_utf8_lossy(data);
        Verdict::Unknown { names_token: text.contains(token) || text.contains('%') }
    };
    match plain(data) {
        Some(request) => match request.judge(token) {
            Ok(Some(guest)) => Verdict::LetIn(guest),
            Ok(None) => unknown(),
            Err(why) => Verdict::Refused(why),
        },
        None => unknown(),
    }
}

struct Request<'a> {
    target: &'a str,
    fields: Vec<(String, &'a str)>,
}

/// The request, if it is written plainly.
fn plain(data: &[u8]) -> Option<Request<'_>> {
    let end = data.windows(4).position(|bytes| bytes == b"\r\n\r\n")?;
    let head = str::from_utf8(&data[..end]).ok().filter(|head| head.len() < HEAD_BYTES_MAX)?;
    let mut lines = head.split("\r\n");
    let target = lines.next()?.strip_prefix("GET ")?.strip_suffix(" HTTP/1.1")?;
    let is_target = |b: u8| b.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/?%".contains(&b);
    if !target.starts_with('/') || !target.bytes().all(is_target) {
        return None;
    }
    let mut fields = Vec::new();
    for line in lines {
        let (name, value) = line.split_once(':')?;
        let is_name = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
        let is_value = |b: u8| b == b' ' || b.is_ascii_graphic();
        if name.is_empty() || !name.bytes().all(is_name) || !value.bytes().all(is_value) {
            return None;
        }
        fields.push((name.to_ascii_lowercase(), value.trim_matches(' ')));
    }
    let has_body = |field: &(String, &str)| {
        ["content-length", "transfer-encoding", "expect"].contains(&&*field.0)
    };
    let is_plain = fields.len() <= FIELDS_MAX && !fields.iter().any(has_body);
    is_plain.then_some(Request { target, fields })
}

impl<'a> Request<'a> {
    fn all(&self, name: &str) -> Vec<&'a str> {
        self.fields.iter().filter(|field| field.0 == name).map(|field| field.1).collect()
    }

    /// The elements of a header's lists.
    fn list(&self, name: &str) -> Vec<&'a str> {
        self.all(name).into_iter().flat_map(|value| value.split(',')).map(str::trim).collect()
    }

    fn names(&self, name: &str, word: &str) -> bool {
        self.list(name).iter().any(|one| one.eq_ignore_ascii_case(word))
    }

    /// `Ok(None)` where it can't be told.
    fn judge(&self, token: &str) -> Result<Option<Guest>, &'static str> {
        let (path, query) = self.target.split_once('?').unwrap_or((self.target, ""));
        let progress = path == PROGRESS_PATH;
        ensure(path == REALTIME_PATH || progress, "another path")?;
        let asks = self.names("upgrade", "websocket") && self.names("connection", "upgrade");
        ensure(asks, "no upgrade is asked for")?;
        ensure(self.all("host").len() == 1, "no host, or several")?;
        ensure(self.all("sec-websocket-version") == ["13"], "not version 13")?;
        let keys = self.all("sec-websocket-key");
        let [key] = keys[..] else { return Err("no key, or several") };
        let decoded = KEYS.decode(key).map_err(|_| "a key that is no base64")?;
        ensure(decoded.len() == 16, "a key of another length")?;
        let offers = self.list("sec-websocket-protocol");
        let subprotocol = offers.contains(&"draftwire.v1");
        let bearers: Vec<_> =
            offers.iter().filter_map(|offer| offer.strip_prefix("draftwire.bearer.")).collect();
        ensure(bearers.len() < 2, "two tokens in one list")?;
        ensure(bearers.is_empty() || subprotocol, "a token without the subprotocol")?;
        self.judge_origin()?;
        let parameters = parameters(query)?;
        let parameter = |name: &str| {
            parameters.iter().find(|parameter| parameter.0 == name).map(|found| &*found.1)
        };
        let authorizations = self.all("authorization");
        ensure(authorizations.len() < 2, "two authorizations")?;
        let bearer = authorizations.first().and_then(|value| {
            let (scheme, rest) = value.split_at_checked(7)?;
            scheme.eq_ignore_ascii_case("bearer ").then(|| rest.trim())
        });
        let offered = bearer.or(bearers.first().copied()).or_else(|| parameter("token"));
        ensure(offered == Some(token), "another token, or none")?;
        ensure(parameter("clientId").is_none_or(is_client_id), "a bad clientId")?;
        ensure(parameter("sync").is_none_or(|sync| sync == "live"), "a bad sync")?;
        judge_position(parameter("epoch"), parameter("seq"), parameter("at"))?;
        Ok(Some(Guest { key: key.to_owned(), subprotocol, progress }))
    }

    /// A page may connect to the host that it came from.
    fn judge_origin(&self) -> Result<(), &'static str> {
        let origins = self.all("origin");
        ensure(origins.len() < 2, "two origins")?;
        let Some(origin) = origins.first() else { return Ok(()) };
        let hosts = self.all("host");
        let host = hosts.first().ok_or("an origin without a host")?;
        let same = [("http://", ":80"), ("https://", ":443")].into_iter().any(|(scheme, port)| {
            let bare = |name: &str| name.strip_suffix(port).unwrap_or(name).to_owned();
            let origin = origin.to_ascii_lowercase();
            let name = origin.strip_prefix(scheme);
            name.is_some_and(|name| bare(name) == bare(&host.to_ascii_lowercase()))
        });
        ensure(same, "another origin")
    }
}

fn ensure(holds: bool, why: &'static str) -> Result<(), &'static str> {
    if holds { Ok(()) } else { Err(why) }
}

/// The parameters of a query, decoded (RFC 3986 §2.1), each once.
fn parameters(query: &str) -> Result<Vec<(String, String)>, &'static str> {
    let mut parameters: Vec<(String, String)> = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let parameter = (decoded(name)?, decoded(value)?);
        ensure(parameters.iter().all(|other| other.0 != parameter.0), "a parameter twice")?;
        parameters.push(parameter);
    }
    Ok(parameters)
}

fn decoded(text: &str) -> Result<String, &'static str> {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let [first, behind @ ..] = rest {
        let hex = |byte: u8| char::from(byte).to_digit(16);
        match (first, behind) {
            (b'%', [high, low, behind @ ..]) if hex(*high).is_some() && hex(*low).is_some() => {
                let value = hex(*high).unwrap_or(0) << 4 | hex(*low).unwrap_or(0);
                bytes.push(value as u8);
                rest = behind;
            }
            _ => {
                bytes.push(*first);
                rest = behind;
            }
        }
    }
    String::from_utf8(bytes).map_err(|_| "a query that is no text")
}

fn judge_position(
    epoch: Option<&str>,
    seq: Option<&str>,
    at: Option<&str>,
) -> Result<(), &'static str> {
    let (epoch, seq) = match (epoch, seq) {
        (None, None) if at.is_none() => return Ok(()),
        (Some(epoch), Some(seq)) => (epoch, seq),
        _ => return Err("half a position"),
    };
    ensure(is_epoch(epoch), "a bad epoch")?;
    ensure(!seq.is_empty() && seq.bytes().all(|byte| byte.is_ascii_digit()), "a bad seq")?;
    let seq: u64 = seq.parse().map_err(|_| "a huge seq")?;
    ensure(seq <= INTEGER_MAX, "a huge seq")?;
    ensure(seq == 0 || at.is_none_or(|at| Timestamp::parse(at).is_some()), "a bad at")
}
