//! Guarantee 9: hostile frames end their own socket and disturb nobody.

use anyhow::{Result, ensure};
use bulkhead_testkit::TestRegion;
use tokio_tungstenite::tungstenite::Message as Frame;

use crate::rest::Rest;
use crate::socket::{Socket, text_of};

#[test]
fn hostile_frames_end_their_own_socket_and_disturb_nobody() {
    crate::in_both_compositions(&[], hostile);
}

pub(crate) async fn hostile(region: TestRegion) -> Result<()> {
    let app = region.app().clone();
    let rest = Rest::new(&region, &app);
    let alice_token = rest.user_token(&app, "alice").await?;
    let bob_token = rest.user_token(&app, "bob").await?;
    let mut alice = Socket::login(&region, &app, "alice", &alice_token, "web_a").await?;
    let mut bob = Socket::login(&region, &app, "bob", &bob_token, "web_b").await?;

    // SYNC (8: 0) with a payload (9) that nests groups and lengths that are not there.
    let nested = [vec![0x40, 0x00, 0x4a, 0x7f], vec![0x0a; 0x7f]].concat();
    let frames: Vec<(&str, Frame)> = vec![
        ("truncated", Frame::Binary(vec![0x4a, 0xff, 0x01, 0x01].into())),
        ("not protobuf", Frame::Binary(vec![0xff; 64].into())),
        ("nested", Frame::Binary(nested.into())),
        ("text", Frame::Text("hello".into())),
        ("huge", Frame::Binary(vec![0u8; 256 * 1024].into())),
        ("empty", Frame::Binary(Vec::new().into())),
    ];
    for (name, frame) in frames {
        for logged_in in [false, true] {
            let mut socket = if logged_in {
                Socket::login(&region, &app, "bob", &bob_token, "ios_hostile").await?
            } else {
                Socket::connect(&region, &app).await?
            };
            // The server may close while the frame is still being written.
            let _ = socket.send_raw(frame.clone()).await;
            if name != "empty" || !logged_in {
                while let Some(frame) = socket.next_or_end().await.map_err(|error| error.context(name))? {
                    drop(frame);
                }
            }
        }
    }

    // A message over the limit is refused by name and the socket lives on.
    alice.send_text("bob", 1, &"x".repeat(20 * 1024)).await?;
    let refused = alice.ack(1, &mut Vec::new()).await?;
    let reason = refused.status.unwrap_or_default().reason().to_owned();
    ensure!(reason == "Sorry, data is too large", "{reason}");

    alice.send_text("bob", 2, "still here").await?;
    alice.ack(2, &mut Vec::new()).await?;
    ensure!(text_of(&bob.pushed(1).await?[0]) == "still here", "bob did not get the message");
    Ok(())
}

#[test]
fn a_flood_of_frames_ends_its_own_socket() {
    crate::in_both_compositions(&[], flood);
}

pub(crate) async fn flood(region: TestRegion) -> Result<()> {
    let app = region.app().clone();
    let rest = Rest::new(&region, &app);
    let bob_token = rest.user_token(&app, "bob").await?;
    let mut socket = Socket::login(&region, &app, "bob", &bob_token, "web_b").await?;
    // UNREAD without a payload: the cheapest frame there is. Far more than one socket may send in a second.
    for _ in 0..20_000 {
        if socket.send_raw(Frame::Binary(vec![0x40, 0x01].into())).await.is_err() {
            break;
        }
    }
    while socket.next_or_end().await?.is_some() {}
    // The same user comes back at once.
    Socket::login(&region, &app, "bob", &bob_token, "web_b").await?;
    Ok(())
}
