use super::*;

const GATEWAY: &str = r#"
    region = "singapore"
    [endpoints.auth]
    url = "https://127.0.0.1:7101"
    region = "singapore"
    [endpoints.router]
    url = "https://127.0.0.1:7102"
    region = "singapore"
    [endpoints.storage]
    url = "https://127.0.0.1:7103"
    region = "singapore"
"#;

/// What every node needs, before the first section.
const IDENTITY: &str =
    "identity = { ca_file = \"ca\", certificate_file = \"certificate\", key_file = \"key\" }\n";

fn read(role: Role, file: &str, environment: &[(&str, &str)]) -> Result<Config, String> {
    let file = if file.contains("identity") { file.to_owned() } else { format!("{IDENTITY}{file}") };
    let environment = environment.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    Config::read(role, "node.toml", &file, environment).map_err(|error| {
        assert_eq!(error.code(), 64);
        error.to_string()
    })
}

fn problems(role: Role, file: &str, environment: &[(&str, &str)]) -> Vec<String> {
    let text = read(role, file, environment).err().expect("the configuration is refused");
    text.lines().skip(1).map(|line| line.trim().to_owned()).collect()
}

#[test]
fn a_file_needs_only_what_differs_from_the_defaults() {
    let config = read(Role::Gateway, GATEWAY, &[]).unwrap();
    assert_eq!(config.region, Region::Singapore);
    assert_eq!(config.listen, "127.0.0.1:8080".parse().unwrap());
    assert_eq!(config.log.format, LogFormat::Text);
    assert_eq!(config.monitor, None);
    assert_eq!(config.gateway.limits.idle_limit_ms, 120_000);
    assert_eq!(config.endpoints.auth, "https://127.0.0.1:7101");
    assert_eq!(config.endpoints.storage, "https://127.0.0.1:7103");
    assert!(config.objects.is_none());
}

#[test]
fn the_environment_overrules_the_file_and_the_file_the_defaults() {
    let file = format!("{GATEWAY}\n[gateway]\nlisten = \"127.0.0.1:1\"\nbody_bytes_max = 77\n");
    let environment = [
        ("BULKHEAD_GATEWAY__LISTEN", "127.0.0.1:2"),
        ("BULKHEAD_LOG__FORMAT", "json"),
        ("BULKHEAD_GATEWAY__APP_RATE_PER_S", "5"),
        ("BULKHEAD_HOMES__FRANKFURT", "https://fra.example.com"),
        ("PATH", "/bin"),
    ];
    let config = read(Role::Gateway, &file, &environment).unwrap();
    assert_eq!(config.listen, "127.0.0.1:2".parse().unwrap());
    assert_eq!(config.log.format, LogFormat::Json);
    assert_eq!(config.gateway.limits.body_bytes_max, 77);
    assert_eq!(config.gateway.limits.app_rate_per_s, 5);
    assert_eq!(config.homes[&Region::Frankfurt], "https://fra.example.com");
}

#[test]
fn the_region_has_no_default() {
    let found = problems(Role::Storage, "storage.region_key_file = \"key\"", &[]);
    assert_eq!(found, ["region: must be set to singapore, frankfurt or virginia"]);
}

#[test]
fn every_problem_is_reported_at_once_with_the_name_of_its_key() {
    let file = r#"
        region = "atlantis"
        colour = "blue"
        [gateway]
        listen = 8080
        idle_limit_ms = 1
        tls_key_file = "key"
        [endpoints.auth]
        url = "https://127.0.0.1:7101"
        port = 7
    "#;
    let environment = [
        ("BULKHEAD_NOTHING__HERE", "1"),
        ("BULKHEAD_GATEWAY__BODY_BYTES_MAX", "many"),
        ("BULKHEAD_LOG", "x"),
    ];
    let found = problems(Role::Gateway, file, &environment);
    for expected in [
        "region: must be singapore",
        "colour: unknown key (in node.toml)",
        "gateway.listen: must be a text in quotes (in node.toml)",
        "gateway.idle_limit_ms: must be at least 90000",
        "gateway.tls_certificate_file: must be set",
        "endpoints.auth.port: unknown key (in node.toml)",
        "endpoints.auth.region: must state the region",
        "endpoints.router.url: must be set for gateway",
        "endpoints.storage.url: must be set for gateway",
        "nothing.here: unknown key (in BULKHEAD_NOTHING__HERE)",
        "gateway.body_bytes_max: must be a number (in BULKHEAD_GATEWAY__BODY_BYTES_MAX)",
        "log: unknown key (in BULKHEAD_LOG)",
    ] {
        assert!(found.iter().any(|problem| problem.starts_with(expected)), "{expected}: {found:#?}");
    }
    assert_eq!(found.len(), 12, "{found:#?}");
}

