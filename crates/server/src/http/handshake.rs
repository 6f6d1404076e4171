//! The WebSocket handshake (RFC 6455 §4.2): `GET /ws/realtime`, `GET /ws/sync`, the echo.
//!
//! Decides who comes in, answers 101, and hands the raw socket to a worker. A refusal is an HTTP
//! answer and an error in the log, with the reason and never the token.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, Version, header};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use bytes::Bytes;
use draftwire_websocket::{Agreement, accept_key, is_valid_key};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::address::limited_address;
use super::caller::bearer;
use super::front_door::Prefixed;
use super::position::Query;
use super::{PROGRESS_PATH, Problem, REALTIME_PATH};
use crate::Realtime;
use crate::admission::Seat;
use crate::auth::{Identity, TokenError};
use crate::clock;
use crate::compression;
use crate::session::{Endpoint, Hello};
use crate::worker::Socket;

/// The subprotocol's name.
const SUBPROTOCOL: &str = "draftwire.v1";
/// What stands before a token in `Sec-WebSocket-Protocol`.
const SUBPROTOCOL_BEARER: &str = "draftwire.bearer.";

pub(super) fn realtime(realtime: Realtime) -> Router {
    Router::new()
        .route(REALTIME_PATH, any(|state, request| enter(state, request, Endpoint::Realtime)))
        .with_state(realtime)
}

pub(super) fn progress(realtime: Realtime) -> Router {
    Router::new()
        .route(PROGRESS_PATH, any(|state, request| enter(state, request, Endpoint::Progress)))
        .with_state(realtime)
}

pub(super) fn echo(realtime: Realtime) -> Router {
    let echo = |state, request| enter(state, request, Endpoint::Echo);
    Router::new().fallback(any(echo)).with_state(realtime)
}

/// Somebody who may come in.
pub(super) struct Guest {
    pub(super) hello: Hello,
    pub(super) seat: Option<Seat>,
    pub(super) accept: String,
    pub(super) subprotocol: bool,
    pub(super) compression: Option<Agreement>,
}

impl Guest {
    /// Whose connection it will be; empty for a client without a token.
    fn user(&self) -> Arc<str> {
        let identity = self.hello.identity.as_ref();
        identity.map_or_else(|| "".into(), |identity| Arc::clone(&identity.user))
    }
}

async fn enter(
    State(realtime): State<Realtime>,
    mut request: Request,
    endpoint: Endpoint,
) -> Response {
    let path = request.uri().path().to_owned();
    let address = limited_address(&request, &realtime.settings().trusted_proxies);
    match admit(&realtime, &request, endpoint) {
        Ok(guest) => switch(realtime, guest, hyper::upgrade::on(&mut request)),
        Err(problem) => {
            let problem = count_refused(&realtime, address, problem);
            realtime.counters().rejected_connections.increment();
            tracing::error!(
                path,
                status = problem.status().as_u16(),
                code = problem.code(),
                reason = problem.detail(),
                "connection rejected"
            );
            end_connection_behind(problem.into_response())
        }
    }
}

