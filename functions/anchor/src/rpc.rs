//! JSON-RPC 2.0 as the Anchor Platform speaks it: calls in an array, or one alone; each is answered, in their order.
//!
//! Source of codes and of `error.id`: the Anchor Platform's `RpcUtil` and `RpcService`.

use serde::Serialize;
use serde_json::{Map, Value};
use shared::customer::{Call, MESSAGE_MOST};
use shared::ids::{CustomerId, CustomerType, TransactionId};

/// So many calls are taken at once.
pub const CALLS_MOST: usize = 40;
/// The one method.
pub const METHOD: &str = "notify_customer_info_updated";

/// Why a call failed, by its code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// It is no call, or the transaction does not take it.
    InvalidRequest,
    /// There is no such method.
    MethodNotFound,
    /// Its parameters are not right.
    InvalidParams,
    /// Something we depend on failed; the same call may succeed later.
    Internal,
}

impl Code {
    /// The number on the wire.
    #[must_use]
    pub fn number(self) -> i32 {
        match self {
            Self::InvalidRequest => -32600,
            Self::MethodNotFound => -32601,
            Self::InvalidParams => -32602,
            Self::Internal => -32603,
        }
    }
}

/// Why a call failed. Its text is for the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// By its code.
    pub code: Code,
    /// What is wrong and what to do.
    pub message: String,
}

impl Fault {
    /// A fault of this code.
    #[must_use]
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }
}

/// What was sent: calls in an array, or one alone, which is answered alone.
#[derive(Debug, Clone, PartialEq)]
pub enum Sent {
    /// An array.
    Several(Vec<Value>),
    /// One object.
    One(Value),
}

/// What was sent is neither an array nor an object of JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the body is no JSON array of calls, nor one call")]
pub struct NotCalls;

impl Sent {
    /// Reads a body.
    ///
    /// # Errors
    /// See [`NotCalls`].
    pub fn read(body: &[u8]) -> Result<Self, NotCalls> {
        match serde_json::from_slice(body) {
            Ok(Value::Array(calls)) => Ok(Self::Several(calls)),
            Ok(call @ Value::Object(_)) => Ok(Self::One(call)),
            Ok(Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) | Err(_) => {
                Err(NotCalls)
            }
        }
    }
}

/// A call with its envelope checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Envelope {
    /// What its sender tells its answer by; it identifies nothing, and is used again.
    pub id: Value,
    /// What is called.
    pub method: String,
    /// With what.
    pub params: Map<String, Value>,
}

impl Envelope {
    /// Checks a call's envelope; all that is wrong with it is in one message.
    ///
    /// # Errors
    /// The fault, and the call's id as far as it has one.
    pub fn read(call: &Value) -> Result<Self, (Option<Value>, Fault)> {
        let invalid = |message: String| Fault::new(Code::InvalidRequest, message);
        let Some(call) = call.as_object() else {
            return Err((None, invalid("a call must be an object".to_owned())));
        };
        let id = call
            .get("id")
            .filter(|id| id.is_string() || id.is_i64() || id.is_u64())
            .cloned();
        let method = call.get("method").and_then(Value::as_str);
        let params = match call.get("params") {
            None => Some(Map::new()),
            Some(params) => params.as_object().cloned(),
        };
        let mut wrong = Vec::new();
        if call.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
            wrong.push("`jsonrpc` must be \"2.0\"");
        }
        if id.is_none() {
            wrong.push("`id` must be a string or a whole number");
        }
        if method.is_none_or(str::is_empty) {
            wrong.push("`method` must be a name");
        }
        if params.is_none() {
            wrong.push("`params` must be an object");
        }
        match (id, method, params) {
            (Some(id), Some(method), Some(params)) if wrong.is_empty() => Ok(Self {
                id,
                method: method.to_owned(),
                params,
            }),
            (id, _, _) => Err((id, invalid(wrong.join("; ")))),
        }
    }

    /// The transaction that the call names, if it names one, for its answer.
    #[must_use]
    pub fn transaction(&self) -> Option<&str> {
        self.params.get("transaction_id").and_then(Value::as_str)
    }

    /// What is called for. Parameters that nobody knows are let pass, as the Anchor Platform does.
    ///
    /// # Errors
    /// See [`Fault`].
    pub fn call(&self) -> Result<Call, Fault> {
        if self.method != METHOD {
            return Err(Fault::new(
                Code::MethodNotFound,
                format!("there is no such method; the one there is is `{METHOD}`"),
            ));
        }
        let invalid = |message: String| Fault::new(Code::InvalidParams, message);
        let text = |name: &'static str| match self.params.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(invalid(format!("`{name}` must be a string"))),
        };
        let transaction = text("transaction_id")?
            .ok_or_else(|| Fault::new(Code::InvalidRequest, "`transaction_id` is missing"))?;
        // What can't be an id is that of no transaction.
        let transaction = TransactionId::parse(transaction).map_err(|_| no_transaction())?;
        let customer = text("customer_id")?.map(CustomerId::parse).transpose();
        let customer = customer.map_err(|error| invalid(format!("`customer_id`: {error}")))?;
        let kind = text("customer_type")?.map(CustomerType::parse).transpose();
        let kind = kind.map_err(|error| invalid(format!("`customer_type`: {error}")))?;
        if kind.is_some() && customer.is_none() {
            let message =
                "`customer_type` needs a `customer_id`; without either no customer is looked up";
            return Err(invalid(message.to_owned()));
        }
        let message = text("message")?.filter(|message| !message.is_empty());
        if message
            .as_ref()
            .is_some_and(|it| it.chars().count() > MESSAGE_MOST)
        {
            let most = format!("`message` must have at most {MESSAGE_MOST} characters");
            return Err(invalid(most));
        }
        Ok(Call {
            transaction,
            message,
            customer,
            customer_type: kind,
        })
    }
}

