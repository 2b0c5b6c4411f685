//! The one question to a business server: `GET /customer`, within a deadline and a size.

use bytes::Bytes;
use http::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use shared::customer::{BusinessAuth, BusinessServer, Unusable};
use shared::delivery::Failure;
use shared::ids::{CustomerId, CustomerType, TransactionId};
use shared::signature::jwt;
use shared::transport::{Call, Caller};
use url::Url;

use crate::rpc::{Code, Fault};

/// A question may take so long.
pub const DEADLINE: SignedDuration = SignedDuration::from_secs(5);
/// A token for the business server is good for so long.
const TOKEN_LIFE: SignedDuration = SignedDuration::from_secs(30);
/// The longest answer that is taken, in bytes: with what else an event has it must fit into an item of the table.
pub const ANSWER_MOST: usize = 192 * 1024;
/// So much of what the business server says is wrong is told on, in characters.
const TEXT_MOST: usize = 500;

/// Who is asked about.
#[derive(Debug, Clone, Copy, Default)]
pub struct Lookup<'a> {
    /// The customer.
    pub id: Option<&'a CustomerId>,
    /// In which type.
    pub kind: Option<&'a CustomerType>,
    /// For which transaction.
    pub transaction: Option<&'a TransactionId>,
    /// Whose customer, by the account that signed in.
    pub account: Option<&'a str>,
    /// And its memo, where many share an account.
    pub memo: Option<&'a str>,
}

