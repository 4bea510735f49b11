//! A serving model trained anew: its data with what a store has heard since, judged against it on the newest events.

mod changes;
mod judge;
mod merge;
mod report;
mod run;

pub use changes::{
    ChangedItem, ChangedUser, ERASED, EVENTS, Erased, ITEMS, NewEvent, USERS, WITHDRAWN,
};
pub use report::{Judged, Merged, Promote, Report, Rule};
pub use run::{Retraining, report_path};
