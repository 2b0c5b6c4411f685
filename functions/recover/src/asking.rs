//! Asking a billing platform's API: who may ask, where, and what an answer means.

use http::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, USER_AGENT};
use http::{HeaderMap, HeaderValue};
use jiff::SignedDuration;
use shared::ids::{ConnectorAccountId, ProfileId, TenantId};
use shared::platform::account::ApiKey;
use shared::platform::{Api, ApiRequest, RecoveryAccount};
use shared::queue::Received;
use shared::queue::batch::rest;
use shared::recovery::Enrichment;
use shared::store::StoreError;
use shared::transport::{ANSWER_MOST, Answer, Call};
use tracing::{debug, error};

use crate::handler::{Recover, Trouble};

/// One request to a platform may take so long.
pub(crate) const DEADLINE: SignedDuration = SignedDuration::from_secs(10);

/// A platform's `Retry-After` is honoured up to this.
const WAIT_MOST: SignedDuration = SignedDuration::from_hours(1);

/// A platform that can be asked on behalf of an account.
pub(crate) struct Line {
    pub(crate) api: &'static dyn Api,
    tenant: TenantId,
    profile: ProfileId,
    account: ConnectorAccountId,
    base: String,
    authorization: HeaderValue,
}

/// What an answer means.
pub(crate) enum Said {
    /// It did what it was asked.
    Yes(Answer),
    /// It won't, however often it is asked: with this status.
    No(u16),
    /// It may, when it is asked again.
    NotNow(NotNow),
}

/// Why a platform has to be asked again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotNow {
    /// Its status, if it answered.
    pub(crate) status: Option<u16>,
    /// How long it asked us to wait.
    retry_after: Option<SignedDuration>,
}

impl NotNow {
    /// No time was left to ask.
    pub(crate) const NO_TIME: Self = Self {
        status: None,
        retry_after: None,
    };

    /// What it comes to if the platform is not asked again.
    pub(crate) fn problem(self) -> Enrichment {
        match self.status {
            Some(401 | 403) => Enrichment::Refused,
            Some(_) | None => Enrichment::Unreachable,
        }
    }

    /// How long to wait after a message was received so often: longer each time, and as long as the platform asks.
    pub(crate) fn wait(self, received: &Received) -> SignedDuration {
        let asked = self.retry_after.unwrap_or_default().min(WAIT_MOST);
        rest(received.count).max(asked)
    }
}

/// What an answer with this status means.
fn meaning(answer: Answer) -> Said {
    match answer.status {
        200..=299 => Said::Yes(answer),
        // A key that is refused is the account's fault, not the question's, and can be replaced. 408 and 425 ask for the same
        // request again (RFC 9110, section 15.5.9; RFC 8470).
        401 | 403 | 408 | 425 | 429 | 500.. => Said::NotNow(NotNow {
            status: Some(answer.status),
            retry_after: answer.retry_after,
        }),
        status => Said::No(status),
    }
}

impl Line {
    /// The platform of `account`, as an adapter of `source` expects it. `None`: nobody can be asked. There is no key, or
    /// the account is another platform's by now, which must not be given this one's questions.
    fn of(
        (tenant, profile, id): (&TenantId, &ProfileId, &ConnectorAccountId),
        account: RecoveryAccount,
        source: &str,
    ) -> Result<Option<Self>, Trouble> {
        let platform = account.platform;
        let Some(api) = platform.api().filter(|_| platform.as_str() == source) else {
            return Ok(None);
        };
        let key = match account.api_key {
            ApiKey::Open(key) => key,
            ApiKey::Absent => return Ok(None),
            ApiKey::Locked => return Err(Trouble::Locked),
        };
        let base = account.settings.api_base_url;
        let base = base.or_else(|| api.base_url().map(str::to_owned));
        Ok(base
            .zip(api.authorization(&key))
            .map(|(base, mut authorization)| {
                authorization.set_sensitive(true);
                Self {
                    api,
                    tenant: tenant.clone(),
                    profile: profile.clone(),
                    account: id.clone(),
                    base: base.trim_end_matches('/').to_owned(),
                    authorization,
                }
            }))
    }

    fn call(&self, request: ApiRequest, deadline: SignedDuration) -> Call {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.extend(request.headers);
        // Compressed answers are never asked for and never unpacked.
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        headers.insert(
            USER_AGENT,
            HeaderValue::from_static(concat!("payrelay/", env!("CARGO_PKG_VERSION"))),
        );
        headers.insert(AUTHORIZATION, self.authorization.clone());
        Call {
            method: request.method,
            url: format!("{}{}", self.base, request.path),
            headers,
            body: request.body,
            deadline,
            most: ANSWER_MOST,
        }
    }
}

impl Recover {
    /// The platform that an account is at, if it can be asked.
    pub(crate) async fn line(
        &self,
        tenant: &TenantId,
        profile: &ProfileId,
        id: &ConnectorAccountId,
        source: &str,
    ) -> Result<Option<Line>, Trouble> {
        let account: Result<_, StoreError> =
            self.accounts.recovery_account(tenant, profile, id).await;
        account?.map_or(Ok(None), |account| {
            Line::of((tenant, profile, id), account, source)
        })
    }

    /// Asks within `deadline`.
    pub(crate) async fn ask(
        &self,
        line: &Line,
        request: ApiRequest,
        deadline: SignedDuration,
    ) -> Said {
        match self.platforms.call(line.call(request, deadline)).await {
            Ok(answer) => {
                if let status @ (401 | 403) = answer.status {
                    // An alarm counts this line: nothing is asked or told of this account until its key is replaced.
                    error!(
                        alarm = "key_refused",
                        tenant = line.tenant.as_str(),
                        profile = line.profile.as_str(),
                        account = line.account.as_str(),
                        status,
                        "a platform refused the account's key"
                    );
                }
                meaning(answer)
            }
            Err(failure) => {
                debug!(failure = failure.as_str(), "a platform gave no answer");
                Said::NotNow(NotNow::NO_TIME)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(count: u32) -> Received {
        Received {
            id: "m".to_owned(),
            receipt: shared::queue::Receipt("r".to_owned()),
            body: String::new(),
            count,
            sent: jiff::Timestamp::UNIX_EPOCH,
            group: None,
        }
    }

    #[test]
    fn every_status_is_an_answer_a_refusal_or_to_be_asked_again() {
        let word = |status| match meaning(Answer::of(status, "")) {
            Said::Yes(_) => "yes",
            Said::No(_) => "no",
            Said::NotNow(_) => "not now",
        };
        let cases = [
            (&[200, 201, 204, 299][..], "yes"),
            (&[301, 302, 307, 400, 402, 404, 409, 410, 422, 451], "no"),
            (
                &[401, 403, 408, 425, 429, 500, 502, 503, 504, 599],
                "not now",
            ),
        ];
        for (statuses, want) in cases {
            for status in statuses {
                assert_eq!(word(*status), want, "{status}");
            }
        }
    }

    #[test]
    fn the_wait_grows_and_is_as_long_as_the_platform_asks_up_to_an_hour() {
        let secs = SignedDuration::from_secs;
        let cases = [
            (1, None, 2),
            (5, None, 32),
            (30, None, 900),
            (1, Some(60), 60),
            (30, Some(60), 900),
            (1, Some(3600), 3600),
            (1, Some(i64::MAX), 3600),
        ];
        for (count, asked, want) in cases {
            let later = NotNow {
                status: Some(429),
                retry_after: asked.map(secs),
            };
            assert_eq!(
                later.wait(&received(count)),
                secs(want),
                "{count} {asked:?}"
            );
        }
    }
}
