//! The rules of features.md §6.6, each at its limit and one past it.

#![expect(clippy::unwrap_used, reason = "the helpers of tests fail like tests")]

use std::collections::BTreeMap;
use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bulkhead_token::{
    AccessToken, CONTENT_BYTES_MAX, ChatPrivilege, LIFE_S_MAX, Service, ServiceKind, SignedToken, TokenError,
    build_chat_user_token,
};
use flate2::Compression;
use flate2::write::ZlibEncoder;
use hmac::{Hmac, KeyInit, Mac};
use proptest::prelude::*;
use sha2::Sha256;

const APP_ID: &str = "970CA35de60c44645bbae8a215061b33";
const CERTIFICATE: &str = "5CFd2fd1755d40ecb72977518be15d3b";
const OTHER: &str = "00000000000000000000000000000000";
const ISSUED_S: u32 = 1_700_000_000;
const NOW_S: u64 = 1_700_000_000;

fn pack(content: &[u8], level: u32) -> String {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::new(level));
    encoder.write_all(content).unwrap();
    format!("007{}", STANDARD.encode(encoder.finish().unwrap()))
}

fn unpack(text: &str) -> Vec<u8> {
    let packed = STANDARD.decode(&text[3..]).unwrap();
    let mut content = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::ZlibDecoder::new(packed.as_slice()), &mut content).unwrap();
    content
}

fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(message);
    mac.finalize().into_bytes().to_vec()
}

/// Signs any bytes as a token of [`ISSUED_S`] and salt 1, independently of the encoder.
fn sign(signing_info: &[u8], certificate: &str) -> String {
    let first = hmac(&ISSUED_S.to_le_bytes(), certificate.as_bytes());
    let key = hmac(&1u32.to_le_bytes(), &first);
    let mut content = vec![32, 0];
    content.extend(hmac(&key, signing_info));
    content.extend_from_slice(signing_info);
    pack(&content, 6)
}

fn head(services: u16) -> Vec<u8> {
    let mut info = vec![32, 0];
    info.extend(APP_ID.as_bytes());
    info.extend(ISSUED_S.to_le_bytes());
    info.extend(600u32.to_le_bytes());
    info.extend(1u32.to_le_bytes());
    info.extend(services.to_le_bytes());
    info
}

fn verify(text: &str, now_s: u64) -> Result<bulkhead_token::ChatGrant, TokenError> {
    SignedToken::decode(text)?.verify(&[CERTIFICATE, ""], now_s, 300)
}

fn with(life_s: u32, services: Vec<Service>) -> String {
    AccessToken { app_id: APP_ID.into(), issued_s: ISSUED_S, life_s, salt: 1, services }
        .encode(CERTIFICATE)
        .unwrap()
}

#[test]
fn a_token_is_valid_until_the_last_second_of_its_life() {
    let text = with(600, vec![Service::chat("alice", 1, 600)]);
    assert_eq!(verify(&text, NOW_S + 600).unwrap().expires_s, NOW_S + 600);
    assert_eq!(verify(&text, NOW_S + 601), Err(TokenError::Expired));
}

#[test]
fn a_token_from_the_future_is_accepted_within_the_skew_only() {
    let text = with(600, vec![Service::chat("alice", 1, 600)]);
    assert!(verify(&text, NOW_S - 300).is_ok());
    assert_eq!(verify(&text, NOW_S - 301), Err(TokenError::NotYetValid));
    let latest =
        AccessToken { app_id: APP_ID.into(), issued_s: u32::MAX, life_s: 600, salt: 1, services: vec![] };
    assert_eq!(verify(&latest.encode(CERTIFICATE).unwrap(), NOW_S), Err(TokenError::NotYetValid));
}

#[test]
fn a_life_of_24_hours_is_accepted_and_one_second_more_is_not() {
    assert!(verify(&with(LIFE_S_MAX, vec![Service::chat("alice", 1, 0)]), NOW_S).is_ok());
    let longer = with(LIFE_S_MAX + 1, vec![Service::chat("alice", 1, 0)]);
    assert_eq!(verify(&longer, NOW_S), Err(TokenError::LifeTooLong));
}

