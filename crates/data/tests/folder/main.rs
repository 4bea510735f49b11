//! Data-set folders from outside: what import makes of good and of bad files.
#![expect(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

mod bad_input;
mod home;
mod import;
mod places;
