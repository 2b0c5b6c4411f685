//! `deliver`: posts each delivery to its endpoint, signed afresh, until it is settled.

pub mod gate;
pub mod handler;
pub mod ordered;
pub mod tries;
