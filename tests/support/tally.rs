//! What a number of events uses, counted on the way through the whole path.

use anyhow::{Result, ensure};
use shared::ids::TenantId;
use shared::queue::Task;
use shared::queue::task::{PublishTask, send};
use shared::time::Clock;

use crate::bill::{Billed, Usage};
use crate::scene::Scene;
use crate::stories::{TENANT, event};

const FAILED: &str = include_str!("../fixtures/stripe/invoice.payment_failed.json");

/// The usage of `count` billing webhooks of as many invoices, from the door to the merchant.
///
/// # Errors
/// If not every one of them is delivered.
pub async fn webhooks(count: usize) -> Result<Usage> {
    let scene = Scene::start().await?;
    let _set_up = scene.usage();
    for number in 0..count {
        let body = FAILED.replace("evt_1QfF1", &format!("evt_1Qf{number:05}"));
        let body = body.replace("in_1QfInv", &format!("in_1Qf{number:05}"));
        let answer = scene.webhook(&body).await?;
        ensure!(answer.status == 200, "{} {}", answer.status, answer.body);
        scene.till.door();
    }
    finish(&scene, count).await
}

/// The usage of `count` events of about 700 bytes, put on the queue one by one as a door does.
///
/// # Errors
/// If not every one of them is delivered.
pub async fn published(count: usize) -> Result<Usage> {
    let scene = Scene::start().await?;
    let _set_up = scene.usage();
    let queues = Billed::new(scene.queues.clone(), scene.till.clone());
    for number in 0..count {
        let event = event(number, scene.clock.now())?;
        let task = PublishTask {
            tenant: TenantId::parse(TENANT)?,
            event,
            roles: None,
            guard: None,
        };
        send(&queues, [Task::Publish(task)]).await?;
        scene.till.door();
    }
    finish(&scene, count).await
}

async fn finish(scene: &Scene, count: usize) -> Result<Usage> {
    scene.settle().await?;
    let usage = scene.usage();
    let delivered = scene.far.requests().len();
    ensure!(delivered == count, "{delivered} of {count} were delivered");
    Ok(usage)
}
