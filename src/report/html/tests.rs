//! What the page holds, and what no text in it may do.

use proptest::prelude::*;

use super::*;
use crate::report::fixture;

/// Every tag that the page itself uses; anything else came in from outside.
const TAGS: [&str; 41] = [
    "!DOCTYPE",
    "html",
    "head",
    "meta",
    "title",
    "style",
    "body",
    "header",
    "h1",
    "h2",
    "h3",
    "p",
    "div",
    "table",
    "thead",
    "tbody",
    "tr",
    "th",
    "td",
    "a",
    "article",
    "dl",
    "dt",
    "dd",
    "span",
    "ul",
    "li",
    "figure",
    "figcaption",
    "svg",
    "path",
    "rect",
    "text",
    "/head",
    "/html",
    "/body",
    "/style",
    "/title",
    "/header",
    "/h1",
    "/h2",
];

/// Names of the tags in a page, in order, and whether any has an attribute that runs script.
fn tags(page: &str) -> Vec<&str> {
    page.split('<')
        .skip(1)
        .map(|rest| rest.split(|c: char| c.is_whitespace() || c == '>').next().unwrap_or_default())
        .collect()
}

fn assert_only_own_markup(page: &str) {
    for tag in tags(page) {
        let name = tag.trim_end_matches('/');
        let known = TAGS.contains(&name) || TAGS.contains(&name.trim_start_matches('/'));
        assert!(known, "<{tag} is not the page's own");
    }
    assert!(!page.contains(" onload=\"") && !page.contains(" onerror=\""));
}

#[test]
fn the_page_says_the_verdict_the_findings_and_what_to_do() {
    let summary = fixture::mixed();
    let page = html(&summary, &fixture::charts(&summary, 600));
    for said in [
        "UNHEALTHY: of 5 planned hosts: 1 failed (h3)",
        "SIMULATED LINKS",
        "dies_under_load tx+rx [fail], confirmed, first at 41.3 s",
        "survived 60.0 Mb/s, died at 88.0 Mb/s",
        "corroborated",
        "explained by h3",
        "12 lines of h4 missing",
        "Before a reboot",
    ] {
        assert!(page.contains(said), "{said:?} is missing");
    }
    assert!(
        !html(&fixture::healthy(), &Charts::default()).contains("SIMULATED"),
        "real links bear no banner"
    );
}

#[test]
fn the_page_needs_no_network_and_its_policy_forbids_one() {
    let summary = fixture::mixed();
    let page = html(&summary, &fixture::charts(&summary, 600));
    assert!(page.contains("content=\"default-src 'none'; style-src 'unsafe-inline'\""));
    for foreign in ["http:", "https:", "//", "url(", "@import", "<script", "<link", "<img", " style=\""] {
        assert!(!page.contains(foreign), "{foreign:?} is in the page");
    }
}

#[test]
fn hostile_text_opens_no_tag() {
    let summary = fixture::hostile();
    let mut charts = fixture::charts(&summary, 60);
    charts.stages = fixture::HOSTILE.iter().map(|text| ((*text).to_owned(), 0.0, 6.0)).collect();
    let page = html(&summary, &charts);
    assert_only_own_markup(&page);
    assert!(page.contains("&lt;script&gt;"), "it is shown as text");
    let sound = html(&fixture::mixed(), &fixture::charts(&fixture::mixed(), 60));
    assert_only_own_markup(&sound);
}

#[test]
fn the_check_for_foreign_tags_finds_one() {
    let caught = std::panic::catch_unwind(|| assert_only_own_markup("<p>x<script>y"));
    assert!(caught.is_err(), "a check that cannot fail shows nothing");
}

#[test]
fn each_host_has_a_chart_with_its_drop_offs_and_its_gaps() {
    let summary = fixture::mixed();
    let page = html(&summary, &fixture::charts(&summary, 600));
    assert_eq!(page.matches("<svg").count(), summary.hosts.len());
    assert_eq!(page.matches("<rect class=\"own\"").count(), 2, "both of h3");
    assert_eq!(page.matches("<rect class=\"shared\"").count(), 1, "what h1 shared with h3");
    let path =
        page.split("class=\"tx\" d=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a line");
    assert_eq!(path.matches('M').count(), 15, "600 slots with a gap in every 40 are 15 pieces");
    let stages = page.matches(">storm</text>").count();
    assert_eq!(stages, summary.hosts.len(), "each chart names the stage");
}

#[test]
fn a_fleet_of_64_and_an_hour_of_slots_stays_under_5_mb() {
    let mut summary = fixture::healthy();
    let host = summary.hosts[0].clone();
    summary.hosts =
        (1..=64).map(|n| HostSummary { host: fixture::name(&format!("h{n}")), ..host.clone() }).collect();
    let page = html(&summary, &fixture::charts(&summary, 36_000));
    assert_eq!(page.matches("<svg").count(), 64);
    assert!(page.len() < 5_000_000, "{} bytes", page.len());
}

#[test]
fn a_series_without_a_summary_and_moments_that_are_no_numbers_are_still_drawn() {
    let mut summary = fixture::mixed();
    let mut charts = fixture::charts(&summary, 100);
    charts.hosts[0].host = fixture::name("stranger");
    charts.stages.push(("odd".to_owned(), f64::NAN, f64::INFINITY));
    summary.hosts[2].drop_offs[0].at_s = f64::NAN;
    let page = html(&summary, &charts);
    assert!(page.contains("stranger"));
    assert!(
        !page.contains("=\"NaN") && !page.contains("MNaN") && !page.contains("inf\""),
        "no NaN in a drawing"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_summary_renders_with_no_markup_but_the_pages_own(summary in fixture::any_summary()) {
        let page = html(&summary, &fixture::charts(&summary, 30));
        assert_only_own_markup(&page);
        prop_assert!(!page.chars().any(|c| c != '\n' && escape::is_harmful(c)));
    }
}
