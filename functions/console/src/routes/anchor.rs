//! A tenant's anchor: who knows its customers, whose word is taken for what, and what becomes of its transactions.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::routing::get;
use jiff::Timestamp;
use serde::Deserialize;
use url::Url;
use utoipa::ToSchema;

use shared::customer::{
    AnchorSettings, BusinessAuth, BusinessServer, ErasePayloads, Mapping, Sep10,
};
use shared::delivery::Vetting;
use shared::ids::TenantId;
use shared::secret::Secret;
use shared::signature::jwt;

use super::endpoints::check_url;
use super::{App, RACES, created, deleted, kept};
use crate::auth::Existing;
use crate::handler::Route;
use crate::openapi::schema;
use crate::reply::Refusal;
use crate::request::Body;
use crate::secrets::check_text;
use crate::view::AnchorView;

/// Where the business server looks for a key that names no header.
const KEY_HEADER: &str = "X-Api-Key";
/// Headers that the request itself is made of.
const OURS: [&str; 9] = [
    "accept",
    "accept-encoding",
    "connection",
    "content-length",
    "content-type",
    "host",
    "te",
    "transfer-encoding",
    "user-agent",
];

pub(crate) fn routes() -> Vec<Route> {
    vec![(
        "/v1/tenants/{tenant}/anchor",
        get(read).put(put).delete(delete),
    )]
}

/// How a business server is to know Payrelay.
#[derive(Clone, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum AuthBody {
    /// It does not ask.
    None {},
    /// By a key in a header.
    ApiKey {
        /// The header; `X-Api-Key` if left out.
        #[serde(default)]
        header: Option<String>,
        /// The key: 16 to 256 characters of printable ASCII.
        key: String,
    },
    /// By a token of 30 seconds, signed with HS256, as `Authorization: Bearer`.
    Jwt {
        /// What it is signed with: 32 to 256 bytes.
        secret: String,
    },
}

impl AuthBody {
    fn checked(self) -> Result<BusinessAuth, Refusal> {
        Ok(match self {
            Self::None {} => BusinessAuth::None,
            Self::ApiKey { header, key } => {
                let header = header.unwrap_or_else(|| KEY_HEADER.to_owned());
                let name = HeaderName::try_from(&header);
                if !name.is_ok_and(|name| !OURS.contains(&name.as_str())) {
                    return Err(Refusal::field(
                        "business_server.auth.header",
                        "must be the name of a header that is free for a key, such as `X-Api-Key`",
                    ));
                }
                let (field, key) = ("business_server.auth.key", Secret::new(key));
                check_text(&key).map_err(|error| Refusal::field(field, error.to_string()))?;
                if !key.expose().is_ascii() || HeaderValue::try_from(key.expose()).is_err() {
                    return Err(Refusal::field(field, "must be printable ASCII"));
                }
                BusinessAuth::ApiKey { header, key }
            }
            Self::Jwt { secret } => BusinessAuth::Jwt {
                secret: token_secret("business_server.auth.secret", secret)?,
            },
        })
    }
}

/// The business server to be.
#[derive(Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BusinessBody {
    /// What `/customer` is appended to, under the rules of an endpoint's `url`; without query and fragment.
    base_url: String,
    /// How it knows Payrelay.
    auth: AuthBody,
}

impl BusinessBody {
    fn checked(self, vetting: &Vetting) -> Result<BusinessServer, Refusal> {
        const FIELD: &str = "business_server.base_url";
        check_url(FIELD, &self.base_url, vetting)?;
        let plain = Url::parse(&self.base_url)
            .is_ok_and(|url| url.query().is_none() && url.fragment().is_none());
        if !plain {
            return Err(Refusal::field(FIELD, "must have no query and no fragment"));
        }
        Ok(BusinessServer {
            base_url: self.base_url,
            auth: self.auth.checked()?,
        })
    }
}

/// Whose tokens of SEP-10 are taken.
#[derive(Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sep10Body {
    /// What a token's `iss` must be, to the letter: 1 to 512 characters.
    issuer: String,
    /// What a token's `aud` must name, 1 to 512 characters. Left out, `aud` is not looked at.
    #[serde(default)]
    audience: Option<String>,
    /// What they are signed with (HS256): 32 to 256 bytes. The other secrets must differ from it, since a token that a wallet
    /// was given would open what they protect.
    secret: String,
}

impl Sep10Body {
    fn checked(self) -> Result<Sep10, Refusal> {
        let fits = |text: &str| {
            (1..=512).contains(&text.chars().count()) && !text.chars().any(char::is_control)
        };
        let rule = "must be 1 to 512 characters, none of them a control character";
        if !fits(&self.issuer) {
            return Err(Refusal::field("sep10.issuer", rule));
        }
        if self.audience.as_deref().is_some_and(|text| !fits(text)) {
            return Err(Refusal::field("sep10.audience", rule));
        }
        Ok(Sep10 {
            issuer: self.issuer,
            audience: self.audience,
            secret: token_secret("sep10.secret", self.secret)?,
        })
    }
}

