//! The graph of all rooms, from start to stop.
