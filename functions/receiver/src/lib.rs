//! `receiver`: what an account servicing entity (ASE) runs to receive well. Copy it and put your own [`account::Account`] in.
//!
//! ```text
//! sender ──▶ door ──▶ queue (FIFO, a group per event) ──▶ worker ──▶ your Account
//!                                                          │
//!                                                          └──▶ table: ids of what was handled
//! ```
//! The door checks the signature on what arrived, puts the event on the queue, and answers 200 at once: senders wait two
//! seconds, and the work may take longer. The worker looks whether the id was handled, calls the one method of your
//! [`account::Account`] that is for the event's type, notes the id as handled, and only then lets go of the message.
//!
//! # Why nothing is lost, and what may come twice
//! The one durable write before the 200 is the send. Whatever dies before it has acknowledged nothing, so the sender tries
//! again. Whatever dies after it leaves the message on the queue. An id is noted only after its method succeeded. So there
//! is no moment at which an event is acknowledged or noted and its work is neither done nor queued.
//!
//! What a crash between the method's success and the note leaves is a repeat: the method is called again with the same id.
//! Methods must therefore be idempotent by event id; each says what makes it so. Everything else that comes twice is
//! dropped: the queue takes an id once in five minutes and hands out one message of an event at a time, and the note is
//! kept for at least four days, longer than senders try.
//!
//! It is a deployment of its own, with a template of its own (`infra/receiver.yaml`), and no part of the bundle.

pub mod account;
pub mod aws;
pub mod event;
pub mod example;
pub mod handler;
pub mod inprocess;
pub mod ports;
pub mod reply;
pub mod settings;
pub mod worker;
