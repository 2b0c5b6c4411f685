//! What must hold when all is over, and the report.
//!
//! 1. Every accepted event was taken by each endpoint that it was for, with the bytes that were sent.
//! 2. What a wallet is told of a customer came in the order in which it was accepted (noted as it arrives).
//! 3. Nothing arrived that was not accepted, at nobody whom it was not for, under no other id, with no other bytes, and with
//!    no signature that is not valid (noted as it arrives).
//! 4. Whatever an endpoint took twice was in the hands of a function that was killed, or whose request or answer was lost,
//!    and no more often than that.
//! 5. The operator API knows every event that arrived as delivered, and lists no other; nothing is quarantined.
//! 6. The queues and their dead letters are empty (noted as they are waited for).

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use futures::{StreamExt, TryStreamExt, stream};
use serde_json::Value;

use crate::ledger::{Books, Mishap, Number, Topic, Which};
use crate::load::Load;
use crate::receiver::WALLET;

const TENANTS: [&str; 2] = ["acme", "globex"];
/// The emulator reads its whole table for each page of a list, so a longer one is not asked for.
const LISTED_MOST: usize = 2_000;
/// So many events are asked for at a time.
const AT_ONCE: usize = 4;

/// Law 5.
pub(super) async fn hold_the_state(load: &Load) -> Result<()> {
    let set_aside = load.operate("GET", "/v1/quarantine", None).await?;
    let set_aside = list(&set_aside)?;
    let mut broken = Vec::new();
    if !set_aside.is_empty() {
        broken.push(format!("quarantined: {set_aside:?}"));
    }
    let (arrived, events): (BTreeSet<Which>, usize) = {
        let books = load.ledger.books();
        (books.arrived.keys().cloned().collect(), books.sent.len())
    };
    let of_tenant = |tenant: &str| -> Vec<&Which> {
        let begins = format!("/{tenant}/");
        let theirs = arrived.iter().filter(|(at, _)| at.starts_with(&begins));
        theirs.collect()
    };
    for tenant in TENANTS {
        let (callbacks, others): (Vec<_>, Vec<_>) = of_tenant(tenant)
            .into_iter()
            .partition(|(endpoint, _)| endpoint == WALLET);
        let ids: BTreeSet<&str> = others.into_iter().map(|(_, id)| id.as_str()).collect();
        broken.extend(each(load, tenant, &ids).await?);
        if events <= LISTED_MOST {
            broken.extend(listed(load, tenant, &ids, callbacks.len()).await?);
        }
    }
    load.ledger.books().broken.extend(broken);
    Ok(())
}

/// What the API tells of each event that arrived.
async fn each(load: &Load, tenant: &str, ids: &BTreeSet<&str>) -> Result<Vec<String>> {
    let asked = ids.iter().map(|id| async move {
        let path = format!("/v1/tenants/{tenant}/events/{id}");
        let event = load.operate("GET", &path, None).await?;
        let delivered = text(&event, "state") == "delivered";
        let broken = format!("the API says of an event of {tenant}: {event}");
        anyhow::Ok((!delivered).then_some(broken))
    });
    let told: Vec<_> = stream::iter(asked).buffered(AT_ONCE).try_collect().await?;
    Ok(told.into_iter().flatten().collect())
}

/// What is wrong with the list of all events: each is one that arrived, all that arrived are there, and so many callbacks.
async fn listed(
    load: &Load,
    tenant: &str,
    ids: &BTreeSet<&str>,
    callbacks: usize,
) -> Result<Vec<String>> {
    let (mut broken, mut known, mut told) = (Vec::new(), BTreeSet::new(), 0);
    let mut next = String::new();
    loop {
        let path = format!("/v1/tenants/{tenant}/events?limit=100{next}");
        let page = load.operate("GET", &path, None).await?;
        for event in list(&page)? {
            let [id, kind, state, reason] =
                ["id", "type", "state", "reason"].map(|key| text(event, key));
            match (kind, state, reason) {
                // The wallet asked to hear of customers only.
                ("transaction.status_changed", "skipped", "no_callback") => {}
                // A callback does not carry its id.
                ("customer.status_changed", "delivered", _) => told += 1,
                (_, "delivered", _) => {
                    known.insert(id.to_owned());
                }
                _ => broken.push(format!("the API lists for {tenant}: {event}")),
            }
        }
        match page.get("next_cursor").and_then(Value::as_str) {
            Some(cursor) => next = format!("&cursor={cursor}"),
            None => break,
        }
    }
    if callbacks != told {
        broken.push(format!(
            "the API knows {told} callbacks, and {callbacks} came"
        ));
    }
    let extra = known.iter().filter(|id| !ids.contains(id.as_str()));
    broken.extend(extra.map(|id| format!("{id} of {tenant} is listed and never came")));
    let lacking = ids.iter().filter(|id| !known.contains(**id));
    broken.extend(lacking.map(|id| format!("{id} of {tenant} came and is not listed")));
    Ok(broken)
}

fn list(page: &Value) -> Result<&Vec<Value>> {
    let data = page.get("data").and_then(Value::as_array);
    data.with_context(|| format!("{page} is no list"))
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    let text = value.get(key).and_then(Value::as_str);
    text.unwrap_or_default()
}

