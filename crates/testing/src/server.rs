//! A server of its own for each test: started on a free port, stopped, started again on the same
//! data.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use draftwire_server::auth::{ClaimRules, Hs256};
use draftwire_server::{Realtime, Settings, http};
use draftwire_store::{Store, StoreError, StoreLimits};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::{Call, Connect, token};

type Open = dyn Fn(bool) -> Result<Arc<dyn Store>, StoreError> + Send + Sync;

#[derive(Clone)]
enum Keeping {
    Nothing,
    Folder(PathBuf, StoreLimits),
    Store(Arc<Open>),
}

/// A server that is being put together.
#[must_use = "nothing runs until it is started"]
#[derive(Clone)]
pub struct TestServerBuilder {
    settings: Settings,
    rules: ClaimRules,
    keeping: Keeping,
    temporary: Option<Arc<TempDir>>,
}

impl TestServerBuilder {
    /// With other settings.
    pub fn settings(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(&mut self.settings);
        if let Keeping::Folder(_, limits) = &mut self.keeping {
            limits.document_bytes_max = self.settings.limits.document_bytes;
            limits.device_answers_kept = self.settings.limits.in_flight;
        }
        self
    }

    /// With other quotas of the embedded store.
    pub fn store_limits(mut self, change: impl FnOnce(&mut StoreLimits)) -> Self {
        if let Keeping::Folder(_, limits) = &mut self.keeping {
            change(limits);
        }
        self
    }

    /// With other rules for claims.
    pub fn claim_rules(mut self, rules: ClaimRules) -> Self {
        self.rules = rules;
        self
    }

    /// Without a store.
    pub fn relay(mut self) -> Self {
        self.keeping = Keeping::Nothing;
        self
    }

    /// In a folder of the caller's.
    pub fn folder(mut self, folder: &Path) -> Self {
        if let Keeping::Folder(path, _) = &mut self.keeping {
            folder.clone_into(path);
        }
        self
    }

    /// With any store.
    pub fn store(
        mut self,
        open: impl Fn(bool) -> Result<Arc<dyn Store>, StoreError> + Send + Sync + 'static,
    ) -> Self {
        self.keeping = Keeping::Store(Arc::new(open));
        self
    }

    /// Starts it on a free port.
    ///
    /// # Panics
    ///
    /// Where it can't be started.
    pub async fn start(self) -> TestServer {
        let verifier = Hs256::new(token::SECRET, self.rules.clone()).expect("a long secret");
        let builder = Realtime::builder(self.settings.clone(), verifier);
        let builder = match &self.keeping {
            Keeping::Nothing => builder,
            Keeping::Folder(folder, limits) => builder.sqlite_with(folder, limits.clone()),
            Keeping::Store(open) => {
                let open = Arc::clone(open);
                builder.store(Box::new(move |check| open(check)))
            }
        };
        let realtime = builder.start().expect("settings that fit together");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (shutdown, asked) = oneshot::channel::<()>();
        let served = tokio::spawn({
            let realtime = realtime.clone();
            async move {
                let asked = async { drop(asked.await) };
                http::serve_alone(listener, &realtime, asked).await
            }
        });
        TestServer { address, realtime, builder: self, running: Some((shutdown, served)) }
    }
}

/// A server that runs until it is shut down or dropped.
pub struct TestServer {
    address: SocketAddr,
    realtime: Realtime,
    builder: TestServerBuilder,
    /// Dropping the first ends the second.
    running: Option<(oneshot::Sender<()>, JoinHandle<bool>)>,
}

impl TestServer {
    /// A server with default settings and an empty store in a folder of its own.
    pub async fn start() -> Self {
        Self::builder().start().await
    }

    /// Begins with default settings and an empty store in a folder of its own. Two workers carry
    /// its connections, however many processors there are.
    ///
    /// # Panics
    ///
    /// Where there is no room for a temporary folder.
    pub fn builder() -> TestServerBuilder {
        let folder = TempDir::new().expect("a temporary folder");
        let keeping = Keeping::Folder(folder.path().join("data"), StoreLimits::default());
        TestServerBuilder {
            settings: Settings { workers: 2, ..Settings::default() },
            rules: ClaimRules::default(),
            keeping,
            temporary: Some(Arc::new(folder)),
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The library's handle to it.
    pub fn realtime(&self) -> &Realtime {
        &self.realtime
    }

    /// The temporary folder in which its data lies, in `data`.
    ///
    /// # Panics
    ///
    /// Never on a server that [`TestServer::builder`] made.
    pub fn folder(&self) -> &Path {
        self.builder.temporary.as_ref().expect("a temporary folder").path()
    }

    /// A good token of a user.
    pub fn token(&self, user: &str) -> String {
        token::of(user)
    }

    /// A device's handshake.
    pub fn connect(&self, user: &str) -> Connect {
        Connect::new(self.address, user)
    }

    /// A handshake on `/ws/sync`.
    pub fn watch(&self, user: &str) -> Connect {
        self.connect(user).path("/ws/sync")
    }

    /// A call.
    pub fn call(&self, method: &str, target: &str) -> Call {
        Call::new(self.address, method, target)
    }

    /// `GET`.
    pub fn get(&self, target: &str) -> Call {
        self.call("GET", target)
    }

    /// `POST`.
    pub fn post(&self, target: &str) -> Call {
        self.call("POST", target)
    }

    /// `PUT`.
    pub fn put(&self, target: &str) -> Call {
        self.call("PUT", target)
    }

    /// `PATCH`.
    pub fn patch(&self, target: &str) -> Call {
        self.call("PATCH", target)
    }

    /// `DELETE`.
    pub fn delete(&self, target: &str) -> Call {
        self.call("DELETE", target)
    }

    /// Asks it to shut down; what is returned completes when it has (true: nothing had to be cut).
    ///
    /// # Panics
    ///
    /// The second time.
    pub fn shut_down(&mut self) -> JoinHandle<bool> {
        let (shutdown, served) = self.running.take().expect("it is shut down once");
        // It may have ended by itself.
        let _ = shutdown.send(());
        served
    }

    /// Shuts down and starts anew, on the same data, on another port.
    ///
    /// # Panics
    ///
    /// Where the shutdown fails.
    pub async fn restart(mut self) -> Self {
        self.shut_down().await.expect("the shutdown does not panic");
        self.start_again().await
    }

    /// Starts a server that was shut down anew, on the same data, on another port.
    pub async fn start_again(self) -> Self {
        self.builder.start().await
    }
}
