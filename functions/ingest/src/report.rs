//! What a merchant reports itself: a key of the tenant, the normalised form, one durable write, answer.

use axum::extract::Request;
use shared::body::receive_json;
use shared::platform::custom::Report;
use shared::queue::Task;
use shared::queue::task::{SignalTask, send};
use tracing::info;

use crate::handler::Ingest;
use crate::reply::{Refusal, Reported, no_text};

/// The longest report that is taken, in bytes.
pub const REPORT_MOST: usize = 64 * 1024;

impl Ingest {
    /// Takes a report of `tenant`, as the path names it.
    ///
    /// # Errors
    /// See [`Refusal`].
    pub(crate) async fn report(&self, tenant: &str, request: Request) -> Result<Reported, Refusal> {
        let (parts, body) = request.into_parts();
        let granted = self.access.by_key(&parts.headers, tenant).await?;
        let body = receive_json(&parts.headers, body, REPORT_MOST).await?;
        let body = std::str::from_utf8(&body).map_err(|_| no_text())?;
        let report = Report::read(body)?;
        let account = self
            .find(
                Some(granted.tenant.as_str()),
                report.profile_id.as_str(),
                report.connector_account_id.as_str(),
            )
            .await?;
        let signal = report.signal(&account, self.clock.now())?;
        let id = signal.id.clone();
        let task = Task::Signal(SignalTask {
            tenant: granted.tenant,
            signal,
        });
        send(self.queues.as_ref(), [task]).await?;
        info!(
            tenant,
            key = granted.key,
            signal = id.as_str(),
            "report accepted"
        );
        Ok(Reported(id))
    }
}
