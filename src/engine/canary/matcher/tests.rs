use ipnet::IpNet;
use proptest::prelude::*;

use super::*;
use crate::canary::HostPattern;
use crate::canary::tests::{canary, canary_with_token};
use crate::event::Origin;

const TOKEN: &str = "k7f3q2m9x4b8w";

fn watch(canaries: Vec<Arc<Canary>>) -> Watch {
    Watch {
        all_hosts: false,
        hosts: vec![
            HostPattern::Exact("www.example.org".into()),
            HostPattern::Subdomains("b.org".into()),
        ],
        ports: PortSet::Some(vec![80, 443]),
        canaries,
        home: Home {
            networks: vec!["192.168.1.0/24".parse::<IpNet>().unwrap()],
            ..Home::default()
        },
    }
}

fn login() -> Matcher {
    Matcher::new(watch(vec![canary(
        "login",
        "https://www.example.org/x/login.html?user=tbtest&password=geheim",
    )]))
}

fn minted() -> Matcher {
    Matcher::new(watch(vec![
        canary_with_token(
            "one",
            "https://www.example.org/docs/k7f3q2m9x4b8w.pdf",
            TOKEN,
        ),
        canary("two", "https://www.example.org/plain"),
    ]))
}

/// Id and kind of what a matcher finds.
fn found(matcher: &Matcher, host: &str, target: &str) -> Option<(String, MatchKind)> {
    let found = matcher.find(host, target.as_bytes(), None)?;
    Some((found.canary.id.clone(), found.kind))
}

fn kind(matcher: &Matcher, target: &str) -> Option<MatchKind> {
    Some(found(matcher, "www.example.org", target)?.1)
}

fn alterations(matcher: &Matcher, host: &str, target: &str) -> Vec<&'static str> {
    let found = matcher.find(host, target.as_bytes(), None).unwrap();
    found.alterations.names().collect()
}

#[test]
fn hosts_are_watched_whatever_their_case_port_and_final_dot() {
    let matcher = login();
    for authority in ["www.example.org", "WWW.EXAMPLE.ORG.:8080", "x.b.org:80"] {
        assert!(matcher.is_watched(authority.as_bytes()), "{authority}");
    }
    for authority in [
        "example.org",
        "b.org",
        "www.example.org.evil.net",
        "",
        ":80",
    ] {
        assert!(!matcher.is_watched(authority.as_bytes()), "{authority}");
    }
}

#[test]
fn every_authority_is_watched_where_all_hosts_are_even_none() {
    let matcher = Matcher::new(Watch {
        all_hosts: true,
        ..watch(Vec::new())
    });
    for authority in ["www.example.org", "a b", ""] {
        assert!(matcher.is_watched(authority.as_bytes()), "{authority:?}");
    }
}

#[test]
fn a_request_that_agrees_after_normalisation_is_a_url_match() {
    let matcher = login();
    for target in [
        "/x/login.html?user=tbtest&password=geheim",
        "/X/LOGIN.HTML?USER=TBTEST&PASSWORD=GEHEIM",
        "/x/./y/../login%2Ehtml?user=%74btest&password=geheim",
        "http://www.example.org/x/login.html?user=tbtest&password=geheim",
        "/x/login.html?user=tbtest&password=geheim#top",
    ] {
        assert_eq!(kind(&matcher, target), Some(MatchKind::Url), "{target}");
    }
}

#[test]
fn a_request_with_another_query_or_none_is_a_path_match() {
    let matcher = login();
    for target in [
        "/x/login.html",
        "/x/login.html?",
        "/x/login.html?user=tbtest",
        "/x/login.html?password=geheim&user=tbtest",
        "/x/login.html?user=tbtest&password=geheim&utm_source=chat",
        "/x/login.html?user=tbtest&password=geheim).",
        "/x/login.html).",
    ] {
        assert_eq!(kind(&matcher, target), Some(MatchKind::Path), "{target}");
    }
}

#[test]
fn another_path_or_host_is_no_match() {
    let matcher = login();
    for target in [
        "/",
        "/x/login.htm",
        "/x/login.html/",
        "/x/login.html.bak?user=tbtest&password=geheim",
        "/y/login.html?user=tbtest&password=geheim",
        "*",
    ] {
        assert_eq!(kind(&matcher, target), None, "{target}");
    }
    let path = "/x/login.html?user=tbtest&password=geheim";
    assert_eq!(found(&matcher, "other.org", path), None);
}

#[test]
fn a_host_with_or_without_www_is_a_path_match_that_says_so() {
    let matcher = login();
    let target = "/x/login.html?user=tbtest&password=geheim";
    let dropped = found(&matcher, "example.org", target);
    assert_eq!(dropped, Some(("login".into(), MatchKind::Path)));
    assert_eq!(
        alterations(&matcher, "example.org", target),
        ["www_dropped"]
    );
    let bare = Matcher::new(watch(vec![canary("bare", "http://b.org/x")]));
    assert_eq!(alterations(&bare, "www.b.org", "/x"), ["www_added"]);
}

