//! What holds in every run, looked at when it has come to rest.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anyhow::{Result, anyhow};
use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use data_encoding::{BASE32_NOPAD, BASE64};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use shared::delivery::{Delivery, End, State, Try};
use shared::ids::{EventId, TenantId};
use shared::secret::Secret;
use shared::signature::{rafiki, standard};
use shared::store::dynamo::DynamoStore;
use shared::store::{Deliveries, EventRecord, Events};

use crate::acts::Outsiders;
use crate::cluster::Cluster;
use crate::nature::Nature;
use crate::operator::Orders;
use crate::outside::Arrival;
use crate::publish::{Log, Meant, Published};
use crate::stage::{Receiver, Scheme, Stage};

/// A signature is made when its request is, give or take what a process waits between the two.
const FRESH: SignedDuration = SignedDuration::from_secs(5);
/// The operator asks for a replay until the answer arrives: so many rounds may come of it, and no run has needed more.
const REPLAYS_OF_AN_ORDER: usize = 4;

/// Checks every law.
///
/// # Errors
/// If the table can't be read.
pub async fn check(cluster: &Arc<Cluster>, stage: &Stage, outsiders: &Outsiders) -> Result<()> {
    cluster.nature.tell(|| "-- at rest".to_owned());
    let nature = &cluster.nature;
    nature.check("everything settles", cluster.is_settled()?, || {
        cluster.unrest()
    });
    let arrivals = outsiders.check().await?;
    for (url, event) in arrivals.sorted.keys() {
        let known = (tenant_of(stage, url).to_owned(), event.clone());
        nature.check(
            "what arrives was accepted",
            arrivals.known.contains(&known),
            || format!("{known:?}"),
        );
    }
    let shortfall = arrivals.shortfall;
    let most = nature.interruptions() * 10 + nature.counts().faults.values().sum::<u64>();
    nature.check("tries recorded are tries made", shortfall <= most, || {
        format!("{shortfall} tries are not recorded, {most} can be explained")
    });
    for _ in 0..shortfall {
        nature.except("a try was made and not recorded: a fault came between");
    }
    Ok(())
}

/// Checks what became of what payment backends published.
///
/// # Errors
/// If the table can't be read.
pub async fn check_all_published(
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

fn tenant_of<'a>(stage: &'a Stage, url: &str) -> &'a str {
    let receiver = stage.receivers.iter().find(|it| it.url == url);
    receiver.map_or("", |receiver| receiver.tenant)
}

/// What arrived, by URL and event, and what of it is known to have been accepted.
pub struct Arrivals {
    sorted: BTreeMap<(String, String), Vec<Arrival>>,
    known: BTreeSet<(String, String)>,
    /// How many tries were made that are not recorded.
    pub shortfall: u64,
}

impl Arrivals {
    /// Notes that an event of a tenant is a right one.
    pub fn know(&mut self, tenant: &str, event: &str) {
        self.known.insert((tenant.to_owned(), event.to_owned()));
    }

    /// Sorts what arrived, and checks that it arrived where and signed as the operator had it at the time.
    #[must_use]
    pub fn sorted(nature: &Nature, stage: &Stage, orders: &Orders, all: &[Arrival]) -> Self {
        let mut sorted = BTreeMap::<_, Vec<_>>::new();
        for arrival in all {
            nature.count("requests to receivers", 1);
            let fits = |it: &&Receiver| it.url == arrival.url || it.other_url() == arrival.url;
            let receiver = stage.receivers.iter().find(fits);
            let id = receiver.and_then(|receiver| {
                let (urls, secrets) = orders.fit(receiver, arrival.at);
                orders.check_asked(nature, receiver, arrival.at);
                let at_home = urls.contains(&arrival.url);
                let verified = |secret: &String| verified(receiver, secret, arrival);
                at_home.then(|| secrets.iter().find_map(verified))?
            });
            nature.check(
                "each request is for a receiver and signed for it",
                id.is_some(),
                || format!("{} {}", arrival.url, String::from_utf8_lossy(&arrival.body)),
            );
            if let (Some(receiver), Some(id)) = (receiver, id) {
                let key = (receiver.url.clone(), id);
                sorted.entry(key).or_default().push(arrival.clone());
            }
        }
        Self {
            sorted,
            known: BTreeSet::new(),
            shortfall: 0,
        }
    }

    /// The requests that carried an event to a receiver.
    #[must_use]
    pub fn of(&self, receiver: &Receiver, event: &str) -> &[Arrival] {
        let key = (receiver.url.clone(), event.to_owned());
        self.sorted.get(&key).map_or(&[], Vec::as_slice)
    }
}

