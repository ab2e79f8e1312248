//! From packets to what is in them: which key opens which.
//!
//! A key log has one secret for each level and direction. With which suite it goes the server's
//! hello says; where that is not seen, each of those that the client offers is tried.

use super::{Connection, Stop};
use crate::app::Observer;
use crate::app::quic::initial::Initial;
use crate::app::quic::keys::{Keys, Opened, TrafficKeys};
use crate::app::quic::names::Names;
use crate::app::quic::packet::{Level, LongPacket, Sealed};
use crate::app::quic::version::{LongKind, Version};
use crate::app::tls::keylog::{KeyLabel, Secret};
use crate::app::tls::suite::Suite;
use crate::transport::{Direction, StreamContext};

impl Connection {
    /// Opens a packet; its frames stand in `buffer` then.
    pub(super) fn open(
        &mut self,
        packet: &Sealed<'_>,
        direction: Direction,
        names: &Names,
        buffer: &mut Vec<u8>,
        observer: &mut dyn Observer,
    ) -> Result<Opened, Stop> {
        let number_at = packet.number_at.unwrap_or_default();
        let version = packet.version.unwrap_or(self.version);
        let sealed = (packet.bytes, number_at);
        match packet.level {
            Level::Initial => self.open_initial(version, sealed, direction, buffer),
            Level::Early | Level::Handshake => {
                self.open_before(packet.level, version, sealed, direction, buffer, observer)
            }
            Level::Traffic => self.open_short(packet.bytes, direction, names, buffer, observer),
        }
    }

    /// Whether the handshake may begin anew, under other keys: the server has not answered yet.
    pub(in crate::app::quic) const fn may_begin_anew(&self) -> bool {
        self.server_side.initial.largest.is_none() && self.client_side.handshake_keys.is_none()
    }

    /// Whether a client's Initial packet is the first under other keys: a Retry gave the server
    /// another name, or the server spoke another version only. Then the handshake begins anew.
    pub(super) fn begins_anew(&mut self, packet: &LongPacket<'_>, context: &StreamContext) -> bool {
        if packet.kind != LongKind::Initial
            || context.direction != Direction::ToServer
            || self.initial.is_for(packet)
            || !self.may_begin_anew()
        {
            return false;
        }
        let Some(initial) = Initial::of_first(packet, &mut Vec::new()) else {
            return false;
        };
        self.version = initial.version();
        self.initial = initial;
        self.client_side.restart();
        self.server_side.restart();
        self.suite = None;
        true
    }

    /// Whether a client's Initial packet belongs to this connection, though no name says so.
    pub(in crate::app::quic) fn opens_initial(&self, packet: &LongPacket<'_>) -> bool {
        let largest = self.client_side.initial.largest;
        let sealed = (packet.bytes, packet.number_at);
        let direction = Direction::ToServer;
        let mut buffer = Vec::new();
        let opened = self.initial.open(sealed, direction, largest, &mut buffer);
        packet.version == self.initial.version() && opened.is_some()
    }

    fn open_initial(
        &mut self,
        version: Version,
        sealed: (&[u8], usize),
        direction: Direction,
        buffer: &mut Vec<u8>,
    ) -> Result<Opened, Stop> {
        let largest = self.side(direction).initial.largest;
        if version == self.initial.version() {
            let opened = self.initial.open(sealed, direction, largest, buffer);
            return opened.ok_or(Stop::NotOpened);
        }
        let other = self.initial.in_version(version).ok_or(Stop::NotOpened)?;
        let opened = other.open(sealed, direction, largest, buffer);
        let opened = opened.ok_or(Stop::NotOpened)?;
        if direction == Direction::ToClient {
            self.version = version; // what both sides go on with (RFC 9368 §2.3)
        }
        self.initial = other;
        Ok(opened)
    }

