//! Who asks at a door of a tenant, by the API key that they show: the tenant's own, or the operator's.
//!
//! What a refusal tells is the same whether the tenant asked for is there or not.

use std::sync::Arc;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use http::header::AUTHORIZATION;
use http::{HeaderMap, StatusCode};

use crate::ids::{IdError, TenantId};
use crate::problem::Problem;
use crate::secret::{Secret, key_hash};
use crate::store::{Credentials, KnownTenants, Scope, StoreError};

/// The key of `Authorization: Bearer <key>`; the scheme's case does not matter, and there must be one header only.
#[must_use]
pub fn bearer(headers: &HeaderMap) -> Option<Secret> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return None;
    };
    let (scheme, key) = value.to_str().ok()?.split_once(' ')?;
    let key = key.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !key.is_empty()).then(|| Secret::new(key))
}

/// Why a key does not open a door. Its text is safe to show the caller.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// There is no usable `Authorization: Bearer ..`.
    #[error("there is no bearer key")]
    NoKey,
    /// The key is not known, or was revoked.
    #[error("the key is not known, or was revoked")]
    UnknownKey,
    /// The key is another tenant's.
    #[error("the key does not reach this tenant")]
    Forbidden,
    /// What the path names can be no tenant.
    #[error(transparent)]
    Tenant(#[from] IdError),
    /// There is no such tenant; only an operator's key learns of it.
    #[error("there is no such tenant")]
    NoTenant,
    /// The table can't be asked.
    #[error("the table is unavailable")]
    Store(#[from] StoreError),
}

impl AccessError {
    /// The answer.
    #[must_use]
    pub fn problem(&self) -> Problem {
        match self {
            Self::NoKey => {
                Problem::unauthorized("Send a key in the header `Authorization: Bearer <key>`.")
            }
            Self::UnknownKey => Problem::unauthorized("This key is not known, or was revoked."),
            Self::Forbidden => Problem::new(
                StatusCode::FORBIDDEN,
                "/problems/forbidden",
                "Not allowed",
                "This key does not reach the tenant that the path names.",
            ),
            Self::Tenant(error) => Problem::new(
                StatusCode::BAD_REQUEST,
                "/problems/invalid-parameter",
                "A parameter is not right",
                format!("`tenant`: {error}"),
            ),
            Self::NoTenant => Problem::new(
                StatusCode::NOT_FOUND,
                "/problems/not-found",
                "Not found",
                "There is no tenant of this name here; make it first.",
            ),
            Self::Store(_) => Problem::unavailable(),
        }
    }
}

/// Whose key it was that opened a door.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Granted {
    /// The tenant asked for.
    pub tenant: TenantId,
    /// The key's public name; `operator` for the operator's.
    pub key: String,
    /// Whether it may be shown personal data.
    pub personal_data: bool,
}

/// Checks the keys of callers.
#[derive(Clone)]
pub struct Access {
    /// Whose a presented key is.
    pub credentials: Arc<dyn Credentials>,
    /// Which tenants there are.
    pub tenants: Arc<dyn KnownTenants>,
    /// The SHA-256 of the operator's key, in lower-case hex.
    pub operator_key_hash: String,
}

impl Access {
    /// Lets a caller in who shows a key that reaches `tenant`, as the path names it.
    ///
    /// # Errors
    /// See [`AccessError`].
    pub async fn by_key(&self, headers: &HeaderMap, tenant: &str) -> Result<Granted, AccessError> {
        let hash = key_hash(&bearer(headers).ok_or(AccessError::NoKey)?);
        let operator = self.operator_key_hash.as_bytes();
        if verify_slices_are_equal(hash.as_bytes(), operator).is_ok() {
            let tenant = TenantId::parse(tenant)?;
            return match self.tenants.is_known(&tenant).await? {
                true => Ok(Granted {
                    tenant,
                    key: "operator".to_owned(),
                    personal_data: false,
                }),
                false => Err(AccessError::NoTenant),
            };
        }
        let found = self.credentials.credential(&hash).await?;
        let found = found.ok_or(AccessError::UnknownKey)?;
        match found.scope {
            Scope::Tenant { tenant: own } if own.as_str() == tenant => Ok(Granted {
                tenant: own,
                key: found.key.into(),
                personal_data: found.personal_data,
            }),
            // No key that is kept reaches more than one tenant.
            Scope::Tenant { .. } | Scope::Operator => Err(AccessError::Forbidden),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_bearer_key_is_read_and_nothing_else() {
        let cases: [(&[&'static str], Option<&str>); 8] = [
            (&["Bearer prk_1"], Some("prk_1")),
            (&["bearer prk_1"], Some("prk_1")),
            (&["Bearer  prk_1 "], Some("prk_1")),
            (&["Bearer "], None),
            (&["Bearer"], None),
            (&["Basic prk_1"], None),
            (&["Bearer a", "Bearer b"], None),
            (&[], None),
        ];
        for (values, want) in cases {
            let headers: HeaderMap = values
                .iter()
                .map(|value| (AUTHORIZATION, value.parse().expect("a header's value")))
                .collect();
            assert_eq!(
                bearer(&headers).as_ref().map(Secret::expose),
                want,
                "{values:?}"
            );
        }
    }
}
