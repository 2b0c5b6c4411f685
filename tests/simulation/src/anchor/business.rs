//! Business servers as they are asked: they tell what they think of a customer, and now and then they fail or lie.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use shared::delivery::Failure;
use shared::transport::{Answer, Call, Caller};

use super::rules::{business_key, business_url};
use crate::nature::{Nature, pass};
use crate::stage::TENANTS;

/// Whose anchor, and which transaction.
type Of = (&'static str, String);

/// What all of them think: of the customer of each tenant's transaction.
pub struct Business {
    nature: Arc<Nature>,
    thinks: Mutex<BTreeMap<Of, (String, String)>>,
}

impl Business {
    /// They think nothing of nobody.
    #[must_use]
    pub fn new(nature: Arc<Nature>) -> Self {
        Self {
            nature,
            thinks: Mutex::default(),
        }
    }

    /// One makes up its mind about the customer of a transaction.
    pub(super) fn think(&self, of: Of, customer: String, bytes: String) {
        let mut thinks = self.thinks.lock().unwrap_or_else(PoisonError::into_inner);
        thinks.insert(of, (customer, bytes));
    }

    fn thinks_of(&self, of: &Of) -> Option<(String, String)> {
        let thinks = self.thinks.lock().unwrap_or_else(PoisonError::into_inner);
        thinks.get(of).cloned()
    }

    async fn lie(&self, call: &Call, customer: &str) -> Option<Result<Answer, Failure>> {
        let nature = &self.nature;
        if nature.is_calm() || nature.is_fair() {
            return None;
        }
        let says = |status: u16, body: String| Some(Ok(Answer::of(status, body)));
        match nature.chance.between(0, 99) {
            0..4 => says(500, "{}".to_owned()),
            4..7 => {
                pass(call.deadline.try_into().unwrap_or_default()).await;
                Some(Err(Failure::Timeout))
            }
            7..9 => Some(Err(Failure::Closed)),
            9..11 => says(
                200,
                r#"{"id":"cus_of_another","status":"ACCEPTED"}"#.to_owned(),
            ),
            11..13 => says(
                200,
                format!(r#"{{"id":"{customer}","status":"ACCEPTABLE"}}"#),
            ),
            13..15 => says(422, r#"{"error":"what do you mean"}"#.to_owned()),
            15..17 => says(404, "{}".to_owned()),
            _ => None,
        }
    }
}

#[async_trait]
impl Caller for Business {
    async fn call(&self, call: Call) -> Result<Answer, Failure> {
        let nature = &self.nature;
        pass(nature.chance.millis(5, 400)).await;
        let mut tenants = TENANTS.into_iter();
        let Some(tenant) = tenants.find(|it| call.url.starts_with(&business_url(it))) else {
            return Ok(Answer::of(404, Bytes::new()));
        };
        let key = call
            .headers
            .get("x-api-key")
            .and_then(|it| it.to_str().ok());
        nature.check(
            "a business server is asked with its own key",
            key == Some(business_key(tenant).as_str()),
            || call.url.clone(),
        );
        let query = call.url.split_once('?').map_or("", |it| it.1);
        let value = |name: &str| {
            let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            pairs.find(|pair| pair.0 == name).map(|pair| pair.1)
        };
        let of = (
            tenant,
            value("transaction_id").unwrap_or_default().to_owned(),
        );
        let Some((customer, bytes)) = self.thinks_of(&of) else {
            return Ok(Answer::of(404, Bytes::new()));
        };
        nature.check(
            "a business server is asked of the customer of the transaction",
            value("id") == Some(&customer),
            || format!("{of:?}: {query}"),
        );
        match self.lie(&call, &customer).await {
            Some(lie) => {
                nature.count("business servers that failed or lied", 1);
                lie
            }
            None => Ok(Answer::of(200, bytes)),
        }
    }
}
