//! Signing in and out.

use axum::extract::State;
use domain::account::Origin as SignInOrigin;
use domain::{Account, AccountCommand, AccountId, Actor, Personal, Role, SessionId};
use eventstore::CommandContext;
use identity::{Client, Credential};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::throttle::Try;
use super::{LONGEST_PASSWORD, TAG};
use crate::answer::Answer;
use crate::app::App;
use crate::call::{BodyKind, COOKIE, Envelope, Input, OpenCall, Parts, bearer, cookie_value};
use crate::command::{Refusal, answer_by};
use crate::problem::{Problem, catalogue};
use crate::request::Origin;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(login)).routes(routes!(logout))
}

/// What somebody says who signs in. Other members of OAuth's password grant are ignored.
#[derive(ToSchema)]
pub struct SignIn {
    /// The e-mail address.
    #[schema(example = "ana.torres@example.com")]
    username: String,
    /// The password.
    #[schema(format = Password)]
    password: String,
}

impl Input for SignIn {
    const BODY: BodyKind = BodyKind::Form;
    const REPEATABLE: bool = false;

    fn read(parts: &Parts<'_>) -> Option<Self> {
        let username = parts.body.text("username", 1..=super::email::MAX_CHARACTERS).required();
        let password = parts.body.verbatim("password", 1..=LONGEST_PASSWORD).required();
        Some(Self { username: username?, password: password? })
    }
}

/// A session that has begun.
#[derive(Serialize, ToSchema)]
pub struct Token {
    /// For the header `Authorization: Bearer`.
    pub access_token: String,
    /// Always `bearer`.
    #[schema(example = "bearer")]
    pub token_type: &'static str,
    /// How long it works, in seconds.
    #[schema(example = 86400)]
    pub expires_in: u64,
    /// The session.
    pub session_id: Uuid,
}

/// Sign in
#[utoipa::path(post, path = "/auth/jwt/login", tag = TAG,
    request_body(content((SignIn = "application/x-www-form-urlencoded"), (SignIn = "application/json"))),
    responses((status = 200, description = "The session, also as cookie", body = Token)))]
async fn login(State(app): State<App>, call: OpenCall<SignIn>) -> Result<Answer, Problem> {
    let OpenCall { input, envelope } = call;
    let credentials = &app.parts().credentials;
    let attempt = Try::new(&envelope, credentials.email_key(&input.username));
    attempt.begin(&app, &envelope).await?;
    let known = credentials.find_by_email(app.store().pool(), &input.username).await?;
    let Some(credential) = verified(&app, known, input.password, &envelope).await? else {
        attempt.failed(&app).await;
        return Err(catalogue::LOGIN_BAD_CREDENTIALS.into());
    };
    let account = credential.account_id;
    let client = client(&envelope);
    let prepared = app.sessions().prepare(account, &client, app.clock().now());
    let session = prepared.session.clone();
    let command = AccountCommand::StartSession { session: session.id, origin: origin(&client) };
    let row = prepared.clone();
    let context = once(envelope.command_by(Actor::account(account), credential.roles, "start-session"));
    let by = answer_by(&context);
    let committed = app
        .execute(context, move |session| {
            let (command, row) = (command.clone(), row.clone());
            Box::pin(async move {
                session.load::<Account>(account.as_uuid()).await?;
                session.handle::<Account>(account.as_uuid(), account, command)?;
                session.also(move |connection| Box::pin(async move { row.store(connection).await }));
                Ok::<(), Refusal>(())
            })
        })
        .await?;
    let position = app.settle(account, &committed, by).await;
    let token = Token {
        access_token: session.access_token,
        token_type: "bearer",
        expires_in: session.expires_in,
        session_id: session.id.as_uuid(),
    };
    let answer = Answer::ok(&token)?.no_store().position(position);
    // A page of somebody else's must not plant a sign-in in this browser.
    if envelope.info.origin == Origin::Foreign {
        return Ok(answer);
    }
    Ok(answer.cookie(&cookie(&app, &session.cookie_value, session.expires_in)))
}

