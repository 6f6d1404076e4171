//! A device on a real socket, through somebody else's WebSocket client, with a journal on disk.
//!
//! Owns the connection and the journal; what to send and what to make of an answer is the client's.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use fastrand::Rng;
use futures_util::{SinkExt, StreamExt};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::socket::{self, Socket, token, user_name};
use crate::client::Client;

/// Commands that a device has under way at most.
const AHEAD: usize = 16;

/// What the rig tells its devices while they run.
#[derive(Debug, Clone)]
pub struct Orders {
    /// Where to connect.
    pub address: std::net::SocketAddr,
    /// True while new commands are to be issued.
    pub writing: bool,
    /// Set at the end: the `seq` that each user's devices have to reach.
    pub heads: Option<Arc<Vec<u64>>>,
    /// Seconds that a token is good for.
    pub token_seconds: u64,
    /// Devices whose number is a multiple of this stop reading now and then; 0 for none.
    pub sleepers: usize,
    /// Grows when everybody is to connect anew at once.
    pub reconnects: u64,
}

/// What all devices count together.
#[derive(Debug, Default)]
pub struct Tally {
    /// Connections that were opened.
    pub connections: AtomicU64,
    /// Handshakes that were refused or failed.
    pub refused: AtomicU64,
    /// Connections that were closed with 4001.
    pub slow: AtomicU64,
    /// Connections that were closed with 4500.
    pub expired: AtomicU64,
    /// Set by a device that was just acknowledged a command, for those who wait for that.
    pub acknowledged: AtomicBool,
}

/// One device.
pub struct Device {
    user: usize,
    number: usize,
    client: Client,
    journal: File,
    path: PathBuf,
    orders: watch::Receiver<Orders>,
    tally: Arc<Tally>,
    rng: Rng,
}

/// Why a conversation has ended.
enum End {
    /// It is to connect anew, after so long.
    Again(Duration),
    /// All is done.
    Settled,
}

impl Device {
    /// One of a user's, with its journal in that folder.
    ///
    /// # Errors
    ///
    /// Where the journal can't be made.
    pub fn new(
        user: usize,
        number: usize,
        client: Client,
        folder: &Path,
        orders: watch::Receiver<Orders>,
        tally: Arc<Tally>,
    ) -> std::io::Result<Self> {
        let path = folder.join(format!("{}-{}.journal", user_name(user), client.name));
        let journal = File::create(&path)?;
        let rng = Rng::with_seed((user * 1_000 + number) as u64);
        Ok(Self { user, number, client, journal, path, orders, tally, rng })
    }

    /// Where it writes down what happens.
    pub fn journal_path(&self) -> &Path {
        &self.path
    }

    /// Works until the rig says that it is enough, and everything is answered and seen.
    pub async fn run(mut self) -> Client {
        loop {
            let pause = match self.connect().await {
                Ok(socket) => {
                    self.tally.connections.fetch_add(1, Ordering::Relaxed);
                    self.client.opened();
                    let end = self.converse(socket).await;
                    self.client.ended();
                    self.write_journal();
                    match end {
                        End::Settled => return self.client,
                        End::Again(pause) => pause,
                    }
                }
                Err(_) => {
                    self.tally.refused.fetch_add(1, Ordering::Relaxed);
                    Duration::from_millis(self.rng.u64(10..80))
                }
            };
            sleep(pause).await;
        }
    }

    async fn connect(&mut self) -> Result<Socket, Error> {
        let (address, seconds) = {
            let orders = self.orders.borrow();
            (orders.address, orders.token_seconds)
        };
        let token = token(&user_name(self.user), seconds);
        socket::open(address, &token, &self.client.name, self.client.position.as_ref()).await
    }

