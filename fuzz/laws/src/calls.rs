//! The anchor's door: calls of JSON-RPC with their parameters, and what a business server answers about a customer.
//!
//! An input is the customer that was asked for, the body of calls, and after a line `---` the business server's answer.

use serde_json::Value;
use shared::customer::{Customer, MESSAGE_MOST, Snapshot};
use shared::ids::CustomerId;

use crate::rpc::{Answer, CALLS_MOST, Code, Envelope, METHOD, Sent};
use crate::text_line;

const SEPARATOR: &[u8] = b"\n---\n";

/// Holds the laws.
///
/// # Panics
/// Where one is broken.
pub fn hold(input: &[u8]) {
    let Some((customer, rest)) = text_line(input) else {
        return;
    };
    let at = rest.windows(SEPARATOR.len()).position(|it| it == SEPARATOR);
    let (body, answer) = match at.and_then(|at| rest.split_at_checked(at)) {
        Some((body, rest)) => (body, rest.get(SEPARATOR.len()..).unwrap_or_default()),
        None => (rest, &[][..]),
    };
    calls(body);
    if let Ok(asked) = CustomerId::parse(customer) {
        told(answer, &asked);
    }
}

fn calls(body: &[u8]) {
    let Ok(sent) = Sent::read(body) else {
        return;
    };
    let document: Value = serde_json::from_slice(body).expect("what was sent is JSON");
    let all = match &sent {
        Sent::Several(calls) => {
            assert_eq!(document.as_array(), Some(calls), "every call is read");
            calls.as_slice()
        }
        Sent::One(call) => {
            assert_eq!(document, *call);
            std::slice::from_ref(call)
        }
    };
    for call in all.iter().take(CALLS_MOST) {
        one(call);
    }
}

fn one(sent: &Value) {
    let (id, transaction, outcome) = match Envelope::read(sent) {
        Ok(envelope) => {
            assert_eq!(
                sent.get("id"),
                Some(&envelope.id),
                "an answer is told by the id that was sent"
            );
            assert_eq!(sent.get("jsonrpc").and_then(Value::as_str), Some("2.0"));
            let outcome = envelope.call();
            if let Ok(call) = &outcome {
                assert_eq!(envelope.method, METHOD);
                assert_eq!(envelope.transaction(), Some(call.transaction.as_str()));
                assert!(call.customer_type.is_none() || call.customer.is_some());
                assert!(
                    call.message
                        .as_ref()
                        .is_none_or(|it| (1..=MESSAGE_MOST).contains(&it.chars().count()))
                );
            }
            let transaction = envelope.transaction().map(str::to_owned);
            (
                Some(envelope.id.clone()),
                transaction,
                outcome.map(|_| Value::Null),
            )
        }
        Err((id, fault)) => {
            assert_eq!(fault.code, Code::InvalidRequest);
            assert!(id.is_none() || id.as_ref() == sent.get("id"));
            (id, None, Err(fault))
        }
    };
    let failed = outcome.is_err();
    let answer = Answer::new(id, transaction.as_deref(), outcome);
    let answer = serde_json::to_value(&answer).expect("an answer has a JSON form");
    assert_eq!(answer.get("jsonrpc").and_then(Value::as_str), Some("2.0"));
    assert_eq!(
        answer.get("error").is_some(),
        failed,
        "an answer has a result or an error"
    );
}

/// What is told of a customer is what was said of the one that was asked for, to the byte.
fn told(answer: &[u8], asked: &CustomerId) {
    let Ok(customer) = Customer::read(answer, asked) else {
        return;
    };
    let text = std::str::from_utf8(answer).expect("what is read is text");
    assert_eq!(
        customer.body.as_str().trim(),
        text.trim(),
        "it is told to the byte"
    );
    let document: Value = serde_json::from_str(text).expect("what is read is JSON");
    assert!(document.is_object());
    assert_eq!(
        document.get("id").and_then(Value::as_str),
        Some(asked.as_str())
    );
    assert_eq!(
        document.get("status").and_then(Value::as_str),
        Some(customer.status.as_str())
    );
    assert!(customer.message.as_ref().is_none_or(|it| !it.is_empty()));
    assert!(
        Snapshot::of(&customer, 3).says(&customer),
        "it is known again"
    );
}
