//! The business server's answer to `GET /customer`, which is what wallets are told: checked, and kept to the byte.

use serde::Deserialize;

use super::CustomerStatus;
use crate::event::{Json, unambiguous};
use crate::ids::CustomerId;

/// A customer, as the business server told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Customer {
    /// How it stands.
    pub status: CustomerStatus,
    /// What it is to be told.
    pub message: Option<String>,
    /// All that was told of it, as it came.
    pub body: Json,
}

/// Why an answer can't be used. The texts hold nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// It is no JSON object with texts where SEP-12 has texts, or one that readers may take for different things.
    #[error("the business server's answer is no customer object")]
    NotACustomer,
    /// It tells of another customer, or of none.
    #[error("the business server's answer is of another customer than the one asked for")]
    OtherCustomer,
    /// Its status is missing or none of SEP-12.
    #[error(
        "the business server's answer has no `status` that SEP-12 knows (ACCEPTED, PROCESSING, NEEDS_INFO or REJECTED)"
    )]
    UnknownStatus,
}

#[derive(Deserialize)]
struct Wire {
    id: Option<String>,
    status: Option<String>,
    message: Option<String>,
}

impl Customer {
    /// Reads the answer about the customer that was `asked` for. `null` counts as missing.
    ///
    /// # Errors
    /// See [`Unusable`].
    pub fn read(body: &[u8], asked: &CustomerId) -> Result<Self, Unusable> {
        let text = std::str::from_utf8(body).map_err(|_| Unusable::NotACustomer)?;
        // What is no object would read as one, member by member.
        if !text.trim_start().starts_with('{') {
            return Err(Unusable::NotACustomer);
        }
        let wire: Wire = serde_json::from_str(text).map_err(|_| Unusable::NotACustomer)?;
        unambiguous(text).map_err(|_| Unusable::NotACustomer)?;
        if wire.id.as_deref() != Some(asked.as_str()) {
            return Err(Unusable::OtherCustomer);
        }
        let status = wire.status.as_deref().and_then(CustomerStatus::parse);
        Ok(Self {
            status: status.ok_or(Unusable::UnknownStatus)?,
            message: wire.message.filter(|message| !message.is_empty()),
            body: Json::parse(text.to_owned()).map_err(|_| Unusable::NotACustomer)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_kept_to_the_byte_or_refused_with_the_reason() {
        use Unusable::*;
        let asked = CustomerId::parse("cus_1").expect("a valid id");
        let good =
            r#"{"id":"cus_1","status":"NEEDS_INFO","fields":{"a":{"type":"string"}}, "x":1.50}"#;
        let read = Customer::read(good.as_bytes(), &asked).expect("it is a customer");
        assert_eq!(
            (read.status, read.message),
            (CustomerStatus::NeedsInfo, None)
        );
        assert_eq!(read.body.as_str(), good);
        let cases: [(&[u8], Unusable); 13] = [
            (b"", NotACustomer),
            (b"[\"cus_1\",\"ACCEPTED\",null]", NotACustomer),
            (b"{\"id\":\"cus_1\",\"status\":\"ACCEPTED\"", NotACustomer),
            (
                b"{\"id\":\"cus_1\",\"status\":\"ACCEPTED\"} x",
                NotACustomer,
            ),
            (
                b"{\"id\":\"cus_1\",\"id\":\"cus_2\",\"status\":\"ACCEPTED\"}",
                NotACustomer,
            ),
            (b"{\"id\":\"cus_1\",\"status\":1}", NotACustomer),
            (
                b"{\"id\":\"cus_1\",\"status\":\"ACCEPTED\",\"fields\":{\"a\":1,\"a\":2}}",
                NotACustomer,
            ),
            (
                b"{\"id\":\"cus_1\",\"status\":\"ACCEPTED\",\"more\":5e333}",
                NotACustomer,
            ),
            (
                b"{\"id\":\"cus_\xff\",\"status\":\"ACCEPTED\"}",
                NotACustomer,
            ),
            (b"{\"status\":\"ACCEPTED\"}", OtherCustomer),
            (b"{\"id\":\"cus_2\",\"status\":\"ACCEPTED\"}", OtherCustomer),
            (b"{\"id\":\"cus_1\"}", UnknownStatus),
            (b"{\"id\":\"cus_1\",\"status\":\"accepted\"}", UnknownStatus),
        ];
        for (body, want) in cases {
            let got = Customer::read(body, &asked).err();
            assert_eq!(got, Some(want), "{}", String::from_utf8_lossy(body));
        }
    }
}
