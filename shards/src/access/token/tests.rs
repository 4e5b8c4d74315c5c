//! Every rule of the verifier, and every algorithm, on tokens that are signed here.

use jsonwebtoken::EncodingKey;
use serde_json::{Value, json};

use super::*;

const NOW_MS: u64 = 1_700_000_000_000;
const NOW_S: u64 = NOW_MS / 1000;
const SECRET: &[u8] = b"a secret of at least thirty-two bytes";

macro_rules! key_file {
    ($name:literal) => {
        include_bytes!(concat!("../../../tests/fixtures/keys/", $name))
    };
}

/// Base64url of a whole object, by way of the library's own encoder.
fn encode_part(value: &impl serde::Serialize) -> String {
    let header = jsonwebtoken::Header::new(Algorithm::HS256);
    let token = jsonwebtoken::encode(&header, value, &EncodingKey::from_secret(b"x")).expect("encodes");
    token.split('.').nth(1).expect("a payload").to_owned()
}

/// Base64url of any text, valid JSON or not.
fn encode_text(text: &str) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut out = String::new();
    for chunk in text.as_bytes().chunks(3) {
        let bits =
            chunk.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for digit in 0..=chunk.len() {
            out.push(char::from(DIGITS[(bits >> (18 - 6 * digit)) as usize & 63]));
        }
    }
    out
}

fn sign_parts(header: &str, payload: &str, key: &EncodingKey, algorithm: Algorithm) -> String {
    let message = format!("{header}.{payload}");
    let signature = crypto::sign(message.as_bytes(), key, algorithm).expect("signs");
    format!("{message}.{signature}")
}

fn sign(header: Value, claims: Value) -> String {
    let key = EncodingKey::from_secret(SECRET);
    sign_parts(&encode_part(&header), &encode_part(&claims), &key, Algorithm::HS256)
}

fn settings() -> VerifierSettings {
    VerifierSettings {
        keys: vec![KeySource::Secret(SECRET.to_vec())],
        algorithm: None,
        issuer: None,
        audience: Vec::new(),
        leeway_s: 0,
    }
}

fn verifier() -> Verifier {
    Verifier::new(settings()).expect("a secret is a key")
}

/// Claims that are good, with `changes` laid over them; null takes one away.
fn claims_with(changes: Value) -> Value {
    let mut claims = json!({"sub": "alice", "exp": NOW_S + 60});
    for (name, value) in changes.as_object().expect("an object") {
        claims[name] = value.clone();
    }
    claims
}

fn verify_claims(changes: Value) -> Result<Claims, TokenError> {
    verifier().verify(&sign(json!({"alg": "HS256"}), claims_with(changes)), NOW_MS)
}

#[test]
fn a_full_token_is_read() {
    let claims = verify_claims(json!({
        "userType": "supervisor", "accountId": 7, "permissions": ["*"], "rooms": ["team.a"], "jti": "t1",
    }));
    let expected = Claims {
        sub: "alice".to_owned(),
        expires_unix_ms: NOW_MS + 60_000,
        user_type: UserType::Supervisor,
        account_id: Some("7".to_owned()),
        permissions: vec!["*".to_owned()],
        rooms: vec!["team.a".to_owned()],
        jti: Some("t1".to_owned()),
    };
    assert_eq!(claims, Ok(expected));
}

fn round_trip(source: KeySource, private: &EncodingKey, algorithm: Algorithm, ask: bool) {
    let verifier = Verifier::new(VerifierSettings {
        keys: vec![source],
        algorithm: ask.then_some(algorithm),
        ..settings()
    })
    .expect("a good key");
    let header = encode_part(&jsonwebtoken::Header::new(algorithm));
    let payload = encode_part(&claims_with(json!({})));
    let token = sign_parts(&header, &payload, private, algorithm);
    assert!(verifier.verify(&token, NOW_MS).is_ok(), "{algorithm:?}");

    let other = encode_part(&claims_with(json!({"sub": "mallory"})));
    let signature = token.rsplit('.').next().expect("a signature");
    let forged = format!("{header}.{other}.{signature}");
    assert_eq!(verifier.verify(&forged, NOW_MS), Err(TokenError::Signature), "{algorithm:?}");
}

