use std::fs::{self, File};
use std::io::{self, Write};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use bulkhead_model::Region;
use bulkhead_rpc::Service;
use bulkhead_rpc::identity::{ServiceName, authority_region};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, SanType,
};

use super::IdentityFiles;
use crate::{StartError, read_private, write_private};

/// Life of an authority's certificate.
const AUTHORITY_LIFE: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// A certificate is valid from a little before now, because clocks differ.
const CLOCKS_DIFFER: Duration = Duration::from_secs(5 * 60);

/// Longest life of a service's certificate, in milliseconds.
pub(crate) const LIFE_MS_MAX: u64 = 90 * 24 * 60 * 60 * 1000;

/// A region's authority, kept as two files in a folder: `ca.pem` and, for its owner alone, `ca.key`.
pub struct Authority {
    region: Region,
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
}

/// What a certificate is to say.
pub struct Order {
    pub service: Service,
    pub now_ms: u64,
    /// 1 ms to 90 days.
    pub life_ms: u64,
    /// Further names of the machine, for other tools; services look at the URI alone.
    pub hosts: Vec<String>,
    pub addresses: Vec<IpAddr>,
}

/// What was issued.
#[derive(Debug)]
pub struct Issued {
    pub name: ServiceName,
    pub files: IdentityFiles,
    /// Unix milliseconds.
    pub expires_ms: u64,
}

impl Authority {
    /// Makes an authority in a folder, which may be new. `Usage` when there is one already.
    pub fn make(folder: &Path, region: Region, now_ms: u64) -> Result<Self, StartError> {
        make_folder(folder)?;
        let failed =
            |error| StartError::Io(format!("{}: cannot make an authority: {error}", folder.display()));
        let mut params = params(region).map_err(failed)?;
        let now = UNIX_EPOCH + Duration::from_millis(now_ms);
        params.not_before = (now - CLOCKS_DIFFER).into();
        params.not_after = (now + AUTHORITY_LIFE).into();
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(failed)?;
        let certificate = params.self_signed(&key).map_err(failed)?.pem();
        // The key first: whoever finds a certificate finds its key too.
        write_new(&Self::key_file(folder), key.serialize_pem().as_bytes(), 0o600)?;
        write_new(&Self::certificate_file(folder), certificate.as_bytes(), 0o644)?;
        Ok(Self { region, issuer: Issuer::new(params, key), certificate })
    }

    /// Opens the authority of a folder.
    pub fn open(folder: &Path) -> Result<Self, StartError> {
        let file = Self::certificate_file(folder);
        let certificate = fs::read_to_string(&file).map_err(|error| StartError::file(&file, &error))?;
        let wrong = |path: &Path, what: &str| StartError::Usage(format!("{}: {what}", path.display()));
        let region = authority_region(certificate.as_bytes())
            .ok_or_else(|| wrong(&file, "not the certificate of a region's authority"))?;
        let file = Self::key_file(folder);
        let key = read_private(&file)?;
        let key = std::str::from_utf8(&key).ok().and_then(|pem| KeyPair::from_pem(pem).ok());
        let key = key.ok_or_else(|| wrong(&file, "not a PEM private key"))?;
        let params = params(region).map_err(|error| StartError::Io(error.to_string()))?;
        Ok(Self { region, issuer: Issuer::new(params, key), certificate })
    }

    /// The authority's certificate in its folder, which every node of the region is given.
    pub fn certificate_file(folder: &Path) -> PathBuf {
        folder.join("ca.pem")
    }

    /// Its private key in its folder.
    pub fn key_file(folder: &Path) -> PathBuf {
        folder.join("ca.key")
    }

    /// The region that it is for.
    pub fn region(&self) -> Region {
        self.region
    }

    /// Issues a certificate into a folder, as `<service>.pem` and `<service>.key` beside a copy of `ca.pem`. `Usage` for a
    /// life that is too long, and when one is there already, unless `replace` says to take its place: key and
    /// certificate are then replaced one after the other, which a running node bridges.
    pub fn issue(&self, order: &Order, folder: &Path, replace: bool) -> Result<Issued, StartError> {
        if order.life_ms == 0 || order.life_ms > LIFE_MS_MAX {
            return Err(StartError::Usage("a certificate lives at most 90 days".to_owned()));
        }
        make_folder(folder)?;
        let name = ServiceName { region: self.region, service: order.service };
        let files = IdentityFiles {
            authority: Self::certificate_file(folder),
            certificate: folder.join(format!("{}.pem", order.service.name())),
            key: folder.join(format!("{}.key", order.service.name())),
        };
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256);
        let key = key.map_err(|error| StartError::Io(format!("cannot make a key: {error}")))?;
        let certificate = self
            .sign(order, name, &key)
            .map_err(|error| StartError::Usage(format!("cannot issue a certificate for {name}: {error}")))?;
        self.copy_own(&files.authority, replace)?;
        if replace {
            write_private(&files.key, key.serialize_pem().as_bytes())?;
            write_over(&files.certificate, certificate.as_bytes())?;
        } else {
            write_new(&files.key, key.serialize_pem().as_bytes(), 0o600)?;
            write_new(&files.certificate, certificate.as_bytes(), 0o644)?;
        }
        Ok(Issued { name, files, expires_ms: order.now_ms.saturating_add(order.life_ms) })
    }

    fn sign(&self, order: &Order, name: ServiceName, key: &KeyPair) -> Result<String, rcgen::Error> {
        let mut params = CertificateParams::new(order.hosts.clone())?;
        params.subject_alt_names.insert(0, SanType::URI(name.to_string().try_into()?));
        params.subject_alt_names.extend(order.addresses.iter().copied().map(SanType::IpAddress));
        params
            .distinguished_name
            .push(DnType::CommonName, format!("Bulkhead {} {}", name.region, name.service.name()));
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        // A router is called and calls; one certificate serves both.
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        let now = UNIX_EPOCH + Duration::from_millis(order.now_ms);
        params.not_before = (now - CLOCKS_DIFFER).into();
        params.not_after = (now + Duration::from_millis(order.life_ms)).into();
        Ok(params.signed_by(key, &self.issuer)?.pem())
    }

    /// Several services' certificates share a folder; another authority's file is not touched unless told.
    fn copy_own(&self, path: &Path, replace: bool) -> Result<(), StartError> {
        match fs::read(path) {
            Ok(there) if there == self.certificate.as_bytes() => Ok(()),
            Ok(_) if replace => write_over(path, self.certificate.as_bytes()),
            Ok(_) => Err(exists(path)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                write_new(path, self.certificate.as_bytes(), 0o644)
            }
            Err(error) => Err(StartError::file(path, &error)),
        }
    }
}

