//! The pure core: frames in, events out. No input or output, no clock, no thread.
//!
//! `frame < link < net < transport < app < canary < event`: each names only those before it
//! (`event`, `limits` and `counters` are plain data that all may name).

pub mod app;
pub mod canary;
pub mod counters;
pub mod event;
pub mod frame;
pub mod limits;
pub mod link;
pub mod net;
pub mod transport;
