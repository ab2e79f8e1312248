//! From records to what is in them.
//!
//! TLS 1.2 and older need the server's hello, and say when keys change. TLS 1.3 hides when, so
//! that up to the first record under traffic keys each further secret of the direction is tried,
//! with the suite that the server chose or else all that the client offers; a record that none
//! opens waits while its secret may still come.

use super::{Choice, Stop, Tls, Why};
use crate::app::Observer;
use crate::app::tls::cipher::{Dialect, Negotiated, Opened, Opener, Sender};
use crate::app::tls::client_hello::TLS13;
use crate::app::tls::inflate::Inflate;
use crate::app::tls::keylog::{KeyLabel, Secret};
use crate::app::tls::messages::{Messages, Next, message};
use crate::app::tls::record::{Header, kind};
use crate::app::tls::secrets::ClientRandom;
use crate::app::tls::side::{Phase, Protection};
use crate::app::tls::suite::{Cipher, Suite};
use crate::limits::{TLS_FAILURES_MAX, TLS_RECORDS_MISSED_MAX};
use crate::transport::{Chunk, StreamContext};

impl Tls {
    /// Reads a record. While it has to wait, its body stays as it was.
    pub(super) fn on_record(
        &mut self,
        sender: Sender,
        context: &StreamContext,
        header: Header,
        body: &mut [u8],
        observer: &mut dyn Observer,
    ) -> Result<(), Stop> {
        let is_tls13 = self.speaks_tls13();
        match self.side(sender).protection {
            Protection::Plain => self.in_clear(sender, context, header, body, observer),
            Protection::Changed if is_tls13 => {
                self.in_clear(sender, context, header, body, observer)
            }
            Protection::Changed => self.after_change(sender, context, header, body, observer),
            Protection::Older(_) => self.open_next(sender, context, header, body, observer),
            Protection::Tls13(..) if header.kind != kind::APPLICATION_DATA => Ok(()),
            Protection::Tls13(Phase::Traffic, _) => {
                self.open_next(sender, context, header, body, observer)
            }
            Protection::Tls13(..) => self.try_secrets(sender, context, header, body, observer),
        }
    }

    /// So many records passed unseen, the last of them of so many bytes.
    pub(super) fn pass_over(
        &mut self,
        sender: Sender,
        context: &StreamContext,
        records: u64,
        length: u16,
        observer: &mut dyn Observer,
    ) -> Result<(), Stop> {
        let side = self.side(sender);
        side.passed += records;
        let missing = match &mut side.protection {
            Protection::Older(opener) | Protection::Tls13(Phase::Traffic, opener) => {
                if !opener.skip(records) || side.inflate.is_some() {
                    return Err(Stop::Lost(Why::Gap));
                }
                match records {
                    1 => opener.content_bytes(usize::from(length)) as u64,
                    _ => u64::MAX,
                }
            }
            Protection::Plain if side.messages.is_within_message() => {
                return Err(Stop::Lost(Why::Gap)); // part of a hello
            }
            Protection::Plain => {
                side.messages.miss(usize::from(length));
                self.transcript.cut();
                return Ok(());
            }
            Protection::Changed | Protection::Tls13(..) => u64::MAX,
        };
        self.tell_inner(context, Chunk::Gap(missing), observer);
        Ok(())
    }

    /// Bytes are missing, and how many records they were is not known: ciphers that can open a
    /// record without the one before it go on with one of the next numbers.
    pub(super) fn bridge(
        &mut self,
        sender: Sender,
        context: &StreamContext,
        observer: &mut dyn Observer,
    ) -> Result<(), Stop> {
        let side = self.side(sender);
        side.gap = match &mut side.protection {
            Protection::Older(opener) => side.inflate.is_none() && opener.skip(0),
            Protection::Tls13(..) => true,
            Protection::Plain | Protection::Changed => false,
        };
        if !side.gap {
            return Err(Stop::Lost(Why::Gap));
        }
        self.tell_inner(context, Chunk::Gap(u64::MAX), observer);
        Ok(())
    }

    pub(super) fn speaks_tls13(&self) -> bool {
        self.choice.is_some_and(|choice| choice.version == TLS13)
    }

    /// Whether TLS 1.3 is spoken, as far as that is known.
    fn may_speak_tls13(&self) -> bool {
        match (&self.choice, &self.known.hello) {
            (Some(choice), _) => choice.version == TLS13,
            (None, Some(hello)) => hello.offers_tls13,
            (None, None) => true,
        }
    }

    fn in_clear(
        &mut self,
        sender: Sender,
        context: &StreamContext,
        header: Header,
        body: &mut [u8],
        observer: &mut dyn Observer,
    ) -> Result<(), Stop> {
        match header.kind {
            kind::HANDSHAKE => self.on_messages(sender, context, body, observer),
            kind::CHANGE_CIPHER_SPEC => {
                self.side(sender).protection = Protection::Changed;
                Ok(())
            }
            kind::APPLICATION_DATA if self.may_speak_tls13() => {
                self.try_secrets(sender, context, header, body, observer)
            }
            kind::APPLICATION_DATA => Err(Stop::Lost(Why::Malformed)),
            _ => Ok(()),
        }
    }

