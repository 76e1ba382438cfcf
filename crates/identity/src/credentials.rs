//! What an account signs in with, and what it may do.

use std::fmt;

use chrono::{DateTime, Utc};
use domain::{AccountId, Role};
use sqlx::postgres::PgRow;
use sqlx::{FromRow, PgConnection, PgExecutor, Row as _};
use uuid::Uuid;

use crate::Secrets;
use crate::secrets::EmailKeys;

/// The constraint that refuses an address which another account has.
pub const EMAIL_TAKEN_CONSTRAINT: &str = "credentials_email_taken";

/// An address could not be given to an account.
#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    /// Another account has it. The transaction it was tried in can only be rolled back.
    #[error("the e-mail address is taken")]
    EmailTaken,
    /// The database refused or could not be reached.
    #[error("the credentials cannot be stored")]
    Storage(#[source] sqlx::Error),
}

impl From<sqlx::Error> for RegisterError {
    fn from(error: sqlx::Error) -> Self {
        // By name: a violation of any other constraint is a defect, not a taken address.
        match error.as_database_error().and_then(|refusal| refusal.constraint()) {
            Some(EMAIL_TAKEN_CONSTRAINT) => Self::EmailTaken,
            Some(_) | None => Self::Storage(error),
        }
    }
}

/// The credentials of one account.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential {
    /// Whose.
    pub account_id: AccountId,
    /// Argon2id, as PHC string.
    pub password_hash: String,
    /// False once an admin has deactivated the account: then nobody signs in, and its sessions are over.
    pub is_active: bool,
    /// What the account may do.
    pub roles: Vec<Role>,
    /// When the account registered.
    pub created_at: DateTime<Utc>,
    /// When anything here last changed.
    pub changed_at: DateTime<Utc>,
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential")
            .field("account_id", &self.account_id)
            .field("is_active", &self.is_active)
            .field("roles", &self.roles)
            .finish_non_exhaustive()
    }
}

impl FromRow<'_, PgRow> for Credential {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        Ok(Self {
            account_id: AccountId::from_uuid(row.try_get("account_id")?),
            password_hash: row.try_get("password_hash")?,
            is_active: row.try_get("is_active")?,
            roles: known_roles(row)?,
            created_at: row.try_get("created_at")?,
            changed_at: row.try_get("changed_at")?,
        })
    }
}

/// The roles of a row. One that only a newer release knows gives no right here.
pub(crate) fn known_roles(row: &PgRow) -> sqlx::Result<Vec<Role>> {
    let names: Vec<String> = row.try_get("roles")?;
    Ok(names.iter().filter_map(|name| Role::named(name)).collect())
}

/// Reads and writes credentials.
#[derive(Debug, Clone)]
pub struct Credentials {
    emails: EmailKeys,
}

impl Credentials {
    /// Credentials whose addresses are hashed with these secrets.
    #[must_use]
    pub fn new(secrets: &Secrets) -> Self {
        Self { emails: secrets.emails.clone() }
    }

    /// What is stored of an address, also for those who count sign-ins by address.
    #[must_use]
    pub fn email_key(&self, email: &str) -> [u8; 32] {
        self.emails.key(email)
    }

    /// The row of an account that registers, to be stored in the transaction that records it.
    #[must_use]
    pub fn prepare(
        &self,
        account_id: AccountId,
        email: &str,
        password_hash: String,
        now: DateTime<Utc>,
    ) -> NewCredential {
        NewCredential { account_id, email_key: self.email_key(email), password_hash, created_at: now }
    }

    /// Stores an active account with the role `user`. Belongs into the transaction that records the registration.
    ///
    /// # Errors
    ///
    /// [`RegisterError::EmailTaken`] if another account has the address, compared without case.
    pub async fn register(
        &self,
        connection: &mut PgConnection,
        account_id: AccountId,
        email: &str,
        password_hash: String,
        now: DateTime<Utc>,
    ) -> Result<(), RegisterError> {
        Ok(self.prepare(account_id, email, password_hash, now).store(connection).await?)
    }

    /// The credentials of the account with this address, compared without case.
    ///
    /// # Errors
    ///
    /// What the database answers.
    pub async fn find_by_email(
        &self,
        executor: impl PgExecutor<'_>,
        email: &str,
    ) -> Result<Option<Credential>, sqlx::Error> {
        sqlx::query_as(
            "SELECT account_id, password_hash, is_active, roles, created_at, changed_at
             FROM identity.credentials WHERE email_key = $1",
        )
        .bind(self.email_key(email))
        .fetch_optional(executor)
        .await
    }

    /// The credentials of an account.
    ///
    /// # Errors
    ///
    /// What the database answers.
    pub async fn find(
        &self,
        executor: impl PgExecutor<'_>,
        account_id: AccountId,
    ) -> Result<Option<Credential>, sqlx::Error> {
        sqlx::query_as(
            "SELECT account_id, password_hash, is_active, roles, created_at, changed_at
             FROM identity.credentials WHERE account_id = $1",
        )
        .bind(account_id.as_uuid())
        .fetch_optional(executor)
        .await
    }

