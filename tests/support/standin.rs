//! Everything outside a measured function, on one loopback port: DynamoDB, SQS and a receiver that says 200.
//!
//! It shares the machine with what is measured, so it keeps nothing and decides nothing: an operation is
//! answered with the first [`Canned`] body that fits, else with the emptiest body the SDK takes for
//! success. (The Rust SDK doesn't check SQS's MD5 sums and does without them.) What the functions do with
//! real answers is for the pipeline tests.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Result;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderName};
use axum::response::{IntoResponse, Response};
use axum::serve::ListenerExt;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// An answer prepared for one operation.
#[derive(Debug, Clone)]
pub struct Canned {
    /// The operation's name in the service's protocol, such as `GetItem`.
    pub operation: &'static str,
    /// What the request must contain, such as a key; empty fits every request.
    pub mentions: String,
    /// The answer, in the service's protocol.
    pub body: Value,
}

/// The stand-in for every neighbour, stopped when dropped.
#[derive(Debug)]
pub struct StandIn {
    address: SocketAddr,
    desk: Arc<Desk>,
    server: JoinHandle<()>,
}

impl StandIn {
    /// Starts serving on a loopback port that the system chooses.
    pub async fn start(canned: Vec<Canned>) -> Result<StandIn> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let answers = canned
            .into_iter()
            .map(|canned| {
                (
                    canned.operation,
                    canned.mentions,
                    Bytes::from(canned.body.to_string()),
                )
            })
            .collect::<Vec<_>>();
        let desk = Arc::new(Desk {
            answers,
            requests: AtomicU64::new(0),
        });
        let routes = Router::new().fallback(answer).with_state(desk.clone());
        let listener = listener.tap_io(|stream| {
            // Refused only for a connection that is gone already, which its reader finds out.
            let _ = stream.set_nodelay(true);
        });
        let server = tokio::spawn(async move {
            // Ends only by being aborted.
            let _ = axum::serve(listener, routes).await;
        });
        Ok(StandIn {
            address,
            desk,
            server,
        })
    }

    /// How many requests it has answered.
    pub fn requests(&self) -> u64 {
        self.desk.requests.load(Ordering::Relaxed)
    }

    /// Its URL: the value of `AWS_ENDPOINT_URL`, the base of queue URLs, and a target for deliveries.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Its port, for what must be named by host name.
    pub fn port(&self) -> u16 {
        self.address.port()
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.server.abort();
    }
}

#[derive(Debug)]
struct Desk {
    answers: Vec<(&'static str, String, Bytes)>,
    requests: AtomicU64,
}

async fn answer(State(desk): State<Arc<Desk>>, headers: HeaderMap, body: Bytes) -> Response {
    desk.requests.fetch_add(1, Ordering::Relaxed);
    let target = headers
        .get("x-amz-target")
        .and_then(|target| target.to_str().ok());
    let Some((service, operation)) = target.and_then(|target| target.split_once('.')) else {
        return ().into_response(); // A receiver's 200.
    };
    let fits = desk
        .answers
        .iter()
        .find(|(name, mentions, _)| *name == operation && contains(&body, mentions.as_bytes()));
    let content = match fits {
        Some((.., canned)) => canned.clone(),
        None => plain(operation, &body),
    };
    let version = if service == "AmazonSQS" { "1.0" } else { "1.1" };
    let headers = [
        (CONTENT_TYPE, format!("application/x-amz-json-{version}")),
        (
            HeaderName::from_static("x-amzn-requestid"),
            "00000000".to_owned(),
        ),
    ];
    (headers, content).into_response()
}

fn contains(body: &[u8], text: &[u8]) -> bool {
    text.is_empty() || body.windows(text.len()).any(|part| part == text)
}

/// Success with nothing in it.
fn plain(operation: &str, request: &[u8]) -> Bytes {
    match operation {
        "Query" | "Scan" => Bytes::from_static(br#"{"Items":[],"Count":0,"ScannedCount":0}"#),
        "BatchGetItem" => Bytes::from_static(br#"{"Responses":{},"UnprocessedKeys":{}}"#),
        "BatchWriteItem" => Bytes::from_static(br#"{"UnprocessedItems":{}}"#),
        "SendMessage" => Bytes::from_static(br#"{"MessageId":"m"}"#),
        "ReceiveMessage" => Bytes::from_static(br#"{"Messages":[]}"#),
        "BatchExecuteStatement" => {
            let request: Value = serde_json::from_slice(request).unwrap_or_default();
            let statements = request.get("Statements").and_then(Value::as_array);
            json!({ "Responses": vec![json!({}); statements.map_or(0, Vec::len)] })
                .to_string()
                .into()
        }
        "SendMessageBatch" | "DeleteMessageBatch" | "ChangeMessageVisibilityBatch" => {
            let request: Value = serde_json::from_slice(request).unwrap_or_default();
            let entries = request.get("Entries").and_then(Value::as_array);
            let successful = entries
                .into_iter()
                .flatten()
                .map(|entry| json!({ "Id": entry.get("Id"), "MessageId": "m" }))
                .collect::<Vec<_>>();
            json!({ "Successful": successful, "Failed": [] })
                .to_string()
                .into()
        }
        _ => Bytes::from_static(b"{}"),
    }
}
