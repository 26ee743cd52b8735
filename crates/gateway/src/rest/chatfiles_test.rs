//! Attachments through the whole HTTP stack.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use futures_util::StreamExt;
use http::{HeaderMap, Request, header};
use http_body_util::BodyExt;
use serde_json::Value;
use tower::ServiceExt;

use super::fakes::{ALICE_TOKEN, APP_TOKEN, Fakes};

const BOUNDARY: &str = "----boundary";
const TYPE: &str = "multipart/form-data; boundary=----boundary";

struct Stack {
    fakes: Fakes,
    router: Router,
}

struct Answered {
    status: u16,
    headers: HeaderMap,
    body: Bytes,
}

impl Answered {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("the answer is JSON")
    }

    fn word(&self) -> String {
        self.json()["error"].as_str().expect("the answer is an error").to_owned()
    }
}

/// A file as it was answered.
struct Uploaded {
    path: String,
    secret: String,
}

fn field(head: &str, content: &[u8]) -> Vec<u8> {
    let head = format!("--{BOUNDARY}\r\nContent-Disposition: form-data; {head}\r\n\r\n");
    [head.as_bytes(), content, b"\r\n"].concat()
}

fn file(content: &[u8]) -> Vec<u8> {
    field("name=\"file\"; filename=\"a b.png\"\r\nContent-Type: image/png", content)
}

fn form(fields: &[Vec<u8>]) -> Vec<u8> {
    [&fields.concat()[..], format!("--{BOUNDARY}--\r\n").as_bytes()].concat()
}

impl Stack {
    fn new() -> Self {
        Self::of(Fakes::new())
    }

    fn of(fakes: Fakes) -> Self {
        let router = super::routes(fakes.gateway());
        Self { fakes, router }
    }

    async fn send(&self, request: Request<Body>) -> Answered {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answered { status: parts.status.as_u16(), headers: parts.headers, body }
    }

    async fn post(&self, token: Option<&str>, headers: &[(&str, &str)], body: impl Into<Body>) -> Answered {
        let mut request = Request::post("/demo/chat/chatfiles?chat-type=CHAT&chat-target=bob");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(token) = token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        self.send(request.body(body.into()).unwrap()).await
    }

    async fn upload(&self, headers: &[(&str, &str)], content: &[u8]) -> Uploaded {
        let headers = [&[("content-type", TYPE)], headers].concat();
        let answered = self.post(Some(ALICE_TOKEN), &headers, form(&[file(content)])).await;
        assert_eq!(answered.status, 200, "{:?}", answered.body);
        let entity = answered.json()["entities"][0].clone();
        Uploaded {
            path: format!("/demo/chat/chatfiles/{}", entity["uuid"].as_str().unwrap()),
            secret: entity["share-secret"].as_str().unwrap().to_owned(),
        }
    }

    async fn get(&self, uri: &str, headers: &[(&str, &str)]) -> Answered {
        let mut request = Request::get(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(Body::empty()).unwrap()).await
    }
}

const AS_APP: (&str, &str) = ("authorization", "Bearer app-token");
const AS_ALICE: (&str, &str) = ("authorization", "Bearer alice-token");
const RESTRICTED: (&str, &str) = ("restrict-access", "true");

#[tokio::test]
async fn an_upload_is_answered_as_documented_and_keeps_what_the_form_says() {
    let stack = Stack::new();
    let fields = [
        field("name=\"filename\"", b"../photo.png"),
        field("name=\"something\"", b"else"),
        file(b"content"),
        field("name=\"thumbnail-width\"", b"100"),
        field("name=\"thumbnail-height\"", b"80"),
    ];
    let answered = stack.post(Some(ALICE_TOKEN), &[("content-type", TYPE), RESTRICTED], form(&fields)).await;
    let body = answered.json();
    assert_eq!(answered.status, 200);
    assert_eq!(body["action"], "post");
    assert_eq!(body["path"], "/chatfiles");
    assert_eq!(body["uri"], "https://chat.example/demo/chat/chatfiles");
    assert_eq!(body["entities"][0]["type"], "chatfile");
    assert_eq!(body["entities"][0]["uuid"].as_str().unwrap().len(), 36);
    let secret = body["entities"][0]["share-secret"].as_str().unwrap();
    assert!(
        secret.len() >= 20
            && secret.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    );
    let kept = stack.fakes.attachments.last();
    assert_eq!((&*kept.file_name, &*kept.content_type, kept.bytes), ("photo.png", "image/png", 7));
    assert_eq!((kept.thumbnail_width, kept.thumbnail_height), (100, 80));
    assert!(kept.restricted);
    assert_eq!(kept.uploader, "alice");
    assert_ne!(kept.share_secret_hash, secret.as_bytes());
}