    /// Replaces the password; false if there is no such account. Its sessions go on: ending them is the caller's, with
    /// [`crate::Sessions::revoke_all`].
    ///
    /// # Errors
    ///
    /// What the database answers.
    pub async fn set_password(
        &self,
        executor: impl PgExecutor<'_>,
        account_id: AccountId,
        password_hash: &str,
        now: DateTime<Utc>,
    ) -> Result<bool, sqlx::Error> {
        let done =
            sqlx::query("UPDATE identity.credentials SET password_hash = $2, changed_at = $3 WHERE account_id = $1")
                .bind(account_id.as_uuid())
                .bind(password_hash)
                .bind(now)
                .execute(executor)
                .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Replaces the address; false if there is no such account.
    ///
    /// # Errors
    ///
    /// [`RegisterError::EmailTaken`] if another account has the address.
    pub async fn set_email(
        &self,
        executor: impl PgExecutor<'_>,
        account_id: AccountId,
        email: &str,
        now: DateTime<Utc>,
    ) -> Result<bool, RegisterError> {
        let done = sqlx::query("UPDATE identity.credentials SET email_key = $2, changed_at = $3 WHERE account_id = $1")
            .bind(account_id.as_uuid())
            .bind(self.email_key(email))
            .bind(now)
            .execute(executor)
            .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Replaces the roles; `user` is always kept. False if there is no such account. Live sessions have the new roles
    /// within a second; on this instance at once, if [`crate::Sessions::recheck_account`] is called too.
    ///
    /// # Errors
    ///
    /// What the database answers.
    pub async fn set_roles(
        &self,
        executor: impl PgExecutor<'_>,
        account_id: AccountId,
        roles: &[Role],
        now: DateTime<Utc>,
    ) -> Result<bool, sqlx::Error> {
        let mut names = vec![Role::User.as_str()];
        names.extend(roles.iter().filter(|role| **role != Role::User).map(|role| role.as_str()));
        let done = sqlx::query("UPDATE identity.credentials SET roles = $2, changed_at = $3 WHERE account_id = $1")
            .bind(account_id.as_uuid())
            .bind(names)
            .bind(now)
            .execute(executor)
            .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Deactivates or reactivates an account; false if there is none. Deactivation ends its sessions like a
    /// revocation, at the times that [`Self::set_roles`] says.
    ///
    /// # Errors
    ///
    /// What the database answers.
    pub async fn set_active(
        &self,
        executor: impl PgExecutor<'_>,
        account_id: AccountId,
        is_active: bool,
        now: DateTime<Utc>,
    ) -> Result<bool, sqlx::Error> {
        let done = sqlx::query("UPDATE identity.credentials SET is_active = $2, changed_at = $3 WHERE account_id = $1")
            .bind(account_id.as_uuid())
            .bind(is_active)
            .bind(now)
            .execute(executor)
            .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Deletes an account's credentials and sessions, so that the address may register again; false if there are none.
    ///
    /// # Errors
    ///
    /// What the database answers.
    pub async fn remove(&self, executor: impl PgExecutor<'_>, account_id: AccountId) -> Result<bool, sqlx::Error> {
        let done = sqlx::query("DELETE FROM identity.credentials WHERE account_id = $1")
            .bind(account_id.as_uuid())
            .execute(executor)
            .await?;
        Ok(done.rows_affected() == 1)
    }
}

/// Deletes credentials and sessions of accounts that were erased, so that nobody can sign in to them.
///
/// # Errors
///
/// What the database answers.
pub async fn forget(executor: impl PgExecutor<'_>, accounts: &[Uuid]) -> Result<u64, sqlx::Error> {
    let deleted = sqlx::query("DELETE FROM identity.credentials WHERE account_id = ANY ($1)").bind(accounts);
    Ok(deleted.execute(executor).await?.rows_affected())
}

/// The row of an account that registers.
#[derive(Clone)]
pub struct NewCredential {
    account_id: AccountId,
    email_key: [u8; 32],
    password_hash: String,
    created_at: DateTime<Utc>,
}

impl NewCredential {
    /// Stores the row: an active account with the role `user`.
    ///
    /// # Errors
    ///
    /// What the database answers; a violation of [`EMAIL_TAKEN_CONSTRAINT`] if another account has the address.
    pub async fn store(&self, executor: impl PgExecutor<'_>) -> Result<(), sqlx::Error> {
        sqlx::query(
            "INSERT INTO identity.credentials (account_id, email_key, password_hash, created_at, changed_at)
             VALUES ($1, $2, $3, $4, $4)",
        )
        .bind(self.account_id.as_uuid())
        .bind(self.email_key)
        .bind(&self.password_hash)
        .bind(self.created_at)
        .execute(executor)
        .await
        .map(|_| ())
    }
}

impl fmt::Debug for NewCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewCredential").field("account_id", &self.account_id).finish_non_exhaustive()
    }
}
