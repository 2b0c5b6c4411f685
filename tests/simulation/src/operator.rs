//! The operator, who changes receivers in the middle of it all: has them called elsewhere, signs for them with another secret,
//! switches them off and on, holds what is for them, deletes them, and has what was settled sent once more.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use shared::time::later;

use crate::chance::Chance;
use crate::cluster::Cluster;
use crate::nature::{Nature, pass};
use crate::publish;
use crate::stage::{Receiver, Scheme, Stage, TENANTS};
use crate::table::ITEM_LAG;

/// What a worker read before a change it may go by until its function ends: what the table shows may be some seconds old, and
/// what the cache does 10 s more, and the function is a minute at work.
const KNOWN_WITHIN: SignedDuration = SignedDuration::from_secs(70).saturating_add(ITEM_LAG);

/// So often it is asked for a replay that can't be had yet.
const ASKED_MOST: u32 = 5;

/// What the operator does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// Has a receiver called at its other URL.
    Moves,
    /// Replaces its secret at once.
    Rotates,
    /// Switches it off, and on again.
    SwitchesOff,
    /// Deletes it.
    Deletes,
    /// Opens its breaker, and closes it again.
    Holds,
    /// Has an event sent to it once more.
    Replays(String),
}

/// Something that the operator does to a receiver.
#[derive(Debug, Clone)]
pub struct Order {
    /// Whose receiver it is.
    pub tenant: &'static str,
    /// The receiver.
    pub endpoint: &'static str,
    /// What is done.
    pub what: What,
    /// How long after the beginning, in milliseconds.
    pub after_ms: u64,
    /// How long it lasts, if it is undone, in milliseconds.
    pub for_ms: u64,
}

/// From the first time that the operator asked for a change until it was answered that it is made.
#[derive(Debug, Clone, Copy)]
struct Change {
    began: Timestamp,
    done: Option<Timestamp>,
}

/// An order and what became of it.
#[derive(Debug, Clone)]
struct Noted {
    order: Order,
    made: Change,
    undone: Option<Change>,
}

impl Noted {
    /// Whether what holds while the order does may be so at this time.
    fn may_hold(&self, at: Timestamp) -> bool {
        let over = self.undone.and_then(|undone| undone.done);
        self.made.began <= at && over.is_none_or(|over| at <= later(over, KNOWN_WITHIN))
    }

    /// Whether it must be.
    fn must_hold(&self, at: Timestamp) -> bool {
        let over = self.undone.map(|undone| undone.began);
        let known = self.made.done.map(|done| later(done, KNOWN_WITHIN));
        known.is_some_and(|known| known < at) && over.is_none_or(|over| at < over)
    }
}

/// What the operator did.
#[derive(Default)]
pub struct Orders(Mutex<Vec<Noted>>);

impl Orders {
    fn note(&self, noted: Noted) -> usize {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(noted);
        all.len() - 1
    }

