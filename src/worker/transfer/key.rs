//! What two ends of a transfer say to each other besides payload: preamble, consent, probe.
//!
//! All of it is keyed with the transfer's own secret, so that nobody can make a worker send
//! to, or count bytes from, somebody who is not part of this run. Bytes only; sockets are
//! the carrier's.

use ring::hmac;

use crate::model::{plan::layout::FlowId, run::message::SecretHex};

/// Length of a preamble, a probe and a probe's answer, in bytes.
pub const HELLO_BYTES: usize = 42;

/// Length of a consent, in bytes.
pub const CONSENT_BYTES: usize = 24;

/// The longest offer: a port, a fingerprint, a host key.
pub const OFFER_MAX_BYTES: usize = 4096;

/// Length of a report, in bytes.
pub const REPORT_BYTES: usize = 60;

/// Length of a shortened code: 128 bits, forged once in 2^128 tries.
const MAC_BYTES: usize = 16;

const MAGIC: [u8; 3] = *b"NB\x01";

/// What a hello is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Purpose {
    /// First bytes of a stream, from its source.
    Stream,
    /// A datagram of a paused flow's source.
    Probe,
    /// The sink's answer to a probe.
    Answer,
    /// First and last bytes of a connection that asks where a transport beside the carriers
    /// listens.
    Ask,
    /// A scheduled probe; its nonce says of which tick.
    Ping,
    /// The answer to it; its nonce says how long it was held.
    Pong,
}

impl Purpose {
    const fn code(self) -> u8 {
        match self {
            Self::Stream => 1,
            Self::Probe => 2,
            Self::Answer => 3,
            Self::Ask => 4,
            Self::Ping => 5,
            Self::Pong => 6,
        }
    }
}

/// What a receiver of datagrams tells their source.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Report {
    /// From 0; an older one counts for nothing.
    pub counter: u64,
    /// One more than the highest number that arrived.
    pub next: u64,
    /// Datagrams that arrived.
    pub received: u64,
    /// Bytes, by [`super::datagram::Shape::charge_bytes`], that may be under way unreported.
    pub window_bytes: u64,
}

/// A transfer's secret, ready for use.
#[derive(Clone)]
pub struct TransferKey(hmac::Key);

impl std::fmt::Debug for TransferKey {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("TransferKey(…)")
    }
}

/// Who says hello; not yet proven.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Hello {
    /// What for.
    pub purpose: Purpose,
    /// Which flow.
    pub flow: FlowId,
    /// Which stream of it.
    pub stream: u16,
    /// Never used twice.
    pub nonce: [u8; 16],
}

impl TransferKey {
    /// From 64 hexadecimal digits; `None` of anything else.
    pub fn new(secret: &SecretHex) -> Option<Self> {
        let digits = secret.0.as_bytes();
        let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
        let bytes: Option<Vec<u8>> =
            digits.chunks(2).map(|pair| Some(digit(pair[0])? << 4 | digit(*pair.get(1)?)?)).collect();
        let bytes = bytes.filter(|bytes| bytes.len() == 32)?;
        Some(Self(hmac::Key::new(hmac::HMAC_SHA256, &bytes)))
    }

    /// A hello with its proof.
    pub fn seal(&self, hello: &Hello) -> [u8; HELLO_BYTES] {
        let mut out = [0; HELLO_BYTES];
        out[..3].copy_from_slice(&MAGIC);
        out[3] = hello.purpose.code();
        out[4..8].copy_from_slice(&hello.flow.to_be_bytes());
        out[8..10].copy_from_slice(&hello.stream.to_be_bytes());
        out[10..26].copy_from_slice(&hello.nonce);
        let tag = hmac::sign(&self.0, &out[..26]);
        out[26..].copy_from_slice(&tag.as_ref()[..MAC_BYTES]);
        out
    }

    /// Whether this hello was sealed with this key.
    pub fn proves(&self, bytes: &[u8; HELLO_BYTES]) -> bool {
        self.matches(&bytes[..26], &bytes[26..])
    }

