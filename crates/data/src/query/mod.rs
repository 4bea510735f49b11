//! Questions about the fields of items and users.

mod expression;

pub use expression::Expression;
