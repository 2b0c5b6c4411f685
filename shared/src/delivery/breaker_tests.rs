use proptest::prelude::*;

use super::*;

const START: i64 = 1_767_225_600;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(START + second).expect("a time in range")
}

fn settings() -> BreakerSettings {
    BreakerSettings::default()
}

fn policy() -> BreakerPolicy {
    BreakerPolicy::On(settings())
}

/// Opened by its failures at `second`.
fn opened(second: i64) -> Breaker {
    let mut breaker = Breaker::default();
    breaker.note(&policy(), &[Came::Failed; 10], at(second));
    breaker
}

/// Claims the probe at `second`, and notes what came of it a second later.
fn probe(breaker: &mut Breaker, second: i64, through: bool) {
    let claimed = breaker.claim(&policy(), at(second));
    let claimed = claimed.expect("the probe may be claimed");
    breaker.probed(&policy(), claimed, through, at(second + 1));
}

#[test]
fn it_opens_after_so_many_failures_in_a_row() {
    let mut breaker = Breaker::default();
    breaker.note(&policy(), &[Came::Failed; 9], at(0));
    assert_eq!((breaker.as_str(), breaker.run()), ("closed", 9));
    breaker.note(&policy(), &[Came::Through(1)], at(1));
    assert_eq!(breaker.run(), 0, "one that gets through begins anew");
    breaker.note(&policy(), &[Came::Failed; 9], at(2));
    assert_eq!(breaker.as_str(), "closed");
    breaker.note(&policy(), &[Came::Failed], at(3));
    assert_eq!((breaker.as_str(), breaker.run()), ("open", 10));
    assert_eq!(breaker.opened_by(), Some(OpenedBy::Failures));
    assert_eq!(breaker.since(), Some(at(3)));
    assert_eq!(breaker.next_probe_at(), Some(at(63)));
}

#[test]
fn it_opens_when_most_of_a_window_failed() {
    // Never ten in a row: one in ten gets through.
    let round = [
        Came::Failed,
        Came::Failed,
        Came::Failed,
        Came::Failed,
        Came::Failed,
        Came::Failed,
        Came::Failed,
        Came::Failed,
        Came::Failed,
        Came::Through(1),
    ];
    let mut breaker = Breaker::default();
    breaker.note(&policy(), &round, at(0));
    breaker.note(&policy(), &round, at(100));
    assert_eq!(
        breaker.as_str(),
        "closed",
        "18 of 20, but the last got through"
    );
    breaker.note(&policy(), &[Came::Failed], at(299));
    assert_eq!(breaker.as_str(), "open", "19 of 21 are more than 90 %");

    let mut breaker = Breaker::default();
    breaker.note(&policy(), &round, at(0));
    breaker.note(&policy(), &round, at(100));
    breaker.note(&policy(), &[Came::Failed], at(300));
    assert_eq!(breaker.as_str(), "closed", "another window has begun");

    let mut breaker = Breaker::default();
    breaker.note(&policy(), &[Came::Through(3)], at(0));
    for _ in 0..2 {
        breaker.note(&policy(), &round, at(1));
    }
    breaker.note(&policy(), &[Came::Failed], at(2));
    assert_eq!(breaker.as_str(), "closed", "19 of 24 are less than 90 %");
}

#[test]
fn one_that_is_off_opens_by_its_operator_alone() {
    let off = BreakerPolicy::Off;
    let mut breaker = Breaker::default();
    breaker.note(&off, &[Came::Failed; 1000], at(0));
    assert_eq!(breaker, Breaker::default());
    assert_eq!(opened(0).gate(&off, at(1)), Gate::Go, "switched off since");
    breaker.open(at(1));
    assert_eq!(breaker.gate(&off, at(2)), Gate::Hold);
}

#[test]
fn it_is_probed_after_its_pause_by_one_at_a_time() {
    let mut breaker = opened(0);
    let gate = |breaker: &Breaker, second| breaker.gate(&policy(), at(second));
    assert_eq!(gate(&breaker, 59), Gate::Hold);
    assert_eq!(breaker.claim(&policy(), at(59)), None);
    assert_eq!(gate(&breaker, 60), Gate::Probe);
    let first = breaker.claim(&policy(), at(60)).expect("its pause is over");
    assert_eq!(gate(&breaker, 61), Gate::Hold);
    assert_eq!(breaker.claim(&policy(), at(119)), None, "it is claimed");
    let second = breaker
        .claim(&policy(), at(120))
        .expect("its lease is over");
    breaker.probed(&policy(), first, true, at(121));
    assert_eq!(
        breaker.as_str(),
        "probing",
        "the first is no longer the probe"
    );
    breaker.note(&policy(), &[Came::Through(9), Came::Failed], at(122));
    assert_eq!(breaker.as_str(), "probing", "nor is anybody else");
    breaker.probed(&policy(), second, true, at(123));
    assert_eq!(breaker.as_str(), "releasing");
    assert_eq!(gate(&breaker, 123), Gate::Go);
}

