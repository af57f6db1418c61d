//! stub of the agreed interface
#![allow(missing_docs, clippy::all, clippy::pedantic, clippy::todo, unused, reason = "stub")]
use std::{net::SocketAddr, path::Path};
use crate::model::run::message::SecretHex;
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct JoinFile {
    pub schema: String, // "nicburn.join/1"
    pub run: String,
    pub addrs: Vec<SocketAddr>,
    pub ca_pem: String,
    pub token: SecretHex,
    pub issued_at_unix_s: u64,
    pub expires_at_unix_s: u64,
}
impl JoinFile {
    pub fn load(path: &Path) -> Result<Self, super::endpoint::WireError> { todo!() }
    pub fn save(&self, path: &Path) -> Result<(), super::endpoint::WireError> { todo!() }
}
