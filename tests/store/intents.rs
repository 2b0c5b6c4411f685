//! Intents: whole, never over what somebody else wrote, together with the ledger of their token, found when they are due
//! and listed newest first.

use anyhow::Result;
use futures::future::try_join_all;
use shared::decision::Policy;
use shared::recovery::{
    Ask, Claim, EndReason, Intent, IntentKey, Issue, Network, SignalKind, Stage, State, Stop,
    TokenLedger,
};
use shared::store::{
    DueIntents, IntentList, IntentQuery, IntentStep, IntentSummary, Intents, LedgerStep, Made,
    Saved, TenantRecord, Tenants, Version,
};
use tests::sample::{acme, at, intent, intent_key, signal, tenant};
use tests::table::Table;

#[tokio::test]
async fn an_intent_comes_back_whole_for_its_tenant_only() -> Result<()> {
    let table = Table::start().await?;
    let store = table.store();
    // The platform's id may hold what our keys use.
    for invoice in ["in_1", "in#1#E#2", "INV/2026-1"] {
        let intent = intent(invoice, 3, SignalKind::PaymentSucceeded);
        assert_eq!(store.intent(&acme(), &intent.key).await?, None);
        assert_eq!(
            store
                .save_step(&acme(), &IntentStep::alone(&intent, None), at(1))
                .await?,
            Saved::Stored
        );
        assert_eq!(
            store
                .intent(&acme(), &intent.key)
                .await?
                .map(|read| read.value),
            Some(intent.clone())
        );
        assert_eq!(store.intent(&tenant("other"), &intent.key).await?, None);
    }
    Ok(())
}

#[tokio::test]
async fn writers_who_read_again_after_a_lost_race_lose_no_signal() -> Result<()> {
    let table = Table::start().await?;
    let store = table.store();
    let first = intent("in_1", 1, SignalKind::PaymentFailed);
    let (acme, key) = (acme(), first.key.clone());
    assert_eq!(
        store
            .save_step(&acme, &IntentStep::alone(&first, None), at(1))
            .await?,
        Saved::Stored
    );
    assert_eq!(
        store
            .save_step(&acme, &IntentStep::alone(&first, None), at(1))
            .await?,
        Saved::Lost,
        "it is there by now"
    );
    let join = async |n: u32| {
        loop {
            let read = store.intent(&acme, &key).await?.expect("it was written");
            let mut intent = read.value;
            intent.join(
                &signal("in_1", n, SignalKind::PaymentFailed),
                at(i64::from(n)),
            );
            if store
                .save_step(
                    &acme,
                    &IntentStep::alone(&intent, Some(read.version)),
                    at(1),
                )
                .await?
                == Saved::Stored
            {
                return anyhow::Ok(());
            }
        }
    };
    try_join_all((2..=12).map(join)).await?;
    let read = store.intent(&acme, &key).await?.expect("it was written");
    assert_eq!(read.value.signals().count(), 12);
    assert_eq!(read.value.attempts.len(), 12);
    Ok(())
}

#[tokio::test]
async fn only_an_intent_that_ended_expires() -> Result<()> {
    let table = Table::start().await?;
    let store = table.store();
    let open = intent("in_1", 1, SignalKind::PaymentFailed);
    assert_eq!(
        store
            .save_step(&acme(), &IntentStep::alone(&open, None), at(1))
            .await?,
        Saved::Stored
    );
    assert!(!table.dump().await?.contains("\"ttl\""));
    let read = store
        .intent(&acme(), &open.key)
        .await?
        .expect("it was written");
    let ended = intent("in_1", 2, SignalKind::PaymentSucceeded);
    assert_eq!(
        store
            .save_step(
                &acme(),
                &IntentStep::alone(&ended, Some(read.version)),
                at(1)
            )
            .await?,
        Saved::Stored
    );
    let ttl = (at(1) + tests::table::RETENTION).as_second();
    assert!(
        table
            .dump()
            .await?
            .contains(&format!("\"ttl\": N(\"{ttl}\")"))
    );
    // A late failure opens it again, and then it is kept.
    let read = store
        .intent(&acme(), &open.key)
        .await?
        .expect("it was written");
    assert_eq!(
        store
            .save_step(
                &acme(),
                &IntentStep::alone(&open, Some(read.version)),
                at(1)
            )
            .await?,
        Saved::Stored
    );
    assert!(!table.dump().await?.contains("\"ttl\""));
    Ok(())
}

