//! Registering, signing in and out, and the own account.

mod email;
mod session;
mod throttle;

use axum::extract::State;
use chrono::{DateTime, Utc};
use domain::account::{Profile, claims};
use domain::{Account, AccountCommand, AccountId, AccountRefusal, Actor, Personal, Role};
use eventstore::Claim;
use identity::password::{self, PasswordError};
use projections::{AccountDocument, Ahead, Current};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::answer::Answer;
use crate::app::{App, found_in_time};
use crate::call::{BodyKind, Call, Input, OpenCall, Parts};
use crate::etag::Etag;
use crate::problem::{Fault, Problem, catalogue};

const TAG: &str = "Account";
/// Longest password that is looked at: beyond it no policy can be met.
const LONGEST_PASSWORD: usize = 4096;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(register)).routes(routes!(me)).merge(session::routes())
}

/// An account, as its owner sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct User {
    /// Its identity.
    pub id: Uuid,
    /// The address.
    pub email: String,
    /// First name.
    pub first_name: String,
    /// Last name; empty for people with one name.
    pub last_name: String,
    /// Employer.
    pub company_name: Option<String>,
    /// Place.
    pub location: Option<String>,
    /// Sector of work.
    pub sector: Option<String>,
    /// Subsector of work.
    pub subsector: Option<String>,
    /// Whether the account may sign in.
    pub is_active: bool,
    /// Whether it has the role `admin`.
    pub is_superuser: bool,
    /// Whether the address was shown to be the person's own.
    pub is_verified: bool,
    /// What it may do.
    #[schema(value_type = Vec<String>)]
    pub roles: Vec<Role>,
    /// When the person registered.
    pub created_at: DateTime<Utc>,
    /// When the account last changed.
    pub updated_at: DateTime<Utc>,
}

impl From<AccountDocument> for User {
    fn from(account: AccountDocument) -> Self {
        Self {
            id: account.id.as_uuid(),
            email: account.email,
            first_name: account.first_name,
            last_name: account.last_name,
            company_name: account.company_name,
            location: account.location,
            sector: account.sector,
            subsector: account.subsector,
            is_active: account.is_active,
            is_superuser: account.roles.contains(&Role::Admin),
            is_verified: account.is_verified,
            roles: account.roles,
            created_at: account.created_at,
            updated_at: account.updated_at,
        }
    }
}

/// What somebody says who registers. `is_active`, `is_superuser`, `is_verified` and `roles` are ignored.
#[derive(Clone, ToSchema)]
pub struct Registration {
    /// The address.
    #[schema(max_length = 320, example = "ana.torres@example.com")]
    email: String,
    /// 8 to 128 characters, no common password, not the address.
    #[schema(min_length = 8, max_length = 128, format = Password)]
    password: String,
    /// First name.
    #[schema(min_length = 1, max_length = 100)]
    first_name: String,
    /// Last name; may be empty.
    #[schema(max_length = 100)]
    last_name: String,
    /// Employer.
    #[schema(max_length = 255)]
    company_name: Option<String>,
    /// Place.
    #[schema(max_length = 255)]
    location: Option<String>,
    /// Sector of work.
    #[schema(max_length = 100)]
    sector: Option<String>,
    /// Subsector of work.
    #[schema(max_length = 100)]
    subsector: Option<String>,
}

impl Input for Registration {
    const BODY: BodyKind = BodyKind::Json;

    fn read(parts: &Parts<'_>) -> Option<Self> {
        let body = parts.body;
        let email = body
            .text("email", 1..=email::MAX_CHARACTERS)
            .convert(|text| email::normalised(&text), Fault::Format, "This must be an e-mail address.")
            .required();
        let password = body.verbatim("password", 0..=LONGEST_PASSWORD).required();
        let first_name = body.text("first_name", 1..=100).required();
        let last_name = body.text("last_name", 0..=100).required();
        let company_name = body.text("company_name", 0..=255).blank_is_null().optional();
        let location = body.text("location", 0..=255).blank_is_null().optional();
        let sector = body.text("sector", 0..=100).blank_is_null().optional();
        let subsector = body.text("subsector", 0..=100).blank_is_null().optional();
        Some(Self {
            email: email?,
            password: password?,
            first_name: first_name?,
            last_name: last_name?,
            company_name,
            location,
            sector,
            subsector,
        })
    }
}

