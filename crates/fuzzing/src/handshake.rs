//! Handshakes: whatever comes first on a TCP connection to a real server.
//!
//! The same bytes go to the front door of the binary and to the accept loop whose every request takes
//! the router. Both must answer or close, neither may end with 500 or a panic, and both must let in
//! whom `admission` lets in, which reads RFC 6455 §4.2.1 and the protocol line by line.
//! Behind an answer of 101 the first frame is `WELCOME`, whatever the client has sent behind its head.

use std::cell::Cell;
use std::net::SocketAddr;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use draftwire_server::auth::{ClaimRules, Hs256};
use draftwire_server::rate::Rate;
use draftwire_server::{Realtime, Settings, http};
use draftwire_websocket::{Decoder, Item, Role, accept_key};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

use crate::admission::{self, Guest, Verdict};
use crate::tokens::SECRET;

/// The only token that can stand in a seed and hold: `ann`, until the year 9999.
const CLAIMS: &str = r#"{"sub":"ann","exp":253402300799}"#;
/// How long an answer may take: far longer than on the most loaded machine.
const PATIENCE: Duration = Duration::from_secs(20);
/// Bytes of an answer that are read.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// A relay behind both kinds of door. Its tasks run while a body waits for an answer.
struct Doors {
    runtime: Runtime,
    front: SocketAddr,
    router: SocketAddr,
    token: String,
}

static DOORS: LazyLock<Doors> =
    LazyLock::new(|| doors().unwrap_or_else(|why| panic!("the server does not start: {why}")));
/// A thread or a task of the server has panicked, which by itself ends no test.
static PANICKED: AtomicBool = AtomicBool::new(false);

thread_local! {
    /// This thread waits for an answer, and works off the server's tasks.
    static IS_WAITING: Cell<bool> = const { Cell::new(false) };
}

fn doors() -> Result<Doors, String> {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        // Tests of other targets run beside this one, in threads with the names of the targets.
        let thread = std::thread::current();
        let is_other = crate::TARGETS.iter().any(|target| Some(target.0) == thread.name());
        if !is_other || IS_WAITING.get() {
            PANICKED.store(true, Ordering::SeqCst);
        }
        before(info);
    }));
    let text = |error: std::io::Error| error.to_string();
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(text)?;
    let verifier = Hs256::new(SECRET, ClaimRules::default())?;
    let token = verifier.sign(CLAIMS)?;
    let settings = Settings {
        workers: 1,
        user_connections_max: 1_000_000,
        user_handshakes: Rate::new(1_000_000, 1_000_000),
        ..Settings::default()
    };
    let (front, router) = runtime.block_on(async {
        let realtime = Realtime::builder(settings, verifier).start()?;
        let bind = async || TcpListener::bind("127.0.0.1:0").await.map_err(text);
        let (front, router) = (bind().await?, bind().await?);
        let addresses = (front.local_addr().map_err(text)?, router.local_addr().map_err(text)?);
        let never = std::future::pending::<()>;
        let alone = realtime.clone();
        tokio::spawn(async move { http::serve_alone(front, &alone, never()).await });
        let routes = http::router(realtime.clone());
        tokio::spawn(async move { http::serve(router, routes, &realtime, never()).await });
        Ok::<_, String>(addresses)
    })?;
    Ok(Doors { runtime, front, router, token })
}

/// The body. See the module.
pub fn body(data: &[u8]) {
    let doors = &*DOORS;
    let verdict = admission::decide(data, &doors.token);
    let answers = [doors.front, doors.router].map(|address| {
        let visit = async { tokio::time::timeout(PATIENCE, visit(address, data, &verdict)).await };
        IS_WAITING.set(true);
        let visited = doors.runtime.block_on(visit);
        IS_WAITING.set(false);
        match visited {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => panic!("the server can't be reached: {error}"),
            Err(_) => panic!("neither an answer nor a close within {PATIENCE:?}"),
        }
    });
    assert!(!PANICKED.load(Ordering::SeqCst), "the server has panicked");
    let statuses = answers.each_ref().map(|answer| check(answer, &verdict));
    if let [Some(front), Some(router)] = statuses {
        assert_eq!(front, router, "both doors answer the same");
    }
}

