//! The list of extensions in hellos (RFC 8446 §4.2).

use crate::app::tls::reader::Reader;

/// Numbers of extensions (IANA, TLS ExtensionType Values).
pub(in crate::app) mod extension {
    pub(in crate::app) const SERVER_NAME: u16 = 0;
    pub(in crate::app) const SIGNATURE_ALGORITHMS: u16 = 13;
    pub(in crate::app) const ALPN: u16 = 16;
    pub(in crate::app) const ENCRYPT_THEN_MAC: u16 = 22;
    pub(in crate::app) const EXTENDED_MASTER_SECRET: u16 = 23;
    pub(in crate::app) const EARLY_DATA: u16 = 42;
    pub(in crate::app) const SUPPORTED_VERSIONS: u16 = 43;
    pub(in crate::app) const ENCRYPTED_CLIENT_HELLO: u16 = 0xfe0d;
}

/// Extensions in the order of the wire, within the bytes that they were read from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extensions<'a> {
    bytes: &'a [u8],
}

impl<'a> Extensions<'a> {
    /// The list that is next; of one that is longer than what is there, as much as is there.
    pub(super) fn read(reader: &mut Reader<'a>) -> Self {
        let length = reader.u16().map_or(0, usize::from);
        let bytes = reader.take(length).unwrap_or_else(|| reader.rest());
        Self { bytes }
    }

    /// Kind and body of each, in their order, up to the first that is cut short.
    pub fn iter(&self) -> impl Iterator<Item = (u16, &'a [u8])> + Clone + use<'a> {
        let mut reader = Reader::new(self.bytes);
        std::iter::from_fn(move || Some((reader.u16()?, reader.vector16()?)))
    }

    /// The body of the first of a kind.
    pub fn find(&self, kind: u16) -> Option<&'a [u8]> {
        self.iter()
            .find(|(found, _)| *found == kind)
            .map(|(_, body)| body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_that_is_cut_short_is_read_up_to_the_cut() {
        let list = [0, 12, 0, 23, 0, 0, 0, 0, 0, 2, 9, 9, 0, 5, 0];
        let all = Extensions::read(&mut Reader::new(&list));
        assert_eq!(all.iter().count(), 2);
        let cut = Extensions::read(&mut Reader::new(&list[..9]));
        assert_eq!(cut.iter().collect::<Vec<_>>(), [(23, &[][..])]);
        assert_eq!(all.find(0), Some(&[9, 9][..]));
    }
}