#[test]
fn a_privilege_ends_before_its_token_and_0_means_with_it() {
    let text = with(600, vec![Service::chat("alice", 1, 60)]);
    assert_eq!(verify(&text, NOW_S).unwrap().expires_s, NOW_S + 60);
    assert_eq!(verify(&text, NOW_S + 61), Err(TokenError::Expired));
    assert_eq!(verify(&with(600, vec![Service::chat("alice", 1, 0)]), NOW_S).unwrap().expires_s, NOW_S + 600);
    assert_eq!(
        verify(&with(600, vec![Service::chat("alice", 1, 900)]), NOW_S).unwrap().expires_s,
        NOW_S + 600
    );
}

#[test]
fn either_certificate_verifies_and_no_other_does() {
    let signed = SignedToken::decode(&with(600, vec![Service::chat("alice", 1, 600)])).unwrap();
    assert!(signed.verify(&[CERTIFICATE, OTHER], NOW_S, 0).is_ok());
    assert!(signed.verify(&[OTHER, CERTIFICATE], NOW_S, 0).is_ok());
    assert_eq!(signed.verify(&[OTHER, OTHER], NOW_S, 0), Err(TokenError::WrongSignature));
    assert_eq!(signed.verify(&[], NOW_S, 0), Err(TokenError::WrongSignature));
}

#[test]
fn a_certificate_that_does_not_exist_verifies_nothing() {
    let mut info = head(1);
    info.extend([5, 0, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0]);
    let forged = SignedToken::decode(&sign(&info, "")).unwrap();
    assert_eq!(forged.verify(&[CERTIFICATE, ""], NOW_S, 0), Err(TokenError::WrongSignature));
    assert!(verify(&sign(&info, CERTIFICATE), NOW_S).is_ok());
}

#[test]
fn the_same_service_may_occur_twice_and_the_user_comes_before_the_app() {
    let text = with(600, vec![Service::chat("", 2, 600), Service::chat("alice", 1, 600)]);
    assert_eq!(verify(&text, NOW_S).unwrap().privilege, ChatPrivilege::User("alice".into()));
    let expired_user = with(600, vec![Service::chat("alice", 1, 60), Service::chat("", 2, 600)]);
    assert_eq!(verify(&expired_user, NOW_S + 100).unwrap().privilege, ChatPrivilege::App);
}

#[test]
fn a_user_privilege_without_a_user_is_none() {
    assert_eq!(verify(&with(600, vec![Service::chat("", 1, 600)]), NOW_S), Err(TokenError::NoChatPrivilege));
    assert_eq!(verify(&with(600, vec![]), NOW_S), Err(TokenError::NoChatPrivilege));
}

#[test]
fn an_unknown_service_ends_the_reading_and_its_bytes_stay_signed() {
    let mut info = head(2);
    info.extend([5, 0, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0]);
    info.extend([8, 0, 9, 9, 9, 9, 9]);
    assert_eq!(verify(&sign(&info, CERTIFICATE), NOW_S).unwrap().privilege, ChatPrivilege::App);
    let mut content = unpack(&sign(&info, CERTIFICATE));
    *content.last_mut().unwrap() = 8;
    assert_eq!(verify(&pack(&content, 6), NOW_S), Err(TokenError::WrongSignature));
}

#[test]
fn a_content_of_64_kib_is_read_and_one_byte_more_is_not() {
    let mut info = head(1);
    info.extend([5, 0, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0]);
    info.resize(CONTENT_BYTES_MAX - 34, 0);
    assert!(verify(&sign(&info, CERTIFICATE), NOW_S).is_ok());
    info.push(0);
    assert_eq!(verify(&sign(&info, CERTIFICATE), NOW_S), Err(TokenError::TooLarge));
    let bomb = pack(&vec![0; 64 << 20], 9);
    assert!(SignedToken::decode(&bomb).err() == Some(TokenError::TooLarge));
    assert!(SignedToken::decode(&format!("007{}", "A".repeat(1 << 20))).err() == Some(TokenError::TooLarge));
    assert_eq!(
        build_chat_user_token(APP_ID, CERTIFICATE, &"a".repeat(65_536), 1, 1, 1),
        Err(TokenError::TooLarge)
    );
}

