//! What a password must be, and its hash.

use std::collections::HashSet;
use std::sync::{Arc, LazyLock};

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{self, PasswordHasher as _, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, Params, Version};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Fewest characters of a password.
pub const MIN_CHARACTERS: usize = 8;
/// Most characters of a password.
pub const MAX_CHARACTERS: usize = 128;

/// Argon2id's memory, in KiB, passes and lanes: the second of the parameter sets that OWASP holds equal in its
/// "Password Storage Cheat Sheet".
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
/// Hashes made at one time. Each takes a core and [`MEMORY_KIB`].
const AT_ONCE: usize = 2;
/// Hashes being made and waited for. With 2 cores and 30 ms each, the last of them waits for a second.
const IN_LINE: usize = 64;

/// Why a password is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasswordRefusal {
    /// Fewer than [`MIN_CHARACTERS`].
    #[error("the password is too short")]
    TooShort,
    /// More than [`MAX_CHARACTERS`].
    #[error("the password is too long")]
    TooLong,
    /// On the shipped list.
    #[error("the password is a common one")]
    Common,
    /// The same as the e-mail address.
    #[error("the password is the e-mail address")]
    SameAsEmail,
}

impl PasswordRefusal {
    /// The reason in words for the person.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::TooShort => "The password needs at least 8 characters.",
            Self::TooLong => "The password may have at most 128 characters.",
            Self::Common => "This password is one of the most common ones and easily guessed.",
            Self::SameAsEmail => "The password must not be the e-mail address.",
        }
    }
}

/// The passwords that are tried first by whoever tries passwords, one a line, in lower case.
static COMMON: LazyLock<HashSet<&str>> = LazyLock::new(|| include_str!("password/common.txt").lines().collect());

/// Checks a password that somebody chose. Nothing else is demanded than what is checked here.
///
/// # Errors
///
/// [`PasswordRefusal`] with the first rule that is broken.
pub fn check(password: &str, email: &str) -> Result<(), PasswordRefusal> {
    // A character has at most 4 bytes: what is longer is not even counted.
    if password.len() > MAX_CHARACTERS * 4 || password.chars().count() > MAX_CHARACTERS {
        return Err(PasswordRefusal::TooLong);
    }
    if password.chars().count() < MIN_CHARACTERS {
        return Err(PasswordRefusal::TooShort);
    }
    let lower = password.to_lowercase();
    if COMMON.contains(lower.as_str()) {
        return Err(PasswordRefusal::Common);
    }
    if lower == email.to_lowercase() {
        return Err(PasswordRefusal::SameAsEmail);
    }
    Ok(())
}

/// A password could not be hashed or compared.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    /// Too many are in line already; to be tried again in a second.
    #[error("too many passwords are being hashed")]
    Busy,
    /// The stored hash is not one that was made here, or memory or randomness is missing.
    #[error("the password cannot be hashed")]
    Hash(#[source] password_hash::Error),
    /// The runtime is stopping.
    #[error("the runtime is stopping")]
    Stopping,
}

/// Makes and compares hashes (Argon2id), few at one time, away from the threads that serve requests. Clones share
/// the line.
#[derive(Debug, Clone)]
pub struct Passwords {
    line: Arc<Semaphore>,
    at_once: Arc<Semaphore>,
    /// A hash like any other, of a password that nobody has.
    nobody: Arc<str>,
}

impl Passwords {
    /// Makes the hash that unknown accounts are compared with, which takes as long as any other.
    ///
    /// # Errors
    ///
    /// [`PasswordError::Hash`] if memory or randomness is missing.
    pub fn new() -> Result<Self, PasswordError> {
        let nobody = hash(&rand::random::<[u8; 32]>())?;
        Ok(Self {
            line: Arc::new(Semaphore::new(IN_LINE)),
            at_once: Arc::new(Semaphore::new(AT_ONCE)),
            nobody: nobody.into(),
        })
    }

    /// The hash of a password, as PHC string with a fresh salt.
    ///
    /// # Errors
    ///
    /// [`PasswordError::Busy`] if too many are in line.
    pub async fn hash(&self, password: String) -> Result<String, PasswordError> {
        self.in_turn(move || hash(password.as_bytes())).await
    }

    /// Whether the hash is this password's.
    ///
    /// # Errors
    ///
    /// [`PasswordError::Busy`] if too many are in line; [`PasswordError::Hash`] if `stored` is no hash.
    pub async fn verify(&self, password: String, stored: String) -> Result<bool, PasswordError> {
        self.in_turn(move || verify(password.as_bytes(), &stored)).await
    }

    /// Takes as long as [`Self::verify`], for an account that does not exist, so that nobody learns from the time.
    ///
    /// # Errors
    ///
    /// [`PasswordError::Busy`] if too many are in line.
    pub async fn verify_unknown(&self, password: String) -> Result<(), PasswordError> {
        let nobody = Arc::clone(&self.nobody);
        self.in_turn(move || verify(password.as_bytes(), &nobody)).await.map(|_| ())
    }

    async fn in_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, PasswordError> + Send + 'static,
    ) -> Result<T, PasswordError> {
        let place = Arc::clone(&self.line).try_acquire_owned().map_err(|_| PasswordError::Busy)?;
        let turn = Arc::clone(&self.at_once).acquire_owned().await.map_err(|_| PasswordError::Stopping)?;
        // The permits go with the work: a caller that gives up cannot make room for a third hash.
        let held: (OwnedSemaphorePermit, OwnedSemaphorePermit) = (place, turn);
        tokio::task::spawn_blocking(move || {
            let result = work();
            drop(held);
            result
        })
        .await
        .map_err(|_| PasswordError::Stopping)?
    }
}

