//! Access tokens: opaque to clients, a JWT to us.

use std::fmt;

use chrono::{DateTime, Utc};
use domain::{AccountId, SessionId};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use serde::{Deserialize, Serialize};

use crate::secrets::TokenKeys;

const ISSUER: &str = "allegiant";
/// Ours have about 300 bytes. Longer ones are refused before anything is computed.
const LONGEST: usize = 1024;

/// What a token says. That it says so proves nothing about the session, which may have ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Claims {
    pub account: AccountId,
    pub session: SessionId,
    /// Unix time in seconds.
    pub expires: i64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    iss: String,
    sub: AccountId,
    sid: SessionId,
    iat: i64,
    exp: i64,
}

/// The text is not a token that was signed here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotAToken;

/// Signs and reads access tokens: HS256, and no other algorithm whatever a token's header asks for.
pub(crate) struct AccessTokens {
    sign: EncodingKey,
    verify: DecodingKey,
    validation: Validation,
}

impl AccessTokens {
    pub(crate) fn new(keys: &TokenKeys) -> Self {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_issuer(&[ISSUER]);
        validation.set_required_spec_claims(&["iss", "sub", "exp"]);
        // The library would ask the machine's clock; the caller compares with the time it was given.
        validation.validate_exp = false;
        Self {
            sign: EncodingKey::from_secret(keys.as_bytes()),
            verify: DecodingKey::from_secret(keys.as_bytes()),
            validation,
        }
    }

    pub(crate) fn issue(
        &self,
        account: AccountId,
        session: SessionId,
        now: DateTime<Utc>,
        expires: DateTime<Utc>,
    ) -> String {
        let claims =
            Wire { iss: ISSUER.to_owned(), sub: account, sid: session, iat: now.timestamp(), exp: expires.timestamp() };
        encode(&Header::new(Algorithm::HS256), &claims, &self.sign).expect("HMAC signs whatever is plain JSON")
    }

    /// Reads a token that was signed here, expired or not.
    pub(crate) fn read(&self, token: &str) -> Result<Claims, NotAToken> {
        if token.len() > LONGEST {
            return Err(NotAToken);
        }
        let wire = decode::<Wire>(token, &self.verify, &self.validation).map_err(|_| NotAToken)?.claims;
        Ok(Claims { account: wire.sub, session: wire.sid, expires: wire.exp })
    }
}

impl fmt::Debug for AccessTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessTokens(…)")
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use serde_json::json;

    use super::*;
    use crate::Secrets;

    fn tokens(master: u8) -> AccessTokens {
        AccessTokens::new(&Secrets::derive(&[master; 32]).tokens)
    }

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    fn token(tokens: &AccessTokens) -> (String, Claims) {
        let claims = Claims { account: AccountId::generate(), session: SessionId::generate(), expires: 1_800_086_400 };
        (tokens.issue(claims.account, claims.session, at(1_800_000_000), at(claims.expires)), claims)
    }

    #[test]
    fn a_token_reads_as_it_was_issued_also_after_its_end() {
        // 2027 and 2001: on no machine's clock are both in the future, and reading asks no clock.
        let tokens = tokens(1);
        let (text, claims) = token(&tokens);
        assert_eq!(tokens.read(&text), Ok(claims));
        let past = tokens.issue(claims.account, claims.session, at(1_000_000_000), at(1_000_000_001));
        assert_eq!(tokens.read(&past), Ok(Claims { expires: 1_000_000_001, ..claims }));
    }

    #[test]
    fn another_key_does_not_read_it() {
        let (text, _) = token(&tokens(1));
        assert_eq!(tokens(2).read(&text), Err(NotAToken));
    }

    #[test]
    fn a_token_with_any_character_changed_is_none() {
        let tokens = tokens(1);
        let (text, claims) = token(&tokens);
        for at in 0..text.len() {
            for other in ["A", "b", "_", ".", "="] {
                let mut changed = text.clone();
                changed.replace_range(at..=at, other);
                // The last character of 32 bytes in base64 has two spare bits, which the decoder insists are zero.
                assert!(changed == text || tokens.read(&changed) == Err(NotAToken), "{at} {other} {claims:?}");
            }
        }
    }

    #[test]
    fn no_other_algorithm_and_no_unsigned_token_is_read() {
        let keys = Secrets::derive(&[1; 32]).tokens;
        let tokens = AccessTokens::new(&keys);
        let (text, claims) = token(&tokens);
        let payload = text.split('.').nth(1).unwrap();
        for header in [json!({"alg": "none", "typ": "JWT"}), json!({"alg": "None"}), json!({})] {
            let header = URL_SAFE_NO_PAD.encode(header.to_string());
            for unsigned in [format!("{header}.{payload}."), format!("{header}.{payload}")] {
                assert_eq!(tokens.read(&unsigned), Err(NotAToken));
            }
        }
        let wire =
            json!({"iss": ISSUER, "sub": claims.account, "sid": claims.session, "iat": 0, "exp": claims.expires});
        let sign =
            |algorithm, key: &[u8]| encode(&Header::new(algorithm), &wire, &EncodingKey::from_secret(key)).unwrap();
        assert_eq!(tokens.read(&sign(Algorithm::HS256, keys.as_bytes())), Ok(claims), "else this proves nothing");
        assert_eq!(tokens.read(&sign(Algorithm::HS512, keys.as_bytes())), Err(NotAToken));
        assert_eq!(tokens.read(&sign(Algorithm::HS256, b"")), Err(NotAToken));
    }

    #[test]
    fn a_token_for_another_purpose_is_none() {
        let keys = Secrets::derive(&[1; 32]).tokens;
        let tokens = AccessTokens::new(&keys);
        let (_, claims) = token(&tokens);
        let good =
            json!({"iss": ISSUER, "sub": claims.account, "sid": claims.session, "iat": 0, "exp": claims.expires});
        let sign = |wire: &serde_json::Value| {
            encode(&Header::new(Algorithm::HS256), wire, &EncodingKey::from_secret(keys.as_bytes())).unwrap()
        };
        assert_eq!(tokens.read(&sign(&good)), Ok(claims), "else this proves nothing");
        for (member, value) in [
            ("iss", json!("somebody else")),
            ("iss", json!(null)),
            ("sub", json!("not an id")),
            ("sid", json!(null)),
            ("exp", json!("tomorrow")),
            ("exp", json!(1e300)),
            ("aud", json!("elsewhere")),
        ] {
            let mut wrong = good.clone();
            wrong[member] = value.clone();
            assert_eq!(tokens.read(&sign(&wrong)), Err(NotAToken), "{member} {value}");
        }
    }

    #[test]
    fn nonsense_is_no_token() {
        let tokens = tokens(1);
        for text in ["", ".", "..", "a.b.c", "Bearer x", "\0", "ü.ü.ü", &".".repeat(1000), &"a".repeat(1_000_000)] {
            assert_eq!(tokens.read(text), Err(NotAToken));
        }
    }
}
