//! TLS, and one task for each connection. Whom a client's certificate names is told to what answers.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::Extension;
use chrono::Utc;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    signal::unix::{SignalKind, signal},
    sync::Semaphore,
    task::JoinSet,
    time::timeout,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{RootCertStore, ServerConfig, server::WebPkiClientVerifier},
};

use crate::{
    Failure, Result,
    api::{self, App, Shown},
    error::code,
};

/// From the first byte to a secret channel.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// From the first byte of a request's head to its last.
const HEAD: Duration = Duration::from_secs(20);
/// No connection lives longer; clients make a new one.
const LONGEST: Duration = Duration::from_secs(15 * 60);
/// Connections at once; more wait in the kernel.
const CONNECTIONS: usize = 12_000;
/// What is under way gets so long when the server is told to end.
const GRACE: Duration = Duration::from_secs(20);

fn failed(what: &str, error: &dyn std::fmt::Display) -> Failure {
    Failure::new(code::FAILED, format!("cannot {what}: {error}"))
}

fn tls(app: &App) -> Result<ServerConfig> {
    let provider = Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(app.ca.der().clone()).map_err(|error| failed("use the authority", &error))?;
    // Who shows nothing may still enrol; who shows something must be known.
    let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), Arc::clone(&provider))
        .allow_unauthenticated()
        .build()
        .map_err(|error| failed("use the authority", &error))?;
    let (chain, key) = app.ca.server(&app.config.name, Utc::now())?;
    let mut tls = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| failed("prepare TLS", &error))?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)
        .map_err(|error| failed("prepare TLS", &error))?;
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(tls)
}

/// Answers until a signal ends it; `ready` hears each address that it listens on.
pub async fn serve(app: App, ready: impl Fn(SocketAddr)) -> Result<()> {
    let acceptor = TlsAcceptor::from(Arc::new(tls(&app)?));
    let app = Arc::new(app);
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let mut listeners = JoinSet::new();
    for address in &app.config.listen {
        let listener = TcpListener::bind(address)
            .await
            .map_err(|error| failed(&format!("listen on {address}"), &error))?;
        ready(listener.local_addr().map_err(|error| failed("listen", &error))?);
        let (acceptor, app, places) = (acceptor.clone(), Arc::clone(&app), Arc::clone(&places));
        listeners.spawn(async move { accept(&listener, &acceptor, &app, &places).await });
    }
    let listen = |kind| signal(kind).map_err(|error| failed("listen for signals", &error));
    let (mut terminate, mut interrupt) =
        (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    listeners.shutdown().await;
    // What was answered is on disk; what was not is asked again.
    let _ =
        timeout(GRACE, places.acquire_many(u32::try_from(CONNECTIONS).unwrap_or(u32::MAX))).await;
    Ok(())
}

async fn accept(
    listener: &TcpListener,
    acceptor: &TlsAcceptor,
    app: &Arc<App>,
    places: &Arc<Semaphore>,
) {
    loop {
        let Ok(place) = Arc::clone(places).acquire_owned().await else { return };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Too many open files, most of all: some will close.
                tracing::warn!("a connection could not be taken: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let (acceptor, app) = (acceptor.clone(), Arc::clone(app));
        tokio::spawn(async move {
            let _ = timeout(LONGEST, talk(stream, &acceptor, app)).await;
            drop(place);
        });
    }
}

async fn talk(stream: TcpStream, acceptor: &TlsAcceptor, app: Arc<App>) {
    let _ = stream.set_nodelay(true);
    let Ok(Ok(stream)) = timeout(HANDSHAKE, acceptor.accept(stream)).await else { return };
    let serial = stream.get_ref().1.peer_certificates().and_then(|shown| serial(shown.first()?));
    let service = api::router(app).layer(Extension(Shown(serial)));
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD);
    builder.http2().timer(TokioTimer::new()).max_concurrent_streams(32);
    let _ = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service)).await;
}

/// The serial number of a certificate, hexadecimal, as it was written when it was issued.
fn serial(der: &[u8]) -> Option<String> {
    let (_, certificate) = x509_parser::parse_x509_certificate(der).ok()?;
    Some(hex::encode(certificate.raw_serial()))
}
