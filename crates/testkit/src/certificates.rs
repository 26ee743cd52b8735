use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// A region's authority and the certificates of its services, made by `bulkhead admin ca` as an operator makes them.
#[derive(Clone, Debug)]
pub struct Certificates {
    binary: PathBuf,
    folder: PathBuf,
    region: String,
}

impl Certificates {
    /// The authority of `region` in `folder`; made when it is missing.
    pub fn of(binary: &Path, folder: &Path, region: &str) -> Result<Self> {
        let certificates =
            Self { binary: binary.to_owned(), folder: folder.to_owned(), region: region.to_owned() };
        if !folder.join("ca/ca.pem").exists() {
            certificates.admin(&["init"])?;
        }
        Ok(certificates)
    }

    /// Issues a certificate for a service, in place of the one that is there. `more` are further arguments, like
    /// `["--hours", "1"]`.
    pub fn issue(&self, service: &str, more: &[&str]) -> Result<()> {
        let out = self.out().display().to_string();
        let mut arguments = vec!["issue", "--service", service, "--out", &out, "--replace"];
        arguments.extend(more);
        self.admin(&arguments)
    }

    /// The `[identity]` section of a service's configuration.
    pub fn section(&self, service: &str) -> String {
        let out = self.out();
        let out = out.display();
        format!(
            "[identity]\nca_file = \"{out}/ca.pem\"\ncertificate_file = \"{out}/{service}.pem\"\n\
             key_file = \"{out}/{service}.key\"\n"
        )
    }

    /// Where the certificates are: `ca.pem`, and `<service>.pem` and `<service>.key` for each service.
    pub fn out(&self) -> PathBuf {
        self.folder.join("issued")
    }

    fn admin(&self, arguments: &[&str]) -> Result<()> {
        let ca = self.folder.join("ca");
        let output = Command::new(&self.binary)
            .args(["admin", "ca"])
            .args(arguments)
            .args(["--region", &self.region, "--dir"])
            .arg(ca)
            .output()
            .with_context(|| format!("start {}", self.binary.display()))?;
        if !output.status.success() {
            bail!("bulkhead admin ca {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(())
    }
}
