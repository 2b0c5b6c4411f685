//! The routes, one file per noun. Each file lists its paths in `routes()`.

pub mod anchor;
pub mod billing_accounts;
pub mod breaker;
pub mod clients;
pub mod deliveries;
pub mod endpoints;
pub mod event_types;
pub mod events;
pub mod intents;
pub mod keys;
pub mod publishers;
pub mod quarantine;
pub mod secrets;
pub mod signing_key;
pub mod tenants;

use std::fmt::Display;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use shared::ids::TenantId;
use shared::store::Put;

use crate::handler::Console;
use crate::reply::Refusal;

/// The state of every handler.
type App = State<Arc<Console>>;

/// So often a lost race is run again before the caller is told.
const RACES: usize = 8;

/// Whether what was kept for `tenant` is new; `None` if somebody else wrote first.
fn kept(put: Put, tenant: &TenantId) -> Result<Option<bool>, Refusal> {
    match put {
        Put::New => Ok(Some(true)),
        Put::Replaced => Ok(Some(false)),
        Put::Lost => Ok(None),
        Put::NoTenant => Err(Refusal::not_found("tenant", tenant)),
        Put::NameTaken => Err(Refusal::NameTaken),
    }
}

/// 204 if `there` was something to delete.
fn deleted(there: bool, noun: &'static str, id: &dyn Display) -> Result<StatusCode, Refusal> {
    if there {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Refusal::not_found(noun, id))
    }
}

/// 201 for what is `new`, 200 for what was replaced.
fn created(new: bool) -> StatusCode {
    if new {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    }
}
