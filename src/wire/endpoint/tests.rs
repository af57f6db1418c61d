//! Over loopback with real endpoints; nothing here waits longer than its deadline.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Instant,
};

use super::*;
use crate::{
    model::{
        fleet::host::HostName,
        run::message::{FRAME_MAX_BYTES, FromCoordinator, FromWorker, JoinReply, SecretHex},
    },
    wire::{
        identity::{COORDINATOR_NAME, RunAuthority, WorkerIdentity, public_key_hex, worker_key},
        join::{JOIN_SCHEMA, JoinFile},
        socket, tls,
    },
};

/// Far above what anything here takes, far below what a person waits.
const PATIENCE: Duration = Duration::from_secs(20);

const LOOPBACK: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

struct Coordinator {
    authority: Arc<RunAuthority>,
    listener: Listener,
}

impl Coordinator {
    fn new(run: &str) -> Self {
        Self::with(RunAuthority::new(run).unwrap(), LOOPBACK)
    }

    fn with(authority: RunAuthority, addr: SocketAddr) -> Self {
        let authority = Arc::new(authority);
        let listener = Listener::bind(addr, Arc::clone(&authority)).unwrap();
        Self { authority, listener }
    }

    fn file(&self) -> JoinFile {
        JoinFile {
            schema: JOIN_SCHEMA.to_owned(),
            run: "run-1".to_owned(),
            addrs: vec![self.listener.local_addr()],
            ca_pem: self.authority.ca_pem(),
            token: SecretHex("ab".repeat(32)),
            issued_at_unix_s: self.authority.issued_at_unix_s(),
            expires_at_unix_s: u64::MAX,
        }
    }

    /// A certificate without the call for it.
    fn identity(&self, name: &HostName) -> WorkerIdentity {
        let key = worker_key().unwrap();
        let certificate = self.authority.issue(name, &public_key_hex(&key)).unwrap();
        WorkerIdentity::new(name, &key, &certificate).unwrap()
    }

    async fn accept(&self) -> Incoming {
        soon(self.listener.accept()).await.expect("the listener is open")
    }

    /// Answers one join request with a certificate.
    async fn admit(&self) {
        let Incoming::Join(call) = self.accept().await else { panic!("a join request is expected") };
        let certificate_pem = self.authority.issue(&call.request().name, &call.request().public_key).unwrap();
        call.answer(JoinReply::Issued { certificate_pem }).await;
    }

    async fn session(&self) -> CoordinatorSession {
        let Incoming::Session(session) = self.accept().await else { panic!("a session is expected") };
        session
    }

    /// A session and its worker's end, the first message still unread.
    async fn meet(&self, name: &str) -> (CoordinatorSession, WorkerSession) {
        let identity = self.identity(&host(name));
        let worker = async {
            let mut worker = connect(&self.file(), &identity, None).await.unwrap();
            worker.replies.send(&FromWorker::Ready { stage: 1 }).await.unwrap();
            worker
        };
        soon(async { tokio::join!(self.session(), worker) }).await
    }

    /// A raw connection, to say what no worker would.
    async fn stranger(&self) -> quinn::Connection {
        let endpoint = socket::endpoint(LOOPBACK, None).unwrap();
        let config = tls::client(&self.file(), None).unwrap();
        let calling = endpoint.connect_with(config, self.listener.local_addr(), COORDINATOR_NAME).unwrap();
        soon(calling).await.unwrap()
    }
}

fn host(name: &str) -> HostName {
    name.parse().unwrap()
}

/// Turned away by TLS itself, before any certificate is looked up.
fn refused_by_tls(gone: &Gone) -> bool {
    gone.by_peer && gone.why.starts_with("refused (")
}

async fn soon<T>(wait: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, wait).await.expect("this takes no 20 s")
}

async fn joined(file: &JoinFile, name: &str) -> Result<WorkerIdentity, JoinError> {
    soon(join(file, &host(name), "0.1.0", None)).await
}

