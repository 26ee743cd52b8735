use bulkhead_api::AuthApi;
use bulkhead_model::{AppId, ErrorKind, Region};
use bulkhead_proto::auth::find_app_request::By;
use bulkhead_proto::auth::update_app_request::Change;
use bulkhead_proto::auth::{Done, FindAppRequest, ListAppsRequest, UpdateAppRequest};
use bulkhead_proto::records::App;

use crate::region::{TestRegion, create, refused};

async fn find(region: &TestRegion, by: By) -> bulkhead_model::Result<App> {
    region.auth.find_app(FindAppRequest { by: Some(by) }).await
}

#[tokio::test]
async fn a_new_app_belongs_to_this_region_and_is_found_by_every_name() {
    let region = TestRegion::start().await;
    let app = &region.app;
    assert_eq!(app.region, "singapore");
    assert_eq!(app.plan, "enterprise:180");
    assert_eq!(app.app_id.parse::<AppId>().unwrap().home(), Some(Region::Singapore));
    assert_eq!(app.certificate_primary.len(), 32);
    assert!(app.client_id.starts_with("YXA6"));
    for by in [
        By::AppKey("demo#chat".into()),
        By::AppId(app.app_id.to_ascii_uppercase()),
        By::Uuid(app.uuid.clone()),
    ] {
        assert_eq!(find(&region, by).await.unwrap().uuid, app.uuid);
    }
}

#[tokio::test]
async fn the_recall_window_is_at_most_seven_days() {
    const WEEK_MS: u64 = 7 * 24 * 60 * 60 * 1000;
    let region = TestRegion::start().await;
    let window = async |ms| {
        let change = Some(Change::RecallWindowMs(ms));
        region.auth.update_app(UpdateAppRequest { uuid: region.app.uuid.clone(), change }).await
    };
    assert_eq!(window(WEEK_MS).await.unwrap().recall_window_ms, WEEK_MS);
    assert_eq!(window(WEEK_MS + 1).await.unwrap_err().kind(), ErrorKind::InvalidArgument);
}

#[tokio::test]
async fn what_serves_clients_never_sees_what_makes_tokens() {
    let region = TestRegion::start().await;
    let by = || By::Uuid(region.app.uuid.clone());
    let update = |change| UpdateAppRequest { uuid: region.app.uuid.clone(), change: Some(change) };
    region.auth.update_app(update(Change::MakeSecondaryCertificate(Done {}))).await.unwrap();
    let listed = region.auth.list_apps(ListAppsRequest { after: String::new(), limit: 10 }).await.unwrap();
    for app in listed.apps.into_iter().chain([find(&region, by()).await.unwrap()]) {
        assert_eq!((app.certificate_primary.as_str(), app.certificate_secondary.as_str()), ("", ""));
        assert!(app.client_secret_hash.is_empty());
    }
    let shown = region.auth.show_app(FindAppRequest { by: Some(by()) }).await.unwrap();
    assert_eq!(shown.certificate_primary, region.app.certificate_primary);
    assert_eq!(shown.certificate_secondary.len(), 32);
    assert!(shown.client_secret_hash.is_empty());
}

#[tokio::test]
async fn an_app_that_is_not_here_is_in_the_region_of_its_id_or_nowhere() {
    let region = TestRegion::start().await;
    let error = find(&region, By::AppId(format!("41{}", "a".repeat(30)))).await.unwrap_err();
    assert_eq!((error.kind(), error.message()), (ErrorKind::WrongRegion, "virginia"));
    for by in [
        By::AppId(format!("61{}", "a".repeat(30))),
        By::AppKey("demo#none".into()),
        By::Uuid(vec![0; 16].into()),
    ] {
        assert_eq!(refused(find(&region, by).await), ErrorKind::AppNotFound);
    }
}

#[tokio::test]
async fn an_app_id_brought_along_keeps_its_digits_even_those_of_another_region() {
    let region = TestRegion::start().await;
    let brought = "71CA35de60c44645bbae8a215061b33a";
    let app = region.auth.create_app(create("demo", "brought", brought)).await.unwrap().app.unwrap();
    assert_eq!(app.app_id, brought);
    assert_eq!(find(&region, By::AppId(brought.into())).await.unwrap().uuid, app.uuid);
    assert_eq!(refused(region.auth.create_app(create("demo", "more", brought)).await), ErrorKind::Conflict);
    assert_eq!(
        refused(region.auth.create_app(create("demo", "more", "12")).await),
        ErrorKind::InvalidArgument
    );
}

#[tokio::test]
async fn an_app_key_is_taken_once_and_a_failed_try_takes_no_app_id() {
    let region = TestRegion::start().await;
    let brought = "970CA35de60c44645bbae8a215061b33";
    assert_eq!(refused(region.auth.create_app(create("demo", "chat", brought)).await), ErrorKind::Conflict);
    assert_eq!(refused(find(&region, By::AppId(brought.into())).await), ErrorKind::AppNotFound);
    assert!(region.auth.create_app(create("demo", "second", brought)).await.is_ok());
}

#[tokio::test]
async fn apps_are_listed_page_by_page_in_the_order_of_their_keys() {
    let region = TestRegion::start().await;
    for name in ["c", "a", "b"] {
        region.auth.create_app(create("org", name, "")).await.unwrap();
    }
    let list = |after: &str, limit| {
        let request = ListAppsRequest { after: after.to_owned(), limit };
        async { region.auth.list_apps(request).await }
    };
    let names = |apps: Vec<App>| apps.into_iter().map(|app| app.app_name).collect::<Vec<_>>();
    assert_eq!(names(list("", 2).await.unwrap().apps), ["chat", "a"]);
    assert_eq!(names(list("org#a", 2).await.unwrap().apps), ["b", "c"]);
    assert!(list("org#c", 100).await.unwrap().apps.is_empty());
    assert_eq!(refused(list("", 0).await), ErrorKind::InvalidArgument);
    assert_eq!(refused(list("", 101).await), ErrorKind::InvalidArgument);
}

#[tokio::test]
async fn a_change_is_seen_at_once_under_every_name_and_counts_the_version_up() {
    let region = TestRegion::start().await;
    find(&region, By::AppKey("demo#chat".into())).await.unwrap();
    let changed = region.change_app(Change::OpenRegistration(true)).await.unwrap();
    assert_eq!(changed.version, region.app.version + 1);
    for by in
        [By::AppKey("demo#chat".into()), By::AppId(changed.app_id.clone()), By::Uuid(changed.uuid.clone())]
    {
        assert!(find(&region, by).await.unwrap().open_registration);
    }
    assert_eq!(region.change_app(Change::Plan("pro".into())).await.unwrap().plan, "pro");
    assert_eq!(refused(region.change_app(Change::Plan("gold".into())).await), ErrorKind::InvalidArgument);
    let swap = region.change_app(Change::SwapCertificates(Default::default())).await;
    assert_eq!(refused(swap), ErrorKind::InvalidArgument);
}