#[test]
fn every_algorithm_verifies_what_was_signed_and_nothing_else() {
    let secret = EncodingKey::from_secret(SECRET);
    for algorithm in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
        round_trip(KeySource::Secret(SECRET.to_vec()), &secret, algorithm, true);
    }
    let private = EncodingKey::from_rsa_pem(key_file!("rsa_private.pem")).expect("a key");
    let public = key_file!("rsa_public.pem");
    for algorithm in [Algorithm::RS256, Algorithm::RS384, Algorithm::RS512, Algorithm::PS256] {
        round_trip(KeySource::PublicKeyPem(public.to_vec()), &private, algorithm, true);
    }
    let pkcs1 = key_file!("rsa_pkcs1_public.pem").to_vec();
    round_trip(KeySource::PublicKeyPem(pkcs1), &private, Algorithm::RS256, false);
    let private = EncodingKey::from_ec_pem(key_file!("p256_private.pem")).expect("a key");
    let public = key_file!("p256_public.pem").to_vec();
    round_trip(KeySource::PublicKeyPem(public), &private, Algorithm::ES256, false);
    let private = EncodingKey::from_ec_pem(key_file!("p384_private.pem")).expect("a key");
    let public = key_file!("p384_public.pem").to_vec();
    round_trip(KeySource::PublicKeyPem(public), &private, Algorithm::ES384, false);
    let private = EncodingKey::from_ed_pem(key_file!("ed25519_private.pem")).expect("a key");
    let public = key_file!("ed25519_public.pem").to_vec();
    round_trip(KeySource::PublicKeyPem(public), &private, Algorithm::EdDSA, false);
}

#[test]
fn the_key_fixes_the_algorithm() {
    let header = |alg: &str| json!({ "alg": alg });
    for alg in ["none", "None", "HS384", "RS256", "hs256", ""] {
        let token = sign(header(alg), claims_with(json!({})));
        assert_eq!(verifier().verify(&token, NOW_MS), Err(TokenError::Algorithm), "{alg}");
    }
    let unsigned = format!("{}.{}.", encode_part(&header("none")), encode_part(&claims_with(json!({}))));
    assert_eq!(verifier().verify(&unsigned, NOW_MS), Err(TokenError::Algorithm));
    // The classic confusion: the text of a public key as an HMAC secret.
    let pem = key_file!("rsa_public.pem");
    let rsa =
        Verifier::new(VerifierSettings { keys: vec![KeySource::PublicKeyPem(pem.to_vec())], ..settings() })
            .expect("a good key");
    let (header, payload) = (encode_part(&header("HS256")), encode_part(&claims_with(json!({}))));
    let token = sign_parts(&header, &payload, &EncodingKey::from_secret(pem), Algorithm::HS256);
    assert_eq!(rsa.verify(&token, NOW_MS), Err(TokenError::Algorithm));
}

#[test]
fn an_algorithm_that_contradicts_the_key_is_refused_at_start() {
    let check = |source: KeySource, asked: Algorithm| {
        let result =
            Verifier::new(VerifierSettings { keys: vec![source], algorithm: Some(asked), ..settings() });
        result.map(|_| ())
    };
    let secret = || KeySource::Secret(SECRET.to_vec());
    let p256 = || KeySource::PublicKeyPem(key_file!("p256_public.pem").to_vec());
    let mismatch = |asked, suits| Err(KeyError::AlgorithmMismatch { asked, suits });
    assert_eq!(check(secret(), Algorithm::RS256), mismatch(Algorithm::RS256, "HS256, HS384 or HS512"));
    assert_eq!(check(p256(), Algorithm::ES384), mismatch(Algorithm::ES384, "ES256"));
    assert_eq!(check(secret(), Algorithm::PS512), Err(KeyError::UnsupportedAlgorithm(Algorithm::PS512)));
}