#[tokio::test]
async fn a_worker_joins_and_then_holds_a_session_both_ways() {
    let coordinator = Coordinator::new("run-1");
    let file = coordinator.file();
    let ((), identity) = tokio::join!(coordinator.admit(), joined(&file, "h3"));
    let identity = identity.unwrap();

    let worker = async {
        let mut worker = connect(&file, &identity, Some(Ipv4Addr::LOCALHOST.into())).await.unwrap();
        worker.replies.send(&FromWorker::Done { last_seq: 7 }).await.unwrap();
        worker.lines.send(&"{\"i\":1}\n{\"i\":1}".to_owned()).await.unwrap();
        worker
    };
    let (mut session, mut worker) = soon(async { tokio::join!(coordinator.session(), worker) }).await;
    assert_eq!(session.name, host("h3"));
    assert!(session.from.ip().is_loopback());
    assert!(matches!(soon(session.replies.next()).await.unwrap(), Some(FromWorker::Done { last_seq: 7 })));
    assert_eq!(soon(session.lines.next()).await.unwrap().unwrap(), "{\"i\":1}\n{\"i\":1}");
    session.orders.send(&FromCoordinator::Acked { seq: 7 }).await.unwrap();
    assert!(matches!(soon(worker.orders.next()).await.unwrap(), Some(FromCoordinator::Acked { seq: 7 })));

    session.link.close("the run is over");
    let gone = soon(worker.link.closed()).await;
    assert_eq!(gone, Gone { by_peer: true, why: "the run is over".to_owned() });
    assert!(!soon(session.link.closed()).await.by_peer);
    assert!(matches!(soon(worker.orders.next()).await, Err(WireError::Gone(_))));
}

#[tokio::test]
async fn a_refusal_arrives_in_words() {
    let coordinator = Coordinator::new("run-1");
    let file = coordinator.file();
    let refuse = async {
        let Incoming::Join(call) = coordinator.accept().await else { panic!("a join request is expected") };
        call.answer(JoinReply::Refused { why: "h3 is taken; give --name".to_owned() }).await;
    };
    let ((), refused) = tokio::join!(refuse, joined(&file, "h3"));
    assert!(matches!(refused, Err(JoinError::Refused(why)) if why == "h3 is taken; give --name"));
}

#[tokio::test]
async fn ipv6_is_as_good() {
    let coordinator = Coordinator::with(RunAuthority::new("run-1").unwrap(), "[::1]:0".parse().unwrap());
    let file = coordinator.file();
    let ((), identity) = tokio::join!(coordinator.admit(), joined(&file, "h3"));
    assert_eq!(identity.unwrap().name(), &host("h3"));
}

#[tokio::test]
async fn without_a_certificate_there_is_no_session() {
    let coordinator = Coordinator::new("run-1");
    let stranger = coordinator.stranger().await;
    let (send, receive) = stranger.open_bi().await.unwrap();
    let mut replies = Sender::json(send, FRAME_MAX_BYTES);
    // What a worker would do: it is read as a join request and is none.
    replies.open().await.unwrap();
    replies.send(&FromWorker::Ready { stage: 1 }).await.unwrap();
    let mut orders: Receiver<FromCoordinator> = Receiver::json(receive, FRAME_MAX_BYTES);
    assert!(soon(orders.next()).await.is_err());
    let gone = Gone::from(soon(stranger.closed()).await);
    assert!(gone.by_peer && gone.why.contains("cannot be understood"), "{gone:?}");
}

#[tokio::test]
async fn the_certificate_of_another_run_is_refused() {
    let (ours, other) = (Coordinator::new("run-1"), Coordinator::new("run-2"));
    let foreign = other.identity(&host("h3"));
    let refused = soon(connect(&ours.file(), &foreign, None)).await;
    assert!(matches!(&refused, Err(WireError::Gone(gone)) if refused_by_tls(gone)), "{:?}", refused.err());

    // The other way round: a coordinator of another run is not ours.
    let file = JoinFile { addrs: other.file().addrs, ..ours.file() };
    let refused = joined(&file, "h3").await;
    assert!(matches!(refused, Err(JoinError::Wire(WireError::Unreachable { .. }))), "{:?}", refused.err());
}

#[tokio::test]
async fn a_self_made_certificate_and_the_wrong_use_of_a_good_one_are_refused() {
    let coordinator = Coordinator::new("run-1");
    let key = worker_key().unwrap();
    let own =
        rcgen::CertificateParams::new(vec![COORDINATOR_NAME.to_owned()]).unwrap().self_signed(&key).unwrap();
    let own = WorkerIdentity::new(&host("h3"), &key, &own.pem()).unwrap();
    let refused = soon(connect(&coordinator.file(), &own, None)).await;
    assert!(matches!(&refused, Err(WireError::Gone(gone)) if refused_by_tls(gone)), "{:?}", refused.err());

    let (certificate, key) = coordinator.authority.server();
    let server = WorkerIdentity::from_parts(&host("h3"), certificate, key);
    let refused = soon(connect(&coordinator.file(), &server, None)).await;
    assert!(matches!(&refused, Err(WireError::Gone(gone)) if refused_by_tls(gone)), "{:?}", refused.err());
}

