//! Where a wallet wants to hear of one of its customers (SEP-12 `PUT /customer/callback`), shown to be its own by a SEP-10
//! token and by the business server.

use axum::extract::{FromRequest, Multipart, Request};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Response, StatusCode};
use serde::Deserialize;
use serde_json::json;
use shared::access::{AccessError, bearer};
use shared::body::{receive, receive_json};
use shared::customer::{Client, Registration, Unusable};
use shared::event::read;
use shared::ids::{CustomerId, TenantId};
use shared::signature::jwt;
use shared::store::Put;
use tracing::info;
use url::form_urlencoded;

use crate::business::{DEADLINE, Lookup, Trouble, ask};
use crate::handler::Anchor;
use crate::reply::{Refusal, json as answer};
use crate::transactions::check_url;

/// The longest body, in bytes.
const BODY_MOST: usize = 16 * 1024;

/// What a wallet puts. Fields that nobody knows are let pass.
#[derive(Debug, Default, Deserialize)]
struct Wire {
    url: Option<String>,
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    account: Option<String>,
    #[serde(default)]
    memo: Option<String>,
    #[serde(default)]
    memo_type: Option<String>,
}

impl Wire {
    fn set(&mut self, name: &str, value: String) {
        let field = match name {
            "url" => &mut self.url,
            "id" => &mut self.id,
            "account" => &mut self.account,
            "memo" => &mut self.memo,
            "memo_type" => &mut self.memo_type,
            _ => return,
        };
        *field = Some(value);
    }

    fn of_form(body: &[u8]) -> Self {
        let mut wire = Self::default();
        for (name, value) in form_urlencoded::parse(body) {
            wire.set(&name, value.into_owned());
        }
        wire
    }

    async fn of_parts(request: Request) -> Result<Self, Refusal> {
        let broken = |_| Refusal::field("body", "is no multipart form");
        let parts = Multipart::from_request(request, &()).await;
        let mut parts = parts.map_err(|_| Refusal::field("body", "is no multipart form"))?;
        let mut wire = Self::default();
        while let Some(part) = parts.next_field().await.map_err(broken)? {
            let name = part.name().unwrap_or_default().to_owned();
            wire.set(&name, part.text().await.map_err(broken)?);
        }
        Ok(wire)
    }
}

fn is(media: &str, headers: &HeaderMap) -> bool {
    let declared = headers.get(CONTENT_TYPE).and_then(|it| it.to_str().ok());
    let declared = declared.and_then(|it| it.split(';').next());
    declared.is_some_and(|it| it.trim().eq_ignore_ascii_case(media))
}

impl Anchor {
    /// Takes the URL of a wallet's callback for one customer; it replaces an earlier one and is told anew.
    ///
    /// # Errors
    /// See [`Refusal`].
    pub(crate) async fn register(
        &self,
        tenant: &str,
        request: Request,
    ) -> Result<Response<String>, Refusal> {
        let now = self.clock.now();
        let (parts, body) = request.into_parts();
        let token = bearer(&parts.headers).ok_or(AccessError::NoKey)?;
        let tenant = TenantId::parse(tenant).map_err(|_| Refusal::NoSep10)?;
        let settings = self.anchors.anchor(&tenant).await?;
        let settings = settings.ok_or(Refusal::NoSep10)?.value;
        let sep10 = settings.sep10.as_ref().ok_or(Refusal::NoSep10)?;
        let rules = jwt::Sep10Rules {
            issuer: &sep10.issuer,
            audience: sep10.audience.as_deref(),
            secret: &sep10.secret,
        };
        let signed_in = jwt::sep10(token.expose(), rules, now).map_err(Refusal::Token)?;
        let clients = self.anchors.clients(&tenant).await?;
        let account = &signed_in.account;
        let domain = signed_in.client_domain.as_deref();
        let client =
            Client::find(&clients, account.key.as_str(), domain).ok_or(Refusal::NoClient)?;
        // Any of the three is sent by some wallet's SDK.
        let wire = if is("application/x-www-form-urlencoded", &parts.headers) {
            Wire::of_form(&receive(body, BODY_MOST).await?)
        } else if is("multipart/form-data", &parts.headers) {
            let body = receive(body, BODY_MOST).await?;
            Wire::of_parts(Request::from_parts(parts, body.into())).await?
        } else {
            let body = receive_json(&parts.headers, body, BODY_MOST).await?;
            let text = std::str::from_utf8(&body);
            read(
                "",
                text.map_err(|_| Refusal::field("body", "is not JSON in UTF-8"))?,
            )?
        };
        let url = wire.url.as_ref().filter(|url| !url.is_empty());
        let url = url.ok_or_else(|| Refusal::field("url", "is missing"))?;
        check_url("url", url, &self.vetting)?;
        if wire
            .account
            .as_deref()
            .is_some_and(|it| it != account.address && it != account.key.as_str())
        {
            return Err(Refusal::field(
                "account",
                "must be the account of the token",
            ));
        }
        if wire.memo.is_some() && wire.memo != account.user {
            return Err(Refusal::field("memo", "must be the memo of the token"));
        }
        if wire.memo_type.as_deref().is_some_and(|it| it != "id") {
            return Err(Refusal::field("memo_type", "must be `id`"));
        }
        let asked = wire.id.map(CustomerId::parse).transpose();
        let asked = asked.map_err(|error| Refusal::field("id", error.to_string()))?;
        // Not by `id`: a business server that finds customers by their ids alone would tell of anybody's.
        let lookup = Lookup {
            account: Some(&account.address),
            // A muxed account says itself whose it is.
            memo: account
                .user
                .as_deref()
                .filter(|_| account.address == account.key.as_str()),
            ..Lookup::default()
        };
        let server = &settings.business_server;
        let body = ask(self.business.as_ref(), server, lookup, DEADLINE, now).await?;
        let customer = named(&body)?;
        // A customer that is not this account's is as good as none.
        if asked.is_some_and(|asked| asked != customer) {
            return Err(Trouble::Unknown.into());
        }
        let registration = Registration {
            client: client.id.clone(),
            customer,
            url: url.clone(),
            ended: std::collections::BTreeSet::new(),
            registered_at: now,
        };
        match self
            .registrations
            .put_registration(&tenant, &registration)
            .await?
        {
            Put::New | Put::Replaced => {}
            Put::Lost => return Err(Refusal::Contended),
            Put::NoTenant | Put::NameTaken => return Err(Refusal::NoClient),
        }
        info!(
            tenant = tenant.as_str(),
            client = client.id.as_str(),
            "callback registered"
        );
        Ok(answer(StatusCode::OK, &json!({})))
    }
}

/// The customer that the business server tells of.
fn named(body: &[u8]) -> Result<CustomerId, Trouble> {
    #[derive(Deserialize)]
    struct Named {
        id: Option<String>,
    }
    let text = std::str::from_utf8(body).map_err(|_| Unusable::NotACustomer)?;
    let read: Named = read("", text).map_err(|_| Unusable::NotACustomer)?;
    // An account that was never registered has no customer yet.
    let id = read.id.ok_or(Trouble::Unknown)?;
    Ok(CustomerId::parse(id).map_err(|_| Unusable::NotACustomer)?)
}
