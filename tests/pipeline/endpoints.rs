//! Receivers that misbehave, over real connections: what each try is recorded as, and that it ends in time.

use std::sync::Arc;

use jiff::SignedDuration;
use serde_json::{Value, json};
use shared::delivery::{Outcome, Vetting};
use shared::queue::Queue;
use shared::time::SystemClock;
use shared::transport::https::Https;
use tests::hostile::{Behaviour, Hostile};
use tests::scene::{SHOP_SECRET, SHOP_URL, Scene};

use crate::{FAILED, list, states, text};

/// A scene with the real way out, and a deadline that keeps the test short.
async fn scene() -> anyhow::Result<Scene> {
    let vetting = Vetting::new(vec!["127.0.0.0/8".parse()?], None);
    Scene::with_transport(Arc::new(Https::new(vetting, Arc::new(SystemClock))?)).await
}

async fn deliver_to(url: &str) -> anyhow::Result<(Scene, serde_json::Value)> {
    let scene = scene().await?;
    let retry = json!({ "policy": "linear", "step_s": 10, "max_retry": 5 });
    let settings =
        json!({ "url": url, "secrets": [SHOP_SECRET], "timeout_ms": 300, "retry": retry });
    scene.put_endpoint("shop", settings).await?;
    scene.webhook(FAILED).await?;
    scene.settle().await?;
    let event = scene.events().await?.pop().unwrap_or_default();
    Ok((scene, event))
}

