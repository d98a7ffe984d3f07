//! The origin against a small service over real TCP.