/// There is no such transaction.
#[must_use]
pub fn no_transaction() -> Fault {
    let message = "there is no transaction of this `transaction_id`; put it first";
    Fault::new(Code::InvalidRequest, message)
}

/// One answer.
#[derive(Debug, Serialize)]
pub struct Answer {
    jsonrpc: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorBody>,
}

#[derive(Debug, Serialize)]
struct ErrorBody {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    code: i32,
    message: String,
}

impl Answer {
    /// The answer to the call `id`, about the `transaction` that it named.
    #[must_use]
    pub fn new(
        id: Option<Value>,
        transaction: Option<&str>,
        outcome: Result<Value, Fault>,
    ) -> Self {
        let (result, error) = match outcome {
            Ok(result) => (Some(result), None),
            Err(fault) => (
                None,
                Some(ErrorBody {
                    id: transaction.map(str::to_owned),
                    code: fault.code.number(),
                    message: fault.message,
                }),
            ),
        };
        Self {
            jsonrpc: "2.0",
            id,
            result,
            error,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(call: &str) -> Result<Envelope, (Option<Value>, Fault)> {
        Envelope::read(&serde_json::from_str(call).expect("valid JSON"))
    }

    #[test]
    fn all_that_is_wrong_with_an_envelope_is_told_at_once() {
        let cases = [
            ("[]", None, "a call must be an object"),
            (
                "{}",
                None,
                "`jsonrpc` must be \"2.0\"; `id` must be a string or a whole number; `method` must be a name",
            ),
            (
                r#"{"jsonrpc":"2.0","id":null,"method":"x","params":[]}"#,
                None,
                "`id` must be a string or a whole number; `params` must be an object",
            ),
            (
                r#"{"jsonrpc":2.0,"id":7,"method":""}"#,
                Some(Value::from(7)),
                "`jsonrpc` must be \"2.0\"; `method` must be a name",
            ),
        ];
        for (call, id, message) in cases {
            let fault = Fault::new(Code::InvalidRequest, message);
            assert_eq!(read(call), Err((id, fault)), "{call}");
        }
    }

    #[test]
    fn parameters_are_checked_by_name_and_unknown_ones_let_pass() {
        let call = |params: &str| {
            let call =
                format!(r#"{{"jsonrpc":"2.0","id":"a","method":"{METHOD}","params":{params}}}"#);
            read(&call).expect("a valid envelope").call()
        };
        let good = call(
            r#"{"transaction_id":"tx-1","customer_id":"c","message":"","status":"x","customer_type":null}"#,
        );
        let id = TransactionId::parse("tx-1").expect("a valid id");
        assert_eq!(
            good,
            Ok(Call {
                transaction: id,
                message: None,
                customer: CustomerId::parse("c").ok(),
                customer_type: None,
            })
        );
        let cases = [
            ("{}", -32600, "`transaction_id` is missing"),
            (
                r#"{"transaction_id":7}"#,
                -32602,
                "`transaction_id` must be a string",
            ),
            (
                r#"{"transaction_id":"a b"}"#,
                -32600,
                "there is no transaction",
            ),
            (
                r#"{"transaction_id":"t","customer_id":1}"#,
                -32602,
                "`customer_id` must be a string",
            ),
            (
                r#"{"transaction_id":"t","customer_id":""}"#,
                -32602,
                "`customer_id`: ",
            ),
            (
                r#"{"transaction_id":"t","customer_type":"sep6"}"#,
                -32602,
                "`customer_type` needs",
            ),
            (
                r#"{"transaction_id":"t","message":[]}"#,
                -32602,
                "`message` must be a string",
            ),
        ];
        for (params, code, message) in cases {
            let fault = call(params).expect_err(params);
            assert_eq!(fault.code.number(), code, "{params}");
            assert!(
                fault.message.starts_with(message),
                "{params}: {}",
                fault.message
            );
        }
        let other = read(r#"{"jsonrpc":"2.0","id":1,"method":"do_stellar_payment"}"#);
        let fault = other
            .expect("a valid envelope")
            .call()
            .expect_err("no such method");
        assert_eq!(fault.code, Code::MethodNotFound);
    }
}
