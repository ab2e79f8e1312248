//! Who a visitor probably is: reasons, never a verdict, and nothing leaves this machine.
//!
//! | file | what happens there |
//! |---|---|
//! | `table` | known fetchers: what others have seen of them |
//! | `network` | the network of an address, from databases that the user supplies |
//! | `judge` | which rows a visit fits, by which facts, and what speaks against it |

pub use judge::{Fit, Sighting};
pub use network::{DatabaseError, Network, Networks};
pub use table::{Row, RowError, Table};

mod judge;
mod network;
mod table;
