//! What a call does: the whole table of statuses, and who is told.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use super::*;
use crate::delivery::{BreakerPolicy, EndpointState, Policy, Scheme};
use crate::event::{EventType, Recipients, Sep, SetAside, Via};
use crate::ids::{CustomerId, CustomerType, EndpointId, TenantId, TransactionId};
use crate::signature::stellar::SignedHost;
use CustomerStatus::{Accepted, NeedsInfo, Processing, Rejected};
use TransactionStatus as S;

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn tenant() -> TenantId {
    TenantId::parse("acme").expect("a valid id")
}

fn name(id: &str) -> EndpointId {
    EndpointId::parse(id).expect("a valid id")
}

fn customer_id() -> CustomerId {
    CustomerId::parse("cus_1").expect("a valid id")
}

fn client() -> Client {
    Client {
        tenant: tenant(),
        id: name("lobby"),
        domains: BTreeSet::new(),
        signing_keys: BTreeSet::new(),
        callbacks: Callbacks {
            sep6: Some("https://wallet.example/6".into()),
            sep12: Some("https://wallet.example/12".into()),
            ..Callbacks::default()
        },
        signed_host: SignedHost::AsSent,
        latest_only: false,
        breaker: BreakerPolicy::default(),
        policy: Policy::default_for(Scheme::Stellar),
        deadline: SignedDuration::from_secs(15),
        state: EndpointState::Enabled,
        created_at: NOW,
    }
}

fn transaction(sep: Sep, status: S, funds: Funds) -> Transaction {
    Transaction {
        id: TransactionId::parse("tx-1").expect("a valid id"),
        sep,
        kind: "deposit".into(),
        status,
        client: Some(name("lobby")),
        customers: Customers {
            sender: Some(customer_id()),
            receiver: None,
        },
        message: None,
        transfer_received_at: (funds == Funds::Received).then_some(NOW),
        amounts_known: funds != Funds::NotPayable,
        instructions_known: funds != Funds::NotPayable,
        on_change_callback: None,
        started_at: NOW,
        updated_at: NOW,
        completed_at: None,
        details: serde_json::Map::new(),
        told: 0,
        revision: 1,
    }
}

