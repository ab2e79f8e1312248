//! One connection: hellos read, records opened by whatever keys come, the requests inside read.
//!
//! # When a hello is told
//! Where no keys are followed, at once: nothing more will be learned, and the connection is
//! forgotten. Where they are, its request is the better word, and the hello waits for it: until
//! the connection ends, or until [`SECRET_WAIT`] when nothing was opened by then. A hello that
//! names a canary's own host waits [`HELLO_VISIT_WAIT`] only, which keys that are followed live
//! need to arrive: an alert is urgent. The request that is read later becomes a detail of it.
//!
//! # Which keys open a record
//! TLS 1.2 and older need the server's hello, and say when keys change. TLS 1.3 hides when, so
//! that up to the first record under traffic keys each further secret of the direction is tried,
//! with the suite that the server chose or else all that the client offers; a record that none
//! opens waits while its secret may still come.

use crate::engine::app::tls::cipher::{Opener, Sender};
use crate::engine::app::tls::client_hello::{ClientHello, TLS13};
use crate::engine::app::tls::facts::TlsFacts;
use crate::engine::app::tls::held::{Item, What};
use crate::engine::app::tls::ja4::Carrier;
use crate::engine::app::tls::keylog::{KeyLabel, Secret};
use crate::engine::app::tls::messages::{self, message};
use crate::engine::app::tls::record::{self, Header, Records};
use crate::engine::app::tls::secrets::{ClientRandom, Waiter};
use crate::engine::app::tls::server_hello::{ServerHello, protocol_in_encrypted_extensions};
use crate::engine::app::tls::side::{Protection, Side};
use crate::engine::app::tls::suite::Suite;
use crate::engine::app::tls::under::{Told, Under};
use crate::engine::app::{Observer, Session};
