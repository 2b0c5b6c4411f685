//! One dead endpoint must not slow the others.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::json;
use shared::delivery::{Failure, Outcome, Request};
use shared::transport::Transport;
use tests::scene::{SHOP_SECRET, Scene};
use tokio::sync::{Barrier, Semaphore};

use crate::{FAILED, list, text};

/// So many endpoints are dead.
const DEAD: usize = 2;

/// The two dead endpoints time out only after the eight others of their batch have been answered, and at the same moment:
/// if tries ran one after the other, they would wait for ever. So a batch takes as long as one deadline, not the sum.
struct DeadUntilOthersAreDone {
    answered: Semaphore,
    dead: Barrier,
}

#[async_trait]
impl Transport for DeadUntilOthersAreDone {
    async fn post(&self, request: Request) -> Outcome {
        if request.url.contains("//dead") {
            let others = self.answered.acquire_many(8).await;
            drop(others.expect("the semaphore is never closed"));
            self.dead.wait().await;
            Outcome::Failed(Failure::Timeout)
        } else {
            self.answered.add_permits(1);
            Outcome::answered(200)
        }
    }
}

#[tokio::test]
async fn of_a_hundred_endpoints_two_hang_together_and_all_others_are_delivered()
-> anyhow::Result<()> {
    let transport = Arc::new(DeadUntilOthersAreDone {
        answered: Semaphore::new(0),
        dead: Barrier::new(DEAD),
    });
    let scene = Scene::with_transport(transport).await?;
    scene
        .operator(
            "DELETE",
            "/v1/tenants/acme/endpoints/shop",
            serde_json::Value::Null,
        )
        .await?;
    for number in 0..100 {
        let host = if number < DEAD {
            format!("dead{number}")
        } else {
            format!("shop{number}")
        };
        let url = format!("https://{host}.example/hook");
        scene
            .put_endpoint(
                &format!("e{number:03}"),
                json!({ "url": url, "secrets": [SHOP_SECRET] }),
            )
            .await?;
    }
    scene.webhook(FAILED).await?;
    tokio::time::timeout(Duration::from_secs(60), scene.settle()).await??;
    let event = scene.events().await?.pop().unwrap_or_default();
    let deliveries = list(&event, "/deliveries");
    assert_eq!(deliveries.len(), 100);
    for delivery in deliveries {
        let want = if ["e000", "e001"].contains(&text(delivery, "/endpoint").as_str()) {
            "retrying"
        } else {
            "delivered"
        };
        assert_eq!(text(delivery, "/state"), want, "{delivery}");
    }
    Ok(())
}
