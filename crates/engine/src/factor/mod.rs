//! What people prove themselves with. One file per factor.

pub mod password;
