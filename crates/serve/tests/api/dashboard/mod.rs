//! The pages of the dashboard, and what they ask for.

mod pages;
