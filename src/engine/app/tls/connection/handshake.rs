//! What handshake messages change: who speaks, what was chosen, when keys change.

use super::{Choice, Stop, Tls, Why};
use crate::app::Observer;
use crate::app::tls::cipher::{Dialect, Sender};
use crate::app::tls::client_hello::{ClientHello, TLS13};
use crate::app::tls::messages::{Next, message};
use crate::app::tls::server_hello::{EncryptedExtensions, ServerHello};
use crate::app::tls::side::{Phase, Protection};
use crate::app::tls::suite::Suite;
use crate::app::tls::transcript::Transcript;
use crate::transport::StreamContext;

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
        if !self.speaks_tls13() {
            self.transcript.add(sender, bytes);
        }
        let whole = bytes;
        let random = |tls: &Self| tls.known.hello.as_ref().map(|hello| hello.random);
        let before = random(self);
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
        if before.is_some() && before != random(self) {
            self.transcript = Transcript::default(); // another handshake begins
            self.transcript.add(sender, whole);
        }
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
                if self.known.hello.is_none() {
                    self.is_nameless = observer.is_watched_server(context.src.ip());
                }
                self.on_server_hello(&hello, observer)
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

    pub(super) fn on_server_hello(
        &mut self,
        hello: &ServerHello<'_>,
        observer: &mut dyn Observer,
    ) -> Result<(), Stop> {
        let version = hello.version();
        let is_readable = match hello.compression {
            0 => version >= VERSION_MIN,
            DEFLATE => (VERSION_MIN..TLS13).contains(&version),
            _ => false,
        };
        let suite = Suite::of(hello.cipher).filter(|_| is_readable);
        self.choice = Some(Choice {
            version,
            suite,
            random: *hello.random,
            encrypts_then_macs: hello.encrypts_then_macs(),
            extends_master_secret: hello.extends_master_secret(),
            session: padded(hello.session_id).filter(|_| version < TLS13),
            compresses: hello.compression == DEFLATE,
            dialect: Dialect {
                draft: hello.draft(),
            },
        });
        self.unlocked = true;
        if version >= TLS13 {
            self.transcript.cut();
        }
        self.stop_unless_readable(observer)?;
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

/// A session's id, if there is one.
fn padded(id: &[u8]) -> Option<[u8; 32]> {
    let mut name = [0; 32];
    name.get_mut(..id.len())?.copy_from_slice(id);
    (!id.is_empty()).then_some(name)
}

/// SSL 3.0.
const VERSION_MIN: u16 = 0x0300;
/// The only way of compression that there is (RFC 3749 §2).
const DEFLATE: u8 = 1;
