//! A receiver: where its deliveries go, how they are signed, what it wants, how it is retried.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{BreakerPolicy, Outcome, Policy, Verdict};
use crate::event::{EventType, Kind, Role};
use crate::ids::{EndpointId, TenantId};
use crate::secret::Secret;
use crate::signature::stellar::SignedHost;

/// The longest deadline of a try that an endpoint may ask for.
pub const DEADLINE_MOST: SignedDuration = SignedDuration::from_secs(20);

/// How deliveries to an endpoint are written and signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scheme {
    /// As Rafiki sends: `{id, type, data}` and `Rafiki-Signature`; only 200 is success.
    Rafiki,
    /// Standard Webhooks 1.0.0: `{type, timestamp, data}` and `webhook-*` headers; any 2xx is success.
    StandardWebhooks,
    /// As anchors call wallets back (SEP-6, 12, 24 and 31): `data` alone, `Signature` and `X-Stellar-Signature`; any 2xx
    /// is success. It is signed with the tenant's one key, so only wallet clients have it, and no endpoint of the console.
    Stellar,
}

impl Scheme {
    /// Every scheme.
    pub const ALL: [Self; 3] = [Self::Rafiki, Self::StandardWebhooks, Self::Stellar];

    /// Those that an endpoint of the console can have.
    pub const OF_ENDPOINTS: [Self; 2] = [Self::Rafiki, Self::StandardWebhooks];

    /// The wire name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rafiki => "rafiki",
            Self::StandardWebhooks => "standard-webhooks",
            Self::Stellar => "stellar",
        }
    }

    /// The deadline of a try where the endpoint names none: Rafiki's `WEBHOOK_TIMEOUT`, else 15 s.
    #[must_use]
    pub fn deadline(self) -> SignedDuration {
        match self {
            Self::Rafiki => SignedDuration::from_secs(2),
            Self::StandardWebhooks | Self::Stellar => SignedDuration::from_secs(15),
        }
    }

    /// What an outcome means to a receiver of this scheme.
    #[must_use]
    pub fn judge(self, outcome: &Outcome) -> Verdict {
        match (self, outcome) {
            (Self::Rafiki, Outcome::Answered { status: 200, .. })
            | (
                Self::StandardWebhooks | Self::Stellar,
                Outcome::Answered {
                    status: 200..=299, ..
                },
            ) => Verdict::Delivered,
            (Self::StandardWebhooks | Self::Stellar, Outcome::Answered { status: 410, .. }) => {
                Verdict::Gone
            }
            (_, Outcome::Answered { .. } | Outcome::Failed(_)) => Verdict::Failed,
        }
    }

    /// Whether a receiver that is [`Verdict::Gone`] wants nothing at all any more. A wallet may mean one customer or
    /// transaction, since their callbacks have URLs of their own.
    #[must_use]
    pub fn gone_ends_all(self) -> bool {
        match self {
            Self::StandardWebhooks => true,
            Self::Rafiki | Self::Stellar => false,
        }
    }
}

/// A signing secret and how long it still signs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveSecret {
    /// The secret.
    pub secret: Secret,
    /// It signs until then; `None` for the current one.
    pub until: Option<Timestamp>,
}

/// Whether an endpoint takes deliveries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndpointState {
    /// It does.
    #[default]
    Enabled,
    /// The operator switched it off.
    Disabled,
    /// It answered 410 Gone, which its scheme takes as a wish to be left alone.
    Gone,
}

impl EndpointState {
    /// The wire name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Enabled => "enabled",
            Self::Disabled => "disabled",
            Self::Gone => "gone",
        }
    }
}

/// Which event types an endpoint wants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct Filter(Vec<String>);

/// A filter entry that names no type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "each entry must be an event type, a prefix such as `recovery.*`, or `*`, and there must be 1 to 100"
)]
pub struct FilterError;

impl Filter {
    /// A filter of types (`recovery.recovered`), prefixes (`recovery.*`) and `*`.
    ///
    /// # Errors
    /// [`FilterError`] for anything else.
    pub fn parse(entries: Vec<String>) -> Result<Self, FilterError> {
        let names =
            |entry: &String| EventType::parse(entry.strip_suffix(".*").unwrap_or(entry)).is_ok();
        let fits = (1..=100).contains(&entries.len())
            && entries.iter().all(|entry| entry == "*" || names(entry));
        if fits {
            Ok(Self(entries))
        } else {
            Err(FilterError)
        }
    }

