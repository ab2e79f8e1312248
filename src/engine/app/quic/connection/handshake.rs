//! What handshake messages say: who the client looks for, and what the server chose.

use super::{Connection, Stop};
use crate::app::Observer;
use crate::app::quic::identity::Identity;
use crate::app::quic::packet::Level;
use crate::app::tls::client_hello::ClientHello;
use crate::app::tls::ja4::Carrier;
use crate::app::tls::known::Wanted;
use crate::app::tls::messages::message;
use crate::app::tls::secrets::Waiter;
use crate::app::tls::server_hello::{EncryptedExtensions, ServerHello};
use crate::app::tls::suite::Suite;
use crate::transport::{Direction, StreamContext};

impl Connection {
    /// Reads a piece of the handshake.
    pub(super) fn on_crypto(
        &mut self,
        level: Level,
        context: &StreamContext,
        (offset, data): (u64, &[u8]),
        observer: &mut dyn Observer,
    ) -> Result<(), Stop> {
        let Some(space) = self.side(context.direction).space(level) else {
            return Ok(());
        };
        let Ok(messages) = space.on_crypto(offset, data) else {
            observer.counters().quic_malformed += 1;
            return Err(Stop::Unwanted);
        };
        for (kind, body) in messages {
            self.on_message((context.direction, level, kind), context, &body, observer)?;
        }
        Ok(())
    }

    /// Whether streams hold HTTP/3, as far as that is known.
    pub(super) fn speaks_http3(&self) -> bool {
        let Some(hello) = &self.known.hello else {
            return false;
        };
        let name = hello.facts.alpn.as_deref().unwrap_or_default();
        !hello.protocol_known || name.starts_with("h3")
    }

    fn on_message(
        &mut self,
        (direction, level, kind): (Direction, Level, u8),
        context: &StreamContext,
        body: &[u8],
        observer: &mut dyn Observer,
    ) -> Result<(), Stop> {
        match (direction, level, kind) {
            (Direction::ToServer, Level::Initial, message::CLIENT_HELLO) => {
                self.on_client_hello(context, body, observer)
            }
            (Direction::ToClient, Level::Initial, message::SERVER_HELLO) => {
                if let Ok(hello) = ServerHello::parse(body) {
                    self.suite =
                        Suite::of(hello.cipher).filter(|_| Suite::is_of_tls13(hello.cipher));
                    self.unlocked = true;
                }
                Ok(())
            }
            (Direction::ToClient, Level::Handshake, message::ENCRYPTED_EXTENSIONS) => {
                let extensions = EncryptedExtensions::parse(body);
                self.known.choose_protocol(extensions.protocol);
                self.judge_early_data(extensions.takes_early_data, observer);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// The first hello, or one that comes again: after a Retry the same, after a HelloRetryRequest
    /// or in another version perhaps another. One for another server is a visit of its own.
    fn on_client_hello(
        &mut self,
        context: &StreamContext,
        body: &[u8],
        observer: &mut dyn Observer,
    ) -> Result<(), Stop> {
        let Ok(hello) = ClientHello::parse(body) else {
            observer.counters().quic_malformed += 1;
            return Err(Stop::Unwanted);
        };
        self.unlocked = true;
        let identity = Identity::of(&hello, body);
        match self.identity.replace(identity) {
            Some(before) if before.has_name_of(&identity) => {
                self.known.rename(hello.random, observer);
                return Ok(());
            }
            Some(_) => self.end_hello(context, observer),
            None => {}
        }
        let mut others = self.others.iter();
        if let Some(other) = others.find(|other| other.is_again(&identity)) {
            return Err(Stop::Again(other.identity));
        }
        observer.counters().quic_hellos += 1;
        let waiter = Waiter::Quic(self.number);
        let by = (Carrier::Quic(self.number), None);
        match self
            .known
            .on_first_hello(context, &hello, by, waiter, observer)
        {
            Wanted::Yes => Ok(()),
            Wanted::No => Err(Stop::Unwanted),
        }
    }
}