/// Laws 1 and 4, which can be judged in the end only.
pub(super) fn hold(books: &mut Books) {
    let mut broken = Vec::new();
    let taken: BTreeSet<(&str, u32)> = books
        .arrived
        .iter()
        .filter(|(_, arrived)| arrived.taken > 0)
        .map(|((endpoint, _), arrived)| (endpoint.as_str(), arrived.number))
        .collect();
    for (number, sent) in &books.sent {
        if !sent.accepted {
            broken.push(format!("event {number} was never accepted"));
        }
        for endpoint in &sent.endpoints {
            if !taken.contains(&(endpoint, *number)) {
                broken.push(format!("event {number} is lost: {endpoint} never took it"));
            }
        }
    }
    for ((endpoint, id), arrived) in &books.arrived {
        let again = arrived.taken.saturating_sub(1);
        let befallen = books.mishaps.get(&arrived.number).map_or(0, Vec::len);
        if usize::try_from(again).is_ok_and(|again| again > befallen) {
            broken.push(format!(
                "{endpoint} took {id} {} times, and {befallen} mishaps befell it",
                arrived.taken
            ));
        }
    }
    books.broken.extend(broken);
}

/// What a duplicate is put down to: the first of the kills that befell its event, else the first of the cuts.
fn cause(books: &Books, number: Number) -> Option<Mishap> {
    let mishaps = books.mishaps.get(&number);
    mishaps.and_then(|mishaps| mishaps.iter().min().copied())
}

/// Prints what happened.
pub(super) fn report(books: &Books) {
    let mut duplicates: BTreeMap<Option<Mishap>, u64> = BTreeMap::new();
    for arrived in books.arrived.values().filter(|it| it.taken > 1) {
        let again = u64::from(arrived.taken - 1);
        *duplicates.entry(cause(books, arrived.number)).or_default() += again;
    }
    let all: u64 = duplicates.values().sum();
    let of = |topic: Topic| {
        let counts = books.counts.iter();
        counts.filter_map(move |((of, what), often)| (*of == topic).then_some((what, *often)))
    };
    println!(
        "{} events accepted, {} deliveries taken, {all} of them once more than needed\n",
        books.accepted, books.taken
    );
    println!("| killed | how often | events in hand | duplicates after |\n|---|---:|---:|---:|");
    let (mut kills, mut in_hand, mut after) = (0, 0, 0);
    for (function, often) in of(Topic::Kills) {
        let held = of(Topic::InHand).find(|(name, _)| *name == function);
        let held = held.map_or(0, |(_, held)| held);
        let twice = duplicates
            .iter()
            .filter(|(cause, _)| matches!(cause, Some(Mishap::Killed(name)) if name == function))
            .map(|(_, often)| often)
            .sum::<u64>();
        println!("| {function} | {often} | {held} | {twice} |");
        (kills, in_hand, after) = (kills + often, in_hand + held, after + twice);
    }
    println!("| all | {kills} | {in_hand} | {after} |\n");
    println!("| duplicates after something else | how many |\n|---|---:|");
    for (cause, often) in &duplicates {
        match cause {
            Some(Mishap::Killed(_)) => {}
            Some(Mishap::Cut(function)) => {
                println!("| a request or an answer of {function} was lost | {often} |");
            }
            Some(Mishap::Overdue(function)) => {
                println!("| {function} took too long | {often} |");
            }
            None => println!("| nothing known | {often} |"),
        }
    }
    let tables = [
        (Topic::Cuts, "lost on the way to the emulator and back"),
        (Topic::Operations, "what was asked for in those"),
        (Topic::Clients, "clients had to send again"),
        (Topic::Endpoints, "endpoints"),
        (Topic::Oddities, "what should be seldom"),
    ];
    for (topic, title) in tables {
        if of(topic).next().is_some() {
            println!("\n| {title} | how often |\n|---|---:|");
            for (what, often) in of(topic) {
                println!("| {what} | {often} |");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{Ledger, Sent, mark};

    /// One event for `/a`, taken so often.
    fn books(accepted: bool, taken: u32, mishaps: &[Mishap]) -> Ledger {
        let ledger = Ledger::default();
        ledger.sends(
            1,
            Sent {
                endpoints: vec!["/a"],
                id: None,
                says: mark(1),
                line: None,
                callback: None,
                accepted: false,
            },
        );
        if accepted {
            ledger.accepted(1);
        }
        for _ in 0..taken {
            ledger.arrived("/a", "id", &mark(1), true);
        }
        for mishap in mishaps {
            ledger.befell(&BTreeSet::from([1]), *mishap);
        }
        ledger
    }

    #[test]
    fn what_is_lost_or_taken_twice_for_no_reason_breaks_a_law() {
        let (killed, cut) = (Mishap::Killed("deliver"), Mishap::Cut("deliver"));
        let cases: [(bool, u32, &[Mishap], usize); 7] = [
            (true, 1, &[], 0),
            (true, 0, &[], 1),
            (true, 0, &[killed], 1),
            (false, 1, &[], 1),
            (true, 2, &[], 1),
            (true, 2, &[killed], 0),
            (true, 4, &[killed, cut], 1),
        ];
        for (accepted, taken, mishaps, want) in cases {
            let ledger = books(accepted, taken, mishaps);
            hold(&mut ledger.books());
            let broken = ledger.books().broken.clone();
            assert_eq!(
                broken.len(),
                want,
                "{accepted} {taken} {mishaps:?}: {broken:?}"
            );
        }
    }

    #[test]
    fn a_duplicate_is_put_down_to_a_kill_before_a_cut() {
        let ledger = books(true, 2, &[Mishap::Cut("fanout"), Mishap::Killed("deliver")]);
        assert_eq!(cause(&ledger.books(), 1), Some(Mishap::Killed("deliver")));
        assert_eq!(cause(&ledger.books(), 2), None);
    }
}