    fn replace(&self, place: usize, noted: Noted) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(it) = all.get_mut(place) {
            *it = noted;
        }
    }

    /// Those for a receiver, replays left out: it has one at most.
    fn of(&self, receiver: &Receiver) -> Option<Noted> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = all.iter().find(|Noted { order, .. }| {
            (order.tenant, order.endpoint) == (receiver.tenant, receiver.endpoint)
                && !matches!(order.what, What::Replays(_))
        });
        found.cloned()
    }

    fn of_kind(&self, receiver: &Receiver, what: &[What]) -> Option<Noted> {
        self.of(receiver)
            .filter(|noted| what.contains(&noted.order.what))
    }

    /// Whether a receiver may have taken no deliveries at this time: it was switched off or deleted.
    pub fn may_be_off(&self, receiver: &Receiver, at: Timestamp) -> bool {
        let off = self.of_kind(receiver, &[What::SwitchesOff, What::Deletes]);
        off.is_some_and(|noted| noted.may_hold(at))
    }

    /// Whether it was switched off or deleted at any time.
    pub fn was_off(&self, receiver: &Receiver) -> bool {
        self.of_kind(receiver, &[What::SwitchesOff, What::Deletes])
            .is_some()
    }

    /// Which of these URLs and secrets fit a request to the receiver at this time.
    pub fn fit(&self, receiver: &Receiver, at: Timestamp) -> (Vec<String>, Vec<String>) {
        let choose = |what, old: &str, new: String| {
            let moved = self.of_kind(receiver, &[what]);
            let (may, must) = moved.map_or((false, false), |noted| {
                (noted.may_hold(at), noted.must_hold(at))
            });
            let old = (!must).then(|| old.to_owned());
            old.into_iter().chain(may.then_some(new)).collect()
        };
        let urls = choose(What::Moves, &receiver.url, receiver.other_url());
        let secrets = choose(What::Rotates, &receiver.secret, receiver.other_secret());
        (urls, secrets)
    }

    /// How often it was asked that an event be sent to a receiver once more.
    pub fn replays(&self, receiver: &Receiver, event: &str) -> usize {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of = |Noted { order, .. }: &&Noted| {
            (order.tenant, order.endpoint) == (receiver.tenant, receiver.endpoint)
                && order.what == What::Replays(event.to_owned())
        };
        all.iter().filter(of).count()
    }

    /// Nobody is asked who is switched off, deleted or held.
    pub fn check_asked(&self, nature: &Nature, receiver: &Receiver, at: Timestamp) {
        let quiet = self.of_kind(receiver, &[What::SwitchesOff, What::Deletes, What::Holds]);
        let quiet = quiet.filter(|noted| noted.must_hold(at));
        nature.check(
            "nobody is asked who is switched off, deleted or held",
            quiet.is_none(),
            || format!("{} at {at}: {quiet:?}", receiver.url),
        );
    }
}

/// What the operator of a run does: something to half of the receivers of what is published, and now and then a replay.
#[must_use]
pub fn plan(seed: u64, published: &[publish::Meant], calm_ms: u64) -> Vec<Order> {
    let chance = Chance::new(seed, 9);
    let mut orders = Vec::new();
    if chance.percent(50) {
        return orders;
    }
    for tenant in TENANTS {
        let ours = published.iter().filter(|meant| meant.tenant == tenant);
        let ours: Vec<_> = ours.collect();
        for endpoint in ["bank", "ledger"].into_iter().filter(|_| !ours.is_empty()) {
            let kinds = [
                What::Moves,
                What::Rotates,
                What::SwitchesOff,
                What::Deletes,
                What::Holds,
            ];
            let order = |what, after_ms| Order {
                tenant,
                endpoint,
                what,
                after_ms,
                for_ms: chance.between(0, calm_ms / 2),
            };
            if let (true, Some(what)) = (chance.percent(50), chance.pick(&kinds)) {
                orders.push(order(what.clone(), chance.between(0, calm_ms / 2)));
            }
            if let (true, Some(meant)) = (chance.percent(30), chance.pick(&ours)) {
                let what = What::Replays(meant.id.clone());
                orders.push(order(what, chance.between(meant.after_ms, calm_ms)));
            }
        }
    }
    orders
}