    /// The receiver's consent number `counter` to the stream that said hello with `nonce`.
    pub fn consent(&self, nonce: &[u8; 16], counter: u64) -> [u8; CONSENT_BYTES] {
        let mut out = [0; CONSENT_BYTES];
        out[..8].copy_from_slice(&counter.to_be_bytes());
        let tag = hmac::sign(&self.0, &consent_text(nonce, counter));
        out[8..].copy_from_slice(&tag.as_ref()[..MAC_BYTES]);
        out
    }

    /// The number of a consent to that stream; `None` where it is none.
    pub fn consents(&self, nonce: &[u8; 16], bytes: &[u8; CONSENT_BYTES]) -> Option<u64> {
        let mut counter = [0; 8];
        counter.copy_from_slice(&bytes[..8]);
        let counter = u64::from_be_bytes(counter);
        self.matches(&consent_text(nonce, counter), &bytes[8..]).then_some(counter)
    }

    /// An offer, in answer to the hello with this nonce; an empty text says that there is
    /// none yet. Length, text and proof.
    pub fn offer(&self, nonce: &[u8; 16], text: &str) -> Vec<u8> {
        let text = &text.as_bytes()[..text.len().min(OFFER_MAX_BYTES)];
        let mut out = (text.len() as u16).to_be_bytes().to_vec();
        out.extend(text);
        out.extend(&hmac::sign(&self.0, &offer_text(nonce, text)).as_ref()[..MAC_BYTES]);
        out
    }

    /// The text of an offer, where these bytes are a whole and proven one.
    pub fn opens(&self, nonce: &[u8; 16], bytes: &[u8]) -> Option<String> {
        let (length, rest) = bytes.split_first_chunk::<2>()?;
        let (text, proof) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        let sound = text.len() <= OFFER_MAX_BYTES && self.matches(&offer_text(nonce, text), proof);
        sound.then(|| String::from_utf8(text.to_vec()).ok())?
    }

    /// A report to the stream of datagrams that said hello with `nonce`; it is a consent too.
    pub fn report(&self, nonce: &[u8; 16], report: &Report) -> [u8; REPORT_BYTES] {
        let mut out = [0; REPORT_BYTES];
        out[..4].copy_from_slice(b"NB\x01r");
        let numbers = [report.counter, report.next, report.received, report.window_bytes];
        for (place, number) in out[4..].chunks_mut(8).zip(numbers) {
            place.copy_from_slice(&number.to_be_bytes());
        }
        let tag = hmac::sign(&self.0, &[&nonce[..], &out[..36]].concat());
        out[44..].copy_from_slice(&tag.as_ref()[..MAC_BYTES]);
        out
    }

    /// A report to that stream; `None` where it is none.
    pub fn reports(&self, nonce: &[u8; 16], bytes: &[u8; REPORT_BYTES]) -> Option<Report> {
        let number = |at: usize| bytes[at..at + 8].iter().fold(0u64, |sum, byte| sum << 8 | u64::from(*byte));
        let proven = self.matches(&[&nonce[..], &bytes[..36]].concat(), &bytes[44..]);
        (proven && bytes[..4] == *b"NB\x01r").then(|| Report {
            counter: number(4),
            next: number(12),
            received: number(20),
            window_bytes: number(28),
        })
    }

    /// 32 bytes that only holders of this key can draw, another draw for each purpose.
    pub fn seed(&self, purpose: &str) -> [u8; 32] {
        let mut seed = [0; 32];
        seed.copy_from_slice(hmac::sign(&self.0, format!("draw/{purpose}").as_bytes()).as_ref());
        seed
    }

    /// A number drawn like [`TransferKey::seed`].
    pub fn draw(&self, purpose: &str) -> u64 {
        let seed = self.seed(purpose);
        u64::from_be_bytes([seed[0], seed[1], seed[2], seed[3], seed[4], seed[5], seed[6], seed[7]])
    }

    fn matches(&self, text: &[u8], shortened: &[u8]) -> bool {
        let tag = hmac::sign(&self.0, text);
        // Compared without a shortcut, so that its time tells nothing of the right one.
        let differing = tag.as_ref()[..MAC_BYTES].iter().zip(shortened).fold(0, |sum, (a, b)| sum | (a ^ b));
        shortened.len() == MAC_BYTES && differing == 0
    }
}