#[test]
fn a_token_is_found_in_host_path_query_and_referer() {
    let matcher = minted();
    let token = Some(("one".to_owned(), MatchKind::Token));
    let host = "www.example.org";
    assert_eq!(found(&matcher, "k7f3q2m9x4b8w.b.org", "/"), token);
    assert_eq!(found(&matcher, host, "/other/K7F3Q2M9X4B8W"), token);
    assert_eq!(found(&matcher, host, "/?u=%6B7f3q2m9x4b8w&v"), token);
    assert_eq!(found(&matcher, host, "/a/k7f3q2m9x4b8w/../b"), token);
    assert_eq!(found(&matcher, host, "/?xk7f3q2m9x4b8wx"), token);
    let referer = b"https://www.example.org/docs/k7f3q2m9x4b8w.pdf";
    let by_referer = matcher.find(host, b"/style.css", Some(referer)).unwrap();
    assert_eq!(by_referer.kind, MatchKind::Token);
    assert!(by_referer.alterations.is_empty());
}

#[test]
fn a_referer_without_a_token_is_no_match() {
    let matcher = login();
    let referer = b"https://www.example.org/x/login.html?user=tbtest&password=geheim";
    let found = matcher.find("www.example.org", b"/style.css", Some(referer));
    assert_eq!(found, None);
}

#[test]
fn the_whole_url_goes_before_a_token_and_a_token_before_the_path() {
    let matcher = minted();
    let referer = Some(TOKEN.as_bytes());
    let by_url = matcher.find("www.example.org", b"/plain", referer).unwrap();
    assert_eq!(
        (by_url.canary.id.as_str(), by_url.kind),
        ("two", MatchKind::Url)
    );
    let by_token = matcher
        .find("www.example.org", b"/plain?x", referer)
        .unwrap();
    assert_eq!(
        (by_token.canary.id.as_str(), by_token.kind),
        ("one", MatchKind::Token)
    );
    let own = matcher.find("www.example.org", b"/docs/k7f3q2m9x4b8w.pdf", None);
    assert_eq!(own.unwrap().kind, MatchKind::Url);
}

#[test]
fn of_canaries_that_share_a_path_the_one_whose_query_is_nearest_is_found() {
    let matcher = Matcher::new(watch(vec![
        canary("a", "http://www.example.org/l?id=a"),
        canary("b", "http://www.example.org/l?id=b"),
        canary("c", "http://www.example.org/l?id=c&x=1"),
    ]));
    for (target, id) in [
        ("/l?id=b", "b"),
        ("/l?id=b&utm=1", "b"),
        ("/l?utm=1&id=b", "b"),
        ("/l?id=b.", "b"),
        ("/l?id=c&x=1&y=2", "c"),
        ("/l", "a"),
        ("/l?id=z", "a"),
    ] {
        let (nearest, _) = found(&matcher, "www.example.org", target).unwrap();
        assert_eq!(nearest, id, "{target}");
    }
}

#[test]
fn what_was_altered_stands_beside_the_match() {
    let matcher = login();
    let altered = |target| alterations(&matcher, "www.example.org", target);
    assert_eq!(altered("/x/login.html"), ["query_dropped"]);
    assert_eq!(altered("/x/login.html?user=tbtest&pass"), ["cut_short"]);
    assert_eq!(
        altered("/x/login.html."),
        ["query_dropped", "trailing_punctuation"]
    );
    assert!(altered("/x/login.html?user=tbtest&password=geheim").is_empty());
}

#[test]
fn a_url_that_was_encoded_as_a_whole_is_a_path_match_that_says_so() {
    let matcher = login();
    for (target, names) in [
        (
            "/x/login.html%3Fuser%3Dtbtest%26password%3Dgeheim",
            &["percent_encoded"][..],
        ),
        (
            "/x%2Flogin.html%3Fuser%3Dtbtest",
            &["percent_encoded", "cut_short"],
        ),
        ("//x//login.html?user=tbtest&password=geheim", &[]),
    ] {
        assert_eq!(kind(&matcher, target), Some(MatchKind::Path), "{target}");
        assert_eq!(
            alterations(&matcher, "www.example.org", target),
            names,
            "{target}"
        );
    }
    assert_eq!(kind(&matcher, "/x%2Fother.html"), None);
}

