//! An address that stays while servers behind it come and go: a TCP relay that can cut its
//! connections and lead elsewhere.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub struct Gate {
    address: SocketAddr,
    /// `None` turns everybody away.
    target: Arc<Mutex<Option<SocketAddr>>>,
    /// Changed to cut all connections.
    cuts: watch::Sender<u64>,
    accepting: JoinHandle<()>,
}

impl Gate {
    pub async fn open(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let target = Arc::new(Mutex::new(Some(target)));
        let (cuts, cut) = watch::channel(0);
        let accepting = tokio::spawn(accept(listener, Arc::clone(&target), cut));
        Self { address, target, cuts, accepting }
    }

    pub fn url(&self) -> String {
        format!("ws://{}", self.address)
    }

    /// Leads new connections there; with `None` nowhere.
    pub fn lead_to(&self, target: Option<SocketAddr>) {
        *self.target.lock().unwrap_or_else(PoisonError::into_inner) = target;
    }

    /// Cuts all connections, without a goodbye.
    pub fn cut(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(
    listener: TcpListener,
    target: Arc<Mutex<Option<SocketAddr>>>,
    cut: watch::Receiver<u64>,
) {
    loop {
        let Ok((mut client, _)) = listener.accept().await else { return };
        let target = *target.lock().unwrap_or_else(PoisonError::into_inner);
        let mut cut = cut.clone();
        cut.mark_unchanged();
        tokio::spawn(async move {
            let Some(target) = target else { return };
            let Ok(mut server) = TcpStream::connect(target).await else { return };
            tokio::select! {
                _ = tokio::io::copy_bidirectional(&mut client, &mut server) => {}
                _ = cut.changed() => {}
            }
        });
    }
}
