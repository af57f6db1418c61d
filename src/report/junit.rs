//! `junit.xml`: one test case a host and one for the fleet, for continuous integration.
//!
//! A failed host is a *failure*. A host that was not measured is an *error*, not skipped:
//! most readers let skipped cases pass, and what was not measured is never healthy.

use std::time::Duration;

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::{details, escape, words};
use crate::model::judge::summary::{Finding, HostSummary, Severity, Summary, Verdict};

/// The whole file. Unless the summary says `passed`, at least one case is red.
pub fn junit(summary: &Summary) -> String {
    let mut suite = TestSuite::new(escape::plain(&summary.run.scenario));
    suite.add_property(("run", escape::plain(&summary.run.id).as_str()));
    suite.add_property(("seed", summary.run.seed.to_string().as_str()));
    suite.add_property(("simulated_links", if summary.run.simulated_links { "true" } else { "false" }));
    if let Some(length) = summary.run.duration_s.and_then(|s| Duration::try_from_secs_f64(s).ok()) {
        suite.set_time(length);
    }
    suite.add_test_cases(summary.hosts.iter().map(host_case));
    let hosts_are_green = summary.hosts.iter().all(|host| host.verdict == Verdict::Pass);
    suite.add_test_case(fleet_case(summary, hosts_are_green));
    let mut report = Report::new("nicburn");
    report.add_test_suite(suite);
    report.to_string().expect("text is written to memory, and invalid characters are filtered")
}

fn host_case(host: &HostSummary) -> TestCase {
    let status = match host.verdict {
        Verdict::Pass => TestCaseStatus::success(),
        Verdict::Fail => red(NonSuccessKind::Failure, "fail", &words::what(host), &host_lines(host)),
        Verdict::Inconclusive => {
            red(NonSuccessKind::Error, "inconclusive", &words::what(host), &host_lines(host))
        }
        Verdict::NotTested => red(NonSuccessKind::Error, "not_tested", &words::what(host), &host_lines(host)),
    };
    let mut case = TestCase::new(escape::plain(host.host.as_str()), status);
    case.set_classname("nicburn.host");
    case
}

/// Red by its findings, or because the run did not pass although no host says so.
fn fleet_case(summary: &Summary, hosts_are_green: bool) -> TestCase {
    let findings = &summary.fleet.findings;
    let lines: Vec<String> = findings.iter().flat_map(finding_lines).collect();
    let kinds: Vec<&str> =
        findings.iter().filter(|it| it.severity == Severity::Fail).map(|it| it.kind.name()).collect();
    let status = if !kinds.is_empty() {
        red(NonSuccessKind::Failure, "fail", &kinds.join(", "), &lines)
    } else if !summary.passed && hosts_are_green {
        red(NonSuccessKind::Error, "not_passed", &words::headline(summary), &lines)
    } else {
        TestCaseStatus::success()
    };
    let mut case = TestCase::new("fleet", status);
    case.set_classname("nicburn.fleet");
    if !lines.is_empty() {
        case.set_system_out(lines.join("\n"));
    }
    case
}

fn red(kind: NonSuccessKind, class: &str, message: &str, lines: &[String]) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(kind);
    status.set_type(class).set_message(escape::plain(message)).set_description(lines.join("\n"));
    status
}

fn host_lines(host: &HostSummary) -> Vec<String> {
    let reason = details::reason(host).into_iter().map(point_line);
    let findings = host.findings.iter().flat_map(finding_lines);
    let rest = details::host_points(host).into_iter().map(point_line);
    reason.chain(findings).chain(rest).collect()
}

fn finding_lines(finding: &Finding) -> Vec<String> {
    let head = std::iter::once(escape::plain(&details::finding_head(finding)));
    head.chain(details::finding_points(finding).into_iter().map(point_line)).collect()
}

fn point_line((label, text): details::Point) -> String {
    format!("{label}: {}", escape::plain(&text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{model::judge::summary::FleetVerdict, report::fixture};
    use proptest::prelude::*;

    fn red_cases(xml: &str) -> (usize, usize) {
        (xml.matches("<failure").count(), xml.matches("<error").count())
    }

    #[test]
    fn a_failed_host_fails_and_an_unmeasured_one_errs() {
        let xml = junit(&fixture::mixed());
        assert_eq!(red_cases(&xml), (1, 2), "h3; h4 and expected-1: {xml}");
        assert!(xml.contains("tests=\"6\" failures=\"1\" errors=\"2\""), "{xml}");
        assert!(xml.contains("message=\"dies_under_load\" type=\"fail\""), "{xml}");
        assert!(xml.contains("died at 88.0 Mb/s"), "{xml}");
        assert!(!xml.contains("<skipped"), "skipped cases pass most gates");
    }

    #[test]
    fn a_healthy_fleet_is_green() {
        assert_eq!(red_cases(&junit(&fixture::healthy())), (0, 0));
    }

    #[test]
    fn an_interrupted_run_is_red_even_where_every_host_passed_so_far() {
        let mut summary = fixture::healthy();
        (summary.passed, summary.verdict) = (false, FleetVerdict::Interrupted);
        assert_eq!(red_cases(&junit(&summary)), (0, 1));
        summary.hosts.clear();
        assert_eq!(red_cases(&junit(&summary)), (0, 1), "no host at all is not green either");
    }

    #[test]
    fn hostile_text_opens_no_element() {
        let xml = junit(&fixture::hostile());
        for tag in ["<script", "<img", "<svg", "<a ", "<x>"] {
            assert!(!xml.contains(tag), "{tag} in {xml}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn a_run_that_did_not_pass_is_never_all_green(summary in fixture::any_summary()) {
            prop_assert_ne!(red_cases(&junit(&summary)), (0, 0));
        }
    }
}
