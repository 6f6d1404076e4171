//! Every interleaving of the threads that share a worker: loom runs each of them.
//!
//! What is tried is the server's own file, built on loom's mutexes instead of the system's.

use std::collections::VecDeque;
use std::sync::Arc as StdArc;

use bytes::Bytes;
use draftwire_protocol::Timestamp;
use draftwire_server::auth::{Claims, Gate, TokenError, Verifier};
use draftwire_server::clock::{Now, Tick};
use draftwire_server::compression::SharedFrame;
use draftwire_server::outbox::Outbox;
use draftwire_server::rate::{Buckets, Rate};
use draftwire_server::session::{Desk, Hello, Session};
use loom::sync::Arc;
use loom::thread;

mod sync {
    pub(super) use loom::sync::{Mutex, MutexGuard};
    pub(super) use std::sync::{PoisonError, TryLockError};
}

#[path = "../../server/src/worker/handoff.rs"]
mod handoff;

use handoff::Handoff;

/// All with at most three preemptions, which is where races of a few locks are found
/// (Musuvathi and Qadeer, PLDI 2007); without that bound it takes minutes.
fn every_interleaving(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(model);
}

/// What a publisher does: puts a job in and works off what is there.
fn push<J, S>(handoff: &Handoff<J, S>, job: J, handle: impl Fn(&mut S, J)) {
    handoff.inbox().push_back(job);
    let left = handoff.work_off(|state| turn(handoff, state, &handle));
    assert!(!left);
}

fn turn<J, S>(handoff: &Handoff<J, S>, state: &mut S, handle: &impl Fn(&mut S, J)) -> bool {
    loop {
        let jobs: VecDeque<J> = handoff.take(usize::MAX);
        if jobs.is_empty() {
            // Threads are switched where a lock is taken, not where it is let go: this is the moment
            // between the last look into the inbox and letting the state go.
            thread::yield_now();
            return false;
        }
        jobs.into_iter().for_each(|job| handle(state, job));
    }
}

/// Without it a frame would lie in the inbox until somebody else has something for that worker.
#[test]
fn no_job_stays_behind_and_none_is_done_twice_or_out_of_order() {
    every_interleaving(|| {
        let handoff = Arc::new(Handoff::new(Vec::<(u8, u8)>::new()));
        let threads: Vec<_> = (0..2_u8)
            .map(|who| {
                let handoff = Arc::clone(&handoff);
                thread::spawn(move || {
                    for number in 0..2_u8 {
                        push(&handoff, (who, number), Vec::push);
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        assert!(handoff.inbox().is_empty(), "a job stayed behind");
        let done = handoff.state().clone();
        for who in 0..2 {
            let his: Vec<_> = done.iter().filter(|job| job.0 == who).map(|job| job.1).collect();
            assert_eq!(his, [0, 1], "{done:?}");
        }
    });
}

/// What a worker is told about one user with one connection.
enum Job {
    /// An event was committed.
    Event(u64),
    /// What was read for the connection: all events up to this one.
    Recovered(Vec<u64>, u64),
}

/// A worker's state, as far as joining is concerned.
struct Joining {
    session: Session,
    outbox: Outbox,
    fanned: u64,
    /// The event from which on more is to be read.
    read_on: Option<u64>,
}

struct Nobody;

impl Verifier for Nobody {
    fn verify(&self, _: &str, _: Timestamp) -> Result<Claims, TokenError> {
        Err(TokenError::Missing)
    }
}

fn now() -> Now {
    Now { wall: Timestamp::from_millis(0), steady: Tick(0) }
}

fn joining() -> Joining {
    let desk = Desk {
        settings: draftwire_server::Settings::default(),
        gate: Gate::new(StdArc::new(Nobody)),
        committer: None,
        user_commands: Buckets::new(Rate::UNLIMITED),
        stats: StdArc::default(),
    };
    let hello = Hello::of_device("ann", "a", "c", Timestamp::from_millis(1_000_000));
    let session = Session::new(&hello, &desk, now());
    Joining { session, outbox: Outbox::default(), fanned: 0, read_on: None }
}

/// An event's frame is its number.
fn frame(seq: u64) -> Bytes {
    vec![seq as u8].into()
}

impl Joining {
    fn handle(&mut self, job: Job) {
        match job {
            Job::Event(seq) => {
                self.fanned = self.fanned.max(seq);
                let mut shared = SharedFrame::new(frame(seq));
                self.session.event(seq, &mut shared, &mut self.outbox);
            }
            Job::Recovered(events, seq) => {
                let frames = events.into_iter().map(frame).collect();
                self.session.recovered(frames, seq, None, &mut self.outbox, now());
                self.read_on = self.session.recovery_taken(self.fanned, &mut self.outbox);
            }
        }
    }

    fn given(&mut self) -> Vec<u8> {
        let (mut given, mut scratch) = (Vec::new(), Vec::new());
        while let Some(bytes) = self.outbox.next_write(&mut scratch) {
            let count = bytes.len();
            given.extend_from_slice(bytes);
            self.outbox.advance(count);
        }
        given
    }
}

/// The race between reading history and what is committed meanwhile: a device that joins gets each
/// event once, in order, however the threads run.
#[test]
fn who_joins_misses_nothing_and_gets_nothing_twice() {
    every_interleaving(|| {
        let log = Arc::new(sync::Mutex::new(Vec::<u64>::new()));
        let handoff = Arc::new(Handoff::new(joining()));
        let committer = {
            let (log, handoff) = (Arc::clone(&log), Arc::clone(&handoff));
            thread::spawn(move || {
                for seq in 1..=2 {
                    log.lock().unwrap().push(seq);
                    push(&handoff, Job::Event(seq), Joining::handle);
                }
            })
        };
        let reader = {
            let (log, handoff) = (Arc::clone(&log), Arc::clone(&handoff));
            thread::spawn(move || {
                let events = log.lock().unwrap().clone();
                let seq = events.len() as u64;
                push(&handoff, Job::Recovered(events, seq), Joining::handle);
            })
        };
        committer.join().unwrap();
        reader.join().unwrap();
        // What is asked for is read, until it is live.
        loop {
            let Some(from) = handoff.state().read_on.take() else { break };
            let events: Vec<u64> = log.lock().unwrap()[from as usize..].to_vec();
            let seq = from + events.len() as u64;
            push(&handoff, Job::Recovered(events, seq), Joining::handle);
        }
        assert_eq!(handoff.state().given(), [1, 2]);
        assert!(!handoff.state().session.is_catching_up(), "it is live in the end");
    });
}
