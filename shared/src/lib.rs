//! What the functions of Payrelay share: the words, the decisions, and the ports to the world.
//!
//! # The flow
//! ```text
//! billing platform -> ingest -> q:recover -> recover -> q:fanout -> fanout -> q:deliver -> deliver -> endpoint
//! payment backend  -> publish -> q:fanout
//! business server  -> anchor -> business server, and back -> q:deliver-ordered -> deliver -> wallet
//!                            sweep: due retries -> q:fanout, parked deliveries -> their queue,
//!                                   unsent callbacks -> q:deliver-ordered, dead letters -> table
//! payment backend  -> decide -> ASE, and back
//! operator         -> console: tenants, keys, endpoints, wallet clients, billing accounts, anchors; events, deliveries, replay
//! ```
//! A *signal* is what a billing platform told us, in our words. It becomes *events*: recorded, immutable. An event
//! on its way to one *endpoint*, in one *round*, is a *delivery*, and each request made for it a *try*. An *intent*
//! is one invoice to collect, an *attempt* one charge of it. What wallets are told of a customer or a transaction is a *line*:
//! its deliveries keep their order.
//!
//! # The layers
//! Arrows point down, or along the domain line; nothing else is imported.
//! ```text
//! adapters  store::dynamo  queue::{sqs, memory}  transport::{https, scripted}
//! doors     access  body
//! ports     store  queue  transport
//! domain    platform -> recovery -> event    platform -> signature    {decision, customer} -> delivery -> event, signature
//! words     ids  money  time  entropy  secret  problem
//! edge      config  telemetry
//! ```
//! Without default features the crate has no AWS SDK and no HTTP client: words, domain, ports and the in-process
//! queue stand alone.

pub mod access;
#[cfg(feature = "aws")]
pub mod aws;
pub mod body;
pub mod config;
pub mod customer;
pub mod decision;
pub mod delivery;
pub mod entropy;
pub mod event;
pub mod ids;
pub mod money;
pub mod platform;
pub mod problem;
pub mod queue;
pub mod recovery;
pub mod secret;
pub mod signature;
pub mod store;
pub mod telemetry;
pub mod time;
pub mod transport;
