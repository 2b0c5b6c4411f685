//! The door's routes, and what all of them share: who asks, and how what is recorded gets to its queue.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{DefaultBodyLimit, Path, Request, State};
use axum::response::Response;
use axum::routing::{get, post, put};
use futures::future::join_all;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};
use jiff::{SignedDuration, Timestamp};
use shared::access::{Access, AccessError, bearer};
use shared::body::receive_json;
use shared::customer::{AnchorSettings, Call, Telling, Transaction};
use shared::delivery::Vetting;
use shared::event::{Recipients, SetAside};
use shared::ids::TenantId;
use shared::problem::{Problem, chain};
use shared::queue::task::{CallbackTask, send};
use shared::queue::{Enqueue, Task};
use shared::signature::jwt;
use shared::store::{Anchors, Outbox, Registrations, StoreError, Transactions};
use shared::time::{Clock, later, until};
use shared::transport;
use tokio::time::timeout;
use tracing::{error, warn};

use crate::reply::{Refusal, calls};
use crate::rpc::{Answer, CALLS_MOST, Code, Envelope, Fault, Sent};
use crate::transactions::view;

/// The longest batch of calls, or transaction, that is taken, in bytes.
pub const BODY_MOST: usize = 256 * 1024;
/// A batch of calls may take so long: a door of AWS answers within 29 s.
pub const BATCH_MOST: SignedDuration = SignedDuration::from_secs(25);
/// And its answer is given within so long, whatever a call still waits for.
const ANSWERED_WITHIN: SignedDuration = SignedDuration::from_secs(28);
/// The header that the Anchor Platform's callers show a key in.
pub const KEY_HEADER: &str = "x-api-key";

/// What the door may use.
#[derive(Clone)]
pub struct Anchor {
    /// Whose keys open it.
    pub access: Access,
    /// How tenants' anchors work with us, and who their wallet clients are.
    pub anchors: Arc<dyn Anchors>,
    /// Transactions, and what is remembered of their customers.
    pub transactions: Arc<dyn Transactions>,
    /// Where wallets want to hear of single customers.
    pub registrations: Arc<dyn Registrations>,
    /// What was recorded and is to be sent.
    pub outbox: Arc<dyn Outbox>,
    /// Where that goes.
    pub queues: Arc<dyn Enqueue>,
    /// The way to business servers.
    pub business: Arc<dyn transport::Caller>,
    /// Which addresses wallets may name.
    pub vetting: Vetting,
    /// The time of changes, and that tokens are judged by.
    pub clock: Arc<dyn Clock>,
}

/// Who asks, and of which tenant.
pub(crate) struct Caller {
    pub(crate) tenant: TenantId,
    /// How the tenant's anchor works with us, if it is set up.
    pub(crate) settings: Option<AnchorSettings>,
    /// Whether personal data may be shown: the business server's own token may see what it told us.
    pub(crate) personal: bool,
}

/// The door's routes.
pub fn router(anchor: Anchor) -> Router {
    Router::new()
        .route("/v1/tenants/{tenant}/anchor/rpc", post(rpc))
        .route(
            "/v1/tenants/{tenant}/anchor/transactions/{id}",
            get(read_transaction).put(put_transaction),
        )
        .route(
            "/v1/tenants/{tenant}/anchor/customer/callback",
            put(put_callback),
        )
        .method_not_allowed_fallback(async || Problem::method_not_allowed().response())
        .fallback(async || Problem::no_such_path().response())
        .layer(DefaultBodyLimit::disable())
        .with_state(anchor)
}

/// What is no text can be no name, and is refused as such.
fn named<T: Default>(path: Result<Path<T>, PathRejection>) -> T {
    path.map_or_else(|_| T::default(), |Path(named)| named)
}

fn answered(tenant: &str, outcome: Result<http::Response<String>, Refusal>) -> Response {
    let response = outcome.unwrap_or_else(|refusal| {
        warn!(tenant, error = %refusal, cause = refusal.detail(), "refused");
        refusal.problem().response()
    });
    response.map(Body::from)
}

