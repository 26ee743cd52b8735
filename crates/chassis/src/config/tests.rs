use super::*;

const GATEWAY: &str = r#"
    region = "singapore"
    [endpoints.auth]
    url = "http://127.0.0.1:7101"
    region = "singapore"
    [endpoints.router]
    url = "http://127.0.0.1:7102"
    region = "singapore"
"#;

fn read(role: Role, file: &str, environment: &[(&str, &str)]) -> Result<Config, String> {
    let environment = environment.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    Config::read(role, "node.toml", file, environment).map_err(|error| {
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
    assert_eq!(config.endpoints.auth, "http://127.0.0.1:7101");
    assert_eq!(config.endpoints.storage, "");
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
        url = "http://127.0.0.1:7101"
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
        "nothing.here: unknown key (in BULKHEAD_NOTHING__HERE)",
        "gateway.body_bytes_max: must be a number (in BULKHEAD_GATEWAY__BODY_BYTES_MAX)",
        "log: unknown key (in BULKHEAD_LOG)",
    ] {
        assert!(found.iter().any(|problem| problem.starts_with(expected)), "{expected}: {found:#?}");
    }
    assert_eq!(found.len(), 11, "{found:#?}");
}

#[test]
fn an_endpoint_of_another_region_is_refused_even_when_the_role_does_not_call_it() {
    let file = GATEWAY.replacen("region = \"singapore\"", "region = \"frankfurt\"", 1);
    let found = problems(Role::Gateway, &file, &[]);
    let other = "is another region than this node's";
    assert_eq!(
        found,
        [format!("endpoints.auth.region: {other}"), format!("endpoints.router.region: {other}")]
    );
    let file = format!("{GATEWAY}\n[endpoints.storage]\nurl = \"http://h:1\"\nregion = \"virginia\"\n");
    assert_eq!(problems(Role::Gateway, &file, &[]), [format!("endpoints.storage.region: {other}")]);
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

#[test]
fn numbers_are_checked_at_their_bounds() {
    let router = "region = \"singapore\"\n[endpoints.auth]\nurl = \"http://a:1\"\nregion = \"singapore\"\n\
                  [endpoints.storage]\nurl = \"http://s:1\"\nregion = \"singapore\"\n[router]\n";
    let config = read(Role::Router, &format!("{router}batch_messages_max = 1000"), &[]).unwrap();
    assert_eq!(config.router.batch_messages_max, 1000);
    let found = problems(Role::Router, &format!("{router}batch_messages_max = 1001\nlanes = 0"), &[]);
    assert_eq!(found, ["router.lanes: must be above 0", "router.batch_messages_max: must be at most 1000"]);
    let auth =
        "region = \"singapore\"\n[endpoints.storage]\nurl = \"http://s:1\"\nregion = \"singapore\"\n[auth]\n";
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
