//! The store on a real table: the embedded engine, or whatever `PAYRELAY_CONTRACT_ENDPOINT` names.

mod capacity;
mod clients;
mod config;
mod decisions;
mod deletion;
mod deliveries;
mod enriched;
mod events;
mod faults;
mod gather;
mod intents;
mod lines;
mod locked;
mod quarantine;
