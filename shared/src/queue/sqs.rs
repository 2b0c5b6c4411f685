//! The queues in SQS.
