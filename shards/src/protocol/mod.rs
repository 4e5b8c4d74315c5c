//! Frames ↔ meaning: the dialects, their events, errors and close codes (steps 3 and 7 of the path).

pub mod app_event;
pub mod catalog;
pub mod close_code;
pub mod command;
pub mod emission;
pub mod error_code;
pub mod event;
pub mod frame;
pub mod json;
pub mod message;
pub mod profile;
pub mod push;
pub mod reply;
pub mod socketio;
pub mod topic;
pub mod write;
