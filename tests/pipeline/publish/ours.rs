//! What only we may tell: no payment backend can publish it, whatever proof it has.

use serde_json::{Value, json};
use shared::event::{Kind, Maker};
use shared::queue::Queue;
use tests::stories::TENANT;

use super::{NOW, Proof, Sent, key, scene, usual};

#[tokio::test]
async fn no_backend_can_publish_an_event_that_is_ours_to_make() -> anyhow::Result<()> {
    let scene = scene().await?;
    let key = key(&scene, TENANT).await?;
    let of_ours = |kind: &&Kind| Maker::of(&kind.event_type()) == Maker::Payrelay;
    let mut ours = Vec::new();
    for kind in Kind::ALL.iter().filter(of_ours) {
        ours.push((kind.wire_name(), serde_json::from_str(kind.sample())?));
    }
    assert_eq!(
        ours.len(),
        10,
        "what recovery tells, and what an ASE is asked"
    );
    let unknown = "recovery.not_known_yet";
    ours.push((unknown, json!({ "id": "e-1", "type": unknown, "data": {} })));
    for (name, event) in ours {
        let array = Value::from(vec![event.clone()]);
        let cases = [
            (NOW, &event, 400),
            (Proof::Key(key.clone()), &event, 400),
            (Proof::Key(key.clone()), &array, 207),
        ];
        for (proof, body, status) in cases {
            let body = body.to_string();
            let sent = Sent {
                proof,
                body,
                ..usual()
            };
            let answer = scene.send(sent.request(&*scene.clock)?).await?;
            assert_eq!(answer.status, status, "{name}: {}", answer.body);
            let said =
                "`type` must be one that payment backends make; only Payrelay makes `recovery.*`";
            assert!(answer.body.contains(said), "{name}: {}", answer.body);
        }
        assert_eq!(
            scene.queues.len(Queue::Fanout),
            0,
            "{name}: nothing is sent"
        );
    }
    Ok(())
}
