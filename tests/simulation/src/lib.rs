//! Payrelay under all that can go wrong, on a driven clock: one seed is one run of several copies of the whole `World`, and
//! what holds in every run is a law that is checked.

pub mod acts;
pub mod anchor;
pub mod campaign;
pub mod chance;
pub mod cluster;
pub mod dead;
pub mod defects;
pub mod laws;
pub mod load;
pub mod nature;
pub mod operator;
pub mod outside;
pub mod overload;
pub mod process;
pub mod publish;
pub mod queues;
pub mod recovery;
pub mod run;
pub mod shrink;
pub mod stage;
pub mod table;
pub mod template;
pub mod weather;
