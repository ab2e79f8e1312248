//! What a look at the wire says of the mirror: frames, both directions, twins, cuts.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use crate::doctor::point::Point;
use crate::doctor::tally::Sides;
use crate::doctor::watch::{Blind, Seen};
use crate::engine::canary::PortSet;

/// What the points are judged by.
#[derive(Debug)]
pub(super) struct Wire<'a> {
    pub(super) seen: &'a Result<Seen, Blind>,
    pub(super) interface: &'a str,
    pub(super) ports: &'a PortSet,
    /// Servers of watched hosts that the configuration names.
    pub(super) addresses: &'a [IpAddr],
    pub(super) how_long: Duration,
    /// Requests and responses that the running daemon has read since it started.
    pub(super) daemon_read: Option<(u64, u64)>,
}

impl Wire<'_> {
    pub(super) fn points(&self) -> [Point; 4] {
        match self.seen {
            Ok(seen) => [
                self.packets(seen),
                self.directions(seen),
                duplicates(seen),
                whole(seen, self.interface),
            ],
            Err(blind) => [
                self.packets_unseen(blind),
                self.directions_unseen(blind),
                unseen(DUPLICATES, blind),
                unseen(WHOLE, blind),
            ],
        }
    }

    fn packets(&self, seen: &Seen) -> Point {
        let (interface, seconds) = (self.interface, self.seconds());
        let counts = &seen.counts;
        let frames = seen.on_interface.unwrap_or(0).max(counts.frames);
        if let Some(error) = &seen.broke_off {
            return Point::failed(
                PACKETS,
                format!("the capture broke off: {error}"),
                "see that the interface stays up: dmesg, and the cable",
            );
        }
        if frames == 0 {
            return Point::failed(PACKETS, self.silent(), self.silent_cure());
        }
        if counts.segments > 0 {
            return self.enough(seen, frames);
        }
        if counts.flooded > 0 && nearly_all(counts.flooded, frames) {
            return Point::failed(
                PACKETS,
                format!(
                    "{frames} frames came in on {interface} in {seconds}, all of them to everybody: \
                     the switch mirrors nothing"
                ),
                "in the switch's menu mirror the web server's port, both directions, to the port \
                 with this interface",
            );
        }
        self.none_on_ports(seen, frames)
    }

    fn enough(&self, seen: &Seen, frames: u64) -> Point {
        let found = format!(
            "{frames} frames came in on {} in {}, {} of them TCP on {}",
            self.interface,
            self.seconds(),
            seen.counts.segments,
            self.ports_text(),
        );
        match seen.stats.dropped_kernel {
            0 => Point::ok(PACKETS, found),
            dropped => Point::warning(
                PACKETS,
                format!("{found}; {dropped} found no room in the ring"),
                "enlarge capture.buffer, or narrow the filter with host.addresses",
            ),
        }
    }

    fn none_on_ports(&self, seen: &Seen, frames: u64) -> Point {
        let found = format!(
            "{frames} frames came in on {} in {}, none of them TCP on {}",
            self.interface,
            self.seconds(),
            self.ports_text(),
        );
        let mut others: Vec<_> = seen.counts.other_ports.iter().collect();
        others.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        let others: Vec<String> = others
            .into_iter()
            .take(PORTS_SHOWN)
            .map(|(port, _)| port.to_string())
            .collect();
        if others.is_empty() {
            return Point::warning(PACKETS, found, self.ask_meanwhile());
        }
        Point::warning(
            PACKETS,
            format!("{found}, but connections to port {}", others.join(", ")),
            format!(
                "if the web server answers there, add it to capture.ports; else {}",
                self.ask_meanwhile()
            ),
        )
    }

    fn silent(&self) -> String {
        format!(
            "no frame came in on {} in {}",
            self.interface,
            self.seconds()
        )
    }

    fn silent_cure(&self) -> String {
        format!(
            "check the cable, and that the switch mirrors the web server's port to this one; a \
             server that nobody asks is silent too: {}",
            self.ask_meanwhile()
        )
    }

    fn packets_unseen(&self, blind: &Blind) -> Point {
        match blind {
            Blind::Forbidden(Some(0)) => Point::failed(PACKETS, self.silent(), self.silent_cure()),
            Blind::Forbidden(Some(frames)) => Point::ok(
                PACKETS,
                format!(
                    "{frames} frames came in on {} in {}, by its own count",
                    self.interface,
                    self.seconds()
                ),
            ),
            _ => unseen(PACKETS, blind),
        }
    }

    fn directions(&self, seen: &Seen) -> Point {
        let sides = self.sides(seen);
        let Sides { to, from, .. } = sides;
        match (to, from) {
            (0, 0) => Point::not_looked_at(
                DIRECTIONS,
                format!("no TCP came in on {}", self.ports_text()),
                self.ask_meanwhile(),
            ),
            (0, _) => Point::failed(
                DIRECTIONS,
                format!(
                    "{from} segments came from web servers and none towards them: requests are \
                     not mirrored"
                ),
                BOTH_DIRECTIONS,
            ),
            (_, 0) if sides.acknowledging > 0 => Point::failed(
                DIRECTIONS,
                format!(
                    "{to} segments went to web servers, {} of them acknowledge answers, and no \
                     answer came in: answers are not mirrored",
                    sides.acknowledging
                ),
                BOTH_DIRECTIONS,
            ),
            (_, 0) => Point::warning(
                DIRECTIONS,
                format!("{to} segments asked web servers for a connection, and none answered"),
                "see that the web server runs; if it does, mirror both directions of its port",
            ),
            _ => Point::ok(
                DIRECTIONS,
                format!("{to} segments went to web servers, {from} came from them"),
            ),
        }
    }

    /// Both directions of the watched hosts' servers, where they are known and were seen; else of
    /// all.
    fn sides(&self, seen: &Seen) -> Sides {
        let known: BTreeSet<IpAddr> = seen
            .heard
            .servers
            .iter()
            .chain(self.addresses)
            .copied()
            .collect();
        let servers = &seen.counts.servers;
        let sum = |wanted: &dyn Fn(&IpAddr) -> bool| {
            let sides = servers.iter().filter(|(address, _)| wanted(address));
            sides.fold(Sides::default(), |sum, (_, sides)| sum.and(*sides))
        };
        let of_known = sum(&|address| known.contains(address));
        match of_known.to + of_known.from {
            0 => sum(&|_| true),
            _ => of_known,
        }
    }

    fn directions_unseen(&self, blind: &Blind) -> Point {
        match (blind, self.daemon_read) {
            (Blind::Forbidden(_), Some((requests, responses))) if requests > 0 && responses > 0 => {
                Point::ok(
                    DIRECTIONS,
                    format!(
                        "the daemon has read {requests} requests and {responses} responses since \
                         it started"
                    ),
                )
            }
            _ => unseen(DIRECTIONS, blind),
        }
    }

    fn seconds(&self) -> String {
        format!("{} s", self.how_long.as_secs())
    }

    fn ports_text(&self) -> String {
        match self.ports {
            PortSet::All => "any port".into(),
            PortSet::Some(ports) => {
                let ports: Vec<String> = ports.iter().map(ToString::to_string).collect();
                format!("port {}", ports.join(", "))
            }
        }
    }

    fn ask_meanwhile(&self) -> String {
        let longer = (self.how_long.as_secs() * 6).clamp(30, 600);
        format!("open a page of a watched host while `canarytap doctor --seconds {longer}` looks")
    }
}