#[test]
fn what_is_cut_off_or_has_a_tail_is_malformed() {
    let text = with(600, vec![Service::chat("alice", 1, 600)]);
    for end in 0..text.len() {
        assert!(SignedToken::decode(&text[..end]).is_err(), "{end}");
    }
    let content = unpack(&text);
    for end in 0..content.len() {
        assert!(SignedToken::decode(&pack(&content[..end], 6)).is_err(), "{end}");
    }
    let mut packed = STANDARD.decode(&text[3..]).unwrap();
    packed.push(0);
    assert!(SignedToken::decode(&format!("007{}", STANDARD.encode(packed))).is_err());
    assert!(SignedToken::decode(&format!("006{}", &text[3..])).is_err());
}

#[test]
fn every_compression_level_is_accepted() {
    let content = unpack(&with(600, vec![Service::chat("alice", 1, 600)]));
    for level in 0..=9 {
        assert!(verify(&pack(&content, level), NOW_S).is_ok(), "{level}");
    }
}

fn any_kind() -> impl Strategy<Value = ServiceKind> {
    let text = || "\\PC{0,20}";
    prop_oneof![
        (text(), text()).prop_map(|(channel, uid)| ServiceKind::Rtc { channel, uid }),
        text().prop_map(|user_id| ServiceKind::Rtm { user_id }),
        (text(), text()).prop_map(|(channel, account)| ServiceKind::Streaming { channel, account }),
        Just(ServiceKind::Fpa),
        text().prop_map(|user_id| ServiceKind::Chat { user_id }),
        (text(), text()).prop_map(|(channel, account)| ServiceKind::Fcdn { channel, account }),
        (text(), text(), any::<i16>()).prop_map(|(room, user, role)| ServiceKind::Apaas { room, user, role }),
    ]
}

fn any_token() -> impl Strategy<Value = AccessToken> {
    let privileges = prop::collection::btree_map(any::<u16>(), any::<u32>(), 0..5);
    let service = (any_kind(), privileges)
        .prop_map(|(kind, privileges): (_, BTreeMap<u16, u32>)| Service { kind, privileges });
    ("[0-9a-fA-F]{32}", any::<u32>(), any::<u32>(), any::<u32>(), prop::collection::vec(service, 0..6))
        .prop_map(|(app_id, issued_s, life_s, salt, mut services)| {
            services.sort_by_key(|service| service.kind.number());
            AccessToken { app_id, issued_s, life_s, salt, services }
        })
}

proptest! {
    #[test]
    fn what_is_encoded_reads_back_and_is_signed(token in any_token(), certificate in "[0-9a-f]{32}") {
        let signed = SignedToken::decode(&token.encode(&certificate).unwrap()).unwrap();
        prop_assert_eq!(signed.claims(), &token);
        let judged = signed.verify(&[&certificate], u64::from(token.issued_s), 0);
        prop_assert_ne!(judged, Err(TokenError::WrongSignature));
        prop_assert_eq!(signed.verify(&[OTHER], u64::from(token.issued_s), 0), Err(TokenError::WrongSignature));
    }

    #[test]
    fn arbitrary_text_never_panics(text in "\\PC{0,200}", packed in "[A-Za-z0-9+/=]{0,200}") {
        let _ = SignedToken::decode(&text);
        let _ = SignedToken::decode(&format!("007{packed}"));
    }

    #[test]
    fn arbitrary_content_never_panics_and_never_verifies(content in prop::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(verify(&pack(&content, 1), NOW_S).is_err());
    }

    #[test]
    fn arbitrary_services_never_panic(tail in prop::collection::vec(any::<u8>(), 0..200), count in any::<u16>()) {
        let mut info = head(count);
        info.extend(tail);
        let _ = verify(&sign(&info, CERTIFICATE), NOW_S);
    }

    #[test]
    fn one_flipped_bit_never_verifies(bit in 0usize..99 * 8) {
        let mut content = unpack(&with(600, vec![Service::chat("alice", 1, 600)]));
        prop_assert_eq!(content.len(), 99);
        content[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(verify(&pack(&content, 6), NOW_S).is_err());
    }
}
