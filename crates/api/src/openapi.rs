//! The OpenAPI document, and the page that shows it without loading anything from elsewhere.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::Path;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue};
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{Operation, ParameterBuilder, ParameterIn, PathItem};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    ContentBuilder, InfoBuilder, OpenApi, OpenApiBuilder, Ref, RefOr, Required, ResponseBuilder, Server,
};
use utoipa::{PartialSchema as _, ToSchema as _};
use utoipa_swagger_ui::Config;

use crate::app::App;
use crate::call::COOKIE;
use crate::config::ApiConfig;
use crate::limits::PREFIX;
use crate::problem::{Document, Fault, FieldError, Problem, catalogue};

const BEARER: &str = "bearer";
const COOKIE_SCHEME: &str = "cookie";
/// Routes that need nobody to be signed in.
const OPEN_PATHS: [&str; 3] = ["/auth/jwt/login", "/auth/jwt/logout", "/auth/register"];
/// Writes whose idempotency key is ignored.
const WITHOUT_KEY: [&str; 2] = ["/auth/jwt/login", "/auth/jwt/logout"];
/// What the page may do: show itself, and call this service.
const PAGE_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
     connect-src 'self'; base-uri 'none'; frame-ancestors 'none'",
);
/// The page that shows the document.
const PAGE: &str = r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>H2O Allegiant API</title>
<link rel="stylesheet" href="/api/v1/docs/swagger-ui.css">
</head>
<body>
<div id="page"></div>
<script src="/api/v1/docs/swagger-ui-bundle.js"></script>
<script src="/api/v1/docs/start.js"></script>
</body>
</html>
"#;
/// Starts it. Without `validatorUrl` it would send the document's address to a server elsewhere.
const START: &str = r##"SwaggerUIBundle({
  url: "/api/v1/openapi.json",
  dom_id: "#page",
  deepLinking: true,
  validatorUrl: null,
  presets: [SwaggerUIBundle.presets.apis],
});
"##;

/// The document without its routes.
pub(crate) fn frame(config: &ApiConfig) -> OpenApi {
    let description = "Turns a technical data sheet about water or wastewater into a technical and commercial proposal.\n\n\
        Every refusal is a problem document (RFC 9457) with the members that the schema `Problem` shows.";
    OpenApiBuilder::new()
        .info(
            InfoBuilder::new()
                .title("H2O Allegiant")
                .version(config.version.clone())
                .description(Some(description))
                .build(),
        )
        .servers(Some([Server::new(config.public_url.as_str())]))
        .build()
}

/// Adds what is the same for every route: problems, and who needs to be signed in.
pub(crate) fn finish(mut document: OpenApi) -> OpenApi {
    let components = document.components.get_or_insert_default();
    let mut schemas = vec![];
    Document::schemas(&mut schemas);
    schemas.push((Document::name().into_owned(), Document::schema()));
    schemas.push((FieldError::name().into_owned(), FieldError::schema()));
    schemas.push((Fault::name().into_owned(), Fault::schema()));
    components.schemas.extend(schemas);
    let bearer = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
    let cookie = SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::new(COOKIE)));
    components.security_schemes.insert(BEARER.to_owned(), bearer.into());
    components.security_schemes.insert(COOKIE_SCHEME.to_owned(), cookie.into());
    for (path, item) in &mut document.paths.paths {
        let session =
            path.strip_prefix(PREFIX).is_some_and(|path| !path.starts_with("/health") && !OPEN_PATHS.contains(&path));
        for (method, operation) in operations(item) {
            operation.operation_id = Some(operation_id(method, path));
            add_problems(operation, session);
            if method != "get" && !WITHOUT_KEY.iter().any(|ignored| path.ends_with(ignored)) {
                add_idempotency_key(operation);
            }
        }
    }
    document
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = (&'static str, &mut Operation)> {
    let PathItem { get, post, put, patch, delete, .. } = item;
    [("get", get), ("post", post), ("put", put), ("patch", patch), ("delete", delete)]
        .into_iter()
        .filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}

