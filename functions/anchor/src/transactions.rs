//! Transactions, as an anchor puts and reads them.

use axum::extract::Request;
use http::header::{IF_MATCH, IF_NONE_MATCH};
use http::{HeaderMap, Response, StatusCode};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use shared::body::receive_json;
use shared::customer::{Customers, Draft, MESSAGE_MOST, OURS, Transaction, TransactionStatus, put};
use shared::delivery::Vetting;
use shared::event::{Sep, read};
use shared::ids::{EndpointId, TransactionId};
use shared::store::{AnchorStep, Read, Saved, Version};
use tracing::info;

use crate::handler::{Anchor, BODY_MOST, Caller};
use crate::reply::{Refusal, in_state};

/// So often a lost race is run again.
const RACES: usize = 6;
/// The longest URL, in bytes.
pub(crate) const URL_MOST: usize = 2048;
/// The longest `details`, in bytes, so that the answers to a batch of calls stay within what a function may answer (6 MB).
const DETAILS_MOST: usize = 64 * 1024;
/// The longest `kind`, in bytes.
const KIND_MOST: usize = 64;

/// A transaction as it is put.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    sep: String,
    kind: String,
    status: String,
    #[serde(default)]
    client: Option<String>,
    #[serde(default)]
    customers: Option<Customers>,
    #[serde(default)]
    message: Option<String>,
    #[serde(default)]
    transfer_received_at: Option<Timestamp>,
    #[serde(default)]
    amounts_known: bool,
    #[serde(default)]
    instructions_known: bool,
    #[serde(default)]
    on_change_callback: Option<String>,
    #[serde(default)]
    details: Map<String, Value>,
}

impl Wire {
    fn draft(self, vetting: &Vetting) -> Result<Draft, Refusal> {
        let bad = |field: &str, rule: &str| Err(Refusal::field(field, rule));
        let seps = [Sep::Sep6, Sep::Sep24, Sep::Sep31];
        let Some(sep) = seps.into_iter().find(|sep| sep.as_str() == self.sep) else {
            return bad("sep", "must be \"6\", \"24\" or \"31\"");
        };
        if self.kind.is_empty() || self.kind.len() > KIND_MOST {
            return bad("kind", "must be 1 to 64 bytes, such as `deposit`");
        }
        let Some(status) = TransactionStatus::parse(&self.status).filter(|it| it.is_of(sep)) else {
            let known: Vec<_> = TransactionStatus::ALL
                .iter()
                .filter(|it| it.is_of(sep))
                .map(|it| it.as_str())
                .collect();
            return bad(
                "status",
                &format!("must be one of {sep}: {}", known.join(", ")),
            );
        };
        let message = self.message.filter(|message| !message.is_empty());
        let length = message.as_ref().map_or(0, |it| it.chars().count());
        if length > MESSAGE_MOST {
            let rule = format!("must have at most {MESSAGE_MOST} characters");
            return bad("message", &rule);
        }
        let client = self.client.map(EndpointId::parse).transpose();
        let Ok(client) = client else {
            return bad("client", "must be the name of a wallet client");
        };
        if let Some(url) = &self.on_change_callback {
            check_url("on_change_callback", url, vetting)?;
        }
        check_details(sep, &self.details)?;
        Ok(Draft {
            sep,
            kind: self.kind,
            status,
            client,
            customers: self.customers.unwrap_or_default(),
            message,
            transfer_received_at: self.transfer_received_at,
            amounts_known: self.amounts_known,
            instructions_known: self.instructions_known,
            on_change_callback: self.on_change_callback,
            details: self.details,
        })
    }
}

