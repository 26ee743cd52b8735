//! No browser gets an answer, whatever page it shows.

use anyhow::{Result, ensure};
use bulkhead_testkit::Composition;
use serde_json::json;

use crate::server::TokenServer;
use crate::wire::{Answer, Request};

fn without_cors(answer: &Answer) -> Result<()> {
    let found = answer.headers.iter().find(|(name, _)| name.starts_with("access-control-"));
    ensure!(found.is_none(), "{found:?}");
    Ok(())
}

#[test]
fn a_request_from_a_browser_is_refused_on_every_path_and_no_answer_has_a_cors_header() {
    crate::in_composition(Composition::OneProcess, |region| async move {
        let server = TokenServer::start(&region).await?;
        let user = json!({ "user": "a" });
        let requests = [
            Request::post("/v1/tokens/user", &user),
            Request::new("POST", "/v1/tokens/app"),
            Request::new("DELETE", "/v1/users/a"),
            Request::get("/v1/users/by-username/a"),
            Request::get("/healthz"),
            Request::get("/nothing"),
            Request::new("OPTIONS", "/v1/tokens/user"),
        ];
        for request in requests {
            without_cors(&request.send(&server.door).await?)?;
            for (name, value) in [
                ("origin", "https://evil.example"),
                ("origin", "null"),
                ("origin", "http://localhost"),
                ("Origin", ""),
                ("sec-fetch-site", "same-origin"),
                ("sec-fetch-dest", "image"),
            ] {
                let answer = request.clone().header(name, value).send(&server.door).await?;
                answer.refused(403, "no_browsers")?;
                without_cors(&answer)?;
            }
            // A page under a name that was made to lead here.
            let rebound = request.clone().header("host", "evil.example").send(&server.door).await?;
            rebound.refused(403, "no_browsers")?;
        }
        // What a page can send without being asked for permission is not taken either.
        let form = Request::new("POST", "/v1/tokens/user").header("content-type", "text/plain");
        form.body(&user.to_string()).send(&server.door).await?.refused(415, "unsupported_media_type")?;
        server.token_of("a").await?;
        Ok(())
    });
}
