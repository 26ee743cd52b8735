//! `docs/token-server.openapi.yaml` says what the server does: the same calls, the same fields.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use bulkhead_testkit::Composition;
use bulkhead_token_server::ROUTES;
use serde_json::Value;

use crate::server::TokenServer;
use crate::wire::Request;

const PAGE: &str = include_str!("../../docs/token-server.openapi.yaml");

fn page() -> Value {
    serde_saphyr::from_str(PAGE).expect("the page is YAML")
}

/// What a reference leads to, or the value itself.
fn follow<'a>(page: &'a Value, value: &'a Value) -> &'a Value {
    match value["$ref"].as_str() {
        Some(path) => page.pointer(path.trim_start_matches('#')).expect("a reference leads somewhere"),
        None => value,
    }
}

fn schema<'a>(page: &'a Value, with_content: &'a Value) -> &'a Value {
    follow(page, &follow(page, with_content)["content"]["application/json"]["schema"])
}

fn names(value: &Value) -> BTreeSet<&str> {
    value.as_object().into_iter().flat_map(|fields| fields.keys()).map(String::as_str).collect()
}

#[test]
fn the_page_has_the_calls_of_the_code_and_no_others() {
    let page = page();
    let mut documented = BTreeSet::new();
    for (path, calls) in page["paths"].as_object().unwrap() {
        documented.extend(names(calls).into_iter().map(|method| (method.to_uppercase(), path.clone())));
    }
    let built = ROUTES.iter().map(|route| (route.method.to_owned(), route.path.to_owned()));
    assert_eq!(documented, built.collect());
}

#[test]
fn every_answer_has_the_fields_of_the_page_and_the_example_is_taken() {
    crate::in_composition(Composition::OneProcess, |region| async move {
        let server = TokenServer::start(&region).await?;
        let page = page();
        let asked = &page["paths"]["/v1/tokens/user"]["post"]["requestBody"]["content"]["application/json"];
        ensure!(
            names(&asked["example"]) == names(&follow(&page, &asked["schema"])["properties"]),
            "the example"
        );
        let user = asked["example"]["user"].as_str().unwrap_or_default();
        let username = server.token_of(user).await?.username;
        for (path, method, request) in [
            ("/v1/tokens/user", "post", Request::post("/v1/tokens/user", &asked["example"])),
            ("/v1/tokens/app", "post", Request::new("POST", "/v1/tokens/app")),
            (
                "/v1/users/by-username/{username}",
                "get",
                Request::get(&format!("/v1/users/by-username/{username}")),
            ),
            ("/v1/users/{user}", "delete", Request::new("DELETE", &format!("/v1/users/{user}"))),
            ("/healthz", "get", Request::get("/healthz")),
        ] {
            let call = &page["paths"][path][method];
            let documented = names(&schema(&page, &call["responses"]["200"])["properties"]);
            let answer = request.send(&server.door).await?;
            let refused = request.header("origin", "null").send(&server.door).await?;
            ensure!(
                !documented.is_empty() && names(&answer.ok()?) == documented,
                "{path}: not {documented:?}"
            );
            is_documented(&page, call, refused.status, &refused.body)?;
        }
        let call = &page["paths"]["/v1/users/{user}"]["delete"];
        let unknown = Request::new("DELETE", "/v1/users/nobody").send(&server.door).await?;
        is_documented(&page, call, unknown.status, &unknown.body)
    });
}

fn is_documented(page: &Value, call: &Value, status: u16, body: &Value) -> Result<()> {
    let error = schema(page, &call["responses"][status.to_string()]);
    ensure!(names(body) == names(&error["properties"]), "{status}: {body}");
    let words = error["properties"]["error"]["enum"].as_array();
    ensure!(words.is_some_and(|words| words.contains(&body["error"])), "{status}: {body}");
    Ok(())
}
