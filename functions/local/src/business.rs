//! A stand-in for an anchor's business server (the Anchor Platform's callback API): it tells of a customer what was put, to
//! whoever shows its key.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use axum::{Json, Router};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use shared::secret::Secret;

/// The header that its key is shown in.
const KEY_HEADER: &str = "x-api-key";

/// The stand-in; clones are the same one.
#[derive(Clone)]
pub struct Business {
    key: Secret,
    customers: Arc<Mutex<HashMap<String, String>>>,
}

impl Business {
    /// A business server that opens with `key`, and knows nobody.
    #[must_use]
    pub fn new(key: Secret) -> Self {
        Self {
            key,
            customers: Arc::default(),
        }
    }

    fn customers(&self) -> MutexGuard<'_, HashMap<String, String>> {
        self.customers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Has it say `customer` whenever it is asked for `id`, true or not.
    pub fn put(&self, id: &str, customer: &Value) {
        let said = customer.to_string();
        self.customers().insert(id.to_owned(), said);
    }

    /// What it is asked for, and a desk where customers are put.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/customer", get(tell))
            .route("/customers/{id}", put(take))
            .with_state(self.clone())
    }
}

async fn tell(
    State(business): State<Business>,
    Query(asked): Query<HashMap<String, String>>,
    headers: HeaderMap,
) -> Response {
    let shown = headers.get(KEY_HEADER).and_then(|it| it.to_str().ok());
    if shown != Some(business.key.expose()) {
        return refused(StatusCode::UNAUTHORIZED, "no key, or another one");
    }
    let customers = business.customers();
    match asked.get("id").and_then(|id| customers.get(id)) {
        Some(said) => ([(CONTENT_TYPE, "application/json")], said.clone()).into_response(),
        None => refused(StatusCode::NOT_FOUND, "no such customer"),
    }
}

async fn take(
    State(business): State<Business>,
    Path(id): Path<String>,
    Json(customer): Json<Value>,
) -> StatusCode {
    business.put(&id, &customer);
    StatusCode::NO_CONTENT
}

fn refused(status: StatusCode, error: &str) -> Response {
    (status, Json(json!({"error": error}))).into_response()
}
