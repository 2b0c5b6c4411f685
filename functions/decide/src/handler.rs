//! A question in, a decision out: key, question, what is known of it; else the ASE, one durable write, the answer.
//!
//! ```text
//! known under its idempotency key? ── yes ──▶ the decision that is kept
//!        │ no
//!        ▼
//! ask the ASE (event id derived from the key) ──▶ judge ──▶ put event and delivery, if nobody did ──▶ answer
//!                                                                  └─ somebody did ──▶ answer theirs
//! ```
//! A crash between asking and putting leaves nothing: asked again under the same key, the ASE is asked again with the same
//! event id, by which it knows the question. An answer is given only once it is kept.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{DefaultBodyLimit, Path, Request, State};
use axum::response::Response;
use axum::routing::post;
use futures::try_join;
use http::HeaderMap;
use jiff::Timestamp;
use shared::access::{Access, AccessError};
use shared::body::receive_json;
use shared::decision::{Because, By, Decision, Kept, Policy, Question, conclude, event_id, source};
use shared::delivery::{
    Delivery, DeliveryKey, End, Endpoint, EndpointState, Failure, Outcome, State as Settled, Try,
    request,
};
use shared::event::{Chosen, Event, NoReceiver, Recipients, Role};
use shared::ids::{EventId, Round, TenantId};
use shared::problem::Problem;
use shared::store::{Decisions, Endpoints, EndpointsNow, Events, Recorded, Tenants};
use shared::time::{Clock, later, until};
use shared::transport::Transport;
use tracing::{info, warn};

use crate::reply::{Refusal, answer};

/// The longest body that is taken, in bytes.
pub const BODY_MOST: usize = 64 * 1024;
/// The header that names a question.
pub const KEY_HEADER: &str = "idempotency-key";
/// The longest name of a question, in bytes.
pub const KEY_MOST: usize = 255;
/// The longest answer of an ASE that is read, in bytes.
const ANSWER_MOST: usize = 16 * 1024;
/// So many requests are made to an ASE that can't be connected to.
const REQUESTS_MOST: usize = 2;

/// What the door may use.
#[derive(Clone)]
pub struct Decide {
    /// Whose keys open it.
    pub access: Access,
    /// The tenants' policies.
    pub tenants: Arc<dyn Tenants>,
    /// Who is asked, and how, as of some seconds ago.
    pub endpoints: Arc<dyn Endpoints>,
    /// The same now: read before a question is decided without asking, which is for good.
    pub endpoints_now: Arc<dyn EndpointsNow>,
    /// What was decided before.
    pub events: Arc<dyn Events>,
    /// Where decisions are kept.
    pub decisions: Arc<dyn Decisions>,
    /// The way to the ASE.
    pub transport: Arc<dyn Transport>,
    /// The time of questions and requests.
    pub clock: Arc<dyn Clock>,
}

/// The door's route.
pub fn router(decide: Decide) -> Router {
    Router::new()
        .route(
            "/v1/tenants/{tenant}/incoming-payments/decisions",
            post(decisions),
        )
        .method_not_allowed_fallback(async || Problem::method_not_allowed().response())
        .fallback(async || Problem::no_such_path().response())
        .layer(DefaultBodyLimit::disable())
        .with_state(decide)
}

async fn decisions(
    State(decide): State<Decide>,
    tenant: Result<Path<String>, PathRejection>,
    request: Request,
) -> Response {
    // What is no text can be no tenant, and is refused as such.
    let tenant = tenant.map_or_else(|_| String::new(), |Path(tenant)| tenant);
    let response = match decide.take(&tenant, request).await {
        Ok((id, decision)) => answer(&id, &decision),
        Err(refusal) => {
            warn!(tenant, error = %refusal, cause = refusal.detail(), "question refused");
            refusal.response()
        }
    };
    response.map(Body::from)
}

/// A question, whose it is, and what is needed to decide it.
struct Asked {
    tenant: TenantId,
    id: EventId,
    question: Question,
    at: Timestamp,
}

impl Decide {
    async fn take(&self, tenant: &str, request: Request) -> Result<(EventId, Decision), Refusal> {
        let at = self.clock.now();
        let (parts, body) = request.into_parts();
        let tenant = self.access.by_key(&parts.headers, tenant).await?.tenant;
        let id = event_id(&tenant, idempotency_key(&parts.headers)?);
        let asked = Asked {
            question: Question::read(&receive_json(&parts.headers, body, BODY_MOST).await?)?,
            tenant,
            id,
            at,
        };
        let (record, kept, endpoints) = try_join!(
            self.tenants.tenant(&asked.tenant),
            self.events.event(&asked.tenant, &asked.id),
            self.endpoints.endpoints(&asked.tenant),
        )?;
        let policy = record.ok_or(AccessError::NoTenant)?.decisions;
        let decision = match kept {
            Some(kept) => known(&kept.value.event, &asked.question)?,
            None => self.decide(&asked, policy, endpoints).await?,
        };
        Ok((asked.id, decision))
    }

