use std::path::Path;

use serde_json::{Value, json};

use crate::support::{Ended, Running, dev_json, run, run_json, stopped_region};

fn admin(folder: &Path, arguments: &[&str]) -> Ended {
    let mut all = vec!["admin", "--data-dir", folder.to_str().unwrap()];
    all.extend(arguments);
    run(&all)
}

fn admin_json(folder: &Path, arguments: &[&str]) -> Value {
    let mut all = vec!["admin", "--data-dir", folder.to_str().unwrap(), "--json"];
    all.extend(arguments);
    run_json(&all)
}

#[test]
fn an_app_is_created_listed_and_shown_and_its_region_is_fixed() {
    let folder = stopped_region();
    let created = admin_json(folder.path(), &["app", "create", "acme/shop", "--plan", "free"]);
    assert_eq!(created["region"], "singapore");
    assert_eq!(created["plan"], "free");
    assert!(created["app_id"].as_str().unwrap().starts_with("61"));
    assert!(!created["client_secret"].as_str().unwrap().is_empty());
    let shown = admin_json(folder.path(), &["app", "show", "acme/shop"]);
    assert_eq!(shown["app_certificate"], created["app_certificate"]);
    assert!(shown.get("client_secret").is_none());

    let brought = "970CA35de60c44645bbae8a215061b33";
    let created = admin_json(folder.path(), &["app", "create", "acme/moved", "--app-id", brought]);
    assert!(created["app_id"].as_str().unwrap().eq_ignore_ascii_case(brought));

    let list = admin_json(folder.path(), &["app", "list"]);
    let keys: Vec<_> = list.as_array().unwrap().iter().map(|app| app["app_key"].as_str().unwrap()).collect();
    assert_eq!(keys, ["acme#moved", "acme#shop", "demo#chat"]);

    let twice = admin(folder.path(), &["app", "create", "acme/shop"]);
    assert_eq!(twice.code, 1, "{}", twice.err);
    assert_eq!(admin(folder.path(), &["app", "show", "acme/none"]).code, 1);
    assert_eq!(admin(folder.path(), &["app", "create", "acme/x", "--plan", "gold"]).code, 64);
    assert_eq!(admin(folder.path(), &["app", "move", "acme/shop"]).code, 64);
}

#[test]
fn certificates_rotate_and_the_old_one_is_accepted_for_a_time_that_is_shown() {
    let folder = stopped_region();
    let certificate = |arguments: &[&str]| {
        admin_json(
            folder.path(),
            &[&["app", "certificate", arguments[0], "demo/chat"], &arguments[1..]].concat(),
        )
    };
    let before = certificate(&["show"]);
    assert_eq!(before["app_certificate_secondary"], "");
    assert_eq!(before["app_certificate_secondary_accepted"], false);
    let made = certificate(&["add"]);
    assert_eq!(made["app_certificate"], before["app_certificate"]);
    assert_eq!(made["app_certificate_secondary"].as_str().unwrap().len(), 32);
    assert_eq!(made["app_certificate_secondary_until_ms"], 0);
    assert_eq!(made["app_certificate_secondary_accepted"], true);
    let swapped = certificate(&["swap", "--overlap-s", "3600"]);
    assert_eq!(swapped["app_certificate"], made["app_certificate_secondary"]);
    assert_eq!(swapped["app_certificate_secondary"], made["app_certificate"]);
    assert!(swapped["app_certificate_secondary_until_ms"].as_u64().unwrap() > 0);
    let shown = admin(folder.path(), &["app", "certificate", "show", "demo/chat"]).out;
    assert!(shown.contains(" s more)"), "{shown}");
    assert_eq!(certificate(&["disable"])["app_certificate_secondary_accepted"], false);
    let shown = admin(folder.path(), &["app", "certificate", "show", "demo/chat"]).out;
    assert!(shown.contains("(disabled)"), "{shown}");
    let done = certificate(&["delete"]);
    assert_eq!(done["app_certificate"], swapped["app_certificate"]);
    assert_eq!(done["app_certificate_secondary"], "");
    assert_eq!(admin(folder.path(), &["app", "certificate", "swap", "demo/chat"]).code, 1);
}