#[tokio::test]
async fn a_worker_cannot_play_the_coordinator() {
    let coordinator = Coordinator::new("run-1");
    let (certificate, key) = coordinator.identity(&host("h3")).parts();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    tls.alpn_protocols = vec![b"nicburn/1".to_vec()];
    let crypto = quinn::crypto::rustls::QuicServerConfig::try_from(tls).unwrap();
    let imposter =
        socket::endpoint(LOOPBACK, Some(quinn::ServerConfig::with_crypto(Arc::new(crypto)))).unwrap();
    let answering = async { imposter.accept().await.unwrap().await.is_err() };

    let file = JoinFile { addrs: vec![imposter.local_addr().unwrap()], ..coordinator.file() };
    let (turned_down, refused) = soon(async { tokio::join!(answering, joined(&file, "h4")) }).await;
    assert!(turned_down);
    let why = refused.unwrap_err().to_string();
    assert!(why.contains("certificate"), "{why}");
}

#[tokio::test]
async fn a_replaced_certificate_opens_nothing() {
    let coordinator = Coordinator::new("run-1");
    let old = coordinator.identity(&host("h3"));
    let _new = coordinator.identity(&host("h3"));
    let refused = soon(connect(&coordinator.file(), &old, None)).await;
    assert!(
        matches!(&refused, Err(WireError::Gone(gone)) if gone.why.contains("join again")),
        "{:?}",
        refused.err()
    );
}

#[tokio::test]
async fn a_silent_caller_holds_up_nobody_and_is_turned_away() {
    let coordinator = Coordinator::new("run-1");
    let began = Instant::now();
    let silent = [coordinator.stranger().await, coordinator.stranger().await, coordinator.stranger().await];
    let file = coordinator.file();
    let ((), identity) = tokio::join!(coordinator.admit(), joined(&file, "h3"));
    identity.unwrap();
    assert!(began.elapsed() < FIRST_FRAME_MAX, "the silent callers were waited for");
    for caller in silent {
        let gone = Gone::from(soon(caller.closed()).await);
        assert!(gone.by_peer && gone.why.contains("first word"), "{gone:?}");
    }
}

#[tokio::test]
async fn callers_beyond_the_bound_are_refused_at_once() {
    let coordinator = Coordinator::new("run-1");
    let mut silent = Vec::new();
    for _ in 0..64 {
        silent.push(coordinator.stranger().await);
    }
    let refused = joined(&coordinator.file(), "h3").await;
    assert!(matches!(&refused, Err(JoinError::Wire(WireError::Unreachable { .. }))), "{:?}", refused.err());
}

#[tokio::test]
async fn garbage_on_the_first_stream_ends_that_call_only() {
    let coordinator = Coordinator::new("run-1");
    for garbage in
        [&b"GET / HTTP/1.1\r\n\r\n"[..], b"\x00\x00\x00\x04null", b"\x00\x00\x00\x02\xff\xfe", b"\x00\x00"]
    {
        let stranger = coordinator.stranger().await;
        let (mut send, _receive) = stranger.open_bi().await.unwrap();
        send.write_all(garbage).await.unwrap();
        send.finish().unwrap();
        assert!(Gone::from(soon(stranger.closed()).await).by_peer, "{garbage:?}");
    }
    let file = coordinator.file();
    let ((), identity) = tokio::join!(coordinator.admit(), joined(&file, "h3"));
    identity.unwrap();
}

#[tokio::test]
async fn a_frame_too_long_is_an_error_by_its_length_alone() {
    let coordinator = Coordinator::new("run-1");
    let identity = coordinator.identity(&host("h3"));
    let endpoint = socket::endpoint(LOOPBACK, None).unwrap();
    let config = tls::client(&coordinator.file(), Some(&identity)).unwrap();
    let calling = endpoint.connect_with(config, coordinator.listener.local_addr(), COORDINATOR_NAME).unwrap();
    let connection = soon(calling).await.unwrap();
    let (mut replies, _orders) = connection.open_bi().await.unwrap();
    let mut lines = connection.open_uni().await.unwrap();
    // An empty frame and a small one, then a length of 4 GB and not a byte of it.
    replies.write_all(b"\0\0\0\0\0\0\0\x15{\"ready\":{\"stage\":1}}").await.unwrap();
    lines.write_all(b"\0\0\0\0\xff\xff\xff\xff").await.unwrap();
    let mut session = coordinator.session().await;
    let fault = soon(session.lines.next()).await;
    assert!(matches!(fault, Err(WireError::FrameTooLong { max: FRAME_MAX_BYTES })), "{fault:?}");
    assert!(matches!(soon(session.replies.next()).await, Ok(Some(FromWorker::Ready { stage: 1 }))));
}

