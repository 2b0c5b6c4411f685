//! The demo receiver: what a merchant's backend does with a delivery. It checks the signature on the raw bytes, answers,
//! and takes each event once, however often it comes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode};
use serde::Deserialize;
use shared::secret::Secret;
use shared::signature::{TOLERANCE, VerifyError, rafiki, standard};
use shared::time::Clock;
use tracing::{info, warn};

/// The longest delivery that is read, in bytes.
const BODY_MOST: usize = 1024 * 1024;
/// So many ids are remembered; then all are forgotten, which only costs the word "again".
const IDS_MOST: usize = 100_000;

/// The receiver.
pub struct Receiver {
    secrets: Vec<Secret>,
    answer: StatusCode,
    clock: Arc<dyn Clock>,
    /// How often each event came.
    seen: Mutex<HashMap<String, u32>>,
}

/// A genuine delivery.
#[derive(Debug, PartialEq, Eq)]
struct Delivery {
    scheme: &'static str,
    id: String,
    event_type: String,
}

/// What both schemes have in their bodies, and what only one has.
#[derive(Deserialize)]
struct Envelope {
    #[serde(default)]
    id: Option<String>,
    #[serde(rename = "type")]
    event_type: String,
}

impl Receiver {
    /// A receiver that knows `secrets`, of whichever scheme, and answers genuine deliveries with `answer`.
    #[must_use]
    pub fn new(secrets: Vec<Secret>, answer: StatusCode, clock: Arc<dyn Clock>) -> Self {
        Self {
            secrets,
            answer,
            clock,
            seen: Mutex::default(),
        }
    }

    /// Takes deliveries on any path.
    pub fn router(self) -> Router {
        Router::new().fallback(receive).with_state(Arc::new(self))
    }

    fn check(&self, headers: &HeaderMap, body: &[u8]) -> Result<Delivery, VerifyError> {
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let now = self.clock.now();
        let by_header = header(standard::ID_HEADER);
        let (scheme, _proof) = match header(rafiki::HEADER) {
            signature @ Some(_) => {
                let proof = rafiki::verify(signature, body, &self.secrets, now, TOLERANCE)?;
                ("rafiki", proof)
            }
            None => {
                let headers = standard::Headers {
                    id: by_header,
                    timestamp: header(standard::TIMESTAMP_HEADER),
                    signature: header(standard::SIGNATURE_HEADER),
                };
                let proof = standard::verify(headers, body, &self.secrets, now, TOLERANCE)?;
                ("standard-webhooks", proof)
            }
        };
        let Envelope { id, event_type } =
            serde_json::from_slice(body).map_err(|_| VerifyError::Malformed)?;
        let id = by_header
            .map(ToOwned::to_owned)
            .or(id)
            .ok_or(VerifyError::Malformed)?;
        Ok(Delivery {
            scheme,
            id,
            event_type,
        })
    }

    /// Counts a delivery of an event and answers how many there were.
    fn count(&self, id: &str) -> u32 {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() >= IDS_MOST {
            seen.clear();
        }
        let count = seen.entry(id.to_owned()).or_default();
        *count = count.saturating_add(1);
        *count
    }
}

async fn receive(State(receiver): State<Arc<Receiver>>, request: Request) -> StatusCode {
    if request.method() != Method::POST {
        return StatusCode::METHOD_NOT_ALLOWED;
    }
    let (parts, body): (_, Body) = request.into_parts();
    let Ok(body) = to_bytes(body, BODY_MOST).await else {
        warn!("a delivery that is too long, or did not arrive whole");
        return StatusCode::PAYLOAD_TOO_LARGE;
    };
    let delivery = match receiver.check(&parts.headers, &body) {
        Ok(delivery) => delivery,
        Err(problem) => {
            warn!(problem = %problem, bytes = body.len(), "refused");
            return StatusCode::UNAUTHORIZED;
        }
    };
    let answer = receiver.answer;
    let came = receiver.count(&delivery.id);
    let message = match (answer.is_success(), came) {
        (true, 1) => "verified",
        (true, _) => "duplicate, dropped",
        (false, _) => "turned down",
    };
    info!(
        event.type = delivery.event_type,
        event.id = delivery.id,
        came,
        answer = answer.as_u16(),
        scheme = delivery.scheme,
        "{message}"
    );
    answer
}
