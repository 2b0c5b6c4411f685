//! An event in, a task on the queue: who sent it, what it says, one durable write, answer.
//!
//! Rafiki signs the parsed body, so the body is parsed, within bounds, before it is verified. A field that stands there
//! twice is refused, so that what is verified is what is read; the payload travels as the text it came with. The time of an event is when it arrived: a backend signs each attempt
//! just before it sends it, and a clock of the backend that goes wrong must not shorten the time in which a retry is
//! still of use.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{DefaultBodyLimit, Path, Request, State};
use axum::response::Response;
use axum::routing::post;
use http::HeaderMap;
use serde_json::Value;
use shared::access::Access;
use shared::body::{BodyError, receive_json};
use shared::event::{Envelope, Event, Role, Source, resource, unambiguous};
use shared::ids::TenantId;
use shared::problem::Problem;
use shared::queue::task::{PublishTask, send};
use shared::queue::{Enqueue, Task};
use shared::signature::{VerifyError, rafiki};
use shared::store::PaymentBackends;
use shared::time::Clock;
use tracing::{info, warn};

use crate::batch::split;
use crate::body::{ARRAY_MOST, EVENT_MOST, event, text, wrong};
use crate::recipients::named;
use crate::reply::{Accepted, Refusal};

/// What the door may use.
#[derive(Clone)]
pub struct Publish {
    /// Whose keys open it.
    pub access: Access,
    /// Whose signatures open it.
    pub backends: Arc<dyn PaymentBackends>,
    /// Where events go.
    pub queues: Arc<dyn Enqueue>,
    /// The time signatures are judged by.
    pub clock: Arc<dyn Clock>,
}

/// Who sent the events, as far as it is proved.
pub(crate) struct Sender {
    pub(crate) tenant: TenantId,
    pub(crate) source: &'static str,
}

/// The door's route.
pub fn router(publish: Publish) -> Router {
    Router::new()
        .route("/v1/tenants/{tenant}/events", post(events))
        .method_not_allowed_fallback(async || Problem::method_not_allowed().response())
        .fallback(async || Problem::no_such_path().response())
        .layer(DefaultBodyLimit::disable())
        .with_state(publish)
}

async fn events(
    State(publish): State<Publish>,
    tenant: Result<Path<String>, PathRejection>,
    request: Request,
) -> Response {
    // What is no text can be no tenant, and is refused as such.
    let tenant = tenant.map_or_else(|_| String::new(), |Path(tenant)| tenant);
    let response = match publish.take(&tenant, request).await {
        Ok(accepted) => accepted.response(),
        Err(refusal) => {
            warn!(tenant, error = %refusal, cause = refusal.detail(), "events refused");
            refusal.response()
        }
    };
    response.map(Body::from)
}

impl Publish {
    async fn take(&self, tenant: &str, request: Request) -> Result<Accepted, Refusal> {
        let (parts, body) = request.into_parts();
        match signature(&parts.headers)? {
            Some(header) => {
                let body = receive_json(&parts.headers, body, EVENT_MOST).await?;
                let body = text(&body)?;
                let parsed = unambiguous(body)?;
                let sender = self.by_signature(tenant, header, &parsed).await?;
                if parsed.is_array() {
                    let rule = "must be one event; an array is taken with a bearer key only";
                    return Err(wrong("body", rule).into());
                }
                let roles = named(parts.uri.query().unwrap_or_default(), &parts.headers)?;
                self.one(&sender, roles.as_ref(), event(body)?).await
            }
            None => {
                let granted = self.access.by_key(&parts.headers, tenant).await?;
                let sender = Sender {
                    tenant: granted.tenant,
                    source: "api",
                };
                let body = receive_json(&parts.headers, body, ARRAY_MOST).await?;
                let body = text(&body)?;
                let roles = named(parts.uri.query().unwrap_or_default(), &parts.headers)?;
                if body.trim_ascii_start().starts_with('[') {
                    let items = self.many(&sender, roles.as_ref(), &split(body)?).await?;
                    let refused = items.iter().filter(|item| item.refused.is_some()).count();
                    let (tenant, sent) = (sender.tenant.as_str(), items.len());
                    info!(tenant, key = granted.key, sent, refused, "events taken");
                    return Ok(Accepted::Array(items));
                }
                if body.len() > EVENT_MOST {
                    return Err(BodyError::TooLong(EVENT_MOST).into());
                }
                unambiguous(body)?;
                self.one(&sender, roles.as_ref(), event(body)?).await
            }
        }
    }

    /// The tenant's payment backend, if it signed this. That there is no such tenant, or that it has no backend, is told
    /// as a signature that does not match.
    async fn by_signature(
        &self,
        tenant: &str,
        header: &str,
        body: &Value,
    ) -> Result<Sender, Refusal> {
        let tenant = TenantId::parse(tenant).ok();
        let backend = match &tenant {
            Some(tenant) => self.backends.payment_backend(tenant).await?,
            None => None,
        };
        let (secrets, tolerance) = backend.as_ref().map_or_else(
            || (&[][..], shared::signature::TOLERANCE),
            |backend| (backend.secrets.as_slice(), backend.tolerance),
        );
        let now = self.clock.now();
        let verified = rafiki::verify_value(header, body, secrets, now, tolerance);
        let _proof = verified.map_err(|error| match error {
            VerifyError::NoSecret => VerifyError::Mismatch,
            error => error,
        })?;
        Ok(Sender {
            tenant: tenant.ok_or(VerifyError::Mismatch)?,
            source: "rafiki",
        })
    }

    async fn one(
        &self,
        sender: &Sender,
        roles: Option<&BTreeSet<Role>>,
        envelope: Envelope,
    ) -> Result<Accepted, Refusal> {
        let (id, event_type) = (envelope.id.clone(), envelope.event_type.clone());
        let task = self.task(sender, envelope, roles);
        send(self.queues.as_ref(), [task]).await?;
        info!(
            tenant = sender.tenant.as_str(),
            event.id = id.as_str(),
            event.type = event_type.as_str(),
            source = sender.source,
            "event accepted"
        );
        Ok(Accepted::One)
    }

    pub(crate) fn task(
        &self,
        sender: &Sender,
        envelope: Envelope,
        roles: Option<&BTreeSet<Role>>,
    ) -> Task {
        Task::Publish(PublishTask {
            tenant: sender.tenant.clone(),
            event: Event {
                resource: resource(&envelope.event_type, &envelope.data),
                id: envelope.id,
                event_type: envelope.event_type,
                data: envelope.data,
                at: self.clock.now(),
                source: Source::new(sender.source),
            },
            roles: roles.cloned(),
            guard: None,
        })
    }
}

/// The signature header, of which there may be one.
fn signature(headers: &HeaderMap) -> Result<Option<&str>, VerifyError> {
    let mut values = headers.get_all(rafiki::HEADER).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value.to_str().map(Some).map_err(|_| VerifyError::Malformed),
        (Some(_), Some(_)) => Err(VerifyError::Malformed),
    }
}