/// The credentials, if the password is theirs and the account may sign in. Takes as long for unknown accounts.
async fn verified(
    app: &App,
    known: Option<Credential>,
    password: String,
    envelope: &Envelope,
) -> Result<Option<Credential>, Problem> {
    let passwords = &app.parts().passwords;
    let Some(credential) = known else {
        passwords.verify_unknown(password).await?;
        return Ok(None);
    };
    let fits = passwords.verify(password, credential.password_hash.clone()).await?;
    if fits && credential.is_active {
        return Ok(Some(credential));
    }
    let account = credential.account_id;
    let command = AccountCommand::RefuseSignIn { origin: origin(&client(envelope)) };
    let context = once(envelope.command_by(Actor::SYSTEM, vec![], "refuse-sign-in"));
    // No answer waits for this: else a known account would take longer to refuse than an unknown one.
    let recording = app.clone();
    app.do_beside(async move { record(&recording, account, context, command).await });
    Ok(None)
}

/// Signing out takes nothing. It is always answered with 204, whatever was sent under the same idempotency key before.
struct SignOut;

impl Input for SignOut {
    const REPEATABLE: bool = false;

    fn read(_: &Parts<'_>) -> Option<Self> {
        Some(Self)
    }
}

/// Sign out
///
/// Always 204, whatever token or cookie is sent, or none.
#[utoipa::path(post, path = "/auth/jwt/logout", tag = TAG, responses((status = 204, description = "Signed out")))]
async fn logout(State(app): State<App>, call: OpenCall<SignOut>) -> Answer {
    let envelope = call.envelope;
    let headers = &envelope.headers;
    if let Some(session) = bearer(headers).and_then(|token| app.sessions().read_bearer(token)) {
        end(&app, &envelope, session.account_id, session.session_id).await;
    }
    if let Some(value) = cookie_value(headers)
        && envelope.info.is_from_our_pages(headers)
        && let Ok(caller) = app.sessions().authenticate_cookie(value, app.clock().now()).await
    {
        end(&app, &envelope, caller.account_id, caller.session_id).await;
    }
    Answer::no_content().cookie(&cookie(&app, "", 0))
}

/// Ends a session in the transaction of its event. A failure is logged and not told: the web client would call again
/// without end.
async fn end(app: &App, envelope: &Envelope, account: AccountId, session_id: SessionId) {
    let (now, sessions) = (app.clock().now(), app.sessions().clone());
    match app.sessions().is_alive(app.store().pool(), account, session_id, now).await {
        Ok(true) => (),
        // Nothing is left to end. This is the usual case in a storm of logouts, and costs one short query.
        Ok(false) => return,
        Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "a session could not be looked up");
            return;
        }
    }
    let context = once(envelope.command_by(Actor::account(account), vec![Role::User], "end-session"));
    let ended = app
        .execute(context, move |session| {
            let sessions = sessions.clone();
            Box::pin(async move {
                session.load::<Account>(account.as_uuid()).await?;
                let command = AccountCommand::EndSession { session: session_id };
                session.handle::<Account>(account.as_uuid(), account, command)?;
                session.also(move |connection| {
                    Box::pin(async move { sessions.end(connection, account, session_id, now).await.map(|_| ()) })
                });
                Ok::<(), Refusal>(())
            })
        })
        .await;
    if let Err(problem) = ended {
        tracing::warn!(problem.code = problem.kind().code, "a session could not be ended");
    }
}

async fn record(app: &App, account: AccountId, context: CommandContext, command: AccountCommand) {
    let recorded = app
        .execute(context, move |session| {
            let command = command.clone();
            Box::pin(async move {
                session.load::<Account>(account.as_uuid()).await?;
                session.handle::<Account>(account.as_uuid(), account, command)?;
                Ok::<(), Refusal>(())
            })
        })
        .await;
    if let Err(problem) = recorded {
        tracing::warn!(problem.code = problem.kind().code, "a refused sign-in could not be recorded");
    }
}

/// The command under an id of its own: one request may give several.
fn once(context: CommandContext) -> CommandContext {
    CommandContext { command_id: Uuid::now_v7(), ..context }
}

fn client(envelope: &Envelope) -> Client {
    Client { ip: Some(envelope.info.client), user_agent: envelope.info.user_agent.clone() }
}

fn origin(client: &Client) -> SignInOrigin {
    SignInOrigin {
        address: Personal::new(client.ip.map(|ip| ip.to_string())),
        user_agent: Personal::new(client.user_agent.clone()),
    }
}

fn cookie(app: &App, value: &str, max_age: u64) -> String {
    let secure = if app.config().public_url.is_secure() { "; Secure" } else { "" };
    format!("{COOKIE}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={max_age}{secure}")
}
