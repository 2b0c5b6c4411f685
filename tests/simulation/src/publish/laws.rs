//! What holds of every event that was published: it reached whom it is for as it was published, each time it was sent there, and
//! nobody else.

use std::collections::BTreeSet;

use anyhow::Result;
use jiff::SignedDuration;
use serde_json::Value;
use shared::delivery::Delivery;
use shared::ids::{EventId, TenantId};
use shared::store::dynamo::DynamoStore;
use shared::store::{Deliveries, EventRecord, Events};

use super::{Log, Meant, Published};
use crate::cluster::Cluster;
use crate::laws::{Arrivals, Ends, check_delivery};
use crate::nature::Nature;
use crate::operator::Orders;
use crate::outside::Arrival;
use crate::stage::{Receiver, Stage};

/// The operator asks for a replay until the answer arrives: so many rounds may come of it, and no run has needed more.
const REPLAYS_OF_AN_ORDER: usize = 4;

/// Checks what became of what payment backends published.
///
/// # Errors
/// If the table can't be read.
pub async fn check(
    cluster: &Cluster,
    stage: &Stage,
    arrivals: &mut Arrivals,
    log: &Log,
    orders: &Orders,
) -> Result<()> {
    let store = cluster.store()?;
    let law = Law {
        nature: &cluster.nature,
        store: &store,
        stage,
        orders,
    };
    for published in log.all() {
        let (tenant, id) = (published.meant.tenant, &published.meant.id);
        arrivals.know(tenant, id);
        let short = law.check_published(arrivals, &published).await?;
        arrivals.shortfall += short;
    }
    Ok(())
}

/// What the laws of what was published look at.
struct Law<'a> {
    nature: &'a Nature,
    store: &'a DynamoStore,
    stage: &'a Stage,
    orders: &'a Orders,
}

impl Law<'_> {
    /// Checks what became of one event. Answers how many tries were made for it that are not recorded.
    async fn check_published(
        &self,
        arrivals: &Arrivals,
        Published {
            meant,
            acknowledged,
            refused,
        }: &Published,
    ) -> Result<u64> {
        let nature = self.nature;
        let name = format!("{} {} {}", meant.tenant, meant.id, meant.event_type);
        nature.check("a good request is not refused", refused.is_none(), || {
            format!("{name}: {refused:?}")
        });
        let (tenant, id) = (
            TenantId::parse(meant.tenant)?,
            EventId::parse(meant.id.as_str())?,
        );
        let record = self.store.event(&tenant, &id).await?.map(|read| read.value);
        nature.check(
            "what was acknowledged is recorded",
            record.is_some() || acknowledged.is_none(),
            || name.clone(),
        );
        let Some(record) = record else {
            return Ok(0);
        };
        let said: Value = serde_json::from_str(record.event.data.as_str())?;
        nature.check(
            "one event per id, as it was published",
            said == meant.data
                && record.event.event_type.as_str() == meant.event_type
                && record.conflicts == 0,
            || format!("{name}: {said}, {} conflicts", record.conflicts),
        );
        let mut deliveries = self.store.deliveries(&tenant, &id).await?;
        deliveries.sort_by_key(|delivery| delivery.key.round);
        let mut shortfall = 0;
        for receiver in self.stage.of_role(meant.tenant, "ase") {
            let of = |it: &&Delivery| it.key.endpoint.as_str() == receiver.endpoint;
            let rounds: Vec<_> = deliveries.iter().filter(of).collect();
            let of = arrivals.of(receiver, &meant.id);
            shortfall += self.check_receiver(receiver, (meant, &record), &rounds, of)?;
        }
        let expected: BTreeSet<_> = self
            .stage
            .of_role(meant.tenant, "ase")
            .map(|it| it.endpoint)
            .collect();
        let others = deliveries
            .iter()
            .find(|it| !expected.contains(it.key.endpoint.as_str()));
        nature.check("nobody else is told", others.is_none(), || {
            format!("{name}: {:?}", others.map(|it| it.key.endpoint.clone()))
        });
        Ok(shortfall)
    }

    /// Checks what became of one event at one receiver, each time it was sent there.
    fn check_receiver(
        &self,
        receiver: &Receiver,
        (meant, record): (&Meant, &EventRecord),
        rounds: &[&Delivery],
        arrivals: &[Arrival],
    ) -> Result<u64> {
        let nature = self.nature;
        let name = format!("{} {} to {}", meant.tenant, meant.id, receiver.endpoint);
        let mut chosen = record.recipients.endpoints();
        if !chosen.any(|it| it.as_str() == receiver.endpoint) {
            let off = self.orders.may_be_off(receiver, record.recorded_at);
            let quiet = rounds.is_empty() && arrivals.is_empty();
            nature.check("only who is off is left out", off && quiet, || {
                format!("{name}: recorded {}", record.recorded_at)
            });
            nature.count("receivers left out since they were off", 1);
            return Ok(0);
        }
        let settled = rounds.last().is_some_and(|it| it.state.settled());
        nature.check(
            "what was acknowledged ends in a final state",
            settled,
            || {
                let states: Vec<_> = rounds.iter().map(|it| it.state).collect();
                format!("{name}: {states:?}")
            },
        );
        let most = 1 + self.orders.replays(receiver, &meant.id) * REPLAYS_OF_AN_ORDER;
        let numbers = rounds.iter().map(|it| it.key.round.number());
        let in_order = numbers.eq((1..).take(rounds.len())) && rounds.len() <= most;
        nature.check(
            "a round begins when it is asked for, after the one before it",
            in_order,
            || format!("{name}: {} rounds of {most}", rounds.len()),
        );
        for arrival in arrivals {
            let body: Value = serde_json::from_slice(&arrival.body)?;
            let told = body.get("data") == Some(&meant.data);
            nature.check("what arrives is what was published", told, || {
                format!("{name}: {body}")
            });
        }
        let ends = match (meant.event_type, self.orders.was_off(receiver)) {
            ("outgoing_payment.created", off) => Ends::WithAWindow { off },
            (_, true) => Ends::WhenOff,
            (_, false) => Ends::Usually,
        };
        let mut shortfall = 0;
        for (round, delivery) in rounds.iter().enumerate() {
            if round > 0 {
                nature.count("replays", 1);
            }
            // What nobody wrote down counts for the first round.
            let was_of = |delivery: &Delivery, arrival: &Arrival| {
                delivery.tries.iter().any(|it| {
                    let ended = it.at + SignedDuration::from_millis(it.took_ms.into());
                    (it.at..=ended).contains(&arrival.at)
                })
            };
            let is_of = |arrival: &&Arrival| {
                let of = rounds.iter().position(|it| was_of(it, arrival));
                of.unwrap_or(0) == round
            };
            let of: Vec<_> = arrivals.iter().filter(is_of).cloned().collect();
            shortfall += check_delivery(nature, receiver, &of, delivery, &name, ends)?;
        }
        Ok(shortfall)
    }
}
