//! The one table from what stood in the way to status and problem document.

use std::borrow::Cow;
use std::error::Error;
use std::fmt::Display;

use axum::body::Body;
use axum::http::header::WWW_AUTHENTICATE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;

use shared::ids::TenantId;
use shared::problem::{Problem, chain};
use shared::queue::QueueError;
use shared::store::StoreError;

/// What is wrong with an endpoint of which a secret can't be opened, and what to do.
pub(crate) const LOCKED: &str = "A secret of the endpoint can't be opened, so nothing is sent to it. Have the operator \
                                 put back the key that sealed it (`PAYRELAY_SEAL_KEYS`), or PUT the endpoint with new \
                                 `secrets`";

/// What is wrong with a billing account of which a secret can't be opened, and what to do.
pub(crate) const ACCOUNT_LOCKED: &str = "A secret of the billing account can't be opened, so webhooks that it would \
                                         verify are answered 503. Have the operator put back the key that sealed it \
                                         (`PAYRELAY_SEAL_KEYS`), or PUT the account with all its secrets";

/// What is wrong with a message set aside of which the body can't be opened, and what to do.
pub(crate) const MESSAGE_LOCKED: &str = "The body of the message can't be opened, so it can't go back to its queue. Have \
                                         the operator put back the key that sealed it (`PAYRELAY_SEAL_KEYS`); if \
                                         that is lost, DELETE the message";

/// Why a request was not done.
#[derive(Debug)]
pub enum Refusal {
    /// It has no usable `Authorization: Bearer ..`.
    NoKey,
    /// Its key is not known, or was revoked.
    UnknownKey,
    /// Its key does not reach what it asks for; whether that exists is not told.
    Forbidden,
    /// A tenant's key is to change an endpoint of role `operator`.
    OperatorsEndpoint,
    /// A key without the right to personal data is to make one that has it.
    PersonalData,
    /// No route has this path.
    NoSuchPath,
    /// The path has routes, but none for this method.
    MethodNotAllowed,
    /// Another function answers on this path and method, at a URL of its own.
    Elsewhere {
        /// Which.
        function: &'static str,
    },
    /// What the path names is not there.
    NotFound {
        /// What kind of thing.
        noun: &'static str,
        /// What it was called; an id, which is safe to repeat.
        id: String,
    },
    /// The body is not declared as JSON.
    NotJsonType,
    /// The body is longer than is taken.
    BodyTooLong,
    /// The body could not be received to its end.
    BodyCutOff,
    /// The body is no JSON object.
    NotJson {
        /// What is wrong with it, without quoting it.
        problem: String,
    },
    /// A parameter of the path or the query is not right.
    Parameter {
        /// Which.
        name: Cow<'static, str>,
        /// What it must be.
        rule: String,
    },
    /// A field of the body is not right.
    Field {
        /// Its path from the root of the body.
        path: String,
        /// What it must be.
        rule: String,
    },
    /// The pair of ids belongs to another tenant's billing account.
    PairTaken,
    /// An endpoint, or a wallet client, of the tenant has the name.
    NameTaken,
    /// The tenant has a signing key, and another one has to be announced.
    SigningKeyThere,
    /// What is kept as the seed of a signing key is none.
    SeedUnusable,
    /// A newer state than the one to be replayed was delivered.
    Overtaken,
    /// What is to be replayed was erased.
    Erased,
    /// A tenant of this name was deleted, and what was recorded for it is still kept.
    TenantRests {
        /// The name.
        id: TenantId,
        /// From then on it is free.
        until: Timestamp,
    },
    /// Others kept changing what was to be changed.
    Contended,
    /// A secret of the endpoint can't be opened, so it can't be kept either.
    SecretLocked,
    /// The body of a message set aside can't be opened.
    MessageLocked,
    /// The endpoint has as many live secrets as it may.
    SecretsFull,
    /// The event is a decision, which was of use to whoever waited for it.
    Decided,
    /// What is to be done to an intent makes no sense as it stands.
    LeverRefused {
        /// Why.
        why: &'static str,
    },
    /// The latest round of the delivery is not over.
    NotSettled {
        /// Where it stands.
        state: &'static str,
    },
    /// The table did not do what was asked.
    Store(StoreError),
    /// The queue did not take what was sent.
    Queue(QueueError),
}

impl Refusal {
    /// What is wrong with a field of the body.
    pub(crate) fn field(path: impl Into<String>, rule: impl Into<String>) -> Self {
        Self::Field {
            path: path.into(),
            rule: rule.into(),
        }
    }

    /// What is wrong with a parameter.
    pub(crate) fn parameter(name: impl Into<Cow<'static, str>>, rule: impl Into<String>) -> Self {
        Self::Parameter {
            name: name.into(),
            rule: rule.into(),
        }
    }

