//! Who somebody is: credentials and sessions, in plain tables beside the events.
//!
//! No credential ever enters an event. What happened (somebody registered, signed in, signed out) is an event of the
//! account, written by the command in the same transaction as the row here; that is why most functions take a
//! connection. Times are given by the caller.
//!
//! - [`Secrets`]: the keys, derived from the one master key.
//! - [`password`]: what a password must be, and its hash.
//! - [`Credentials`]: address, password and roles of an account.
//! - [`Sessions`]: one sign-in each, carried by a bearer token or a cookie.

pub mod credentials;
pub mod password;
pub mod secrets;
pub mod sessions;
mod token;

pub use credentials::{Credential, Credentials, EMAIL_TAKEN_CONSTRAINT, NewCredential, RegisterError, forget};
pub use password::Passwords;
pub use secrets::Secrets;
pub use sessions::{
    AuthFailure, Bearer, Caller, Client, Lifetimes, LiveSession, NewSession, PreparedSession, Sessions,
    end_all_sessions,
};