/// What `invoice` leaves of a token's ledger: one try, and its claim for a minute.
fn ledger(invoice: &str, now: i64) -> TokenLedger {
    let key = intent_key(invoice);
    let mut ledger = TokenLedger {
        network: Network::Visa,
        ..TokenLedger::default()
    };
    ledger.set(&key, [at(now)], at(now));
    ledger.claim = Some(Claim {
        intent: key,
        until: at(now + 60),
    });
    ledger
}

/// A step of an intent that was not there, with its token's ledger as it was `read`.
fn step<'a>(intent: &'a Intent, ledger: &'a TokenLedger, read: Option<Version>) -> IntentStep<'a> {
    IntentStep {
        ledgers: vec![LedgerStep {
            token: "pm_1",
            ledger,
            read,
        }],
        ..IntentStep::alone(intent, None)
    }
}

#[tokio::test]
async fn an_intent_and_the_ledger_of_its_token_are_written_together_or_not_at_all() -> Result<()> {
    let table = Table::start().await?;
    let store = table.store();
    let acme = acme();
    let first = intent("in_1", 1, SignalKind::PaymentFailed);
    let claimed = ledger("in_1", 1);
    assert_eq!(store.ledger(&acme, "pm_1").await?, None);
    let saved = store
        .save_step(&acme, &step(&first, &claimed, None), at(1))
        .await?;
    assert_eq!(saved, Saved::Stored);
    let read = store.ledger(&acme, "pm_1").await?.expect("it was written");
    assert_eq!(read.value, claimed);
    assert_eq!(store.ledger(&acme, "pm_2").await?, None);
    assert_eq!(store.ledger(&tenant("other"), "pm_1").await?, None);

    // Another invoice of the token that did not see the claim.
    let second = intent("in_2", 1, SignalKind::PaymentFailed);
    let stolen = ledger("in_2", 2);
    let saved = store
        .save_step(&acme, &step(&second, &stolen, None), at(2))
        .await?;
    assert_eq!(saved, Saved::Lost);
    assert_eq!(store.intent(&acme, &second.key).await?, None);

    // The invoice was written by somebody else in between, the ledger was not.
    let saved = store
        .save_step(&acme, &step(&first, &stolen, Some(read.version)), at(2))
        .await?;
    assert_eq!(saved, Saved::Lost);
    let kept = store.ledger(&acme, "pm_1").await?;
    assert_eq!(kept.map(|read| read.value), Some(claimed));

    // With what is so, it is written.
    let saved = store
        .save_step(&acme, &step(&second, &stolen, Some(read.version)), at(2))
        .await?;
    assert_eq!(saved, Saved::Stored);
    Ok(())
}

#[tokio::test]
async fn the_ledgers_of_two_tokens_are_written_with_their_intent_or_none_of_them() -> Result<()> {
    let table = Table::start().await?;
    let store = table.store();
    let acme = acme();
    let (first, second) = (ledger("in_1", 1), ledger("in_1", 2));
    let both = |intent, first_read, second_read| {
        let token = |token, ledger, read| LedgerStep {
            token,
            ledger,
            read,
        };
        IntentStep {
            ledgers: vec![
                token("pm_1", &first, first_read),
                token("pm_2", &second, second_read),
            ],
            ..IntentStep::alone(intent, None)
        }
    };
    let one = intent("in_1", 1, SignalKind::PaymentFailed);
    let saved = store
        .save_step(&acme, &both(&one, None, None), at(1))
        .await?;
    assert_eq!(saved, Saved::Stored);
    let known =
        async |token| anyhow::Ok(store.ledger(&acme, token).await?.expect("it was written"));
    let (pm_1, pm_2) = (known("pm_1").await?, known("pm_2").await?);
    assert_eq!((&pm_1.value, &pm_2.value), (&first, &second));

    // Another invoice, and one of the ledgers was written by somebody else in between.
    let other = intent("in_2", 1, SignalKind::PaymentFailed);
    let reads = [(Some(pm_1.version), None), (None, Some(pm_2.version))];
    for (first_read, second_read) in reads {
        let step = both(&other, first_read, second_read);
        assert_eq!(store.save_step(&acme, &step, at(2)).await?, Saved::Lost);
        assert_eq!(store.intent(&acme, &other.key).await?, None);
        let kept = (known("pm_1").await?.version, known("pm_2").await?.version);
        assert_eq!(kept, (pm_1.version, pm_2.version));
    }
    Ok(())
}

