//! The server as a value: one handle, cheap to clone, for everything an application does with it.
//!
//! `builder` puts it together; this file is its face.

mod builder;
#[cfg(feature = "simulation")]
pub mod simulation;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use draftwire_protocol::CloseCode;
use draftwire_store::{Answer, Revocation, Submission};
use tokio::sync::oneshot;

use crate::admission::{Admission, Seat};
use crate::auth::{Identity, Revocations, TokenError, Verifier};
use crate::clock;
use crate::committer::{Committer, Pending, Reply, unavailable};
use crate::message::WebSocketMessage;
use crate::progress::ProgressJobs;
use crate::reads::Reads;
use crate::recovery::Recoveries;
use crate::session::{Desk, Endpoint, Hello};
use crate::settings::Settings;
use crate::stats::{ConnectionStats, Stats};
use crate::worker::{Audience, ConnectionInfo, Job, Newcomer, Socket, Which, Worker};

pub use builder::Builder;

/// The real-time server: who is connected, what is published to them, what they ask.
///
/// A clone costs one reference count. When the last one is dropped, every connection is cut and
/// the threads end; [`Realtime::shutdown`] does the same with a goodbye.
#[derive(Clone)]
pub struct Realtime {
    inner: Arc<Inner>,
}

struct Inner {
    desk: Arc<Desk>,
    workers: Workers,
    store: Option<StoreSide>,
    recoveries: Arc<Recoveries>,
    progress: Arc<ProgressJobs>,
    admission: Arc<Admission>,
    draining: AtomicBool,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// What there is only with a store.
pub(crate) struct StoreSide {
    pub(crate) committer: Arc<Committer>,
    pub(crate) reads: Arc<Reads>,
}

type Workers = Vec<Arc<Worker>>;

/// Too much waits to be sent already: publish again later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Overloaded;

impl std::fmt::Display for Overloaded {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("too many frames wait to be sent")
    }
}

impl std::error::Error for Overloaded {}

/// All of a user's connections live with one worker.
fn worker_of(user: &str, workers: usize) -> usize {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    user.hash(&mut hasher);
    (hasher.finish() % workers.max(1) as u64) as usize
}

impl Realtime {
    /// Begins with settings and the verifier of tokens.
    pub fn builder(settings: Settings, verifier: impl Verifier) -> Builder {
        Builder { settings, verifier: Arc::new(verifier), open: None }
    }

    /// The settings it runs with.
    pub fn settings(&self) -> &Settings {
        &self.inner.desk.settings
    }

    /// Whose token this is, or why it is not accepted.
    pub fn authenticate_connection(&self, token: &str) -> Result<Identity, TokenError> {
        self.inner.desk.gate.admit(token, clock::wall())
    }

    /// Whether the token of an identity that was let in earlier is still good.
    pub(crate) fn still_good(&self, identity: &Identity) -> Result<(), TokenError> {
        self.inner.desk.gate.still_good(identity, clock::wall())
    }

    /// Carries a connection that has passed the WebSocket handshake. `leftover` are bytes that
    /// came behind it.
    pub fn register_connection(
        &self,
        socket: Socket,
        leftover: Vec<u8>,
        hello: Hello,
        seat: Option<Seat>,
    ) {
        self.welcome_connection(socket, leftover, hello, seat, bytes::Bytes::new());
    }

    /// The same for one whose handshake is answered by `greeting`, which leaves together with the
    /// first frames.
    pub(crate) fn welcome_connection(
        &self,
        socket: Socket,
        leftover: Vec<u8>,
        hello: Hello,
        seat: Option<Seat>,
        greeting: bytes::Bytes,
    ) {
        let settings = self.settings();
        let (message_bytes_max, outbox_bytes_max) = match hello.endpoint {
            Endpoint::Realtime | Endpoint::Progress => {
                (settings.limits.frame_bytes, settings.outbox_bytes_max)
            }
            Endpoint::Echo => (ECHO_MESSAGE_BYTES_MAX, 2 * ECHO_MESSAGE_BYTES_MAX),
        };
        let worker = match &hello.identity {
            Some(identity) => self.worker(&identity.user),
            // Clients without a user are spread by their connection's name.
            None => self.worker(&hello.connection_id),
        };
        worker.push(Job::Register(Box::new(Newcomer {
            socket,
            leftover,
            hello,
            seat,
            greeting,
            message_bytes_max,
            outbox_bytes_max,
        })));
    }