    /// After a ChangeCipherSpec in TLS 1.2 or older, or what may be that.
    fn after_change(
        &mut self,
        sender: Sender,
        context: &StreamContext,
        header: Header,
        body: &mut [u8],
        observer: &mut dyn Observer,
    ) -> Result<(), Stop> {
        if self.choice.is_some() {
            self.side(sender).protection = self.derive(sender, observer)?;
            return self.open_next(sender, context, header, body, observer);
        }
        match header.kind {
            kind::APPLICATION_DATA if self.may_speak_tls13() => {
                self.try_secrets(sender, context, header, body, observer)
            }
            // The hello after a HelloRetryRequest that was not seen.
            kind::HANDSHAKE if sender == Sender::Client && is_client_hello(body) => {
                self.on_messages(sender, context, body, observer)
            }
            _ => Err(Stop::NotYet { for_key: false }),
        }
    }

    /// What opens TLS 1.2 and older.
    fn derive(&mut self, sender: Sender, observer: &mut dyn Observer) -> Result<Protection, Stop> {
        let wait = Stop::NotYet { for_key: false };
        let (Some(choice), Some(hello)) = (self.choice, &self.known.hello) else {
            return Err(wait);
        };
        let client_random = hello.random;
        let suite = choice.suite.ok_or(Stop::Lost(Why::Suite))?;
        let opener = match self.master_secret(&choice, suite, observer) {
            Some(secret) => older(&choice, suite, &client_random, &secret, sender),
            None if suite.cipher == Cipher::Null => Opener::bare(suite),
            None => return Err(Stop::NotYet { for_key: true }),
        };
        let mut opener = opener.ok_or(Stop::Lost(Why::Suite))?;
        let side = self.side(sender);
        side.inflate = choice.compresses.then(|| Box::new(Inflate::new()));
        let passed = std::mem::take(&mut side.passed);
        if passed > 0 && (choice.compresses || !opener.skip(passed)) {
            return Err(Stop::Lost(Why::Gap));
        }
        Ok(Protection::Older(Box::new(opener)))
    }

    /// Opens the next record with the keys that are in force.
    fn open_next(
        &mut self,
        sender: Sender,
        context: &StreamContext,
        header: Header,
        body: &mut [u8],
        observer: &mut dyn Observer,
    ) -> Result<(), Stop> {
        let side = self.side(sender);
        let (Protection::Older(opener) | Protection::Tls13(_, opener)) = &mut side.protection
        else {
            return Ok(());
        };
        let opened = match std::mem::take(&mut side.gap) {
            false => opener.open(header, body),
            true => open_near(opener, header, body),
        };
        match opened {
            Some(opened) => self.on_content(sender, context, &opened, body, observer),
            None => Err(Stop::Lost(Why::Malformed)),
        }
    }

    /// Opens a record of TLS 1.3 with whichever secret fits: that in force, or a later one.
    fn try_secrets(
        &mut self,
        sender: Sender,
        context: &StreamContext,
        header: Header,
        body: &[u8],
        observer: &mut dyn Observer,
    ) -> Result<(), Stop> {
        let mut scratch = body.to_vec();
        let side = self.side(sender);
        let phase = match &mut side.protection {
            Protection::Tls13(phase, opener) => {
                if let Some(opened) = opener.open(header, &mut scratch) {
                    return self.on_content(sender, context, &opened, &scratch, observer);
                }
                Some(*phase)
            }
            _ => None,
        };
        for phase in Phase::after(phase) {
            let found = self.try_phase(phase, sender, header, (body, &mut scratch), observer);
            if let Some((opener, opened)) = found {
                if sender == Sender::Client && phase > Phase::Early {
                    self.judge_early_data(false, observer);
                }
                let side = self.side(sender);
                side.protection = Protection::Tls13(phase, Box::new(opener));
                (side.failures, side.gap) = (0, false);
                return self.on_content(sender, context, &opened, &scratch, observer);
            }
        }
        self.not_opened(sender, observer)
    }

