//! What signals make of a charge: which are one, whose word counts, and whether it took only a part.

use super::*;
use crate::recovery::Enrichment;
use crate::recovery::parts::{at, charge, order, psp, signal, usd};

fn attempt(second: i64, charge: Charge) -> Attempt {
    let signal = signal(second, SignalKind::PaymentFailed, Some(charge));
    Attempt::of(&signal).expect("it names a charge")
}

fn key(id: &str) -> ChargeKey {
    ChargeKey::parse(id).expect("a valid id")
}

#[test]
fn a_charge_took_a_part_if_more_is_left_or_it_is_less_than_the_invoice() {
    use SignalKind::{PaymentFailed, PaymentSucceeded};
    use Status::{Failed, Succeeded};
    struct Case {
        name: &'static str,
        kind: SignalKind,
        status: Status,
        charged: i64,
        left: Option<i64>,
        partial: bool,
    }
    let case = |name, kind, status, charged, left, partial| Case {
        name,
        kind,
        status,
        charged,
        left,
        partial,
    };
    let cases = [
        case("all", PaymentSucceeded, Succeeded, 2500, None, false),
        case("less", PaymentSucceeded, Succeeded, 2499, None, true),
        case("more", PaymentSucceeded, Succeeded, 2501, None, false),
        case(
            "nothing left",
            PaymentSucceeded,
            Succeeded,
            1000,
            Some(0),
            false,
        ),
        case(
            "some left",
            PaymentSucceeded,
            Succeeded,
            2500,
            Some(1),
            true,
        ),
        case("still open", PaymentFailed, Succeeded, 2500, None, true),
        case("failed", PaymentFailed, Failed, 1000, None, false),
        case(
            "failed, some left",
            PaymentFailed,
            Failed,
            2500,
            Some(1),
            false,
        ),
    ];
    for Case {
        name,
        kind,
        status,
        charged,
        left,
        partial,
    } in cases
    {
        let signal = Signal {
            left: left.map(usd),
            ..signal(
                1,
                kind,
                Some(Charge {
                    details: Details::of(usd(charged)),
                    ..charge("ch_1", status)
                }),
            )
        };
        let attempt = Attempt::of(&signal).expect("it names a charge");
        let fact = attempt.facts.get(&status).expect("it says so");
        assert_eq!(fact.partial, partial, "{name}");
        let collected = status == Status::Succeeded && !partial;
        assert_eq!(attempt.collected().is_some(), collected, "{name}");
    }
}

#[test]
fn charges_are_one_by_the_ids_that_the_platform_tells_apart_else_by_any_other() {
    let platforms = |id| ChargeId::Platform(key(id));
    let cases: [(&str, &[ChargeId], &[ChargeId], bool); 7] = [
        ("one id", &[psp("a")], &[psp("a"), psp("b")], true),
        ("no id", &[psp("a")], &[psp("b")], false),
        (
            "another's word for it",
            &[psp("a")],
            &[ChargeId::Transaction(key("a"))],
            true,
        ),
        (
            "only one knows the platform's",
            &[psp("a"), platforms("1")],
            &[psp("a")],
            true,
        ),
        (
            "told apart by the platform",
            &[psp("a"), platforms("1")],
            &[psp("a"), platforms("2")],
            false,
        ),
        (
            "one of the platform's",
            &[psp("a"), platforms("1")],
            &[psp("b"), platforms("1")],
            true,
        ),
        (
            "the platform's is nobody else's",
            &[platforms("a")],
            &[psp("a")],
            false,
        ),
    ];
    for (name, one, other, want) in cases {
        let set = |ids: &[ChargeId]| ids.iter().cloned().collect::<BTreeSet<_>>();
        let known = |ids| {
            attempt(
                1,
                Charge {
                    ids: set(ids),
                    ..charge("a", Status::Failed)
                },
            )
        };
        assert_eq!(known(one).is_same(&set(other)), want, "{name}");
        assert_eq!(
            known(other).is_same(&set(one)),
            want,
            "{name}, turned round"
        );
    }
}

#[test]
fn the_latest_word_says_whether_a_part_is_left_and_the_same_word_again_says_nothing() {
    let fact = |second, partial| Fact::of(&charge("a", Status::Succeeded), &order(second), partial);
    let cases = [
        ("later", 5, true, 6, false, false),
        ("earlier", 5, true, 4, false, true),
        ("again", 5, true, 5, false, true),
    ];
    for (name, known_at, known, other_at, other, want) in cases {
        let mut joined = fact(known_at, known);
        joined.join(fact(other_at, other));
        assert_eq!(joined.partial, want, "{name}");
        let (first, last) = (known_at.min(other_at), known_at.max(other_at));
        assert_eq!(
            (joined.first, joined.last),
            (order(first), order(last)),
            "{name}"
        );
    }
}