#[tokio::test]
async fn each_misbehaviour_is_recorded_as_what_it_is() -> anyhow::Result<()> {
    use Behaviour::*;
    struct Case {
        behaviour: Behaviour,
        status: &'static str,
        failure: &'static str,
        state: &'static str,
    }
    const REDIRECT: &str = "HTTP/1.1 301 Moved\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    let cases = [
        Case {
            behaviour: Status(500),
            status: "500",
            failure: "",
            state: "retrying",
        },
        Case {
            behaviour: Raw(REDIRECT),
            status: "301",
            failure: "",
            state: "retrying",
        },
        Case {
            behaviour: Close,
            status: "",
            failure: "closed",
            state: "retrying",
        },
        Case {
            behaviour: Midway,
            status: "",
            failure: "closed",
            state: "retrying",
        },
        Case {
            behaviour: Silent,
            status: "",
            failure: "timeout",
            state: "retrying",
        },
        Case {
            behaviour: Drip,
            status: "",
            failure: "timeout",
            state: "retrying",
        },
        Case {
            behaviour: Endless,
            status: "200",
            failure: "",
            state: "delivered",
        },
        Case {
            behaviour: GzipBomb,
            status: "200",
            failure: "",
            state: "delivered",
        },
        Case {
            behaviour: EndlessHeaders,
            status: "",
            failure: "protocol",
            state: "retrying",
        },
        Case {
            behaviour: Raw("nonsense\r\n\r\n"),
            status: "",
            failure: "protocol",
            state: "retrying",
        },
        Case {
            behaviour: Status(410),
            status: "410",
            failure: "",
            state: "given_up",
        },
    ];
    for Case {
        behaviour,
        status,
        failure,
        state,
    } in cases
    {
        let receiver = Hostile::start([behaviour]).await?;
        let (_, event) = deliver_to(&receiver.url()).await?;
        let got = ["/tries/0/status", "/tries/0/failure", "/state"]
            .map(|part| text(&event, &format!("/deliveries/0{part}")));
        assert_eq!(got, [status, failure, state], "{behaviour:?}");
        assert_eq!(
            list(&event, "/deliveries/0/tries").len(),
            1,
            "{behaviour:?}"
        );
        assert_eq!(
            receiver.requests().len(),
            1,
            "{behaviour:?}: no redirect is followed"
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_receiver_that_refuses_and_comes_back_gets_its_event() -> anyhow::Result<()> {
    let receiver = Hostile::start([
        Behaviour::Status(500),
        Behaviour::Close,
        Behaviour::Status(200),
    ])
    .await?;
    let (scene, _) = deliver_to(&receiver.url()).await?;
    scene.pass(SignedDuration::from_mins(2)).await?;
    assert_eq!(
        states(&scene.events().await?),
        ["recovery.payment_failed delivered"]
    );
    let requests = receiver.requests();
    let line = |request: &String, name: &str| {
        request
            .lines()
            .find(|line| line.starts_with(name))
            .unwrap_or_default()
            .to_owned()
    };
    let ids: Vec<_> = requests
        .iter()
        .map(|request| line(request, "webhook-id"))
        .collect();
    let signatures: std::collections::BTreeSet<_> = requests
        .iter()
        .map(|request| line(request, "webhook-signature"))
        .collect();
    assert_eq!(ids.len(), 3);
    assert!(
        ids.iter().all(|id| Some(id) == ids.first()),
        "the same id on every try"
    );
    assert_eq!(signatures.len(), 3, "each try is signed afresh");
    Ok(())
}

#[tokio::test]
async fn nothing_listens_there() -> anyhow::Result<()> {
    let url = Hostile::start([Behaviour::Close]).await?.url();
    let (_, event) = deliver_to(&url).await?;
    assert_eq!(text(&event, "/deliveries/0/tries/0/failure"), "refused");
    Ok(())
}

#[tokio::test]
async fn a_target_that_turned_private_is_blocked_at_the_try() -> anyhow::Result<()> {
    let scene = Scene::with_transport(Arc::new(Https::new(
        Vetting::default(),
        Arc::new(SystemClock),
    )?))
    .await?;
    let receiver = Hostile::start([Behaviour::Status(200)]).await?;
    // Registered where loopback is allowed, delivered where it is not.
    scene
        .put_endpoint(
            "shop",
            json!({ "url": receiver.url(), "secrets": [SHOP_SECRET] }),
        )
        .await?;
    scene.webhook(FAILED).await?;
    scene.settle().await?;
    let event = scene.events().await?.pop().unwrap_or_default();
    assert_eq!(text(&event, "/deliveries/0/tries/0/failure"), "blocked");
    assert!(receiver.requests().is_empty());
    Ok(())
}

#[tokio::test]
async fn an_endpoint_that_is_gone_gets_nothing_more_until_it_is_enabled_again() -> anyhow::Result<()>
{
    let receiver = Hostile::start([Behaviour::Status(410), Behaviour::Status(200)]).await?;
    let (scene, _) = deliver_to(&receiver.url()).await?;
    // Configuration is cached for ten seconds.
    scene.clock.advance(SignedDuration::from_secs(11));
    scene
        .webhook(
            &FAILED
                .replace("evt_1QfF1", "evt_2")
                .replace("ch_3QfA1", "ch_2"),
        )
        .await?;
    scene.settle().await?;
    let events = scene.events().await?;
    assert_eq!(
        states(&events),
        [
            "recovery.payment_failed failed",
            "recovery.payment_failed skipped"
        ]
    );
    assert_eq!(
        events.last().map(|event| text(event, "/reason")),
        Some("endpoint_disabled".into())
    );
    assert_eq!(receiver.requests().len(), 1);

    let settings = json!({ "url": receiver.url(), "secrets": [SHOP_SECRET], "state": "enabled" });
    scene.put_endpoint("shop", settings).await?;
    scene.clock.advance(SignedDuration::from_secs(11));
    scene
        .webhook(
            &FAILED
                .replace("evt_1QfF1", "evt_3")
                .replace("ch_3QfA1", "ch_3"),
        )
        .await?;
    scene.settle().await?;
    let delivered = states(&scene.events().await?);
    assert_eq!(
        delivered.last().map(String::as_str),
        Some("recovery.payment_failed delivered")
    );
    assert_eq!(receiver.requests().len(), 2);
    Ok(())
}

#[tokio::test]
async fn an_endpoint_that_was_just_enabled_again_gets_what_comes_for_it() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    scene.far.script(SHOP_URL, [Outcome::answered(200)]);
    let shop = |state: &str| json!({ "url": SHOP_URL, "secrets": [SHOP_SECRET], "state": state });
    scene.webhook(FAILED).await?;
    for _ in 0..3 {
        scene.step_without(Queue::Deliver).await?;
    }
    scene.put_endpoint("shop", shop("disabled")).await?;
    scene.settle().await?;
    assert_eq!(
        states(&scene.events().await?),
        ["recovery.payment_failed skipped"]
    );
    // What deliver keeps of the endpoint says for seconds more that it is disabled.
    scene.put_endpoint("shop", shop("enabled")).await?;
    scene.clock.advance(SignedDuration::from_secs(1));
    let second = FAILED
        .replace("evt_1QfF1", "evt_2")
        .replace("ch_3QfA1", "ch_2");
    scene.webhook(&second).await?;
    scene.settle().await?;
    assert_eq!(
        states(&scene.events().await?),
        [
            "recovery.payment_failed skipped",
            "recovery.payment_failed delivered"
        ]
    );
    assert_eq!(scene.far.requests().len(), 1);
    Ok(())
}

#[tokio::test]
async fn an_endpoint_whose_secret_does_not_open_waits_with_the_reason_and_holds_up_no_other()
-> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let till = "https://till.example/hook";
    let settings = json!({ "url": till, "secrets": [SHOP_SECRET] });
    scene.put_endpoint("till", settings).await?;
    scene.lock("shop").await?;
    scene.far.script(SHOP_URL, [Outcome::answered(200)]);
    scene.far.script(till, [Outcome::answered(200)]);
    scene.webhook(FAILED).await?;
    scene.settle().await?;
    let event = scene.events().await?.pop().unwrap_or_default();
    let shown = |n: usize, name: &str| text(&event, &format!("/deliveries/{n}/{name}"));
    assert_eq!(
        [shown(0, "endpoint"), shown(0, "state")],
        ["shop", "retrying"]
    );
    assert_eq!(shown(0, "tries/0/failure"), "locked");
    assert_eq!(
        [shown(1, "endpoint"), shown(1, "state")],
        ["till", "delivered"]
    );

    let path = "/v1/tenants/acme/endpoints";
    let listed = scene.operator("GET", path, Value::Null).await?;
    let broken = |n: usize| text(&listed, &format!("/data/{n}/broken"));
    assert!(broken(0).contains("PAYRELAY_SEAL_KEYS"), "{listed}");
    assert_eq!([text(&listed, "/data/1/id"), broken(1)], ["till", ""]);
    let body = json!({ "url": SHOP_URL, "role": "merchant", "scheme": "standard-webhooks" });
    let kept = scene.call("PUT", &format!("{path}/shop"), body).await?;
    assert_eq!(kept.status, 409, "{}", kept.body);
    let rotated = scene
        .call("POST", &format!("{path}/shop/secrets"), json!({}))
        .await?;
    assert_eq!(rotated.status, 409, "{}", rotated.body);

    let settings = json!({ "url": SHOP_URL, "secrets": [SHOP_SECRET] });
    scene.put_endpoint("shop", settings).await?;
    scene.pass(SignedDuration::from_mins(10)).await?;
    assert_eq!(
        states(&scene.events().await?),
        ["recovery.payment_failed delivered"]
    );
    Ok(())
}