#[tokio::test]
async fn the_sizes_of_a_thumbnail_may_stand_in_headers_and_an_app_may_upload() {
    let stack = Stack::new();
    let headers = [("content-type", TYPE), ("thumbnail-width", "30"), ("thumbnail-height", "20")];
    assert_eq!(stack.post(Some(APP_TOKEN), &headers, form(&[file(b"x")])).await.status, 200);
    let kept = stack.fakes.attachments.last();
    assert_eq!((kept.thumbnail_width, kept.thumbnail_height), (30, 20));
    assert_eq!((&*kept.uploader, &*kept.file_name, kept.restricted), ("", "a b.png", false));
}

#[tokio::test]
async fn an_upload_without_a_token_or_without_a_form_or_without_a_file_is_refused() {
    let stack = Stack::new();
    let typed = [("content-type", TYPE)];
    assert_eq!(stack.post(None, &typed, form(&[file(b"x")])).await.status, 401);
    assert_eq!(stack.post(Some("another-apps"), &typed, form(&[file(b"x")])).await.status, 401);
    for (headers, body) in [
        (&[][..], form(&[file(b"x")])),
        (&[("content-type", "application/json")][..], b"{}".to_vec()),
        (&typed[..], form(&[])),
        (&typed[..], form(&[field("name=\"other\"", b"x")])),
        (&typed[..], form(&[file(b"")])),
        (&typed[..], b"no form at all".to_vec()),
        (&typed[..], file(b"x")),
        (&typed[..], form(&[field("name=\"filename\"", &[b'n'; 2000]), file(b"x")])),
    ] {
        let answered = stack.post(Some(ALICE_TOKEN), headers, body).await;
        assert_eq!((answered.status, &*answered.word()), (400, "illegal_argument"));
    }
    assert_eq!(*stack.fakes.attachments.dropped.lock(), 2, "two had begun their file");
}

#[tokio::test]
async fn a_file_at_the_limit_is_taken_and_one_byte_more_is_refused() {
    let mut fakes = Fakes::new();
    fakes.settings.attachment_bytes_max = 100_000;
    let stack = Stack::of(fakes);
    let typed = [("content-type", TYPE)];
    for (bytes, status) in [(100_000, 200), (100_001, 413), (170_000, 413)] {
        let answered = stack.post(Some(ALICE_TOKEN), &typed, form(&[file(&vec![1; bytes])])).await;
        assert_eq!(answered.status, status, "{bytes} bytes");
        if status == 413 {
            assert_eq!(answered.json()["error_description"], "file exceeding maximum limit");
        }
    }
    let stated = [("content-type", TYPE), ("content-length", "1000000")];
    assert_eq!(stack.post(Some(ALICE_TOKEN), &stated, form(&[file(b"x")])).await.status, 413);
}

/// A body that comes in frames, and how far it was read.
fn frames(frames: Vec<Vec<u8>>) -> Body {
    let frames = frames.into_iter().map(|frame| Ok::<_, std::io::Error>(Bytes::from(frame)));
    Body::from_stream(futures_util::stream::iter(frames))
}

#[tokio::test]
async fn a_file_is_handed_on_as_it_comes_and_never_held_whole() {
    let stack = Stack::new();
    let whole = form(&[file(&vec![7; 4_000_000])]);
    let body = frames(whole.chunks(10_000).map(<[u8]>::to_vec).collect());
    let answered = stack.post(Some(ALICE_TOKEN), &[("content-type", TYPE)], body).await;
    assert_eq!(answered.status, 200);
    assert_eq!(stack.fakes.attachments.last().bytes, 4_000_000);
    let largest = *stack.fakes.attachments.largest_piece.lock();
    assert!(largest <= 20_000, "{largest} bytes at one time, of frames of 10000");
}

#[tokio::test]
async fn a_head_that_does_not_end_is_not_collected() {
    let stack = Stack::new();
    let endless = frames(vec![b"------boundary\r\nX: ".to_vec(), vec![b'x'; 2_000_000], vec![b'x'; 1000]]);
    let answered = stack.post(Some(ALICE_TOKEN), &[("content-type", TYPE)], endless).await;
    assert_eq!(answered.status, 400);
}