#[test]
fn each_probe_that_fails_doubles_the_pause_up_to_the_most() {
    let (mut breaker, mut now, mut pauses) = (opened(0), 0, Vec::new());
    for _ in 0..9 {
        let next = breaker.next_probe_at().expect("it is probed");
        let wait = next.duration_since(at(now)).as_secs();
        pauses.push(wait);
        probe(&mut breaker, now + wait, false);
        now += wait + 1;
    }
    assert_eq!(pauses, [60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]);
    assert_eq!(breaker.since(), Some(at(0)), "it was never closed");
    assert_eq!(breaker.run(), 19);
}

#[test]
fn while_releasing_three_failures_open_it_for_the_pause_there_was() {
    let mut breaker = opened(0);
    probe(&mut breaker, 60, false);
    probe(&mut breaker, 181, true);
    breaker.note(
        &policy(),
        &[Came::Failed, Came::Failed, Came::Through(1)],
        at(190),
    );
    breaker.note(&policy(), &[Came::Failed, Came::Failed], at(191));
    assert_eq!(breaker.as_str(), "releasing");
    breaker.note(&policy(), &[Came::Failed], at(192));
    assert_eq!((breaker.as_str(), breaker.since()), ("open", Some(at(192))));
    assert_eq!(breaker.next_probe_at(), Some(at(192 + 120)));
}

#[test]
fn it_lets_go_more_with_each_run_up_to_its_rate() {
    let mut breaker = opened(0);
    probe(&mut breaker, 60, true);
    let mut batches = Vec::new();
    for minute in 2..10 {
        let Breaker::Releasing { batch, .. } = breaker else {
            panic!("{breaker:?}");
        };
        batches.push(batch);
        breaker.swept(true, at(minute * 60));
    }
    assert_eq!(batches, [10, 20, 40, 80, 160, 320, 600, 600]);
}

#[test]
fn it_is_closed_once_nothing_waits_and_nobody_can_hold_any_more() {
    let mut breaker = opened(0);
    probe(&mut breaker, 60, true);
    breaker.swept(false, at(61 + 300));
    assert_eq!(breaker.as_str(), "releasing", "somebody may still hold one");
    breaker.swept(true, at(61 + 301));
    assert_eq!(breaker.as_str(), "releasing", "something waits");
    breaker.swept(false, at(61 + 301));
    assert_eq!(breaker.as_str(), "closed");
    assert_eq!(breaker.due(), None);
}

#[test]
fn what_the_operator_opened_the_operator_closes() {
    for before in [Breaker::default(), opened(0)] {
        let mut breaker = before;
        breaker.open(at(10));
        assert_eq!(breaker.opened_by(), Some(OpenedBy::Operator));
        assert_eq!((breaker.next_probe_at(), breaker.due()), (None, None));
        assert_eq!(breaker.gate(&policy(), at(100_000)), Gate::Hold);
        assert_eq!(breaker.claim(&policy(), at(100_000)), None);
        breaker.note(&policy(), &[Came::Through(100)], at(100_000));
        assert_eq!(breaker.as_str(), "open");
        breaker.close(&policy(), at(100_001));
        assert_eq!(breaker.as_str(), "releasing");
        breaker.close(&policy(), at(100_002));
        assert_eq!(breaker.since(), Some(at(100_001)), "it is closed already");
    }
    let mut probing = opened(0);
    let claimed = probing.claim(&policy(), at(60)).expect("its pause is over");
    probing.open(at(61));
    probing.probed(&policy(), claimed, true, at(62));
    assert_eq!(
        probing.as_str(),
        "open",
        "the operator's word outlasts a probe"
    );
    let mut closed = Breaker::default();
    closed.close(&policy(), at(0));
    assert_eq!(closed, Breaker::default());
}

#[test]
fn a_breaker_comes_back_from_its_record() {
    let mut probing = opened(0);
    probing.claim(&policy(), at(60));
    let mut releasing = opened(0);
    probe(&mut releasing, 60, true);
    let mut by_operator = Breaker::default();
    by_operator.open(at(0));
    for breaker in [
        Breaker::default(),
        opened(0),
        probing,
        releasing,
        by_operator,
    ] {
        let json = serde_json::to_string(&breaker).expect("numbers and times");
        assert_eq!(serde_json::from_str(&json).ok(), Some(breaker), "{json}");
    }
}

