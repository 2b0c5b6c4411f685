//! The routes, one file per noun. Each file lists its paths in `routes()`.

pub mod billing_accounts;
pub mod endpoints;
pub mod events;
pub mod intents;
pub mod keys;
pub mod publishers;
pub mod quarantine;
pub mod secrets;
pub mod tenants;

use std::fmt::Display;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;

use crate::handler::Console;
use crate::reply::Refusal;

/// The state of every handler.
type App = State<Arc<Console>>;

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
