//! The search for settings of one model on validation events: what may be tried, the fits, the journal, the result.

mod folder;
mod result;
mod run;
mod space;
mod trial;

pub use result::{Searched, Tried};
pub use run::Search;
pub use tastemaker_train::search::{Limits, Method};