#[test]
fn the_rules_for_tokens_are_shown_and_changed_within_their_bounds() {
    let folder = stopped_region();
    let show = || admin_json(folder.path(), &["app", "show", "demo/chat"]);
    let rules = |app: Value| json!([app["token_life_max_s"], app["token_skew_s"], app["single_token"]]);
    assert_eq!(rules(show()), json!([86_400, 5, false]));
    let change =
        ["app", "token-rules", "demo/chat", "--life-max-s", "3600", "--skew-s", "0", "--single", "on"];
    admin_json(folder.path(), &change);
    assert_eq!(rules(show()), json!([3_600, 0, true]));
    admin_json(folder.path(), &["app", "token-rules", "demo/chat", "--single", "off"]);
    assert_eq!(rules(show()), json!([3_600, 0, false]));
    for wrong in [["--life-max-s", "59"], ["--skew-s", "301"]] {
        let ended = admin(folder.path(), &[&["app", "token-rules", "demo/chat"], &wrong[..]].concat());
        assert_eq!(ended.code, 1, "{}", ended.err);
    }
}

#[test]
fn tokens_are_taken_back_and_exactly_one_way_of_naming_them_is_asked_for() {
    let folder = stopped_region();
    let revoke = |arguments: &[&str]| {
        admin(folder.path(), &[&["token", "revoke", "--app", "demo/chat"], arguments].concat())
    };
    let hash = "ab".repeat(32);
    for named in [&["--token", "YWMtsome"][..], &["--token-sha256", &hash], &["--user", "alice"], &["--all"]]
    {
        let ended = revoke(named);
        assert_eq!((ended.code, ended.out.trim()), (0, "revoked"), "{named:?}: {}", ended.err);
    }
    let shown = admin_json(folder.path(), &["app", "show", "demo/chat"]);
    assert!(shown["tokens_valid_from_ms"].as_u64().unwrap() > 0);
    for wrong in [&[][..], &["--all", "--user", "alice"], &["--user", "alice", "--issued-before-ms", "5"]] {
        assert_eq!(revoke(wrong).code, 64, "{wrong:?}");
    }
    assert_eq!(revoke(&["--user", "nobody"]).code, 1);
}

#[test]
fn no_certificate_is_off_at_first_and_every_look_at_it_warns_when_it_is_on() {
    let folder = stopped_region();
    let shown = admin(folder.path(), &["app", "show", "demo/chat"]);
    assert!(shown.out.contains("No certificate         off"), "{}", shown.out);
    assert_eq!(shown.err, "");

    let warned = |ended: Ended| {
        assert_eq!(ended.code, 0, "{}", ended.err);
        assert!(ended.err.contains("WARNING"), "{}", ended.err);
        assert!(ended.err.contains("demo#chat"), "{}", ended.err);
    };
    warned(admin(folder.path(), &["app", "no-certificate", "demo/chat", "on"]));
    warned(admin(folder.path(), &["app", "show", "demo/chat"]));
    warned(admin(folder.path(), &["app", "list"]));
    let (running, _) = Running::dev(folder.path(), &[]);
    running.err_line("WARNING");
    assert_eq!(running.stop().code, 0);

    let off = admin(folder.path(), &["app", "no-certificate", "demo/chat", "off"]);
    assert_eq!((off.code, off.err.as_str()), (0, ""));
}