    /// Decides a question that nobody asked before, and keeps what was decided.
    async fn decide(
        &self,
        asked: &Asked,
        policy: Policy,
        endpoints: Vec<Endpoint>,
    ) -> Result<Decision, Refusal> {
        let mut event = asked.question.event(asked.id.clone(), asked.at, source());
        let chosen = match ase(endpoints) {
            Err(_) => ase(self.endpoints_now.endpoints_now(&asked.tenant).await?),
            found => found,
        };
        let (chosen, decision, delivery) = match chosen {
            Ok(ase) => {
                let (decision, delivery) = self.ask(asked, &event, policy, &ase).await;
                (Chosen::Endpoints(vec![ase.id]), decision, Some(delivery))
            }
            Err((nobody, because)) => {
                let decision = Decision::by_policy(&asked.question, policy, because, None);
                (Chosen::Nobody(nobody), decision, None)
            }
        };
        event.data = asked.question.decided(&decision);
        let recipients = Recipients::Chosen(BTreeMap::from([(Role::Ase, chosen)]));
        let recorded = self
            .decisions
            .record_decision(
                &asked.tenant,
                &event,
                &recipients,
                delivery.as_ref(),
                self.clock.now(),
            )
            .await
            .map_err(Refusal::NotKept)?;
        match recorded {
            Recorded::New => {
                tell(asked, &decision, delivery.as_ref());
                Ok(decision)
            }
            Recorded::Known(kept) => known(&kept.value.event, &asked.question),
        }
    }

    /// Asks the ASE until the deadline, once more if it could not be connected to, and concludes.
    async fn ask(
        &self,
        asked: &Asked,
        event: &Event,
        policy: Policy,
        ase: &Endpoint,
    ) -> (Decision, Delivery) {
        let mut delivery = Delivery::new(
            DeliveryKey {
                tenant: asked.tenant.clone(),
                event: asked.id.clone(),
                endpoint: ase.id.clone(),
                round: Round::FIRST,
            },
            None,
        );
        let due = later(asked.at, policy.deadline());
        let mut outcome = Outcome::Failed(Failure::Timeout);
        for _ in 0..REQUESTS_MOST {
            let began = self.clock.now();
            let left = until(began, due);
            if left.is_zero() {
                break;
            }
            let target = Endpoint {
                deadline: left,
                ..ase.clone()
            };
            outcome = match request::build(event, &target, began) {
                Ok(request) => {
                    let request = request::Request {
                        keep: ANSWER_MOST,
                        ..request
                    };
                    self.transport.post(request).await
                }
                Err(request::Unsigned) if target.is_locked(began) => {
                    Outcome::Failed(Failure::Locked)
                }
                Err(request::Unsigned) => Outcome::Failed(Failure::Unsigned),
            };
            let ended = self.clock.now();
            delivery.tries.push(Try::new(began, ended, &outcome));
            if !unconnected(&outcome) {
                break;
            }
        }
        let decision = conclude(&asked.question, &outcome, policy);
        delivery.state = match decision.by {
            By::Ase => Settled::Delivered,
            By::Policy { .. } => Settled::GivenUp {
                reason: End::Undecided,
            },
        };
        (decision, delivery)
    }
}

/// The ASE that is asked, with the URL that decides: of those that are switched on the first by name. Or why there is none.
fn ase(endpoints: Vec<Endpoint>) -> Result<Endpoint, (NoReceiver, Because)> {
    let mut nobody = (NoReceiver::NoEndpoint, Because::NoEndpoint);
    let mut first: Option<Endpoint> = None;
    for endpoint in endpoints {
        let url = endpoint.decision_url.clone();
        let Some(url) = url.filter(|_| endpoint.role == Role::Ase) else {
            continue;
        };
        if endpoint.state != EndpointState::Enabled {
            nobody = (NoReceiver::EndpointDisabled, Because::EndpointDisabled);
        } else if first.as_ref().is_none_or(|first| endpoint.id < first.id) {
            first = Some(Endpoint { url, ..endpoint });
        }
    }
    first.ok_or(nobody)
}

/// The decision that is kept, if it is that on this question.
fn known(kept: &Event, question: &Question) -> Result<Decision, Refusal> {
    match Kept::of(kept, question) {
        Kept::Same(decision) => Ok(decision),
        Kept::Other => Err(Refusal::OtherQuestion),
        Kept::Foreign => Err(Refusal::KeyTaken),
    }
}

/// Whether the request got no connection, or lost it before the answer: the ASE knows the event's id if it had it.
fn unconnected(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Failed(Failure::Refused | Failure::Dns | Failure::Tls | Failure::Closed) => true,
        Outcome::Failed(
            Failure::Timeout
            | Failure::Protocol
            | Failure::Blocked
            | Failure::Unsigned
            | Failure::Locked,
        )
        | Outcome::Answered { .. } => false,
    }
}

fn tell(asked: &Asked, decision: &Decision, delivery: Option<&Delivery>) {
    let last = delivery.and_then(|delivery| delivery.tries.last());
    let because = match &decision.by {
        By::Ase => None,
        By::Policy { because, .. } => Some(because.as_str()),
    };
    info!(
        tenant = asked.tenant.as_str(),
        event.id = asked.id.as_str(),
        event.type = asked.question.kind().wire_name(),
        endpoint = delivery.map(|delivery| delivery.key.endpoint.as_str()),
        tries = delivery.map(Delivery::tried),
        status = last.and_then(|last| last.status),
        failure = last.and_then(|last| last.failure).map(Failure::as_str),
        took_ms = last.map(|last| last.took_ms),
        decision = decision.verdict.as_str(),
        decision.because = because,
        "decided"
    );
}

/// The name that the question has: given once, printable.
fn idempotency_key(headers: &HeaderMap) -> Result<&str, Refusal> {
    let mut values = headers.get_all(KEY_HEADER).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(Refusal::NoIdempotencyKey);
    };
    let key = value.as_bytes();
    let fits = (1..=KEY_MOST).contains(&key.len()) && key.iter().all(u8::is_ascii_graphic);
    value
        .to_str()
        .ok()
        .filter(|_| fits)
        .ok_or(Refusal::NoIdempotencyKey)
}