async fn rpc(
    State(anchor): State<Anchor>,
    tenant: Result<Path<String>, PathRejection>,
    request: Request,
) -> Response {
    let tenant = named(tenant);
    answered(&tenant, anchor.calls(&tenant, request).await)
}

async fn read_transaction(
    State(anchor): State<Anchor>,
    path: Result<Path<(String, String)>, PathRejection>,
    request: Request,
) -> Response {
    let (tenant, id) = named(path);
    answered(&tenant, anchor.read(&tenant, &id, request.headers()).await)
}

async fn put_transaction(
    State(anchor): State<Anchor>,
    path: Result<Path<(String, String)>, PathRejection>,
    request: Request,
) -> Response {
    let (tenant, id) = named(path);
    answered(&tenant, anchor.put(&tenant, &id, request).await)
}

async fn put_callback(
    State(anchor): State<Anchor>,
    tenant: Result<Path<String>, PathRejection>,
    request: Request,
) -> Response {
    let tenant = named(tenant);
    answered(&tenant, anchor.register(&tenant, request).await)
}

impl Anchor {
    /// Who asks, by a key of ours in either header, or by a token of the tenant's own making.
    ///
    /// # Errors
    /// See [`Refusal`].
    pub(crate) async fn granted(
        &self,
        headers: &HeaderMap,
        tenant: &str,
    ) -> Result<Caller, Refusal> {
        let in_one = in_one_header(headers)?;
        // A key of ours has no dots.
        let presented = bearer(headers).filter(|token| token.expose().split('.').count() == 3);
        if let Some(token) = presented {
            let unknown = || Refusal::Access(AccessError::UnknownKey);
            let tenant = TenantId::parse(tenant).map_err(|_| unknown())?;
            let settings = self.anchors.anchor(&tenant).await?.map(|read| read.value);
            let secret = settings.as_ref().and_then(|it| it.rpc_secret.as_ref());
            let secret = secret.ok_or_else(unknown)?;
            let checked = jwt::bearer(token.expose(), secret, self.clock.now());
            let _proof = checked.map_err(Refusal::Token)?;
            return Ok(Caller {
                tenant,
                settings,
                personal: true,
            });
        }
        let granted = self.access.by_key(&in_one, tenant).await?;
        let settings = self.anchors.anchor(&granted.tenant).await?;
        Ok(Caller {
            tenant: granted.tenant,
            settings: settings.map(|read| read.value),
            personal: granted.personal_data,
        })
    }

    async fn calls(
        &self,
        tenant: &str,
        request: Request,
    ) -> Result<http::Response<String>, Refusal> {
        let began = self.clock.now();
        let (parts, body) = request.into_parts();
        let caller = self.granted(&parts.headers, tenant).await?;
        let body = receive_json(&parts.headers, body, BODY_MOST).await?;
        let sent = Sent::read(&body)?;
        let calls_sent = match &sent {
            Sent::Several(calls) => calls.as_slice(),
            Sent::One(call) => std::slice::from_ref(call),
        };
        if calls_sent.len() > CALLS_MOST {
            let message =
                format!("at most {CALLS_MOST} calls are taken at once; none was attempted");
            let fault = Fault::new(Code::InvalidRequest, message);
            return Ok(calls(&[Answer::new(None, None, Err(fault))], false));
        }
        let mut answers = Vec::with_capacity(calls_sent.len());
        // One after the other: a caller may count on the order.
        for call in calls_sent {
            answers.push(match Envelope::read(call) {
                Ok(envelope) => {
                    let outcome = match envelope.call() {
                        Ok(call) => self.attempt(&caller, &call, began).await,
                        Err(fault) => Err(fault),
                    };
                    let outcome = outcome.map(|it| view(&it, caller.personal));
                    Answer::new(Some(envelope.id.clone()), envelope.transaction(), outcome)
                }
                Err((id, fault)) => Answer::new(id, None, Err(fault)),
            });
        }
        Ok(calls(&answers, matches!(sent, Sent::One(_))))
    }

