//! Plain HTTP, as a program beside the devices would ask: `GET` with a bearer token.

use draftwire_client::{Address, stream};
use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use serde_json::Value;

/// The JSON at `path`.
pub(super) async fn get(address: &Address, path: &str, token: &str) -> Result<Value, String> {
    let explain =
        |what: &str, error: &dyn std::fmt::Display| format!("GET {path}: {what}: {error}");
    let stream = stream::open(address).await.map_err(|e| explain("connect", &e))?;
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|e| explain("connect", &e))?;
    tokio::spawn(connection);
    let request = Request::get(format!("{}{path}", address.prefix))
        .header("host", &address.authority)
        .header("authorization", format!("Bearer {token}"))
        .body(Empty::<Bytes>::new())
        .map_err(|e| explain("request", &e))?;
    let response = sender.send_request(request).await.map_err(|e| explain("answer", &e))?;
    let status = response.status();
    let body = response.into_body().collect().await.map_err(|e| explain("body", &e))?.to_bytes();
    if !status.is_success() {
        return Err(format!("GET {path}: {status}: {}", String::from_utf8_lossy(&body)));
    }
    serde_json::from_slice(&body).map_err(|e| explain("JSON", &e))
}
