//! Who is who: one certificate authority a run, one certificate a worker, and secrets.
//!
//! A certificate proves which worker speaks; whether a name may have one is the
//! coordinator's decision.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs::{self, DirBuilder},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PublicKeyData, SanType, SignatureAlgorithm,
};
use ring::rand::SecureRandom;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, pem::PemObject};

use super::{error::WireError, join::write_secret};
use crate::model::{fleet::host::HostName, run::message::SecretHex};

/// The name in the coordinator's certificate. Workers ask for it whatever its address is:
/// addresses of machines on test change, and the authority signs for one coordinator only.
pub(super) const COORDINATOR_NAME: &str = "coordinator.nicburn";

/// How long certificates are good before they were issued: clocks of coordinators step too.
const VALID_BEFORE: Duration = Duration::from_secs(24 * 3600);

/// How long certificates are good after: far longer than any run.
const VALID_AFTER: Duration = Duration::from_secs(30 * 24 * 3600);

/// Bytes of an uncompressed point of P-256: the mark 4, and two coordinates.
const P256_POINT_BYTES: usize = 65;

/// One certificate authority a run.
pub struct RunAuthority {
    run: String,
    ca: Issuer<'static, KeyPair>,
    ca_certificate: Certificate,
    server_certificate: CertificateDer<'static>,
    server_key: KeyPair,
    issued_at: Duration,
    /// Names by the fingerprint of the one certificate that is good for them.
    names: Mutex<BTreeMap<[u8; 32], HostName>>,
}

impl RunAuthority {
    /// A new authority, its certificates good from now.
    pub fn new(run: &str) -> Result<Self, WireError> {
        Self::issued_at(run, SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
    }

    /// A new authority, its certificates good from `at`, counted from 1970.
    pub(super) fn issued_at(run: &str, at: Duration) -> Result<Self, WireError> {
        let fault = certificate_fault("make the run's certificate authority");
        let ca_key = KeyPair::generate().map_err(&fault)?;
        let mut params = validity(at);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params.distinguished_name.push(DnType::CommonName, format!("nicburn run {run}"));
        let ca_certificate = params.self_signed(&ca_key).map_err(&fault)?;
        let ca = Issuer::new(params, ca_key);

        let server_key = KeyPair::generate().map_err(&fault)?;
        let mut params = validity(at);
        params.subject_alt_names = vec![SanType::DnsName(COORDINATOR_NAME.try_into().map_err(&fault)?)];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let server_certificate = params.signed_by(&server_key, &ca).map_err(&fault)?.der().clone();
        let names = Mutex::default();
        Ok(Self {
            run: run.to_owned(),
            ca,
            ca_certificate,
            server_certificate,
            server_key,
            issued_at: at,
            names,
        })
    }

    /// The authority's certificate, for the join file.
    pub fn ca_pem(&self) -> String {
        self.ca_certificate.pem()
    }

    /// When its certificates were issued, in seconds since 1970, for the join file.
    pub fn issued_at_unix_s(&self) -> u64 {
        self.issued_at.as_secs()
    }

    /// Signs a worker's public key (hex of the raw P-256 point); remembers the certificate as
    /// this name's, and forgets the one before. PEM text.
    pub fn issue(&self, name: &HostName, public_key_hex: &str) -> Result<String, WireError> {
        let doing = "sign a worker's key";
        let fault = certificate_fault(doing);
        let point = from_hex(public_key_hex).filter(|point| point.len() == P256_POINT_BYTES && point[0] == 4);
        let Some(point) = point else {
            let why = format!(
                "it is no uncompressed P-256 point of {P256_POINT_BYTES} bytes in hexadecimal digits"
            );
            return Err(WireError::Certificate { doing, why });
        };
        let mut params = validity(self.issued_at.max(now()));
        params.subject_alt_names =
            vec![SanType::URI(format!("nicburn:worker:{name}").try_into().map_err(&fault)?)];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let certificate = params.signed_by(&WorkerKey(point), &self.ca).map_err(&fault)?;

        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        names.retain(|_, known| known != name);
        names.insert(fingerprint(certificate.der()), name.clone());
        Ok(certificate.pem())
    }

    /// Writes the authority's key and certificate to `dir/RUN.key` and `dir/RUN.pem`, mode
    /// 0600 in a folder of mode 0700.
    pub fn save(&self, dir: &Path) -> Result<(), WireError> {
        let fault = |path: &Path, why: String| WireError::File {
            doing: "keep the run's key in",
            path: path.to_owned(),
            why,
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .map_err(|error| fault(dir, error.to_string()))?;
        check_private(dir).map_err(|why| fault(dir, why))?;
        let key = self.ca.key().serialize_pem();
        let stem = self.run.replace('/', "_");
        for (name, text) in [(format!("{stem}.key"), key), (format!("{stem}.pem"), self.ca_pem())] {
            let path: PathBuf = dir.join(name);
            write_secret(&path, text.as_bytes()).map_err(|error| fault(&path, error.to_string()))?;
        }
        Ok(())
    }

    /// Whose certificate this is; the caller has had its chain verified.
    pub(super) fn name_of(&self, certificate: &CertificateDer<'_>) -> Option<HostName> {
        let names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        names.get(&fingerprint(certificate)).cloned()
    }

    /// The authority's certificate, as TLS takes it.
    pub(super) fn ca_der(&self) -> CertificateDer<'static> {
        self.ca_certificate.der().clone()
    }

    /// The coordinator's own certificate and key.
    pub(super) fn server(&self) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
        (self.server_certificate.clone(), private_key(&self.server_key))
    }
}