/// One packet that this process sends or misses makes no difference.
fn nearly_all(some: u64, all: u64) -> bool {
    all.saturating_sub(some) <= 1 + all / 20
}

fn duplicates(seen: &Seen) -> Point {
    let counts = &seen.counts;
    let (twice, segments) = (counts.twice, counts.segments);
    if segments == 0 {
        return Point::not_looked_at(
            DUPLICATES,
            "no packet came in that could have come twice",
            "see the point packets",
        );
    }
    let found = format!("{twice} of {segments} segments came twice");
    if counts.in_another_network > 0 {
        return Point::warning(
            DUPLICATES,
            format!("{found}, in two VLANs or tunnels: each visit may be told twice"),
            "mirror the web server's port alone, not the router's or the trunk too",
        );
    }
    if twice < FEW || twice * 20 < segments {
        return Point::ok(DUPLICATES, found);
    }
    Point::warning(
        DUPLICATES,
        format!("{found}: both ends of their way are mirrored, and half of the work is in vain"),
        "mirror the web server's port alone, or one direction of each port",
    )
}

fn whole(seen: &Seen, interface: &str) -> Point {
    let counts = &seen.counts;
    let (cut, frames) = (counts.cut, counts.frames);
    if cut >= FEW && cut * 20 >= frames {
        return Point::failed(
            WHOLE,
            format!("{cut} of {frames} frames are cut: requests in them cannot be read"),
            "switch off slicing or truncation of mirrored frames (a snap length) in the switch",
        );
    }
    if seen.refused > 0 {
        return Point::warning(
            WHOLE,
            format!(
                "{interface} refused {} frames: damaged, or too long for it with their VLAN tags",
                seen.refused
            ),
            format!("check the cable; for tagged frames: sudo ip link set {interface} mtu 1600"),
        );
    }
    match (cut, frames) {
        (0, 0) => Point::not_looked_at(WHOLE, "no frame came in", "see the point packets"),
        (0, _) => Point::ok(WHOLE, "no frame is cut or damaged"),
        _ => Point::warning(
            WHOLE,
            format!("{cut} of {frames} frames are cut"),
            "look again for longer: canarytap doctor --seconds 60",
        ),
    }
}