#[test]
fn an_endpoint_of_another_region_is_refused_even_when_the_role_does_not_call_it() {
    let file = GATEWAY.replacen("region = \"singapore\"", "region = \"frankfurt\"", 1);
    let found = problems(Role::Gateway, &file, &[]);
    let other = "is another region than this node's";
    assert_eq!(
        found,
        ["auth", "router", "storage"].map(|service| format!("endpoints.{service}.region: {other}"))
    );
    let file = "region = \"singapore\"\nstorage.region_key_file = \"k\"\n\
                [endpoints.router]\nurl = \"https://h:1\"\nregion = \"virginia\"\n";
    assert_eq!(problems(Role::Storage, file, &[]), [format!("endpoints.router.region: {other}")]);
}

#[test]
fn the_region_key_comes_from_a_private_file_or_the_environment_but_not_from_the_configuration_file() {
    let region = "region = \"singapore\"\n";
    let digits = "11e4567890".repeat(7)[..64].to_owned();
    let environment = [("BULKHEAD_STORAGE__REGION_KEY", digits.as_str())];
    let config = read(Role::Storage, region, &environment).unwrap();
    assert!(matches!(config.region_key, Some(RegionKeySource::Environment(_))));

    let config = read(Role::Storage, &format!("{region}storage.region_key_file = \"k\""), &[]).unwrap();
    assert!(matches!(config.region_key, Some(RegionKeySource::File(path)) if path == Path::new("k")));

    let found = problems(Role::Storage, &format!("{region}storage.region_key = \"{digits}\""), &[]);
    assert!(found[0].starts_with("storage.region_key: a secret"), "{found:?}");
    assert!(!found.join("").contains(&digits));
    assert_eq!(problems(Role::Storage, region, &[]).len(), 1);
    let both = format!("{region}storage.region_key_file = \"k\"");
    assert_eq!(problems(Role::Storage, &both, &environment).len(), 1);
}

const BUCKET: &str = r#"
    region = "singapore"
    storage.region_key_file = "k"
    [storage.objects]
    kind = "s3"
    endpoint = "https://s3.example.com"
    region = "singapore"
    bucket = "attachments"
    access_key = "bulkhead"
    secret_key_file = "s"
"#;

#[test]
fn attachments_are_in_the_data_folder_unless_another_place_is_named() {
    let storage = "region = \"singapore\"\n[storage]\nregion_key_file = \"k\"\ndata_dir = \"/data\"\n";
    let place = |file: &str| read(Role::Storage, file, &[]).unwrap().objects.unwrap().place;
    assert!(matches!(place(storage), ObjectsPlace::Folder(path) if path == Path::new("/data/objects")));
    let elsewhere = format!("{storage}[storage.objects]\nfolder = \"/files\"\n");
    assert!(matches!(place(&elsewhere), ObjectsPlace::Folder(path) if path == Path::new("/files")));
    let ObjectsPlace::S3 { endpoint, bucket, signing_region, access_key, secret_key } = place(BUCKET) else {
        panic!("a bucket is none")
    };
    assert_eq!((&*endpoint, &*bucket), ("https://s3.example.com", "attachments"));
    assert_eq!((&*signing_region, &*access_key), ("us-east-1", "bulkhead"));
    assert!(matches!(secret_key, SecretKeySource::File(path) if path == Path::new("s")));
}

#[test]
fn an_object_store_states_its_region_and_it_is_the_nodes_even_when_the_role_does_not_use_it() {
    let frankfurt =
        |file: &str| file.replace("com\"\n    region = \"singapore\"", "com\"\n    region = \"frankfurt\"");
    let other = ["storage.objects.region: is another region than this node's"];
    assert_eq!(problems(Role::Storage, &frankfurt(BUCKET), &[]), other);
    let gateway = format!("{GATEWAY}\n[storage.objects]\nendpoint = \"https://s3.example.com\"\n");
    assert_eq!(
        problems(Role::Gateway, &gateway, &[]),
        ["storage.objects.region: must state the region of the endpoint"]
    );
}