/// Why there is no usable answer. The texts are safe to log: what the business server says of a request that it finds wrong
/// may be about a person, and is told the caller alone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// It finds the question wrong (400, 422).
    #[error("the business server refuses")]
    Refused(String),
    /// It knows no such customer (404).
    #[error("the business server knows no such customer")]
    Unknown,
    /// It answered something else than it should.
    #[error("the business server answered {0}")]
    Status(u16),
    /// There was no answer.
    #[error("the business server could not be asked ({})", .0.as_str())]
    Failed(Failure),
    /// There was no time left to ask it.
    #[error("there was no time left to ask the business server")]
    NoTime,
    /// Its answer is longer than what is taken.
    #[error("the business server's answer is longer than {ANSWER_MOST} bytes")]
    TooLong,
    /// Its answer is no customer, or not the one asked for.
    #[error(transparent)]
    Unusable(#[from] Unusable),
    /// It can't be asked as it is set up.
    #[error("the business server can't be asked as it is set up: {0}")]
    SetUp(&'static str),
}

impl From<Trouble> for Fault {
    fn from(trouble: Trouble) -> Self {
        let code = match trouble {
            Trouble::Refused(_) => Code::InvalidParams,
            Trouble::Unknown
            | Trouble::Status(_)
            | Trouble::Failed(_)
            | Trouble::NoTime
            | Trouble::TooLong
            | Trouble::Unusable(_)
            | Trouble::SetUp(_) => Code::Internal,
        };
        let message = match &trouble {
            Trouble::Refused(text) => format!("{trouble}: {text}"),
            trouble => trouble.to_string(),
        };
        Self::new(code, message)
    }
}

/// Asks `server` about a customer, for at most `left`; its answer as it came.
///
/// # Errors
/// See [`Trouble`].
pub async fn ask(
    caller: &dyn Caller,
    server: &BusinessServer,
    lookup: Lookup<'_>,
    left: SignedDuration,
    now: Timestamp,
) -> Result<Bytes, Trouble> {
    let deadline = left.min(DEADLINE);
    if deadline <= SignedDuration::ZERO {
        return Err(Trouble::NoTime);
    }
    let call = Call {
        method: Method::GET,
        url: url(&server.base_url, lookup).ok_or(Trouble::SetUp("its URL is none"))?,
        headers: headers(&server.auth, now)?,
        body: Bytes::new(),
        deadline,
        most: ANSWER_MOST,
    };
    let answer = caller.call(call).await.map_err(Trouble::Failed)?;
    match answer.status {
        200 if answer.whole => Ok(answer.body),
        200 => Err(Trouble::TooLong),
        400 | 422 => Err(Trouble::Refused(text(&answer.body))),
        404 => Err(Trouble::Unknown),
        status => Err(Trouble::Status(status)),
    }
}

fn url(base: &str, lookup: Lookup<'_>) -> Option<String> {
    let mut url = Url::parse(base).ok()?;
    url.path_segments_mut()
        .ok()?
        .pop_if_empty()
        .push("customer");
    let asked = [
        ("id", lookup.id.map(CustomerId::as_str)),
        ("type", lookup.kind.map(CustomerType::as_str)),
        (
            "transaction_id",
            lookup.transaction.map(TransactionId::as_str),
        ),
        ("account", lookup.account),
        ("memo", lookup.memo),
        ("memo_type", lookup.memo.map(|_| "id")),
    ];
    let given = asked
        .iter()
        .filter_map(|(name, value)| Some((name, (*value)?)));
    url.query_pairs_mut().extend_pairs(given);
    Some(url.into())
}

fn headers(auth: &BusinessAuth, now: Timestamp) -> Result<HeaderMap, Trouble> {
    let json = HeaderValue::from_static("application/json");
    let mut headers = HeaderMap::from_iter([
        (ACCEPT, json.clone()),
        // The Anchor Platform sends it with a GET, and business servers may look for it.
        (CONTENT_TYPE, json),
        (ACCEPT_ENCODING, HeaderValue::from_static("identity")),
        (
            USER_AGENT,
            HeaderValue::from_static(concat!("payrelay/", env!("CARGO_PKG_VERSION"))),
        ),
    ]);
    let secret = |text: &str| {
        let mut value = HeaderValue::from_str(text)
            .map_err(|_| Trouble::SetUp("its key has characters that a header can't have"))?;
        value.set_sensitive(true);
        Ok::<_, Trouble>(value)
    };
    match auth {
        BusinessAuth::None => {}
        BusinessAuth::ApiKey { header, key } => {
            let name = HeaderName::from_bytes(header.as_bytes())
                .map_err(|_| Trouble::SetUp("the name of its key's header is none"))?;
            headers.insert(name, secret(key.expose())?);
        }
        BusinessAuth::Jwt { secret: signs } => {
            let token = jwt::make(signs, now, TOKEN_LIFE)
                .map_err(|_| Trouble::SetUp("its secret signs no token"))?;
            headers.insert(
                AUTHORIZATION,
                secret(&format!("Bearer {}", token.expose()))?,
            );
        }
    }
    Ok(headers)
}

/// What a business server says is wrong: its `error`, in one line.
fn text(body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Wire {
        error: String,
    }
    let said = serde_json::from_slice::<Wire>(body).map(|wire| wire.error);
    let said = said.unwrap_or_else(|_| "it does not say why".to_owned());
    let line = said.chars().map(|c| if c.is_control() { ' ' } else { c });
    line.take(TEXT_MOST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_is_in_the_query_and_escaped() {
        let id = CustomerId::parse("cus&1").expect("a valid id");
        let kind = CustomerType::parse("sep6").expect("a valid type");
        let transaction = TransactionId::parse("tx-1").expect("a valid id");
        let cases = [
            (
                "https://biz.example",
                Lookup {
                    id: Some(&id),
                    kind: Some(&kind),
                    transaction: Some(&transaction),
                    ..Lookup::default()
                },
                "https://biz.example/customer?id=cus%261&type=sep6&transaction_id=tx-1",
            ),
            (
                "https://biz.example/callbacks/",
                Lookup {
                    account: Some("GABC"),
                    memo: Some("7"),
                    ..Lookup::default()
                },
                "https://biz.example/callbacks/customer?account=GABC&memo=7&memo_type=id",
            ),
        ];
        for (base, lookup, want) in cases {
            assert_eq!(url(base, lookup).as_deref(), Some(want));
        }
    }

    #[test]
    fn only_its_own_words_are_told_on_in_one_short_line() {
        let long = format!("{{\"error\":\"{}\"}}", "x".repeat(600));
        let cases = [
            (r#"{"error":"no type\nsep9"}"#, "no type sep9"),
            ("<html>", "it does not say why"),
            (long.as_str(), &"x".repeat(500)),
        ];
        for (body, want) in cases {
            assert_eq!(text(body.as_bytes()), want);
        }
    }
}
