//! The table under the real SDK, without sockets: what the SDK would send is handed to the embedded engine, whose conditions
//! and transactions are the real ones.

use std::fmt;
use std::sync::Arc;

use anyhow::{Context, Result};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::retry::{RetryPartition, TokenBucket};
use aws_smithy_runtime_api::client::auth::AuthSchemeId;
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use dynoxide::{Database, DynoxideError};
use jiff::SignedDuration;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use shared::aws::{Account, Clients};

use crate::defects::Bent;
use crate::nature::{Nature, pass};
use crate::process::Process;
use crate::weather::Fault;

/// A read without consistency shows an item as it was at most so long ago.
pub const ITEM_LAG: SignedDuration = SignedDuration::from_secs(2);
/// And an index. It lags for minutes when it has too few units to take what is written.
const INDEX_LAG: SignedDuration = SignedDuration::from_mins(5);

/// The table's name.
pub const TABLE: &str = "payrelay";

/// A client for the engine's table on behalf of a process, which suffers the faults of its nature.
#[must_use]
pub fn client(database: &Database, process: &Arc<Process>) -> Client {
    let connector = SharedHttpConnector::new(Direct {
        database: database.clone(),
        process: process.clone(),
    });
    let http = http_client_fn(move |_, _| connector.clone());
    let clients = Clients::over(Account::local("http://table.invalid"), http);
    // The budget of retries is the process's own: runs side by side must not change each other.
    let budget = RetryPartition::custom(process.name.clone())
        .token_bucket(TokenBucket::builder().capacity(500).build())
        .build();
    let config = clients.dynamodb().config().to_builder();
    // A signature would be made for nobody, and costs a tenth of a run.
    let unsigned = config
        .allow_no_auth()
        .auth_scheme_preference([AuthSchemeId::from("noAuth")]);
    Client::from_conf(unsigned.retry_partition(budget).build())
}

struct Direct {
    database: Database,
    process: Arc<Process>,
}

impl fmt::Debug for Direct {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the table of {}", self.process.name)
    }
}

impl HttpConnector for Direct {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        let operation = target.rsplit('.').next().unwrap_or_default().to_owned();
        let body = request.body().bytes().unwrap_or_default().to_vec();
        let (database, process) = (self.database.clone(), self.process.clone());
        HttpConnectorFuture::new(async move {
            process.before(&operation).await;
            let name = process.nature.is_traced().then(|| named(&body));
            let name = name.unwrap_or_default();
            let body = match weathered(&process, &operation).await {
                Some(refused) => return refused,
                None => String::from_utf8_lossy(&body).into_owned(),
            };
            let answer = match Bent::request(&process, &operation, body) {
                Bent::Asked(body) => late_or_now(&process.nature, &database, &operation, &body)
                    .map(|answer| Bent::answer(&process, &body, answer)),
                Bent::Answered(answer) => Ok(answer),
            };
            process.nature.count("requests to the table", 1);
            if is_write(&operation) {
                process.nature.written();
            }
            process.tell(|| {
                format!(
                    "{operation} {}{name}",
                    answer.as_ref().map_or("refused", |_| "done")
                )
            });
            process.after(&operation).await;
            if process.nature.strikes(Fault::TableUnanswered) {
                return Err(cut());
            }
            match answer {
                Ok(body) => respond(200, body),
                Err(problem) => respond(problem.status_code(), problem.to_json()),
            }
        })
    }
}

/// What the network and the service do to a request before it is carried out, if they do.
async fn weathered(
    process: &Process,
    operation: &str,
) -> Option<Result<HttpResponse, ConnectorError>> {
    let nature = &process.nature;
    if nature.strikes(Fault::TableSlow) {
        pass(nature.chance.millis(100, 2_500)).await;
    }
    if nature.strikes(Fault::TableSilent) {
        // The SDK gives it up in its own time.
        std::future::pending::<()>().await;
    }
    if nature.strikes(Fault::TableLost) {
        return Some(Err(cut()));
    }
    if nature.strikes(Fault::TableThrottled) {
        return Some(refused(&json!({
            "__type": "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException",
            "message": "slower",
        })));
    }
    if is_write(operation) && nature.strikes(Fault::TableContended) {
        return Some(refused(&match operation {
            "TransactWriteItems" => json!({
                "__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
                "Message": "Transaction cancelled",
                "CancellationReasons": [
                    { "Code": "None" },
                    { "Code": "TransactionConflict", "Message": "a transaction is under way" },
                ],
            }),
            _ => json!({
                "__type": "com.amazonaws.dynamodb.v20120810#TransactionConflictException",
                "message": "a transaction is under way",
            }),
        }));
    }
    None
}

/// Carries out a request, or answers a read that need not be consistent as it was answered a while ago.
fn late_or_now(
    nature: &Nature,
    database: &Database,
    operation: &str,
    body: &str,
) -> Result<String, DynoxideError> {
    let lagging = nature
        .may_strike(Fault::TableStale)
        .then(|| lagging(operation, body));
    let Some((asked, lag)) = lagging.flatten() else {
        return carry_out(database, operation, body);
    };
    let answer = carry_out(database, operation, body)?;
    let parsed = |answer: &str| serde_json::from_str::<Value>(answer).ok();
    if let Some(stale) = nature.recall(&asked, lag)
        && parsed(&stale) != parsed(&answer)
        && nature.strikes(Fault::TableStale)
    {
        return Ok(stale);
    }
    nature.remember(&asked, &answer);
    Ok(answer)
}

