//! What the worker does with messages: duplicates, failures, panics, nonsense.

use std::sync::Mutex;

use futures::FutureExt;
use jiff::SignedDuration;
use receiver::account::tell;
use receiver::event::Event;
use receiver::inprocess::LINE;
use shared::event::Kind;
use shared::queue::{Enqueue, Message};

use crate::support::{Delivery, RAFIKI, REMEMBER, Receiver, Told, Worked, not_found};

fn deliver(receiver: &Receiver, id: &str) {
    let delivery = Delivery::rafiki(&not_found(id), RAFIKI, receiver.now());
    let answer = receiver.post(&delivery).expect("it lives");
    assert_eq!(answer.status, 200);
}

fn work(receiver: &Receiver) -> Worked {
    receiver.work().expect("it lives")
}

#[test]
fn a_duplicate_is_dropped_for_four_days() {
    let second = SignedDuration::from_secs(1);
    let cases = [
        ("at once", SignedDuration::ZERO, 1),
        ("after ten minutes", SignedDuration::from_mins(10), 1),
        ("a second before four days", REMEMBER - second, 1),
        ("after four days", REMEMBER, 2),
    ];
    for (name, after, want) in cases {
        let receiver = Receiver::new(Told::default());
        deliver(&receiver, "evt_1");
        work(&receiver);
        receiver.clock.advance(after);
        deliver(&receiver, "evt_1");
        work(&receiver);
        assert_eq!(receiver.told.calls().len(), want, "{name}");
        assert_eq!(receiver.queues.len(LINE), 0, "{name}");
    }
}

#[test]
fn what_fails_comes_again_later_and_later_and_holds_up_nothing_else() {
    let receiver = Receiver::new(Told {
        failures: Mutex::new(3),
        ..Told::default()
    });
    deliver(&receiver, "evt_1");
    for wait in [2, 4, 8] {
        let worked = work(&receiver);
        assert_eq!((worked.received, worked.done), (1, 0));
        receiver
            .clock
            .advance(SignedDuration::from_millis(wait * 1000 - 1));
        assert_eq!(work(&receiver).received, 0, "{wait} s have not passed");
        receiver.clock.advance(SignedDuration::from_millis(1));
    }
    deliver(&receiver, "evt_2");
    let worked = work(&receiver);
    assert_eq!((worked.received, worked.done), (2, 2));
    assert_eq!(receiver.told.calls().len(), 5);
}

#[test]
fn one_panic_does_not_take_the_others_with_it() {
    let receiver = Receiver::new(Told {
        failures: Mutex::new(1),
        panics: true,
        ..Told::default()
    });
    for id in ["evt_1", "evt_2", "evt_3"] {
        deliver(&receiver, id);
    }
    let worked = work(&receiver);
    assert_eq!((worked.received, worked.done), (3, 2));
    receiver.clock.advance(SignedDuration::from_secs(2));
    let worked = work(&receiver);
    assert_eq!((worked.received, worked.done), (1, 1));
}

#[test]
fn two_messages_of_one_event_in_a_batch_make_one_call() {
    let receiver = Receiver::new(Told::default());
    deliver(&receiver, "evt_1");
    receiver.clock.advance(SignedDuration::from_mins(6));
    deliver(&receiver, "evt_1");
    let worked = work(&receiver);
    assert_eq!((worked.received, worked.done), (2, 2));
    assert_eq!(receiver.told.calls().len(), 1);
}

#[test]
fn what_just_failed_is_not_tried_again_by_the_next_message_of_its_batch() {
    let receiver = Receiver::new(Told {
        failures: Mutex::new(1),
        ..Told::default()
    });
    deliver(&receiver, "evt_1");
    receiver.clock.advance(SignedDuration::from_mins(6));
    deliver(&receiver, "evt_1");
    let worked = work(&receiver);
    assert_eq!((worked.received, worked.done), (2, 0));
    assert_eq!(receiver.told.calls().len(), 1);
}

