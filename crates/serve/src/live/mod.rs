//! What a running server knows: tenants with their models, what users did, items that must not be shown.

mod answers;
mod app;
mod events;
mod folding;
mod history;
mod newcomers;
mod others;
mod promotions;
mod slot;
mod talks;
mod tenant;

pub(crate) use answers::{Answers, Grounds, Question};
pub use app::App;
pub(crate) use history::{EVENTS, Known, known_for, taken};
pub(crate) use newcomers::{Reception, told};
pub(crate) use slot::{Loaded, Which};
pub(crate) use talks::Talk;
pub(crate) use tenant::{Barred, Tenant, Timed, fresh, keep};
