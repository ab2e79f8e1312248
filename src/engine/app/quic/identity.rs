//! Whether two hellos are one visitor's one attempt: a client says its hello again after a Retry,
//! and perhaps another one when the server speaks another version.
//!
//! Names of connections and random bytes are the client's choice: who wants to hide a hello behind
//! another must not be able to. So it is the same hello only if all of it is.

use ring::digest;

use crate::app::tls::client_hello::ClientHello;

/// What a hello is known again by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    whole: [u8; 32],
    name: [u8; 32],
}

/// Another connection between the same addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Other {
    pub(super) identity: Identity,
    /// Whether its server sent the client back: by a Retry, or because it speaks another version.
    pub(super) is_refused: bool,
}

impl Identity {
    /// That of a hello and its body.
    pub(super) fn of(hello: &ClientHello<'_>, body: &[u8]) -> Self {
        Self {
            whole: digest_of(body),
            name: digest_of(hello.server_name().unwrap_or_default()),
        }
    }

    /// Whether both name the same server.
    pub(super) fn has_name_of(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Other {
    /// Whether this hello is that one's, said again.
    pub(super) fn is_again(&self, identity: &Identity) -> bool {
        self.identity.whole == identity.whole
            || (self.is_refused && self.identity.has_name_of(identity))
    }
}

fn digest_of(bytes: &[u8]) -> [u8; 32] {
    let digest = digest::digest(&digest::SHA256, bytes);
    digest.as_ref().try_into().unwrap_or_default()
}