/// Whether what the anchor has to add can be told to the letter.
fn check_details(sep: Sep, details: &Map<String, Value>) -> Result<(), Refusal> {
    let bad = |field: String, rule: &str| Err(Refusal::field(&field, rule));
    let message = (sep == Sep::Sep31).then_some("required_info_message");
    let ours = OURS.iter().copied().chain(message);
    if let Some(name) = ours.into_iter().find(|name| details.contains_key(*name)) {
        return bad(
            format!("details.{name}"),
            "is told from what the transaction itself says; leave it out of `details`",
        );
    }
    if let Some((name, _)) = details.iter().find(|(_, value)| !is_exact(value)) {
        return bad(
            format!("details.{name}"),
            "must have no numbers but whole ones of 64 bits; write amounts as strings",
        );
    }
    let size = serde_json::to_string(details).map_or(0, |text| text.len());
    if size > DETAILS_MOST {
        let rule = format!("must have at most {DETAILS_MOST} bytes");
        return bad("details".to_owned(), &rule);
    }
    Ok(())
}

/// Whether every number in it is kept as it was written.
fn is_exact(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.is_i64() || number.is_u64(),
        Value::Array(values) => values.iter().all(is_exact),
        Value::Object(members) => members.values().all(is_exact),
        Value::Null | Value::Bool(_) | Value::String(_) => true,
    }
}

/// Whether a URL that somebody names may be called.
pub(crate) fn check_url(field: &str, url: &str, vetting: &Vetting) -> Result<(), Refusal> {
    if url.len() > URL_MOST {
        let rule = format!("must have at most {URL_MOST} bytes");
        return Err(Refusal::field(field, rule));
    }
    match vetting.url(url) {
        Ok(_) => Ok(()),
        Err(error) => Err(Refusal::field(field, format!("can't be called: {error}"))),
    }
}

/// A transaction as it is shown.
#[derive(Serialize)]
struct View<'a> {
    id: &'a TransactionId,
    sep: Sep,
    kind: &'a str,
    status: TransactionStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<&'a EndpointId>,
    customers: &'a Customers,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    transfer_received_at: Option<Timestamp>,
    amounts_known: bool,
    instructions_known: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    on_change_callback: Option<&'a str>,
    started_at: Timestamp,
    updated_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    completed_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<&'a Map<String, Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    withheld: Option<&'static str>,
}

/// A transaction as its anchor sees it; what may be about a person only where `personal` data may be shown.
#[must_use]
pub fn view(transaction: &Transaction, personal: bool) -> Value {
    let details = Some(&transaction.details).filter(|details| !details.is_empty());
    let withholds = !personal && (details.is_some() || transaction.message.is_some());
    let view = View {
        id: &transaction.id,
        sep: transaction.sep,
        kind: &transaction.kind,
        status: transaction.status,
        client: transaction.client.as_ref(),
        customers: &transaction.customers,
        message: transaction.message.as_deref().filter(|_| personal),
        transfer_received_at: transaction.transfer_received_at,
        amounts_known: transaction.amounts_known,
        instructions_known: transaction.instructions_known,
        on_change_callback: transaction.on_change_callback.as_deref(),
        started_at: transaction.started_at,
        updated_at: transaction.updated_at,
        completed_at: transaction.completed_at,
        details: details.filter(|_| personal),
        withheld: withholds.then_some("personal_data"),
    };
    serde_json::to_value(view).expect("texts, times and JSON values always have a JSON form")
}

/// What state the caller wants the transaction to be in.
enum Wanted {
    Any,
    Absent,
    As(Version),
}

impl Wanted {
    fn read(headers: &HeaderMap) -> Result<Self, Refusal> {
        let text = |name| headers.get(name).map(|it| it.to_str().unwrap_or_default());
        match (text(IF_MATCH), text(IF_NONE_MATCH)) {
            (None, None) => Ok(Self::Any),
            (None, Some("*")) => Ok(Self::Absent),
            (Some(tag), None) => {
                let number = tag.strip_prefix('"').and_then(|it| it.strip_suffix('"'));
                let number = number.and_then(|it| it.parse().ok());
                number
                    .map(|it| Self::As(Version(it)))
                    .ok_or(Refusal::Changed)
            }
            (None, Some(_)) | (Some(_), Some(_)) => Err(Refusal::Changed),
        }
    }

    fn fits(&self, found: Option<Version>) -> bool {
        match self {
            Self::Any => true,
            Self::Absent => found.is_none(),
            Self::As(version) => found == Some(*version),
        }
    }
}

