//! One call of a route: who calls, and what they say. The extractors here keep the order in which refusals win: 401,
//! 403, 429, then the body (413, 415, 400), the idempotency key (by which the request may have been answered before), and
//! then everything that is wrong with any value (422).

mod ahead;
mod body;
mod caller;
mod envelope;

use std::cell::RefCell;

use axum::extract::{FromRequest, FromRequestParts as _, RawPathParams, Request};
use axum::response::{IntoResponse, Response};
use domain::{Actor, Role};
use http::Method;
use serde_json::{Map, Value};

use crate::answer::Answer;
use crate::app::App;
use crate::fields::{self, Bounds, Fields};
use crate::limits::{Limit, Log, limit_of};
use crate::problem::{FieldError, Kind, Problem, catalogue};
use crate::request::{RequestInfo, only_reads};
use caller::Carrier;

pub use body::BodyKind;
pub(crate) use caller::{COOKIE, bearer, cookie_value};
pub use envelope::Envelope;
pub use identity::Caller;

/// What a route takes: read from path, query and body at once, so that one answer names all that is wrong.
pub trait Input: Sized + Send + 'static {
    /// What kind of body it takes.
    const BODY: BodyKind = BodyKind::None;
    /// Whether a write that is repeated under its idempotency key gets the first answer again. Where answers hold
    /// secrets, the key is accepted and ignored.
    const REPEATABLE: bool = true;

    /// Whether somebody with these roles may call the route at all.
    #[must_use]
    fn allows(_roles: &[Role]) -> bool {
        true
    }

    /// Reads it. `None` only where something is wrong that the parts have noted; then, and whenever anything was noted,
    /// the answer is 422.
    fn read(parts: &Parts<'_>) -> Option<Self>;
}

/// A route that takes nothing.
impl Input for () {
    fn read(_: &Parts<'_>) -> Option<Self> {
        Some(())
    }
}

/// The parts of a request that hold values.
#[derive(Debug, Clone, Copy)]
pub struct Parts<'a> {
    /// The parameters of the path.
    pub path: Fields<'a>,
    /// The query.
    pub query: Fields<'a>,
    /// The members of the body; none if there is no body.
    pub body: Fields<'a>,
    /// The store's epoch, in which cursors must have been given out.
    pub epoch: u32,
    whole_body: &'a Map<String, Value>,
    errors: &'a RefCell<Vec<FieldError>>,
}

impl Parts<'_> {
    /// The whole body as it was sent, which must be within these bounds; an empty object if there is no body. `None` only
    /// if something is wrong, which was noted.
    #[must_use]
    pub fn body_document(&self, bounds: Bounds) -> Option<Value> {
        // The members are checked where they are: a copy is made only of what will be used.
        fields::check_members(self.whole_body, "/body", bounds, self.errors)
            .then(|| Value::Object(self.whole_body.clone()))
    }
}

/// A call by somebody who is signed in.
#[derive(Debug)]
pub struct Call<T = ()> {
    /// Who.
    pub caller: Caller,
    /// What they say.
    pub input: T,
    /// Everything around it.
    pub envelope: Envelope,
}

/// A call for which nobody needs to be signed in; nobody looks whether somebody is.
#[derive(Debug)]
pub struct OpenCall<T = ()> {
    /// What they say.
    pub input: T,
    /// Everything around it.
    pub envelope: Envelope,
}

/// What is answered without asking the handler.
#[derive(Debug)]
pub enum Early {
    /// The request is refused.
    Refused(Problem),
    /// It was answered before.
    Answered(Box<Answer>),
}

impl From<Problem> for Early {
    fn from(problem: Problem) -> Self {
        Self::Refused(problem)
    }
}

impl From<Kind> for Early {
    fn from(kind: Kind) -> Self {
        Self::Refused(kind.into())
    }
}

impl IntoResponse for Early {
    fn into_response(self) -> Response {
        match self {
            Self::Refused(problem) => problem.into_response(),
            Self::Answered(answer) => answer.into_response(),
        }
    }
}

impl<T: Input> FromRequest<App> for Call<T> {
    type Rejection = Early;

