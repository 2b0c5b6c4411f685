//! A meter on the SDK's requests: which operations were called, and what the table says they consumed.
//!
//! Units are counted in halves, because an eventually consistent read takes half a unit.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector,
    http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use serde_json::Value;

/// One request and what it consumed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Call {
    /// The operation (`PutItem`).
    pub operation: String,
    /// Half units of the table itself.
    pub table: u64,
    /// Half units of each index that was touched.
    pub indexes: BTreeMap<String, u64>,
}

impl Call {
    /// Half units of the table and of all its indexes.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.table + self.indexes.values().sum::<u64>()
    }
}

/// Notes the requests that go through it.
#[derive(Debug, Clone, Default)]
pub struct Meter(Arc<Mutex<Vec<Call>>>);

impl Meter {
    /// A client whose requests go through the meter to `inner`.
    #[must_use]
    pub fn over(&self, inner: SharedHttpClient) -> SharedHttpClient {
        let meter = self.clone();
        http_client_fn(move |settings, components| {
            let inner = inner.http_connector(settings, components);
            SharedHttpConnector::new(Metered {
                inner,
                meter: meter.clone(),
            })
        })
    }

    /// The requests since the last time, in the order of their answers.
    pub fn take(&self) -> Vec<Call> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[derive(Debug)]
struct Metered {
    inner: SharedHttpConnector,
    meter: Meter,
}

impl HttpConnector for Metered {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let operation = operation(&request);
        let answer = self.inner.call(request);
        let meter = self.meter.clone();
        HttpConnectorFuture::new(async move {
            let mut answer = answer.await?;
            let body = std::mem::replace(answer.body_mut(), SdkBody::taken());
            let body = ByteStream::new(body)
                .collect()
                .await
                .map_err(|error| ConnectorError::io(error.into()))?;
            let body = body.into_bytes();
            meter
                .0
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(call(operation, &body));
            *answer.body_mut() = SdkBody::from(body);
            Ok(answer)
        })
    }
}

/// The operation that a request asks for (`PutItem`).
pub(crate) fn operation(request: &HttpRequest) -> String {
    let target = request.headers().get("x-amz-target").unwrap_or_default();
    target.rsplit('.').next().unwrap_or_default().to_owned()
}

fn call(operation: String, body: &[u8]) -> Call {
    let mut call = Call {
        operation,
        ..Call::default()
    };
    let answer: Value = serde_json::from_slice(body).unwrap_or_default();
    let consumed = match answer.get("ConsumedCapacity") {
        Some(Value::Array(several)) => several.clone(),
        Some(one) => vec![one.clone()],
        None => Vec::new(),
    };
    for consumed in consumed {
        let of_table = consumed
            .pointer("/Table/CapacityUnits")
            .or_else(|| consumed.get("CapacityUnits"));
        call.table += of_table.map_or(0, halves);
        for name in ["GlobalSecondaryIndexes", "LocalSecondaryIndexes"] {
            let indexes = consumed.get(name).and_then(Value::as_object);
            for (index, consumed) in indexes.into_iter().flatten() {
                *call.indexes.entry(index.clone()).or_default() +=
                    consumed.get("CapacityUnits").map_or(0, halves);
            }
        }
    }
    call
}

/// A number of units in halves, read from its digits.
fn halves(units: &Value) -> u64 {
    let digits = units.to_string();
    let (whole, fraction) = digits.split_once('.').unwrap_or((&digits, "0"));
    whole.parse::<u64>().unwrap_or_default() * 2 + u64::from(fraction.starts_with('5'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_units_are_read_from_what_the_service_says() {
        for (units, want) in [("1.0", 2), ("0.5", 1), ("3", 6), ("2.5", 5), ("0.0", 0)] {
            assert_eq!(
                halves(&serde_json::from_str(units).expect("a number")),
                want,
                "{units}"
            );
        }
    }
}