/// A worker's key and the certificate it was issued.
pub struct WorkerIdentity {
    name: HostName,
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
}

impl WorkerIdentity {
    /// Puts the key that was drawn and the certificate that came for it together.
    pub(super) fn new(name: &HostName, key: &KeyPair, certificate_pem: &str) -> Result<Self, WireError> {
        let certificate = CertificateDer::from_pem_slice(certificate_pem.as_bytes())
            .map_err(certificate_fault("read the certificate that the coordinator issued"))?;
        Ok(Self::from_parts(name, certificate, private_key(key)))
    }

    /// As TLS gave it.
    pub(super) fn from_parts(
        name: &HostName,
        certificate: CertificateDer<'static>,
        key: PrivateKeyDer<'static>,
    ) -> Self {
        Self { name: name.clone(), certificate, key }
    }

    /// The name it was issued for.
    pub const fn name(&self) -> &HostName {
        &self.name
    }

    /// As TLS takes it.
    pub(super) fn parts(&self) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
        (self.certificate.clone(), self.key.clone_key())
    }
}

impl std::fmt::Debug for WorkerIdentity {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("WorkerIdentity").field("name", &self.name).finish_non_exhaustive()
    }
}

/// 32 random bytes as hex.
pub fn random_secret() -> SecretHex {
    let mut bytes = [0; 32];
    ring::rand::SystemRandom::new().fill(&mut bytes).expect("Linux has random bytes once it has booted");
    SecretHex(to_hex(&bytes))
}

/// HMAC-SHA256(secret, label), as hex: how transfer keys are derived from the run's secret.
pub fn derive(secret: &SecretHex, label: &str) -> SecretHex {
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret.0.as_bytes());
    SecretHex(to_hex(ring::hmac::sign(&key, label.as_bytes()).as_ref()))
}

/// A new key pair for a worker.
pub(super) fn worker_key() -> Result<KeyPair, WireError> {
    KeyPair::generate().map_err(certificate_fault("draw a key"))
}

/// Its public half, as a join request carries it.
pub(super) fn public_key_hex(key: &KeyPair) -> String {
    to_hex(key.public_key_raw())
}

/// A worker's public key, of which the authority never sees the private half.
struct WorkerKey(Vec<u8>);