/// The same whenever the authority is opened: with the kept key they are the kept authority.
fn params(region: Region) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name.push(DnType::CommonName, format!("Bulkhead {region} authority"));
    params.subject_alt_names = vec![SanType::URI(format!("spiffe://bulkhead/{region}").try_into()?)];
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

fn make_folder(folder: &Path) -> Result<(), StartError> {
    fs::create_dir_all(folder).map_err(|error| StartError::file(folder, &error))
}

fn exists(path: &Path) -> StartError {
    StartError::Usage(format!("{} is there already and is not overwritten", path.display()))
}

fn write_new(path: &Path, bytes: &[u8], mode: u32) -> Result<(), StartError> {
    let written = File::options()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()));
    written.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => exists(path),
        _ => StartError::file(path, &error),
    })
}

fn write_over(path: &Path, bytes: &[u8]) -> Result<(), StartError> {
    let beside = path.with_extension("new");
    // A leftover of an interrupted write.
    let _ = fs::remove_file(&beside);
    write_new(&beside, bytes, 0o644)?;
    fs::rename(&beside, path).map_err(|error| StartError::file(path, &error))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::identity::load;

    fn order(life_ms: u64) -> Order {
        use bulkhead_model::Clock;
        let now_ms = crate::SystemClock.now_ms();
        Order {
            service: Service::Router,
            now_ms,
            life_ms,
            hosts: vec!["router.internal".to_owned()],
            addresses: vec!["10.0.0.7".parse().unwrap()],
        }
    }

    #[test]
    fn what_an_authority_issues_after_it_was_opened_again_serves_a_node() {
        let folder = tempfile::tempdir().unwrap();
        let (ca, out) = (folder.path().join("ca"), folder.path().join("out"));
        let order = order(3_600_000);
        assert_eq!(
            Authority::make(&ca, Region::Frankfurt, order.now_ms).unwrap().region(),
            Region::Frankfurt
        );
        let authority = Authority::open(&ca).unwrap();
        assert_eq!(authority.region(), Region::Frankfurt);
        let issued = authority.issue(&order, &out, false).unwrap();
        assert_eq!(issued.name.to_string(), "spiffe://bulkhead/frankfurt/router");
        assert_eq!(issued.expires_ms, order.now_ms + 3_600_000);
        for key in [Authority::key_file(&ca), issued.files.key.clone()] {
            assert_eq!(fs::metadata(key).unwrap().permissions().mode() & 0o777, 0o600);
        }
        load(issued.files, issued.name).unwrap();
    }

    #[test]
    fn nothing_is_overwritten_unless_it_is_told_to_be() {
        let folder = tempfile::tempdir().unwrap();
        let (ca, out) = (folder.path().join("ca"), folder.path().join("out"));
        let order = order(1000);
        let authority = Authority::make(&ca, Region::Singapore, order.now_ms).unwrap();
        assert_eq!(Authority::make(&ca, Region::Singapore, order.now_ms).err().unwrap().code(), 64);
        let first = authority.issue(&order, &out, false).unwrap().files;
        let before = fs::read(&first.certificate).unwrap();
        let refused = authority.issue(&order, &out, false).unwrap_err();
        assert_eq!(refused.code(), 64);
        assert!(refused.to_string().contains("not overwritten"), "{refused}");
        assert_eq!(fs::read(&first.certificate).unwrap(), before);
        let other = Authority::make(&folder.path().join("other"), Region::Singapore, order.now_ms).unwrap();
        let gateway = Order { service: Service::Gateway, ..order };
        assert_eq!(other.issue(&gateway, &out, false).unwrap_err().code(), 64, "another authority's ca.pem");
        authority.issue(&gateway, &out, false).unwrap();
        authority.issue(&Order { service: Service::Router, ..gateway }, &out, true).unwrap();
        assert_ne!(fs::read(&first.certificate).unwrap(), before);
    }

    #[test]
    fn a_certificate_lives_at_most_ninety_days() {
        let folder = tempfile::tempdir().unwrap();
        let authority =
            Authority::make(&folder.path().join("ca"), Region::Singapore, order(1).now_ms).unwrap();
        let out = folder.path().join("out");
        assert_eq!(authority.issue(&order(LIFE_MS_MAX + 1), &out, false).unwrap_err().code(), 64);
        assert_eq!(authority.issue(&order(0), &out, false).unwrap_err().code(), 64);
        assert!(authority.issue(&order(LIFE_MS_MAX), &out, false).is_ok());
    }
}
