//! The normalised form in which invoices and charges are reported. Money is in minor units of ISO 4217, times are
//! RFC 3339, and a field that is not here is refused by its name.

use serde::de::{Error, Unexpected};
use serde::{Deserialize, Deserializer};

use crate::event::{Text, Time, text};
use crate::ids::{ChargeKey, ConnectorAccountId, InvoiceId, ProfileId};
use crate::money::Currency;
use crate::recovery::TriggeredBy;

/// What a merchant reports of one invoice.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// The caller's id of the report. Sent again, it is known as the same; it must not be used for another.
    #[serde(deserialize_with = "id")]
    pub(super) id: String,
    /// The business profile of the billing account.
    #[serde(deserialize_with = "profile_id")]
    pub profile_id: ProfileId,
    /// The billing account.
    #[serde(deserialize_with = "connector_account_id")]
    pub connector_account_id: ConnectorAccountId,
    /// The invoice, as the billing platform names it.
    #[serde(deserialize_with = "invoice_id")]
    pub(super) invoice_id: InvoiceId,
    /// What happened to it.
    pub(super) event: Event,
    /// When it happened.
    pub(super) occurred_at: Time,
    /// What the invoice asks for.
    pub(super) amount: i64,
    /// The currency of every amount.
    #[serde(deserialize_with = "currency")]
    pub(super) currency: Currency,
    /// What of it is still to be collected.
    #[serde(default)]
    pub(super) amount_left: Option<i64>,
    /// How many charges were tried so far.
    #[serde(default)]
    pub(super) tries: Option<u32>,
    /// When whoever bills charges next by itself.
    #[serde(default)]
    pub(super) next_try_at: Option<Time>,
    /// The charge that it tells of.
    #[serde(default)]
    pub(super) charge: Option<ChargeReport>,
}

/// What can be reported of an invoice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Event {
    /// A charge failed.
    PaymentFailed,
    /// A charge is under way.
    PaymentPending,
    /// The invoice was collected, by a charge or without one.
    PaymentSucceeded,
    /// The invoice is not to be collected any more.
    InvoiceCancelled,
}

/// One charge of the invoice.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ChargeReport {
    /// The payment service provider's id of the charge.
    #[serde(default, deserialize_with = "charge_key")]
    pub(super) charge_id: Option<ChargeKey>,
    /// The payment service provider's transaction.
    #[serde(default, deserialize_with = "charge_key")]
    pub(super) transaction_id: Option<ChargeKey>,
    /// The billing platform's id of the charge.
    #[serde(default, deserialize_with = "charge_key")]
    pub(super) platform_id: Option<ChargeKey>,
    /// What was charged, if not all that was to be collected.
    #[serde(default)]
    pub(super) amount: Option<i64>,
    /// Whether it is a retry that Payrelay asked for.
    #[serde(default = "external")]
    pub(super) triggered_by: TriggeredBy,
    /// The number of that retry.
    #[serde(default)]
    pub(super) retry: Option<u32>,
    /// When it was made.
    #[serde(default)]
    pub(super) made_at: Option<Time>,
    /// Why it failed.
    #[serde(default)]
    pub(super) error: Option<ErrorReport>,
    /// What was charged.
    #[serde(default)]
    pub(super) instrument: Option<InstrumentReport>,
    /// The gateway that it went through.
    #[serde(default, deserialize_with = "short")]
    pub(super) gateway: Option<String>,
}

/// Why a charge failed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ErrorReport {
    #[serde(deserialize_with = "code")]
    pub(super) code: String,
    #[serde(default)]
    pub(super) message: Option<Text>,
    #[serde(default, deserialize_with = "short")]
    pub(super) reason: Option<String>,
    #[serde(default, deserialize_with = "short")]
    pub(super) network_code: Option<String>,
    #[serde(default, deserialize_with = "short")]
    pub(super) advice_code: Option<String>,
    #[serde(default)]
    pub(super) network_message: Option<Text>,
}

/// What was charged.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct InstrumentReport {
    #[serde(default, deserialize_with = "short")]
    pub(super) token: Option<String>,
    #[serde(default, deserialize_with = "short")]
    pub(super) customer: Option<String>,
    #[serde(default, deserialize_with = "short")]
    pub(super) method: Option<String>,
    #[serde(default)]
    pub(super) card: Option<CardReport>,
}

