//! Bodies that are personal data: deflated where that helps, and sealed for the item that holds them.

use aws_sdk_dynamodb::types::AttributeValue;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Fields, Key, Vault, bytes, deflate, inflate, json};
use crate::ids::TenantId;
use crate::secret::{Context, Sealed};
use crate::store::StoreError;

/// The attribute.
pub(super) const SEALED_BODY: &str = "sd";

/// What a sealed body begins with: how the rest of it is to be read.
const AS_IT_IS: u8 = 0;
const DEFLATED: u8 = 1;

impl Vault<'_> {
    pub(super) fn seal_body(self, body: &str, tenant: &TenantId, key: &Key) -> AttributeValue {
        let deflated = deflate(body);
        let (form, rest) = match &deflated {
            Some(deflated) => (DEFLATED, deflated.as_slice()),
            None => (AS_IT_IS, body.as_bytes()),
        };
        let plain = [&[form], rest].concat();
        let name = key.name();
        let context = Context {
            tenant: tenant.as_str(),
            item: &name,
        };
        let sealed = self.keyring.seal(&plain, context, self.entropy);
        bytes(sealed.as_bytes())
    }

    pub(super) fn seal_json<T: Serialize>(
        self,
        value: &T,
        tenant: &TenantId,
        key: &Key,
    ) -> AttributeValue {
        self.seal_body(&json(value), tenant, key)
    }

    pub(super) fn open_body(
        self,
        fields: Fields<'_>,
        tenant: &TenantId,
    ) -> Result<String, StoreError> {
        let name = fields.key()?.name();
        let context = Context {
            tenant: tenant.as_str(),
            item: &name,
        };
        let sealed = Sealed::from_bytes(fields.bytes(SEALED_BODY)?.to_vec());
        let plain = self
            .keyring
            .open(&sealed, context)
            .map_err(|error| fields.corrupt(SEALED_BODY, &format!("does not open: {error}")))?;
        let body = match plain.split_first() {
            Some((&AS_IT_IS, rest)) => String::from_utf8(rest.to_vec()).ok(),
            Some((&DEFLATED, rest)) => inflate(rest),
            Some(_) | None => None,
        };
        body.ok_or_else(|| fields.corrupt(SEALED_BODY, "has an unknown form"))
    }

    pub(super) fn open_json<T: DeserializeOwned>(
        self,
        fields: Fields<'_>,
        tenant: &TenantId,
    ) -> Result<T, StoreError> {
        let body = self.open_body(fields, tenant)?;
        fields.parse_json(SEALED_BODY, &body)
    }
}
