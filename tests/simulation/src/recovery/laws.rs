//! What holds of every invoice, whatever happened to it: it stands as what was told implies, and nobody was told to charge who
//! must not.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use shared::delivery::State as Ended;
use shared::event::EventType;
use shared::ids::{ConnectorAccountId, EventId, InvoiceId, ProfileId, TenantId};
use shared::recovery::{Intent, IntentKey, Recording, Stage as Retries, State};
use shared::store::dynamo::DynamoStore;
use shared::store::{Deliveries, EventQuery, EventRecord, Events, Intents};
use shared::time::later;

use super::books::{AMOUNT, Account, Books, Card, Charge, Invoice, Kept, Notice, Said};
use crate::cluster::Cluster;
use crate::laws::{Arrivals, Ends, check_delivery};
use crate::nature::Nature;
use crate::stage::{Stage, TENANTS};

/// From the look whether a merchant is still to charge to the request that says so.
const LOOK_TO_REQUEST: SignedDuration = SignedDuration::from_millis(100);

/// Checks what became of all invoices.
///
/// # Errors
/// If the table can't be read.
pub async fn check(
    cluster: &Cluster,
    stage: &Stage,
    arrivals: &mut Arrivals,
    books: &Books,
) -> Result<()> {
    let nature = &cluster.nature;
    let kept = std::mem::take(&mut *books.kept());
    let refused = &kept.refused;
    nature.check("a good notice is not refused", refused.is_empty(), || {
        format!("{refused:?}")
    });
    let invoices: BTreeSet<_> = kept.notices.iter().map(|it| it.invoice.clone()).collect();
    if invoices.is_empty() {
        return Ok(());
    }
    let store = cluster.store()?;
    for tenant in TENANTS {
        let events = Told::read(&store, tenant).await?;
        let law = Law {
            nature,
            kept: &kept,
            events: &events,
        };
        for told in &events {
            arrivals.know(tenant, told.record.event.id.as_str());
            law.check_event(told);
            check_deliveries(nature, &store, stage, arrivals, (tenant, told)).await?;
        }
        for told in events.iter().filter(|told| told.is("retry_due")) {
            law.check_retry(told);
            law.check_card(told);
            law.check_arrivals(stage, arrivals, (tenant, told));
        }
        for invoice in invoices.iter().filter(|it| it.tenant == tenant) {
            let (id, key) = (TenantId::parse(tenant)?, key(invoice)?);
            let intent = store.intent(&id, &key).await?.map(|read| read.value);
            law.check_invoice(invoice, intent.as_ref());
        }
    }
    Ok(())
}

fn key(invoice: &Invoice) -> Result<IntentKey> {
    Ok(IntentKey {
        profile_id: ProfileId::parse(invoice.profile())?,
        connector_account_id: ConnectorAccountId::parse(invoice.account.id())?,
        invoice_id: InvoiceId::parse(invoice.id.as_str())?,
    })
}

/// An event that was made of what was told.
struct Told {
    invoice: Invoice,
    record: EventRecord,
    data: Value,
}

impl Told {
    /// Those of a tenant.
    async fn read(store: &DynamoStore, tenant: &'static str) -> Result<Vec<Self>> {
        let id = TenantId::parse(tenant)?;
        let mut query = EventQuery {
            limit: 100,
            ..EventQuery::default()
        };
        let mut told = Vec::new();
        loop {
            let page = store.events(&id, &query).await?;
            let ours = |it: &EventType| it.as_str().starts_with("recovery.");
            for summary in page.items.iter().filter(|it| ours(&it.event_type)) {
                if let Some(read) = store.event(&id, &summary.id).await? {
                    told.extend(Self::of(tenant, read.value));
                }
            }
            match page.next {
                Some(next) => query.cursor = Some(next),
                None => return Ok(told),
            }
        }
    }