/// What is known of a card.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CardReport {
    #[serde(default, deserialize_with = "short")]
    pub(super) network: Option<String>,
    #[serde(default, deserialize_with = "short")]
    pub(super) funding: Option<String>,
    #[serde(default, deserialize_with = "last4")]
    pub(super) last4: Option<String>,
    #[serde(default, deserialize_with = "month")]
    pub(super) expiry_month: Option<u8>,
    #[serde(default, deserialize_with = "year")]
    pub(super) expiry_year: Option<u16>,
}

fn external() -> TriggeredBy {
    TriggeredBy::External
}

const FOREIGN: &str = "a string of 1 to 255 bytes without white space or control characters";
const SEGMENT: &str = "a string of 1 to 64 characters of A-Z, a-z, 0-9, `_` and `-`";

fn id<'de, D: Deserializer<'de>>(json: D) -> Result<String, D::Error> {
    let rule = "a string of 1 to 200 bytes without white space or control characters";
    text(json, rule, |text| {
        let plain = !text.chars().any(|c| c.is_whitespace() || c.is_control());
        ((1..=200).contains(&text.len()) && plain).then(|| text.to_owned())
    })
}

fn profile_id<'de, D: Deserializer<'de>>(json: D) -> Result<ProfileId, D::Error> {
    text(json, SEGMENT, |text| ProfileId::parse(text).ok())
}

fn connector_account_id<'de, D: Deserializer<'de>>(
    json: D,
) -> Result<ConnectorAccountId, D::Error> {
    text(json, SEGMENT, |text| ConnectorAccountId::parse(text).ok())
}

fn invoice_id<'de, D: Deserializer<'de>>(json: D) -> Result<InvoiceId, D::Error> {
    text(json, FOREIGN, |text| InvoiceId::parse(text).ok())
}

fn charge_key<'de, D: Deserializer<'de>>(json: D) -> Result<Option<ChargeKey>, D::Error> {
    let read = Option::<Judged<ChargeKey>>::deserialize(json)?;
    Ok(read.map(|Judged(key)| key))
}

fn currency<'de, D: Deserializer<'de>>(json: D) -> Result<Currency, D::Error> {
    text(
        json,
        "an ISO 4217 code of a currency with amounts",
        |text| Currency::parse(text).filter(|currency| currency.exponent().is_some()),
    )
}

fn code<'de, D: Deserializer<'de>>(json: D) -> Result<String, D::Error> {
    let rule = "a string of 1 to 255 characters";
    text(json, rule, |text| {
        (1..=255)
            .contains(&text.chars().count())
            .then(|| text.to_owned())
    })
}

fn short<'de, D: Deserializer<'de>>(json: D) -> Result<Option<String>, D::Error> {
    let read = Option::<Judged<String>>::deserialize(json)?;
    Ok(read.map(|Judged(text)| text))
}

fn last4<'de, D: Deserializer<'de>>(json: D) -> Result<Option<String>, D::Error> {
    let read = Option::<Judged<[u8; 4]>>::deserialize(json)?;
    Ok(read.map(|Judged(digits)| digits.map(char::from).iter().collect()))
}

fn month<'de, D: Deserializer<'de>>(json: D) -> Result<Option<u8>, D::Error> {
    let month = within(json, 1..=12, "a whole number from 1 to 12")?;
    Ok(month.and_then(|month| u8::try_from(month).ok()))
}

fn year<'de, D: Deserializer<'de>>(json: D) -> Result<Option<u16>, D::Error> {
    let year = within(json, 2000..=2999, "a year of four digits, as a number")?;
    Ok(year.and_then(|year| u16::try_from(year).ok()))
}

/// A text that was judged, for fields that may be null.
struct Judged<T>(T);

impl<'de> Deserialize<'de> for Judged<String> {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        code(json).map(Self)
    }
}

impl<'de> Deserialize<'de> for Judged<ChargeKey> {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        text(json, FOREIGN, |text| ChargeKey::parse(text).ok()).map(Self)
    }
}

impl<'de> Deserialize<'de> for Judged<[u8; 4]> {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        text(json, "a string of 4 digits", |text| {
            let digits: [u8; 4] = text.as_bytes().try_into().ok()?;
            digits.iter().all(u8::is_ascii_digit).then_some(digits)
        })
        .map(Self)
    }
}

fn within<'de, D: Deserializer<'de>>(
    json: D,
    range: std::ops::RangeInclusive<u32>,
    rule: &'static str,
) -> Result<Option<u32>, D::Error> {
    let number = Option::<u32>::deserialize(json)?;
    if number.is_none_or(|number| range.contains(&number)) {
        Ok(number)
    } else {
        let other = Unexpected::Other("this number");
        Err(D::Error::invalid_value(other, &rule))
    }
}
