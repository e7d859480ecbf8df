//! The machine's password as it is kept: a salted, slow hash in the file of rules.

use std::collections::HashMap;
use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use ring::pbkdf2::{self, PBKDF2_HMAC_SHA256};
use ring::rand::SecureRandom;

use crate::fleet::{Code, Refusal};

/// In front of every hash made here.
const SCHEME: &str = "pbkdf2-sha256";
/// Rounds of a new hash: about a tenth of a second, once an hour for whoever has the password.
const ROUNDS: u32 = 300_000;
/// Most rounds a file may ask for: about ten seconds.
const ROUNDS_MAX: u32 = 30_000_000;
const SALT: usize = 16;
const HASH: usize = 32;
/// Shortest password taken.
const LENGTH_MIN: usize = 8;
/// Longest; more is a mistake, and costs time.
const LENGTH_MAX: usize = 1024;
/// How long whoever showed it need not do so again: a little longer than the relay's word for it.
const PROOF_TTL: Duration = Duration::from_secs(3600 + 60);
/// Wrong ones in a row that a principal may show before it has to wait.
const TRIES: u32 = 5;
/// How long it has to wait then.
const WAIT: Duration = Duration::from_secs(60);
/// Principals remembered; a relay that makes up more is not listened to.
const PRINCIPALS_CAP: usize = 10_000;

/// A hashed password.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash {
    rounds: NonZeroU32,
    salt: Vec<u8>,
    hash: Vec<u8>,
}

impl PasswordHash {
    /// Hashes a new password.
    pub fn new(password: &str) -> Result<PasswordHash, String> {
        if password.len() < LENGTH_MIN || password.len() > LENGTH_MAX {
            return Err(format!("a password has {LENGTH_MIN} to {LENGTH_MAX} bytes"));
        }
        let mut salt = vec![0; SALT];
        ring::rand::SystemRandom::new().fill(&mut salt).map_err(|_| "the system gives no random bytes".to_string())?;
        let rounds = NonZeroU32::new(ROUNDS).unwrap_or(NonZeroU32::MIN);
        let mut hash = vec![0; HASH];
        pbkdf2::derive(PBKDF2_HMAC_SHA256, rounds, &salt, password.as_bytes(), &mut hash);
        Ok(PasswordHash { rounds, salt, hash })
    }

    /// Whether this is the password; takes its time.
    fn is(&self, password: &str) -> bool {
        let bytes = password.as_bytes();
        bytes.len() <= LENGTH_MAX
            && pbkdf2::verify(PBKDF2_HMAC_SHA256, self.rounds, &self.salt, bytes, &self.hash).is_ok()
    }
}

impl fmt::Display for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [salt, hash] = [&self.salt, &self.hash].map(|bytes| STANDARD_NO_PAD.encode(bytes));
        write!(f, "{SCHEME}${}${salt}${hash}", self.rounds)
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(…)")
    }
}

impl FromStr for PasswordHash {
    type Err = String;

    fn from_str(text: &str) -> Result<PasswordHash, String> {
        let parts: Vec<&str> = text.split('$').collect();
        let read = || {
            let [SCHEME, rounds, salt, hash] = parts[..] else { return None };
            let rounds = rounds.parse::<NonZeroU32>().ok().filter(|rounds| rounds.get() <= ROUNDS_MAX)?;
            let (salt, hash) = (STANDARD_NO_PAD.decode(salt).ok()?, STANDARD_NO_PAD.decode(hash).ok()?);
            (salt.len() >= SALT && hash.len() == HASH).then_some(PasswordHash { rounds, salt, hash })
        };
        read().ok_or_else(|| "this is no hashed password; `fleetmux permissions password set` writes one".into())
    }
}

/// Who showed the password lately, and who showed wrong ones.
#[derive(Default)]
pub(super) struct Proofs {
    shown: HashMap<String, Instant>,
    wrong: HashMap<String, (u32, Instant)>,
}

impl Proofs {
    /// Whether a principal showed it lately.
    pub(super) fn has(&self, principal: &str) -> bool {
        self.shown.get(principal).is_some_and(|since| since.elapsed() < PROOF_TTL)
    }

    /// Refused while a principal has to wait after too many wrong ones. The try counts as a wrong one until it is known,
    /// so that many at once are no way around.
    pub(super) fn may_try(&mut self, principal: &str, host: &str) -> Result<(), Refusal> {
        self.wrong.retain(|_, (_, since)| since.elapsed() < WAIT);
        self.shown.retain(|_, since| since.elapsed() < PROOF_TTL);
        let full = self.wrong.len() >= PRINCIPALS_CAP && !self.wrong.contains_key(principal);
        let (count, since) = self.wrong.entry(principal.into()).or_insert((0, Instant::now()));
        if full || *count >= TRIES {
            let message = format!("too many wrong passwords for {host}; wait a minute");
            return Err(Refusal::new(Code::Unauthenticated, message));
        }
        (*count, *since) = (*count + 1, Instant::now());
        Ok(())
    }

    /// A proof that is as old as this, or older, is nobody's any more.
    pub(super) fn forget(&mut self, principal: &str, age: Duration) {
        if self.shown.get(principal).is_some_and(|since| since.elapsed() >= age) {
            self.shown.remove(principal);
        }
    }

    /// The password was right.
    pub(super) fn shown(&mut self, principal: &str) {
        self.wrong.remove(principal);
        if self.shown.len() < PRINCIPALS_CAP {
            self.shown.insert(principal.into(), Instant::now());
        }
    }
}

/// Compares; the sentence for a wrong one names the machine.
pub(super) fn compare(hash: &PasswordHash, password: &str, host: &str) -> Result<(), Refusal> {
    if hash.is(password) {
        return Ok(());
    }
    Err(Refusal::new(Code::Unauthenticated, format!("this is not the password of {host}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_survives_its_text_and_knows_its_password_only() {
        let hash = PasswordHash::new("correct horse").unwrap();
        let text = hash.to_string();
        assert!(!text.contains("horse") && text.starts_with("pbkdf2-sha256$300000$"), "{text}");
        let read: PasswordHash = text.parse().unwrap();
        assert_eq!(read, hash);
        assert!(read.is("correct horse") && !read.is("correct horsf") && !read.is(""));
        assert!(PasswordHash::new("short").is_err());
        for bad in ["", "secret", "pbkdf2-sha256$0$AAAA$AAAA", "pbkdf2-sha256$99999999$AAAAAAAAAAAAAAAAAAAAAA$A"] {
            assert!(bad.parse::<PasswordHash>().is_err(), "{bad}");
        }
    }

    #[test]
    fn too_many_wrong_ones_make_a_principal_wait_and_nobody_else() {
        let mut proofs = Proofs::default();
        for _ in 0..TRIES {
            proofs.may_try("key:eve", "web-1").unwrap();
        }
        assert_eq!(proofs.may_try("key:eve", "web-1").unwrap_err().code, Code::Unauthenticated);
        proofs.may_try("key:ada", "web-1").unwrap();
        proofs.shown("key:ada");
        assert!(proofs.has("key:ada") && !proofs.has("key:eve"));
    }

    /// A new key with the name of one that was revoked inherited what that one had shown.
    #[test]
    fn a_proof_is_forgotten_and_a_later_one_is_not() {
        let mut proofs = Proofs::default();
        proofs.shown("key:ada");
        proofs.forget("key:ada", Duration::from_secs(1));
        assert!(proofs.has("key:ada"), "of the next one of this name");
        proofs.forget("key:ada", Duration::ZERO);
        assert!(!proofs.has("key:ada"));
    }
}