/// A point that only packets could tell.
pub(super) fn unseen(point: &'static str, blind: &Blind) -> Point {
    match blind {
        Blind::NoInterface => Point::not_looked_at(
            point,
            "there is nothing to listen on",
            "see the point interface",
        ),
        Blind::Forbidden(_) => Point::not_looked_at(
            point,
            "only who may capture sees packets",
            "sudo canarytap doctor",
        ),
        Blind::Refused(error) => Point::not_looked_at(point, error, "see the point permission"),
    }
}

const PACKETS: &str = "packets";
const DIRECTIONS: &str = "directions";
const DUPLICATES: &str = "duplicates";
const WHOLE: &str = "whole_frames";

const BOTH_DIRECTIONS: &str = "in the switch's menu mirror both directions of the web server's port \
                               (ingress and egress, rx and tx)";
/// Fewer than so many are chance.
const FEW: u64 = 3;
/// Ports that are named.
const PORTS_SHOWN: usize = 5;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::doctor::point::State;
    use crate::doctor::tally::Counts;

    const SERVER: [u8; 4] = [192, 168, 1, 10];
    const ELSEWHERE: [u8; 4] = [198, 51, 100, 1];

    fn points(seen: Result<Seen, Blind>, daemon_read: Option<(u64, u64)>) -> [Point; 4] {
        Wire {
            seen: &seen,
            interface: "eth1",
            ports: &PortSet::Some(vec![80, 443]),
            addresses: &[],
            how_long: Duration::from_secs(5),
            daemon_read,
        }
        .points()
    }

    fn judged(counts: Counts) -> [Point; 4] {
        points(
            Ok(Seen {
                on_interface: Some(counts.frames),
                counts,
                ..Seen::default()
            }),
            None,
        )
    }

    fn sides(to: u64, acknowledging: u64, from: u64) -> Sides {
        Sides {
            to,
            acknowledging,
            tls: 0,
            from,
        }
    }

    /// Traffic of one server.
    fn traffic(sides: Sides) -> Counts {
        let segments = sides.to + sides.from;
        Counts {
            frames: segments,
            segments,
            servers: BTreeMap::from([(SERVER.into(), sides)]),
            ..Counts::default()
        }
    }

    fn states(points: &[Point; 4]) -> [State; 4] {
        [0, 1, 2, 3].map(|at| points[at].state)
    }

    #[test]
    fn a_healthy_mirror_is_well_in_every_point() {
        assert_eq!(states(&judged(traffic(sides(50, 48, 60)))), [State::Ok; 4]);
    }

    #[test]
    fn silence_is_a_failure_and_nothing_else_can_be_told() {
        let [packets, rest @ ..] = judged(Counts::default());
        assert_eq!(packets.state, State::Failed);
        assert!(packets.found.contains("no frame came in on eth1 in 5 s"));
        assert!(packets.cure.unwrap().contains("--seconds 30"));
        assert_eq!(rest.map(|point| point.state), [State::NotLookedAt; 3]);
    }

    #[test]
    fn frames_to_everybody_alone_mean_that_nothing_is_mirrored() {
        let [packets, directions, ..] = judged(Counts {
            frames: 40,
            flooded: 40,
            ..Counts::default()
        });
        assert_eq!(packets.state, State::Failed);
        assert!(packets.found.contains("mirrors nothing"), "{packets:?}");
        assert_eq!(directions.state, State::NotLookedAt);
    }

    #[test]
    fn connections_to_another_port_are_named() {
        let [packets, ..] = judged(Counts {
            frames: 40,
            other_ports: BTreeMap::from([(22, 1), (8443, 9)]),
            ..Counts::default()
        });
        assert_eq!(packets.state, State::Warning);
        assert!(packets.found.contains("port 8443, 22"), "{packets:?}");
        assert!(packets.cure.unwrap().contains("capture.ports"));
    }

    #[test]
    fn frames_of_others_without_a_request_are_a_warning_with_what_to_do_meanwhile() {
        let [packets, ..] = judged(Counts {
            frames: 40,
            flooded: 3,
            ..Counts::default()
        });
        assert_eq!(packets.state, State::Warning);
        assert!(packets.cure.unwrap().contains("while `canarytap doctor"));
    }

    #[test]
    fn one_direction_is_a_failure_that_says_which() {
        let [_, towards, ..] = judged(traffic(sides(50, 48, 0)));
        assert_eq!(towards.state, State::Failed);
        assert!(towards.found.contains("answers are not mirrored"));
        let [_, from, ..] = judged(traffic(sides(0, 0, 60)));
        assert_eq!(from.state, State::Failed);
        assert!(from.found.contains("requests are not mirrored"));
    }

    #[test]
    fn a_server_that_does_not_answer_is_no_failure_of_the_mirror() {
        let [_, directions, ..] = judged(traffic(sides(4, 0, 0)));
        assert_eq!(directions.state, State::Warning);
        assert!(directions.found.contains("none answered"));
    }

    #[test]
    fn a_watched_servers_missing_direction_shows_beside_other_traffic() {
        let mut counts = traffic(sides(50, 48, 0));
        counts.servers.insert(ELSEWHERE.into(), sides(9, 9, 9));
        let mut seen = Seen {
            counts,
            ..Seen::default()
        };
        let [_, of_all, ..] = points(Ok(seen.clone()), None);
        assert_eq!(of_all.state, State::Ok);
        seen.heard.servers.insert(SERVER.into());
        let [_, of_watched, ..] = points(Ok(seen), None);
        assert_eq!(of_watched.state, State::Failed);
    }

    #[test]
    fn twins_are_a_warning_when_they_are_no_chance() {
        let with = |twice, in_another_network| {
            let mut counts = traffic(sides(50, 48, 50));
            counts.twice = twice;
            counts.in_another_network = in_another_network;
            judged(counts)[2].clone()
        };
        assert_eq!(with(2, 0).state, State::Ok);
        assert_eq!(with(4, 0).state, State::Ok);
        let doubled = with(50, 0);
        assert_eq!(doubled.state, State::Warning);
        assert!(doubled.found.contains("50 of 100 segments came twice"));
        assert!(with(50, 50).found.contains("told twice"));
    }

    #[test]
    fn cut_frames_fail_and_refused_ones_warn() {
        let mut counts = traffic(sides(50, 48, 50));
        counts.cut = 1;
        assert_eq!(judged(counts.clone())[3].state, State::Warning);
        counts.cut = 60;
        assert_eq!(judged(counts.clone())[3].state, State::Failed);
        counts.cut = 0;
        let [.., refused] = points(
            Ok(Seen {
                counts,
                refused: 7,
                ..Seen::default()
            }),
            None,
        );
        assert_eq!(refused.state, State::Warning);
        assert!(refused.cure.unwrap().contains("mtu"));
    }

    #[test]
    fn a_capture_that_breaks_off_fails_and_drops_warn() {
        let seen = Seen {
            on_interface: Some(100),
            counts: traffic(sides(50, 48, 50)),
            ..Seen::default()
        };
        let broken = Seen {
            broke_off: Some("The interface went down".into()),
            ..seen.clone()
        };
        assert_eq!(points(Ok(broken), None)[0].state, State::Failed);
        let mut dropping = seen;
        dropping.stats.dropped_kernel = 9;
        assert_eq!(points(Ok(dropping), None)[0].state, State::Warning);
    }

    #[test]
    fn who_may_not_capture_learns_what_the_kernel_and_the_daemon_count() {
        let [packets, directions, twins, whole] =
            points(Err(Blind::Forbidden(Some(12))), Some((3, 3)));
        assert_eq!([packets.state, directions.state], [State::Ok; 2]);
        for point in [twins, whole] {
            assert_eq!(point.state, State::NotLookedAt);
            assert_eq!(point.cure.as_deref(), Some("sudo canarytap doctor"));
        }
        let [packets, directions, ..] = points(Err(Blind::Forbidden(Some(0))), Some((3, 0)));
        assert_eq!(packets.state, State::Failed);
        assert_eq!(directions.state, State::NotLookedAt);
    }
}
