//! Whom the gateway trusts where it is the one that connects, to a Redis, a backend or a webhook: the authorities of the
//! host, and those of `--ca-file`.

use std::io;
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

/// Authorities that are trusted beside the host's.
#[derive(Debug, Clone, Default)]
pub(crate) struct Authorities(Arc<[CertificateDer<'static>]>);

impl Authorities {
    /// Reads certificates in PEM.
    ///
    /// # Errors
    /// What is wrong with the text, for the operator.
    pub(crate) fn read(text: &[u8]) -> Result<Self, String> {
        let mut certificates = Vec::new();
        for (number, certificate) in (1..).zip(CertificateDer::pem_slice_iter(text)) {
            let certificate = certificate.map_err(|error| format!("is no PEM: {error}"))?;
            RootCertStore::empty()
                .add(certificate.clone())
                .map_err(|error| format!("certificate {number} cannot be used: {error}"))?;
            certificates.push(certificate);
        }
        match certificates.is_empty() {
            true => Err("holds no certificate in PEM".to_owned()),
            false => Ok(Self(certificates.into())),
        }
    }

    /// Those of the host and these, as rustls takes them.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) fn with_host(&self) -> io::Result<RootCertStore> {
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(self.all());
        match store.is_empty() {
            true => Err(io::Error::new(
                io::ErrorKind::NotFound,
                "this host has no root certificates; name some with --ca-file",
            )),
            false => Ok(store),
        }
    }

    /// Those of the host and these, in PEM. What cannot be used is left out.
    pub(crate) fn with_host_pem(&self) -> Vec<u8> {
        let mut pem = String::new();
        for certificate in self.all() {
            if RootCertStore::empty().add(certificate.clone()).is_ok() {
                let text = BASE64_STANDARD.encode(&certificate);
                pem.push_str(&format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n"));
            }
        }
        pem.into_bytes()
    }

    fn all(&self) -> impl Iterator<Item = CertificateDer<'static>> {
        let host = rustls_native_certs::load_native_certs();
        if let Some(error) = host.errors.first() {
            tracing::warn!(event = "host_certificates_unreadable", %error);
        }
        host.certs.into_iter().chain(self.0.iter().cloned())
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    fn pem() -> String {
        let key = KeyPair::generate().expect("a key");
        let certificate = CertificateParams::new(vec!["redis".to_owned()]).expect("names");
        certificate.self_signed(&key).expect("a certificate").pem()
    }

    #[test]
    fn certificates_are_read_and_trusted_beside_the_hosts() {
        let (one, other) = (pem(), pem());
        let own = Authorities::read(format!("# ours\n{one}{other}").as_bytes()).expect("two of them");
        let host = Authorities::default().all().count();
        assert_eq!(own.all().count(), host + 2);
        assert!(own.with_host().expect("some").len() >= 2);
        let again = Authorities::read(&own.with_host_pem()).expect("what we wrote");
        assert!(own.0.iter().all(|certificate| again.0.contains(certificate)));
    }

    #[test]
    fn what_is_no_certificate_is_named() {
        let error = |text: &str| Authorities::read(text.as_bytes()).expect_err(text);
        assert_eq!(error(""), "holds no certificate in PEM");
        assert_eq!(error("hello"), "holds no certificate in PEM");
        let key = KeyPair::generate().expect("a key").serialize_pem();
        assert_eq!(error(&key), "holds no certificate in PEM");
        assert!(error("-----BEGIN CERTIFICATE-----\nAAAA\n").starts_with("is no PEM"));
        let junk = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(error(&format!("{}{junk}", pem())).starts_with("certificate 2 cannot be used"));
    }
}
