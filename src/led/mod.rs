//! Lights: drivers, and the patterns that they play.
