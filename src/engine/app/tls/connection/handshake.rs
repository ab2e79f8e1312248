//! What handshake messages change: who speaks, what was chosen, when keys change.

use super::{Choice, Stop, Tls, Why};
use crate::engine::app::Observer;
use crate::engine::app::tls::cipher::Sender;
use crate::engine::app::tls::client_hello::ClientHello;
use crate::engine::app::tls::messages::{Next, message};
use crate::engine::app::tls::server_hello::{EncryptedExtensions, ServerHello};
use crate::engine::app::tls::side::{Phase, Protection};
use crate::engine::app::tls::suite::Suite;
use crate::engine::transport::StreamContext;

impl Tls {
    /// What the client speaks first shows which of its protocols the server chose, if the
    /// server's word for it was not seen.
    pub(super) fn note_protocol(&mut self, content: &[u8]) {
        let Some(hello) = self.known.hello.as_mut().filter(|hello| !hello.is_speaking) else {
            return;
        };
        hello.is_speaking = true;
        let (name, is_offered) = match content.starts_with(b"PRI * HTTP/2.0") {
            true => (&b"h2"[..], hello.offers_http2),
            false => (&b"http/1.1"[..], hello.offers_http1),
        };
        if is_offered && !hello.protocol_known {
            hello.facts.choose_protocol(name);
        }
    }

    pub(super) fn on_messages(
        &mut self,
        sender: Sender,
        context: &StreamContext,
        mut bytes: &[u8],
        observer: &mut dyn Observer,
    ) -> Result<(), Stop> {
        let mut messages = std::mem::take(&mut self.side(sender).messages);
        let outcome = loop {
            match messages.next(&mut bytes) {
                Next::Unfinished => break Ok(()),
                Next::TooLong => break Err(Stop::Lost(Why::Malformed)),
                Next::Message(kind) => {
                    let body = messages.body();
                    if let Err(stop) = self.on_message(sender, context, kind, body, observer) {
                        break Err(stop);
                    }
                }
            }
        };
        self.side(sender).messages = messages;
        outcome
    }

    pub(super) fn on_message(
        &mut self,
        sender: Sender,
        context: &StreamContext,
        kind: u8,
        body: &[u8],
        observer: &mut dyn Observer,
    ) -> Result<(), Stop> {
        match (sender, kind) {
            (Sender::Client, message::CLIENT_HELLO) => {
                let hello = ClientHello::parse(body);
                let hello = hello.map_err(|_| Stop::Lost(Why::Malformed))?;
                self.on_client_hello(context, &hello, observer)
            }
            (Sender::Server, message::SERVER_HELLO) => {
                let hello = ServerHello::parse(body);
                let hello = hello.map_err(|_| Stop::Lost(Why::Malformed))?;
                self.on_server_hello(&hello)
            }
            (Sender::Server, message::ENCRYPTED_EXTENSIONS) if self.speaks_tls13() => {
                let extensions = EncryptedExtensions::parse(body);
                self.choose_protocol(extensions.protocol);
                self.judge_early_data(extensions.takes_early_data, observer);
                Ok(())
            }
            // Only a client whose early data was taken sends it.
            (Sender::Client, message::END_OF_EARLY_DATA) => {
                self.judge_early_data(true, observer);
                Ok(())
            }
            (_, message::KEY_UPDATE) => {
                self.update_keys(sender);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// The first hello, the one after a HelloRetryRequest, or one that negotiates anew.
    pub(super) fn on_client_hello(
        &mut self,
        context: &StreamContext,
        hello: &ClientHello<'_>,
        observer: &mut dyn Observer,
    ) -> Result<(), Stop> {
        let Some(before) = self.known.hello.as_ref().map(|hello| hello.random) else {
            return self.on_first_hello(context, hello, observer);
        };
        if before != *hello.random {
            self.known.rename(hello.random, observer);
            self.choice = None;
        }
        Ok(())
    }

    pub(super) fn on_server_hello(&mut self, hello: &ServerHello<'_>) -> Result<(), Stop> {
        let is_readable = hello.compression == 0 && hello.version() >= VERSION_MIN;
        self.choice = Some(Choice {
            version: hello.version(),
            suite: Suite::of(hello.cipher).filter(|_| is_readable),
            random: *hello.random,
            encrypts_then_macs: hello.encrypts_then_macs(),
        });
        self.unlocked = true;
        if !hello.is_retry_request() {
            self.choose_protocol(hello.protocol());
        }
        Ok(())
    }

    pub(super) fn choose_protocol(&mut self, name: Option<&[u8]>) {
        self.known.choose_protocol(name);
    }

    pub(super) fn update_keys(&mut self, sender: Sender) {
        if let Protection::Tls13(Phase::Traffic, opener) = &mut self.side(sender).protection {
            if let Some(next) = opener.next_generation() {
                **opener = next;
            }
        }
    }
}

/// TLS 1.0.
const VERSION_MIN: u16 = 0x0301;