fn hash(password: &[u8]) -> Result<String, PasswordError> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).expect("the parameters are within Argon2's bounds");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password(password)
        .map(|hash: PasswordHash| hash.to_string())
        .map_err(PasswordError::Hash)
}

fn verify(password: &[u8], stored: &str) -> Result<bool, PasswordError> {
    let stored = PasswordHash::new(stored).map_err(|_| PasswordError::Hash(password_hash::Error::EncodingInvalid))?;
    // The parameters are read from the hash, so that hashes made with older ones stay valid.
    match Argon2::default().verify_password(password, &stored) {
        Ok(()) => Ok(true),
        Err(password_hash::Error::PasswordInvalid) => Ok(false),
        Err(error) => Err(PasswordError::Hash(error)),
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    const EMAIL: &str = "ana.torres@example.com";

    #[test]
    fn a_password_has_8_to_128_characters_counted_as_a_person_counts() {
        assert_eq!(check("agua-7x", EMAIL), Err(PasswordRefusal::TooShort));
        assert_eq!(check("agua-7xy", EMAIL), Ok(()));
        assert_eq!(check("ñandú-7", EMAIL), Err(PasswordRefusal::TooShort), "7 characters in 9 bytes");
        assert_eq!(check(&"é".repeat(128), EMAIL), Ok(()));
        assert_eq!(check(&"é".repeat(129), EMAIL), Err(PasswordRefusal::TooLong));
        assert_eq!(check(&"x".repeat(1_000_000), EMAIL), Err(PasswordRefusal::TooLong));
    }

    #[test]
    fn common_passwords_are_refused_in_any_case() {
        for common in ["password", "Password1", "QWERTY123", "iloveyou", "12345678", "p@ssw0rd"] {
            assert_eq!(check(common, EMAIL), Err(PasswordRefusal::Common), "{common}");
        }
    }

    #[test]
    fn the_address_is_no_password() {
        assert_eq!(check("Ana.Torres@Example.com", EMAIL), Err(PasswordRefusal::SameAsEmail));
        assert_eq!(check("ana.torres@example.com!", EMAIL), Ok(()));
    }

    #[test]
    fn the_list_has_more_than_a_thousand_lines_and_each_can_be_hit() {
        let lines: Vec<&str> = include_str!("password/common.txt").lines().collect();
        assert!(lines.len() > 1000, "{}", lines.len());
        assert_eq!(lines.len(), COMMON.len(), "a line is there twice");
        for line in lines {
            assert!(
                line.chars().count() >= MIN_CHARACTERS && line == line.to_lowercase() && line == line.trim(),
                "{line}"
            );
        }
    }

    #[tokio::test]
    async fn a_hash_is_argon2id_with_its_own_salt_and_verifies_only_its_password() {
        let passwords = Passwords::new().unwrap();
        let (first, second) =
            tokio::try_join!(passwords.hash("correct horse".into()), passwords.hash("correct horse".into())).unwrap();
        assert!(first.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{first}");
        assert_ne!(first, second);
        assert!(passwords.verify("correct horse".into(), first.clone()).await.unwrap());
        assert!(!passwords.verify("Correct horse".into(), first).await.unwrap());
        assert!(matches!(passwords.verify("x".into(), "no hash".into()).await, Err(PasswordError::Hash(_))));
    }

    #[tokio::test]
    async fn an_unknown_account_takes_the_work_of_a_known_one() {
        let passwords = Passwords::new().unwrap();
        let stored = passwords.hash("correct horse".into()).await.unwrap();
        // The same parameters are the same work. The times are compared too, generously and by the best of some runs,
        // since the machine is shared.
        assert_eq!(stored.rsplitn(3, '$').last(), passwords.nobody.rsplitn(3, '$').last());
        let (mut known, mut unknown) = (Duration::MAX, Duration::MAX);
        for _ in 0..5 {
            let start = Instant::now();
            passwords.verify("wrong".into(), stored.clone()).await.unwrap();
            known = known.min(start.elapsed());
            let start = Instant::now();
            passwords.verify_unknown("wrong".into()).await.unwrap();
            unknown = unknown.min(start.elapsed());
        }
        assert!(unknown * 3 > known && known * 3 > unknown, "known {known:?}, unknown {unknown:?}");
    }

    #[tokio::test]
    async fn the_line_is_bounded_and_empties() {
        let passwords = Passwords::new().unwrap();
        let turns = Arc::clone(&passwords.at_once).acquire_many_owned(AT_ONCE as u32).await.unwrap();
        let waiting: Vec<_> = (0..IN_LINE)
            .map(|n| {
                let passwords = passwords.clone();
                tokio::spawn(async move { passwords.in_turn(move || Ok(n)).await })
            })
            .collect();
        while passwords.line.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        assert!(matches!(passwords.hash("one too many".into()).await, Err(PasswordError::Busy)));
        drop(turns);
        for (n, task) in waiting.into_iter().enumerate() {
            assert_eq!(task.await.unwrap().unwrap(), n);
        }
        assert!(passwords.hash("now there is room".into()).await.is_ok());
    }
}