/// Sends everything and returns what comes back: up to the first frame where the client is let in
/// (it goes on), otherwise up to the end (the client has said that it sends no more).
async fn visit(address: SocketAddr, data: &[u8], verdict: &Verdict) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(address).await?;
    // Reset at the end, so that no port waits for what might still come.
    stream.set_zero_linger()?;
    let mut answer = Vec::new();
    // A server that has refused early may be gone already: what it said is still read.
    let sent = stream.write_all(data).await;
    let guest = if let Verdict::LetIn(guest) = verdict { Some(guest) } else { None };
    if guest.is_none() && sent.is_ok() {
        drop(stream.shutdown().await);
    }
    while answer.len() < ANSWER_BYTES_MAX && !guest.is_some_and(|guest| is_in(guest, &answer)) {
        match stream.read_buf(&mut answer).await {
            Ok(0) | Err(_) => break,
            Ok(_) => {}
        }
    }
    Ok(answer)
}

/// Head and what is behind it, where the head is whole.
fn split(answer: &[u8]) -> Option<(&str, &[u8])> {
    let at = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n")? + 4;
    let head = str::from_utf8(&answer[..at]).unwrap_or_else(|error| panic!("a head: {error}"));
    Some((head, &answer[at..]))
}

/// True where this is all that a guest waits for; `/ws/sync` says nothing by itself.
fn is_in(guest: &Guest, answer: &[u8]) -> bool {
    split(answer).is_some_and(|(head, behind)| {
        if guest.progress || !head.starts_with("HTTP/1.1 101") {
            return true;
        }
        let mut behind = behind.to_vec();
        matches!(Decoder::new(Role::Client, ANSWER_BYTES_MAX).next(&mut behind), Ok((_, Some(_))))
    })
}

/// Compares an answer with the verdict; returns its status, if any.
fn check(answer: &[u8], verdict: &Verdict) -> Option<u16> {
    let Some((head, behind)) = split(answer) else {
        assert!(answer.is_empty(), "half an answer: {:?}", String::from_utf8_lossy(answer));
        assert!(!matches!(verdict, Verdict::LetIn(_)), "no answer to somebody who may come in");
        return None;
    };
    let status = head.strip_prefix("HTTP/1.1 ").or_else(|| head.strip_prefix("HTTP/1.0 "));
    let status = status.and_then(|rest| rest.get(..3)).and_then(|status| status.parse().ok());
    let status: u16 = status.unwrap_or_else(|| panic!("no status: {head:?}"));
    assert!((101..600).contains(&status) && status != 500, "{head:?}");
    match verdict {
        Verdict::LetIn(guest) => {
            assert_eq!(status, 101, "somebody who may come in is refused: {head:?}");
            welcomed(guest, head, behind);
        }
        Verdict::Refused(why) => assert_ne!(status, 101, "let in: {why}"),
        Verdict::Unknown { names_token } => {
            assert!(status != 101 || *names_token, "let in without a token: {head:?}");
        }
    }
    Some(status)
}

/// Checks the head of a 101 and the first frame behind it.
fn welcomed(guest: &Guest, head: &str, behind: &[u8]) {
    let field = |name: &str| {
        let fields = head.lines().filter_map(|line| line.split_once(": "));
        let mut values = fields.filter(|field| field.0.eq_ignore_ascii_case(name));
        let value = values.next().map(|field| field.1);
        assert!(values.next().is_none(), "{name} twice in {head:?}");
        value
    };
    assert_eq!(field("Sec-WebSocket-Accept"), Some(&*accept_key(&guest.key)), "{head:?}");
    let subprotocol = guest.subprotocol.then_some("draftwire.v1");
    assert_eq!(field("Sec-WebSocket-Protocol"), subprotocol, "{head:?}");
    if guest.progress {
        return;
    }
    let mut behind = behind.to_vec();
    match Decoder::new(Role::Client, ANSWER_BYTES_MAX).next(&mut behind) {
        Ok((_, Some(Item::Text(text)))) => {
            assert!(text.starts_with(r#"{"type":"WELCOME""#), "{text:?} is no WELCOME");
        }
        other => panic!("{other:?} behind the head"),
    }
}
