//! What an evaluation found, for people and programs: one structure, as a table, as JSON, as one HTML page.

mod figures;
mod html;
mod lines;
mod markdown;
mod model;
mod plot;
mod ranges;
mod tables;

pub use html::{to_html, write_html};
pub use lines::{Chart, Series, courses_svg, is_courses_svg, to_svg};
pub use markdown::to_table;
pub use model::{ColdRow, ColdTable, Course, Mix, MixRange, ModelRow, Report, StageRow, to_json};
