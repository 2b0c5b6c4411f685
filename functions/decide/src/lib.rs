//! `decide`: the door where a payment backend asks whether an incoming payment may be made. It asks the tenant's ASE,
//! signed and within a deadline, judges the answer, records the decision once, and gives it to whoever waits.

pub mod handler;
pub mod reply;
