//! The store's place in the server: opened in the background, replaced after a failure.
//!
//! A store that can't be opened does not keep the server from starting: everything that needs it
//! answers 503 until it is there. After an I/O error it is dropped, opened anew with a check, and
//! only then used again. Nothing here knows what is in a store.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use draftwire_store::{Store, StoreError};

/// Opens the store. The argument is true after a failure: check what is there first.
pub type OpenStore = Box<dyn Fn(bool) -> Result<Arc<dyn Store>, StoreError> + Send + Sync>;

/// Called with each store that has been opened, before anybody else sees it.
pub type OnOpen = Box<dyn Fn(&dyn Store) -> Result<(), StoreError> + Send + Sync>;

const RETRY_FIRST: Duration = Duration::from_millis(250);
const RETRY_MAX: Duration = Duration::from_secs(5);
/// How often an open store may tidy up beside its work.
const HOUSEKEEPING_EVERY: Duration = Duration::from_millis(200);

/// Holds the current store, if there is one.
pub struct Storage {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    store: Option<Arc<dyn Store>>,
    /// A failure was met: check at the next opening.
    failed: bool,
    closed: bool,
    /// The first attempt is over, well or badly.
    tried: bool,
}

impl Storage {
    /// Starts the thread that opens the store and keeps it open; returns after the first attempt.
    pub fn start(open: OpenStore, on_open: OnOpen) -> (Arc<Self>, JoinHandle<()>) {
        let state = State { store: None, failed: false, closed: false, tried: false };
        let storage = Arc::new(Self { state: Mutex::new(state), changed: Condvar::new() });
        let keeper = Arc::clone(&storage);
        let thread = thread::Builder::new()
            .name("draftwire-storage".into())
            .spawn(move || keeper.keep_open(&open, &on_open))
            .expect("the system has a thread for the store");
        let state = storage.lock();
        drop(storage.changed.wait_while(state, |state| !state.tried));
        (storage, thread)
    }

    /// Holds a store that somebody else has opened, and opens none itself.
    #[cfg(feature = "simulation")]
    pub fn holding(store: Arc<dyn Store>) -> Arc<Self> {
        let state = State { store: Some(store), failed: false, closed: false, tried: true };
        Arc::new(Self { state: Mutex::new(state), changed: Condvar::new() })
    }

    /// Holds another one from now on.
    #[cfg(feature = "simulation")]
    pub fn hold(&self, store: Arc<dyn Store>) {
        self.set_ready(store);
    }

    /// The store, where it is ready.
    pub fn current(&self) -> Option<Arc<dyn Store>> {
        self.lock().store.clone()
    }

    /// The store can't be trusted any more: nobody gets it again until it was opened anew.
    pub fn fail(&self) {
        let mut state = self.lock();
        state.store = None;
        state.failed = true;
        self.changed.notify_all();
    }

    /// Lets the store go for good.
    pub fn close(&self) {
        let mut state = self.lock();
        state.store = None;
        state.closed = true;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep_open(&self, open: &OpenStore, on_open: &OnOpen) {
        let mut pause = RETRY_FIRST;
        loop {
            let check = {
                let open = |state: &mut State| state.store.is_some() && !state.closed;
                let waited = self.changed.wait_timeout_while(self.lock(), HOUSEKEEPING_EVERY, open);
                let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
                if state.closed {
                    return;
                }
                if let Some(store) = state.store.clone() {
                    drop(state);
                    keep_house(&*store);
                    continue;
                }
                state.failed
            };
            match open(check).and_then(|store| on_open(&*store).map(|()| store)) {
                Ok(store) => {
                    pause = RETRY_FIRST;
                    self.set_ready(store);
                }
                Err(error) => {
                    tracing::error!(%error, retry_in = ?pause, "the store is not ready");
                    self.wait_after_failure(pause);
                    pause = (pause * 2).min(RETRY_MAX);
                }
            }
        }
    }

    fn set_ready(&self, store: Arc<dyn Store>) {
        let mut state = self.lock();
        if !state.closed {
            state.store = Some(store);
        }
        state.failed = false;
        state.tried = true;
        self.changed.notify_all();
    }

    fn wait_after_failure(&self, pause: Duration) {
        let mut state = self.lock();
        state.tried = true;
        self.changed.notify_all();
        drop(self.changed.wait_timeout_while(state, pause, |state| !state.closed));
    }
}

fn keep_house(store: &dyn Store) {
    // A panic in a store is the store's; the next commit meets it too, and deals with it.
    match catch_unwind(AssertUnwindSafe(|| store.checkpoint())) {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            tracing::warn!(%error, "the store could not tidy up");
            thread::sleep(RETRY_FIRST);
        }
        Err(_) => tracing::error!("the store panicked while it tidied up"),
    }
}
