use std::borrow::Cow;

use super::*;

fn visit() -> EventRecord {
    let text = r#"{"seq":41,"time":"2013-04-30T17:28:32.104512Z","kind":"visit","alert":true,"canary":"k7f3q2m9","channel":"skype","label":"login link","match":"url","origin":"outside","client":"65.52.100.214","src":"65.52.100.214","src_port":50112,"dst":"192.168.1.10","dst_port":80,"vlan":10,"scheme":"http","method":"HEAD","host":"www.example.org","target":"/x/login.html?user=tbtest&password=geheim","version":"HTTP/1.1","status":200,"user_agent":"Mozilla/5.0","referer":"http://a.example/","forwarded_for":"192.0.2.1","sni":"www.example.org","alpn":"h2","ja4":"t13d","flags":["midstream","gap"],"alterations":["lower_cased"]}"#;
    serde_json::from_str(text).unwrap()
}

fn bare() -> EventRecord {
    let text = r#"{"time":"2013-04-30T17:28:33.000000Z","kind":"request","alert":false,"origin":"inside","client":"2001:db8::1","src":"2001:db8::1","src_port":1,"dst":"2001:db8::2","dst_port":80,"scheme":"http","method":"GET","host":"www.example.org","target":"/"}"#;
    serde_json::from_str(text).unwrap()
}

fn printed(format: Format, look: Look, events: &[EventRecord]) -> String {
    let mut out = Vec::new();
    let mut printer = EventPrinter::new(format, &mut out, look);
    for event in events {
        printer.print(event).unwrap();
    }
    printer.flush().unwrap();
    String::from_utf8(out).unwrap()
}

fn on_terminal(width: usize) -> Look {
    Look {
        width: Some(width),
        colours: false,
    }
}

#[test]
fn json_has_the_documented_keys_in_their_order_and_none_without_value() {
    let text = printed(Format::Jsonl, Look::default(), &[visit(), bare()]);
    let expected = concat!(
        r#"{"seq":41,"time":"2013-04-30T17:28:32.104512Z","kind":"visit","alert":true,"canary":"k7f3q2m9","channel":"skype","label":"login link","match":"url","origin":"outside","client":"65.52.100.214","src":"65.52.100.214","src_port":50112,"dst":"192.168.1.10","dst_port":80,"vlan":10,"scheme":"http","method":"HEAD","host":"www.example.org","target":"/x/login.html?user=tbtest&password=geheim","version":"HTTP/1.1","status":200,"user_agent":"Mozilla/5.0","referer":"http://a.example/","forwarded_for":"192.0.2.1","sni":"www.example.org","alpn":"h2","ja4":"t13d","flags":["midstream","gap"],"alterations":["lower_cased"]}"#,
        "\n",
        r#"{"time":"2013-04-30T17:28:33.000000Z","kind":"request","alert":false,"origin":"inside","client":"2001:db8::1","src":"2001:db8::1","src_port":1,"dst":"2001:db8::2","dst_port":80,"scheme":"http","method":"GET","host":"www.example.org","target":"/"}"#,
        "\n",
    );
    assert_eq!(text, expected);
}

#[test]
fn a_table_shows_all_columns_when_it_goes_into_a_pipe() {
    let text = printed(Format::Table, Look::default(), &[visit(), bare()]);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines,
        [
            "  SEQ TIME                 KIND    ORIGIN  CLIENT          CHANNEL  LABEL        METHOD STATUS URL                      USER AGENT",
            "   41 2013-04-30T17:28:32Z ALERT   outside 65.52.100.214   skype    login link   HEAD   200    www.example.org/x/login.html?user=tbtest&password=geheim Mozilla/5.0",
            "    - 2013-04-30T17:28:33Z request inside  2001:db8::1     -        -            GET    -      www.example.org/                                         -",
        ]
    );
}

#[test]
fn no_line_of_a_table_is_wider_than_its_terminal() {
    for width in [70, 80, 100, 120, 160, 240] {
        let text = printed(Format::Table, on_terminal(width), &[visit(), bare()]);
        for line in text.lines() {
            assert!(line.chars().count() <= width, "{width}: {line}");
        }
        assert!(text.contains("ALERT") && text.contains("skype"), "{text}");
    }
}

#[test]
fn a_hostile_target_cannot_drive_the_terminal() {
    let mut hostile = visit();
    hostile.target = Some("/\u{9b}2J\u{202e}\x1b[31m\r\n".into());
    hostile.user_agent = Some("\x07\u{200f}".into());
    hostile.label = Some("a\nb".into());
    for format in [Format::Table, Format::Jsonl, Format::Csv] {
        let text = printed(format, Look::default(), &[hostile.clone()]);
        let harmless = |character| matches!(character, '\n' | '\r') || !is_unsafe(character);
        assert!(text.chars().all(harmless), "{text:?}");
        let lines = if format == Format::Jsonl { 1 } else { 2 };
        assert_eq!(text.lines().count(), lines, "{text:?}");
    }
}