/// The id of the event that a request carries, if it is signed as its receiver expects and now.
fn verified(receiver: &Receiver, secret: &str, arrival: &Arrival) -> Option<String> {
    let header = |name: &str| arrival.headers.get(name).and_then(|it| it.to_str().ok());
    let secrets = [Secret::new(secret)];
    let body: Value = serde_json::from_slice(&arrival.body).ok()?;
    match receiver.scheme {
        Scheme::Standard => {
            let headers = standard::Headers {
                id: header(standard::ID_HEADER),
                timestamp: header(standard::TIMESTAMP_HEADER),
                signature: header(standard::SIGNATURE_HEADER),
            };
            let id = headers.id?.to_owned();
            let _verified =
                standard::verify(headers, &arrival.body, &secrets, arrival.at, FRESH).ok()?;
            Some(id)
        }
        Scheme::Rafiki => {
            let header = header(rafiki::HEADER);
            let _verified =
                rafiki::verify(header, &arrival.body, &secrets, arrival.at, FRESH).ok()?;
            Some(body.get("id")?.as_str()?.to_owned())
        }
        Scheme::Stellar => {
            let signature = header("signature")?;
            let (at, proof) = signature.strip_prefix("t=")?.split_once(", s=")?;
            let host = arrival.url.strip_prefix("https://")?.split('/').next()?;
            let signed = [at.as_bytes(), b".", host.as_bytes(), b".", &arrival.body].concat();
            // `G`, 32 bytes and a checksum, in base 32.
            let key = BASE32_NOPAD.decode(secret.as_bytes()).ok()?;
            let proof = BASE64.decode(proof.as_bytes()).ok()?;
            let key = UnparsedPublicKey::new(&ED25519, key.get(1..33)?);
            key.verify(&signed, &proof).ok()?;
            let at = Timestamp::from_second(at.parse().ok()?).ok()?;
            let age = arrival.at.duration_since(at);
            let is_fresh = age.abs() <= FRESH && header("x-stellar-signature") == Some(signature);
            is_fresh.then_some(header("webhook-id")?.to_owned())
        }
    }
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

/// How a delivery may end beside being delivered and given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ends {
    /// Not otherwise.
    Usually,
    /// Its receiver may be switched off or deleted meanwhile.
    WhenOff,
    /// After a time it is of no use.
    WithAWindow {
        /// And its receiver may be switched off or deleted meanwhile.
        off: bool,
    },
    /// And what it says may be so no more.
    WithAGuard,
    /// Something newer may have come meanwhile.
    WhenOvertaken,
}

/// Checks what became of one delivery. Answers how many tries were made that are not recorded.
///
/// # Errors
/// If there are more tries than numbers.
pub fn check_delivery(
    nature: &Nature,
    receiver: &Receiver,
    arrivals: &[Arrival],
    delivery: &Delivery,
    name: &str,
    ends: Ends,
) -> Result<u64> {
    let answered = arrivals.iter().any(|it| it.status == Some(200));
    let shown = || {
        format!(
            "{name}: {:?} after {} of {} tries",
            delivery.state,
            delivery.tries.len(),
            arrivals.len()
        )
    };
    match delivery.state {
        State::Delivered => {
            nature.count("deliveries that got through", 1);
            nature.check("what is called delivered was taken", answered, shown);
        }
        State::GivenUp {
            reason: End::EndpointDown,
        } => {
            nature.count("deliveries given up: the endpoint was down", 1);
            let down = receiver.is_dead || !nature.is_fair();
            nature.check("only who is down is given up as down", down, shown);
        }
        State::GivenUp { .. } => {
            nature.count("deliveries given up", 1);
            let tries = delivery.tries.len() > receiver.waits_s.len();
            nature.check(
                "nothing is given up before its tries are over",
                tries,
                shown,
            );
        }
        State::Expired => {
            nature.count("deliveries that expired", 1);
            let has_window = matches!(ends, Ends::WithAWindow { .. } | Ends::WithAGuard);
            nature.check("only what has a window expires", has_window, shown);
        }
        State::Superseded => {
            nature.count("deliveries that were superseded", 1);
            let may = matches!(ends, Ends::WithAGuard | Ends::WhenOvertaken);
            nature.check(
                "only what may be over or overtaken is superseded",
                may,
                shown,
            );
        }
        State::Skipped { .. } => {
            nature.count("deliveries skipped since their receiver was off", 1);
            let may = matches!(ends, Ends::WhenOff | Ends::WithAWindow { off: true });
            nature.check("only what goes to who is off is skipped", may, shown);
        }
        _ => nature.check("nothing ends otherwise", false, shown),
    }
    let (made, recorded) = (arrivals.len(), delivery.tries.len());
    nature.check(
        "no try is recorded that was not made",
        recorded <= made,
        shown,
    );
    nature.check(
        "without faults nothing comes twice",
        !nature.is_fair() || made <= 1,
        shown,
    );
    let taken = arrivals.iter().filter(|it| it.taken).count();
    nature.count("duplicates", u64::try_from(taken.saturating_sub(1))?);
    check_waits(nature, receiver, delivery, arrivals, name);
    Ok(u64::try_from(made.saturating_sub(recorded))?)
}

/// Each try waits for as long as the policy says after the one before it.
fn check_waits(
    nature: &Nature,
    receiver: &Receiver,
    delivery: &Delivery,
    arrivals: &[Arrival],
    name: &str,
) {
    let end = |tried: &Try| tried.at + SignedDuration::from_millis(tried.took_ms.into());
    let first = delivery.tries.first().map(end);
    for (place, pair) in delivery.tries.windows(2).enumerate() {
        let [before, after] = pair else {
            continue;
        };
        let wait = receiver.waits_s.get(place).copied().unwrap_or_default();
        let ended = end(before);
        let waited = after.at.duration_since(ended);
        // What was answered to the try before it, which is not known if that try was recorded by nobody.
        let asked = arrivals
            .iter()
            .rfind(|it| it.at <= ended && it.at >= before.at);
        let wait = wait.max(asked.map_or(0, |it| it.asked_s).into());
        let holds = waited >= SignedDuration::from_secs(wait.into());
        let beside_first = place == 0 || first.is_some_and(|ended| after.at <= ended);
        if !holds && !nature.is_fair() && beside_first {
            // The first try of a message claims nothing, so other copies of the message may try at the same time.
            nature.except("copies of a message made the first try side by side");
            continue;
        }
        nature.check("no retry is earlier than the policy allows", holds, || {
            format!(
                "{name}: try {} came {waited} after the one before it, not {wait} s",
                place + 2
            )
        });
    }
}

impl Cluster {
    /// The store of a copy that runs.
    ///
    /// # Errors
    /// If none does.
    pub fn store(&self) -> Result<Arc<DynamoStore>> {
        self.any_store().ok_or_else(|| anyhow!("no copy runs"))
    }
}
