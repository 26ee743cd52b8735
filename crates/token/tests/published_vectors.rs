//! The published vectors of features.md §6.7, decoded, verified and made again.

#![expect(clippy::unwrap_used, reason = "the helpers of tests fail like tests")]

use std::collections::BTreeMap;
use std::io::Read;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bulkhead_token::{
    AccessToken, ChatPrivilege, Service, ServiceKind, SignedToken, TokenError, build_chat_app_token,
    build_chat_user_token,
};

const APP_ID: &str = "970CA35de60c44645bbae8a215061b33";
const CERTIFICATE: &str = "5CFd2fd1755d40ecb72977518be15d3b";
const ISSUED_S: u32 = 1_111_111;
const NOW_S: u64 = 1_111_200;
const CHANNEL: &str = "7d72365eb983485397e3e3f9d460bdda";
const USER: &str = "2882341273";

const CHAT_USER: &str = "007eJxTYNAIsnbS3v/A5t2TC6feR15r+6cq8bqAvfaW+tk/Vzz+p6xTYLA0N3B2NDZNSTUzSDYxMTMxTUpKTLVINDI0NTAzTDI2dv8iwBDBxMDAyADCrEDMCOZzMRhZWBgZmxgamRsDAB+lHrg=";
const CHAT_APP: &str = "007eJxTYNDNaz3snC8huEfHWdz6s98qltq4zqy9fl99Uh0FDvy6F6DAYGlu4OxobJqSamaQbGJiZmKalJSYapFoZGhqYGaYZGzs/kWAIYKJgYGRAYRZgZgJzGdgAACt8hhr";
const APAAS_RTM_CHAT: &str = "007eJxTYOi6fYVB7qlA2ZWQ+Ko3N2IafQOddj+K4tjh3PS7P2vx4a0KDJbmBs6OxqYpqWYGySYmZiamSUmJqRaJRoamBmaGScbG7l8EGCKYGBgYGRgYmBmYgDQjmM/FYGRhYWRsYmhkbswKF1VgMDMwMza2MDYxskg0NktLSjROSzIzMDZISk1OszCwNEllh6tlZjA0MkY2hpEBANqIKYQ=";
const FIVE_SERVICES: &str = "007eJxTYHh8IPKzTvBdf9ce8bk7G61vs06oca1e815/ot4+x7rfjDIKDJbmBs6OxqYpqWYGySYmZiamSUmJqRaJRoamBmaGScbG7l8EGCKYGBgYGRgYWIEkCxCD+ExgkhlMsoBJBQbzFHMjYzPT1CRLC2MTC1NjS/NU41TjNMsUEzODpJSURC4GIwsLI2MTQyNzYyagORCTkEVZ4KKsWOXZgWIQm1HF//8HAL01L5I=";
const RTC: &str = "007eJxTYBBbsMMnKq7p9Hf/HcIX5kce9b518kCiQgSr5Zrp4X1Tu6UUGCzNDZwdjU1TUs0Mkk1MzExMk5ISUy0SjQxNDcwMk4yN3b8IMEQwMTAwMoAwBIL4CgzmKeZGxmamqUmWFsYmFqbGluapxqnGaZYpJmYGSSkpiVwMRhYWRsYmhkbmxgDCaiTj";
const RTC_ANY_UID: &str = "007eJxTYLhzZP08Lxa1Pg57+TcXb/3cZ3wi4V6kbpbOog0G2dOYk20UGCzNDZwdjU1TUs0Mkk1MzExMk5ISUy0SjQxNDcwMk4yN3b8IMEQwMTAwMoAwBIL4CgzmKeZGxmamqUmWFsYmFqbGluapxqnGaZYpJmYGSSkpiQwMADacImo=";
const CHAT_USER_FROM_GO: &str = "007eJxSYNAIsnbS3v/A5t2TC6feR15r+6cq8bqAvfaW+tk/Vzz+p6xTYLA0N3B2NDZNSTUzSDYxMTMxTUpKTLVINDI0NTAzTDI2dv8iwBDBxMDAyADCrAyMDIxgPheDkYWFkbGJoZG5MSAAAP//H6UeuA==";
const CHAT_APP_FROM_GO: &str = "007eJxSYNDNaz3snC8huEfHWdz6s98qltq4zqy9fl99Uh0FDvy6F6DAYGlu4OxobJqSamaQbGJiZmKalJSYapFoZGhqYGaYZGzs/kWAIYKJgYGRAYRZGRgZmMB8BgZAAAAA//+t8hhr";

const CHAT_USER_CONTENT: &str = "200028523b422bbfe03ceee4d0caef59d686fe2518eb70077dda27cdfcd448ff64ae2000393730434133356465363063343436343562626165386132313530363162333347f4100058020000010000000100050001000100580200000a0032383832333431323733";
const CHAT_APP_CONTENT: &str = "20002d6e85c3436f1811bc2c43173bf34eaa047d5e896abd4ef54c654110c0fade502000393730434133356465363063343436343562626165386132313530363162333347f4100058020000010000000100050001000200580200000000";

