//! What it costs to ask whether a request is for a watched host and for a canary: the same for
//! few and for many.

#![allow(
    clippy::unwrap_used,
    missing_docs,
    reason = "a bench may fail in the plainest way"
)]

use std::hint::black_box;
use std::sync::Arc;

use canarytap::engine::canary::{
    Canary, Home, HostPattern, Matcher, NormalizedUrl, PortSet, Watch,
};
use criterion::{Criterion, criterion_group, criterion_main};

criterion_group!(benches, hosts, canaries);
criterion_main!(benches);

fn hosts(criterion: &mut Criterion) {
    for count in [1, 1_000] {
        let matcher = matcher(count, 10);
        criterion.bench_function(&format!("is_watched/yes/{count} hosts"), |bencher| {
            bencher.iter(|| matcher.is_watched(black_box(b"www0.example.org:8080")));
        });
        criterion.bench_function(&format!("is_watched/no/{count} hosts"), |bencher| {
            bencher.iter(|| matcher.is_watched(black_box(b"cdn.some-other-site.example")));
        });
    }
}

fn canaries(criterion: &mut Criterion) {
    let long = format!("/{}", "x".repeat(60_000));
    for count in [10, 100_000] {
        let matcher = matcher(1, count);
        let token = token(count / 2);
        let requests = [
            ("nothing", "/assets/site.css?v=20240501".to_owned()),
            ("url", format!("/share/{token}")),
            ("token", format!("/go?to={token}")),
            ("nothing in 60 kB", long.clone()),
        ];
        for (what, target) in requests {
            criterion.bench_function(&format!("find/{what}/{count} canaries"), |bencher| {
                let target = target.as_bytes();
                let referer = Some(&b"https://www0.example.org/start.html"[..]);
                bencher.iter(|| matcher.find("www0.example.org", black_box(target), referer));
            });
        }
        criterion.bench_function(&format!("build/{count} canaries"), |bencher| {
            let watch = watch(1, count);
            bencher.iter(|| Matcher::new(watch.clone()));
        });
    }
}

fn matcher(hosts: usize, canaries: usize) -> Matcher {
    Matcher::new(watch(hosts, canaries))
}

fn watch(hosts: usize, canaries: usize) -> Watch {
    Watch {
        all_hosts: false,
        hosts: (0..hosts)
            .map(|number| HostPattern::Exact(format!("www{number}.example.org")))
            .collect(),
        ports: PortSet::All,
        canaries: (0..canaries)
            .map(|number| Arc::new(canary(number)))
            .collect(),
        home: Home::private(),
    }
}

fn canary(number: usize) -> Canary {
    let token = token(number);
    let written = format!("https://www0.example.org/share/{token}");
    Canary {
        id: token.clone(),
        channel: "chat".to_owned(),
        label: None,
        url: NormalizedUrl::parse(&written).unwrap(),
        written,
        token: Some(token),
        control: false,
    }
}

/// 13 characters, spread by a multiplier that is odd.
fn token(number: usize) -> String {
    let spread = (number as u128 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835);
    format!("{:013x}", spread >> 76)
}