    /// Closes one connection of a user (4502). False where it is not there.
    pub async fn unregister_connection(&self, user: &str, connection_id: &str) -> bool {
        let which = Which::Connection(connection_id.to_owned());
        self.disconnect(user, which, CloseCode::Disconnected).await > 0
    }

    /// Sends a message to every device of a user. Returns as soon as it is queued.
    pub fn broadcast(&self, user: &str, message: &WebSocketMessage) -> Result<(), Overloaded> {
        let audience = Audience::User(user.into());
        self.publish_frame(Endpoint::Realtime, &audience, &message.to_frame(), &mut None)
    }

    /// Sends a message to every device of everybody. Returns as soon as it is queued.
    pub fn broadcast_to_all(&self, message: &WebSocketMessage) -> Result<(), Overloaded> {
        let audience = Audience::Everybody;
        self.publish_frame(Endpoint::Realtime, &audience, &message.to_frame(), &mut None)
    }

    /// Sends a message and tells how many connections it went to.
    pub async fn broadcast_counted(
        &self,
        endpoint: Endpoint,
        audience: &Audience,
        message: &WebSocketMessage,
    ) -> Result<usize, Overloaded> {
        self.publish_counted(endpoint, audience, &message.to_frame()).await
    }

    /// The same for a frame that is ready.
    pub(crate) async fn publish_counted(
        &self,
        endpoint: Endpoint,
        audience: &Audience,
        frame: &bytes::Bytes,
    ) -> Result<usize, Overloaded> {
        let mut counts = Some(Vec::new());
        self.publish_frame(endpoint, audience, frame, &mut counts)?;
        let mut reached = 0;
        for count in counts.into_iter().flatten() {
            reached += count.await.unwrap_or(0);
        }
        Ok(reached)
    }

    fn publish_frame(
        &self,
        endpoint: Endpoint,
        audience: &Audience,
        frame: &bytes::Bytes,
        counts: &mut Option<Vec<oneshot::Receiver<usize>>>,
    ) -> Result<(), Overloaded> {
        let workers = match audience {
            Audience::User(user) => std::slice::from_ref(self.worker(user)),
            Audience::Everybody => &self.inner.workers[..],
        };
        for worker in workers {
            let count = counts.as_mut().map(|counts| {
                let (count, counted) = oneshot::channel();
                counts.push(counted);
                count
            });
            let (audience, frame) = (audience.clone(), frame.clone());
            let job = Job::Publish { endpoint, audience, frame, count };
            worker.publish(job).map_err(|_| Overloaded)?;
        }
        Ok(())
    }

    /// The two numbers that applications ask for most.
    pub fn stats(&self) -> ConnectionStats {
        self.inner.desk.stats.connection_stats()
    }

    /// All counters.
    pub fn counters(&self) -> &Stats {
        &self.inner.desk.stats
    }

    /// True where connections can be taken: the store is open, and no shutdown has begun.
    pub fn is_ready(&self) -> bool {
        let store_ready = self.inner.store.as_ref().is_none_or(|side| side.reads.is_ready());
        store_ready && !self.is_draining()
    }

    /// True once the revocations that the store keeps have been read: before that a token can't be
    /// told from a revoked one.
    pub(crate) fn knows_revocations(&self) -> bool {
        self.is_relay() || self.inner.desk.gate.revocations.are_loaded()
    }

    /// True once a shutdown has begun.
    pub fn is_draining(&self) -> bool {
        self.inner.draining.load(Ordering::Acquire)
    }

    /// True without a store.
    pub fn is_relay(&self) -> bool {
        self.inner.store.is_none()
    }

    /// Counts commands of a user that came over HTTP.
    ///
    /// # Errors
    ///
    /// How long to wait, where there were too many.
    pub(crate) fn count_commands(&self, user: &Arc<str>, count: usize) -> Result<(), Duration> {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        self.inner.desk.user_commands.take(Arc::clone(user), count, clock::steady())
    }

    /// Applies commands in order and returns an answer for each. In relay mode nothing does.
    pub async fn submit(&self, submissions: Vec<Submission>) -> Vec<Answer> {
        let numbers: Vec<_> =
            submissions.iter().map(|s| s.number.map(|number| number.mutation_id)).collect();
        let mut answers = Vec::with_capacity(numbers.len());
        let mut pending = Vec::with_capacity(numbers.len());
        for submission in submissions {
            let (reply, answer) = oneshot::channel();
            answers.push(answer);
            pending.push(Pending { submission, reply: Reply::Caller(reply), cancelled: None });
        }
        if let Some(side) = &self.inner.store {
            // Commands that find no room are dropped, and their callers then answered below.
            drop(side.committer.submit(pending));
        }
        let mut received = Vec::with_capacity(numbers.len());
        for (answer, number) in answers.into_iter().zip(numbers) {
            received.push(answer.await.unwrap_or_else(|_| unavailable(number)));
        }
        received
    }

