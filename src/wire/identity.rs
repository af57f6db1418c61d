//! stub of the agreed interface
#![allow(missing_docs, clippy::all, clippy::pedantic, clippy::todo, unused, reason = "stub")]
use crate::model::{fleet::host::HostName, run::message::SecretHex};
/// One certificate authority a run.
pub struct RunAuthority;
impl RunAuthority {
    pub fn new(run: &str) -> Result<Self, super::endpoint::WireError> { todo!() }
    pub fn ca_pem(&self) -> String { todo!() }
    /// Signs a worker's public key (hex of the raw P-256 point); remembers the certificate as this name's.
    pub fn issue(&self, name: &HostName, public_key_hex: &str) -> Result<String, super::endpoint::WireError> { todo!() }
}
/// A worker's key and the certificate it was issued.
pub struct WorkerIdentity;
/// 32 random bytes as hex.
pub fn random_secret() -> SecretHex { todo!() }
/// HMAC-SHA256(secret, label), as hex: how transfer keys are derived from the run's secret.
pub fn derive(secret: &SecretHex, label: &str) -> SecretHex { todo!() }
