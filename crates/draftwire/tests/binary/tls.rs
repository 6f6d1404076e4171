//! `wss://`: `watch` and `replay` reach a server behind a TLS proxy whose authority they trust, and
//! no other.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use super::replay::replay;
use super::server::{Home, Server, draftwire, run, token};

/// An authority of its own, with a certificate for `localhost`; what clients are to trust.
fn authority() -> (ServerConfig, String) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root = params.self_signed(&key).unwrap().pem();
    let issuer = Issuer::new(params, key);

    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &issuer).unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    (config, root)
}

/// A TLS proxy before the server: its port.
async fn proxy(config: ServerConfig, authority: String) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, authority) = (acceptor.clone(), authority.clone());
            tokio::spawn(async move {
                let Ok(mut client) = acceptor.accept(stream).await else { return };
                let mut server = TcpStream::connect(authority).await.unwrap();
                // Either side may end it at any time.
                drop(tokio::io::copy_bidirectional(&mut client, &mut server).await);
            });
        }
    });
    port
}

#[tokio::test(flavor = "multi_thread")]
async fn watch_and_replay_reach_a_server_whose_authority_they_trust_and_no_other() {
    let home = Home::new();
    let server = Server::start(home.serve());
    let (config, root) = authority();
    let port = proxy(config, server.authority.clone()).await;
    fs::write(home.path("root.pem"), root).unwrap();
    fs::write(home.path("other.pem"), authority().1).unwrap();
    let url = format!("wss://localhost:{port}");

    let mut trusting = draftwire();
    trusting.args(["watch", "--url", &url, "--token", &token("anna")]);
    trusting.env("SSL_CERT_FILE", home.path("root.pem")).stdout(Stdio::piped());
    let mut watching = trusting.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(watching.stdout.take().unwrap()).read_line(&mut line).unwrap();
    watching.kill().unwrap();
    watching.wait().unwrap();
    assert!(line.contains(r#""type":"WELCOME""#), "{line}");

    let mut replaying = replay(&home, &url, "20");
    let output = run(replaying.env("SSL_CERT_FILE", home.path("root.pem")));
    assert_eq!(output.status.code(), Some(0), "{output:?}");

    for (file, url) in [("other.pem", &*url), ("root.pem", &format!("wss://127.0.0.1:{port}"))] {
        let mut doubting = draftwire();
        doubting.args(["watch", "--url", url, "--token", &token("anna")]);
        let output = run(doubting.env("SSL_CERT_FILE", home.path(file)));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("certificate"), "{file} {url}: {said}");
        assert_eq!(output.status.code(), Some(1));
    }
}
