//! What is done beside requests: rows in bulk, other processes, the record of who changed what.

mod audit;
mod bulk;
mod others;
mod traces;
