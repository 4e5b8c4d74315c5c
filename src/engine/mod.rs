//! Beyond this process: what several nodes share, and how they reach it.

pub(crate) mod redis;
