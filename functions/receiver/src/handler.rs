//! The door: a delivery in, an event on the queue, 200. Signature first, one durable write, nothing else.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::response::Response;
use axum::routing::post;
use shared::body::receive;
use shared::problem::Problem;
use shared::queue::MESSAGE_MOST;
use shared::time::Clock;
use tracing::{info, warn};

use crate::event::{Secrets, verified};
use crate::ports::Queue;
use crate::reply::{Refusal, accepted};

/// What the door may use.
#[derive(Clone)]
pub struct Door {
    /// What deliveries are checked with.
    pub secrets: Arc<Secrets>,
    /// Where events go.
    pub queue: Arc<dyn Queue>,
    /// The time signatures are judged by.
    pub clock: Arc<dyn Clock>,
}

/// The door's routes: deliveries are posted to any path, since each sender is given a whole URL.
pub fn router(door: Door) -> Router {
    Router::new()
        .route("/", post(post_event))
        .route("/{*path}", post(post_event))
        .method_not_allowed_fallback(async || Problem::method_not_allowed().response())
        .layer(DefaultBodyLimit::disable())
        .with_state(door)
}

async fn post_event(State(door): State<Door>, request: Request) -> Response {
    let response = match door.take(request).await {
        Ok(()) => accepted(),
        Err(refusal) => {
            warn!(error = %refusal, cause = refusal.detail(), "refused");
            refusal.problem().response()
        }
    };
    response.map(Body::from)
}

impl Door {
    async fn take(&self, request: Request) -> Result<(), Refusal> {
        let (parts, body) = request.into_parts();
        let body = receive(body, MESSAGE_MOST).await?;
        let (scheme, event) = verified(&parts.headers, &body, &self.secrets, self.clock.now())?;
        self.queue.send(&event.id, event.encode()?).await?;
        info!(
            event.type = event.event_type.as_str(),
            event.id = event.id.as_str(),
            scheme = scheme.as_str(),
            "verified"
        );
        Ok(())
    }
}