    fn of(tenant: &'static str, record: EventRecord) -> Option<Self> {
        let data: Value = serde_json::from_str(record.event.data.as_str()).ok()?;
        let text = |name: &str| data.get(name).and_then(Value::as_str);
        let account = text("connector_account_id")?;
        Some(Self {
            invoice: Invoice {
                tenant,
                account: Account::ALL.into_iter().find(|it| it.id() == account)?,
                id: text("invoice_id")?.to_owned(),
            },
            record,
            data,
        })
    }

    fn kind(&self) -> &str {
        let name = self.record.event.event_type.as_str();
        name.trim_start_matches("recovery.")
    }

    fn is(&self, kind: &str) -> bool {
        self.kind() == kind
    }

    fn text(&self, name: &str) -> &str {
        self.data.get(name).and_then(Value::as_str).unwrap_or("")
    }

    fn number(&self, name: &str) -> u64 {
        self.data.get(name).and_then(Value::as_u64).unwrap_or(0)
    }

    fn time(&self, name: &str) -> Timestamp {
        self.text(name).parse().unwrap_or(Timestamp::MIN)
    }

    fn is_derived_from(&self, transition: &str) -> bool {
        let name = self.record.event.event_type.as_str();
        TenantId::parse(self.invoice.tenant).is_ok_and(|tenant| {
            EventId::derive(&tenant, &self.invoice.subject(), transition, name)
                == self.record.event.id
        })
    }

    /// Which telling of a retry it is.
    fn times(&self) -> Option<u32> {
        let retry = self.number("retry");
        (1..=20).find(|times| self.is_derived_from(&format!("retry {retry} told {times}")))
    }

    /// When a retry became due that is told for the first time.
    fn due_at(&self) -> Timestamp {
        let window = SignedDuration::from_secs(self.invoice.account.window_s().into());
        later(self.time("deadline"), -window)
    }

    fn shown(&self) -> String {
        format!("{:?} {} {}", self.invoice, self.kind(), self.data)
    }
}

/// What becomes of the deliveries of an event.
async fn check_deliveries(
    nature: &Nature,
    store: &DynamoStore,
    stage: &Stage,
    arrivals: &mut Arrivals,
    (tenant, told): (&'static str, &Told),
) -> Result<()> {
    let id = &told.record.event.id;
    let deliveries = store.deliveries(&TenantId::parse(tenant)?, id).await?;
    for shop in stage.of_role(tenant, "merchant") {
        let of_shop = |it: &&_| -> bool {
            let delivery: &shared::delivery::Delivery = it;
            delivery.key.endpoint.as_str() == shop.endpoint
        };
        let delivery = deliveries.iter().find(of_shop);
        let settled = delivery.is_some_and(|it| it.state.settled());
        nature.check(
            "every event that is made reaches its merchant or ends in a final state",
            settled,
            || format!("{}: {:?}", told.shown(), delivery.map(|it| it.state)),
        );
        let Some(delivery) = delivery else {
            continue;
        };
        let ends = match told.is("retry_due") {
            true => Ends::WithAGuard,
            false => Ends::Usually,
        };
        if delivery.state == Ended::Delivered {
            nature.count("events of recovery that got through", 1);
        }
        let of = arrivals.of(shop, id.as_str());
        let short = check_delivery(nature, shop, of, delivery, &told.shown(), ends)?;
        arrivals.shortfall += short;
    }
    let shops: Vec<_> = stage.of_role(tenant, "merchant").collect();
    let others = deliveries.iter();
    let mut others = others.filter(|it| {
        let name = it.key.endpoint.as_str();
        shops.iter().all(|shop| shop.endpoint != name)
    });
    let other = others.next().map(|it| it.key.endpoint.clone());
    nature.check("nobody else is told", other.is_none(), || {
        format!("{}: {other:?}", told.shown())
    });
    Ok(())
}

/// What the laws of a tenant's invoices look at.
struct Law<'a> {
    nature: &'a Nature,
    kept: &'a Kept,
    events: &'a [Told],
}