#[tokio::test]
async fn a_body_that_breaks_off_leaves_no_file() {
    let stack = Stack::new();
    let start = futures_util::stream::iter([Ok(Bytes::from(file(b"half of it")))]);
    let broken = start.chain(futures_util::stream::iter([Err(std::io::Error::other("gone"))]));
    let answered = stack.post(Some(ALICE_TOKEN), &[("content-type", TYPE)], Body::from_stream(broken)).await;
    assert_eq!(answered.status, 400);
    assert_eq!(*stack.fakes.attachments.dropped.lock(), 1);
}

#[tokio::test]
async fn an_upload_may_take_longer_than_other_calls_and_not_for_ever() {
    let mut fakes = Fakes::new();
    fakes.settings.request_limit_ms = 20;
    fakes.settings.transfer_limit_ms = 200;
    let stack = Stack::of(fakes);
    let whole = form(&[file(b"slow")]);
    let (start, end) = (Bytes::copy_from_slice(&whole[..60]), Bytes::copy_from_slice(&whole[60..]));
    let slowly = futures_util::stream::unfold(0, move |step| {
        let (start, end) = (start.clone(), end.clone());
        async move {
            match step {
                0 => Some((Ok::<_, std::io::Error>(start), 1)),
                1 => {
                    tokio::time::sleep(Duration::from_millis(60)).await;
                    Some((Ok(end), 2))
                }
                _ => None,
            }
        }
    });
    let typed = [("content-type", TYPE)];
    assert_eq!(stack.post(Some(ALICE_TOKEN), &typed, Body::from_stream(slowly)).await.status, 200);
    let never = futures_util::stream::pending::<Result<Bytes, std::io::Error>>();
    assert_eq!(stack.post(Some(ALICE_TOKEN), &typed, Body::from_stream(never)).await.status, 408);
}

#[tokio::test]
async fn a_file_is_served_as_it_was_given() {
    let stack = Stack::new();
    let content: Vec<u8> = (0..600_000u32).map(|at| at.wrapping_mul(31) as u8).collect();
    let made = stack.upload(&[RESTRICTED], &content).await;
    let link = format!("{}?em-redirect=true&share-secret={}", made.path, made.secret);
    let got = stack.get(&link, &[]).await;
    assert_eq!(got.status, 200);
    assert!(got.body == content, "every byte");
    assert_eq!(got.headers["content-type"], "image/png");
    assert_eq!(got.headers["content-length"], "600000");
    assert_eq!(got.headers["content-disposition"], "inline; filename*=UTF-8''a%20b.png");
    assert_eq!(got.headers["accept-ranges"], "bytes");
    assert_eq!(got.headers["x-content-type-options"], "nosniff");
    assert!(got.headers["etag"].to_str().unwrap().starts_with('"'));

    let head = stack.send(Request::head(&link).body(Body::empty()).unwrap()).await;
    assert_eq!((head.status, head.headers["content-length"].to_str().unwrap()), (200, "600000"));
    assert!(head.body.is_empty());
}

#[tokio::test]
async fn an_image_has_a_thumbnail_and_what_has_none_is_served_as_it_is() {
    let stack = Stack::new();
    let mut png = std::io::Cursor::new(Vec::new());
    image::RgbImage::new(800, 400).write_to(&mut png, image::ImageFormat::Png).unwrap();
    let made = stack.upload(&[], png.get_ref()).await;
    let secret = ("share-secret", &*made.secret);
    for (uri, headers) in [
        (format!("{}?thumbnail=true", made.path), vec![secret]),
        (made.path.clone(), vec![secret, ("thumbnail", "true")]),
    ] {
        let small = stack.get(&uri, &headers).await;
        assert_eq!((small.status, &small.headers["content-type"]), (200, &"image/png".parse().unwrap()));
        let small = image::load_from_memory(&small.body).unwrap();
        assert_eq!((small.width(), small.height()), (170, 85));
    }
    assert_eq!(stack.get(&made.path, &[secret]).await.body, *png.get_ref());
    let video = stack.upload(&[], b"no image").await;
    let link = format!("{}?thumbnail=true&share-secret={}", video.path, video.secret);
    assert_eq!(stack.get(&link, &[]).await.body, &b"no image"[..]);
}

