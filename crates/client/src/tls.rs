//! TLS over a TCP socket, for `wss://`.
//!
//! Owns whom to believe: the certificates of the operating system (or, where they are set, those
//! that `SSL_CERT_FILE` and `SSL_CERT_DIR` name), so that a company's own authority works and a
//! program that was built years ago does not trust what was good then.

use std::io;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio::sync::OnceCell;
use tokio::task::spawn_blocking;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::stream::Stream;

/// Read once: a program has the certificates of its start.
static CONFIG: OnceCell<Arc<ClientConfig>> = OnceCell::const_new();

/// Opens TLS and checks that the server is this host.
pub(crate) async fn connect(host: &str, stream: TcpStream) -> io::Result<Box<dyn Stream>> {
    let name = ServerName::try_from(host.to_owned())
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    let config = CONFIG
        .get_or_try_init(|| async { spawn_blocking(load).await.map_err(io::Error::other)? })
        .await?;
    Ok(Box::new(TlsConnector::from(Arc::clone(config)).connect(name, stream).await?))
}

fn load() -> io::Result<Arc<ClientConfig>> {
    let loaded = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(loaded.certs);
    if roots.is_empty() {
        let why = loaded.errors.first().map(ToString::to_string).unwrap_or_default();
        let text = format!("this system has no certificates to check a server with: {why}");
        return Err(io::Error::other(text));
    }
    // Named here: a program may use rustls with another provider for itself.
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}
