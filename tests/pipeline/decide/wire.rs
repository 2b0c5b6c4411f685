//! The deadline, lost connections, and an ASE that misbehaves.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use anyhow::{Context, Result};
use async_trait::async_trait;
use jiff::SignedDuration;
use serde_json::json;
use shared::delivery::{Failure, Outcome, Request, Vetting};
use shared::time::{ManualClock, SystemClock};
use shared::transport::Transport;
use shared::transport::https::Https;
use tests::hostile::{Behaviour, Hostile};
use tests::scene::Scene;
use tests::stories::TENANT;

use super::{creation, decision, key, put_ase, put_policy, says, stage};
use crate::{list, text};

/// A far side whose every answer takes its time on the scene's clock.
#[derive(Default)]
struct Slow {
    clock: OnceLock<Arc<ManualClock>>,
    answers: Mutex<VecDeque<(i64, Outcome)>>,
    deadlines: Mutex<Vec<i128>>,
}

#[async_trait]
impl Transport for Slow {
    async fn post(&self, request: Request) -> Outcome {
        let mut deadlines = self
            .deadlines
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        deadlines.push(request.deadline.as_millis());
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let (took_ms, outcome) = answers
            .pop_front()
            .unwrap_or((0, Outcome::Failed(Failure::Timeout)));
        if let Some(clock) = self.clock.get() {
            clock.advance(SignedDuration::from_millis(took_ms));
        }
        outcome
    }
}

#[tokio::test]
async fn a_lost_connection_is_tried_once_more_while_there_is_time() -> Result<()> {
    struct Case {
        name: &'static str,
        answers: Vec<(i64, Outcome)>,
        deadlines: &'static [i128],
        want: &'static str,
    }
    let accepted = || says(200, &json!({ "decision": "accepted" }));
    let failed = Outcome::Failed;
    let cases = [
        Case {
            name: "refused, then accepted",
            answers: vec![(400, failed(Failure::Refused)), (10, accepted())],
            deadlines: &[1500, 1100],
            want: "accepted ase ",
        },
        Case {
            name: "closed, then accepted",
            answers: vec![(1, failed(Failure::Closed)), (10, accepted())],
            deadlines: &[1500, 1499],
            want: "accepted ase ",
        },
        Case {
            name: "refused twice",
            answers: vec![
                (1, failed(Failure::Refused)),
                (1, failed(Failure::Refused)),
                (1, accepted()),
            ],
            deadlines: &[1500, 1499],
            want: "rejected policy refused",
        },
        Case {
            name: "refused when the time is over",
            answers: vec![(1500, failed(Failure::Dns)), (1, accepted())],
            deadlines: &[1500],
            want: "rejected policy refused",
        },
        Case {
            name: "a timeout is no lost connection",
            answers: vec![(1000, failed(Failure::Timeout)), (1, accepted())],
            deadlines: &[1500],
            want: "rejected policy timeout",
        },
        Case {
            name: "neither is a refusal",
            answers: vec![(1, Outcome::answered(503)), (1, accepted())],
            deadlines: &[1500],
            want: "rejected policy refused",
        },
    ];
    let slow = Arc::new(Slow::default());
    let (scene, key) = stage(Scene::with_transport(slow.clone()).await?).await?;
    slow.clock.get_or_init(|| scene.clock.clone());
    for Case {
        name,
        answers,
        deadlines,
        want,
    } in cases
    {
        scene.clock.advance(SignedDuration::from_secs(1));
        *slow.answers.lock().unwrap_or_else(PoisonError::into_inner) = answers.into();
        slow.deadlines
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
        let got = decision(&scene, &key, &name.replace(' ', "-"), &creation()).await?;
        let got = ["/decision", "/by", "/because"]
            .map(|at| text(&got, at))
            .join(" ");
        assert_eq!(got, want, "{name}");
        let asked = slow
            .deadlines
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        assert_eq!(asked, deadlines, "{name}");
        let event = scene.events().await?.pop().unwrap_or_default();
        let tries = list(&event, "/deliveries/0/tries").len();
        assert_eq!(tries, deadlines.len(), "{name}");
    }
    Ok(())
}

/// A scene with a real way out, whose ASE is `hostile`.
async fn hostile(behaviours: &[Behaviour]) -> Result<(Scene, String, Hostile)> {
    let hostile = Hostile::start(behaviours.iter().copied()).await?;
    let vetting = Vetting::new(vec!["127.0.0.0/8".parse()?], None);
    let https = Https::new(vetting, Arc::new(SystemClock))?;
    let scene = Scene::with_transport(Arc::new(https)).await?;
    put_ase(
        &scene,
        TENANT,
        "ase",
        json!({ "decision_url": hostile.url() }),
    )
    .await?;
    put_policy(&scene, TENANT, json!({ "deadline_ms": 300 })).await?;
    let key = key(&scene, TENANT).await?;
    Ok((scene, key, hostile))
}

#[tokio::test]
async fn an_ase_that_misbehaves_on_the_wire_is_left_at_the_deadline() -> Result<()> {
    const ACCEPTED: Behaviour =
        Behaviour::Raw("HTTP/1.1 200 OK\r\ncontent-length: 23\r\n\r\n{\"decision\":\"accepted\"}");
    struct Case {
        name: &'static str,
        behaviours: &'static [Behaviour],
        want: &'static str,
        requests: usize,
    }
    let cases = [
        Case {
            name: "an answer",
            behaviours: &[ACCEPTED],
            want: "accepted ase ",
            requests: 1,
        },
        Case {
            name: "closes once, then answers",
            behaviours: &[Behaviour::Close, ACCEPTED],
            want: "accepted ase ",
            requests: 2,
        },
        Case {
            name: "drips",
            behaviours: &[Behaviour::Drip],
            want: "rejected policy timeout",
            requests: 1,
        },
        Case {
            name: "never answers",
            behaviours: &[Behaviour::Silent],
            want: "rejected policy timeout",
            requests: 1,
        },
        Case {
            name: "never ends",
            behaviours: &[Behaviour::Endless],
            want: "rejected policy invalid_answer",
            requests: 1,
        },
        Case {
            name: "redirects",
            behaviours: &[Behaviour::Raw(
                "HTTP/1.1 307 X\r\nlocation: /other\r\ncontent-length: 0\r\n\r\n",
            )],
            want: "rejected policy refused",
            requests: 1,
        },
    ];
    for Case {
        name,
        behaviours,
        want,
        requests,
    } in cases
    {
        let (scene, key, hostile) = hostile(behaviours).await?;
        let payment = creation();
        let asking = decision(&scene, &key, "one", &payment);
        // Far more than the deadline of 0.3 s, for machines that are busy.
        let got = tokio::time::timeout(std::time::Duration::from_secs(10), asking);
        let got = got.await.context(name)??;
        let got = ["/decision", "/by", "/because"]
            .map(|at| text(&got, at))
            .join(" ");
        assert_eq!(got, want, "{name}");
        assert_eq!(hostile.requests().len(), requests, "{name}");
    }
    Ok(())
}
