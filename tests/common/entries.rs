//! Events for tests of the store and of the commands that read it.

#![allow(dead_code, reason = "each test binary uses its part")]
#![allow(clippy::unwrap_used, reason = "tests may assert in the plainest way")]

use canarytap::engine::event::{
    Alterations, ClockState, Detail, Event, EventId, EventKind, Flags, Learned, MatchKind, Origin,
};
use canarytap::engine::frame::Timestamp;
use canarytap::store::Incoming;

/// So many seconds after 2013-04-30T17:28:32Z.
pub fn at(second: u64) -> Timestamp {
    Timestamp::from_secs_nanos(1_367_342_912 + second, 104_512_000)
}

/// A background request from outside.
pub fn request(id: u64) -> Event {
    let outside = "203.0.113.7".parse().unwrap();
    Event {
        id: EventId(id),
        seq: None,
        time: at(id),
        kind: EventKind::Request,
        alert: false,
        canary: None,
        channel: None,
        label: None,
        matched: None,
        origin: Origin::Outside,
        client: outside,
        src: outside,
        src_port: 50112,
        dst: "192.0.2.10".parse().unwrap(),
        dst_port: 80,
        vlan: None,
        scheme: "http",
        method: Some("GET".into()),
        host: Some("www.example.org".into()),
        target: Some(format!("/page/{id}")),
        version: Some("HTTP/1.1"),
        status: None,
        user_agent: Some("Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101".into()),
        referer: None,
        forwarded_for: None,
        sni: None,
        alpn: None,
        ja4: None,
        flags: Flags::NONE,
        alterations: Alterations::NONE,
        clock: ClockState::default(),
    }
}

/// A visit from outside: an alert.
pub fn visit(id: u64) -> Event {
    Event {
        kind: EventKind::Visit,
        alert: true,
        canary: Some("k7f3q2m9".into()),
        channel: Some("skype".into()),
        label: Some("login link".into()),
        matched: Some(MatchKind::Url),
        method: Some("HEAD".into()),
        target: Some("/x/login.html?user=tbtest&password=geheim".into()),
        user_agent: None,
        ..request(id)
    }
}

/// The status of an earlier event.
pub fn status(of: u64, status: u16) -> Incoming {
    Incoming::Detail(Detail {
        of: EventId(of),
        time: at(of),
        learned: Learned::Status { status },
    })
}

/// The same event by a visitor that writes `text` into each field that it can fill, and more into
/// the target.
pub fn hostile(event: &Event, text: &str) -> Event {
    let text = Some(text.to_owned());
    Event {
        method: text.clone(),
        host: text.clone(),
        target: text
            .clone()
            .map(|text| format!("/{}", text.repeat(1 + 65_536 / text.len()))),
        user_agent: text.clone(),
        referer: text.clone(),
        forwarded_for: text.clone(),
        sni: text.clone(),
        alpn: text.clone(),
        ja4: text,
        ..event.clone()
    }
}

/// Script tags, control bytes, marks that turn the direction of text, and what spreadsheets run.
pub const HOSTILE: &str = "=cmd|' /C calc'!A0</style></title><script>alert(1)</script>\"><img src=x \
     onerror=alert(1)>\u{202e}\u{2067}\u{200f}\u{1b}[2J\u{1b}]0;gone\u{7}\u{9b}31m\u{0}\r\n\t@SUM(1)";
