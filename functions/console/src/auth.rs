//! Who asks, and whose data they may reach. A handler gets at a tenant's id only through an extractor of this file,
//! so none can forget to ask.

use std::sync::Arc;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use axum::extract::FromRequestParts;
use axum::http::Method;
use axum::http::request::Parts;

use shared::access::bearer;
use shared::ids::{KeyId, TenantId};
use shared::secret::key_hash;
use shared::store::Scope;

use crate::handler::Console;
use crate::reply::Refusal;
use crate::request::{PathId, param};

/// Whoever presented a key that we know.
pub(crate) struct Caller {
    scope: Scope,
    key: Option<KeyId>,
    personal_data: bool,
}

impl Caller {
    /// Whether the key is an operator's.
    pub(crate) fn is_operator(&self) -> bool {
        matches!(self.scope, Scope::Operator)
    }

    /// The key's public name; the operator's key of the environment has none.
    pub(crate) fn key(&self) -> Option<&KeyId> {
        self.key.as_ref()
    }

    /// Whether the key may be shown personal data. The operator's key of the environment may not: who runs Payrelay need
    /// not know whose papers were refused.
    pub(crate) fn sees_personal_data(&self) -> bool {
        self.personal_data
    }

    /// Whether the key may make keys that may be shown personal data.
    pub(crate) fn grants_personal_data(&self) -> bool {
        self.is_operator() || self.personal_data
    }

    /// Whether the key reaches what belongs to `tenant`.
    pub(crate) fn reaches(&self, tenant: &str) -> bool {
        match &self.scope {
            Scope::Operator => true,
            Scope::Tenant { tenant: own } => own.as_str() == tenant,
        }
    }
}

impl FromRequestParts<Arc<Console>> for Caller {
    type Rejection = Refusal;

    async fn from_request_parts(
        parts: &mut Parts,
        console: &Arc<Console>,
    ) -> Result<Self, Refusal> {
        let hash = key_hash(&bearer(&parts.headers).ok_or(Refusal::NoKey)?);
        let (key, scope, personal_data) =
            if verify_slices_are_equal(hash.as_bytes(), console.operator_key_hash.as_bytes())
                .is_ok()
            {
                (None, Scope::Operator, false)
            } else {
                let found = console
                    .credentials
                    .credential(&hash)
                    .await?
                    .ok_or(Refusal::UnknownKey)?;
                (Some(found.key), found.scope, found.personal_data)
            };
        let name = key.as_ref().map_or("operator", KeyId::as_str);
        let (method, path) = (&parts.method, parts.uri.path());
        if *method == Method::GET || *method == Method::HEAD {
            tracing::debug!(key.id = name, http.path = path, "read");
        } else {
            tracing::info!(key.id = name, http.method = %method, http.path = path, "asked");
        }
        Ok(Self {
            scope,
            key,
            personal_data,
        })
    }
}

/// A caller with an operator's key.
pub(crate) struct Operator;

impl FromRequestParts<Arc<Console>> for Operator {
    type Rejection = Refusal;

    async fn from_request_parts(
        parts: &mut Parts,
        console: &Arc<Console>,
    ) -> Result<Self, Refusal> {
        let caller = Caller::from_request_parts(parts, console).await?;
        if caller.is_operator() {
            Ok(Self)
        } else {
            Err(Refusal::Forbidden)
        }
    }
}

/// The tenant of the path, which the caller may reach. Whether it is (still) there was not asked.
pub(crate) struct Within(pub(crate) TenantId);

impl FromRequestParts<Arc<Console>> for Within {
    type Rejection = Refusal;

    async fn from_request_parts(
        parts: &mut Parts,
        console: &Arc<Console>,
    ) -> Result<Self, Refusal> {
        let (tenant, _) = within(parts, console).await?;
        Ok(Self(tenant))
    }
}

async fn within(parts: &mut Parts, console: &Arc<Console>) -> Result<(TenantId, Caller), Refusal> {
    let caller = Caller::from_request_parts(parts, console).await?;
    let tenant = param(parts, TenantId::NAME).await?;
    if !caller.reaches(&tenant) {
        return Err(Refusal::Forbidden);
    }
    Ok((TenantId::read(tenant)?, caller))
}

/// The tenant of the path as [`Within`] has it, and who asks: for what not every key is shown.
pub(crate) struct WithinBy {
    /// The tenant of the path.
    pub(crate) tenant: TenantId,
    /// Who asks.
    pub(crate) caller: Caller,
}

impl FromRequestParts<Arc<Console>> for WithinBy {
    type Rejection = Refusal;

    async fn from_request_parts(
        parts: &mut Parts,
        console: &Arc<Console>,
    ) -> Result<Self, Refusal> {
        let (tenant, caller) = within(parts, console).await?;
        Ok(Self { tenant, caller })
    }
}

/// A tenant that is there, and who asks for what is its own: for what tenants and operators may not do alike.
pub(crate) struct Reached {
    /// The tenant of the path.
    pub(crate) tenant: TenantId,
    /// Who asks.
    pub(crate) caller: Caller,
}

impl FromRequestParts<Arc<Console>> for Reached {
    type Rejection = Refusal;

    async fn from_request_parts(
        parts: &mut Parts,
        console: &Arc<Console>,
    ) -> Result<Self, Refusal> {
        let (tenant, caller) = within(parts, console).await?;
        match console.tenants.tenant(&tenant).await? {
            Some(_) => Ok(Self { tenant, caller }),
            None => Err(Refusal::not_found("tenant", &tenant)),
        }
    }
}

/// The tenant of the path, which the caller may reach and which is there: what configuration is written for.
pub(crate) struct Existing(pub(crate) TenantId);

impl FromRequestParts<Arc<Console>> for Existing {
    type Rejection = Refusal;

    async fn from_request_parts(
        parts: &mut Parts,
        console: &Arc<Console>,
    ) -> Result<Self, Refusal> {
        let Reached { tenant, .. } = Reached::from_request_parts(parts, console).await?;
        Ok(Self(tenant))
    }
}
