//! Figures for monitoring.

use crate::world::{Index, Raw, http_get};

fn series(index: &Index) -> Vec<String> {
    let answer = http_get(index.port(), "/metrics");
    assert_eq!(answer.status, 200);
    let kind = answer.header("content-type").unwrap();
    assert!(kind.starts_with("application/openmetrics-text; version=1.0.0"), "{kind}");
    let text = String::from_utf8(answer.body).unwrap();
    assert!(text.ends_with("# EOF\n"), "{text}");
    text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
}

fn value(series: &[String], name: &str) -> f64 {
    let line = series.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name} in {series:#?}")).parse().unwrap()
}

#[test]
fn threat_w7_series_stay_the_same_whoever_comes_and_tell_nothing_of_them() {
    let index = Index::start();
    let before = series(&index);
    let peers: Vec<Raw> = (1..=60)
        .map(|number| {
            let mut raw = index.raw();
            let add = format!(
                "ADD RFC {number} P2P-CI/1.0\r\nHost: secret{number}\r\nPort: 5000\r\nTitle: token\r\n\r\n"
            );
            assert!(raw.ask_whole(&add).contains("200 OK"));
            raw.ask_whole("LOOKUP RFC 1 P2P-CI/1.0\r\nHost: h\r\nPort: 5000\r\nTitle: T\r\n\r\n");
            raw
        })
        .collect();
    index.raw().ask("nonsense\r\n\r\n");
    let after = series(&index);
    let names = |series: &[String]| {
        series.iter().map(|line| line.split(' ').next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(&before), names(&after));
    assert!(after.len() < 200, "{}", after.len());
    assert!(!after.concat().contains("secret") && !after.concat().contains("token"), "{after:#?}");
    assert_eq!(value(&after, "p2pci_records"), 60.0);
    assert_eq!(value(&after, "p2pci_requests_total{kind=\"add\"}"), 60.0);
    assert_eq!(value(&after, "p2pci_requests_total{kind=\"lookup\"}"), 60.0);
    assert_eq!(value(&after, "p2pci_requests_total{kind=\"refused\"}"), 1.0);
    assert!(value(&after, "p2pci_turn_seconds_count") >= 1.0);
    assert!(value(&after, "p2pci_http_answers_total{class=\"2xx\"}") >= 1.0);
    drop(peers);
}

#[test]
fn the_index_says_that_it_is_well() {
    let index = Index::start();
    for path in ["/healthz", "/readyz"] {
        assert_eq!(http_get(index.port(), path).status, 200, "{path}");
    }
}