    /// Whether `event_type` passes.
    #[must_use]
    pub fn wants(&self, event_type: &EventType) -> bool {
        self.0.iter().any(|entry| match entry.strip_suffix(".*") {
            Some(prefix) => event_type
                .as_str()
                .strip_prefix(prefix)
                .is_some_and(|rest| rest.starts_with('.')),
            None => entry == "*" || entry == event_type.as_str(),
        })
    }
}

impl TryFrom<Vec<String>> for Filter {
    type Error = FilterError;
    fn try_from(entries: Vec<String>) -> Result<Self, FilterError> {
        Self::parse(entries)
    }
}

impl From<Filter> for Vec<String> {
    fn from(filter: Filter) -> Self {
        filter.0
    }
}

/// A receiver of deliveries, with its secrets open for use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Whose it is.
    pub tenant: TenantId,
    /// Its name.
    pub id: EndpointId,
    /// Where deliveries are posted; judged by [`super::Vetting`] at every try.
    pub url: String,
    /// What it is to the tenant.
    pub role: Role,
    /// How deliveries are written and signed.
    pub scheme: Scheme,
    /// The signing secrets, current one first.
    pub secrets: Vec<LiveSecret>,
    /// Of each further secret, which is kept but can't be opened, until when it signs (`None`: it is a current one).
    pub locked: Vec<Option<Timestamp>>,
    /// Which types it wants; `None` wants every type of the catalogue.
    pub filter: Option<Filter>,
    /// How failed tries are followed up.
    pub policy: Policy,
    /// When failed tries have it left alone for a while.
    pub breaker: BreakerPolicy,
    /// The deadline of a try, from name resolution to the last byte.
    pub deadline: SignedDuration,
    /// How long after it happened an event is still worth a retry; `None` leaves it to the event's type.
    pub useful_for: Option<SignedDuration>,
    /// Which form of its host is signed, where its scheme signs the host.
    pub signed_host: SignedHost,
    /// Where it is asked to decide on incoming payments, if it is; judged as `url` is.
    pub decision_url: Option<String>,
    /// Whether it takes deliveries.
    pub state: EndpointState,
}

impl Endpoint {
    /// Whether it wants events of this type. A type that is not in the catalogue has to be asked for.
    #[must_use]
    pub fn wants(&self, event_type: &EventType) -> bool {
        match &self.filter {
            Some(filter) => filter.wants(event_type),
            None => Kind::of(event_type).is_some(),
        }
    }

    /// Whether a secret that should sign at `now` can't be opened. Signing with the others alone may be signing with none
    /// that the receiver knows, so nothing is sent then.
    #[must_use]
    pub fn is_locked(&self, now: Timestamp) -> bool {
        self.locked
            .iter()
            .any(|until| until.is_none_or(|until| now < until))
    }

