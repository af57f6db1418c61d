//! merge: a stub of the lab room; the lab branch replaces this file whole.
#![allow(missing_docs, clippy::all, clippy::pedantic, clippy::todo, unused, reason = "stub")]
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct LabError(pub String);
pub fn demo_fault(seed: u64, spec: &spec::LabSpec) -> fault::Fault { todo!() }
pub mod spec {
    use std::path::PathBuf;
    use crate::model::fleet::units::BitRate;
    #[derive(Clone, Copy, Debug, Eq, PartialEq)]
    pub enum Control { InBand, Separate }
    #[derive(Clone, Debug)]
    pub struct LabSpec {
        pub hosts: u16, pub nic_rate: BitRate, pub mtu: u32, pub racks: u16, pub uplink: Option<BitRate>,
        pub control: Control, pub ipv6: bool, pub ttl_s: u64, pub detached: bool, pub state_dir: PathBuf, pub name: String,
    }
    impl LabSpec { pub fn check(&self) -> Result<(), super::LabError> { Ok(()) } pub fn rack(&self, host: u16) -> u16 { if self.racks == 2 && host > self.hosts.div_ceil(2) { 2 } else { 1 } }
    pub fn host_number(&self, name: &str) -> Option<u16> { name.strip_prefix('h')?.parse().ok().filter(|n| (1..=self.hosts).contains(n)) }
    pub fn load_warning(&self) -> Option<String> { None } }
}
pub mod fault {
    #[derive(Clone, Debug)]
    pub struct Fault { pub host: u16, pub text: String }
    impl std::str::FromStr for Fault { type Err = super::LabError; fn from_str(text: &str) -> Result<Self, super::LabError> {
        let host = text.split_once('@').and_then(|(_, rest)| rest.split(',').next()?.strip_prefix('h')?.parse().ok());
        host.map(|host| Self { host, text: text.to_owned() }).ok_or_else(|| super::LabError(format!("`{text}` names no host"))) } }
    impl std::fmt::Display for Fault { fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str(&self.text) } }
    impl Fault { pub fn explain(&self) -> String { todo!() } pub fn truth(&self) -> String { self.text.clone() } }
    pub fn list() -> String { todo!() }
}
pub mod holder { pub fn main() -> i32 { todo!() } }
pub mod client {
    use std::{net::IpAddr, path::Path};
    use super::{LabError, fault::Fault, spec::LabSpec};
    #[derive(Clone, Debug, Default)]
    pub struct Status { pub name: String, pub holder_pid: i32, pub hosts: u16, pub faults: Vec<Fault> }
    pub struct Lab;
    impl Lab {
        pub fn start(exe: &Path, spec: &LabSpec) -> Result<Self, LabError> { todo!() }
        pub fn enter_coordinator(&self) -> Result<(), LabError> { todo!() }
        pub fn coordinator_addr(&self) -> IpAddr { todo!() }
        pub fn start_workers(&mut self, exe: &Path, join_file: &Path, log_dir: &Path) -> Result<(), LabError> { todo!() }
        pub fn fault(&mut self, fault: &Fault) -> Result<(), LabError> { todo!() }
        pub fn status(&mut self) -> Result<Status, LabError> { todo!() }
        pub fn down(self) -> Result<(), LabError> { todo!() }
    }
    pub fn list(state_dir: &Path) -> Result<Vec<Status>, LabError> { todo!() }
    pub fn attach(state_dir: &Path, name: &str) -> Result<Lab, LabError> { todo!() }
    pub fn join_host(holder_pid: i32, host: &str) -> Result<(), LabError> { todo!() }
}
