//! Master secrets of TLS 1.2 and older: as a key log has them, or made from what it has.

use super::{Choice, Tls};
use crate::app::Observer;
use crate::app::tls::derive::{Binding, master_secret};
use crate::app::tls::keylog::{KeyLabel, Secret};
use crate::app::tls::secrets::ClientRandom;
use crate::app::tls::suite::Suite;

impl Tls {
    /// The master secret of what was chosen, if a key log brought it or what it is made from.
    pub(super) fn master_secret(
        &mut self,
        choice: &Choice,
        suite: Suite,
        observer: &mut dyn Observer,
    ) -> Option<Secret> {
        let own = self.secret(KeyLabel::MasterSecret, observer);
        let found = own.or_else(|| self.other_master_secret(choice, suite, observer));
        match found {
            None => self.ask_by_other_names(choice, observer),
            Some(secret) => {
                self.known.keep_secret(KeyLabel::MasterSecret, secret);
                self.transcript.cut(); // it is not looked for again before another handshake
            }
        }
        found
    }

    fn other_master_secret(
        &mut self,
        choice: &Choice,
        suite: Suite,
        observer: &mut dyn Observer,
    ) -> Option<Secret> {
        let random = self.known.hello.as_ref()?.random;
        let secrets = observer.secrets()?;
        let by_session = |id| secrets.find(&id, KeyLabel::SessionMaster);
        if let Some(master) = choice.session.and_then(by_session) {
            return Some(master);
        }
        let by_rsa = |name| secrets.find(&name, KeyLabel::RsaPreMaster);
        let pre_master = secrets
            .find(&random, KeyLabel::PreMaster)
            .or_else(|| self.rsa_name(choice).and_then(by_rsa))?;
        let handshake = self.transcript.up_to_key_exchange();
        let binding = match choice.extends_master_secret {
            true => Binding::Handshake(handshake.as_deref()?),
            false => Binding::Randoms([&random, &choice.random]),
        };
        let master = master_secret(choice.version, suite.hash, pre_master.bytes(), &binding)?;
        Secret::new(&master)
    }

    /// Asks to be called when a secret comes by one of the connection's other names.
    fn ask_by_other_names(&mut self, choice: &Choice, observer: &mut dyn Observer) {
        let names = [self.rsa_name(choice), choice.session];
        self.known
            .wait_by(names.into_iter().flatten().collect(), observer);
    }

    /// What a line that begins with `RSA` would call the connection.
    fn rsa_name(&self, choice: &Choice) -> Option<ClientRandom> {
        let start = self.transcript.rsa_name(choice.version < TLS10)?;
        let mut name = [0; 32];
        *name.first_chunk_mut()? = start;
        Some(name)
    }
}

const TLS10: u16 = 0x0301;
