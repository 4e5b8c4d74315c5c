//! Tokens of issuers who sign with a private key: the key fixes the algorithm, never the token (protocol §3).

use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::json;

use crate::support::{ProcessEnd, Server, TemporaryFile, Token};

fn key_file(name: &str) -> String {
    format!("{}/shards/tests/fixtures/keys/{name}.pem", env!("CARGO_MANIFEST_DIR"))
}

fn private_key(algorithm: Algorithm) -> EncodingKey {
    let name = match algorithm {
        Algorithm::ES256 => "p256_private",
        Algorithm::ES384 => "p384_private",
        Algorithm::EdDSA => "ed25519_private",
        _ => "rsa_private",
    };
    let pem = std::fs::read(key_file(name)).expect("the fixture is there");
    match algorithm {
        Algorithm::ES256 | Algorithm::ES384 => EncodingKey::from_ec_pem(&pem),
        Algorithm::EdDSA => EncodingKey::from_ed_pem(&pem),
        _ => EncodingKey::from_rsa_pem(&pem),
    }
    .expect("the fixture is a private key")
}

fn server(settings: &[&str]) -> Server {
    Server::builder().shards(1).without_secret().with(settings).start()
}

#[test]
fn a_public_key_verifies_its_own_algorithm_and_no_other() {
    let cases = [
        ("rsa_public", Algorithm::RS256, Algorithm::RS512),
        ("p256_public", Algorithm::ES256, Algorithm::RS256),
        ("p384_public", Algorithm::ES384, Algorithm::ES256),
        ("ed25519_public", Algorithm::EdDSA, Algorithm::RS256),
    ];
    for (file, good, bad) in cases {
        let server = server(&["--jwt-public-key-file", &key_file(file)]);
        let mint = |algorithm| Token::employee("ana").mint_by(algorithm, &private_key(algorithm), None);
        server.connect().bearer(&mint(good)).open().join("lobby");
        assert_eq!(server.connect().bearer(&mint(bad)).refused().status, 401, "{bad:?} with {file}");
        // The public key as a secret is the classic confusion.
        let pem = std::fs::read_to_string(key_file(file)).expect("the fixture is there");
        let confused = Token::employee("ana").mint_with(&pem);
        assert_eq!(server.connect().bearer(&confused).refused().status, 401, "HS256 with {file}");
    }
}

#[test]
fn another_algorithm_of_the_family_can_be_asked_for() {
    for algorithm in [Algorithm::RS384, Algorithm::RS512, Algorithm::PS256] {
        let name = format!("{algorithm:?}");
        let server = server(&["--jwt-public-key-file", &key_file("rsa_public"), "--jwt-algorithm", &name]);
        let mint = |algorithm| Token::employee("ana").mint_by(algorithm, &private_key(algorithm), None);
        server.connect().bearer(&mint(algorithm)).open().ping();
        assert_eq!(server.connect().bearer(&mint(Algorithm::RS256)).refused().status, 401);
    }
}

#[test]
fn a_key_set_selects_by_kid() {
    let keys: Vec<_> = [("one", Algorithm::ES256), ("two", Algorithm::RS256)]
        .into_iter()
        .map(|(kid, algorithm)| {
            let mut key = Jwk::from_encoding_key(&private_key(algorithm), algorithm).expect("a public half");
            key.common.key_id = Some(kid.to_owned());
            key
        })
        .collect();
    let file = TemporaryFile::with("jwks", &json!({ "keys": keys }).to_string());
    let server = server(&["--jwks", file.path()]);
    let mint = |algorithm, kid| Token::employee("ana").mint_by(algorithm, &private_key(algorithm), kid);
    server.connect().bearer(&mint(Algorithm::ES256, Some("one"))).open().ping();
    server.connect().bearer(&mint(Algorithm::RS256, Some("two"))).open().ping();
    for bad in [mint(Algorithm::RS256, Some("one")), mint(Algorithm::ES256, Some("three"))] {
        assert_eq!(server.connect().bearer(&bad).refused().status, 401);
    }
}

#[test]
fn a_private_key_where_a_public_one_belongs_is_refused_at_start() {
    let file = key_file("rsa_private");
    let end = ProcessEnd::of(&["serve", "--listen", "127.0.0.1:0", "--jwt-public-key-file", &file]);
    assert_eq!(end.code, Some(64));
    assert!(end.stderr.contains("--jwt-public-key-file"), "{}", end.stderr);
}
