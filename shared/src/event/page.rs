//! The page of events in the docs, made from the catalogue.

use std::fmt::Write;

use super::{Kind, Maker, audience};

const INTRODUCTION: &str = "\
# Events

Every event type that Payrelay knows: when it happens, who is told, what its receiver has to do. The same is served by
`GET /v1/event-types`, with the JSON Schema of each type, and fills the `webhooks` of `GET /v1/openapi.json`.

This page is made from `shared/src/event/catalogue.rs`: `cargo run -p shared --example events > shared/docs/events.md`.

## The form

An event is `{id, type, data}` and nothing else; another field beside these three is refused. `data` is lenient: fields
that the schema does not name pass through untouched and stay under the signature, and what is optional may be `null`.
Amounts are an integer of 64 bits without sign, written as a string, with the code and the scale of their asset. Times
are RFC 3339.

The id is the same in every delivery. Events come at least once and in no particular order: keep the ids for some days
and drop what came before.

## Who makes them

Payment backends publish events. Some types Payrelay alone makes, of what billing platforms told it and of what it asks an
account servicing entity to decide; each type below says so. Those, and whatever else begins with `recovery.`, nobody can
publish: it is refused with `400`, naming `type`. So is an event in which an object names a member twice, anywhere: it could be
signed as one thing and acted on as another.

## Who is told

Events go to roles, and endpoints have one. Each type below says which role is told. Whoever publishes may say it better,
with `?recipients=ase,pos` or the header `Payrelay-Recipients: ase,pos`; then those roles are told instead.

- Where the tenant has no endpoint of a role, or none that is switched on or wants the type, the event is recorded with
  the reason for that role: `no_endpoint`, `endpoint_disabled` or `filtered`.
- `incoming_payment.completed` and `incoming_payment.expired` with nothing received are recorded and told nobody
  (`nothing_received`).
- `outgoing_payment.funded` and `outgoing_payment.cancelled` are told card services alone, and only where a card started
  the payment (`cardDetails` is there); otherwise nobody (`not_card_initiated`). Another role that the publisher names is
  recorded as `card_only`.
- Types marked \"copy\" also go to the tenant's endpoints of role `operator`, if there are any. Such an endpoint is made,
  changed and deleted with an operator's key, and its URL is shown to no tenant.
- The same event published again, with another role, is told that role and nobody twice. So one payment backend may post
  the same event to the URL of its account servicing entity and to that of its point of sale. Who gets a copy is settled
  when the event comes first.

A type that is not on this page is accepted, recorded, and told to every endpoint whose `event_types` ask for it, by name
(`card_payment.disputed`), by prefix (`card_payment.*`) or with `*`, whatever its role; or, where the publisher names
recipients, to those of that role that ask for it. An endpoint without `event_types` gets the types of this page.

## How long they are of use

For some events somebody waits. A *retry* that would come later than the time given below is not made, and the delivery
ends as `expired`. The first try is always made, however late it is, and so is the first try of a replay: the receiver
can tell by the event's own times, and nothing that was accepted goes unsaid. An endpoint may set its own time for all
types (`useful_for_ms`). The time runs from when the event happened, which for a published event is when it came.

## The types
";

/// The page, as Markdown.
#[must_use]
pub fn page() -> String {
    let sections = Kind::ALL.iter().map(|kind| section(*kind));
    let mut page = INTRODUCTION.to_owned();
    page.extend(sections);
    page
}

fn section(kind: Kind) -> String {
    let audience = audience(kind);
    let mut told = format!("`{}`", audience.told);
    let mut add = |text: String| told.push_str(&text);
    if audience.only {
        add(" alone".to_owned());
    }
    if let Some(role) = audience.on_request {
        add(format!("; `{role}` too where the publisher says so"));
    }
    if let Some(role) = audience.copied {
        add(format!("; copy to `{role}`"));
    }
    let name = kind.wire_name();
    let files = format!("shared/schemas/{name}.v{}", kind.version());
    let useful = match kind.useful_for() {
        Some(window) if window.as_secs() >= 60 => format!("{} minutes", window.as_mins()),
        Some(window) => format!("{} ms", window.as_millis()),
        None => "without end".to_owned(),
    };
    let made_by = match Maker::of(&kind.event_type()) {
        Maker::Payrelay => "Payrelay",
        Maker::PaymentBackend => "payment backends",
    };
    let rows = [
        ("When", kind.when().to_owned()),
        ("Made by", made_by.to_owned()),
        ("Told", told),
        ("What to do", kind.action().to_owned()),
        ("Retries are of use for", useful),
        ("Version", kind.version().to_string()),
        ("Schema", format!("`{files}.json`")),
    ];
    let mut text = format!("\n### {name}\n\n| | |\n|---|---|\n");
    for (what, value) in rows {
        // Writing into a string does not fail.
        let _ = writeln!(text, "| {what} | {value} |");
    }
    let _ = write!(text, "\n```json\n{}```\n", kind.sample());
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_of_events_in_the_docs_is_as_the_catalogue_makes_it() {
        let kept = include_str!("../../docs/events.md");
        let made = page();
        let differs = made
            .lines()
            .zip(kept.lines())
            .find(|(made, kept)| made != kept);
        assert!(
            made == kept,
            "{differs:?}\nadopt it with: cargo run -p shared --example events > shared/docs/events.md"
        );
    }
}