    async fn converse(&mut self, mut socket: Socket) -> End {
        let reconnects = self.orders.borrow().reconnects;
        let mut orders = self.orders.clone();
        let mut tick = tokio::time::interval(Duration::from_millis(self.rng.u64(3..12)));
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                arrived = socket.next() => {
                    match arrived {
                        Some(Ok(Message::Text(text))) => {
                            if !self.take(&mut socket, text.to_string()).await {
                                return self.again(5);
                            }
                        }
                        Some(Ok(Message::Close(frame))) => return self.closed(frame.map(|f| f.code)),
                        Some(Ok(_)) => {}
                        Some(Err(_)) | None => return self.again(1),
                    }
                }
                _ = tick.tick() => self.issue(),
                _ = orders.changed() => {
                    if orders.borrow_and_update().reconnects != reconnects {
                        return End::Again(Duration::ZERO);
                    }
                }
            }
            if self.send_due(&mut socket).await.is_err() {
                return self.again(1);
            }
            if self.is_settled() {
                // The goodbye need not arrive.
                drop(timeout(Duration::from_secs(1), socket.close(None)).await);
                return End::Settled;
            }
            self.sleep_now_and_then().await;
        }
    }

    fn again(&mut self, factor: u64) -> End {
        End::Again(Duration::from_millis(factor * self.rng.u64(1..15)))
    }

    fn closed(&mut self, code: Option<CloseCode>) -> End {
        let code = code.map_or(1005, u16::from);
        match code {
            4001 => drop(self.tally.slow.fetch_add(1, Ordering::Relaxed)),
            4500 => drop(self.tally.expired.fetch_add(1, Ordering::Relaxed)),
            _ => {}
        }
        self.again(3)
    }

    /// A frame has arrived. False where the device has to connect anew.
    async fn take(&mut self, socket: &mut Socket, text: String) -> bool {
        let expiring = text.starts_with(r#"{"type":"TOKEN_EXPIRING""#);
        if text.starts_with(r#"{"type":"ACK""#) {
            self.tally.acknowledged.store(true, Ordering::Release);
        }
        let goes_on = self.client.receive(text);
        self.write_journal();
        // Half of the devices renew their tokens; the others are closed, and come back.
        if expiring && self.number.is_multiple_of(2) {
            let seconds = self.orders.borrow().token_seconds;
            let token = token(&user_name(self.user), seconds);
            let frame = format!(r#"{{"type":"AUTH","payload":{{"token":"{token}"}}}}"#);
            return socket.send(Message::text(frame)).await.is_ok() && goes_on;
        }
        goes_on
    }

    fn issue(&mut self) {
        if self.orders.borrow().writing && self.client.unanswered() < AHEAD {
            for _ in 0..self.rng.usize(1..4) {
                self.client.issue(&mut self.rng);
            }
        }
    }

    async fn send_due(&mut self, socket: &mut Socket) -> Result<(), Error> {
        while let Some(text) = self.client.next_due() {
            // Written down before the first byte leaves.
            self.write_journal();
            socket.feed(Message::text(text)).await?;
        }
        socket.flush().await
    }

    /// Hands what was written down to the system, with one call a record.
    fn write_journal(&mut self) {
        for record in self.client.history.records.drain(..) {
            record.write(&mut self.journal).expect("the journal can be written");
        }
    }

    fn is_settled(&self) -> bool {
        let orders = self.orders.borrow();
        let Some(head) = orders.heads.as_ref().and_then(|heads| heads.get(self.user)) else {
            return false;
        };
        let at = self.client.position.as_ref().map_or(0, |position| position.seq);
        self.client.unanswered() == 0 && self.client.is_welcome() && at >= *head
    }

    async fn sleep_now_and_then(&mut self) {
        let orders = self.orders.borrow().clone();
        let sleeps = orders.sleepers > 0
            && self.number.is_multiple_of(orders.sleepers)
            && orders.heads.is_none()
            && self.rng.u32(..400) == 0;
        if sleeps {
            let until = Instant::now() + Duration::from_millis(self.rng.u64(500..2_500));
            tokio::time::sleep_until(until).await;
        }
    }
}