/// A proxy may take any handshake for a switch of protocols and let through whatever comes next, so
/// nothing behind one that was refused may be read as a request.
fn end_connection_behind(mut response: Response) -> Response {
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

/// Lets a client in, or says why not.
fn admit(realtime: &Realtime, request: &Request, endpoint: Endpoint) -> Result<Guest, Problem> {
    seat(realtime, request, examine(realtime, request, endpoint)?)
}

/// Lets a client in at the front door. Whoever is not let in there comes again by the router, so
/// nothing is counted for that one here, or it would be counted twice.
pub(super) fn admit_at_front_door(realtime: &Realtime, request: &Request) -> Option<Guest> {
    let guest = examine(realtime, request, Endpoint::Realtime).ok()?;
    let address = limited_address(request, &realtime.settings().trusted_proxies);
    let has_room = realtime.admission().has_room(&guest.user(), address, clock::steady());
    has_room.then(|| seat(realtime, request, guest).ok()).flatten()
}

/// Who asks, where everything about the request is right. Nobody has a seat yet.
fn examine(realtime: &Realtime, request: &Request, endpoint: Endpoint) -> Result<Guest, Problem> {
    let headers = request.headers();
    let accept = check_upgrade(request)?;
    let offer = Offer::of(headers)?;
    let subprotocol = offer.subprotocol;
    let compression = compression::agree(realtime.settings().compression, headers);
    if endpoint == Endpoint::Echo {
        let hello = hello(endpoint, None, &Query::of(None)?, compression)?;
        return Ok(Guest { hello, seat: None, accept, subprotocol, compression });
    }
    check_origin(realtime, headers, request.uri())?;
    let query = Query::of(request.uri().query())?;
    let identity = identify(realtime, headers, &offer, &query, endpoint)?;
    let hello = hello(endpoint, identity, &query, compression)?;
    Ok(Guest { hello, seat: None, accept, subprotocol, compression })
}

/// Counts a guest and gives a seat; the echo has neither.
fn seat(realtime: &Realtime, request: &Request, guest: Guest) -> Result<Guest, Problem> {
    if guest.hello.endpoint == Endpoint::Echo {
        return Ok(guest);
    }
    check_ready(realtime)?;
    let user = guest.user();
    let address = limited_address(request, &realtime.settings().trusted_proxies);
    let (admission, now) = (realtime.admission(), clock::steady());
    admission.knock(address, now).map_err(|wait| too_many_handshakes("this address", wait))?;
    admission.knock_as(&user, now).map_err(|wait| too_many_handshakes("this user", wait))?;
    let seat = admission.enter(&user, address).map_err(|detail| {
        Problem::new(StatusCode::TOO_MANY_REQUESTS, "TOO_MANY_CONNECTIONS", detail)
            .after(realtime.settings().retry_after)
    })?;
    // Again: a shutdown that has begun in between may not have counted this seat.
    check_ready(realtime)?;
    Ok(Guest { seat: Some(seat), ..guest })
}

fn too_many_handshakes(whose: &str, wait: Duration) -> Problem {
    let detail = format!("{whose} connects too often; wait, and connect once");
    Problem::new(StatusCode::TOO_MANY_REQUESTS, "TOO_MANY_HANDSHAKES", detail).after(wait)
}

/// One that was refused counts as well, or bad tokens could be tried without an end.
fn count_refused(realtime: &Realtime, address: Option<IpAddr>, problem: Problem) -> Problem {
    if problem.status() == StatusCode::TOO_MANY_REQUESTS {
        return problem;
    }
    let counted = realtime.admission().knock(address, clock::steady());
    counted.err().map_or(problem, |wait| too_many_handshakes("this address", wait))
}

fn check_ready(realtime: &Realtime) -> Result<(), Problem> {
    if realtime.is_ready() {
        return Ok(());
    }
    let detail = if realtime.is_draining() {
        "the server is about to restart"
    } else {
        "the store is not ready"
    };
    Err(Problem::unavailable(detail, realtime.settings().retry_after))
}

/// Checks what RFC 6455 §4.2.1 asks of the request; returns the answer to its key.
fn check_upgrade(request: &Request) -> Result<String, Problem> {
    let headers = request.headers();
    let asks = request.method() == Method::GET
        && request.version() == Version::HTTP_11
        && names(headers, header::UPGRADE, "websocket")
        && names(headers, header::CONNECTION, "upgrade");
    if !asks {
        let detail = "this path speaks WebSocket: connect with a WebSocket client (GET, HTTP/1.1, \
                      Connection: Upgrade, Upgrade: websocket)";
        return Err(Problem::new(StatusCode::BAD_REQUEST, "NOT_AN_UPGRADE", detail));
    }
    if has_body(headers) {
        let detail = "a WebSocket handshake has no body: send neither Content-Length nor \
                      Transfer-Encoding";
        return Err(Problem::new(StatusCode::BAD_REQUEST, "NOT_AN_UPGRADE", detail));
    }
    if single(headers, header::HOST).is_none() {
        return Err(Problem::invalid("send exactly one Host header (RFC 9112 §3.2)"));
    }
    if single(headers, header::SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        let detail = "only WebSocket version 13 (RFC 6455) is spoken here";
        return Err(Problem::new(StatusCode::UPGRADE_REQUIRED, "WEBSOCKET_VERSION", detail));
    }
    let key = single(headers, header::SEC_WEBSOCKET_KEY).filter(|key| is_valid_key(key));
    key.map(accept_key).ok_or_else(|| {
        let detail = "Sec-WebSocket-Key must stand once and be 16 bytes in base64";
        Problem::new(StatusCode::BAD_REQUEST, "BAD_KEY", detail)
    })
}

/// A body would be read as frames here, and as something else by whoever stands in between.
fn has_body(headers: &HeaderMap) -> bool {
    let mut lengths = headers.get_all(header::CONTENT_LENGTH).into_iter();
    headers.contains_key(header::TRANSFER_ENCODING) || lengths.any(|length| length != "0")
}

/// True where a header's list holds `token`, whatever its case.
fn names(headers: &HeaderMap, name: header::HeaderName, token: &str) -> bool {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    let mut tokens = values.flat_map(|value| value.split(','));
    tokens.any(|one| one.trim().eq_ignore_ascii_case(token))
}

/// The value of a header that stands exactly once.
fn single(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    let mut values = headers.get_all(name).into_iter();
    let value = values.next()?.to_str().ok()?.trim();
    values.next().is_none().then_some(value)
}

/// What a client offers in `Sec-WebSocket-Protocol`.
struct Offer<'a> {
    subprotocol: bool,
    bearer: Option<&'a str>,
}