#[test]
fn what_is_no_event_ends_among_the_dead_letters() {
    let receiver = Receiver::new(Told::default());
    let name = Some("nonsense".to_owned());
    let message = Message {
        group: name.clone(),
        deduplication: name,
        ..Message::new("nonsense")
    };
    let sent = receiver.queues.send(LINE, vec![message]).now_or_never();
    assert!(sent.is_some_and(|sent| sent.is_ok()));
    for _ in 0..101 {
        let _ = work(&receiver);
        receiver.clock.advance(SignedDuration::from_mins(16));
    }
    assert_eq!(receiver.queues.len(LINE), 0);
    assert_eq!(receiver.queues.dead_letters().len(LINE), 1);
}

#[test]
fn each_type_reaches_its_own_method_and_an_unknown_one_the_last() {
    let mut want = [
        (Kind::IncomingPaymentCreated, "incoming_payment_created"),
        (Kind::IncomingPaymentCompleted, "incoming_payment_completed"),
        (Kind::IncomingPaymentExpired, "incoming_payment_expired"),
        (
            Kind::IncomingPaymentPartialPaymentReceived,
            "partial_payment_received",
        ),
        (Kind::OutgoingPaymentCreated, "outgoing_payment_created"),
        (Kind::OutgoingPaymentCompleted, "outgoing_payment_completed"),
        (Kind::OutgoingPaymentFailed, "outgoing_payment_failed"),
        (Kind::OutgoingPaymentFunded, "outgoing_payment_funded"),
        (Kind::OutgoingPaymentCancelled, "outgoing_payment_cancelled"),
        (Kind::WalletAddressNotFound, "wallet_address_not_found"),
        (Kind::WalletAddressWebMonetization, "web_monetization"),
        (Kind::AssetLiquidityLow, "asset_liquidity_low"),
        (Kind::AssetLiquidityHigh, "asset_liquidity_high"),
        (Kind::PeerLiquidityLow, "peer_liquidity_low"),
        (Kind::PeerLiquidityHigh, "peer_liquidity_high"),
        (Kind::GrantRevoked, "grant_revoked"),
    ]
    .map(|(kind, method)| (kind.wire_name(), kind.sample().to_owned(), method))
    .to_vec();
    // Merchants' events have no method here, and decisions are asked for elsewhere.
    for kind in Kind::ALL {
        let name = kind.wire_name();
        if name.starts_with("recovery.") || name.ends_with("decision_requested") {
            want.push((name, kind.sample().to_owned(), name));
        }
    }
    assert_eq!(want.len(), Kind::ALL.len(), "every type of the catalogue");
    let unknown = r#"{"id":"evt_1","type":"asset.gone","data":{}}"#.to_owned();
    want.push(("asset.gone", unknown, "asset.gone"));
    for (name, sample, method) in want {
        let receiver = Receiver::new(Told::default());
        let delivery = Delivery::rafiki(&sample, RAFIKI, receiver.now());
        assert_eq!(
            receiver
                .post(&delivery)
                .map(|answer| answer.status.as_u16()),
            Some(200)
        );
        assert_eq!(work(&receiver).done, 1, "{name}");
        let calls = receiver.told.calls();
        let called: Vec<_> = calls.iter().map(|(called, _)| called.as_str()).collect();
        assert_eq!(called, [method], "{name}");
    }
}

#[test]
fn a_payload_that_is_not_its_types_is_kept_and_named_without_being_quoted() {
    let receiver = Receiver::new(Told::default());
    let body = r#"{"id":"evt_1","type":"wallet_address.not_found","data":{"walletAddressUrl":77}}"#;
    let delivery = Delivery::rafiki(body, RAFIKI, receiver.now());
    receiver.post(&delivery);
    let worked = work(&receiver);
    assert_eq!((worked.received, worked.done), (1, 0));
    assert!(receiver.told.calls().is_empty());

    let event = Event::decode(body).expect("it is an event");
    let told = tell(receiver.told.as_ref(), &event).now_or_never();
    let why = told.and_then(Result::err).map(|why| why.to_string());
    let want = "`data.walletAddressUrl` must be a string of 1 to 2048 characters";
    assert_eq!(why.as_deref(), Some(want));
}