    /// Opens a 0-RTT or Handshake packet.
    fn open_before(
        &mut self,
        level: Level,
        version: Version,
        (packet, number_at): (&[u8], usize),
        direction: Direction,
        buffer: &mut Vec<u8>,
        observer: &mut dyn Observer,
    ) -> Result<Opened, Stop> {
        let side = self.side(direction);
        let (keys, largest) = match level {
            Level::Early => (&side.early_keys, side.largest),
            _ => (&side.handshake_keys, side.handshake.largest),
        };
        if let Some(keys) = keys {
            let opened = keys.open(packet, number_at, largest, buffer);
            return opened.ok_or(Stop::NotOpened);
        }
        let secret = self.secret(level, direction, observer)?;
        for suite in self.suites(level, &secret) {
            let Some(keys) = Keys::new(version, suite, &secret) else {
                continue;
            };
            if let Some(opened) = keys.open(packet, number_at, largest, buffer) {
                let side = self.side(direction);
                match level {
                    Level::Early => side.early_keys = Some(keys),
                    _ => {
                        side.handshake_keys = Some(keys);
                        self.suite = Some(suite);
                        self.version = version;
                    }
                }
                return Ok(opened);
            }
        }
        Err(Stop::NotOpened)
    }

    /// Opens a 1-RTT packet.
    fn open_short(
        &mut self,
        packet: &[u8],
        direction: Direction,
        names: &Names,
        buffer: &mut Vec<u8>,
        observer: &mut dyn Observer,
    ) -> Result<Opened, Stop> {
        let side = self.side(direction);
        let largest = side.largest;
        let places = names.number_places(direction, packet);
        if let Some(keys) = &mut side.traffic_keys {
            let opened = places
                .into_iter()
                .find_map(|place| keys.open(packet, place, largest, buffer));
            return opened.ok_or(Stop::NotOpened);
        }
        let secret = self.secret(Level::Traffic, direction, observer)?;
        for suite in self.suites(Level::Traffic, &secret) {
            let Some(keys) = Keys::new(self.version, suite, &secret) else {
                continue;
            };
            let mut keys = Box::new(TrafficKeys::new(keys));
            let opened = places
                .clone()
                .find_map(|place| keys.open(packet, place, largest, buffer));
            if let Some(opened) = opened {
                self.side(direction).traffic_keys = Some(keys);
                self.suite = Some(suite);
                self.on_first_traffic(direction, observer);
                return Ok(opened);
            }
        }
        Err(Stop::NotOpened)
    }

    /// A client that goes on with the keys of the connection was not refused, as far as whoever
    /// cannot read the server's word can know.
    fn on_first_traffic(&mut self, direction: Direction, observer: &mut dyn Observer) {
        let word = KeyLabel::ServerHandshake;
        let is_silent = self.server_side.initial.largest.is_none()
            || self.known.secret(word, observer).is_none();
        if direction == Direction::ToServer && is_silent {
            self.judge_early_data(true, observer);
        }
    }

    fn secret(
        &mut self,
        level: Level,
        direction: Direction,
        observer: &mut dyn Observer,
    ) -> Result<Secret, Stop> {
        if self.known.hello.is_none() {
            return Err(Stop::NotYet { for_key: false });
        }
        let label = match (level, direction) {
            (Level::Handshake, Direction::ToServer) => KeyLabel::ClientHandshake,
            (Level::Handshake, Direction::ToClient) => KeyLabel::ServerHandshake,
            (Level::Traffic, Direction::ToServer) => KeyLabel::ClientTraffic,
            (Level::Traffic, Direction::ToClient) => KeyLabel::ServerTraffic,
            (Level::Early, Direction::ToServer) => KeyLabel::ClientEarly,
            (Level::Early, Direction::ToClient) | (Level::Initial, _) => {
                return Err(Stop::NotOpened);
            }
        };
        let secret = self.known.secret(label, observer);
        secret.ok_or(Stop::NotYet { for_key: true })
    }

    /// The suites that may be in use. 0-RTT goes by that of an earlier connection.
    fn suites(&self, level: Level, secret: &Secret) -> Vec<Suite> {
        let fits = |suite: &Suite| suite.hash.bytes() == secret.bytes().len();
        match (self.suite, &self.known.hello) {
            (Some(suite), _) if level != Level::Early => vec![suite],
            (_, Some(hello)) => hello.suites13.iter().copied().filter(fits).collect(),
            (_, None) => Vec::new(),
        }
    }
}
