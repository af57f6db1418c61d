//! A bare loop of quinn: one endpoint and one current-thread runtime a core.

use std::{
    io,
    net::UdpSocket,
    sync::Arc,
    time::{Duration, Instant},
};

use quinn::{
    ClientConfig, Endpoint, EndpointConfig, MtuDiscoveryConfig, ServerConfig, TokioRuntime, TransportConfig,
    VarInt,
    crypto::rustls::{QuicClientConfig, QuicServerConfig},
};
use rustls::{
    DigitallySignedStruct, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, ring::default_provider},
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime},
};
use tokio::time::timeout;

use super::{CALL_BYTES, CALL_LIMIT, Carried, await_start, connections, on_threads, port_of};
use crate::{
    model::run::message::Role,
    sys::{
        clock,
        socket::{raise_receive_buffer, raise_send_buffer},
    },
    worker::bench::spec::{EndReport, EndSpec},
};

/// Of sockets and of flow-control windows alike: quinn's own are sized for the internet.
const WINDOW_BYTES: u32 = 16 * 1024 * 1024;

/// What fits an MTU of 1500 over IPv4.
const DATAGRAM_BYTES: u16 = 1472;

pub(super) fn carry(spec: &EndSpec, role: Role) -> io::Result<EndReport> {
    let sockets =
        (0..connections(spec)).map(|index| open(spec, role, index)).collect::<io::Result<Vec<_>>>()?;
    if role == Role::Source {
        await_start(spec);
    }
    on_threads(spec, sockets, |(index, socket)| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            match role {
                Role::Source => source(spec, index, socket).await,
                Role::Sink => sink(spec, socket).await,
            }
        })
    })
}

fn open(spec: &EndSpec, role: Role, index: usize) -> io::Result<(usize, UdpSocket)> {
    let socket = match role {
        Role::Sink => UdpSocket::bind(port_of(spec.sink, index))?,
        Role::Source => UdpSocket::bind((spec.addr, 0))?,
    };
    raise_receive_buffer(&socket, WINDOW_BYTES as usize)?;
    raise_send_buffer(&socket, WINDOW_BYTES as usize)?;
    socket.set_nonblocking(true)?;
    Ok((index, socket))
}

async fn source(spec: &EndSpec, index: usize, socket: UdpSocket) -> io::Result<Carried> {
    let mut endpoint = Endpoint::new(EndpointConfig::default(), None, socket, Arc::new(TokioRuntime))?;
    endpoint.set_default_client_config(client()?);
    let connecting = endpoint.connect(port_of(spec.sink, index), "bench").map_err(io::Error::other)?;
    let connection = timeout(CALL_LIMIT, connecting).await?.map_err(io::Error::other)?;
    let mut stream = connection.open_uni().await.map_err(io::Error::other)?;
    let payload = vec![0x5a; CALL_BYTES];
    let (began, end) = (Instant::now(), Instant::now() + Duration::from_millis(spec.for_ms));
    let mut bytes = 0;
    while Instant::now() < end {
        bytes += timeout(CALL_LIMIT, stream.write(&payload)).await?.map_err(io::Error::other)? as u64;
    }
    stream.finish().map_err(io::Error::other)?;
    // Acknowledged to the last byte, or the sink is gone: it says itself what it received.
    let _ = timeout(CALL_LIMIT, stream.stopped()).await;
    connection.close(VarInt::from_u32(0), b"");
    let _ = timeout(CALL_LIMIT, endpoint.wait_idle()).await;
    Ok(Carried { bytes, for_s: began.elapsed().as_secs_f64() })
}

async fn sink(spec: &EndSpec, socket: UdpSocket) -> io::Result<Carried> {
    let endpoint = Endpoint::new(EndpointConfig::default(), Some(server()?), socket, Arc::new(TokioRuntime))?;
    let until_start = Duration::from_micros(spec.start_us.saturating_sub(clock::now_us()));
    let incoming = timeout(until_start + CALL_LIMIT, endpoint.accept()).await?;
    let incoming = incoming.ok_or_else(|| io::Error::other("the endpoint is closed"))?;
    let connection = timeout(CALL_LIMIT, incoming).await?.map_err(io::Error::other)?;
    let mut stream = timeout(CALL_LIMIT, connection.accept_uni()).await?.map_err(io::Error::other)?;
    let (began, mut bytes) = (Instant::now(), 0);
    while let Some(chunk) =
        timeout(CALL_LIMIT, stream.read_chunk(CALL_BYTES, false)).await?.map_err(io::Error::other)?
    {
        bytes += chunk.bytes.len() as u64;
    }
    let for_s = began.elapsed().as_secs_f64();
    // The source closes once it knows that all arrived.
    let _ = timeout(CALL_LIMIT, connection.closed()).await;
    Ok(Carried { bytes, for_s })
}

fn transport() -> Arc<TransportConfig> {
    let mut config = TransportConfig::default();
    let mut discovery = MtuDiscoveryConfig::default();
    discovery.upper_bound(DATAGRAM_BYTES);
    config
        .stream_receive_window(VarInt::from_u32(WINDOW_BYTES))
        .receive_window(VarInt::from_u32(WINDOW_BYTES))
        .send_window(u64::from(WINDOW_BYTES))
        .initial_mtu(DATAGRAM_BYTES)
        .mtu_discovery_config(Some(discovery));
    Arc::new(config)
}

fn server() -> io::Result<ServerConfig> {
    let made = rcgen::generate_simple_self_signed(vec!["bench".to_owned()]).map_err(io::Error::other)?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .and_then(|builder| {
            builder.with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key)
        })
        .map_err(io::Error::other)?;
    let crypto = QuicServerConfig::try_from(config).map_err(io::Error::other)?;
    let mut server = ServerConfig::with_crypto(Arc::new(crypto));
    server.transport_config(transport());
    Ok(server)
}

fn client() -> io::Result<ClientConfig> {
    let provider = default_provider();
    let verifier = Anybody(provider.clone());
    let config = rustls::ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(io::Error::other)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    let crypto = QuicClientConfig::try_from(config).map_err(io::Error::other)?;
    let mut client = ClientConfig::new(Arc::new(crypto));
    client.transport_config(transport());
    Ok(client)
}

/// Trusts every server. Both ends are processes of one bench in namespaces of its own, and
/// what is sent is worth nothing; only the cost of the cipher counts.
#[derive(Debug)]
struct Anybody(CryptoProvider);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(
            message,
            cert,
            signed,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(
            message,
            cert,
            signed,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