impl PublicKeyData for WorkerKey {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}

/// The wall clock, counted from 1970.
fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// A certificate's parameters, good around `at`, with no names yet.
fn validity(at: Duration) -> CertificateParams {
    let at = rcgen::date_time_ymd(1970, 1, 1) + at;
    let mut params = CertificateParams::default();
    params.not_before = at - VALID_BEFORE;
    params.not_after = at + VALID_AFTER;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.use_authority_key_identifier_extension = true;
    params
}

fn private_key(key: &KeyPair) -> PrivateKeyDer<'static> {
    PrivatePkcs8KeyDer::from(key.serialize_der()).into()
}

fn fingerprint(certificate: &CertificateDer<'_>) -> [u8; 32] {
    let digest = ring::digest::digest(&ring::digest::SHA256, certificate);
    digest.as_ref().try_into().expect("SHA-256 has 32 bytes")
}

/// For `map_err`: what was being done with keys or certificates.
pub(super) fn certificate_fault<E: ToString>(doing: &'static str) -> impl Fn(E) -> WireError {
    move |error| WireError::Certificate { doing, why: error.to_string() }
}

/// A folder for keys must be a folder, and no other user's to read or write.
fn check_private(dir: &Path) -> Result<(), String> {
    use std::os::unix::fs::PermissionsExt;
    let there = fs::symlink_metadata(dir).map_err(|error| error.to_string())?;
    if !there.is_dir() {
        return Err("it is no folder, perhaps a link; remove it".to_owned());
    }
    let mode = there.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(format!("its mode is {mode:04o}, so others can get at the key; chmod it to 0700"));
    }
    Ok(())
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn name(text: &str) -> HostName {
        text.parse().unwrap()
    }

    fn der(pem: &str) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()
    }

    #[test]
    fn a_certificate_is_known_until_its_name_gets_another() {
        let authority = RunAuthority::new("run-1").unwrap();
        let issue = |to: &str| authority.issue(&name(to), &public_key_hex(&worker_key().unwrap())).unwrap();
        let (first, other) = (issue("h1"), issue("h2"));
        assert_eq!(authority.name_of(&der(&first)), Some(name("h1")));
        let second = issue("h1");
        assert_eq!(authority.name_of(&der(&first)), None);
        assert_eq!(authority.name_of(&der(&second)), Some(name("h1")));
        assert_eq!(authority.name_of(&der(&other)), Some(name("h2")));
    }

    #[test]
    fn what_is_no_point_is_not_signed() {
        let authority = RunAuthority::new("run-1").unwrap();
        for bad in ["", "04", &"zz".repeat(65), &"02".repeat(65), &"04".repeat(66), "ü"] {
            assert!(matches!(authority.issue(&name("h1"), bad), Err(WireError::Certificate { .. })), "{bad}");
        }
    }

    #[test]
    fn the_runs_key_lies_where_nobody_else_reads() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        let authority = RunAuthority::new("run-1").unwrap();
        authority.save(&state).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&state), mode(&state.join("run-1.key"))), (0o700, 0o600));
        let read = KeyPair::from_pem(&fs::read_to_string(state.join("run-1.key")).unwrap()).unwrap();
        assert_eq!(read.public_key_raw(), authority.ca.key().public_key_raw());

        fs::set_permissions(&state, fs::Permissions::from_mode(0o750)).unwrap();
        assert!(authority.save(&state).unwrap_err().to_string().contains("chmod it to 0700"));
    }

    #[test]
    fn secrets_differ_and_derived_ones_depend_on_both_parts() {
        let (a, b) = (random_secret(), random_secret());
        assert_eq!(a.0.len(), 64);
        assert_ne!(a, b);
        assert_eq!(derive(&a, "flow 1"), derive(&a, "flow 1"));
        assert_ne!(derive(&a, "flow 1"), derive(&a, "flow 2"));
        assert_ne!(derive(&a, "flow 1"), derive(&b, "flow 1"));
    }
}
