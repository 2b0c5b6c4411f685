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
}

/// The faults to come, by operation, each for one request.
#[derive(Debug, Clone, Default)]
pub struct Faults(Arc<Mutex<VecDeque<(String, Fault)>>>);

impl Faults {
    /// The next request for `operation` (`PutItem`) that has no fault yet has this one.
    pub fn next(&self, operation: &str, fault: Fault) {
        let mut faults = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        faults.push_back((operation.to_owned(), fault));
    }

    /// No request has a fault any more.
    pub fn none(&self) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }

    /// How many faults have not happened yet.
    #[must_use]
    pub fn left(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    fn take(&self, operation: &str) -> Option<Fault> {
        let mut faults = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = faults.iter().position(|(of, _)| of == operation)?;
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
        match self.faults.take(&operation) {
            None => self.inner.call(request),
            Some(Fault::Before) => HttpConnectorFuture::ready(Err(cut())),
            Some(Fault::After) => {
                let answer = self.inner.call(request);
                HttpConnectorFuture::new(async move { answer.await.and(Err(cut())) })
            }
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
    let status = StatusCode::try_from(400).expect("a status");
    let body = SdkBody::from(body.to_string());
    HttpConnectorFuture::ready(Ok(HttpResponse::new(status, body)))
}
