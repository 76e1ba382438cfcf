//! All routes, and the document that describes them.

use axum::Router;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use crate::app::App;
use crate::limits::PREFIX;
use crate::{audit, auth, data, jobs, openapi, projects, proposals, service, timeline};

/// All routes, and the OpenAPI document made from the same.
pub(crate) fn all(app: &App) -> (Router<App>, OpenApi) {
    let api = OpenApiRouter::new()
        .merge(auth::routes())
        .merge(audit::routes())
        .merge(projects::routes())
        .merge(data::routes())
        .merge(timeline::routes())
        .merge(jobs::routes())
        .merge(proposals::routes())
        .merge(service::health_routes());
    let (router, described) = OpenApiRouter::with_openapi(openapi::frame(app.config()))
        .merge(service::root_routes())
        .nest(PREFIX, api)
        .split_for_parts();
    let described = openapi::finish(described);
    let router = router.nest(PREFIX, openapi::routes(&described));
    (router, described)
}
