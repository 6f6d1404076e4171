//! The network between devices and server: a TCP proxy that carries bytes, badly where it is told to.
//!
//! It knows nothing of what it carries.

use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// How bytes are carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Weather {
    /// As they come.
    #[default]
    Fair,
    /// A few at a time, cut anywhere.
    Slice,
    /// A few at a time, with pauses.
    Slow,
    /// What the server says is lost, while its connection looks alive.
    DeafClients,
    /// What the devices say is lost, while their connection looks alive.
    DeafServer,
}

/// Between devices and a server.
pub struct Proxy {
    /// Where devices connect.
    pub address: SocketAddr,
    weather: watch::Sender<Weather>,
    /// Grows when everything that is open is to be reset.
    resets: watch::Sender<u64>,
    carried: Arc<AtomicU64>,
}

impl Proxy {
    /// Listens, and carries to that server from now on.
    ///
    /// # Errors
    ///
    /// Where there is no port.
    pub async fn start(server: SocketAddr) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (weather, _) = watch::channel(Weather::Fair);
        let (resets, _) = watch::channel(0);
        let carried = Arc::default();
        let proxy = Self { address, weather, resets, carried };
        let weather = proxy.weather.subscribe();
        let (resets, carried) = (proxy.resets.subscribe(), Arc::clone(&proxy.carried));
        tokio::spawn(async move {
            while let Ok((device, _)) = listener.accept().await {
                let line = Line { weather: weather.clone(), carried: Arc::clone(&carried) };
                tokio::spawn(carry(device, server, line, resets.clone()));
            }
        });
        Ok(proxy)
    }

    /// From now on.
    pub fn set_weather(&self, weather: Weather) {
        self.weather.send_replace(weather);
    }

    /// Every connection that is open is reset.
    pub fn reset_all(&self) {
        self.resets.send_modify(|count| *count += 1);
    }

    /// Bytes that were carried so far.
    pub fn carried(&self) -> u64 {
        self.carried.load(Ordering::Relaxed)
    }
}

#[derive(Clone)]
struct Line {
    weather: watch::Receiver<Weather>,
    carried: Arc<AtomicU64>,
}

async fn carry(
    device: TcpStream,
    server: SocketAddr,
    line: Line,
    mut resets: watch::Receiver<u64>,
) {
    resets.mark_unchanged();
    let Ok(server) = TcpStream::connect(server).await else { return reset(&device) };
    // They outlive the halves, so that these can be told how to end.
    let (Ok(near), Ok(far)) = (copy_of(&device), copy_of(&server)) else { return };
    // Small frames do not wait for more of them.
    let _ = (device.set_nodelay(true), server.set_nodelay(true));
    let (from_device, to_device) = device.into_split();
    let (from_server, to_server) = server.into_split();
    let up = line.clone().flow(from_device, to_server, Weather::DeafServer);
    let down = line.flow(from_server, to_device, Weather::DeafClients);
    let both = async { tokio::join!(up, down) };
    tokio::select! {
        _ = both => {}
        _ = resets.changed() => {
            reset(&near);
            reset(&far);
        }
    }
}

fn copy_of(stream: &TcpStream) -> std::io::Result<OwnedFd> {
    stream.as_fd().try_clone_to_owned()
}

/// Without lingering the end is a reset.
fn reset(socket: &impl AsFd) {
    // It may have ended already.
    let _ = socket2::SockRef::from(socket).set_linger(Some(Duration::ZERO));
}

impl Line {
    /// Carries one direction, until either side ends.
    async fn flow(self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf, deaf: Weather) {
        let mut buffer = vec![0; 16 * 1024];
        while let Ok(count) = from.read(&mut buffer).await {
            if count == 0 || self.pass(&buffer[..count], &mut to, deaf).await.is_err() {
                break;
            }
            self.carried.fetch_add(count as u64, Ordering::Relaxed);
        }
        // The other side may have gone first.
        let _ = to.shutdown().await;
    }

    async fn pass(
        &self,
        bytes: &[u8],
        to: &mut OwnedWriteHalf,
        deaf: Weather,
    ) -> std::io::Result<()> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let weather = *self.weather.borrow();
            let count = match weather {
                Weather::Fair => rest.len(),
                Weather::Slice | Weather::Slow => fastrand::usize(1..=rest.len().min(40)),
                Weather::DeafClients | Weather::DeafServer if weather == deaf => {
                    // What is lost stays lost, or the stream would have a hole: the connection is
                    // dead from here on, and looks alive.
                    return self.be_silent().await;
                }
                Weather::DeafClients | Weather::DeafServer => rest.len(),
            };
            to.write_all(&rest[..count]).await?;
            rest = &rest[count..];
            match weather {
                Weather::Slow => tokio::time::sleep(Duration::from_millis(3)).await,
                Weather::Slice => tokio::task::yield_now().await,
                _ => {}
            }
        }
        Ok(())
    }

    async fn be_silent(&self) -> std::io::Result<()> {
        let mut weather = self.weather.clone();
        let fair = weather.wait_for(|weather| *weather == Weather::Fair);
        // Where nobody sets the weather any more it is over as well.
        drop(fair.await);
        Err(std::io::Error::other("a line that has lost bytes"))
    }
}
