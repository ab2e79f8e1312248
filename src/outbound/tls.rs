//! Whose certificates are believed.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

use crate::outbound::SendError;

/// What Debian's package ca-certificates keeps.
const SYSTEM: &str = "/etc/ssl/certs/ca-certificates.crt";

/// The certificates that a server's has to be signed by: those in `ca`, else the system's.
pub(super) fn roots(ca: Option<&PathBuf>) -> Result<Vec<CertificateDer<'static>>, SendError> {
    let path = ca.map_or(Path::new(SYSTEM), PathBuf::as_path);
    let wrong = |why: &dyn std::fmt::Display| {
        SendError::Later(format!(
            "cannot read certificates from {}: {why}; sudo apt install ca-certificates, or name \
             your own with ca = \"FILE\"",
            path.display()
        ))
    };
    let text = fs::read(path).map_err(|error| wrong(&error))?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let found = found.map_err(|error| wrong(&error))?;
    if found.is_empty() {
        return Err(wrong(&"there are none"));
    }
    Ok(found)
}

/// A client that believes them.
pub(super) fn client(ca: Option<&PathBuf>) -> Result<Arc<ClientConfig>, SendError> {
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(roots(ca)?);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(SendError::later)?
        .with_root_certificates(store)
        .with_no_client_auth();
    Ok(Arc::new(config))
}
