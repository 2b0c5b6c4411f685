//! `publish`: the door for events of payment backends. It checks that a backend or a key of the tenant sent them, reads
//! each envelope strictly, and answers 200 once the events are durable on `q:fanout`.
//!
//! A request is authentic by its `Rafiki-Signature` or by a bearer key ([`handler`]). [`body`] is how it is read,
//! [`recipients`] whom the sender names, [`batch`] what an array of events comes to, and [`reply`] the one table of
//! answers.

pub mod batch;
pub mod body;
pub mod handler;
pub mod recipients;
pub mod reply;