    fn try_phase(
        &mut self,
        phase: Phase,
        sender: Sender,
        header: Header,
        (body, scratch): (&[u8], &mut Vec<u8>),
        observer: &mut dyn Observer,
    ) -> Option<(Opener, Opened)> {
        let secret = self.secret(phase.label(sender)?, observer)?;
        let side = self.side(sender);
        // Records that passed unseen may have been under these keys; few were not.
        let missed = if side.gap { TLS_RECORDS_MISSED_MAX } else { 0 };
        let last = side.passed + missed;
        let first = side.passed.saturating_sub(TLS_RECORDS_MISSED_MAX);
        let sequences = (first..=last).rev();
        let dialect = self.choice.map(|choice| choice.dialect);
        let dialect = dialect.unwrap_or_default();
        for suite in self.suites13() {
            let Some(mut opener) = Opener::tls13(suite, &secret, dialect) else {
                continue;
            };
            for sequence in sequences.clone() {
                opener.go_to(sequence);
                scratch.clear();
                scratch.extend_from_slice(body);
                if let Some(opened) = opener.open(header, scratch) {
                    self.note_suite(suite);
                    return Some((opener, opened));
                }
            }
        }
        None
    }

    /// No secret opened a record of TLS 1.3: one is still to come, or it is one of those that are
    /// not meant to be read, such as early data that the server refused.
    fn not_opened(&mut self, sender: Sender, observer: &mut dyn Observer) -> Result<(), Stop> {
        if self.choice.is_some_and(|choice| choice.suite.is_none()) {
            return Err(Stop::Lost(Why::Suite));
        }
        let traffic = Phase::Traffic.label(sender);
        let known = traffic.and_then(|label| self.secret(label, observer));
        if known.is_none() {
            return Err(Stop::NotYet { for_key: true });
        }
        let side = self.side(sender);
        side.failures += 1;
        match side.failures > TLS_FAILURES_MAX {
            true => Err(Stop::Lost(Why::Malformed)),
            false => Ok(()),
        }
    }

    /// The suites of TLS 1.3 that may be in use.
    fn suites13(&self) -> Vec<Suite> {
        match (&self.choice, &self.known.hello) {
            (Some(choice), _) => choice.suite.into_iter().collect(),
            (None, Some(hello)) => hello.suites13.clone(),
            (None, None) => Vec::new(),
        }
    }

    /// Which suite is in use was found by trying.
    fn note_suite(&mut self, suite: Suite) {
        self.choice.get_or_insert(Choice {
            version: TLS13,
            suite: Some(suite),
            random: [0; 32],
            encrypts_then_macs: false,
            extends_master_secret: false,
            session: None,
            compresses: false,
            dialect: Dialect::default(),
        });
    }

    /// A secret of this connection's; a copy of it is kept as long as the connection is.
    pub(super) fn secret(
        &mut self,
        label: KeyLabel,
        observer: &mut dyn Observer,
    ) -> Option<Secret> {
        self.known.secret(label, observer)
    }

    fn on_content(
        &mut self,
        sender: Sender,
        context: &StreamContext,
        opened: &Opened,
        body: &[u8],
        observer: &mut dyn Observer,
    ) -> Result<(), Stop> {
        self.known.opened = true;
        let content = body.get(opened.content.clone()).unwrap_or_default();
        let inflated = match &mut self.side(sender).inflate {
            Some(inflate) => inflate.record(content).ok_or(Stop::Lost(Why::Malformed))?,
            None => Vec::new(),
        };
        let content = match self.side(sender).inflate {
            Some(_) => &*inflated,
            None => content,
        };
        match opened.kind {
            kind::HANDSHAKE => return self.on_messages(sender, context, content, observer),
            kind::APPLICATION_DATA if !content.is_empty() => {
                if sender == Sender::Client {
                    self.note_protocol(content);
                }
                let side = &self.client_side.protection;
                match (sender, side) {
                    (Sender::Client, Protection::Tls13(Phase::Early, _)) => {
                        self.on_early_data(context, content, observer);
                    }
                    _ => self.tell_inner(context, Chunk::Data(content), observer),
                }
            }
            kind::CHANGE_CIPHER_SPEC => self.side(sender).protection = Protection::Changed,
            _ => {}
        }
        Ok(())
    }
}

fn older(
    choice: &Choice,
    suite: Suite,
    client_random: &ClientRandom,
    secret: &Secret,
    sender: Sender,
) -> Option<Opener> {
    let negotiated = Negotiated {
        version: choice.version,
        suite,
        master_secret: secret.bytes(),
        client_random,
        server_random: &choice.random,
        encrypts_then_macs: choice.encrypts_then_macs,
    };
    Opener::older(&negotiated, sender)
}

/// Opens a record after a hole: its number is one of the next.
fn open_near(opener: &mut Opener, header: Header, body: &mut [u8]) -> Option<Opened> {
    let (sealed, first) = (body.to_vec(), opener.sequence());
    (first..=first + TLS_RECORDS_MISSED_MAX).find_map(|sequence| {
        opener.go_to(sequence);
        body.copy_from_slice(&sealed);
        opener.open(header, body)
    })
}

/// Whether a record holds a whole ClientHello in clear text.
fn is_client_hello(body: &[u8]) -> bool {
    let mut messages = Messages::default();
    messages.next(&mut &*body) == Next::Message(message::CLIENT_HELLO)
}