    async fn from_request(request: Request, app: &App) -> Result<Self, Early> {
        let info = RequestInfo::of(request.extensions());
        let (caller, carrier) = caller::authenticate(app, request.headers()).await?;
        let by_cookie = carrier == Carrier::Cookie;
        if !T::allows(&caller.roles) {
            return Err(catalogue::FORBIDDEN.into());
        }
        if by_cookie && !only_reads(request.method()) && !info.is_from_our_pages(request.headers()) {
            return Err(catalogue::SAME_ORIGIN_REQUIRED.into());
        }
        limit(app, request.method(), &info, &caller.account_id.to_string()).await?;
        let actor = Actor::account(caller.account_id);
        let scope = caller.account_id.to_string();
        let (input, envelope) = read(app, request, &scope, (actor, &caller.roles)).await?;
        Ok(Self { caller, input, envelope })
    }
}

impl<T: Input> FromRequest<App> for OpenCall<T> {
    type Rejection = Early;

    async fn from_request(request: Request, app: &App) -> Result<Self, Early> {
        let info = RequestInfo::of(request.extensions());
        limit(app, request.method(), &info, &info.network()).await?;
        let scope = info.client.to_string();
        let (input, envelope) = read(app, request, &scope, (Actor::SYSTEM, &[])).await?;
        Ok(Self { input, envelope })
    }
}

async fn limit(app: &App, method: &Method, info: &RequestInfo, who: &str) -> Result<(), Problem> {
    if !app.config().rate_limits {
        return Ok(());
    }
    let Some(Limit::PerMinute(limit)) = limit_of(method, info.route()) else { return Ok(()) };
    // HEAD asks for what GET does.
    let method = if only_reads(method) { "GET" } else { method.as_str() };
    let log = Log { key: format!("{method} {} {who}", info.route()), limit, window: MINUTE, counts: true };
    let verdict = app.limiter().take(&[log]).await;
    info.set_verdict(verdict);
    if verdict.allowed { Ok(()) } else { Err(catalogue::RATE_LIMITED.into()) }
}

/// The window of all limits but those of signing in.
pub const MINUTE: std::time::Duration = std::time::Duration::from_secs(60);

/// Reads the request of somebody who acts with these roles. `scope` is whom an idempotency key belongs to.
async fn read<T: Input>(
    app: &App,
    request: Request,
    scope: &str,
    (actor, roles): (Actor, &[Role]),
) -> Result<(T, Envelope), Early> {
    let (mut parts, body) = request.into_parts();
    let path = path_values(&mut parts, app).await?;
    let scope = (T::REPEATABLE && !only_reads(&parts.method) && envelope::has_key(&parts.headers)).then_some(scope);
    let body = body::read(app, &parts.headers, body, T::BODY, scope.is_some()).await?;
    let lost = ahead::matches_a_lost_state(app, &parts.headers).await;
    let envelope = Envelope::new(parts, body.sha256, scope, app)?.matching_a_lost_state(lost);
    if envelope.is_repeatable() {
        let context = envelope.command_by(actor, roles.to_vec(), "keep-refusal");
        if let Some(answer) = app.kept_answer(&context).await? {
            return Err(Early::Answered(Box::new(answer)));
        }
        envelope.info.set_repeatable(context);
    }
    let query = envelope::query_values(envelope.query());
    let errors = RefCell::new(vec![]);
    body.note_faults(&errors);
    let input = {
        let values = Parts {
            path: Fields::text_only("path", &path, &errors),
            query: Fields::text_only("query", &query, &errors),
            body: body.fields(&errors),
            epoch: app.store().epoch(),
            whole_body: &body.members,
            errors: &errors,
        };
        if errors.borrow().is_empty() { T::read(&values) } else { None }
    };
    match (input, errors.into_inner()) {
        (Some(input), errors) if errors.is_empty() => Ok((input, envelope)),
        (None, errors) if errors.is_empty() => {
            tracing::error!(http.route = envelope.info.route(), "an input was refused without a reason");
            Err(catalogue::INTERNAL_ERROR.into())
        }
        (_, errors) => Err(Problem::invalid(errors).into()),
    }
}

async fn path_values(parts: &mut http::request::Parts, app: &App) -> Result<Map<String, Value>, Problem> {
    // A path that is no text after percent-decoding names nothing.
    let raw = RawPathParams::from_request_parts(parts, app).await.map_err(|_| Problem::from(catalogue::NOT_FOUND))?;
    Ok(raw.iter().map(|(name, value)| (name.to_owned(), Value::from(value))).collect())
}