/// What happens to a breaker.
#[derive(Debug, Clone)]
enum Step {
    Wait(i64),
    Came(Vec<bool>),
    Claim,
    /// The claimed probe, counted from the last, ends.
    Probed(usize, bool),
    Open,
    Close,
    Swept(bool),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0_i64..4000).prop_map(Step::Wait),
        prop::collection::vec(prop::bool::weighted(0.2), 0..15).prop_map(Step::Came),
        Just(Step::Claim),
        Just(Step::Claim),
        (0_usize..3, any::<bool>()).prop_map(|(which, through)| Step::Probed(which, through)),
        Just(Step::Open),
        Just(Step::Close),
        any::<bool>().prop_map(Step::Swept),
    ]
}

proptest! {
    #[test]
    fn whatever_happens_its_laws_hold(
        steps in prop::collection::vec(step(), 1..80),
        pause_s in 1_u32..600,
        failures in 1_u32..20,
    ) {
        let settings = BreakerSettings {
            failures,
            pause_s,
            pause_most_s: 1800,
            share_percent: 100,
            minimum: 10_000,
            ..settings()
        };
        let policy = BreakerPolicy::On(settings);
        let (mut breaker, mut now) = (Breaker::default(), at(0));
        let mut probes: Vec<Probe> = Vec::new();
        for step in steps {
            let before = breaker.clone();
            match step {
                Step::Wait(seconds) => now = later(now, SignedDuration::from_secs(seconds)),
                Step::Came(tries) => {
                    let came = |through: &bool| if *through { Came::Through(1) } else { Came::Failed };
                    let came: Vec<_> = tries.iter().map(came).collect();
                    breaker.note(&policy, &came, now);
                    if let Breaker::Closed { .. } = before {
                        // It opens exactly where the settings say: the longest run decides.
                        let mut run = before.run();
                        let trips = tries.iter().any(|through| {
                            run = if *through { 0 } else { run + 1 };
                            run >= failures
                        });
                        prop_assert_eq!(breaker.as_str() == "open", trips);
                    }
                    if let Breaker::Open { .. } | Breaker::Probing { .. } = before {
                        prop_assert_eq!(&breaker, &before, "only a probe, or the operator, closes it");
                    }
                }
                Step::Claim => {
                    let out = probes.iter().any(|probe| probe.until > now);
                    if let Some(probe) = breaker.claim(&policy, now) {
                        let opened_since = !matches!(before, Breaker::Probing { .. });
                        prop_assert!(!out || opened_since, "two probes at once");
                        prop_assert_eq!(probe.until, later(now, PROBE_LEASE));
                        probes.push(probe);
                    }
                }
                Step::Probed(which, through) => {
                    if let Some(probe) = probes.iter().rev().nth(which).copied() {
                        breaker.probed(&policy, probe, through, now);
                    }
                }
                Step::Open => {
                    breaker.open(now);
                    prop_assert_eq!(breaker.gate(&policy, now), Gate::Hold);
                }
                Step::Close => {
                    breaker.close(&policy, now);
                    prop_assert_eq!(breaker.gate(&policy, now), Gate::Go);
                }
                Step::Swept(waits) => breaker.swept(waits, now),
            }
            match &breaker {
                Breaker::Open { by: OpenedBy::Failures, pause_s: pause, probe_at, .. } => {
                    prop_assert!((settings.pause_s..=settings.pause_most_s).contains(pause));
                    let pause = SignedDuration::from_secs(i64::from(*pause));
                    // One probe is always let out by the end of the pause, and none before.
                    let probe_at = probe_at.expect("it is probed by itself");
                    prop_assert!(probe_at <= later(now, pause));
                    prop_assert_eq!(breaker.gate(&policy, probe_at), Gate::Probe);
                }
                Breaker::Probing { until, .. } => {
                    prop_assert_eq!(breaker.gate(&policy, *until), Gate::Probe, "a lost probe is claimed again");
                }
                Breaker::Open { by: OpenedBy::Operator, .. } => {
                    prop_assert_eq!(breaker.due(), None);
                }
                Breaker::Releasing { batch, rate, .. } => {
                    prop_assert!((1..=*rate).contains(batch));
                }
                Breaker::Closed { .. } => {}
            }
        }
    }
}

#[test]
fn sweep_looks_after_it_when_a_probe_may_be_sent_and_while_it_lets_go() {
    assert_eq!(Breaker::default().due(), None);
    let mut breaker = opened(0);
    let probe_at = breaker.next_probe_at().expect("it probes by itself");
    assert_eq!(breaker.due(), Some(probe_at));
    let claimed = breaker.claim(&policy(), probe_at);
    let claimed = claimed.expect("the probe may be claimed");
    assert_eq!(breaker.due(), Some(claimed.until));
    let mut by_hand = Breaker::default();
    by_hand.open(at(0));
    assert_eq!(by_hand.due(), by_hand.next_probe_at());
}