    /// That something is not there.
    pub(crate) fn not_found(noun: &'static str, id: &dyn Display) -> Self {
        Self::NotFound {
            noun,
            id: id.to_string(),
        }
    }

    fn problem(&self) -> Problem {
        match self {
            Self::NoKey => {
                Problem::unauthorized("Send a key in the header `Authorization: Bearer <key>`.")
            }
            Self::UnknownKey => Problem::unauthorized("This key is not known, or was revoked."),
            Self::Forbidden => Problem::new(
                StatusCode::FORBIDDEN,
                "/problems/forbidden",
                "Not allowed",
                "This key does not reach what the request asks for.",
            ),
            Self::OperatorsEndpoint => Problem::new(
                StatusCode::FORBIDDEN,
                "/problems/operators-endpoint",
                "The operator's endpoint",
                "Endpoints of role `operator` are made, changed and deleted with an operator's key.",
            ),
            Self::PersonalData => Problem::new(
                StatusCode::FORBIDDEN,
                "/problems/personal-data",
                "No right to personal data",
                "A key with `personal_data` is made with an operator's key, or with one that has the right itself.",
            ),
            Self::NoSuchPath => Problem::no_such_path(),
            Self::MethodNotAllowed => Problem::method_not_allowed(),
            Self::Elsewhere { function } => Problem::new(
                StatusCode::MISDIRECTED_REQUEST,
                "/problems/another-door",
                "Another door",
                format!("This is for `{function}`; send it to the function URL of `{function}`."),
            ),
            Self::NotFound { noun, id } => Problem::new(
                StatusCode::NOT_FOUND,
                "/problems/not-found",
                "Not found",
                format!("There is no {noun} `{id}` here."),
            ),
            Self::NotJsonType => Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "/problems/not-json-type",
                "Unsupported media type",
                "Send the body as JSON, with `Content-Type: application/json`.",
            ),
            Self::BodyTooLong => Problem::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "/problems/too-large",
                "Too large",
                "A body may have at most 64 KiB.",
            ),
            Self::BodyCutOff => not_json("it ended before its announced length"),
            Self::NotJson { problem } => not_json(problem),
            Self::Parameter { name, rule } => Problem::new(
                StatusCode::BAD_REQUEST,
                "/problems/invalid-parameter",
                "A parameter is not right",
                format!("`{name}`: {rule}"),
            ),
            Self::Field { path, rule } => Problem::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "/problems/invalid-field",
                "A field of the body is not right",
                format!("`{path}`: {rule}"),
            ),
            Self::PairTaken => Problem::new(
                StatusCode::CONFLICT,
                "/problems/billing-account-taken",
                "Billing account taken",
                "Another tenant has this pair of `profile_id` and `connector_account_id`; choose another one.",
            ),
            Self::TenantRests { id, until } => Problem::new(
                StatusCode::CONFLICT,
                "/problems/tenant-rests",
                "The name rests",
                format!(
                    "A tenant `{id}` was deleted, and what was recorded for it is kept until {until:.3}; make it anew \
                     after that, or choose another name."
                ),
            ),
            Self::NameTaken => Problem::new(
                StatusCode::CONFLICT,
                "/problems/name-taken",
                "The name is taken",
                "Endpoints and wallet clients of a tenant share their names; choose another one.",
            ),
            Self::SigningKeyThere => Problem::new(
                StatusCode::CONFLICT,
                "/problems/signing-key-there",
                "There is a signing key",
                "Wallets know the signing key there is; announce the next one with `POST .../anchor/signing-key/rotate`.",
            ),
            Self::SeedUnusable => internal(),
            Self::Overtaken => Problem::new(
                StatusCode::CONFLICT,
                "/problems/overtaken",
                "A newer state was delivered",
                "The wallet was told a newer state of the same customer or transaction, and must not be told an older one \
                 after it; replay the newest instead.",
            ),
            Self::Erased => Problem::new(
                StatusCode::CONFLICT,
                "/problems/erased",
                "The text was erased",
                "The callback was delivered and its text erased then, as the anchor's `erase_payloads` asks; it can't be \
                 replayed.",
            ),
            Self::Contended => Problem::new(
                StatusCode::CONFLICT,
                "/problems/contended",
                "Changed meanwhile",
                "Others kept changing it at the same time, so nothing was done; look at it, and ask again.",
            ),
            Self::SecretLocked => Problem::new(
                StatusCode::CONFLICT,
                "/problems/secret-locked",
                "A secret can't be opened",
                format!("{LOCKED} to replace all of them."),
            ),
            Self::MessageLocked => Problem::new(
                StatusCode::CONFLICT,
                "/problems/message-locked",
                "A message can't be opened",
                format!("{MESSAGE_LOCKED}."),
            ),
            Self::SecretsFull => Problem::new(
                StatusCode::CONFLICT,
                "/problems/too-many-secrets",
                "Too many live secrets",
                "The endpoint has as many live secrets as it may; wait until older ones have ended, or rotate with \
                 `overlap_s` 0 to end all of them now.",
            ),
            Self::Decided => Problem::new(
                StatusCode::CONFLICT,
                "/problems/decided",
                "Already decided",
                "A decision is asked for once, while somebody waits; it can't be replayed. Ask again at \
                 `incoming-payments/decisions` with another `Idempotency-Key`.",
            ),
            Self::LeverRefused { why } => Problem::new(
                StatusCode::CONFLICT,
                "/problems/lever-refused",
                "Not as the intent stands",
                format!("Nothing was done: {why}."),
            ),
            Self::NotSettled { state } => Problem::new(
                StatusCode::CONFLICT,
                "/problems/delivery-not-settled",
                "Delivery not settled",
                format!("The latest round is {state}; it can be replayed once it is over."),
            ),
            Self::Store(StoreError::Unavailable(_))
            | Self::Queue(QueueError::Unavailable(_) | QueueError::Partly { .. }) => unavailable(),
            Self::Store(StoreError::TooLarge { .. }) => Problem::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "/problems/too-large",
                "Too large",
                "What is to be kept is larger than an item of the table may be.",
            ),
            Self::Store(StoreError::Corrupt { .. }) | Self::Queue(QueueError::TooLarge { .. }) => {
                internal()
            }
        }
    }

    /// Tells the operator what the caller is not told, once and here.
    fn log(&self) {
        match self {
            Self::Store(error @ StoreError::Unavailable(_)) => warn("table", error),
            Self::Queue(error @ (QueueError::Unavailable(_) | QueueError::Partly { .. })) => {
                warn("queue", error)
            }
            Self::Store(error @ (StoreError::Corrupt { .. } | StoreError::TooLarge { .. })) => {
                tracing::error!(error = %error, "the table holds, or was to hold, what it can't");
            }
            Self::SeedUnusable => tracing::error!("what is kept as a signing key is no seed"),
            Self::Queue(error @ QueueError::TooLarge { .. }) => {
                tracing::error!(error = %error, "a message is too long to be sent again");
            }
            Self::NoKey
            | Self::UnknownKey
            | Self::Forbidden
            | Self::OperatorsEndpoint
            | Self::PersonalData
            | Self::NoSuchPath
            | Self::MethodNotAllowed
            | Self::Elsewhere { .. }
            | Self::NotFound { .. }
            | Self::NotJsonType
            | Self::BodyTooLong
            | Self::BodyCutOff
            | Self::NotJson { .. }
            | Self::Parameter { .. }
            | Self::Field { .. }
            | Self::PairTaken
            | Self::NameTaken
            | Self::SigningKeyThere
            | Self::Overtaken
            | Self::Erased
            | Self::TenantRests { .. }
            | Self::Contended
            | Self::SecretLocked
            | Self::MessageLocked
            | Self::SecretsFull
            | Self::Decided
            | Self::LeverRefused { .. }
            | Self::NotSettled { .. } => {}
        }
    }

    /// What RFC 6750 has a 401 say.
    fn challenge(&self) -> Option<HeaderValue> {
        match self {
            Self::NoKey => Some(HeaderValue::from_static(r#"Bearer realm="payrelay""#)),
            Self::UnknownKey => Some(HeaderValue::from_static(
                r#"Bearer realm="payrelay", error="invalid_token""#,
            )),
            _ => None,
        }
    }
}

fn warn(dependency: &'static str, error: &dyn Error) {
    tracing::warn!(
        cause = chain(error),
        "the {dependency} did not do what was asked"
    );
}

fn not_json(problem: &str) -> Problem {
    Problem::new(
        StatusCode::BAD_REQUEST,
        "/problems/not-json",
        "The body is no JSON object",
        format!("The body can't be read: {problem}. Send a JSON object, `{{}}` at least."),
    )
}

fn unavailable() -> Problem {
    Problem {
        detail: "What was asked may or may not have been done; it is safe to ask again after the time in Retry-After."
            .to_owned(),
        ..Problem::unavailable()
    }
}

fn internal() -> Problem {
    Problem::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "/problems/internal",
        "An accident of ours",
        "What is kept can't be used; the log says why.",
    )
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        self.log();
        let mut response = self.problem().response().map(Body::from);
        if let Some(challenge) = self.challenge() {
            response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<QueueError> for Refusal {
    fn from(error: QueueError) -> Self {
        Self::Queue(error)
    }
}