    /// Makes a call of a batch that `began` then, if there is time for it, and ends it in time for the answer.
    async fn attempt(
        &self,
        caller: &Caller,
        call: &Call,
        began: Timestamp,
    ) -> Result<Transaction, Fault> {
        let (ends, cut) = (later(began, BATCH_MOST), later(began, ANSWERED_WITHIN));
        let now = self.clock.now();
        if now >= ends {
            return Err(Fault::new(Code::Internal, "not attempted"));
        }
        let left = |now| Duration::try_from(until(now, cut)).unwrap_or_default();
        let Caller {
            tenant, settings, ..
        } = caller;
        let notified = timeout(
            left(now),
            self.notify(tenant, settings.as_ref(), call, ends),
        );
        let Ok(notified) = notified.await else {
            return Err(Fault::new(Code::Internal, crate::notify::UNSURE));
        };
        let (transaction, tellings) = notified?;
        // Cut short, the outbox still has it.
        let _cut = timeout(left(self.clock.now()), self.tell(tenant, &tellings)).await;
        Ok(transaction)
    }

    /// Whether what is to be told can be signed; what nobody is told is alarmed.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub(crate) async fn can_tell(
        &self,
        tenant: &TenantId,
        tellings: &[Telling],
    ) -> Result<bool, StoreError> {
        let nobody = Recipients::SetAside(SetAside::NoClient);
        // Before it is written: dying right after that, nobody would say so.
        for telling in tellings.iter().filter(|it| it.recipients == nobody) {
            error!(
                tenant = tenant.as_str(),
                event.id = telling.event.id.as_str(),
                alarm = "no_client",
                "a change that no wallet client is told of, since none owns the transaction"
            );
        }
        let told = tellings.iter().any(|it| it.recipients.callback().is_some());
        Ok(!told || self.anchors.can_sign(tenant).await?)
    }

    /// Sends what was recorded, and notes that it was sent. What fails here is made up for by `sweep`.
    pub(crate) async fn tell(&self, tenant: &TenantId, tellings: &[Telling]) {
        let tasks: Vec<_> = tellings
            .iter()
            .filter_map(|it| CallbackTask::first(tenant, &it.event.id, &it.recipients))
            .collect();
        if tasks.is_empty() {
            return;
        }
        let sends = tasks.iter().cloned().map(Task::Callback);
        if let Err(problem) = send(self.queues.as_ref(), sends).await {
            warn!(
                tenant = tenant.as_str(),
                error = chain(&problem),
                "left in the outbox"
            );
            return;
        }
        let notes = tasks
            .iter()
            .map(|task| self.outbox.note_sent(tenant, &task.event));
        for problem in join_all(notes).await.into_iter().filter_map(Result::err) {
            warn!(
                tenant = tenant.as_str(),
                error = chain(&problem),
                "sent, and still in the outbox"
            );
        }
    }
}

/// The headers with a key of the Anchor Platform's header where ours are looked for. Two keys are none.
fn in_one_header(headers: &HeaderMap) -> Result<HeaderMap, Refusal> {
    let mut keys = headers.get_all(KEY_HEADER).iter();
    match (
        keys.next(),
        keys.next(),
        headers.contains_key(AUTHORIZATION),
    ) {
        (None, _, _) => Ok(headers.clone()),
        (Some(key), None, false) => {
            let value = key.to_str().ok().map(|key| format!("Bearer {key}"));
            let value = value.and_then(|value| HeaderValue::try_from(value).ok());
            let value = value.ok_or(AccessError::NoKey)?;
            Ok(HeaderMap::from_iter([(AUTHORIZATION, value)]))
        }
        (Some(_), _, _) => Err(AccessError::NoKey.into()),
    }
}