#[tokio::test]
async fn a_message_too_long_to_send_leaves_the_stream_in_step() {
    let coordinator = Coordinator::new("run-1");
    let (mut session, mut worker) = coordinator.meet("h3").await;
    let long = "x".repeat(FRAME_MAX_BYTES + 1);
    assert!(matches!(worker.lines.send(&long).await, Err(WireError::FrameTooLong { .. })));
    worker.lines.send(&long[1..].to_owned()).await.unwrap();
    assert_eq!(soon(session.lines.next()).await.unwrap().unwrap().len(), FRAME_MAX_BYTES);
}

#[tokio::test]
async fn a_far_end_that_reads_nothing_stalls_the_sender_and_loses_nothing() {
    let coordinator = Coordinator::new("run-1");
    let (mut session, mut worker) = coordinator.meet("h3").await;
    let batch = |number: usize| format!("{number:060000}");
    let mut sent = 0;
    let stalled = loop {
        match soon(worker.lines.send(&batch(sent))).await {
            Ok(()) => sent += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(stalled, WireError::Stalled { .. }), "{stalled}");
    assert!(sent * 60_000 < 4_000_000, "{sent} batches are held for a reader that is gone");
    // The frame that stalled is half written; the next send ends it first.
    let read = async {
        let mut read = 0;
        while read <= sent + 1 {
            assert_eq!(session.lines.next().await.unwrap().unwrap(), batch(read));
            read += 1;
        }
    };
    let more = batch(sent + 1);
    let (more, ()) = soon(async { tokio::join!(worker.lines.send(&more), read) }).await;
    more.unwrap();
}

#[tokio::test]
async fn a_wait_for_a_frame_can_be_given_up_and_taken_up_in_the_middle_of_it() {
    let coordinator = Coordinator::new("run-1");
    let (mut session, mut worker) = coordinator.meet("h3").await;
    let text = "x".repeat(FRAME_MAX_BYTES);
    let send = async {
        for _ in 0..20 {
            worker.lines.send(&text).await.unwrap();
        }
    };
    let read = async {
        let mut read = 0;
        while read < 20 {
            tokio::select! {
                biased;
                frame = session.lines.next() => {
                    assert_eq!(frame.unwrap().unwrap(), text);
                    read += 1;
                }
                () = tokio::task::yield_now() => {}
            }
        }
    };
    soon(async { tokio::join!(send, read) }).await;
}

#[tokio::test]
async fn a_worker_whose_clock_is_wrong_joins_all_the_same() {
    // The certificates are long expired by this machine's clock, as they would be far in
    // the future for one that thinks it is 1970.
    let authority = RunAuthority::issued_at("run-1", Duration::from_secs(1_000_000_000)).unwrap();
    let coordinator = Coordinator::with(authority, LOOPBACK);
    let file = coordinator.file();
    let ((), identity) = tokio::join!(coordinator.admit(), joined(&file, "h3"));
    identity.unwrap();

    // Judged as of a moment at which they were not good, they are refused.
    let wrong = JoinFile { issued_at_unix_s: 0, ..file };
    let refused = joined(&wrong, "h3").await;
    assert!(matches!(refused, Err(JoinError::Wire(WireError::Unreachable { .. }))), "{:?}", refused.err());
}

#[tokio::test]
async fn a_closed_listener_tells_its_sessions_and_accepts_no_more() {
    let coordinator = Coordinator::new("run-1");
    let (_session, worker) = coordinator.meet("h3").await;
    coordinator.listener.close("the coordinator was interrupted").await;
    assert_eq!(soon(worker.link.closed()).await.why, "the coordinator was interrupted");
    assert!(soon(coordinator.listener.accept()).await.is_none());
}

#[tokio::test]
async fn an_address_that_nobody_answers_on_is_named() {
    let coordinator = Coordinator::new("run-1");
    let taken = std::net::UdpSocket::bind(LOOPBACK).unwrap();
    let mute = taken.local_addr().unwrap();
    let file = JoinFile { addrs: vec!["[::1]:9".parse().unwrap(), mute], ..coordinator.file() };
    let error = soon(join(&file, &host("h3"), "0.1.0", Some(Ipv4Addr::LOCALHOST.into()))).await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains("[::1]:9: ") && text.contains("other family"), "{text}");
    assert!(text.contains(&format!("{mute}: ")), "{text}");
}