#[test]
fn registration_and_plan_are_changed() {
    let folder = stopped_region();
    let show = || admin_json(folder.path(), &["app", "show", "demo/chat"]);
    assert_eq!(show()["open_registration"], false);
    admin_json(folder.path(), &["app", "registration", "demo/chat", "open"]);
    assert_eq!(show()["open_registration"], true);
    admin_json(folder.path(), &["app", "registration", "demo/chat", "authorized"]);
    assert_eq!(show()["open_registration"], false);
    admin_json(folder.path(), &["app", "plan", "demo/chat", "enterprise:30"]);
    assert_eq!(show()["plan"], "enterprise:30");
}

#[test]
fn tokens_are_built_with_and_without_the_region_and_decoded() {
    let folder = stopped_region();
    let app = dev_json(folder.path())["regions"][0]["apps"][0].clone();
    let (app_id, certificate) = (app["app_id"].as_str().unwrap(), app["app_certificate"].as_str().unwrap());
    let by_app = admin(folder.path(), &["token", "build-user", "--user", "alice", "--app", "demo/chat"]);
    let offline = run(&[
        "admin",
        "token",
        "build-user",
        "--user",
        "alice",
        "--app-id",
        app_id,
        "--certificate",
        certificate,
        "--ttl-s",
        "600",
    ]);
    for (built, life_s) in [(by_app, 86_400), (offline, 600)] {
        assert_eq!(built.code, 0, "{}", built.err);
        let token = built.out.trim();
        assert!(token.starts_with("007"), "{token}");
        let decoded = run_json(&["admin", "token", "decode", token, "--certificate", certificate]);
        assert_eq!(decoded["app_id"], app_id);
        assert_eq!(decoded["life_s"], life_s);
        assert_eq!(decoded["verdict"], "valid");
        let wrong = "0".repeat(32);
        let decoded = run_json(&["admin", "token", "decode", token, "--certificate", &wrong]);
        assert_eq!(decoded["verdict"], "the signature of the token is wrong");
    }
    let built = run(&["admin", "token", "build-app", "--app-id", app_id, "--certificate", certificate]);
    assert_eq!(built.code, 0, "{}", built.err);
    assert_eq!(run(&["admin", "token", "decode", "007nonsense"]).code, 64);
    assert_eq!(run(&["admin", "token", "build-app", "--app-id", app_id]).code, 64);
}

#[test]
fn a_folder_in_use_or_without_a_region_is_said_to_be_so() {
    let empty = tempfile::tempdir().unwrap();
    let ended = admin(empty.path(), &["app", "list"]);
    assert_eq!(ended.code, 64);
    assert!(ended.err.contains("keeps no region"), "{}", ended.err);

    let folder = tempfile::tempdir().unwrap();
    let (running, _) = Running::dev(folder.path(), &[]);
    let ended = admin(folder.path(), &["app", "list"]);
    assert_eq!(ended.code, 74);
    assert!(ended.err.contains("in use"), "{}", ended.err);
    assert_eq!(running.stop().code, 0);
}

#[test]
fn what_is_kept_of_an_app_is_shown_for_people_and_for_programs() {
    let folder = stopped_region();
    let told = admin_json(folder.path(), &["retention", "--app", "demo/chat"]);
    assert_eq!(told["keeps_ms"], 180u64 * 24 * 60 * 60 * 1000);
    let names: Vec<_> =
        told["classes"].as_array().unwrap().iter().map(|class| class["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["messages", "attachments", "conversations", "dedup", "devices"]);
    assert_eq!(told["classes"][0]["entries"], 0);
    let shown = admin(folder.path(), &["retention", "--app", "demo/chat"]);
    assert_eq!(shown.code, 0, "{}", shown.err);
    assert!(shown.out.contains("messages       180 days by plan; nothing is there"), "{}", shown.out);
    assert!(shown.out.contains("devices        180 days after it was last used"), "{}", shown.out);
    assert_eq!(admin(folder.path(), &["retention", "--app", "demo/none"]).code, 1);
    let over_auth = ["admin", "--auth", "http://127.0.0.1:1", "retention", "--app", "demo/chat"];
    assert_eq!(run(&over_auth).code, 64, "auth does not know what is kept");
}