#[tokio::test]
async fn a_range_is_served_as_a_part() {
    let stack = Stack::new();
    let made = stack.upload(&[], b"0123456789").await;
    let secret = ("share-secret", &*made.secret);
    let part = stack.get(&made.path, &[secret, ("range", "bytes=2-4")]).await;
    assert_eq!((part.status, &*part.body), (206, &b"234"[..]));
    assert_eq!(part.headers["content-range"], "bytes 2-4/10");
    assert_eq!(part.headers["content-length"], "3");
    let behind = stack.get(&made.path, &[secret, ("range", "bytes=10-")]).await;
    assert_eq!(behind.status, 416);
    assert_eq!(behind.headers["content-range"], "bytes */10");
    assert_eq!(behind.json()["error"], "invalid_request");
    let whole = stack.get(&made.path, &[secret, ("range", "bytes=2-4"), ("if-range", "\"x\"")]).await;
    assert_eq!((whole.status, whole.body.len()), (200, 10));
}

#[tokio::test]
async fn who_may_read_a_file() {
    let stack = Stack::new();
    let restricted = stack.upload(&[RESTRICTED], b"secret").await;
    let open = stack.upload(&[("restrict-access", "false")], b"open").await;
    let wrong = ("share-secret", "wrong");
    let right = |made: &Uploaded| made.secret.clone();
    let (restricted_secret, open_secret) = (right(&restricted), right(&open));
    for (made, headers, status) in [
        (&restricted, vec![("share-secret", &*restricted_secret)], 200),
        (&restricted, vec![("share-secret", &*restricted_secret), AS_ALICE], 200),
        (&restricted, vec![AS_APP], 200),
        (&restricted, vec![AS_ALICE], 403),
        (&restricted, vec![wrong], 403),
        (&restricted, vec![wrong, AS_ALICE], 403),
        (&restricted, vec![wrong, AS_APP], 403),
        (&restricted, vec![("share-secret", &*open_secret)], 403),
        (&restricted, vec![], 401),
        (&restricted, vec![("share-secret", &*restricted_secret), ("authorization", "Bearer other")], 401),
        (&open, vec![AS_ALICE], 200),
        (&open, vec![AS_ALICE, wrong], 200),
        (&open, vec![("share-secret", &*open_secret)], 200),
        (&open, vec![wrong], 403),
        (&open, vec![], 401),
    ] {
        let got = stack.get(&made.path, &headers).await;
        assert_eq!(got.status, status, "{headers:?}");
        if status == 403 {
            assert_eq!(got.json()["error_description"], "chatfile no permission");
        }
    }
}

#[tokio::test]
async fn a_file_that_is_not_there_or_not_any_more_is_answered_with_the_word_that_sdks_know() {
    let stack = Stack::new();
    for path in ["5fd74830-0000-4000-8000-000000000001", "nonsense", "%00"] {
        let got = stack.get(&format!("/demo/chat/chatfiles/{path}"), &[AS_ALICE]).await;
        assert_eq!((got.status, &*got.word()), (404, "storage_object_not_found"), "{path}");
    }
    let expired = stack.upload(&[], b"expired").await;
    let got = stack.get(&expired.path, &[AS_ALICE]).await;
    assert_eq!((got.status, &*got.word()), (404, "file_expired"));
    let damaged = stack.upload(&[], b"damaged").await;
    let got = stack.get(&damaged.path, &[AS_ALICE]).await;
    assert_eq!((got.status, &*got.word()), (500, "internal_server_error"));
}

#[tokio::test]
async fn a_client_that_does_not_read_gives_its_place_back_in_time() {
    let mut fakes = Fakes::new();
    fakes.settings.transfer_limit_ms = 50;
    let gateway = fakes.gateway();
    let router = super::routes(Arc::clone(&gateway));
    let stack = Stack { fakes, router };
    let made = stack.upload(&[], &vec![1; 5_000_000]).await;
    let request = Request::get(&made.path).header("share-secret", &made.secret).body(Body::empty()).unwrap();
    let unread = stack.router.clone().oneshot(request).await.unwrap();
    assert_eq!(unread.status(), 200);
    let limit = std::time::Instant::now() + Duration::from_secs(10);
    while gateway.transfers.open() > 0 {
        assert!(std::time::Instant::now() < limit, "the place is held");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(unread.into_body().collect().await.is_err(), "what comes late is no whole file");
}