fn customer(status: CustomerStatus, rest: &str) -> Customer {
    let body = format!(r#"{{"id":"cus_1","status":"{}"{rest}}}"#, status.as_str());
    Customer::read(body.as_bytes(), &customer_id()).expect("a customer")
}

fn call() -> Call {
    Call {
        transaction: TransactionId::parse("tx-1").expect("a valid id"),
        message: None,
        customer: Some(customer_id()),
        customer_type: Some(CustomerType::parse("sep6").expect("a valid type")),
    }
}

fn known(transaction: Transaction) -> Known {
    Known {
        transaction,
        client: Some(client()),
        snapshot: None,
        registration: None,
    }
}

fn take(known: &Known, customer: &Customer) -> Option<Change> {
    step(
        &tenant(),
        &call(),
        Some(customer),
        known,
        Mapping::Sep6,
        NOW,
    )
    .expect("it is taken")
}

/// What is known after `change`.
fn after(known: &Known, change: &Change) -> Known {
    Known {
        transaction: change.transaction.clone(),
        client: known.client.clone(),
        snapshot: change
            .snapshot
            .as_ref()
            .map(|(_, snapshot)| snapshot.clone())
            .or_else(|| known.snapshot.clone()),
        registration: change
            .registration
            .clone()
            .or_else(|| known.registration.clone()),
    }
}

/// What is told, as `<type> <via or reason> <number>`.
fn told(change: &Change) -> Vec<String> {
    let one = |telling: &Telling| {
        let kind = telling.event.event_type.as_str();
        match &telling.recipients {
            Recipients::Callback(callback) => {
                let via = match &callback.via {
                    Via::Static { .. } => "static",
                    Via::Registered { .. } => "registered",
                    Via::Transaction { .. } => "own",
                };
                format!("{kind} {via} {}", callback.number)
            }
            Recipients::SetAside(reason) => format!("{kind} {}", reason.as_str()),
            Recipients::Chosen(_) => "chosen".to_owned(),
        }
    };
    change.tellings.iter().map(one).collect()
}

/// The table of the specification, written down apart from the code: `None` where the status is refused.
fn expected(
    sep: Sep,
    mapping: Mapping,
    current: S,
    status: Option<CustomerStatus>,
    funds: Funds,
) -> Option<S> {
    let column = match sep {
        Sep::Sep6 => [
            S::Incomplete,
            S::PendingAnchor,
            S::PendingCustomerInfoUpdate,
        ]
        .as_slice(),
        Sep::Sep31 => [S::PendingReceiver, S::PendingCustomerInfoUpdate].as_slice(),
        Sep::Sep12 | Sep::Sep24 => return None,
    };
    let late = sep == Sep::Sep6
        && mapping == Mapping::Sep6
        && current == S::PendingUserTransferStart
        && funds != Funds::Received
        && [Some(NeedsInfo), Some(Rejected)].contains(&status);
    if !column.contains(&current) && !late {
        return None;
    }
    let waits = if sep == Sep::Sep6 {
        S::PendingAnchor
    } else {
        S::PendingReceiver
    };
    let pays = sep == Sep::Sep6 && mapping == Mapping::Sep6 && funds == Funds::Payable;
    Some(match status {
        Some(NeedsInfo) => S::PendingCustomerInfoUpdate,
        Some(Rejected) => S::Error,
        Some(Accepted) if pays => S::PendingUserTransferStart,
        Some(Accepted | Processing) | None => waits,
    })
}

#[test]
fn every_customer_status_moves_every_transaction_status_as_the_table_says() {
    let statuses = CustomerStatus::ALL.map(Some).into_iter().chain([None]);
    let mut rows = 0;
    for status in statuses {
        for sep in Sep::ALL {
            for &current in S::ALL {
                for funds in [Funds::Received, Funds::Payable, Funds::NotPayable] {
                    for mapping in [Mapping::Sep6, Mapping::AnchorPlatform] {
                        rows += 1;
                        let row = format!("{status:?} {sep} {current:?} {funds:?} {mapping:?}");
                        let known = known(transaction(sep, current, funds));
                        let answer = status.map(|it| customer(it, r#","message":"why""#));
                        let call = Call {
                            customer: status.map(|_| customer_id()),
                            ..call()
                        };
                        let got = step(&tenant(), &call, answer.as_ref(), &known, mapping, NOW);
                        let want = expected(sep, mapping, current, status, funds);
                        match (got, want) {
                            (Ok(Some(change)), Some(want)) => {
                                assert_eq!(change.transaction.status, want, "{row}");
                                let tells = change.transaction.status != current;
                                let of_transaction = change.tellings.iter().filter(|it| {
                                    it.event.event_type.as_str() == TRANSACTION_STATUS_CHANGED
                                });
                                assert_eq!(of_transaction.count(), usize::from(tells), "{row}");
                                let of_customer = change.tellings.len() - usize::from(tells);
                                assert_eq!(of_customer, usize::from(status.is_some()), "{row}");
                            }
                            (Ok(None), Some(want)) => {
                                assert_eq!((status, want), (None, current), "{row}");
                            }
                            (Ok(None), None) => {
                                let waits = [S::PendingAnchor, S::PendingReceiver];
                                assert!(status.is_none() && waits.contains(&current), "{row}");
                            }
                            (Err(Refused::Status(_)), None) => {}
                            other => panic!("{row}: {other:?}"),
                        }
                    }
                }
            }
        }
    }
    assert_eq!(rows, 5 * 4 * 20 * 3 * 2);
}

#[test]
fn three_identical_calls_are_three_statuses_if_the_customer_moved() {
    let mut now = known(transaction(Sep::Sep6, S::Incomplete, Funds::Payable));
    let story = [
        (
            NeedsInfo,
            S::PendingCustomerInfoUpdate,
            [
                "customer.status_changed static 1",
                "transaction.status_changed static 1",
            ]
            .as_slice(),
        ),
        (
            Processing,
            S::PendingAnchor,
            &[
                "customer.status_changed static 2",
                "transaction.status_changed static 2",
            ],
        ),
        (
            Accepted,
            S::PendingUserTransferStart,
            &[
                "customer.status_changed static 3",
                "transaction.status_changed static 3",
            ],
        ),
    ];
    for (status, want, tells) in story {
        let change = take(&now, &customer(status, "")).expect("a change");
        assert_eq!(change.transaction.status, want);
        assert_eq!(told(&change), tells);
        now = after(&now, &change);
        assert_eq!(
            take(&now, &customer(status, "")),
            None,
            "a repeat is known by its effect"
        );
    }
}

#[test]
fn a_repeat_is_known_before_the_status_is_looked_at() {
    let before = known(transaction(Sep::Sep6, S::Incomplete, Funds::Payable));
    let rejected = customer(Rejected, r#","message":"no""#);
    let change = take(&before, &rejected).expect("a change");
    assert_eq!(change.transaction.status, S::Error);
    assert_eq!(change.transaction.message.as_deref(), Some("no"));
    let now = after(&before, &change);
    assert_eq!(take(&now, &rejected), None);
    let other = step(
        &tenant(),
        &call(),
        Some(&customer(Accepted, "")),
        &now,
        Mapping::Sep6,
        NOW,
    );
    assert_eq!(other, Err(Refused::Status(StatusRefused::Status(S::Error))));
}

#[test]
fn a_message_of_the_customers_is_kept_as_far_as_one_of_a_call_could_be() {
    let before = known(transaction(Sep::Sep6, S::Incomplete, Funds::Payable));
    let long = customer(Rejected, &format!(r#","message":"{}""#, "é".repeat(5000)));
    let change = take(&before, &long).expect("a change");
    let kept = change.transaction.message.clone().expect("it says why");
    assert_eq!(kept.chars().count(), MESSAGE_MOST);
    let now = Known {
        transaction: Transaction {
            message: Some(kept),
            ..change.transaction.clone()
        },
        ..after(&before, &change)
    };
    assert_eq!(take(&now, &long), None, "and it is a repeat all the same");
}

#[test]
fn other_fields_in_the_same_status_are_told_at_static_urls_alone() {
    let before = known(transaction(Sep::Sep6, S::Incomplete, Funds::Payable));
    let first = take(&before, &customer(NeedsInfo, "")).expect("a change");
    let now = after(&before, &first);
    let more = customer(NeedsInfo, r#","fields":{}"#);
    let change = take(&now, &more).expect("a change");
    assert_eq!(told(&change), ["customer.updated static 2"]);
    let mut one_shot = now;
    one_shot.client.as_mut().expect("a client").callbacks.sep12 = None;
    one_shot.registration = Some(registration());
    let change = take(&one_shot, &more).expect("a change");
    assert_eq!(told(&change), Vec::<String>::new());
    let (_, snapshot) = change.snapshot.expect("it is remembered");
    assert!(snapshot.says(&more) && snapshot.told == 1);
}

fn registration() -> Registration {
    Registration {
        client: name("lobby"),
        customer: customer_id(),
        url: "https://wallet.example/one".into(),
        ended: BTreeSet::new(),
        registered_at: NOW,
    }
}

#[test]
fn a_registered_url_is_told_until_the_verdict_and_again_once_it_is_put_again() {
    let mut now = known(transaction(Sep::Sep6, S::Incomplete, Funds::NotPayable));
    now.registration = Some(registration());
    now.client.as_mut().expect("a client").callbacks.sep6 = None;
    for (status, want) in [
        (NeedsInfo, "customer.status_changed registered 1"),
        (Accepted, "customer.status_changed registered 2"),
        (Processing, "customer.status_changed static 3"),
    ] {
        let change = take(&now, &customer(status, "")).expect("a change");
        assert_eq!(told(&change).first().map(String::as_str), Some(want));
        now = after(&now, &change);
    }
    now.registration = Some(registration());
    let change = take(&now, &customer(Accepted, "")).expect("a change");
    assert_eq!(
        told(&change).first().map(String::as_str),
        Some("customer.status_changed registered 4")
    );
}

#[test]
fn nobody_is_told_of_what_nobody_owns_or_nobody_has_a_url_for() {
    let mut orphan = known(transaction(Sep::Sep6, S::Incomplete, Funds::Payable));
    orphan.client = None;
    orphan.transaction.on_change_callback = Some("https://wallet.example/own".into());
    let change = take(&orphan, &customer(NeedsInfo, "")).expect("a change");
    assert_eq!(
        told(&change),
        [
            "customer.status_changed no_client",
            "transaction.status_changed no_client"
        ]
    );
    assert_eq!(change.transaction.told, 0);
    let mut silent = known(transaction(Sep::Sep31, S::PendingReceiver, Funds::Payable));
    silent.client.as_mut().expect("a client").callbacks = Callbacks::default();
    let change = take(&silent, &customer(NeedsInfo, "")).expect("a change");
    assert_eq!(
        told(&change),
        [
            "customer.status_changed no_callback",
            "transaction.status_changed no_callback"
        ]
    );
    let ids: BTreeSet<_> = change.tellings.iter().map(|it| &it.event.id).collect();
    assert_eq!(ids.len(), 2);
    let reasons = change.tellings.iter().map(|it| &it.recipients);
    assert!(reasons.eq([&Recipients::SetAside(SetAside::NoCallback); 2]));
}

#[test]
fn a_transactions_own_url_is_told_before_the_clients() {
    let mut own = known(transaction(Sep::Sep6, S::Incomplete, Funds::Payable));
    own.transaction.on_change_callback = Some("https://wallet.example/own".into());
    let change = take(&own, &customer(NeedsInfo, "")).expect("a change");
    assert_eq!(
        told(&change),
        [
            "customer.status_changed static 1",
            "transaction.status_changed own 1"
        ]
    );
}

#[test]
fn another_customer_or_an_error_without_a_word_is_refused() {
    let mut named = known(transaction(Sep::Sep6, S::Incomplete, Funds::Payable));
    named.transaction.customers.sender = CustomerId::parse("cus_2").ok();
    let refused = |known: &Known, customer: &Customer| {
        step(
            &tenant(),
            &call(),
            Some(customer),
            known,
            Mapping::Sep6,
            NOW,
        )
        .err()
    };
    assert_eq!(
        refused(&named, &customer(Accepted, "")),
        Some(Refused::OtherCustomer)
    );
    named.transaction.customers.receiver = Some(customer_id());
    assert_eq!(refused(&named, &customer(Accepted, "")), None);
    assert_eq!(
        refused(&named, &customer(Rejected, "")),
        Some(Refused::NoMessage)
    );
}

#[test]
fn a_put_tells_of_a_status_that_changed_but_not_of_the_first_one() {
    let draft = |status| {
        let transaction = transaction(Sep::Sep6, status, Funds::Payable);
        Draft {
            sep: transaction.sep,
            kind: transaction.kind,
            status,
            client: transaction.client,
            customers: transaction.customers,
            message: None,
            transfer_received_at: None,
            amounts_known: true,
            instructions_known: true,
            on_change_callback: None,
            details: serde_json::Map::from_iter([("amount_in".into(), "10.00".into())]),
        }
    };
    let id = TransactionId::parse("tx-1").expect("a valid id");
    let put = |status, known: Option<&Transaction>| {
        put(&tenant(), &id, draft(status), known, Some(&client()), NOW)
    };
    let first = put(S::Incomplete, None).expect("it is new");
    assert_eq!(told(&first), Vec::<String>::new());
    assert_eq!(
        put(S::Incomplete, Some(&first.transaction)),
        None,
        "it is so already"
    );
    let second = put(S::Completed, Some(&first.transaction)).expect("a change");
    assert_eq!(told(&second), ["transaction.status_changed static 1"]);
    assert_eq!(second.transaction.completed_at, Some(NOW));
    let body = second.tellings.first().map(|it| it.event.data.as_str());
    assert_eq!(
        body,
        Some(
            r#"{"transaction":{"amount_in":"10.00","completed_at":"1970-01-01T00:00:00Z","id":"tx-1","kind":"deposit","started_at":"1970-01-01T00:00:00Z","status":"completed","updated_at":"1970-01-01T00:00:00Z"}}"#
        )
    );
}

#[test]
fn a_token_is_of_the_client_with_its_domain_else_of_the_one_with_its_account() {
    let texts = |texts: &[&str]| texts.iter().map(|it| (*it).to_owned()).collect();
    let with = |id, domains: &[&str], accounts: &[&str]| Client {
        id: name(id),
        domains: texts(domains),
        signing_keys: texts(accounts),
        ..client()
    };
    let clients = [
        with("lobby", &["lobby.example"], &["GLOBBY"]),
        with("shop", &["shop.example", "pay.example"], &["GSHOP", "GPAY"]),
    ];
    let cases = [
        ("GLOBBY", None, Some("lobby")),
        ("GPAY", None, Some("shop")),
        ("GOTHER", None, None),
        ("GOTHER", Some("PAY.Example"), Some("shop")),
        ("GLOBBY", Some("shop.example"), Some("shop")),
        ("GLOBBY", Some("other.example"), Some("lobby")),
        ("GOTHER", Some("other.example"), None),
    ];
    for (account, domain, want) in cases {
        let found = Client::find(&clients, account, domain);
        let found = found.map(|client| client.id.as_str());
        assert_eq!(found, want, "{account} {domain:?}");
    }
}

#[test]
fn money_is_payable_once_amounts_and_instructions_are_known() {
    let cases = [
        (None, false, false, Funds::NotPayable),
        (None, true, false, Funds::NotPayable),
        (None, false, true, Funds::NotPayable),
        (None, true, true, Funds::Payable),
        (Some(NOW), false, false, Funds::Received),
        (Some(NOW), true, true, Funds::Received),
    ];
    for (transfer_received_at, amounts_known, instructions_known, want) in cases {
        let transaction = Transaction {
            transfer_received_at,
            amounts_known,
            instructions_known,
            ..transaction(Sep::Sep6, S::Incomplete, Funds::Payable)
        };
        let row = format!("{transfer_received_at:?} {amounts_known} {instructions_known}");
        assert_eq!(transaction.funds(), want, "{row}");
    }
}

#[test]
fn what_wallets_are_told_is_personal_and_nothing_else() {
    let cases = [
        (CUSTOMER_STATUS_CHANGED, true),
        (CUSTOMER_UPDATED, true),
        (TRANSACTION_STATUS_CHANGED, true),
        ("recovery.recovered", false),
    ];
    for (event_type, want) in cases {
        let parsed = EventType::parse(event_type).expect("a valid type");
        assert_eq!(is_personal(&parsed), want, "{event_type}");
    }
}

#[test]
fn a_change_says_when_it_was_made_and_counts_and_leaves_the_rest() {
    let later = Timestamp::from_second(60).expect("a time in range");
    let before = Transaction {
        message: Some("send your passport".into()),
        told: 4,
        revision: 7,
        details: serde_json::Map::from_iter([("amount_in".into(), "10.00".into())]),
        ..transaction(Sep::Sep6, S::PendingCustomerInfoUpdate, Funds::NotPayable)
    };
    let call = Call {
        message: Some("thank you".into()),
        ..call()
    };
    let answer = customer(Accepted, "");
    let of = known(before.clone());
    let got = step(&tenant(), &call, Some(&answer), &of, Mapping::Sep6, later);
    let change = got.expect("it is taken").expect("a change");
    let want = Transaction {
        status: S::PendingAnchor,
        message: Some("thank you".into()),
        updated_at: later,
        told: 5,
        revision: 8,
        ..before.clone()
    };
    assert_eq!(change.transaction, want);

    let draft = Draft {
        sep: before.sep,
        kind: before.kind.clone(),
        status: S::PendingAnchor,
        client: before.client.clone(),
        customers: before.customers.clone(),
        message: None,
        transfer_received_at: None,
        amounts_known: false,
        instructions_known: false,
        on_change_callback: None,
        details: before.details.clone(),
    };
    let id = before.id.clone();
    let got = put(&tenant(), &id, draft, Some(&before), Some(&client()), later);
    let want = Transaction {
        status: S::PendingAnchor,
        message: None,
        updated_at: later,
        told: 5,
        revision: 8,
        ..before
    };
    assert_eq!(got.expect("a change").transaction, want);
}