impl<'a> Offer<'a> {
    fn of(headers: &'a HeaderMap) -> Result<Self, Problem> {
        let mut offer = Self { subprotocol: false, bearer: None };
        let values = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).into_iter();
        let values = values.filter_map(|value| value.to_str().ok());
        for one in values.flat_map(|value| value.split(',')).map(str::trim) {
            if one == SUBPROTOCOL {
                offer.subprotocol = true;
            } else if let Some(token) = one.strip_prefix(SUBPROTOCOL_BEARER)
                && offer.bearer.replace(token).is_some()
            {
                return Err(Problem::invalid("Sec-WebSocket-Protocol holds two tokens"));
            }
        }
        if offer.bearer.is_some() && !offer.subprotocol {
            return Err(Problem::invalid(
                "Sec-WebSocket-Protocol must offer draftwire.v1 beside the token",
            ));
        }
        Ok(offer)
    }
}

/// The token is taken from the first place where there is one.
fn identify(
    realtime: &Realtime,
    headers: &HeaderMap,
    offer: &Offer<'_>,
    query: &Query<'_>,
    endpoint: Endpoint,
) -> Result<Option<Identity>, Problem> {
    let token = bearer(headers).or(offer.bearer).or_else(|| query.get("token"));
    match token {
        Some(token) => Ok(Some(realtime.authenticate_connection(token)?)),
        None if endpoint == Endpoint::Progress && realtime.settings().progress_anonymous => {
            Ok(None)
        }
        None => Err(TokenError::Missing.into()),
    }
}

fn hello(
    endpoint: Endpoint,
    identity: Option<Identity>,
    query: &Query<'_>,
    compression: Option<Agreement>,
) -> Result<Hello, Problem> {
    let connection_id: Arc<str> = uuid::Uuid::now_v7().to_string().into();
    let client_id = query.client_id()?;
    Ok(Hello {
        endpoint,
        identity,
        named: client_id.is_some(),
        client_id: client_id.unwrap_or_else(|| Arc::clone(&connection_id)),
        connection_id,
        position: query.position()?,
        live: query.live()?,
        compression: compression.map(|agreed| agreed.window_bits()),
    })
}

