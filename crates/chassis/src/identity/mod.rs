//! Who this process is to the other services: certificates from files, looked at again while it runs, and the regional
//! authority that issues them.

mod authority;
mod reload;

use std::path::{Path, PathBuf};

pub use authority::{Authority, Issued, Order};
pub use reload::IdentitySource;

use bulkhead_rpc::Identity;
use bulkhead_rpc::identity::{CredentialTexts, Credentials, CredentialsError, ServiceName};
use zeroize::Zeroizing;

use crate::reload::Reloader;
use crate::{StartError, read_private};

/// Largest file of certificates, in bytes.
const CERTIFICATES_BYTES_MAX: u64 = 1024 * 1024;

/// The three PEM files of a node's identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityFiles {
    /// The region's authority.
    pub authority: PathBuf,
    /// The node's own certificate.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// Reads the files of a node that is `name`. `Usage`, with the setting and the file, when the other services would refuse
/// what is in them; `Io` when one cannot be read.
pub fn load(
    files: IdentityFiles,
    name: ServiceName,
) -> Result<(Identity, Reloader<IdentitySource>), StartError> {
    let texts = Texts::read(&files)?;
    let credentials = texts.credentials(&files, name)?;
    reload::show_expiry(&credentials);
    let identity = Identity::new(credentials);
    let source = IdentitySource { identity: identity.clone(), files, name };
    Ok((identity, Reloader::new(source, texts)))
}

/// What the files hold.
#[derive(PartialEq, Eq)]
pub struct Texts {
    authority: Vec<u8>,
    certificate: Vec<u8>,
    key: Zeroizing<Vec<u8>>,
}

impl Texts {
    fn read(files: &IdentityFiles) -> Result<Self, StartError> {
        Ok(Self {
            authority: read(&files.authority)?,
            certificate: read(&files.certificate)?,
            key: read_private(&files.key)?,
        })
    }

    fn credentials(&self, files: &IdentityFiles, name: ServiceName) -> Result<Credentials, StartError> {
        let texts =
            CredentialTexts { authority: &self.authority, certificate: &self.certificate, key: &self.key };
        Credentials::read(name, &texts).map_err(|error| {
            let (setting, file, what) = match &error {
                CredentialsError::Authority(what) => ("identity.ca_file", &files.authority, what),
                CredentialsError::Certificate(what) => {
                    ("identity.certificate_file", &files.certificate, what)
                }
                CredentialsError::Key(what) => ("identity.key_file", &files.key, what),
            };
            StartError::Usage(format!("{setting}: {} {what}", file.display()))
        })
    }
}

pub(crate) fn read(path: &Path) -> Result<Vec<u8>, StartError> {
    use std::io::Read;
    let failed = |error| StartError::file(path, &error);
    let mut text = Vec::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(CERTIFICATES_BYTES_MAX).read_to_end(&mut text).map_err(failed)?;
    Ok(text)
}