#[test]
fn a_minted_link_is_found_by_its_token_however_it_was_altered() {
    let link = "https://www.example.org/Docs/k7f3q2m9x4b8w/Plan.pdf";
    let matcher = Matcher::new(watch(vec![canary_with_token("one", link, TOKEN)]));
    for (target, names) in [
        ("/docs/k7f3q2m9x4b8w/plan.pdf", &["lower_cased"][..]),
        ("/Docs/k7f3q2m9x4b8w/Pl", &["cut_short"]),
        ("/Docs/k7f3q2m9x4b8w", &["cut_short", "path_prefix"]),
        ("/Docs/k7f3q2m9x4b8w/Plan.pdf).", &["trailing_punctuation"]),
        ("/Docs/k7f3q2m9x4b8w/Plan%2Epdf", &["percent_encoded"]),
        (
            "/Docs/k7f3q2m9x4b8w/Plan.pdf?fbclid=1",
            &["parameters_added"],
        ),
        ("/go?to=k7f3q2m9x4b8w", &[]),
    ] {
        assert_eq!(
            alterations(&matcher, "www.example.org", target),
            names,
            "{target}"
        );
    }
}

#[test]
fn the_scheme_is_compared_when_it_is_known() {
    let matcher = login();
    let found = matcher
        .find("www.example.org", b"/x/login.html", None)
        .unwrap();
    let names = |scheme| found.clone().seen_by(scheme).alterations;
    assert!(names("http").contains(Alterations::SCHEME_CHANGED));
    assert!(!names("https").contains(Alterations::SCHEME_CHANGED));
}

#[test]
fn without_canaries_nothing_is_found() {
    let matcher = Matcher::new(watch(Vec::new()));
    assert_eq!(matcher.find("www.example.org", b"/", None), None);
}

#[test]
fn origin_is_judged_by_the_home_of_the_watch() {
    let judgement = login().judge_hello("192.168.1.7".parse().unwrap(), None);
    assert_eq!(judgement.origin, Origin::Inside);
}

/// The rules of `find` without an index and without what it adds for altered links.
fn naive<'a>(
    canaries: &'a [Arc<Canary>],
    host: &str,
    target: &str,
) -> Option<(&'a str, MatchKind)> {
    let seen = NormalizedUrl::from_request(host, target.as_bytes());
    let text = format!("{host}{}", target.to_ascii_lowercase());
    let first = |good: &dyn Fn(&Canary) -> bool, kind| {
        let canary = canaries.iter().find(|canary| good(canary))?;
        Some((canary.id.as_str(), kind))
    };
    let has_token = |canary: &Canary| canary.token.as_ref().is_some_and(|t| text.contains(t));
    let has_path = |canary: &Canary| canary.url.host == seen.host && canary.url.path == seen.path;
    first(&|canary| canary.url == seen, MatchKind::Url)
        .or_else(|| first(&has_token, MatchKind::Token))
        .or_else(|| first(&has_path, MatchKind::Path))
}

prop_compose! {
    /// Canaries out of few hosts, paths, queries and tokens, so that they often meet.
    fn some_canary()(
        host in "[ab]\\.org",
        path in "/[xyXY]{0,2}",
        query in proptest::option::of("[uv]=[12]"),
        token in proptest::option::of("[ab1]k7f3q2m9x4b8"),
    ) -> (String, Option<String>) {
        let query = query.map(|query| format!("?{query}")).unwrap_or_default();
        (format!("http://{host}{path}{query}"), token)
    }
}

proptest! {
    #[test]
    fn the_matcher_finds_what_a_search_through_all_canaries_finds(
        canaries in proptest::collection::vec(some_canary(), 0..12),
        host in "[ab]\\.org",
        path in "/[xyXY]{0,2}(/[ab1]{1,2}k7f3q2m9x4b8[12]?)?",
        query in proptest::option::of("[uv]=[123]"),
    ) {
        let canaries: Vec<_> = canaries.iter().zip(0..).map(|((url, token), number): (_, u32)| {
            let id = number.to_string();
            match token {
                Some(token) => canary_with_token(&id, url, token),
                None => canary(&id, url),
            }
        }).collect();
        let target = query.map_or(path.clone(), |query| format!("{path}?{query}"));
        let matcher = Matcher::new(watch(canaries.clone()));
        let found = matcher.find(&host, target.as_bytes(), None);
        let mine = found.as_ref().map(|found| (found.canary.id.as_str(), found.kind));
        let theirs = naive(&canaries, &host, &target);
        match (mine, theirs) {
            // A path match prefers the canary without query, where the naive search takes the first.
            (Some((_, MatchKind::Path)), Some((_, kind))) => prop_assert_eq!(kind, MatchKind::Path),
            _ => prop_assert_eq!(mine, theirs),
        }
    }

    #[test]
    fn any_bytes_are_matched_without_a_panic(authority: Vec<u8>, target: Vec<u8>, referer: Vec<u8>) {
        let matcher = minted();
        let _watched = matcher.is_watched(&authority);
        let found = matcher.find("www.example.org", &target, Some(&referer));
        prop_assert!(found.is_none_or(|found| found.kind != MatchKind::Url || target.len() >= 6));
    }
}