#[test]
fn what_is_no_usable_key_is_refused_at_start() {
    let check = |source: KeySource| {
        Verifier::new(VerifierSettings { keys: vec![source], ..settings() }).map(|_| ()).expect_err("no key")
    };
    let pem = |bytes: &[u8]| check(KeySource::PublicKeyPem(bytes.to_vec()));
    assert_eq!(check(KeySource::Secret(Vec::new())), KeyError::EmptySecret);
    assert!(matches!(pem(b"garbage"), KeyError::NotAPublicKey(_)));
    assert!(matches!(pem(key_file!("rsa_private.pem")), KeyError::NotAPublicKey(_)));
    assert!(matches!(pem(key_file!("p256_certificate.pem")), KeyError::NotAPublicKey(_)));
    assert!(matches!(pem(key_file!("p521_public.pem")), KeyError::UnsupportedKey(_)));
    assert!(matches!(pem(key_file!("rsa_1024_public.pem")), KeyError::UnsupportedKey(_)));
    assert!(matches!(check(KeySource::Jwks("{".to_owned())), KeyError::Jwks(_)));
    assert_eq!(check(KeySource::Jwks(r#"{"keys":[]}"#.to_owned())), KeyError::NoKey);
    assert_eq!(
        Verifier::new(VerifierSettings { keys: Vec::new(), ..settings() }).err(),
        Some(KeyError::NoKey)
    );
}

/// A symmetric key for a JWKS, with `more` members.
fn oct_key(secret: &[u8], more: Value) -> Value {
    let text = std::str::from_utf8(secret).expect("test secrets are text");
    let mut key = json!({"kty": "oct", "k": encode_text(text)});
    for (name, value) in more.as_object().expect("an object") {
        key[name] = value.clone();
    }
    key
}

fn jwks(keys: &[Value], algorithm: Option<Algorithm>) -> Verifier {
    let text = json!({ "keys": keys }).to_string();
    Verifier::new(VerifierSettings { keys: vec![KeySource::Jwks(text)], algorithm, ..settings() })
        .expect("a usable set")
}

#[test]
fn a_key_set_is_searched_by_kid() {
    let set = jwks(
        &[
            oct_key(SECRET, json!({"kid": "a", "alg": "HS256"})),
            oct_key(b"another secret of thirty-two bytes", json!({"kid": "b", "alg": "HS256"})),
        ],
        None,
    );
    let verify = |header: Value| set.verify(&sign(header, claims_with(json!({}))), NOW_MS).map(|it| it.sub);
    assert_eq!(verify(json!({"alg": "HS256", "kid": "a"})), Ok("alice".to_owned()));
    assert_eq!(verify(json!({"alg": "HS256", "kid": "b"})), Err(TokenError::Signature));
    assert_eq!(verify(json!({"alg": "HS512", "kid": "a"})), Err(TokenError::Algorithm));
    assert_eq!(verify(json!({"alg": "HS256", "kid": "c"})), Err(TokenError::UnknownKey));
    assert_eq!(verify(json!({"alg": "HS256"})), Err(TokenError::UnknownKey));
    assert_eq!(verify(json!({"alg": "HS256", "kid": 1})), Err(TokenError::Malformed("kid is no string")));
}

#[test]
fn without_kid_the_one_key_that_fits_is_taken() {
    let set = jwks(
        &[
            oct_key(SECRET, json!({"kid": "a"})),
            oct_key(SECRET, json!({"kid": "b", "alg": "HS512"})),
            oct_key(SECRET, json!({"kid": "c", "use": "enc"})),
            oct_key(SECRET, json!({"kid": "d", "key_ops": ["sign"]})),
            oct_key(SECRET, json!({"kid": "e", "alg": "A128KW"})),
            json!({"kid": "f", "kty": "new", "crv": "P-999"}),
        ],
        None,
    );
    let token = sign(json!({"alg": "HS256"}), claims_with(json!({})));
    assert!(set.verify(&token, NOW_MS).is_ok());
    for kid in ["c", "d", "e", "f"] {
        let token = sign(json!({"alg": "HS256", "kid": kid}), claims_with(json!({})));
        assert_eq!(set.verify(&token, NOW_MS), Err(TokenError::UnknownKey), "{kid}");
    }
}

#[test]
fn an_asked_algorithm_restricts_a_key_set() {
    let keys = [oct_key(SECRET, json!({"kid": "a"})), oct_key(SECRET, json!({"kid": "b", "alg": "HS512"}))];
    let set = jwks(&keys, Some(Algorithm::HS256));
    assert!(set.verify(&sign(json!({"alg": "HS256", "kid": "a"}), claims_with(json!({}))), NOW_MS).is_ok());
    let token = sign(json!({"alg": "HS512", "kid": "b"}), claims_with(json!({})));
    assert_eq!(set.verify(&token, NOW_MS), Err(TokenError::UnknownKey));
}

#[test]
fn public_keys_of_a_set_take_their_algorithm_from_type_and_curve() {
    let jwk = |key: jsonwebtoken::DecodingKey| {
        let jwk = jsonwebtoken::jwk::Jwk::from_decoding_key(&key, None).expect("a public key");
        serde_json::to_value(jwk).expect("serializes")
    };
    let rsa = jsonwebtoken::DecodingKey::from_rsa_pem(key_file!("rsa_public.pem")).expect("a key");
    let p384 = jsonwebtoken::DecodingKey::from_ec_pem(key_file!("p384_public.pem")).expect("a key");
    let ed = jsonwebtoken::DecodingKey::from_ed_pem(key_file!("ed25519_public.pem")).expect("a key");
    let set = jwks(&[jwk(rsa), jwk(p384), jwk(ed)], None);
    let payload = encode_part(&claims_with(json!({})));
    let keys = [
        (EncodingKey::from_rsa_pem(key_file!("rsa_private.pem")), Algorithm::RS256),
        (EncodingKey::from_ec_pem(key_file!("p384_private.pem")), Algorithm::ES384),
        (EncodingKey::from_ed_pem(key_file!("ed25519_private.pem")), Algorithm::EdDSA),
    ];
    for (private, algorithm) in keys {
        let header = encode_part(&jsonwebtoken::Header::new(algorithm));
        let token = sign_parts(&header, &payload, &private.expect("a key"), algorithm);
        assert!(set.verify(&token, NOW_MS).is_ok(), "{algorithm:?}");
    }
}

#[test]
fn a_secret_also_serves_tokens_that_bear_a_kid() {
    let token = sign(json!({"alg": "HS256", "kid": "2024"}), claims_with(json!({})));
    assert!(verifier().verify(&token, NOW_MS).is_ok());
}

#[test]
fn keys_offered_by_the_header_are_ignored() {
    let header = json!({
        "alg": "HS256", "jwk": {"kty": "oct", "k": "AAAA"}, "jku": "https://evil.test/", "x5u": 7,
    });
    assert!(verifier().verify(&sign(header, claims_with(json!({}))), NOW_MS).is_ok());
}

#[test]
fn crit_is_refused_whatever_it_lists() {
    for crit in [json!(["b64"]), json!([]), json!(null)] {
        let token = sign(json!({"alg": "HS256", "crit": crit}), claims_with(json!({})));
        let expected = Err(TokenError::Malformed("crit is not supported"));
        assert_eq!(verifier().verify(&token, NOW_MS), expected);
    }
}

#[test]
fn a_member_twice_is_refused_at_any_depth() {
    let check = |header: &str, payload: &str| {
        let key = EncodingKey::from_secret(SECRET);
        let token = sign_parts(&encode_text(header), &encode_text(payload), &key, Algorithm::HS256);
        verifier().verify(&token, NOW_MS)
    };
    let (header, payload) = (r#"{"alg":"HS256"}"#, r#"{"sub":"a","exp":1700000060}"#);
    assert!(check(header, payload).is_ok());
    let refused = |result| matches!(result, Err(TokenError::Malformed(_)));
    assert!(refused(check(r#"{"alg":"HS256","alg":"HS256"}"#, payload)));
    assert!(refused(check(header, r#"{"sub":"a","sub":"b","exp":1700000060}"#)));
    assert!(refused(check(header, r#"{"sub":"a","exp":1700000060,"x":[{"y":1,"\u0079":2}]}"#)));
}

#[test]
fn what_is_no_token_is_malformed() {
    let check = |token: &str| {
        assert!(matches!(verifier().verify(token, NOW_MS), Err(TokenError::Malformed(_))), "{token}");
    };
    let good = sign(json!({"alg": "HS256"}), claims_with(json!({})));
    for token in ["", ".", "..", "...", "a.b.c", "\u{0}.é.\u{feff}", &format!("{good}.x"), &good[1..]] {
        check(token);
    }
    check(&"a".repeat(TOKEN_BYTES_MAX + 1));
    check(&sign(json!([]), json!({})));
    check(&sign(json!({"alg": "HS256"}), json!("claims")));
    check(&sign(json!({"typ": "JWT"}), json!({})));
    let (rest, _) = good.rsplit_once('.').expect("three parts");
    assert_eq!(verifier().verify(&format!("{rest}.!!!"), NOW_MS), Err(TokenError::Signature));
    let deep = encode_text(&format!("{}{}", "[".repeat(5_000), "]".repeat(5_000)));
    check(&format!("{deep}.e30.e30"));
}

#[test]
fn time_counts_to_the_millisecond_and_leeway_extends_it() {
    assert_eq!(verify_claims(json!({"exp": NOW_S})), Err(TokenError::Expired));
    assert!(verify_claims(json!({"exp": NOW_S as f64 + 0.5})).is_ok());
    assert_eq!(verify_claims(json!({"exp": -5})), Err(TokenError::Expired));
    assert!(verify_claims(json!({"exp": u64::MAX})).is_ok());
    assert!(verify_claims(json!({"exp": 1e300})).is_ok());
    assert_eq!(verify_claims(json!({"exp": null})), Err(TokenError::Claims("exp is missing")));
    assert_eq!(verify_claims(json!({"exp": "1"})), Err(TokenError::Claims("exp is no number")));
    assert!(verify_claims(json!({"nbf": NOW_S})).is_ok());
    assert_eq!(verify_claims(json!({"nbf": NOW_S + 1})), Err(TokenError::NotYetValid));
    assert_eq!(verify_claims(json!({"nbf": []})), Err(TokenError::Claims("nbf is no number")));

    let lenient = Verifier::new(VerifierSettings { leeway_s: 10, ..settings() }).expect("a key");
    let token = sign(json!({"alg": "HS256"}), claims_with(json!({"exp": NOW_S - 9, "nbf": NOW_S + 10})));
    let claims = lenient.verify(&token, NOW_MS).expect("within the leeway");
    assert_eq!(claims.expires_unix_ms, NOW_MS + 1000);
    assert_eq!(lenient.verify(&token, NOW_MS + 1000), Err(TokenError::Expired));
}

#[test]
fn issuer_and_audience_count_when_configured() {
    let strict = Verifier::new(VerifierSettings {
        issuer: Some("us".to_owned()),
        audience: vec!["chat".to_owned(), "bots".to_owned()],
        ..settings()
    })
    .expect("a key");
    let check = |iss: Value, aud: Value| {
        let claims = claims_with(json!({"iss": iss, "aud": aud}));
        strict.verify(&sign(json!({"alg": "HS256"}), claims), NOW_MS).map(|_| ())
    };
    assert_eq!(check(json!("us"), json!("chat")), Ok(()));
    assert_eq!(check(json!("us"), json!(["x", 7, "bots"])), Ok(()));
    for iss in [json!("them"), json!(null), json!(["us"])] {
        assert_eq!(check(iss, json!("chat")), Err(TokenError::Issuer));
    }
    for aud in [json!("x"), json!(null), json!([]), json!(["x"]), json!({"chat": 1})] {
        assert_eq!(check(json!("us"), aud), Err(TokenError::Audience));
    }
    assert!(verify_claims(json!({"iss": 7, "aud": 7})).is_ok());
}

#[test]
fn a_subject_must_be_able_to_stand_in_a_room_name() {
    for sub in ["a", "auth0|7", "a@b.c", &"x".repeat(120)] {
        assert!(verify_claims(json!({ "sub": sub })).is_ok(), "{sub}");
    }
    for sub in
        [json!(""), json!("a b"), json!("*"), json!("é"), json!("x".repeat(121)), json!(7), json!(null)]
    {
        assert_eq!(verify_claims(json!({ "sub": sub })), Err(TokenError::Subject), "{sub}");
    }
}

#[test]
fn other_claims_have_their_types() {
    let claims = |changes| verify_claims(changes).expect("good claims");
    assert_eq!(claims(json!({"userType": "employee"})).user_type, UserType::Employee);
    for other in [json!("admin"), json!("Employee"), json!(1), json!(null)] {
        assert_eq!(claims(json!({ "userType": other })).user_type, UserType::Guest);
    }
    assert_eq!(claims(json!({"accountId": -1})).account_id.as_deref(), Some("-1"));
    assert_eq!(claims(json!({"accountId": "acme"})).account_id.as_deref(), Some("acme"));
    assert_eq!(claims(json!({"accountId": null})).account_id, None);
    for changes in [
        json!({"accountId": 1.5}),
        json!({"accountId": true}),
        json!({"accountId": ""}),
        json!({"accountId": "a b"}),
        json!({"permissions": "a"}),
        json!({"permissions": [1]}),
        json!({"rooms": {}}),
        json!({"rooms": ["a", null]}),
        json!({"rooms": ["a b"]}),
        json!({"jti": 7}),
    ] {
        assert!(matches!(verify_claims(changes.clone()), Err(TokenError::Claims(_))), "{changes}");
    }
}

#[test]
fn nothing_that_is_printed_holds_a_key_or_a_token() {
    assert_eq!(
        format!("{:?}", verifier()),
        "Verifier { keys: [Key { kid: None, algorithm: HS256, .. }], issuer: None, audience: [], leeway_ms: 0 }"
    );
    let error = verify_claims(json!({"rooms": ["secret room"]})).expect_err("a bad name");
    assert!(!error.to_string().contains("secret"));
}

#[test]
fn labels_are_distinct_and_listed() {
    let errors = [
        TokenError::Malformed(""),
        TokenError::Signature,
        TokenError::Algorithm,
        TokenError::Expired,
        TokenError::NotYetValid,
        TokenError::Issuer,
        TokenError::Audience,
        TokenError::Subject,
        TokenError::Claims(""),
        TokenError::UnknownKey,
        TokenError::Revoked,
    ];
    assert_eq!(errors.map(TokenError::label), TokenError::LABELS);
    fn shareable<T: Send + Sync + fmt::Debug>() {}
    shareable::<Verifier>();
}