    /// The secrets that sign at `now`, current one first.
    pub fn live_secrets(&self, now: Timestamp) -> impl DoubleEndedIterator<Item = &Secret> {
        self.secrets
            .iter()
            .filter(move |live| live.until.is_none_or(|until| now < until))
            .map(|live| &live.secret)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn success_is_exactly_200_for_rafiki_and_any_2xx_otherwise() {
        use Scheme::*;
        let cases = [
            (Rafiki, 200, Verdict::Delivered),
            (Rafiki, 201, Verdict::Failed),
            (Rafiki, 204, Verdict::Failed),
            (Rafiki, 410, Verdict::Failed),
            (StandardWebhooks, 200, Verdict::Delivered),
            (StandardWebhooks, 204, Verdict::Delivered),
            (StandardWebhooks, 299, Verdict::Delivered),
            (StandardWebhooks, 301, Verdict::Failed),
            (StandardWebhooks, 308, Verdict::Failed),
            (StandardWebhooks, 410, Verdict::Gone),
            (StandardWebhooks, 429, Verdict::Failed),
            (StandardWebhooks, 500, Verdict::Failed),
            (Stellar, 200, Verdict::Delivered),
            (Stellar, 204, Verdict::Delivered),
            (Stellar, 302, Verdict::Failed),
            (Stellar, 400, Verdict::Failed),
            (Stellar, 410, Verdict::Gone),
        ];
        for (scheme, status, want) in cases {
            assert_eq!(
                scheme.judge(&Outcome::answered(status)),
                want,
                "{scheme:?} {status}"
            );
        }
    }

    #[test]
    fn only_standard_webhooks_takes_a_410_for_a_wish_to_be_left_alone() {
        let ends = Scheme::ALL.map(|scheme| (scheme, scheme.gone_ends_all()));
        let want = [
            (Scheme::Rafiki, false),
            (Scheme::StandardWebhooks, true),
            (Scheme::Stellar, false),
        ];
        assert_eq!(ends, want);
    }

    #[test]
    fn a_filter_takes_names_prefixes_and_the_star() {
        let filter =
            |entries: &[&str]| Filter::parse(entries.iter().map(|e| (*e).to_owned()).collect());
        let wants = |entries: &[&str], event_type: &str| {
            filter(entries)
                .expect("a valid filter")
                .wants(&EventType::parse(event_type).expect("a valid type"))
        };
        let cases: [(&[&str], &str, bool); 8] = [
            (&["recovery.recovered"], "recovery.recovered", true),
            (&["recovery.recovered"], "recovery.cancelled", false),
            (&["recovery.*"], "recovery.cancelled", true),
            (&["recovery.*"], "recovery", false),
            (&["recovery.*"], "recoveryx.cancelled", false),
            (&["*"], "anything.at_all", true),
            (&["a", "recovery.*"], "recovery.cancelled", true),
            (&["recovery"], "recovery.cancelled", false),
        ];
        for (entries, event_type, want) in cases {
            assert_eq!(wants(entries, event_type), want, "{entries:?} {event_type}");
        }
        for bad in [&[][..], &[""], &["a b"], &["re*"], &["**"]] {
            assert_eq!(filter(bad), Err(FilterError), "{bad:?}");
        }
    }

    #[test]
    fn schemes_and_states_have_one_name_wherever_they_are_written() {
        let written = |json: serde_json::Result<String>| json.ok();
        let schemes = [
            (Scheme::Rafiki, "rafiki", 2),
            (Scheme::StandardWebhooks, "standard-webhooks", 15),
            (Scheme::Stellar, "stellar", 15),
        ];
        assert_eq!(schemes.map(|(scheme, _, _)| scheme), Scheme::ALL);
        for (scheme, name, deadline_s) in schemes {
            assert_eq!(scheme.as_str(), name);
            let json = written(serde_json::to_string(&scheme));
            assert_eq!(json, Some(format!("\"{name}\"")));
            assert_eq!(scheme.deadline(), SignedDuration::from_secs(deadline_s));
        }
        let states = [
            (EndpointState::Enabled, "enabled"),
            (EndpointState::Disabled, "disabled"),
            (EndpointState::Gone, "gone"),
        ];
        for (state, name) in states {
            assert_eq!(state.as_str(), name);
            let json = written(serde_json::to_string(&state));
            assert_eq!(json, Some(format!("\"{name}\"")));
        }
    }

    #[test]
    fn a_filter_comes_back_from_its_entries_and_without_one_the_catalogue_decides() {
        let entries = vec!["recovery.*".to_owned(), "other.thing".to_owned()];
        let filter = Filter::parse(entries.clone()).expect("a valid filter");
        assert_eq!(Vec::from(filter.clone()), entries);
        let with = |filter: Option<&Filter>| Endpoint {
            tenant: TenantId::parse("acme").expect("a valid id"),
            id: EndpointId::parse("shop").expect("a valid id"),
            url: "https://shop.example/hook".into(),
            role: Role::Merchant,
            scheme: Scheme::StandardWebhooks,
            secrets: Vec::new(),
            locked: Vec::new(),
            filter: filter.cloned(),
            policy: Policy::default_for(Scheme::StandardWebhooks),
            breaker: BreakerPolicy::default(),
            deadline: SignedDuration::from_secs(15),
            useful_for: None,
            signed_host: SignedHost::AsSent,
            decision_url: None,
            state: EndpointState::Enabled,
        };
        let cases = [
            (Some(&filter), "recovery.recovered", true),
            (Some(&filter), "other.thing", true),
            (Some(&filter), "incoming_payment.completed", false),
            (None, "recovery.recovered", true),
            (None, "other.thing", false),
        ];
        for (filter, event_type, want) in cases {
            let parsed = EventType::parse(event_type).expect("a valid type");
            assert_eq!(with(filter).wants(&parsed), want, "{filter:?} {event_type}");
        }
    }
}
