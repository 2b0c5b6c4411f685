//! The whole of Payrelay in one process on 127.0.0.1, for development and for the tests. Never deployed.

pub mod business;
pub mod cli;
pub mod data;
pub mod demo;
pub mod embedded;
pub mod lambda_event;
pub mod lines;
pub mod platform_api;
pub mod pump;
pub mod queues;
mod ready;
pub mod receiver;
pub mod requeue;
pub mod run;
pub mod send;
pub mod settings;
pub mod story;
pub mod wallet;
pub mod world;
