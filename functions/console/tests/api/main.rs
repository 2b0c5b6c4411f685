//! The operator's API against a table of its own: every route, every refusal by its field, and the wall between
//! tenants.

mod support;

mod anchor;
mod billing_accounts;
mod breaker;
mod clients;
mod document;
mod endpoints;
mod event_types;
mod events;
mod intents;
mod isolation;
mod keys;
mod levers;
mod operators;
mod publishers;
mod quarantine;
mod rafiki_settings;
mod refusals;
mod tenants;
