//! Calls over plain HTTP: one connection each, the whole answer at once.

use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::client::conn::http1;
use hyper::header::HeaderMap;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

use crate::{token, within};

/// A call that is being put together.
#[must_use = "a call does nothing until it is sent"]
pub struct Call {
    address: SocketAddr,
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: String,
}

impl Call {
    /// A call without a token and body.
    pub fn new(address: SocketAddr, method: &str, target: &str) -> Self {
        let headers = vec![("host".to_owned(), address.to_string())];
        let (method, target) = (method.to_owned(), target.to_owned());
        Self { address, method, target, headers, body: String::new() }
    }

    /// As this user.
    pub fn user(self, user: &str) -> Self {
        self.token(&token::of(user))
    }

    /// As the administrator `backend`.
    pub fn admin(self) -> Self {
        self.token(&token::of_admin("backend"))
    }

    /// With this token.
    pub fn token(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    /// With one more header line.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.retain(|(present, _)| !(present == "host" && name == "host"));
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With a JSON body.
    pub fn json(self, body: &Value) -> Self {
        self.body(&body.to_string())
    }

    /// With a body that is said to be JSON.
    pub fn body(mut self, body: &str) -> Self {
        body.clone_into(&mut self.body);
        self.header("content-type", "application/json")
    }

    /// Sends it.
    ///
    /// # Panics
    ///
    /// Where there is no answer.
    pub async fn send(self) -> Answer {
        let what = format!("the answer to {} {}", self.method, self.target);
        within(&what, self.send_patiently()).await
    }

    /// Sends it and waits for the answer for ever.
    ///
    /// # Panics
    ///
    /// Where the connection breaks.
    pub async fn send_patiently(self) -> Answer {
        let stream = TcpStream::connect(self.address).await.expect("the server listens");
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.expect("HTTP begins");
        let carrying = tokio::spawn(connection);
        let mut request = Request::builder().method(&*self.method).uri(&self.target);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let request = request.body(Full::new(Bytes::from(self.body))).expect("a request");
        let response = sender.send_request(request).await.expect("an answer");
        let (parts, body) = response.into_parts();
        let status = parts.status.as_u16();
        // Behind 101 comes no body of HTTP.
        let bytes = if status == 101 {
            Bytes::new()
        } else {
            body.collect().await.expect("the answer's body").to_bytes()
        };
        carrying.abort();
        let text = String::from_utf8(bytes.to_vec()).expect("text");
        Answer { status, headers: parts.headers, text }
    }
}

/// The answer to a call.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// All headers.
    pub headers: HeaderMap,
    /// The body.
    pub text: String,
}

impl Answer {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The body as JSON.
    ///
    /// # Panics
    ///
    /// Where it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }

    /// The body of a success.
    ///
    /// # Panics
    ///
    /// Where it is another status.
    pub fn ok(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        self.json()
    }

    /// Checks that it is this error as `application/problem+json` with all its fields, and
    /// returns the body.
    ///
    /// # Panics
    ///
    /// Where it is not.
    pub fn problem(&self, status: u16, code: &str) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let body = self.json();
        assert_eq!(body["code"], code, "{self:?}");
        assert_eq!(body["status"], status, "{self:?}");
        for name in ["type", "title", "detail"] {
            let filled = body[name].as_str().is_some_and(|text| !text.is_empty());
            assert!(filled, "{name} is missing in {self:?}");
        }
        body
    }
}