#[test]
fn escaped_json_reads_back_as_it_was() {
    let mut hostile = visit();
    hostile.target = Some("/\u{9b}2J\u{202e}\u{e0001}\x1b".into());
    let text = printed(Format::Jsonl, Look::default(), &[hostile.clone()]);
    let back: EventRecord = serde_json::from_str(&text).unwrap();
    assert_eq!(back, hostile);
}

#[test]
fn csv_has_a_field_for_each_key_of_the_json() {
    let fold = EventRecord {
        count: Some(3),
        first: Some("2013-04-30T17:28:30.000000Z".into()),
        last: Some("2013-04-30T17:28:32.104512Z".into()),
        open: Some(true),
        fault: Some("link_down".into()),
        state: Some("ends".into()),
        text: Some("no cable".into()),
        since: Some("2013-04-30T17:28:30.000000Z".into()),
        times: Some(2),
        boot: Some("eb8d".into()),
        uptime_micros: Some(9),
        first_uptime_micros: Some(7),
        since_uptime_micros: Some(8),
        synchronised: Some(false),
        clock_said: Some("1970-01-01T00:00:05.000000Z".into()),
        tap: Some("house".into()),
        ..visit()
    };
    let text = printed(Format::Csv, Look::default(), std::slice::from_ref(&fold));
    let lines: Vec<&str> = text.split("\r\n").collect();
    let json = serde_json::to_string(&fold).unwrap();
    let header: Vec<&str> = lines[0].split(',').collect();
    let mut rest = json.as_str();
    for key in &header {
        let at = rest.find(&format!("\"{key}\":")).expect(key);
        rest = &rest[at..];
    }
    assert_eq!(lines[1].split(',').count(), header.len());
    assert!(lines[1].ends_with("t13d,midstream gap,lower_cased,3,2013-04-30T17:28:30.000000Z,2013-04-30T17:28:32.104512Z,true,link_down,ends,no cable,2013-04-30T17:28:30.000000Z,2,eb8d,9,7,8,false,1970-01-01T00:00:05.000000Z,house"));
}

#[test]
fn without_events_the_header_is_printed_alone() {
    assert_eq!(
        printed(Format::Csv, Look::default(), &[]).lines().count(),
        1
    );
    assert_eq!(
        printed(Format::Table, Look::default(), &[]).lines().count(),
        1
    );
    assert_eq!(printed(Format::Jsonl, Look::default(), &[]), "");
}

#[test]
fn colours_are_used_only_where_they_may_be() {
    let colours = Look {
        width: None,
        colours: true,
    };
    assert!(printed(Format::Table, colours, &[visit()]).contains("\x1b[1;31m"));
    assert!(!printed(Format::Table, Look::default(), &[visit()]).contains('\x1b'));
    assert!(!printed(Format::Jsonl, colours, &[visit()]).contains('\x1b'));
}

#[test]
fn a_visit_known_by_its_hello_alone_shows_its_server_name() {
    let mut hello = visit();
    hello.kind = Cow::Borrowed("hello");
    hello.method = None;
    hello.target = None;
    hello.host = None;
    let text = printed(Format::Table, Look::default(), &[hello]);
    assert!(text.contains(" -      200    www.example.org "), "{text}");
}

#[test]
fn a_fold_says_in_the_table_for_how_many_visits_it_stands() {
    let fold = EventRecord {
        count: Some(99_900),
        client: None,
        ..visit()
    };
    let text = printed(Format::Table, Look::default(), &[fold]);
    assert!(text.contains("ALERT x99900"), "{text}");
}

#[test]
fn a_fault_of_the_tap_is_a_line_that_says_what_was_wrong() {
    let text = r#"{"seq":7,"time":"2013-04-30T17:28:33.000000Z","kind":"health","alert":false,"fault":"link_down","state":"ends","text":"no cable","since":"2013-04-30T17:20:00.000000Z","times":3}"#;
    let fault: EventRecord = serde_json::from_str(text).unwrap();
    let json = printed(Format::Jsonl, Look::default(), std::slice::from_ref(&fault));
    assert_eq!(json, format!("{text}\n"));
    let table = printed(Format::Table, Look::default(), &[fault]);
    assert!(
        table.contains(" health  ") && table.contains("link_down ends (3 times): no cable"),
        "{table}"
    );
}
