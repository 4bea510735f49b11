//! The binary from outside: what it prints, what it leaves on disk, how it ends. Everything runs offline on small
//! made-up worlds.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop at what it did not expect")]

mod answers;
mod bad_asks;
mod bad_files;
mod bad_folders;
mod evaluate;
mod export;
mod home;
mod long;
mod outputs;
mod repeat;
mod settings;
mod side_files;
