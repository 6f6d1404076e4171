//! Workers: each carries the connections of its share of the users.
//!
//! A worker's state stands behind one mutex. Whoever has something for it (the committer's
//! deliveries, a publisher's frame) puts it into the inbox and, if nobody works just then, works
//! the inbox off itself: a frame then goes from the publisher straight to the socket, without a
//! task switch. If somebody works already, he finds it before he leaves. So frames for one socket
//! join by themselves under load, and each touched socket is written once per turn. The worker's
//! own thread waits for sockets, sweeps heartbeats, and takes what is left over.
//!
//! | file | owns |
//! |---|---|
//! | `handoff` | who works the inbox off |
//! | `job` | what can be asked of a worker |
//! | `state` | turns: jobs and socket events in, writes out |
//! | `pool` | user → connections |
//! | `fanout` | events, published frames, broadcasts in slices |
//! | `connection` | one socket with its codec, outbox and session |
//! | `socket` | the kinds of socket |
//! | `slots` | where connections are kept and named |

mod connection;
mod fanout;
mod handoff;
mod job;
mod pool;
mod slots;
mod socket;
mod state;

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use mio::{Events, Poll, Token, Waker};

use crate::clock;
use crate::progress::ProgressJobs;
use crate::session::Desk;

use handoff::Handoff;
pub use job::{Audience, ConnectionInfo, Job, Newcomer, RecoveryAsk, Which};
pub use socket::Socket;
pub use state::StartRecovery;

/// What `handoff` is built on, so that a test can build it on something else.
mod sync {
    pub(super) use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
}

/// Jobs that a publisher's thread works off before it leaves the rest to the worker's own.
const BORROWED_JOBS_MAX: usize = 256;
const EVENTS_PER_POLL: usize = 1_024;
const WAKER: Token = Token(usize::MAX);

/// One worker; shared by everybody who has something for it.
pub struct Worker {
    handoff: Handoff<Job, state::State>,
    waker: Waker,
    publish_queue_max: usize,
}

impl Worker {
    /// A worker and its ears, before anything runs.
    pub fn new(
        index: u16,
        desk: Arc<Desk>,
        jobs: Arc<ProgressJobs>,
        start_recovery: StartRecovery,
    ) -> io::Result<(Arc<Self>, Ears)> {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), WAKER)?;
        let publish_queue_max = desk.settings.publish_queue_max;
        let registry = poll.registry().try_clone()?;
        let state = state::State::new(index, registry, desk, jobs, start_recovery);
        let worker = Arc::new(Self { handoff: Handoff::new(state), waker, publish_queue_max });
        let events = Events::with_capacity(EVENTS_PER_POLL);
        Ok((worker, Ears { poll, events, timeout: None }))
    }

    /// Starts the worker's own thread.
    pub fn start(self: &Arc<Self>, index: usize, mut ears: Ears) -> io::Result<JoinHandle<()>> {
        let carried = Arc::clone(self);
        thread::Builder::new()
            .name(format!("draftwire-worker-{index}"))
            .spawn(move || while carried.listen(&mut ears) {})
    }

    /// Hands a job over, and works it off at once if nobody works just now.
    pub fn push(&self, job: Job) {
        self.handoff.inbox().push_back(job);
        self.work_off_inbox();
    }

    /// Hands a job over to the worker's own thread: for much work, while the caller has other work.
    pub fn leave(&self, job: Job) {
        self.handoff.inbox().push_back(job);
        self.wake();
    }

    /// The same as [`Worker::push`] for frames from publishers, of which only so many may wait.
    pub fn publish(&self, job: Job) -> Result<(), Job> {
        let mut inbox = self.handoff.inbox();
        if inbox.len() >= self.publish_queue_max {
            return Err(job);
        }
        inbox.push_back(job);
        drop(inbox);
        self.work_off_inbox();
        Ok(())
    }

    fn work_off_inbox(&self) {
        let left = self.handoff.work_off(|state| {
            let left_over = self.turn(state, BORROWED_JOBS_MAX);
            left_over || state.is_stopped() || state.has_overslept()
        });
        if left {
            self.wake();
        }
    }

    /// One turn: jobs, then one write per touched socket. True where work is left over.
    fn turn(&self, state: &mut state::State, jobs_max: usize) -> bool {
        guarded(|| self.work(state, jobs_max)).unwrap_or(true)
    }

    fn work(&self, state: &mut state::State, jobs_max: usize) -> bool {
        let now = clock::now();
        let mut count = 0;
        loop {
            let jobs = self.handoff.take(jobs_max - count);
            if jobs.is_empty() {
                break;
            }
            count += jobs.len();
            for job in jobs {
                state.handle(job, now);
            }
            if count >= jobs_max {
                break;
            }
        }
        state.settle(now);
        count >= jobs_max || state.has_left_over()
    }

    fn wake(&self) {
        if let Err(error) = self.waker.wake() {
            tracing::error!(%error, "a worker could not be woken");
        }
    }

    /// What the worker's own thread does again and again: waits for sockets and jobs, and deals
    /// with them. False where the worker has ended.
    pub fn listen(&self, ears: &mut Ears) -> bool {
        let Ears { poll, events, timeout } = ears;
        if let Err(error) = poll.poll(events, *timeout)
            && error.kind() != io::ErrorKind::Interrupted
        {
            tracing::error!(%error, "a worker can't wait for its sockets");
            thread::sleep(Duration::from_millis(100));
        }
        let mut state = self.handoff.state();
        let now = clock::now();
        for event in events.iter().filter(|event| event.token() != WAKER) {
            guarded(|| state.socket_event(event, now));
        }
        guarded(|| state.go_on(now));
        let left_over = self.turn(&mut state, usize::MAX);
        if state.is_stopped() {
            return false;
        }
        *timeout = if left_over { Some(Duration::ZERO) } else { state.sweep_in(now) };
        state.set_asleep(timeout.is_none());
        drop(state);
        if !self.handoff.inbox().is_empty() {
            *timeout = Some(Duration::ZERO);
        }
        true
    }
}

/// What a worker's own thread waits with.
pub struct Ears {
    poll: Poll,
    events: Events,
    /// How long to wait; `None` without an end.
    timeout: Option<Duration>,
}

impl Ears {
    /// The next [`Worker::listen`] only looks, and does not wait.
    #[cfg(feature = "simulation")]
    pub fn only_look(&mut self) {
        self.timeout = Some(Duration::ZERO);
    }
}

/// A panic over one connection or job must not end the thread that carries all the others, nor
/// the committer's that works off an inbox. It is reported by the panic hook, and here.
fn guarded<T>(work: impl FnOnce() -> T) -> Option<T> {
    let result = catch_unwind(AssertUnwindSafe(work));
    if result.is_err() {
        tracing::error!("a worker has panicked over a job or a connection and goes on");
    }
    result.ok()
}