impl Anchor {
    /// Answers a transaction of `tenant`.
    ///
    /// # Errors
    /// See [`Refusal`].
    pub(crate) async fn read(
        &self,
        tenant: &str,
        id: &str,
        headers: &HeaderMap,
    ) -> Result<Response<String>, Refusal> {
        let Caller {
            tenant, personal, ..
        } = self.granted(headers, tenant).await?;
        let not_found = || Refusal::NotFound("transaction");
        let id = TransactionId::parse(id).map_err(|_| not_found())?;
        let found = self.transactions.transaction(&tenant, &id).await?;
        let Read { value, version } = found.ok_or_else(not_found)?;
        Ok(in_state(StatusCode::OK, &view(&value, personal), version))
    }

    /// Puts a transaction of `tenant`, and tells its owner of a status that changed by it.
    ///
    /// # Errors
    /// See [`Refusal`].
    pub(crate) async fn put(
        &self,
        tenant: &str,
        id: &str,
        request: Request,
    ) -> Result<Response<String>, Refusal> {
        let (parts, body) = request.into_parts();
        let caller = self.granted(&parts.headers, tenant).await?;
        let id = TransactionId::parse(id)
            .map_err(|error| Refusal::field("id", format!("in the path: {error}")))?;
        let wanted = Wanted::read(&parts.headers)?;
        let body = receive_json(&parts.headers, body, BODY_MOST).await?;
        let text = std::str::from_utf8(&body)
            .map_err(|_| Refusal::field("body", "is not JSON in UTF-8"))?;
        let draft = read::<Wire>("", text)?.draft(&self.vetting)?;
        for _ in 0..RACES {
            if let Some(answer) = self.try_put(&caller, &id, &draft, &wanted).await? {
                return Ok(answer);
            }
        }
        Err(Refusal::Contended)
    }

    /// Puts a transaction as it stands now; `None` if somebody else wrote first.
    async fn try_put(
        &self,
        caller: &Caller,
        id: &TransactionId,
        draft: &Draft,
        wanted: &Wanted,
    ) -> Result<Option<Response<String>>, Refusal> {
        let Caller {
            tenant, personal, ..
        } = caller;
        let found = self.transactions.transaction(tenant, id).await?;
        let read = found.as_ref().map(|read| read.version);
        if !wanted.fits(read) {
            return Err(Refusal::Changed);
        }
        let known = found.as_ref().map(|read| &read.value);
        if known.is_some_and(|known| known.sep != draft.sep) {
            let rule = "can't be changed: it is another transaction then";
            return Err(Refusal::field("sep", rule));
        }
        let client = match &draft.client {
            None => None,
            Some(name) => {
                let client = self.anchors.client(tenant, name).await?;
                let missing =
                    || Refusal::field("client", "names no wallet client; register it first");
                Some(client.ok_or_else(missing)?.value)
            }
        };
        let now = self.clock.now();
        let change = put(tenant, id, draft.clone(), known, client.as_ref(), now);
        let Some(change) = change else {
            return Ok(known.zip(read).map(|(known, version)| {
                in_state(StatusCode::OK, &view(known, *personal), version)
            }));
        };
        let step = AnchorStep {
            transaction: &change.transaction,
            read,
            snapshot: None,
            registration: None,
            tellings: &change.tellings,
        };
        if !self.can_tell(tenant, &change.tellings).await? {
            return Err(Refusal::NoSigningKey);
        }
        if self.transactions.save_change(tenant, &step, now).await? == Saved::Lost {
            return Ok(None);
        }
        info!(
            tenant = tenant.as_str(),
            transaction = id.as_str(),
            status = change.transaction.status.as_str(),
            told = change.tellings.len(),
            "transaction put"
        );
        self.tell(tenant, &change.tellings).await;
        let (status, version) = match read {
            Some(Version(read)) => (StatusCode::OK, Version(read.saturating_add(1))),
            None => (StatusCode::CREATED, Version(1)),
        };
        let shown = view(&change.transaction, *personal);
        Ok(Some(in_state(status, &shown, version)))
    }
}
