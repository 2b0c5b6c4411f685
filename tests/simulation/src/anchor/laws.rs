//! What holds of every line: the wallet is told of each change that was made, in its order, of nothing else, and nobody else
//! is.

use anyhow::Result;
use serde_json::Value;
use shared::event::Line;
use shared::ids::{CustomerId, CustomerType, EndpointId, TenantId, TransactionId};
use shared::store::dynamo::DynamoStore;
use shared::store::{Deliveries, Events, Lines};

use super::rules::{client, customer, sep, url_of};
use super::story::{Stories, Story};
use crate::cluster::Cluster;
use crate::laws::{Arrivals, Ends, check_delivery};
use crate::nature::Nature;
use crate::outside::Arrival;
use crate::stage::{Receiver, Stage};

/// Checks what became of all stories.
///
/// # Errors
/// If the table can't be read.
pub async fn check(
    cluster: &Cluster,
    stage: &Stage,
    arrivals: &mut Arrivals,
    stories: &Stories,
) -> Result<()> {
    let stories = {
        let stories = stories.lock();
        let stories = stories.unwrap_or_else(std::sync::PoisonError::into_inner);
        stories.clone()
    };
    if stories.is_empty() {
        return Ok(());
    }
    let store = cluster.store()?;
    for ((tenant, number), story) in stories {
        let story = story.lock().await;
        let (of_customer, of_transaction) = lines(tenant, number, &story)?;
        for told in [of_customer, of_transaction] {
            let law = Law {
                nature: &cluster.nature,
                store: &store,
                stage,
                told,
            };
            law.check(arrivals).await?;
        }
    }
    Ok(())
}

/// What a wallet is to be told of one line.
struct Told {
    tenant: &'static str,
    id: TenantId,
    client: &'static str,
    line: Line,
    url: String,
    /// What each callback says: the whole body, or the status in it.
    says: Vec<String>,
    whole: bool,
}

fn lines(tenant: &'static str, number: usize, story: &Story) -> Result<(Told, Told)> {
    let client = client(number);
    let told = |line, sep, says, whole| {
        anyhow::Ok(Told {
            tenant,
            id: TenantId::parse(tenant)?,
            client,
            line,
            url: url_of(tenant, client, sep),
            says,
            whole,
        })
    };
    let of_customer = Line::Customer {
        client: Some(EndpointId::parse(client)?),
        customer: CustomerId::parse(customer(number))?,
        kind: Some(CustomerType::parse("sep6")?),
    };
    let of_transaction = Line::Transaction {
        id: TransactionId::parse(format!("tx_{number}"))?,
    };
    let statuses = story.of_transaction.iter().map(ToString::to_string);
    Ok((
        told(of_customer, 12, story.of_customer.clone(), true)?,
        told(of_transaction, sep(number), statuses.collect(), false)?,
    ))
}

/// What the laws of a line look at.
struct Law<'a> {
    nature: &'a Nature,
    store: &'a DynamoStore,
    stage: &'a Stage,
    told: Told,
}

impl Law<'_> {
    fn holds(&self, law: &'static str, holds: bool, seen: impl FnOnce() -> String) {
        let told = &self.told;
        self.nature.check(law, holds, || {
            format!(
                "{} {} {:?}: {}",
                told.tenant,
                told.client,
                told.line,
                seen()
            )
        });
    }

    async fn check(&self, arrivals: &mut Arrivals) -> Result<()> {
        let told = &self.told;
        let mut receivers = self.stage.receivers.iter();
        let Some(wallet) = receivers.find(|it| it.url == told.url) else {
            return Ok(());
        };
        let mut came = Vec::new();
        for (number, says) in (1_u64..).zip(&told.says) {
            let id = told.line.event(&told.id, number);
            arrivals.know(told.tenant, id.as_str());
            let of = arrivals.of(wallet, id.as_str());
            came.extend(of.iter().map(|arrival| (number, arrival.clone())));
            self.check_told(number, says).await?;
            let short = self.check_delivery(wallet, of, number).await?;
            arrivals.shortfall += short;
        }
        self.check_order(came);
        let last = u64::try_from(told.says.len())?;
        let more = told.line.event(&told.id, last + 1);
        let more = self.store.event(&told.id, &more).await?;
        self.holds(
            "what came to nothing is told to nobody",
            more.is_none(),
            || {
                let told = more.map(|read| read.value.event.data.as_str().to_owned());
                format!("number {}: {told:?}", last + 1)
            },
        );
        let cursor = self.store.cursor(&told.id, &told.line).await?;
        let settled = cursor.map_or(0, |read| read.value.settled);
        self.holds("each line ends settled", settled == last, || {
            format!("{settled} of {last}")
        });
        Ok(())
    }

    /// A change that was made is recorded for whom it concerns, to the byte.
    async fn check_told(&self, number: u64, says: &str) -> Result<()> {
        let told = &self.told;
        let id = told.line.event(&told.id, number);
        let record = self.store.event(&told.id, &id).await?;
        let record = record.map(|read| read.value);
        let client = record.as_ref().and_then(|it| it.recipients.callback());
        let client = client.map(|it| it.client.as_str().to_owned());
        let data = record.as_ref().map(|it| it.event.data.as_str());
        let said = match (data, told.whole) {
            (Some(data), false) => serde_json::from_str::<Value>(data)?
                .pointer("/transaction/status")
                .and_then(Value::as_str)
                .map(str::to_owned),
            (data, _) => data.map(str::to_owned),
        };
        self.holds(
            "a change that was made is told as it was made",
            said.as_deref() == Some(says),
            || format!("number {number}: {said:?}, not {says}"),
        );
        self.holds(
            "a change is told to whom it concerns",
            client.as_deref() == Some(told.client),
            || format!("number {number}: {client:?}"),
        );
        Ok(())
    }

    async fn check_delivery(&self, wallet: &Receiver, of: &[Arrival], number: u64) -> Result<u64> {
        let told = &self.told;
        let id = told.line.event(&told.id, number);
        let deliveries = self.store.deliveries(&told.id, &id).await?;
        let delivery = deliveries.first();
        let settled = delivery.is_some_and(|it| it.state.settled());
        self.holds(
            "each callback reaches its wallet or ends in a final state",
            settled,
            || format!("number {number}: {:?}", delivery.map(|it| it.state)),
        );
        let ends = match told.client {
            "kiosk" => Ends::WhenOvertaken,
            _ => Ends::Usually,
        };
        let name = format!("{} {:?} {number}", told.tenant, told.line);
        match delivery {
            Some(delivery) => check_delivery(self.nature, wallet, of, delivery, &name, ends),
            None => Ok(0),
        }
    }

    /// What is older never comes after what is newer.
    fn check_order(&self, mut came: Vec<(u64, Arrival)>) {
        came.sort_by_key(|(_, arrival)| arrival.at);
        let mut newest = 0;
        for (number, arrival) in came {
            self.nature.count("callbacks to wallets", 1);
            self.holds(
                "a wallet hears of nothing older after something newer",
                number >= newest,
                || format!("{number} at {}, after {newest}", arrival.at),
            );
            if arrival.taken {
                newest = newest.max(number);
            }
        }
    }
}
