//! Whoever asks too much, too often or for what there is not.

use std::time::Duration;

use anyhow::{Context, ensure};
use bulkhead_testkit::Composition;
use serde_json::json;
use tokio::net::TcpStream;

use crate::server::TokenServer;
use crate::wire::{Door, Request};

#[test]
fn a_caller_above_its_rate_is_told_when_to_come_back_and_is_served_then() {
    crate::in_composition(Composition::OneProcess, |region| async move {
        let server = TokenServer::start_with(&region, "caller_rate_per_s = 2").await?;
        let ask = Request::new("POST", "/v1/tokens/app");
        let mut refused = None;
        for _ in 0..50 {
            let answer = ask.send(&server.door).await?;
            if answer.status != 200 {
                refused = Some(answer);
                break;
            }
        }
        let refused = refused.context("fifty calls at once were served")?;
        refused.refused(429, "too_many_requests")?;
        let wait_s: u64 = refused.header("retry-after").context("no Retry-After")?.parse()?;
        ensure!((1..=2).contains(&wait_s), "{wait_s} s");
        ensure!(Request::get("/healthz").send(&server.door).await?.status == 200, "health is counted");
        tokio::time::sleep(Duration::from_secs(wait_s)).await;
        ask.send(&server.door).await?.ok()?;
        ensure!(server.log().contains("result=\"too_many_requests\""), "no audit");
        Ok(())
    });
}

#[test]
fn what_is_no_call_is_answered_in_json() {
    crate::in_composition(Composition::OneProcess, |region| async move {
        let server = TokenServer::start_with(&region, "body_bytes_max = 1000").await?;
        let user = |text: &str| Request::post("/v1/tokens/user", &json!({ "user": text }));
        let raw = |body: &str| {
            Request::new("POST", "/v1/tokens/user").header("content-type", "application/json").body(body)
        };
        for (request, status, word) in [
            (Request::get("/"), 404, "no_such_call"),
            (Request::get("/v1/users/a/b/c"), 404, "no_such_call"),
            (Request::get("/v1/tokens/user"), 405, "method_not_allowed"),
            (Request::new("DELETE", "/v1/users/%FF"), 400, "invalid_request"),
            (Request::new("DELETE", "/v1/users/a%00b"), 400, "invalid_request"),
            (raw(""), 400, "invalid_request"),
            (raw("{}"), 400, "invalid_request"),
            (raw("[1]"), 400, "invalid_request"),
            (raw(r#"{"user": 7}"#), 400, "invalid_request"),
            (raw(r#"{"user": "a", "ttl_s": -1}"#), 400, "invalid_request"),
            (user(""), 400, "invalid_request"),
            (user("a\nb"), 400, "invalid_request"),
            (user(&"x".repeat(257)), 400, "invalid_request"),
            (user(&"x".repeat(1000)), 413, "request_too_large"),
            (Request::new("POST", "/v1/tokens/user"), 415, "unsupported_media_type"),
        ] {
            request.send(&server.door).await?.refused(status, word)?;
        }
        user(&"x".repeat(256)).send(&server.door).await?.ok()?;
        Ok(())
    });
}

#[test]
fn connections_above_the_limit_wait_until_one_ends() {
    crate::in_composition(Composition::OneProcess, |region| async move {
        let server = TokenServer::start_with(&region, "connections_max = 3").await?;
        let Door::Tcp(address) = server.door.clone() else { unreachable!("a loopback address") };
        let mut held = Vec::new();
        for _ in 0..3 {
            held.push(TcpStream::connect(address).await?);
        }
        let door = server.door.clone();
        let mut waiting = tokio::spawn(async move { Request::get("/healthz").send(&door).await });
        let early = tokio::time::timeout(Duration::from_millis(500), &mut waiting).await;
        ensure!(early.is_err(), "a fourth connection was served");
        held.pop();
        waiting.await??.ok()?;
        Ok(())
    });
}
