//! What one AccessToken2 costs: base64, inflate, parse, three HMACs.

use std::hint::black_box;

use bulkhead_token::{SignedToken, build_chat_user_token};
use criterion::{Criterion, criterion_group, criterion_main};

const APP_ID: &str = "970CA35de60c44645bbae8a215061b33";
const CERTIFICATE: &str = "5CFd2fd1755d40ecb72977518be15d3b";

fn verify(criterion: &mut Criterion) {
    let text =
        build_chat_user_token(APP_ID, CERTIFICATE, "alice", 1_111_111, 600, 1).expect("valid arguments");
    criterion.bench_function("decode and verify a chat user token", |bencher| {
        bencher.iter(|| {
            let token = SignedToken::decode(black_box(&text)).expect("well-formed");
            token.verify(&[CERTIFICATE], 1_111_112, 300).expect("genuine")
        });
    });
    let decoded = SignedToken::decode(&text).expect("well-formed");
    criterion.bench_function("verify a decoded chat user token", |bencher| {
        bencher.iter(|| black_box(&decoded).verify(&[CERTIFICATE], 1_111_112, 300).expect("genuine"));
    });
}

criterion_group!(benches, verify);
criterion_main!(benches);