#[test]
fn an_object_store_lacks_nothing_and_its_secret_is_in_no_configuration_file() {
    let file = "region = \"singapore\"\nstorage.region_key_file = \"k\"\n[storage.objects]\nkind = \"s3\"\n\
                retention_days = 3651\nuploads_max = 0\n";
    let found = problems(Role::Storage, file, &[]);
    for key in ["retention_days", "uploads_max", "endpoint", "bucket", "access_key", "secret_key_file"] {
        let key = format!("storage.objects.{key}: ");
        assert!(found.iter().any(|problem| problem.starts_with(&key)), "{key}: {found:#?}");
    }
    assert_eq!(found.len(), 6, "{found:#?}");

    let found = problems(Role::Storage, &BUCKET.replace("secret_key_file", "secret_key"), &[]);
    assert!(found[0].starts_with("storage.objects.secret_key: a secret"), "{found:?}");
    let environment = [("BULKHEAD_STORAGE__OBJECTS__SECRET_KEY", "hush")];
    let beside = problems(Role::Storage, BUCKET, &environment);
    assert!(beside[0].starts_with("storage.objects.secret_key: is set beside"), "{beside:?}");
    assert!(!beside.join("").contains("hush"));
}

#[test]
fn numbers_are_checked_at_their_bounds() {
    let router = "region = \"singapore\"\n[endpoints.auth]\nurl = \"https://a:1\"\nregion = \"singapore\"\n\
                  [endpoints.storage]\nurl = \"https://s:1\"\nregion = \"singapore\"\n[router]\n";
    let config = read(Role::Router, &format!("{router}batch_messages_max = 1000"), &[]).unwrap();
    assert_eq!(config.router.batch_messages_max, 1000);
    let found = problems(Role::Router, &format!("{router}batch_messages_max = 1001\nlanes = 0"), &[]);
    assert_eq!(found, ["router.lanes: must be above 0", "router.batch_messages_max: must be at most 1000"]);
    let auth = "region = \"singapore\"\n[endpoints.storage]\nurl = \"https://s:1\"\nregion = \"singapore\"\n[auth]\n";
    assert!(read(Role::Auth, &format!("{auth}password_memory_kib = 8"), &[]).is_ok());
    let found = problems(Role::Auth, &format!("{auth}password_memory_kib = 7\nusers_cached_max = 0"), &[]);
    assert_eq!(
        found,
        ["auth.users_cached_max: must be above 0", "auth.password_memory_kib: must be at least 8"]
    );
    let gateway = |idle| format!("{GATEWAY}\n[gateway]\nidle_limit_ms = {idle}\n");
    assert!(read(Role::Gateway, &gateway(90_000), &[]).is_ok());
    assert_eq!(
        problems(Role::Gateway, &gateway(89_999), &[]),
        ["gateway.idle_limit_ms: must be at least 90000"]
    );
}

#[test]
fn text_that_is_no_toml_is_one_problem_beside_the_others() {
    let found = problems(Role::Auth, "region = ", &[("BULKHEAD_REGION", "singapore")]);
    assert!(found[0].starts_with("node.toml: "), "{found:#?}");
}

#[test]
fn a_file_that_cannot_be_read_is_an_input_output_error() {
    let error = Config::load(Role::Auth, Path::new("/nowhere/node.toml")).err().unwrap();
    assert_eq!(error.code(), 74);
}

#[test]
fn every_key_of_the_defaults_is_explained_in_the_line_above() {
    let mut above = "";
    for line in DEFAULTS.lines() {
        let is_key = line.contains(" = ") && !line.starts_with('#');
        assert!(!is_key || above.starts_with('#'), "{line} has no explanation");
        above = line;
    }
}