/// Where the request was sent to, as the client wrote it.
pub(super) fn host_of<'a>(headers: &'a HeaderMap, uri: &'a Uri) -> Option<&'a str> {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    host.or_else(|| uri.authority().map(|authority| authority.as_str()))
}

fn check_origin(realtime: &Realtime, headers: &HeaderMap, uri: &Uri) -> Result<(), Problem> {
    let mut origins = headers.get_all(header::ORIGIN).into_iter();
    let Some(origin) = origins.next() else { return Ok(()) };
    let origin = origin.to_str().ok().filter(|_| origins.next().is_none());
    let host = host_of(headers, uri);
    if origin.is_some_and(|origin| realtime.settings().origins.allows(origin, host)) {
        return Ok(());
    }
    let detail = "pages of this origin may not connect: start the server with --allow-origin";
    Err(Problem::new(StatusCode::FORBIDDEN, "ORIGIN", detail))
}

/// Answers 101 and, when the connection has switched, hands its socket over.
fn switch(realtime: Realtime, guest: Guest, upgrade: OnUpgrade) -> Response {
    let Guest { hello, seat, accept, subprotocol, compression } = guest;
    tokio::spawn(async move {
        match upgrade.await {
            Ok(upgraded) => match take_socket(upgraded) {
                Ok((socket, leftover)) => {
                    realtime.register_connection(socket, leftover, hello, seat);
                }
                Err(error) => tracing::error!(%error, "a connection could not be taken over"),
            },
            Err(error) => tracing::debug!(%error, "a connection ended before it had switched"),
        }
    });
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    if let Ok(accept) = HeaderValue::from_str(&accept) {
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    }
    if subprotocol {
        let subprotocol = HeaderValue::from_static(SUBPROTOCOL);
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, subprotocol);
    }
    if let Some(Ok(agreed)) = compression.map(|agreed| HeaderValue::try_from(agreed.to_string())) {
        headers.insert(header::SEC_WEBSOCKET_EXTENSIONS, agreed);
    }
    response
}

/// The answer that lets a client in, for a connection that no HTTP library carries.
pub(super) fn switching_protocols(
    accept: &str,
    subprotocol: bool,
    compression: Option<Agreement>,
) -> Bytes {
    let mut head = format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Accept: {accept}\r\n"
    );
    if subprotocol {
        head += "Sec-WebSocket-Protocol: ";
        head += SUBPROTOCOL;
        head += "\r\n";
    }
    if let Some(agreed) = compression {
        head += &format!("Sec-WebSocket-Extensions: {agreed}\r\n");
    }
    head += "\r\n";
    head.into()
}

/// The raw TCP socket where there is one; anything else is bridged.
fn take_socket(upgraded: Upgraded) -> std::io::Result<(Socket, Vec<u8>)> {
    use hyper_util::server::conn::auto::upgrade::downcast;
    // By our own accept loop.
    let upgraded = match upgraded.downcast::<TokioIo<TcpStream>>() {
        Ok(parts) => {
            let socket = Socket::from_tokio(parts.io.into_inner())?;
            return Ok((socket, parts.read_buf.to_vec()));
        }
        Err(upgraded) => upgraded,
    };
    // By that with a front door.
    let upgraded = match upgraded.downcast::<TokioIo<Prefixed>>() {
        Ok(parts) => {
            let (stream, leftover) = parts.io.into_inner().into_parts();
            // What hyper has read comes before what it has not.
            let leftover = [&parts.read_buf[..], &leftover[..]].concat();
            return Ok((Socket::from_tokio(stream)?, leftover));
        }
        Err(upgraded) => upgraded,
    };
    // By that of an application: axum::serve.
    match downcast::<TokioIo<TcpStream>>(upgraded) {
        Ok(parts) => {
            let socket = Socket::from_tokio(parts.io.into_inner())?;
            Ok((socket, parts.read_buf.to_vec()))
        }
        Err(upgraded) => Ok((Socket::bridge(TokioIo::new(upgraded))?, Vec::new())),
    }
}
