//! Faults on the SDK's requests: what the network and the service do to them, when a test says so.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector,
    http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use serde_json::{Value, json};

use crate::meter::operation;

/// What happens to one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It does not arrive.
    Before,
    /// It is carried out, and its answer does not arrive.
    After,
    /// The service refuses it for now.
    Throttled,
    /// It collides with a transaction on the same item.
    Contended,
    /// It is never answered.
    Silent,
    /// It is a read without consistency, which does not see yet that the item is there.
    Unseen,
}

/// The faults to come, by operation, each for one request, and what can't be reached.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    next: Arc<Mutex<VecDeque<(String, Fault)>>>,
    unreachable: Arc<Mutex<Option<String>>>,
}

impl Faults {
    /// The next request for `operation` (`PutItem`) that has no fault yet has this one.
    pub fn next(&self, operation: &str, fault: Fault) {
        let mut faults = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        faults.push_back((operation.to_owned(), fault));
    }

    /// From now on no request arrives in which `name` stands.
    pub fn cut_off(&self, name: &str) {
        let mut unreachable = self
            .unreachable
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *unreachable = Some(name.to_owned());
    }

    /// No request has a fault any more.
    pub fn none(&self) {
        self.next
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
        let mut unreachable = self
            .unreachable
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *unreachable = None;
    }

    /// How many faults have not happened yet.
    #[must_use]
    pub fn left(&self) -> usize {
        self.next
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .len()
    }

    fn take(&self, operation: &str, body: &[u8]) -> Option<Fault> {
        let unreachable = self
            .unreachable
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(name) = &*unreachable
            && String::from_utf8_lossy(body).contains(name.as_str())
        {
            return Some(Fault::Before);
        }
        let mut faults = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let consistent = String::from_utf8_lossy(body).contains(r#""ConsistentRead":true"#);
        let place = faults
            .iter()
            .position(|(of, fault)| of == operation && !(consistent && *fault == Fault::Unseen))?;
        faults.remove(place).map(|(_, fault)| fault)
    }

    /// A client whose requests suffer the faults on their way to `inner`.
    #[must_use]
    pub fn over(&self, inner: SharedHttpClient) -> SharedHttpClient {
        let faults = self.clone();
        http_client_fn(move |settings, components| {
            let inner = inner.http_connector(settings, components);
            SharedHttpConnector::new(Faulty {
                inner,
                faults: faults.clone(),
            })
        })
    }
}

#[derive(Debug)]
struct Faulty {
    inner: SharedHttpConnector,
    faults: Faults,
}

impl HttpConnector for Faulty {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let operation = operation(&request);
        let body = request.body().bytes().unwrap_or_default();
        match self.faults.take(&operation, body) {
            None => self.inner.call(request),
            Some(Fault::Before) => HttpConnectorFuture::ready(Err(cut())),
            Some(Fault::After) => {
                let answer = self.inner.call(request);
                HttpConnectorFuture::new(async move { answer.await.and(Err(cut())) })
            }
            Some(Fault::Unseen) => answered(200, &json!({})),
            Some(Fault::Throttled) => refused(&json!({
                "__type": "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException",
                "message": "slower",
            })),
            Some(Fault::Contended) if operation == "TransactWriteItems" => refused(&json!({
                "__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
                "Message": "Transaction cancelled",
                "CancellationReasons": [
                    { "Code": "None" },
                    { "Code": "TransactionConflict", "Message": "a transaction is under way" },
                ],
            })),
            Some(Fault::Contended) => refused(&json!({
                "__type": "com.amazonaws.dynamodb.v20120810#TransactionConflictException",
                "message": "a transaction is under way",
            })),
            Some(Fault::Silent) => HttpConnectorFuture::new(std::future::pending()),
        }
    }
}

fn cut() -> ConnectorError {
    ConnectorError::io("the connection was cut by a test".into())
}

fn refused(body: &Value) -> HttpConnectorFuture {
    answered(400, body)
}

fn answered(status: u16, body: &Value) -> HttpConnectorFuture {
    let status = StatusCode::try_from(status).expect("a status");
    let body = SdkBody::from(body.to_string());
    HttpConnectorFuture::ready(Ok(HttpResponse::new(status, body)))
}
