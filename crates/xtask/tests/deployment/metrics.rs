//! Alerts, dashboards and scales ask for metrics that the code exports.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use crate::files::{objects, read, root, yaml};

/// Every `bulkhead_…` word of a text, without what Prometheus adds to the parts of a histogram.
fn names_in(text: &str) -> BTreeSet<String> {
    let is_name =
        |character: char| character.is_ascii_lowercase() || character.is_ascii_digit() || character == '_';
    text.split(|character| !is_name(character))
        .filter(|word| word.starts_with("bulkhead_"))
        .map(|word| {
            let parts = ["_bucket", "_sum", "_count"];
            parts.iter().find_map(|part| word.strip_suffix(part)).unwrap_or(word).to_owned()
        })
        .collect()
}

/// The names in `counter!`, `gauge!` and `histogram!` of all crates.
fn exported() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    walk(&root().join("crates"), &mut |text| {
        for kind in ["counter!(", "gauge!(", "histogram!("] {
            for rest in text.split(kind).skip(1) {
                let name = rest.trim_start().strip_prefix('"').and_then(|rest| rest.split('"').next());
                found.extend(name.map(str::to_owned));
            }
        }
    });
    found
}

fn walk(folder: &Path, seen: &mut impl FnMut(&str)) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("tests") {
            walk(&path, seen);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            seen(&std::fs::read_to_string(path).unwrap());
        }
    }
}

fn assert_exported(who: &str, names: &BTreeSet<String>) {
    let exported = exported();
    assert!(!names.is_empty(), "{who}");
    let missing: Vec<_> = names.difference(&exported).collect();
    assert!(missing.is_empty(), "{who} asks for what no code exports: {missing:?}");
}

#[test]
fn alerts_ask_for_metrics_that_exist_and_the_operators_page_explains_each() {
    let text = read("deploy/prometheus/alerts.yml");
    assert_exported("alerts.yml", &names_in(&text));
    let page = read("docs/operations.md");
    for group in yaml(&text)["groups"].as_array().unwrap() {
        for rule in group["rules"].as_array().unwrap() {
            let alert = rule["alert"].as_str().unwrap();
            assert!(page.contains(&format!("`{alert}`")), "docs/operations.md does not explain {alert}");
            assert!(rule["labels"]["severity"].is_string(), "{alert}");
            assert!(rule["annotations"]["summary"].is_string(), "{alert}");
        }
    }
}

#[test]
fn the_dashboard_asks_for_metrics_that_exist() {
    let text = read("deploy/grafana/dashboards/region.json");
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    assert!(panels.iter().any(|panel| panel["title"] == "Messages a second"));
    assert_exported("region.json", &names_in(&text));
}

#[test]
fn what_scales_by_a_metric_scales_by_one_that_exists() {
    let mut names = BTreeSet::new();
    for object in objects("singapore") {
        for metric in object["spec"]["metrics"].as_array().into_iter().flatten() {
            names.extend(metric["pods"]["metric"]["name"].as_str().map(str::to_owned));
        }
    }
    assert_eq!(names.len(), 2, "connections and lag");
    assert_exported("the overlays", &names);
}
