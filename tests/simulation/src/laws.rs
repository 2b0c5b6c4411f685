//! What holds in every run, looked at when it has come to rest.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anyhow::{Result, anyhow};
use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use data_encoding::{BASE32_NOPAD, BASE64};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use shared::delivery::{Delivery, End, State, Try};
use shared::secret::Secret;
use shared::signature::{rafiki, standard};
use shared::store::dynamo::DynamoStore;

use crate::acts::Outsiders;
use crate::cluster::Cluster;
use crate::nature::Nature;
use crate::operator::Orders;
use crate::outside::Arrival;
use crate::stage::{Receiver, Scheme, Stage};

/// A signature is made when its request is, give or take what a process waits between the two.
const FRESH: SignedDuration = SignedDuration::from_secs(5);

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

/// A function that tries ends after so long at most.
const FUNCTION_MOST: SignedDuration = SignedDuration::from_secs(30);

/// Each try waits for as long as the policy says after the one before it, and for as long as the receiver asked before.
fn check_waits(
    nature: &Nature,
    receiver: &Receiver,
    delivery: &Delivery,
    arrivals: &[Arrival],
    name: &str,
) {
    let end = |tried: &Try| tried.at + SignedDuration::from_millis(tried.took_ms.into());
    let secs = |secs: u32| SignedDuration::from_secs(secs.into());
    let asked = |tried: &Try| end(tried) + secs(asked_by_answer(tried, end(tried), arrivals));
    let first = delivery.tries.first().map(end);
    for (place, pair) in delivery.tries.windows(2).enumerate() {
        let [before, after] = pair else {
            continue;
        };
        let wait = receiver.waits_s.get(place).copied().unwrap_or_default();
        let known = delivery.tries.iter().take(place + 1);
        let known = known.filter(|tried| end(tried) <= after.at);
        let earliest = known.map(asked).fold(end(before) + secs(wait), Ord::max);
        let holds = after.at >= earliest;
        // The first try of a message claims nothing, so other copies of the message may try until it is recorded.
        let recorded = if place == 0 {
            FUNCTION_MOST
        } else {
            SignedDuration::ZERO
        };
        let beside_first = first.is_some_and(|ended| after.at <= ended + recorded);
        if !holds && !nature.is_fair() && beside_first {
            nature.except("copies of a message made the first try side by side");
            continue;
        }
        nature.check("no retry is earlier than the policy allows", holds, || {
            let number = place + 2;
            format!("{name}: try {number} came at {}, not {earliest}", after.at)
        });
    }
}

/// How long the answer to a try asked to wait, in seconds. Copies of a message may try at the same time: it is theirs by its
/// status.
fn asked_by_answer(tried: &Try, ended: Timestamp, arrivals: &[Arrival]) -> u32 {
    let during = arrivals
        .iter()
        .filter(|it| (tried.at..=ended).contains(&it.at));
    let answered = during.rev().find(|it| it.status == tried.status);
    answered.map_or(0, |it| it.asked_s.into())
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