/// What the operator of a run does to receivers of other things: holds some for a while.
#[must_use]
pub fn holds(seed: u64, endpoints: &[&'static str], calm_ms: u64) -> Vec<Order> {
    let chance = Chance::new(seed, 10);
    let mut orders = Vec::new();
    for tenant in TENANTS {
        for endpoint in endpoints {
            if chance.percent(15) {
                orders.push(Order {
                    tenant,
                    endpoint,
                    what: What::Holds,
                    after_ms: chance.between(0, calm_ms / 2),
                    for_ms: chance.between(0, calm_ms / 2),
                });
            }
        }
    }
    orders
}

/// Carries out an order; every call is made until it is known to be done.
pub async fn carry_out(
    cluster: Arc<Cluster>,
    stage: Arc<Stage>,
    orders: Arc<Orders>,
    order: Order,
) {
    pass(Duration::from_millis(order.after_ms)).await;
    let is_it = |it: &&Receiver| (it.tenant, it.endpoint) == (order.tenant, order.endpoint);
    let Some(receiver) = stage.receivers.iter().find(is_it) else {
        return;
    };
    let kind = match receiver.scheme {
        Scheme::Stellar => "clients",
        Scheme::Rafiki | Scheme::Standard => "endpoints",
    };
    let path = format!("/v1/tenants/{}/{kind}/{}", order.tenant, order.endpoint);
    let breaker = format!("{path}/breaker");
    let settings = |change: Value| {
        let mut settings = receiver.settings();
        if let (Some(settings), Value::Object(change)) = (settings.as_object_mut(), change) {
            settings.extend(change);
        }
        settings
    };
    let (call, back) = match &order.what {
        What::Moves => {
            let body = settings(json!({ "url": receiver.other_url() }));
            (("PUT", path, body), None)
        }
        What::Rotates => {
            let body = json!({ "secret": receiver.other_secret(), "overlap_s": 0 });
            (("POST", format!("{path}/secrets"), body), None)
        }
        What::SwitchesOff => {
            let body = |state| settings(json!({ "state": state }));
            let back = ("PUT", path.clone(), body("enabled"));
            (("PUT", path, body("disabled")), Some(back))
        }
        What::Deletes => (("DELETE", path, Value::Null), None),
        What::Holds => {
            let body = |state| json!({ "state": state });
            let back = ("POST", breaker.clone(), body("closed"));
            (("POST", breaker, body("open")), Some(back))
        }
        What::Replays(event) => {
            let (tenant, endpoint) = (order.tenant, order.endpoint);
            let path = format!("/v1/tenants/{tenant}/events/{event}/deliveries/{endpoint}/replay");
            (("POST", path, Value::Null), None)
        }
    };
    let began = cluster.nature.now();
    let mut noted = Noted {
        made: Change { began, done: None },
        undone: None,
        order,
    };
    let place = orders.note(noted.clone());
    noted.made.done = Some(insist(&cluster, &noted.order, call).await);
    orders.replace(place, noted.clone());
    if let Some(back) = back {
        pass(Duration::from_millis(noted.order.for_ms)).await;
        let began = cluster.nature.now();
        noted.undone = Some(Change { began, done: None });
        orders.replace(place, noted.clone());
        let done = Some(insist(&cluster, &noted.order, back).await);
        noted.undone = Some(Change { began, done });
        orders.replace(place, noted);
    }
}

/// Makes a call until it is done, and says when that was known.
async fn insist(
    cluster: &Cluster,
    order: &Order,
    (method, path, body): (&str, String, Value),
) -> Timestamp {
    let nature = &cluster.nature;
    for asked in 1.. {
        let answer = cluster.call(method, &path, &body).await;
        let status = answer.as_ref().map(|answer| answer.status.as_u16());
        let done = match (&order.what, status) {
            (_, Some(200..=299)) => true,
            // It is there already, or there no more: an answer that it is done was lost, the table's or the door's.
            (What::Rotates, Some(422)) | (What::Deletes, Some(404)) => true,
            // Its event, or the round before, is not so far yet; or it never went there.
            (What::Replays(_), Some(404 | 409)) => asked >= ASKED_MOST,
            (_, Some(409 | 429 | 503) | None) => false,
            _ => {
                nature.check("a good order is not refused", false, || {
                    format!("{order:?}: {answer:?}")
                });
                true
            }
        };
        if done {
            nature.count("orders of the operator", 1);
            break;
        }
        pass(nature.chance.millis(1_000, 60_000)).await;
    }
    nature.now()
}