/// Random bytes, never used twice.
pub fn nonce() -> [u8; 16] {
    let mut nonce = [0; 16];
    let random = ring::rand::SystemRandom::new();
    // Without randomness no stream may start: an all-zero nonce would repeat.
    ring::rand::SecureRandom::fill(&random, &mut nonce).expect("the kernel gives random bytes");
    nonce
}

fn offer_text(nonce: &[u8; 16], text: &[u8]) -> Vec<u8> {
    [b"offer", &nonce[..], text].concat()
}

fn consent_text(nonce: &[u8; 16], counter: u64) -> [u8; 31] {
    let mut text = [0; 31];
    text[..7].copy_from_slice(b"consent");
    text[7..23].copy_from_slice(nonce);
    text[23..].copy_from_slice(&counter.to_be_bytes());
    text
}

/// What these bytes claim to be; whose they are, only the flow's key proves.
pub fn read_hello(bytes: &[u8; HELLO_BYTES]) -> Option<Hello> {
    let all = [Purpose::Stream, Purpose::Probe, Purpose::Answer, Purpose::Ask, Purpose::Ping, Purpose::Pong];
    let purpose = all.into_iter().find(|purpose| bytes[..3] == MAGIC && purpose.code() == bytes[3])?;
    let mut nonce = [0; 16];
    nonce.copy_from_slice(&bytes[10..26]);
    Some(Hello {
        purpose,
        flow: FlowId::from_be_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]),
        stream: u16::from_be_bytes([bytes[8], bytes[9]]),
        nonce,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(digit: char) -> TransferKey {
        TransferKey::new(&SecretHex(String::from(digit).repeat(64))).expect("64 digits")
    }

    #[test]
    fn only_the_transfer_s_own_key_proves_a_hello() {
        let hello = Hello { purpose: Purpose::Stream, flow: 7, stream: 3, nonce: [9; 16] };
        let sealed = key('a').seal(&hello);
        assert_eq!(read_hello(&sealed), Some(hello));
        assert!(key('a').proves(&sealed));
        assert!(!key('b').proves(&sealed));
        for at in 0..HELLO_BYTES {
            let mut forged = sealed;
            forged[at] ^= 1;
            assert!(!key('a').proves(&forged), "byte {at}");
        }
    }

    #[test]
    fn a_consent_holds_for_one_stream_alone() {
        let consent = key('a').consent(&[1; 16], 5);
        assert_eq!(key('a').consents(&[1; 16], &consent), Some(5));
        assert_eq!(key('a').consents(&[2; 16], &consent), None);
        assert_eq!(key('b').consents(&[1; 16], &consent), None);
    }

    #[test]
    fn a_report_holds_for_one_stream_and_any_changed_byte_voids_it() {
        let report = Report { counter: 3, next: 1 << 40, received: 17, window_bytes: 4_000_000 };
        let sealed = key('a').report(&[1; 16], &report);
        assert_eq!(key('a').reports(&[1; 16], &sealed), Some(report));
        assert_eq!(key('a').reports(&[2; 16], &sealed), None);
        assert_eq!(key('b').reports(&[1; 16], &sealed), None);
        for at in (0..36).chain(44..REPORT_BYTES) {
            let mut forged = sealed;
            forged[at] ^= 1;
            assert_eq!(key('a').reports(&[1; 16], &forged), None, "byte {at}");
        }
    }

    #[test]
    fn an_offer_is_opened_by_who_asked_and_by_nobody_else() {
        let offer = key('a').offer(&[1; 16], "port 7");
        assert_eq!(key('a').opens(&[1; 16], &offer).as_deref(), Some("port 7"));
        assert_eq!(key('a').opens(&[2; 16], &offer), None);
        assert_eq!(key('b').opens(&[1; 16], &offer), None);
        for cut in 0..offer.len() {
            assert_eq!(key('a').opens(&[1; 16], &offer[..cut]), None, "cut at {cut}");
        }
        assert_eq!(key('a').opens(&[3; 16], &key('a').offer(&[3; 16], "")).as_deref(), Some(""));
    }

    #[test]
    fn what_is_no_secret_makes_no_key() {
        for bad in ["", "ab", &"g".repeat(64), &"a".repeat(63), &"a".repeat(66)] {
            assert!(TransferKey::new(&SecretHex((*bad).to_owned())).is_none(), "{bad}");
        }
    }
}
