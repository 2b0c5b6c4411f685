//! What Lambda invokes functions with: a request to an HTTP API, and a batch of an SQS trigger.

use serde_json::{Value, json};
use shared::queue::Received;

/// What an HTTP API (payload version 2.0) hands to a door.
#[must_use]
pub fn http(method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Value {
    // lambda_http panics on host names that look like broken IP addresses, hence `localhost`.
    let mut sent = json!({ "content-type": "application/json", "host": "localhost" });
    for (name, value) in headers {
        if let Some(sent) = sent.as_object_mut() {
            sent.insert((*name).to_owned(), Value::from(*value));
        }
    }
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    json!({
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": query,
        "headers": sent,
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "measured",
            "domainName": "localhost",
            "domainPrefix": "measured",
            "http": {
                "method": method,
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": "127.0.0.1",
                "userAgent": "tests",
            },
            "requestId": "00000000-0000-0000-0000-000000000000",
            "routeKey": "$default",
            "stage": "$default",
            "time": "01/Jan/2026:00:00:00 +0000",
            "timeEpoch": 1_767_225_600_000_u64,
        },
        "body": body,
        "isBase64Encoded": false,
    })
}

/// A message of a batch.
#[derive(Debug, Clone)]
pub struct Record<'a> {
    /// The queue's id of it.
    pub id: &'a str,
    /// Its lease.
    pub receipt: &'a str,
    /// Its body.
    pub body: &'a str,
    /// How often it was received.
    pub count: u32,
    /// When it was sent, in milliseconds since 1970.
    pub sent_ms: i64,
    /// The group that it was sent with.
    pub group: Option<&'a str>,
}

impl<'a> Record<'a> {
    /// A message that was received.
    #[must_use]
    pub fn of(message: &'a Received) -> Self {
        Self {
            id: &message.id,
            receipt: &message.receipt.0,
            body: &message.body,
            count: message.count,
            sent_ms: message.sent.as_millisecond(),
            group: message.group.as_deref(),
        }
    }
}

/// What an SQS trigger hands to a worker.
#[must_use]
pub fn sqs(queue: &str, records: &[Record<'_>]) -> Value {
    let record = |record: &Record<'_>| {
        let mut attributes = json!({
            "ApproximateReceiveCount": record.count.to_string(),
            "SentTimestamp": record.sent_ms.to_string(),
            "SenderId": "AIDAIENQZJOLO23YVJ4VO",
            "ApproximateFirstReceiveTimestamp": "1767225600001",
        });
        if let (Some(group), Some(attributes)) = (record.group, attributes.as_object_mut()) {
            attributes.insert("MessageGroupId".to_owned(), Value::from(group));
        }
        json!({
            "messageId": record.id,
            "receiptHandle": record.receipt,
            "body": record.body,
            "attributes": attributes,
            "messageAttributes": {},
            "md5OfBody": "",
            "eventSource": "aws:sqs",
            "eventSourceARN": format!("arn:aws:sqs:eu-central-1:123456789012:{queue}"),
            "awsRegion": "eu-central-1",
        })
    };
    json!({ "Records": records.iter().map(record).collect::<Vec<_>>() })
}