impl Law<'_> {
    fn check(&self, law: &'static str, holds: bool, seen: impl FnOnce() -> String) {
        self.nature.check(law, holds, seen);
    }

    fn told_of<'a>(&'a self, invoice: &'a Invoice) -> impl Iterator<Item = &'a Told> {
        self.events.iter().filter(move |it| it.invoice == *invoice)
    }

    fn charge(&self, id: &str) -> Option<&Charge> {
        self.kept.charges.iter().find(|it| it.id == id)
    }

    fn notices<'a>(&'a self, invoice: &'a Invoice) -> impl Iterator<Item = &'a Notice> {
        let of = move |it: &&Notice| it.invoice == *invoice;
        self.kept.notices.iter().filter(of)
    }

    /// An event says what happened, under an id that is derived from it.
    fn check_event(&self, told: &Told) {
        let transition = match told.kind() {
            "payment_failed" | "payment_succeeded" | "payment_pending" => {
                let paid = told.is("payment_succeeded");
                let charge = self.charge(told.text("charge"));
                let fits = |it: &Charge| it.invoice == told.invoice && it.paid == paid;
                self.check(
                    "an event tells of a charge as it was",
                    charge.is_some_and(fits),
                    || told.shown(),
                );
                told.text("charge").to_owned()
            }
            "recovered" => match told.text("charge") {
                "" => "out of band".to_owned(),
                charge => charge.to_owned(),
            },
            "cancelled" => "cancelled".to_owned(),
            "retry_scheduled" => {
                let (retry, at) = (told.number("retry"), told.time("scheduled_at"));
                format!("retry {retry} at {at}")
            }
            "limits_exhausted" => {
                let (reason, tried) = (told.text("reason"), told.number("charges_tried"));
                format!("{reason} after {tried}")
            }
            _ => {
                let (retry, times) = (told.number("retry"), told.times());
                format!("retry {retry} told {}", times.unwrap_or(0))
            }
        };
        self.check(
            "ids of what we make are derived",
            told.is_derived_from(&transition),
            || format!("{}: not of `{transition}`", told.shown()),
        );
        let conflicts = told.record.conflicts;
        self.check("one event per id", conflicts == 0, || {
            format!("{}: {conflicts} conflicts", told.shown())
        });
    }

    /// An invoice stands as what was told implies.
    fn check_invoice(&self, invoice: &Invoice, intent: Option<&Intent>) {
        let Some(intent) = intent else {
            let name = || format!("{invoice:?}");
            return self.check("what was told makes an intent", false, name);
        };
        let paid = self.notices(invoice).filter(|it| it.said != Said::Failed);
        let last = paid.max_by(|one, other| one.order.cmp(&other.order));
        let want = match last.map(|notice| notice.said) {
            Some(Said::Paid) => State::Recovered,
            Some(Said::GivenUp) => State::Cancelled,
            Some(Said::Failed) | None => State::Open,
        };
        let shown = || format!("{invoice:?}: {:?} {:?}", intent.state, intent.retry.stage);
        let name = "an intent is as the charges that were told imply";
        self.check(name, intent.state == want, || {
            format!("{}, not {want:?}", shown())
        });
        let told: BTreeSet<_> = self
            .notices(invoice)
            .filter_map(|it| it.charge.as_deref())
            .collect();
        let known: BTreeSet<_> = intent.attempts.iter().map(|it| it.key().as_str()).collect();
        self.check(
            "the attempts are the charges that were told",
            told == known,
            || format!("{invoice:?}: {known:?}, not {told:?}"),
        );
        let rests = match &intent.retry.stage {
            Retries::Held | Retries::Planned { .. } | Retries::Due(_) => false,
            Retries::Idle
            | Retries::PlatformFirst
            | Retries::Paused
            | Retries::Missed { .. }
            | Retries::Unknown(_)
            | Retries::Ended { .. } => true,
        };
        self.check("retries come to rest", rests, shown);
        let waits = intent.record_back.as_ref();
        let waits = waits.is_some_and(|it| it.state == Recording::Waiting);
        self.check(
            "telling a platform of a success comes to an end",
            !waits,
            shown,
        );
        self.check_events(invoice, &told);
    }

    /// Each charge and each ending was made known, once.
    fn check_events(&self, invoice: &Invoice, charges: &BTreeSet<&str>) {
        let count = |kind: &str, charge: Option<&str>| {
            let of = |it: &&Told| it.is(kind) && charge.is_none_or(|id| it.text("charge") == id);
            self.told_of(invoice).filter(of).count()
        };
        let mut failed = false;
        let mut paid = 0;
        for id in charges {
            let Some(charge) = self.charge(id) else {
                continue;
            };
            let kind = match charge.paid {
                true => "payment_succeeded",
                false => "payment_failed",
            };
            failed |= !charge.paid;
            paid += usize::from(charge.paid);
            let made = count(kind, Some(id));
            self.check(
                "each charge that was told makes one event",
                made == 1,
                || format!("{invoice:?} {id}: {made}"),
            );
        }
        let recovered = count("recovered", None);
        let out_of_band = self.notices(invoice);
        let out_of_band = out_of_band.filter(|it| it.said == Said::Paid && it.charge.is_none());
        let most = paid + usize::from(out_of_band.count() > 0);
        let least = usize::from(paid > 0 && failed);
        let last = self
            .notices(invoice)
            .filter(|it| it.said != Said::Failed)
            .max_by(|one, other| one.order.cmp(&other.order));
        let least = match last.map(|it| it.said) {
            Some(Said::Paid) => least,
            _ => 0,
        };
        self.check(
            "a recovery is told once for each charge that made it",
            (least..=most).contains(&recovered),
            || format!("{invoice:?}: {recovered}, not {least} to {most}"),
        );
    }

    /// The charges of which events were made before `at`, so that whoever decided then knew of them.
    fn known_at<'a>(
        &'a self,
        at: Timestamp,
        of: impl Fn(&Invoice) -> bool + 'a,
    ) -> impl Iterator<Item = &'a Charge> {
        self.events
            .iter()
            .filter(move |it| of(&it.invoice) && it.record.recorded_at < at)
            .filter(|it| it.is("payment_failed") || it.is("payment_succeeded"))
            .filter_map(|it| self.charge(it.text("charge")))
    }

    /// Whether a merchant may be told of this retry, for the sake of its invoice.
    fn check_retry(&self, told: &Told) {
        let (invoice, account) = (&told.invoice, told.invoice.account);
        let retry = told.number("retry");
        let shown = || told.shown();
        self.nature.count("retries told", 1);
        let amount = told.data.get("amount").and_then(Value::as_i64);
        self.check("all that is left is charged", amount == Some(AMOUNT), shown);
        let ladder = account.ladder_s();
        let within = usize::try_from(retry).is_ok_and(|it| (1..=ladder.len()).contains(&it));
        self.check("no more retries than the ladder has steps", within, shown);
        let keys: BTreeSet<_> = self
            .told_of(invoice)
            .filter(|it| it.is("retry_due") && it.number("retry") == retry)
            .map(|it| it.text("idempotency_key").to_owned())
            .collect();
        self.check("a retry has one idempotency key", keys.len() == 1, shown);
        // What is told again was decided on when it was told first.
        if told.times() != Some(1) {
            self.nature.count("retries told again", 1);
            return;
        }
        let at = told.due_at();
        let known: BTreeMap<_, _> = self
            .known_at(at, |it| it == invoice)
            .map(|charge| (charge.id.as_str(), charge))
            .collect();
        let most = account.charges_most();
        self.check("no retry beyond the ceiling", known.len() < most, || {
            format!(
                "{}: {} charges of {most} were known",
                told.shown(),
                known.len()
            )
        });
        let paid = known.values().any(|it| it.paid);
        self.check(
            "no retry is planned for what is known to be paid",
            !paid,
            shown,
        );
        // Of a charge, the earliest word counts.
        let said_at = |id: &str| {
            let of = self.notices(invoice);
            let of = of.filter(|it| it.charge.as_deref() == Some(id));
            of.map(|it| it.order.0).min()
        };
        let failed = known.values().filter(|it| !it.paid);
        let last = failed.filter_map(|it| said_at(&it.id)).max();
        let wait = known.len().checked_sub(1).and_then(|step| ladder.get(step));
        if let (Some(last), Some(wait)) = (last, wait) {
            let earliest = later(last, SignedDuration::from_secs((*wait).into()));
            self.check("no retry is told before its time", at >= earliest, || {
                format!("{}: due at {at}, not {earliest}", told.shown())
            });
        }
    }

    /// Whether a merchant may be told of this retry, for the sake of the card.
    fn check_card(&self, told: &Told) {
        let token = told.text("token");
        let cards = [Card::Mastercard, Card::Visa];
        let card = cards.into_iter().find(|it| it.token() == token);
        let (Some(card), Some(1)) = (card, told.times()) else {
            return;
        };
        let at = told.due_at();
        let day = later(at, -SignedDuration::from_hours(24));
        let failed: BTreeSet<_> = self
            .known_at(at, |_| true)
            .filter(|it| !it.paid)
            .map(|it| it.invoice.clone())
            .collect();
        let tries: BTreeSet<_> = self
            .known_at(at, |it| failed.contains(it))
            .filter(|it| it.card == card && it.at > day && !it.paid)
            .map(|it| it.id.as_str())
            .collect();
        let (tries, most) = (tries.len(), card.tries_most());
        self.check(
            "no card is tried more often than its network takes",
            tries < most,
            || format!("{}: {tries} of {most}", told.shown()),
        );
        if tries + 1 == most {
            self.nature
                .count("cards tried as often as their network takes", 1);
        }
        let others = self.events.iter().filter(|it| {
            it.is("retry_due") && it.invoice != told.invoice && it.text("token") == token
        });
        for other in others.filter(|it| it.times() == Some(1)) {
            let (from, until) = (other.due_at(), other.time("deadline"));
            let retry = other.number("retry");
            let reported = self.kept.reports.iter().any(|(invoice, number, when)| {
                *invoice == other.invoice && *number == retry && *when < at
            });
            // Something else may have settled it: that is looked at by its invoice.
            let settled = self
                .known_at(at, |it| *it == other.invoice)
                .any(|it| it.paid || it.at.as_second() >= from.as_second());
            let free = at <= from || at >= until || reported || settled;
            let ended = self
                .told_of(&other.invoice)
                .any(|it| it.is("cancelled") && it.record.recorded_at < at);
            self.check(
                "one invoice at a time charges a card",
                free || ended,
                || format!("{} while {}", told.shown(), other.shown()),
            );
        }
    }

    /// Whether a merchant was told at a time when that was so.
    fn check_arrivals(&self, stage: &Stage, arrivals: &Arrivals, (tenant, told): (&str, &Told)) {
        let deadline = later(told.time("deadline"), LOOK_TO_REQUEST);
        let ends = self
            .told_of(&told.invoice)
            .filter(|it| it.is("payment_succeeded") || it.is("recovered") || it.is("cancelled"));
        let ended = ends.map(|it| it.record.recorded_at).min();
        let ended = ended.map(|at| later(at, LOOK_TO_REQUEST));
        for shop in stage.of_role(tenant, "merchant") {
            for arrival in arrivals.of(shop, told.record.event.id.as_str()) {
                self.check(
                    "nobody is told to charge after the deadline",
                    arrival.at <= deadline,
                    || format!("{} at {}", told.shown(), arrival.at),
                );
                let in_time = ended.is_none_or(|ended| arrival.at <= ended);
                self.check("nobody is told to charge for what is over", in_time, || {
                    format!("{} at {}, over at {ended:?}", told.shown(), arrival.at)
                });
            }
        }
    }
}
