//! A stand-in for the APIs of the billing platforms, from their documentation: what is asked for after a thin
//! notification, and where a success is recorded. It checks the key, serves what was put in, remembers what it was
//! asked, and misbehaves as it is told.
//!
//! All platforms are on one port, since their paths differ: Stripe (`docs.stripe.com/api`), Recurly
//! (`recurly.com/developers/api/v2021-02-25`) and Chargebee (`apidocs.chargebee.com`).

mod desk;
mod documented;

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use futures::stream;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, Method, StatusCode, Uri};
use serde_json::{Value, json};
use shared::secret::Secret;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use url::form_urlencoded;

/// A body that is no longer worth reading.
const HUGE: usize = 5 * 1024 * 1024;

/// What can be put in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A charge of Stripe, found by its `id` or its `payment_intent`.
    StripeCharge,
    /// An invoice payment of Stripe, found by its `invoice`.
    StripeInvoicePayment,
    /// An invoice of Stripe, found by its `id`.
    StripeInvoice,
    /// A transaction of Recurly, found by its `id` or its `uuid`.
    RecurlyTransaction,
    /// An invoice of Recurly, found by its `id` or its `number`.
    RecurlyInvoice,
    /// An invoice of Chargebee, found by its `id`.
    ChargebeeInvoice,
}

/// What comes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// It is answered as documented.
    Serve,
    /// It is answered with this status and the platform's usual error.
    Status(u16),
    /// It is answered with this status, and is to be made again after so many seconds.
    After(u16, u32),
    /// It is never answered.
    Silent,
    /// The answer is no JSON.
    NotJson,
    /// The answer is JSON, and nothing in it is of the kind that is documented.
    WrongKinds,
    /// The answer is longer than anybody should read.
    Huge,
    /// The answer never ends.
    Endless,
}

/// A request that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Its method.
    pub method: Method,
    /// Its path and query.
    pub path: String,
    /// Its idempotency key, where it had one.
    pub idempotency_key: Option<String>,
    /// The form that it sent, in order.
    pub form: Vec<(String, String)>,
    /// What it was answered; `None` if it never was.
    pub status: Option<StatusCode>,
}

/// A success that was recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// The invoice, and so the platform.
    pub kind: Kind,
    /// The invoice's id.
    pub invoice: String,
    /// What was said of it, in order.
    pub form: Vec<(String, String)>,
}

/// The stand-in; clones are the same one.
#[derive(Clone)]
pub struct PlatformApi {
    key: Secret,
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    objects: Vec<(Kind, Value)>,
    script: VecDeque<Turn>,
    asked: Vec<Asked>,
    recorded: Vec<Recorded>,
    /// What was answered to an idempotency key before.
    answered: HashMap<String, (StatusCode, Value)>,
}

impl PlatformApi {
    /// A stand-in that opens with `key`, and has nothing in it.
    #[must_use]
    pub fn new(key: Secret) -> Self {
        Self {
            key,
            inner: Arc::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts an object in, which takes the place of one of its kind with the same `id`.
    pub fn put(&self, kind: Kind, object: Value) {
        let mut inner = self.lock();
        let id = object.get("id").cloned();
        inner
            .objects
            .retain(|(other, known)| *other != kind || known.get("id") != id.as_ref());
        inner.objects.push((kind, object));
    }

    /// Says what comes of the next requests, one after the other; those after them are answered as documented.
    pub fn script(&self, turns: impl IntoIterator<Item = Turn>) {
        self.lock().script = turns.into_iter().collect();
    }

    /// The requests that came, oldest first.
    #[must_use]
    pub fn asked(&self) -> Vec<Asked> {
        self.lock().asked.clone()
    }

    /// The successes that were recorded, oldest first.
    #[must_use]
    pub fn recorded(&self) -> Vec<Recorded> {
        self.lock().recorded.clone()
    }

    /// Its only route: whatever comes.
    pub fn router(&self) -> Router {
        // No fallback: the routes of a router that this one is nested in would come before it.
        Router::new()
            .route("/{*path}", any(answer))
            .with_state(self.clone())
    }

    /// Serves it on a loopback port that the system chooses.
    ///
    /// # Errors
    /// If there is none.
    pub async fn start(&self) -> anyhow::Result<Serving> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let router = self.router();
        let server = tokio::spawn(async move {
            // Ends only by being aborted.
            let _ = axum::serve(listener, router).await;
        });
        Ok(Serving { address, server })
    }
}

/// The stand-in on its port, which closes when this is dropped.
pub struct Serving {
    address: SocketAddr,
    server: JoinHandle<()>,
}

impl Serving {
    /// What to take for `api_base_url`.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// A request, as far as it is looked at.
struct Request {
    method: Method,
    path: String,
    query: Vec<(String, String)>,
    form: Vec<(String, String)>,
    headers: HeaderMap,
}

impl Request {
    fn header(&self, name: impl http::header::AsHeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    fn asks_for(&self, name: &str) -> Option<&str> {
        value_of(&self.query, name)
    }

    fn idempotency_key(&self) -> Option<&str> {
        self.header("idempotency-key")
            .or_else(|| self.header("chargebee-idempotency-key"))
    }
}

fn value_of<'a>(fields: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let field = fields.iter().find(|(field, _)| field == name)?;
    Some(&field.1)
}

async fn answer(
    State(api): State<PlatformApi>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let fields = |text: &[u8]| form_urlencoded::parse(text).into_owned().collect();
    let request = Request {
        query: fields(uri.query().unwrap_or_default().as_bytes()),
        form: fields(&body),
        path: uri.path().to_owned(),
        method,
        headers,
    };
    let turn = api.lock().script.pop_front().unwrap_or(Turn::Serve);
    let response = match turn {
        Turn::Serve => {
            let (status, object) = api.serve(&request);
            Some((status, axum::Json(object)).into_response())
        }
        Turn::Status(status) => Some(refused(&request, status)),
        Turn::After(status, seconds) => {
            let mut response = refused(&request, status);
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
            Some(response)
        }
        Turn::Silent => None,
        Turn::NotJson => Some(json_of(Body::from("<html>we will be back soon</html>"))),
        Turn::WrongKinds => Some(
            axum::Json(json!({"id": 7, "object": [], "status": {}, "data": "x"})).into_response(),
        ),
        Turn::Huge => Some(json_of(Body::from(format!("\"{}\"", "x".repeat(HUGE))))),
        Turn::Endless => {
            let chunk = || Ok::<_, Infallible>(Bytes::from_static(&[b' '; 4096]));
            Some(json_of(Body::from_stream(stream::repeat_with(chunk))))
        }
    };
    api.lock().asked.push(Asked {
        idempotency_key: request.idempotency_key().map(str::to_owned),
        path: uri
            .path_and_query()
            .map_or_else(|| request.path.clone(), ToString::to_string),
        method: request.method,
        form: request.form,
        status: response.as_ref().map(Response::status),
    });
    match response {
        Some(response) => response,
        None => std::future::pending().await,
    }
}

fn json_of(body: Body) -> Response {
    ([(CONTENT_TYPE, "application/json")], body).into_response()
}

fn refused(request: &Request, status: u16) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let (status, error) = documented::error(request, status);
    (status, axum::Json(error)).into_response()
}