#[tokio::test]
async fn of_many_invoices_that_claim_one_token_at_once_one_does() -> Result<()> {
    let table = Table::start().await?;
    let store = table.store();
    let acme = acme();
    let claim = async |n: i64| {
        let invoice = format!("in_{n}");
        let (intent, ledger) = (
            intent(&invoice, 1, SignalKind::PaymentFailed),
            ledger(&invoice, n),
        );
        let saved = store
            .save_step(&acme, &step(&intent, &ledger, None), at(1))
            .await?;
        let written = store.intent(&acme, &intent.key).await?.is_some();
        assert_eq!(written, saved == Saved::Stored, "{invoice}");
        anyhow::Ok(saved)
    };
    let saved = try_join_all((1..=10).map(claim)).await?;
    let stored = saved.iter().filter(|saved| **saved == Saved::Stored);
    assert_eq!(stored.count(), 1);
    Ok(())
}

#[tokio::test]
async fn the_token_is_nowhere_in_its_ledger() -> Result<()> {
    let table = Table::start().await?;
    let first = intent("in_1", 1, SignalKind::PaymentFailed);
    let saved = table
        .store()
        .save_step(&acme(), &step(&first, &ledger("in_1", 1), None), at(1))
        .await?;
    assert_eq!(saved, Saved::Stored);
    assert!(!table.dump().await?.contains("pm_1"));
    Ok(())
}

#[tokio::test]
async fn a_ledger_is_kept_while_it_can_matter() -> Result<()> {
    const DAY: i64 = 24 * 3600;
    struct Case {
        name: &'static str,
        stopped: bool,
        claimed_until: Option<i64>,
        want: i64,
    }
    let cases = [
        Case {
            name: "its tries count for 30 days",
            stopped: false,
            claimed_until: None,
            want: 1 + 31 * DAY,
        },
        Case {
            name: "a token that must not be charged again",
            stopped: true,
            claimed_until: None,
            want: 1 + 400 * DAY,
        },
        Case {
            name: "a claim is counted from its end",
            stopped: false,
            claimed_until: Some(40 * DAY),
            want: 71 * DAY,
        },
    ];
    for Case {
        name,
        stopped,
        claimed_until,
        want,
    } in cases
    {
        let table = Table::start().await?;
        let first = intent("in_1", 1, SignalKind::PaymentFailed);
        let ledger = TokenLedger {
            stop: stopped.then(|| Stop {
                at: at(1),
                code: "stolen_card".to_owned(),
            }),
            claim: claimed_until.map(|until| Claim {
                intent: first.key.clone(),
                until: at(until),
            }),
            ..TokenLedger::default()
        };
        let saved = table
            .store()
            .save_step(&acme(), &step(&first, &ledger, None), at(1))
            .await?;
        assert_eq!(saved, Saved::Stored);
        let ttl = format!("\"ttl\": N(\"{}\")", at(want).as_second());
        assert!(table.dump().await?.contains(&ttl), "{name}");
    }
    Ok(())
}

fn issue(at_second: i64, deadline: i64, sent: bool) -> Issue {
    let left = signal("in_1", 1, SignalKind::PaymentFailed).amount;
    Issue {
        sent,
        ..Issue::new(1, at(at_second), at(deadline), Ask::of(left))
    }
}

