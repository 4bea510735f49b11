//! Questions about the fields of items and users.

mod expression;
mod kinds;

pub use expression::Expression;
