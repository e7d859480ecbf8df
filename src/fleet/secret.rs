//! Secrets that cannot be printed by accident, and what proves a relay and a caller to each other.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::Endpoint;

/// First characters of every join token.
const TOKEN_PREFIX: &str = "fmj_";
/// Layout of the token's bytes; another number is another layout.
const TOKEN_VERSION: u8 = 1;
/// Bytes of a fingerprint.
const FINGERPRINT: usize = 32;

/// A key or a token's secret; shown only where it is asked for by name.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps it.
    pub fn new(text: impl Into<String>) -> Secret {
        Secret(text.into())
    }

    /// One for this process's own use: 244 random bits as 64 characters.
    pub fn random() -> Secret {
        Secret([uuid::Uuid::new_v4(), uuid::Uuid::new_v4()].map(|part| part.simple().to_string()).concat())
    }

    /// The secret itself: for the wire, its owner's file and the one time it is shown.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// SHA-256 of a certificate's DER bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint(pub [u8; FINGERPRINT]);

/// A text that is no fingerprint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a SHA-256 fingerprint; `fleetmux relay init` and `fleetmux relay token` print one: 64 hexadecimal digits")]
pub struct FingerprintError;

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FromStr for Fingerprint {
    type Err = FingerprintError;

    /// Hexadecimal, with or without colons and `sha256:` in front.
    fn from_str(text: &str) -> Result<Fingerprint, FingerprintError> {
        let text = text.trim();
        let text = text.strip_prefix("sha256:").or_else(|| text.strip_prefix("SHA256:")).unwrap_or(text);
        let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b':').collect();
        if digits.len() != 2 * FINGERPRINT {
            return Err(FingerprintError);
        }
        let nibble = |digit: u8| char::from(digit).to_digit(16).ok_or(FingerprintError);
        let mut bytes = [0; FINGERPRINT];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = (nibble(pair[0])? << 4 | nibble(pair[1])?) as u8;
        }
        Ok(Fingerprint(bytes))
    }
}

/// What a program shows a relay, and how it recognises the right one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Credentials {
    /// API key or machine key.
    pub key: Option<Secret>,
    /// Certificates of the CAs that may vouch for the relay, PEM.
    pub ca_pem: Option<String>,
    /// Instead: the one CA that may, by fingerprint.
    pub ca_fingerprint: Option<Fingerprint>,
}

impl Credentials {
    /// Variables that a key may wait in; the second is the seeds' name. No program of a session inherits them.
    pub const KEY_VARIABLES: [&str; 2] = ["FLEETMUX_API_KEY", "CMDOP_API_KEY"];
}

/// An invitation for a machine: where the relay is, how to recognise it, and a secret that it accepts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinToken {
    /// `host:port` of the relay.
    pub address: String,
    /// Its CA.
    pub ca: Fingerprint,
    /// What it accepts.
    pub secret: Secret,
}

/// A text that is no join token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is no join token: {0}; make one with `fleetmux relay token` on the relay")]
pub struct JoinTokenError(&'static str);

impl JoinToken {
    /// The relay.
    pub fn relay(&self) -> Endpoint {
        Endpoint::Tls(self.address.clone())
    }

    /// As one word for a command line; it holds the secret.
    pub fn encode(&self) -> Secret {
        let secret = self.secret.reveal().as_bytes();
        let mut bytes = vec![TOKEN_VERSION];
        bytes.extend_from_slice(&self.ca.0);
        bytes.push(secret.len().min(u8::MAX.into()) as u8);
        bytes.extend_from_slice(secret);
        bytes.extend_from_slice(self.address.as_bytes());
        Secret(format!("{TOKEN_PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes)))
    }
}

impl FromStr for JoinToken {
    type Err = JoinTokenError;

    fn from_str(text: &str) -> Result<JoinToken, JoinTokenError> {
        let body = text.trim().strip_prefix(TOKEN_PREFIX).ok_or(JoinTokenError("it does not start with fmj_"))?;
        let cut = JoinTokenError("it is cut off or changed");
        let bytes = URL_SAFE_NO_PAD.decode(body).map_err(|_| cut.clone())?;
        let (&version, rest) = bytes.split_first().ok_or_else(|| cut.clone())?;
        if version != TOKEN_VERSION {
            return Err(JoinTokenError("it is cut off or changed, or made by a newer relay"));
        }
        let (ca, rest) = rest.split_first_chunk::<FINGERPRINT>().ok_or_else(|| cut.clone())?;
        let (&length, rest) = rest.split_first().ok_or_else(|| cut.clone())?;
        let (secret, address) = rest.split_at_checked(length.into()).ok_or_else(|| cut.clone())?;
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).map_err(|_| cut.clone());
        let (secret, address) = (Secret(text(secret)?), text(address)?);
        if !matches!(format!("tls://{address}").parse(), Ok(Endpoint::Tls(_))) || secret.0.is_empty() {
            return Err(cut);
        }
        Ok(JoinToken { address, ca: Fingerprint(*ca), secret })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> JoinToken {
        JoinToken { address: "relay:7443".into(), ca: Fingerprint([7; 32]), secret: Secret::new("s3cret") }
    }

    #[test]
    fn a_token_survives_text_and_shows_nothing_in_a_log() {
        assert_eq!(token().encode().reveal().parse(), Ok(token()));
        assert!(!format!("{:?} {:?}", token(), token().encode()).contains("s3cret"));
    }

    #[test]
    fn a_token_cut_anywhere_is_an_error_and_no_panic() {
        let text = token().encode().reveal().to_string();
        for end in 0..text.len() - 8 {
            assert!(text[..end].parse::<JoinToken>().is_err(), "{end}");
        }
        assert!("fmj_!!!".parse::<JoinToken>().is_err());
    }

    #[test]
    fn fingerprints_are_read_as_people_write_them() {
        let print = Fingerprint([0xab; 32]);
        assert_eq!(print.to_string().parse(), Ok(print));
        assert_eq!(["AB"; 32].join(":").parse(), Ok(print));
        assert!("abc".parse::<Fingerprint>().is_err() && "é".repeat(32).parse::<Fingerprint>().is_err());
    }
}
