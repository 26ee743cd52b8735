//! The region's authority, and nodes that have a certificate, a wrong one, a new one, or none.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use bulkhead_testkit::Certificates;

use crate::roles::{certificates, endpoint, start, start_with};
use crate::support::{Ended, http, run, run_json, stopped_region};

/// Far more than a new certificate takes to be seen.
const LIMIT: Duration = Duration::from_secs(60);

fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

#[test]
fn the_authority_of_a_region_issues_certificates_and_overwrites_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (ca, out) = (text(&folder.path().join("ca")), text(&folder.path().join("out")));
    let init = ["admin", "ca", "init", "--region", "frankfurt", "--dir", &ca];
    let made = run(&init);
    assert_eq!(made.code, 0, "{}", made.err);
    assert!(made.out.contains("Authority of frankfurt") && made.out.contains("ca.pem"), "{}", made.out);
    let mode = |path: String| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(format!("{ca}/ca.key")), 0o600);
    let before = fs::read(format!("{ca}/ca.key")).unwrap();
    let again = run(&init);
    assert_eq!(again.code, 64, "{}", again.err);
    assert!(again.err.contains("not overwritten"), "{}", again.err);
    assert_eq!(fs::read(format!("{ca}/ca.key")).unwrap(), before);

    let issue = |further: &[&str]| {
        let mut arguments = vec!["admin", "--json", "ca", "issue", "--dir", &ca, "--out", &out];
        arguments.extend(further);
        run(&arguments)
    };
    let issued =
        run_json(&["admin", "--json", "ca", "issue", "--dir", &ca, "--out", &out, "--service", "router"]);
    assert_eq!(issued["name"], "spiffe://bulkhead/frankfurt/router");
    assert_eq!(issued["certificate_file"], format!("{out}/router.pem"));
    assert_eq!(mode(format!("{out}/router.key")), 0o600);
    assert_eq!(fs::read(format!("{out}/ca.pem")).unwrap(), fs::read(format!("{ca}/ca.pem")).unwrap());
    assert!(!Path::new(&out).join("ca.key").exists(), "the authority's key stays where it is");

    assert_eq!(issue(&["--service", "router"]).code, 64);
    assert_eq!(issue(&["--service", "router", "--replace"]).code, 0);
    assert_eq!(
        issue(&["--service", "gateway", "--hours", "1", "--dns", "gateway.local", "--ip", "10.0.0.7"]).code,
        0
    );
    assert_eq!(issue(&["--service", "auth", "--days", "90"]).code, 0);
    assert_eq!(issue(&["--service", "storage", "--days", "91"]).code, 64);
    assert_eq!(issue(&["--service", "redis"]).code, 64);
    let none = text(&folder.path().join("none"));
    assert_eq!(run(&["admin", "ca", "issue", "--dir", &none, "--out", &out, "--service", "auth"]).code, 74);
}

/// Starts a storage service that must not start.
fn refused(folder: &Path, identity: &str) -> String {
    let file = folder.join("storage.toml");
    let (data, key) = (folder.display(), folder.join("region.key"));
    let settings = format!(
        "region = \"singapore\"\n[storage]\nlisten = \"127.0.0.1:0\"\ndata_dir = \"{data}\"\n\
         region_key_file = \"{}\"\n{identity}",
        key.display()
    );
    fs::write(&file, settings).unwrap();
    let Ended { code, err, .. } = run(&["storage", "--config", &text(&file)]);
    assert_eq!(code, 64, "{err}");
    err
}

#[test]
fn a_node_refuses_to_start_with_what_the_others_would_refuse_and_names_the_setting() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let binary = Path::new(env!("CARGO_BIN_EXE_bulkhead"));
    let own = certificates(folder);
    let of = |name: &str, region| Certificates::of(binary, &folder.join(name), region).unwrap();
    let (stranger, foreign) = (of("stranger", "singapore"), of("foreign", "frankfurt"));
    for certificates in [&own, &stranger, &foreign] {
        for service in ["storage", "gateway"] {
            certificates.issue(service, &[]).unwrap();
        }
    }
    let section = |ca: &Path, certificate: &Path, key: &Path| {
        format!(
            "[identity]\nca_file = \"{}\"\ncertificate_file = \"{}\"\nkey_file = \"{}\"\n",
            ca.display(),
            certificate.display(),
            key.display()
        )
    };
    let file = |certificates: &Certificates, name: &str| certificates.out().join(name);
    let (ca, certificate, key) = (file(&own, "ca.pem"), file(&own, "storage.pem"), file(&own, "storage.key"));
    for (identity, said) in [
        (String::new(), "identity.ca_file: must be set"),
        (foreign.section("storage"), "identity.ca_file: "),
        (section(&ca, &file(&foreign, "storage.pem"), &file(&foreign, "storage.key")), "is another region's"),
        (
            section(&ca, &file(&stranger, "storage.pem"), &file(&stranger, "storage.key")),
            "identity.certificate_file: ",
        ),
        (own.section("gateway"), "is one of gateway, not of storage"),
        (section(&ca, &certificate, &file(&own, "gateway.key")), "identity.key_file: "),
        (format!("{}insecure = true\n", own.section("storage")), "identity.insecure: "),
    ] {
        let err = refused(folder, &identity);
        assert!(err.contains(said), "{said}: {err}");
    }
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let err = refused(folder, &own.section("storage"));
    assert!(err.contains("chmod 600") && err.contains("storage.key"), "{err}");
}