#[test]
fn a_node_has_three_files_of_identity_or_none_and_then_nothing_but_loopback_addresses() {
    let config = read(Role::Gateway, GATEWAY, &[]).unwrap();
    let IdentityConfig::Files(files) = config.identity else { panic!("there are certificates") };
    assert_eq!((files.authority, files.key), (PathBuf::from("ca"), PathBuf::from("key")));
    assert_eq!(config.configured.len(), 3);

    let missing = format!("identity.ca_file = \"ca\"\n{GATEWAY}");
    let found = problems(Role::Gateway, &missing, &[]);
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(found[0].starts_with("identity.certificate_file: must be set"), "{found:#?}");
    assert!(found[1].starts_with("identity.key_file: must be set"), "{found:#?}");

    let insecure = format!("identity.insecure = true\n{GATEWAY}");
    let found = problems(Role::Gateway, &insecure, &[]);
    assert!(found[0].starts_with("endpoints.auth.url: must have the form http://"), "{found:#?}");
    let plain = insecure.replace("https://", "http://");
    assert_eq!(read(Role::Gateway, &plain, &[]).unwrap().identity, IdentityConfig::Insecure);
    let by_environment = [("BULKHEAD_IDENTITY__INSECURE", "true")];
    let without = GATEWAY.replace("https://", "http://");
    let without = format!("identity.key_file = \"\"\n{without}");
    assert_eq!(read(Role::Gateway, &without, &by_environment).unwrap().identity, IdentityConfig::Insecure);
    assert_eq!(problems(Role::Gateway, &GATEWAY.replace("https://", "http://"), &[]).len(), 3);

    let elsewhere = plain.replacen("127.0.0.1", "10.0.0.1", 1);
    let loopback = "must be a loopback address as long as identity.insecure is set";
    assert_eq!(problems(Role::Gateway, &elsewhere, &[]), [format!("endpoints.auth.url: {loopback}")]);
    let auth = "identity.insecure = true\nregion = \"singapore\"\nauth.listen = \"0.0.0.0:1\"\n\
                [endpoints.storage]\nurl = \"http://localhost:1\"\nregion = \"singapore\"\n";
    assert_eq!(problems(Role::Auth, auth, &[]), [format!("auth.listen: {loopback}")]);
    let both = plain.replacen("insecure", "ca_file = \"ca\"\nidentity.insecure", 1);
    assert_eq!(
        problems(Role::Gateway, &both, &[]),
        ["identity.insecure: is set beside certificates; set one of them"]
    );
}

#[test]
fn a_gateway_that_serves_more_than_its_machine_has_tls_or_proxies() {
    let with = |more: &str| format!("{GATEWAY}\n[gateway]\nlisten = \"0.0.0.0:80\"\n{more}\n");
    let found = problems(Role::Gateway, &with(""), &[]);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].starts_with("gateway.listen: takes clients in the clear"), "{found:#?}");
    read(Role::Gateway, &with("tls_certificate_file = \"a\"\ntls_key_file = \"b\""), &[]).unwrap();

    let environment = [
        ("BULKHEAD_GATEWAY__PROXIES", "10.0.0.0/8, fd00::7"),
        ("BULKHEAD_GATEWAY__CLIENT_ADDRESS", "x-forwarded-for"),
    ];
    let proxies = read(Role::Gateway, &with(""), &environment).unwrap().gateway.proxies;
    assert_eq!(proxies.client_address, ClientAddressSource::XForwardedFor);
    assert_eq!(proxies.networks, ["10.0.0.0/8".parse().unwrap(), "fd00::7/128".parse().unwrap()]);

    let found = problems(Role::Gateway, &with("proxies = [\"proxy.internal\"]"), &[]);
    assert!(
        found.iter().any(|found| found.starts_with("gateway.proxies: proxy.internal is neither")),
        "{found:#?}"
    );
    let alone = format!("{GATEWAY}\n[gateway]\nclient_address = \"proxy-protocol\"\n");
    let found = problems(Role::Gateway, &alone, &[]);
    assert_eq!(found, ["gateway.client_address: is told by a proxy; name those in gateway.proxies"]);
}

#[test]
fn a_service_may_have_several_addresses_of_its_one_region() {
    let several = GATEWAY.replacen("https://127.0.0.1:7101", "https://a:1, https://b:2", 1);
    let config = read(Role::Gateway, &several, &[]).unwrap();
    assert_eq!(config.endpoints.auth, "https://a:1, https://b:2");
    assert_eq!(config.configured.len(), 4);
    let found = problems(Role::Gateway, &several.replacen("https://b:2", "b:2", 1), &[]);
    assert!(found[0].starts_with("endpoints.auth.url: must have the form https://"), "{found:#?}");
}