impl Registration {
    fn profile(&self) -> Profile {
        Profile {
            email: Personal::new(self.email.clone()),
            first_name: Personal::new(self.first_name.clone()),
            last_name: Personal::new(self.last_name.clone()),
            company_name: Personal::new(self.company_name.clone()),
            location: Personal::new(self.location.clone()),
            sector: self.sector.clone(),
            subsector: self.subsector.clone(),
        }
    }
}

/// Register
///
/// Starts no session: sign in next.
#[utoipa::path(post, path = "/auth/register", tag = TAG, request_body = Registration,
    responses((status = 201, description = "The new account", body = User)))]
async fn register(State(app): State<App>, call: OpenCall<Registration>) -> Result<Answer, Problem> {
    let OpenCall { input, envelope } = call;
    if let Err(refusal) = password::check(&input.password, &input.email) {
        let reason = refusal.reason();
        return Err(Problem::from(catalogue::REGISTER_INVALID_PASSWORD)
            .message(reason)
            .detail(json!({"code": catalogue::REGISTER_INVALID_PASSWORD.code, "reason": reason})));
    }
    let profile = input.profile();
    let hash = app.parts().passwords.hash(input.password).await?;
    let account = AccountId::generate();
    let credential = app.parts().credentials.prepare(account, &input.email, hash, app.clock().now());
    let claim = Claim::Take {
        kind: claims::EMAIL,
        key: app.parts().credentials.email_key(&input.email).to_vec(),
        holder: account.as_uuid(),
    };
    let context = envelope.command_by(Actor::account(account), vec![Role::User], "register");
    let views = app.views().clone();
    app.write(context, move |session| {
        let (views, profile, claim) = (views.clone(), profile.clone(), claim.clone());
        let credential = credential.clone();
        Box::pin(async move {
            session.load::<Account>(account.as_uuid()).await?;
            session.handle::<Account>(account.as_uuid(), account, AccountCommand::Register { profile })?;
            session.claim(claim);
            session.also(move |connection| Box::pin(async move { credential.store(connection).await }));
            let (mut reading, decided) = session.reading().await?;
            let current = views.account_ahead(Ahead::of(&mut reading, &decided), account).await?;
            let Current { value, changed } = current.ok_or(AccountRefusal::NotFound)?;
            let version = value.version;
            Ok(Answer::created("/api/v1/auth/me", &User::from(value))?.leaves(version, changed).no_store())
        })
    })
    .await
}

/// The own account
#[utoipa::path(get, path = "/auth/me", tag = TAG, responses((status = 200, body = User)))]
async fn me(State(app): State<App>, call: Call) -> Result<Answer, Problem> {
    let reader = app.reader(&call.caller, &call.envelope)?;
    let (found, position) =
        found_in_time(app.views().account(&reader, call.caller.account_id).await?, &reader, catalogue::USER_NOT_FOUND)?;
    let etag = Etag::resource(found.document.version, Some(found.position), app.store().epoch());
    let answer = Answer::ok(&User::from(found.document))?.etag(&etag).no_store();
    Ok(answer.position(Some(position)).unless_known(&call.envelope, &etag))
}

impl From<PasswordError> for Problem {
    fn from(error: PasswordError) -> Self {
        match error {
            PasswordError::Busy | PasswordError::Stopping => catalogue::SERVICE_UNAVAILABLE.into(),
            PasswordError::Hash(_) => {
                tracing::error!(error = &error as &dyn std::error::Error, "a password cannot be hashed");
                catalogue::INTERNAL_ERROR.into()
            }
        }
    }
}