/// A name that no other operation has, such as `get_projects_id`: handlers' own names repeat from module to module.
fn operation_id(method: &str, path: &str) -> String {
    // What is found at the root and under the prefix needs two names.
    let path = path.strip_prefix(PREFIX).map_or_else(|| format!("root{path}"), str::to_owned);
    let words = path.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    std::iter::once(method).chain(words).collect::<Vec<_>>().join("_")
}

fn add_problems(operation: &mut Operation, session: bool) {
    // Every response needs words; most routes have one success, and their summary says what it is.
    for response in operation.responses.responses.values_mut() {
        if let RefOr::T(response) = response
            && response.description.is_empty()
        {
            response.description = operation.summary.clone().unwrap_or_default();
        }
    }
    let everywhere = [("4XX", "A refusal"), ("5XX", "A failure")];
    let signed_in = [
        ("401", "Nobody is signed in, or no longer"),
        ("403", "A role or the proof of the same origin is missing"),
        ("404", "It does not exist, or belongs to somebody else"),
        ("422", "Values are missing or wrong"),
        ("429", "Too many requests"),
    ];
    for (status, description) in everywhere.iter().chain(signed_in.iter().filter(|_| session)) {
        let problem = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
        let response =
            ResponseBuilder::new().description(*description).content("application/problem+json", problem).build();
        operation.responses.responses.entry((*status).to_owned()).or_insert(RefOr::T(response));
    }
    if session {
        operation.security = Some(vec![
            SecurityRequirement::new(BEARER, Vec::<String>::new()),
            SecurityRequirement::new(COOKIE_SCHEME, Vec::<String>::new()),
        ]);
    }
}

/// The header by which a write may be repeated, and the one that a repetition is answered with.
fn add_idempotency_key(operation: &mut Operation) {
    let text = ObjectBuilder::new().schema_type(Type::String).min_length(Some(1)).max_length(Some(255));
    let key = ParameterBuilder::new()
        .name("Idempotency-Key")
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(
            "Printable ASCII characters. The same request under the same key is answered with what it was answered first, \
             and has no further effect; another request under it is refused",
        ))
        .schema(Some(text))
        .build();
    operation.parameters.get_or_insert_default().push(RefOr::T(key));
    let replayed = HeaderBuilder::new().description(Some("`true` where the answer was given before")).build();
    for (status, response) in &mut operation.responses.responses {
        if let RefOr::T(response) = response
            && status.starts_with('2')
        {
            response.headers.insert("Idempotency-Replayed".to_owned(), RefOr::T(replayed.clone()));
        }
    }
}

/// The document and its page.
pub(crate) fn routes(document: &OpenApi) -> Router<App> {
    let json = Bytes::from(document.to_json().expect("the document is made of texts and numbers"));
    Router::new()
        .route("/openapi.json", get(async || ([(CONTENT_TYPE, "application/json")], json)))
        .route("/docs", get(async || text("text/html; charset=utf-8", PAGE)))
        .route("/docs/{file}", get(part))
        .route("/redoc", get(async || Redirect::to(&format!("{PREFIX}/docs"))))
}

/// A file that the page loads.
async fn part(Path(file): Path<String>) -> Response {
    if file == "start.js" {
        return text("text/javascript; charset=utf-8", START);
    }
    let Ok(Some(found)) = utoipa_swagger_ui::serve(&file, Arc::new(Config::from(""))) else {
        return Problem::from(catalogue::NOT_FOUND).into_response();
    };
    let mut response = found.bytes.into_owned().into_response();
    if let Ok(media) = HeaderValue::from_str(&found.content_type) {
        response.headers_mut().insert(CONTENT_TYPE, media);
    }
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600"));
    response
}

fn text(media: &'static str, text: &'static str) -> Response {
    ([(CONTENT_TYPE, HeaderValue::from_static(media)), (CONTENT_SECURITY_POLICY, PAGE_POLICY)], text).into_response()
}
