//! An event that is on disk becomes light.
