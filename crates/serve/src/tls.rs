//! TLS by rustls, where certificates are given. Renewed files are taken over while the server runs.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use tastemaker_core::Clock;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::Error;

/// Seconds between two looks at the files.
const LOOK: f64 = 60.0;

/// Files in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// The server's certificate, then those that it rests on.
    pub chain: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

type Changed = [Option<SystemTime>; 2];

struct Now {
    acceptor: TlsAcceptor,
    changed: Changed,
    looked_at: f64,
}

/// Makes connections secret.
pub(crate) struct Tls {
    files: Certificate,
    now: Mutex<Now>,
    clock: Arc<dyn Clock>,
}

impl Tls {
    /// Reads the files.
    pub(crate) fn new(files: Certificate, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        let acceptor = acceptor(&files)?;
        let now = Now { acceptor, changed: changed(&files), looked_at: clock.seconds() };
        Ok(Self { files, now: Mutex::new(now), clock })
    }

    /// Returns what new connections are made with. Files that have become bad are told, and the last good ones stay.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        if self.clock.seconds() - now.looked_at >= LOOK {
            now.looked_at = self.clock.seconds();
            let changed = changed(&self.files);
            if changed != now.changed {
                match acceptor(&self.files) {
                    Ok(acceptor) => (now.acceptor, now.changed) = (acceptor, changed),
                    Err(error) => tracing::warn!("the certificate before stays: {error}"),
                }
            }
        }
        now.acceptor.clone()
    }
}

/// Returns when each of the files was written.
fn changed(files: &Certificate) -> Changed {
    let at = |path: &Path| path.metadata().and_then(|about| about.modified()).ok();
    [at(&files.chain), at(&files.key)]
}

fn acceptor(files: &Certificate) -> Result<TlsAcceptor, Error> {
    let bad =
        |path: &Path, why: String| Error::Certificate { path: path.display().to_string(), why };
    let read = |path: &Path| std::fs::read(path).map_err(|error| bad(path, error.to_string()));
    let chain = read(&files.chain)?;
    let chain: Result<Vec<CertificateDer<'static>>, _> =
        CertificateDer::pem_slice_iter(&chain).collect();
    let chain = chain.map_err(|error| bad(&files.chain, error.to_string()))?;
    if chain.is_empty() {
        return Err(bad(&files.chain, "it holds no certificate in PEM".into()));
    }
    let key = PrivateKeyDer::from_pem_slice(&read(&files.key)?)
        .map_err(|error| bad(&files.key, error.to_string()))?;
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| bad(&files.chain, error.to_string()))?
        .with_no_client_auth()
        .with_single_cert(chain, key);
    let mut config = config.map_err(|error| bad(&files.key, error.to_string()))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[derive(Default)]
    struct Hand(AtomicU64);

    impl Clock for Hand {
        fn seconds(&self) -> f64 {
            self.0.load(Ordering::SeqCst) as f64
        }

        fn unix_seconds(&self) -> i64 {
            0
        }
    }

    fn copy(from: &str, files: &Certificate, at: u64) {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/api/fixtures");
        for (end, to) in [("chain", &files.chain), ("key", &files.key)] {
            std::fs::copy(fixtures.join(format!("{from}.{end}.pem")), to).unwrap();
            let time = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(at);
            std::fs::File::options().append(true).open(to).unwrap().set_modified(time).unwrap();
        }
    }

    #[test]
    fn renewed_files_are_taken_over_and_bad_ones_are_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let files = Certificate { chain: path("chain.pem"), key: path("key.pem") };
        copy("one", &files, 1);
        let clock = Arc::new(Hand::default());
        let tls = Tls::new(files.clone(), clock.clone()).unwrap();
        let now = || Arc::as_ptr(tls.acceptor().config());
        let first = now();
        copy("two", &files, 2);
        assert_eq!(now(), first, "it looks once a minute");
        clock.0.store(60, Ordering::SeqCst);
        let second = now();
        assert_ne!(second, first);
        std::fs::write(&files.key, "no key").unwrap();
        clock.0.store(120, Ordering::SeqCst);
        assert_eq!(now(), second, "the last good one stays");
    }
}