/// What a read that need not be consistent asks for, and how old what it shows may be; `None` for what is no such read.
fn lagging(operation: &str, body: &str) -> Option<(String, SignedDuration)> {
    let mut request: Value = serde_json::from_str(body).ok()?;
    let consistent = match operation {
        "GetItem" | "Query" => request.get("ConsistentRead"),
        "BatchGetItem" => request.pointer(&format!("/RequestItems/{TABLE}/ConsistentRead")),
        _ => return None,
    };
    if consistent.and_then(Value::as_bool) == Some(true) {
        return None;
    }
    let lag = match request.get("IndexName") {
        Some(_) => INDEX_LAG,
        None => ITEM_LAG,
    };
    // What is due is asked for again and again, each time up to then.
    let values = request.get_mut("ExpressionAttributeValues");
    if let Some(values) = values.and_then(Value::as_object_mut) {
        values.remove(":end");
        values.remove(":before");
    }
    Some((format!("{operation} {request}"), lag))
}

/// Which items a request is about, for the trace.
fn named(body: &[u8]) -> String {
    fn find(value: &Value, names: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                let text =
                    |name: &str| value.pointer(&format!("/{name}/S")).and_then(Value::as_str);
                if let (Some(pk), Some(sk)) = (text("pk"), text("sk")) {
                    names.push(format!("{pk}|{sk}"));
                } else {
                    fields.values().for_each(|value| find(value, names));
                }
            }
            Value::Array(values) => values.iter().for_each(|value| find(value, names)),
            _ => {}
        }
    }
    let mut names = Vec::new();
    find(
        &serde_json::from_slice(body).unwrap_or_default(),
        &mut names,
    );
    // A batch asks in no order of its own, and traces of one run are to be the same.
    names.sort();
    names.iter().map(|name| format!(" {name}")).collect()
}

fn is_write(operation: &str) -> bool {
    operation != "Query" && !operation.contains("Get")
}

fn cut() -> ConnectorError {
    ConnectorError::io("the connection was cut".into())
}

fn refused(body: &Value) -> Result<HttpResponse, ConnectorError> {
    respond(400, body.to_string())
}

fn respond(status: u16, body: String) -> Result<HttpResponse, ConnectorError> {
    let status =
        StatusCode::try_from(status).map_err(|it| ConnectorError::other(it.into(), None))?;
    Ok(HttpResponse::new(status, SdkBody::from(body)))
}

/// Has the engine carry out a request of the service's protocol.
fn carry_out(database: &Database, operation: &str, body: &str) -> Result<String, DynoxideError> {
    match operation {
        "PutItem" => through(body, |it| database.put_item(it)),
        "GetItem" => through(body, |it| database.get_item(it)),
        "DeleteItem" => through(body, |it| database.delete_item(it)),
        "UpdateItem" => through(body, |it| database.update_item(it)),
        "Query" => through(body, |it| database.query(it)),
        "Scan" => through(body, |it| database.scan(it)),
        "BatchGetItem" => through(body, |it| database.batch_get_item(it)),
        "BatchWriteItem" => through(body, |it| database.batch_write_item(it)),
        "TransactWriteItems" => through(body, |it| database.transact_write_items(it)),
        "TransactGetItems" => through(body, |it| database.transact_get_items(it)),
        "BatchExecuteStatement" => through(body, |it| database.batch_execute_statement(it)),
        "CreateTable" => through(body, |it| database.create_table(it)),
        "UpdateTimeToLive" => through(body, |it| database.update_time_to_live(it)),
        unknown => Err(DynoxideError::ValidationException(format!(
            "the simulation does not hand on {unknown}"
        ))),
    }
}

fn through<I: DeserializeOwned, O: Serialize>(
    body: &str,
    act: impl FnOnce(I) -> Result<O, DynoxideError>,
) -> Result<String, DynoxideError> {
    let broken =
        |problem: serde_json::Error| DynoxideError::SerializationException(problem.to_string());
    let answer = act(serde_json::from_str(body).map_err(broken)?)?;
    serde_json::to_string(&answer).map_err(broken)
}

/// The items of the table, or the entries of an index, behind everybody's back.
///
/// # Errors
/// If the engine fails.
pub fn look(database: &Database, index: Option<&str>) -> Result<Vec<Value>> {
    let mut request = json!({ "TableName": TABLE });
    if let (Some(index), Some(request)) = (index, request.as_object_mut()) {
        request.insert("IndexName".to_owned(), json!(index));
    }
    let answer = carry_out(database, "Scan", &request.to_string()).context("the embedded table")?;
    let mut answer: Value = serde_json::from_str(&answer)?;
    let items = answer.get_mut("Items").map(Value::take);
    Ok(items
        .and_then(|items| items.as_array().cloned())
        .unwrap_or_default())
}