    pub(crate) fn reads(&self) -> Option<&Arc<Reads>> {
        self.inner.store.as_ref().map(|side| &side.reads)
    }

    pub(crate) async fn renew_epoch(&self, user: Arc<str>, lost: String) -> bool {
        let Some(side) = &self.inner.store else { return false };
        let renewed = side.committer.renew_epoch(Arc::clone(&user), lost).await;
        if renewed {
            self.worker(&user).push(Job::EpochRenewed { user: Arc::clone(&user), except: None });
        }
        renewed
    }

    /// Completes at the user's next event, or when the server shuts down.
    pub(crate) fn next_event(&self, user: &Arc<str>) -> oneshot::Receiver<()> {
        let (passed, event) = oneshot::channel();
        self.worker(user).push(Job::AwaitEvent { user: Arc::clone(user), passed });
        event
    }

    /// A user's connections.
    pub async fn connections(&self, user: &str) -> Vec<ConnectionInfo> {
        let (connections, listed) = oneshot::channel();
        self.worker(user).push(Job::List { user: user.into(), connections });
        listed.await.unwrap_or_default()
    }

    /// Closes connections of a user and tells how many there were.
    pub async fn disconnect(&self, user: &str, which: Which, code: CloseCode) -> usize {
        let (count, counted) = oneshot::channel();
        self.worker(user).push(Job::Disconnect { user: user.into(), which, code, count });
        counted.await.unwrap_or(0)
    }

    /// Makes tokens of a user worthless at once, durably where there is a store, and closes their
    /// connections (4501). Returns how many.
    pub async fn revoke(
        &self,
        user: &str,
        revocation: Revocation,
    ) -> Result<usize, draftwire_store::StoreError> {
        if let Some(reads) = self.reads() {
            let (name, kept) = (user.to_owned(), revocation.clone());
            reads.ask(move |store| store.revoke(&name, &kept)).await?;
        }
        self.inner.desk.gate.revocations.add(user, &revocation);
        let table = Revocations::default();
        table.add(user, &revocation);
        let which = Which::Tokens(Box::new(move |identity| table.cover(identity)));
        Ok(self.disconnect(user, which, CloseCode::TokenRevoked).await)
    }

    pub(crate) fn progress(&self) -> &ProgressJobs {
        &self.inner.progress
    }

    pub(crate) fn admission(&self) -> &Arc<Admission> {
        &self.inner.admission
    }

    fn worker(&self, user: &str) -> &Arc<Worker> {
        &self.inner.workers[worker_of(user, self.inner.workers.len())]
    }

    /// From now on handshakes are refused; devices are told to come back, and closed when their
    /// commands are answered.
    pub fn begin_drain(&self) {
        if self.inner.draining.swap(true, Ordering::AcqRel) {
            return;
        }
        let after = self.settings().reconnect_after.as_millis();
        let after_ms = u64::try_from(after).unwrap_or(u64::MAX);
        for worker in &self.inner.workers {
            worker.push(Job::Drain { after_ms });
        }
    }

    /// Ends gracefully: what was taken is answered, every device is told, the store is closed.
    /// After [`Settings::drain`] what is left is cut. False where something had to be cut.
    pub async fn shutdown(&self) -> bool {
        self.begin_drain();
        // Seats and not the workers' count: who was let in a moment ago has not reached a worker
        // yet, and is to be told as well.
        let emptied = async {
            while self.inner.admission.taken() > 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let graceful = tokio::time::timeout(self.settings().drain, emptied).await.is_ok();
        let threads = self.inner.stop();
        // Joining waits for the last commit.
        let joined = tokio::task::spawn_blocking(move || {
            for thread in threads {
                drop(thread.join());
            }
        });
        let joined = tokio::time::timeout(self.settings().drain, joined).await;
        graceful && joined.is_ok()
    }
}

/// Largest message of the conformance listener.
const ECHO_MESSAGE_BYTES_MAX: usize = 32 * 1024 * 1024;

impl Inner {
    fn stop(&self) -> Vec<JoinHandle<()>> {
        if let Some(side) = &self.store {
            side.committer.stop();
        }
        for worker in &self.workers {
            worker.push(Job::Stop);
        }
        self.recoveries.stop();
        std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        drop(self.stop());
    }
}
