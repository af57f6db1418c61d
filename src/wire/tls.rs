//! How the line is secured and tuned: TLS 1.3 both ways, and QUIC made to outlive a card
//! that is dying.

use std::{sync::Arc, time::Duration};

use quinn::{
    IdleTimeout, TransportConfig, VarInt,
    crypto::rustls::{QuicClientConfig, QuicServerConfig},
};
use rustls::{
    RootCertStore,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, UnixTime, pem::PemObject},
    server::WebPkiClientVerifier,
    time_provider::TimeProvider,
    version::TLS13,
};

use super::{
    error::WireError,
    identity::{RunAuthority, WorkerIdentity, certificate_fault},
    join::JoinFile,
};

/// The one protocol that both ends speak.
const ALPN: &[u8] = b"nicburn/1";

/// Signs of life while nothing is said. The coordinator's view of who is silent must be
/// finer than the 1 s after which contact counts as lost.
const KEEP_ALIVE: Duration = Duration::from_millis(500);

/// How long a connection may be silent. The line crosses the card under test, which dies for
/// seconds and comes back: shorter, and each stall would cost a new handshake through
/// the very card that is struggling; longer, and a worker would wait for a dead connection
/// while its 10 s lease runs out.
const SILENCE_MAX: Duration = Duration::from_secs(5);

/// Streams that a worker may open: orders, and lines; the rest is slack for later versions.
const WORKER_STREAMS_MAX: u32 = 4;

/// Unread bytes of one stream. A coordinator that is held up for some seconds must not hold
/// up the samples of a worker, 48 KiB each quarter of a second at the most.
const STREAM_WINDOW_BYTES: u32 = 1024 * 1024;

/// Unread bytes of a caller that has not proved who it is: one join request and a little.
/// With the bound on such callers this bounds what strangers can make us hold.
const STRANGER_WINDOW_BYTES: u32 = 64 * 1024;

/// Unread bytes of a connection with a worker.
pub(super) const WORKER_WINDOW_BYTES: u32 = 2 * STREAM_WINDOW_BYTES;

/// Calls that quinn may hold before they are looked at.
const INCOMING_MAX: usize = 256;

/// The datagram size that every path must carry. It is not probed for more: large packets
/// are what kills some of the cards under test, and control must not be the one to send them.
const DATAGRAM_BYTES: u16 = 1200;

/// The coordinator's side.
pub(super) fn server(authority: &RunAuthority) -> Result<quinn::ServerConfig, WireError> {
    let doing = "set up the coordinator's TLS";
    let roots = Arc::new(roots(authority.ca_der())?);
    // Who has no certificate may ask for one, and nothing else: `endpoint` sees to that.
    let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider())
        .allow_unauthenticated()
        .build()
        .map_err(certificate_fault(doing))?;
    let (certificate, key) = authority.server();
    let mut tls = rustls::ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(certificate_fault(doing))?
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![certificate], key)
        .map_err(certificate_fault(doing))?;
    tls.alpn_protocols = vec![ALPN.to_vec()];
    // A resumed session would carry a certificate past the check that it is still good.
    tls.send_tls13_tickets = 0;

    let crypto = QuicServerConfig::try_from(tls).map_err(certificate_fault(doing))?;
    let mut config = quinn::ServerConfig::with_crypto(Arc::new(crypto));
    let mut transport = transport();
    transport
        .max_concurrent_bidi_streams(WORKER_STREAMS_MAX.into())
        .max_concurrent_uni_streams(WORKER_STREAMS_MAX.into())
        .receive_window(STRANGER_WINDOW_BYTES.into());
    config
        .transport_config(Arc::new(transport))
        // A worker's address is checked when it calls; it may not change it afterwards.
        .migration(false)
        .max_incoming(INCOMING_MAX)
        .incoming_buffer_size_total(u64::from(STREAM_WINDOW_BYTES));
    Ok(config)
}

/// A worker's side, with or without a certificate of its own.
pub(super) fn client(
    file: &JoinFile,
    identity: Option<&WorkerIdentity>,
) -> Result<quinn::ClientConfig, WireError> {
    let doing = "set up the worker's TLS";
    let ca = CertificateDer::from_pem_slice(file.ca_pem.as_bytes())
        .map_err(certificate_fault("read the CA certificate in the join file"))?;
    let as_of = AsOf(UnixTime::since_unix_epoch(Duration::from_secs(file.issued_at_unix_s)));
    let builder = rustls::ClientConfig::builder_with_details(provider(), Arc::new(as_of))
        .with_protocol_versions(&[&TLS13])
        .map_err(certificate_fault(doing))?
        .with_root_certificates(roots(ca)?);
    let mut tls = match identity {
        Some(identity) => {
            let (certificate, key) = identity.parts();
            builder.with_client_auth_cert(vec![certificate], key).map_err(certificate_fault(doing))?
        }
        None => builder.with_no_client_auth(),
    };
    tls.alpn_protocols = vec![ALPN.to_vec()];
    tls.resumption = rustls::client::Resumption::disabled();

    let crypto = QuicClientConfig::try_from(tls).map_err(certificate_fault(doing))?;
    let mut config = quinn::ClientConfig::new(Arc::new(crypto));
    let mut transport = transport();
    // The coordinator answers on the streams that it is given.
    transport
        .max_concurrent_bidi_streams(VarInt::from_u32(0))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .receive_window(STREAM_WINDOW_BYTES.into());
    config.transport_config(Arc::new(transport));
    Ok(config)
}

/// A clock that stands at the moment the run's certificates were issued.
///
/// The machines under test come fresh from the rack and may think that it is 1970, so their
/// own clock cannot judge a certificate. What binds it to the run is the authority, which
/// lives for one run; the coordinator judges certificates by its own clock.
#[derive(Debug)]
struct AsOf(UnixTime);

impl TimeProvider for AsOf {
    fn current_time(&self) -> Option<UnixTime> {
        Some(self.0)
    }
}

/// What both ends have in common.
fn transport() -> TransportConfig {
    let mut transport = TransportConfig::default();
    transport
        .keep_alive_interval(Some(KEEP_ALIVE))
        .max_idle_timeout(Some(
            IdleTimeout::try_from(SILENCE_MAX).expect("5 s fit a variable-length integer"),
        ))
        .stream_receive_window(STREAM_WINDOW_BYTES.into())
        .send_window(u64::from(STREAM_WINDOW_BYTES))
        .initial_mtu(DATAGRAM_BYTES)
        .mtu_discovery_config(None)
        .enable_segmentation_offload(false)
        .datagram_receive_buffer_size(None);
    transport
}

/// The cryptography: ring, named so that nothing depends on a process-wide default.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn roots(ca: CertificateDer<'static>) -> Result<RootCertStore, WireError> {
    let mut roots = RootCertStore::empty();
    roots.add(ca).map_err(certificate_fault("take the run's CA certificate"))?;
    Ok(roots)
}