fn content_of(text: &str) -> Vec<u8> {
    let packed = STANDARD.decode(&text[3..]).unwrap();
    let mut content = Vec::new();
    flate2::read::ZlibDecoder::new(packed.as_slice()).read_to_end(&mut content).unwrap();
    content
}

fn service(kind: ServiceKind, privileges: &[u16]) -> Service {
    Service { kind, privileges: privileges.iter().map(|key| (*key, 600)).collect::<BTreeMap<_, _>>() }
}

fn token(services: Vec<Service>) -> AccessToken {
    AccessToken { app_id: APP_ID.into(), issued_s: ISSUED_S, life_s: 600, salt: 1, services }
}

fn rtc(uid: &str, privileges: &[u16]) -> Service {
    service(ServiceKind::Rtc { channel: CHANNEL.into(), uid: uid.into() }, privileges)
}

fn rtm() -> Service {
    service(ServiceKind::Rtm { user_id: USER.into() }, &[1])
}

fn chat(user: &str, privilege: u16) -> Service {
    service(ServiceKind::Chat { user_id: user.into() }, &[privilege])
}

fn apaas(room: &str, role: i16, privilege: u16) -> Service {
    service(ServiceKind::Apaas { room: room.into(), user: USER.into(), role }, &[privilege])
}

/// Every vector: its text, what it says, and whom it speaks for in chat.
fn vectors() -> Vec<(&'static str, AccessToken, Option<ChatPrivilege>)> {
    let user = |name: &str| Some(ChatPrivilege::User(name.to_owned()));
    let hashed = "6063383428a36fba3fb6030becf8094e";
    vec![
        (CHAT_USER, token(vec![chat(USER, 1)]), user(USER)),
        (CHAT_USER_FROM_GO, token(vec![chat(USER, 1)]), user(USER)),
        (CHAT_APP, token(vec![chat("", 2)]), Some(ChatPrivilege::App)),
        (CHAT_APP_FROM_GO, token(vec![chat("", 2)]), Some(ChatPrivilege::App)),
        (APAAS_RTM_CHAT, token(vec![rtm(), chat(hashed, 1), apaas("123", 1, 1)]), user(hashed)),
        (
            FIVE_SERVICES,
            token(vec![
                rtc(USER, &[1, 2, 3, 4]),
                rtm(),
                service(ServiceKind::Fpa, &[1]),
                chat(USER, 1),
                apaas("", -1, 2),
            ]),
            user(USER),
        ),
        (RTC, token(vec![rtc(USER, &[1])]), None),
        (RTC_ANY_UID, token(vec![rtc("", &[1])]), None),
    ]
}

#[test]
fn every_published_token_is_read_and_verified() {
    for (text, said, privilege) in vectors() {
        let signed = SignedToken::decode(text).unwrap();
        assert_eq!(signed.app_id(), APP_ID);
        assert_eq!(*signed.claims(), said);
        let judged = signed.verify(&[CERTIFICATE], NOW_S, 0);
        match privilege {
            Some(privilege) => {
                let grant = judged.unwrap();
                assert_eq!(grant.privilege, privilege);
                assert_eq!((grant.issued_s, grant.expires_s), (1_111_111, 1_111_711));
                assert_eq!(grant.app_id, APP_ID);
            }
            None => assert_eq!(judged, Err(TokenError::NoChatPrivilege)),
        }
    }
}

#[test]
fn every_published_token_is_made_again_byte_for_byte() {
    for (text, said, _) in vectors() {
        assert_eq!(content_of(&said.encode(CERTIFICATE).unwrap()), content_of(text));
    }
}

#[test]
fn services_are_written_in_ascending_order_whatever_order_they_are_given_in() {
    let turned = token(vec![apaas("123", 1, 1), rtm(), chat("6063383428a36fba3fb6030becf8094e", 1)]);
    assert_eq!(content_of(&turned.encode(CERTIFICATE).unwrap()), content_of(APAAS_RTM_CHAT));
}

#[test]
fn the_chat_builders_make_the_published_contents() {
    let user = build_chat_user_token(APP_ID, CERTIFICATE, USER, ISSUED_S, 600, 1).unwrap();
    assert_eq!(hex::encode(content_of(&user)), CHAT_USER_CONTENT);
    let app = build_chat_app_token(APP_ID, CERTIFICATE, ISSUED_S, 600, 1).unwrap();
    assert_eq!(hex::encode(content_of(&app)), CHAT_APP_CONTENT);
}

#[test]
fn a_builder_refuses_what_is_not_32_hex_digits() {
    let short = &APP_ID[1..];
    assert_eq!(build_chat_app_token(short, CERTIFICATE, 1, 1, 1), Err(TokenError::InvalidAppId));
    assert_eq!(build_chat_app_token(APP_ID, "", 1, 1, 1), Err(TokenError::InvalidCertificate));
    let other = CERTIFICATE.replace('5', "g");
    assert_eq!(build_chat_app_token(APP_ID, &other, 1, 1, 1), Err(TokenError::InvalidCertificate));
}
