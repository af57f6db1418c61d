//! Key pairs of one transfer, as OpenSSH's files hold them. Pure.
//!
//! Both ends draw the same pairs from the transfer's secret: the sink's host key and the
//! source's own. So nothing secret crosses the wire, each end knows the other before it
//! connects, and the pairs are worth nothing after the transfer.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ring::signature::{Ed25519KeyPair, KeyPair as _};

use super::super::key::TransferKey;

const KIND: &str = "ssh-ed25519";

/// Characters of a line of an armoured key, as `ssh-keygen` writes them.
const LINE: usize = 70;

/// A key pair.
pub struct Pair {
    seed: [u8; 32],
    public: [u8; 32],
}

impl Pair {
    /// What the sink proves with that it is the sink.
    pub fn of_host(key: &TransferKey) -> Self {
        Self::of(key.seed("ssh host"))
    }

    /// What the source proves with that it is the source.
    pub fn of_client(key: &TransferKey) -> Self {
        Self::of(key.seed("ssh client"))
    }

    fn of(seed: [u8; 32]) -> Self {
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).expect("32 bytes are a seed");
        let mut public = [0; 32];
        public.copy_from_slice(pair.public_key().as_ref());
        Self { seed, public }
    }

    /// A line of `authorized_keys` or, after a host's name, of `known_hosts`.
    pub fn public_line(&self) -> String {
        format!("{KIND} {}", STANDARD.encode(self.public_blob()))
    }

    /// The private key file: format `openssh-key-v1`, without a passphrase
    /// (`PROTOCOL.key` of OpenSSH's sources).
    pub fn private_file(&self) -> String {
        let mut secret = Vec::new();
        // Two equal numbers, by which a wrong passphrase would show.
        secret.extend([0x6e; 8]);
        put(&mut secret, KIND.as_bytes());
        put(&mut secret, &self.public);
        put(&mut secret, &[self.seed, self.public].concat());
        put(&mut secret, b"nicburn");
        // Padded to the block size of no cipher, eight bytes.
        secret.extend((1u8..).take(secret.len().next_multiple_of(8) - secret.len()));
        let mut file = b"openssh-key-v1\0".to_vec();
        for text in ["none", "none", ""] {
            put(&mut file, text.as_bytes());
        }
        file.extend(1u32.to_be_bytes());
        put(&mut file, &self.public_blob());
        put(&mut file, &secret);
        let armoured = STANDARD.encode(file);
        let mut text = "-----BEGIN OPENSSH PRIVATE KEY-----\n".to_owned();
        let mut rest = armoured.as_str();
        while !rest.is_empty() {
            let (line, more) = rest.split_at(rest.len().min(LINE));
            text.push_str(line);
            text.push('\n');
            rest = more;
        }
        text.push_str("-----END OPENSSH PRIVATE KEY-----\n");
        text
    }

    fn public_blob(&self) -> Vec<u8> {
        let mut blob = Vec::new();
        put(&mut blob, KIND.as_bytes());
        put(&mut blob, &self.public);
        blob
    }
}

/// A `string` of RFC 4251: its length and its bytes.
fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend((bytes.len() as u32).to_be_bytes());
    out.extend(bytes);
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _, process::Command};

    use super::*;
    use crate::model::run::message::SecretHex;

    fn key(digit: &str) -> TransferKey {
        TransferKey::new(&SecretHex(digit.repeat(64))).expect("64 digits")
    }

    #[test]
    fn ssh_keygen_reads_the_private_key_and_finds_the_same_public_one() {
        let dir = tempfile::tempdir().expect("a folder");
        for pair in [Pair::of_host(&key("a")), Pair::of_client(&key("a"))] {
            let path = dir.path().join("key");
            fs::write(&path, pair.private_file()).expect("written");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("its own");
            let done = Command::new("ssh-keygen").arg("-y").arg("-f").arg(&path).output().expect("installed");
            assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
            assert_eq!(
                String::from_utf8_lossy(&done.stdout).trim(),
                format!("{} nicburn", pair.public_line())
            );
        }
    }

    #[test]
    fn both_ends_draw_the_same_pair_and_other_transfers_others() {
        assert_eq!(Pair::of_host(&key("a")).public_line(), Pair::of_host(&key("a")).public_line());
        assert_ne!(Pair::of_host(&key("a")).public_line(), Pair::of_host(&key("b")).public_line());
        assert_ne!(Pair::of_host(&key("a")).public_line(), Pair::of_client(&key("a")).public_line());
    }
}