#[test]
fn details_are_those_of_the_earliest_word_among_those_that_know_most() {
    let knows = |second, enrichment, code: Option<&str>| {
        let decline = code.map(|code| Decline {
            code: code.into(),
            ..Decline::default()
        });
        let details = Details {
            enrichment,
            decline,
            ..Details::of(usd(second))
        };
        let charge = Charge {
            details,
            ..charge("a", Status::Failed)
        };
        Fact::of(&charge, &order(second), false)
    };
    use Enrichment::{Enriched, NoKey, NotNeeded};
    let cases = [
        (
            "the earlier",
            knows(5, NotNeeded, None),
            knows(4, NotNeeded, None),
            4,
        ),
        (
            "not the later",
            knows(5, NotNeeded, None),
            knows(6, NotNeeded, None),
            5,
        ),
        (
            "who was asked",
            knows(5, NotNeeded, None),
            knows(6, Enriched, None),
            6,
        ),
        (
            "not who was not",
            knows(5, NotNeeded, None),
            knows(4, NoKey, None),
            5,
        ),
        (
            "who says why",
            knows(5, NotNeeded, None),
            knows(6, NotNeeded, Some("x")),
            6,
        ),
        (
            "not who is silent",
            knows(5, NotNeeded, Some("x")),
            knows(4, NotNeeded, None),
            5,
        ),
    ];
    for (name, known, other, want) in cases {
        let mut joined = known;
        joined.join(other);
        assert_eq!(joined.told_by, order(want), "{name}");
        assert_eq!(joined.details.amount, usd(want), "{name}");
    }
    // The same word, read once more with another result, is the word that was read first.
    let mut joined = knows(5, NotNeeded, Some("first"));
    joined.join(knows(5, NotNeeded, Some("second")));
    let code = joined.details.decline.map(|decline| decline.code);
    assert_eq!(code.as_deref(), Some("first"));
}

#[test]
fn what_is_known_of_one_charge_is_put_together() {
    let of_platform = attempt(5, charge("a", Status::Pending));
    let of_merchant = Attempt {
        by_platform: false,
        ..attempt(
            6,
            Charge {
                triggered_by: TriggeredBy::Internal,
                retry: Some(2),
                ids: BTreeSet::from([psp("a"), ChargeId::Transaction(key("t"))]),
                ..charge("a", Status::Failed)
            },
        )
    };
    for (mut one, other) in [
        (of_platform.clone(), of_merchant.clone()),
        (of_merchant.clone(), of_platform.clone()),
    ] {
        one.join(other);
        assert_eq!(one.ids, of_merchant.ids);
        assert_eq!(one.key(), &key("a"));
        assert!(one.by_platform);
        assert_eq!(one.triggered_by, TriggeredBy::Internal);
        assert_eq!(one.retry, Some(2));
        assert_eq!(one.status(), Some(Status::Failed));
        assert_eq!(one.latest_order(), Some(&order(6)));
        assert_eq!(one.made_at(), Some(at(5)));
    }
    let mut nobodys = Attempt {
        by_platform: false,
        ..of_platform.clone()
    };
    nobodys.join(nobodys.clone());
    assert!(!nobodys.by_platform);
    assert_eq!(nobodys.triggered_by, TriggeredBy::External);
    let retry = |retry| Attempt {
        retry,
        ..of_platform.clone()
    };
    for (one, other, want) in [
        (Some(1), Some(2), Some(1)),
        (Some(2), Some(1), Some(1)),
        (None, Some(2), Some(2)),
        (Some(2), None, Some(2)),
        (None, None, None),
    ] {
        let mut joined = retry(one);
        joined.join(retry(other));
        assert_eq!(joined.retry, want, "{one:?} {other:?}");
    }
}

#[test]
fn of_what_was_charged_the_latest_word_that_knows_it_counts() {
    let knows = |second, status, gateway: Option<&str>, token: Option<&str>| {
        let instrument = token.map(|token| Instrument {
            token: Some(token.into()),
            ..Instrument::default()
        });
        let details = Details {
            gateway: gateway.map(str::to_owned),
            instrument,
            ..Details::of(usd(2500))
        };
        attempt(
            second,
            Charge {
                details,
                ..charge("a", status)
            },
        )
    };
    let mut charged = knows(1, Status::Pending, Some("gw_1"), Some("pm_1"));
    charged.join(knows(2, Status::Failed, Some("gw_2"), Some("pm_2")));
    charged.join(knows(3, Status::Succeeded, None, None));
    assert_eq!(charged.gateway(), Some("gw_2"));
    assert_eq!(charged.token(), Some("pm_2"));
    let nothing = knows(1, Status::Pending, None, None);
    assert_eq!((nothing.gateway(), nothing.token()), (None, None));
    let told = Attempt {
        told: Some("pm_told".into()),
        ..nothing
    };
    assert_eq!(told.token(), Some("pm_told"));
}