/// How a tenant's anchor is to work with Payrelay.
#[derive(Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "business_server": {
        "base_url": "https://business.anchor.example/callbacks",
        "auth": {"type": "jwt", "secret": "9f2c1b7e4a6d8035c1e7f9a2b4d6e8f0"},
    },
    "rpc_secret": "1c3e5a7092b4d6f8e0a2c4b6d8f0e1a3",
    "sep10": {"issuer": "https://anchor.example/auth", "secret": "7b5d3f1e9c8a6042d4f6b8e0a1c3e5d7"},
    "status_map": "sep6",
    "erase_payloads": "with_event",
}))]
pub(crate) struct AnchorBody {
    /// Who knows the customers.
    business_server: BusinessBody,
    /// What tokens (HS256, an hour at most) are signed with that call `POST .../anchor/rpc`: 32 to 256 bytes. Left out, only
    /// the tenant's keys do.
    #[serde(default)]
    rpc_secret: Option<String>,
    /// Whose tokens of SEP-10 are taken. Left out, no wallet can put a callback URL for a customer.
    #[serde(default)]
    sep10: Option<Sep10Body>,
    /// What becomes of a transaction when its customer is accepted: `sep6` has the user pay where all is known that is
    /// needed for it, `anchor_platform` leaves it to the anchor, as Anchor Platform does. Left out, `sep6`.
    #[serde(default)]
    #[schema(schema_with = schema::mapping, required = false)]
    status_map: Mapping,
    /// When the texts of callbacks are erased, which rest sealed: `with_event`, or `after_delivery`; what was erased can't be
    /// replayed. Left out, `with_event`.
    #[serde(default)]
    #[schema(schema_with = schema::erase_payloads, required = false)]
    erase_payloads: ErasePayloads,
}

impl AnchorBody {
    fn settings(
        self,
        tenant: TenantId,
        vetting: &Vetting,
        created_at: Timestamp,
    ) -> Result<AnchorSettings, Refusal> {
        let business_server = self.business_server.checked(vetting)?;
        let rpc_secret = self.rpc_secret.map(|text| token_secret("rpc_secret", text));
        let rpc_secret = rpc_secret.transpose()?;
        let sep10 = self.sep10.map(Sep10Body::checked).transpose()?;
        if let Some(sep10) = &sep10 {
            let business = match &business_server.auth {
                BusinessAuth::None => None,
                BusinessAuth::ApiKey { key: secret, .. } | BusinessAuth::Jwt { secret } => {
                    Some(secret)
                }
            };
            if [business, rpc_secret.as_ref()].contains(&Some(&sep10.secret)) {
                return Err(Refusal::field(
                    "sep10.secret",
                    "must differ from the other secrets: a token that a wallet was given would open what they protect",
                ));
            }
        }
        Ok(AnchorSettings {
            tenant,
            business_server,
            rpc_secret,
            sep10,
            status_map: self.status_map,
            erase_payloads: self.erase_payloads,
            created_at,
        })
    }
}

/// A secret that tokens are signed with.
fn token_secret(field: &'static str, text: String) -> Result<Secret, Refusal> {
    let secret = Secret::new(text);
    jwt::usable(&secret).map_err(|error| Refusal::field(field, error.to_string()))?;
    check_text(&secret).map_err(|error| Refusal::field(field, error.to_string()))?;
    Ok(secret)
}

/// Sets up a tenant's anchor, or replaces how it is set up, secrets included. 201 when it is new.
#[utoipa::path(
    put,
    path = "/v1/tenants/{tenant}/anchor",
    tag = "anchor",
    params(("tenant" = String, Path)),
    request_body = AnchorBody,
    responses(
        (status = 200, description = "Replaced", body = AnchorView),
        (status = 201, body = AnchorView),
        (status = 409, description = "Others kept changing it at the same time"),
    ),
)]
pub(crate) async fn put(
    Existing(tenant): Existing,
    State(console): App,
    Body(body): Body<AnchorBody>,
) -> Result<(StatusCode, Json<AnchorView>), Refusal> {
    for _ in 0..RACES {
        let before = console.anchors.anchor(&tenant).await?;
        let version = before.as_ref().map(|before| before.version);
        let created_at = before.map_or_else(|| console.clock.now(), |it| it.value.created_at);
        let body = body.clone();
        let settings = body.settings(tenant.clone(), &console.vetting, created_at)?;
        let put = console.anchor_admin.put_anchor(&settings, version).await?;
        if let Some(new) = kept(put, &tenant)? {
            return Ok((created(new), Json(settings.into())));
        }
    }
    Err(Refusal::Contended)
}

/// How a tenant's anchor is set up, without its secrets.
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/anchor",
    tag = "anchor",
    params(("tenant" = String, Path)),
    responses((status = 200, body = AnchorView)),
)]
pub(crate) async fn read(
    Existing(tenant): Existing,
    State(console): App,
) -> Result<Json<AnchorView>, Refusal> {
    let found = console.anchors.anchor(&tenant).await?;
    let found = found.ok_or_else(|| Refusal::not_found("anchor of tenant", &tenant))?;
    Ok(Json(found.value.into()))
}

/// Removes how a tenant's anchor is set up: its doors answer nobody any more. Clients, signing keys and what was recorded stay.
#[utoipa::path(
    delete,
    path = "/v1/tenants/{tenant}/anchor",
    tag = "anchor",
    params(("tenant" = String, Path)),
    responses((status = 204)),
)]
pub(crate) async fn delete(
    Existing(tenant): Existing,
    State(console): App,
) -> Result<StatusCode, Refusal> {
    let there = console.anchor_admin.delete_anchor(&tenant).await?;
    deleted(there, "anchor of tenant", &tenant)
}