/// The invoices that are due at a second, in the order of their names.
async fn due(table: &Table, second: i64) -> Result<Vec<String>> {
    let mut due: Vec<_> = table
        .store()
        .due_intents(at(second), 100)
        .await?
        .into_iter()
        .map(|(tenant, key)| format!("{tenant} {}", key.invoice_id))
        .collect();
    due.sort();
    Ok(due)
}

#[tokio::test]
async fn an_intent_is_due_when_time_moves_its_retries_on() -> Result<()> {
    let cases = [
        (Stage::Idle, None),
        (Stage::PlatformFirst, None),
        (Stage::Held, None),
        (Stage::Paused, None),
        (Stage::Planned { at: at(10) }, Some(10)),
        (Stage::Missed { at: at(10) }, None),
        (Stage::Due(issue(10, 20, false)), Some(10)),
        (Stage::Due(issue(10, 20, true)), Some(20)),
        (Stage::Unknown(issue(10, 20, true)), None),
        (
            Stage::Ended {
                reason: EndReason::RetriesExhausted,
            },
            None,
        ),
    ];
    let table = Table::start().await?;
    let store = table.store();
    let mut intent = intent("in#1/#", 1, SignalKind::PaymentFailed);
    let mut version = None;
    for (stage, want) in cases {
        intent.retry.stage = stage;
        let saved = store
            .save_step(&acme(), &IntentStep::alone(&intent, version), at(1))
            .await?;
        assert_eq!(saved, Saved::Stored);
        version = store
            .intent(&acme(), &intent.key)
            .await?
            .map(|read| read.version);
        let stage = &intent.retry.stage;
        match want {
            None => assert!(due(&table, 9999).await?.is_empty(), "{stage:?}"),
            Some(second) => {
                assert!(due(&table, second - 1).await?.is_empty(), "{stage:?}");
                assert_eq!(due(&table, second).await?, ["acme in#1/#"], "{stage:?}");
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn what_is_due_is_found_for_all_tenants_and_the_longest_due_first() -> Result<()> {
    let table = Table::start().await?;
    let store = table.store();
    for (n, name) in (1..=40).zip(["acme", "other"].iter().cycle()) {
        let mut intent = intent(&format!("in_{n:02}"), 1, SignalKind::PaymentFailed);
        intent.retry.stage = Stage::Planned { at: at(n) };
        let saved = store
            .save_step(&tenant(name), &IntentStep::alone(&intent, None), at(1))
            .await?;
        assert_eq!(saved, Saved::Stored);
    }
    assert_eq!(due(&table, 20).await?.len(), 20);
    assert_eq!(due(&table, 9999).await?.len(), 40);
    let all = due(&table, 9999).await?;
    assert!(all.contains(&"acme in_01".to_owned()) && all.contains(&"other in_02".to_owned()));
    // One of each shard: the first of all is among them, however many others are due.
    let first = store.due_intents(at(9999), 1).await?;
    assert!(first.len() <= 16, "{first:?}");
    assert!(first.contains(&(acme(), intent_key("in_01"))));
    Ok(())
}

/// Follows a list to its end; answers the invoices and the number of pages.
async fn listed(table: &Table, query: IntentQuery) -> Result<(Vec<IntentSummary>, usize)> {
    let (mut query, mut all, mut pages) = (query, Vec::new(), 0);
    loop {
        let page = table.store().intents(&acme(), &query).await?;
        assert!(page.items.len() <= query.limit);
        all.extend(page.items);
        pages += 1;
        match page.next {
            Some(next) => query.cursor = Some(next),
            None => return Ok((all, pages)),
        }
    }
}

#[tokio::test]
async fn intents_are_listed_newest_first_page_by_page_and_by_state() -> Result<()> {
    let table = Table::start().await?;
    let store = table.store_of(&[acme()]).await?;
    let mut want = Vec::new();
    for n in 1..=30_u32 {
        let last = if n % 3 == 0 {
            SignalKind::PaymentSucceeded
        } else {
            SignalKind::PaymentFailed
        };
        let first = signal(&format!("in#{n}"), 1, last);
        // Two are opened at the same moment each time.
        let opened_at = at(i64::from(n / 2));
        let intent = Intent::open(&first, opened_at).expect("it tells of an invoice");
        let saved = store
            .save_step(&acme(), &IntentStep::alone(&intent, None), at(1))
            .await?;
        assert_eq!(saved, Saved::Stored);
        want.push(IntentSummary {
            key: intent.key,
            state: intent.state,
            opened_at,
        });
    }
    let foreign = intent("in_other", 1, SignalKind::PaymentFailed);
    let saved = store
        .save_step(&tenant("other"), &IntentStep::alone(&foreign, None), at(1))
        .await?;
    assert_eq!(saved, Saved::Stored);
    let place = |it: &IntentSummary| (it.opened_at, it.key.invoice_id.as_str().to_owned());
    want.sort_by_key(|it| std::cmp::Reverse(place(it)));

    let query = IntentQuery {
        limit: 7,
        ..IntentQuery::default()
    };
    assert_eq!(listed(&table, query.clone()).await?, (want.clone(), 5));
    let recovered = IntentQuery {
        state: Some(State::Recovered),
        ..query.clone()
    };
    let of_state = |state| want.iter().filter(move |it| it.state == state).cloned();
    let (got, _) = listed(&table, recovered.clone()).await?;
    assert_eq!(got, of_state(State::Recovered).collect::<Vec<_>>());
    let since = IntentQuery {
        since: Some(at(10)),
        ..query.clone()
    };
    let (got, _) = listed(&table, since).await?;
    let late = want.iter().filter(|it| it.opened_at >= at(10)).cloned();
    assert_eq!(got, late.collect::<Vec<_>>());
    let nothing = IntentQuery {
        since: Some(at(1000)),
        ..query
    };
    assert_eq!(listed(&table, nothing).await?, (Vec::new(), 1));

    // Its place stays, its state changes.
    let key = want
        .last()
        .map(|it| it.key.clone())
        .expect("there are some");
    settle(&table, &key).await?;
    let (got, _) = listed(&table, recovered).await?;
    assert_eq!(got.last().map(|it| it.key.clone()), Some(key));
    Ok(())
}

/// Has an invoice collected.
async fn settle(table: &Table, key: &IntentKey) -> Result<()> {
    let store = table.store();
    let read = store.intent(&acme(), key).await?.expect("it was written");
    let mut intent = read.value;
    let paid = signal(key.invoice_id.as_str(), 9, SignalKind::PaymentSucceeded);
    intent.join(&paid, at(9));
    let step = IntentStep::alone(&intent, Some(read.version));
    assert_eq!(store.save_step(&acme(), &step, at(9)).await?, Saved::Stored);
    Ok(())
}

#[tokio::test]
async fn intents_of_a_deleted_tenant_are_not_listed_for_who_has_its_name_now() -> Result<()> {
    let table = Table::start().await?;
    let store = table.store_of(&[acme()]).await?;
    let list = async || {
        let query = IntentQuery {
            limit: 7,
            ..IntentQuery::default()
        };
        let (listed, _) = listed(&table, query).await?;
        let names = listed.into_iter().map(|it| it.key.invoice_id.to_string());
        anyhow::Ok(names.collect::<Vec<_>>())
    };
    let open = async |invoice: &str, second| {
        let first = signal(invoice, 1, SignalKind::PaymentFailed);
        let intent = Intent::open(&first, at(second)).expect("it tells of an invoice");
        let step = IntentStep::alone(&intent, None);
        store.save_step(&acme(), &step, at(second)).await
    };
    assert_eq!(open("in_old", 5).await?, Saved::Stored);
    assert_eq!(list().await?, ["in_old"]);
    assert!(store.delete_tenant(&acme(), at(10)).await?);
    assert_eq!(list().await?, Vec::<String>::new());
    let free = 10 + (30 + 14) * 24 * 3600;
    let anew = TenantRecord {
        id: acme(),
        display_name: None,
        decisions: Policy::default(),
        created_at: at(free),
    };
    assert_eq!(store.put_tenant(&anew).await?, Made::New);
    assert_eq!(list().await?, Vec::<String>::new());
    assert_eq!(open("in_new", free).await?, Saved::Stored);
    assert_eq!(list().await?, ["in_new"]);
    Ok(())
}