#[test]
fn without_certificates_a_node_starts_on_loopback_only_and_says_so_loudly() {
    let folder = stopped_region();
    let insecure = "identity.insecure = true\n";
    let (data, key) = (folder.path().display(), folder.path().join("region.key"));
    let storage =
        format!("{insecure}[storage]\ndata_dir = \"{data}\"\nregion_key_file = \"{}\"\n", key.display());
    let file = folder.path().join("everywhere.toml");
    let everywhere = storage.replace("[storage]\n", "[storage]\nlisten = \"0.0.0.0:0\"\n");
    fs::write(&file, format!("region = \"singapore\"\n{everywhere}")).unwrap();
    let refused = run(&["storage", "--config", &text(&file)]);
    assert_eq!(refused.code, 64, "{}", refused.err);
    assert!(refused.err.contains("storage.listen: must be a loopback address"), "{}", refused.err);

    let (storage, storage_at) = start_with(folder.path(), "storage", &storage);
    let to_storage = endpoint("storage", &storage_at).replace("https://", "http://");
    let (auth, auth_at) = start_with(folder.path(), "auth", &format!("{insecure}{to_storage}"));
    let shown = run_json(&["admin", "--auth", &format!("http://{auth_at}"), "--json", "app", "list"]);
    assert_eq!(shown.as_array().unwrap().len(), 1);
    // `start_with` has read past the warning; the file of a second start shows it.
    assert_eq!(auth.stop().code, 0);
    let auth = crate::support::Running::start(&["auth", "--config", &text(&folder.path().join("auth.toml"))]);
    auth.err_line("identity.insecure is set");
    auth.err_line("ready");
    assert_eq!(auth.stop().code, 0);
    assert_eq!(storage.stop().code, 0);
}

/// Asks the auth service for its apps with the console's certificate of an authority.
fn list_apps(certificates: &Certificates, url: &str) -> Ended {
    let file = |name: &str| text(&certificates.out().join(name));
    let (ca, certificate, key) = (file("ca.pem"), file("console.pem"), file("console.key"));
    let mut arguments = vec!["admin", "--auth", url, "--ca-file", &ca, "--certificate-file", &certificate];
    arguments.extend(["--key-file", &key, "app", "list"]);
    run(&arguments)
}

#[tokio::test]
async fn a_running_node_takes_new_certificates_keeps_the_old_ones_when_they_are_bad_and_counts_whom_it_refuses()
 {
    let folder = stopped_region();
    let (data, key) = (folder.path().display(), folder.path().join("region.key"));
    let storage = format!("[storage]\ndata_dir = \"{data}\"\nregion_key_file = \"{}\"\n", key.display());
    let (storage, storage_at) = start(folder.path(), "storage", &storage);
    let monitor = {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        taken.local_addr().unwrap()
    };
    let settings = format!("[monitor]\nlisten = \"{monitor}\"\n{}", endpoint("storage", &storage_at));
    let (auth, auth_at) = start(folder.path(), "auth", &settings);
    let url = format!("https://{auth_at}");

    let first = certificates(folder.path());
    let binary = Path::new(env!("CARGO_BIN_EXE_bulkhead"));
    let second = Certificates::of(binary, &folder.path().join("second"), "singapore").unwrap();
    for certificates in [&first, &second] {
        certificates.issue("console", &[]).unwrap();
        certificates.issue("auth", &[]).unwrap();
    }
    let listed = list_apps(&first, &url);
    assert_eq!(listed.code, 0, "{}", listed.err);
    assert_eq!(list_apps(&second, &url).code, 1);

    // While one authority replaces another, both are trusted: the console's certificate of the second is taken then.
    let both = [first.out().join("ca.pem"), second.out().join("ca.pem")]
        .map(|file| fs::read_to_string(file).unwrap());
    let out = folder.path().join("second-console");
    fs::create_dir_all(&out).unwrap();
    fs::write(first.out().join("ca.pem"), both.concat()).unwrap();
    fs::write(second.out().join("ca.pem"), both.concat()).unwrap();
    auth.err_line("a new certificate is in use");
    let listed = list_apps(&second, &url);
    assert_eq!(listed.code, 0, "{}", listed.err);

    // A bad file changes nothing.
    let good = fs::read(first.out().join("auth.pem")).unwrap();
    fs::write(first.out().join("auth.pem"), "nonsense").unwrap();
    let line = auth.err_line("a new certificate is not taken");
    assert!(line.contains("ERROR") && line.contains("identity.certificate_file"), "{line}");
    assert_eq!(list_apps(&second, &url).code, 0);
    fs::write(first.out().join("auth.pem"), good).unwrap();

    // One whose authority is not trusted is refused and counted.
    let third = Certificates::of(binary, &folder.path().join("third"), "singapore").unwrap();
    third.issue("console", &[]).unwrap();
    let trusting = fs::read_to_string(third.out().join("ca.pem")).unwrap() + &both[0];
    fs::write(third.out().join("ca.pem"), trusting).unwrap();
    assert_eq!(list_apps(&third, &url).code, 1);
    let counted = "bulkhead_handshakes_refused_total{reason=\"other_ca\",side=\"called\"} ";
    let since = Instant::now();
    loop {
        let metrics =
            http().get(format!("http://{monitor}/metrics")).send().await.unwrap().text().await.unwrap();
        if metrics.contains(counted) && metrics.contains("bulkhead_identity_expires_timestamp_seconds") {
            break;
        }
        assert!(since.elapsed() < LIMIT, "{metrics}");
    }
    assert_eq!(auth.stop().code, 0);
    assert_eq!(storage.stop().code, 0);
}
