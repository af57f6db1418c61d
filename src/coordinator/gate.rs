//! Who may join: the token's rules, and what two workers must not have in common.
//!
//! Pure: the moment is an argument. Certificates are the authority's; that a session's
//! certificate is of this run was checked by the transport before anybody gets here.

use std::collections::BTreeSet;

use crate::model::{
    fleet::host::HostName,
    run::message::{Hello, JoinRequest, PROTOCOL, SecretHex},
};

/// The rules of joining one run.
#[derive(Debug)]
pub(super) struct Gate {
    token: SecretHex,
    expires_at_unix_s: u64,
    expect: usize,
    build: &'static str,
    /// Names that hold a certificate.
    issued: BTreeSet<HostName>,
    started: bool,
}

impl Gate {
    pub(super) fn new(token: SecretHex, expires_at_unix_s: u64, expect: usize, build: &'static str) -> Self {
        Self { token, expires_at_unix_s, expect, build, issued: BTreeSet::new(), started: false }
    }

    /// From now on the token is void; only certificates come back.
    pub(super) fn start(&mut self) {
        self.started = true;
    }

    /// Lets a join request in, or says why not.
    pub(super) fn join(&mut self, request: &JoinRequest, now_unix_s: u64) -> Result<(), String> {
        // First of all, so that a stranger without the token learns nothing else.
        if !equal_in_constant_time(request.token.0.as_bytes(), self.token.0.as_bytes()) {
            return Err(
                "the token is not this run's; use the join file that this coordinator wrote".to_owned()
            );
        }
        if self.started {
            return Err("the run has started and its token is void; join the next run".to_owned());
        }
        if now_unix_s > self.expires_at_unix_s {
            let late_s = now_unix_s - self.expires_at_unix_s;
            return Err(format!("the token expired {late_s} s ago; start the run again for a new join file"));
        }
        self.check_build(&request.build)?;
        if self.issued.contains(&request.name) {
            return Err(format!(
                "a worker named {} has joined already; give this one another name with --name",
                request.name
            ));
        }
        if self.issued.len() >= self.expect {
            return Err(format!(
                "all {} expected workers have joined; start the run with a higher --expect-workers",
                self.expect
            ));
        }
        self.issued.insert(request.name.clone());
        Ok(())
    }

    /// Takes back a place: the worker that had it was refused after all.
    pub(super) fn release(&mut self, name: &HostName) {
        self.issued.remove(name);
    }

    /// Lets a session in by its first message, or says why not. `name` is the certificate's,
    /// `others` are the workers that are in under other names.
    pub(super) fn hello<'a>(
        &self,
        hello: &Hello,
        name: &HostName,
        others: impl Iterator<Item = &'a Hello>,
    ) -> Result<(), String> {
        if hello.name != *name {
            return Err(format!("calls itself {}, but its certificate is {name}'s", hello.name));
        }
        if !self.issued.contains(name) {
            return Err(format!(
                "{name} has no place in this run; join again under another name with --name"
            ));
        }
        let (lowest, highest) = hello.versions;
        if !(lowest..=highest).contains(&PROTOCOL) {
            return Err(format!(
                "speaks protocol versions {lowest} to {highest}, this coordinator {PROTOCOL}; use the same build"
            ));
        }
        self.check_build(&hello.build)?;
        for other in others.filter(|other| other.name != *name) {
            apart(hello, other)?;
        }
        Ok(())
    }

    fn check_build(&self, build: &str) -> Result<(), String> {
        if build == self.build {
            return Ok(());
        }
        let build: String = build.chars().filter(char::is_ascii_graphic).take(80).collect();
        Err(format!("the worker is build {build}, the coordinator {}; install the same on both", self.build))
    }
}

/// Two workers must not share a card: one address, or one interface with one address on one
/// kernel. Namespaces of one machine share boot id and interface names, never addresses.
fn apart(hello: &Hello, other: &Hello) -> Result<(), String> {
    if hello.data_addr == other.data_addr {
        return Err(format!(
            "{} already receives on {}; one worker a card: give this one --iface or --addr",
            other.name, other.data_addr
        ));
    }
    let same_card = hello.boot_id == other.boot_id
        && hello.nic.iface == other.nic.iface
        && hello.data_addr.ip() == other.data_addr.ip();
    if same_card {
        return Err(format!(
            "{} already tests {} at {}; one worker a card: give this one --iface or --addr",
            other.name,
            other.nic.iface,
            other.data_addr.ip()
        ));
    }
    Ok(())
}

/// Compares without telling by its time how far two secrets agree.
fn equal_in_constant_time(a: &[u8], b: &[u8]) -> bool {
    let differing = a.iter().zip(b).fold(0, |sum, (a, b)| sum | (a ^ b));
    a.len() == b.len() && std::hint::black_box(differing) == 0
}

#[cfg(test)]
mod tests;
