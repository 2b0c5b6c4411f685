//! How a tenant's anchor works with us: its business server, its tokens, its mapping, its signing keys.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Mapping;
use crate::ids::TenantId;
use crate::secret::Secret;

/// How the business server knows us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BusinessAuth {
    /// It does not ask.
    None,
    /// By a key in a header.
    ApiKey {
        /// The header, `X-Api-Key` by default.
        header: String,
        /// The key.
        key: Secret,
    },
    /// By a short-lived token (HS256, `iat` and `exp`) as `Authorization: Bearer`.
    Jwt {
        /// The secret that signs it, at least 32 bytes.
        secret: Secret,
    },
}

/// Who knows the customers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BusinessServer {
    /// What `/customer` is appended to; judged like any target at every call.
    pub base_url: String,
    /// How it knows us.
    pub auth: BusinessAuth,
}

/// How a wallet shows who it is: by a SEP-10 token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sep10 {
    /// What `iss` must be.
    pub issuer: String,
    /// What `aud` must hold, if anything.
    pub audience: Option<String>,
    /// The secret that the SEP-10 server signs with (HS256), at least 32 bytes.
    pub secret: Secret,
}

/// What becomes of the text of a callback, which is personal data and is sealed in any case.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErasePayloads {
    /// It goes when the event expires.
    #[default]
    WithEvent,
    /// It goes as soon as it is delivered; it can't be replayed then.
    AfterDelivery,
}

/// How a tenant's anchor works with us, with its secrets open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnchorSettings {
    /// Whose it is.
    pub tenant: TenantId,
    /// Who knows the customers.
    pub business_server: BusinessServer,
    /// The secret of tokens (HS256) that open the RPC door, beside the tenant's API keys; at least 32 bytes.
    pub rpc_secret: Option<Secret>,
    /// How wallets show who they are; without it none can put a callback URL.
    pub sep10: Option<Sep10>,
    /// Which statuses transactions get.
    pub status_map: Mapping,
    /// What becomes of what was told.
    pub erase_payloads: ErasePayloads,
    /// When it was made.
    pub created_at: Timestamp,
}

/// What a tenant's callbacks are signed with. The scheme has one signature, so a new key is announced, and then replaces
/// the old one at a moment that was announced with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigningKeys {
    /// The seed (`S..`) that signs until the next one does.
    pub current: Secret,
    /// The seed that signs from that time on.
    pub next: Option<(Secret, Timestamp)>,
}

impl SigningKeys {
    /// The seed that signs at `now`.
    #[must_use]
    pub fn live(&self, now: Timestamp) -> &Secret {
        match &self.next {
            Some((next, from)) if *from <= now => next,
            Some(_) | None => &self.current,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_seed_signs_from_its_moment_on() {
        let at = |second| Timestamp::from_second(second).expect("a time in range");
        let alone = SigningKeys {
            current: Secret::new("old"),
            next: None,
        };
        let announced = SigningKeys {
            next: Some((Secret::new("new"), at(100))),
            ..alone.clone()
        };
        let cases = [
            (&alone, 100, "old"),
            (&announced, 99, "old"),
            (&announced, 100, "new"),
            (&announced, 101, "new"),
        ];
        for (keys, now, want) in cases {
            assert_eq!(keys.live(at(now)).expose(), want, "{now}");
        }
    }
}
