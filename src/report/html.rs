//! `report.html`: one page that needs nothing else: no script, no network, no other file.
//!
//! Its security policy forbids everything but its own styles, so that even text that slipped
//! through [`escape`] could load and run nothing.

mod chart;

use std::{collections::BTreeMap, fmt::Write as _};

use super::{
    details::{self, Point},
    escape,
    figures::{self, Scale},
    series::Charts,
    words,
};
use crate::model::judge::summary::{DropOff, Finding, FleetVerdict, HostSummary, Summary, Verdict};

const CSS: &str = include_str!("html/page.css");

/// The whole page. Hosts stand in the order of the verdict table; a series of a host that the
/// summary does not know is drawn last.
pub fn html(summary: &Summary, charts: &Charts) -> String {
    let headline = escape::html(&words::headline(summary));
    let mut out = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"referrer\" content=\"no-referrer\">\n\
         <title>{headline}</title>\n<style>\n{CSS}</style>\n</head>\n<body>\n"
    );
    header(&mut out, summary, &headline);
    table(&mut out, summary);
    findings(&mut out, summary);
    drawings(&mut out, summary, charts);
    losses(&mut out, summary);
    out.push_str("</body>\n</html>\n");
    out
}

fn header(out: &mut String, summary: &Summary, headline: &str) {
    let class = match summary.verdict {
        FleetVerdict::Healthy => "pass",
        FleetVerdict::Unhealthy => "fail",
        FleetVerdict::Inconclusive | FleetVerdict::Interrupted => "unsure",
    };
    let _ = writeln!(out, "<header>\n<h1 class=\"{class}\">{headline}</h1>");
    if summary.run.simulated_links {
        let _ = writeln!(out, "<p class=\"lab\">{}</p>", escape::html(words::SIMULATED));
    }
    let _ = writeln!(out, "<p class=\"soft\">{}</p>\n</header>", escape::html(&words::run_line(summary)));
}

const fn verdict_class(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Fail => "fail",
        Verdict::Inconclusive | Verdict::NotTested => "unsure",
        Verdict::Pass => "pass",
    }
}

fn table(out: &mut String, summary: &Summary) {
    let hosts = words::in_order(summary);
    let scale = Scale::for_hosts(&hosts);
    let unit = scale.unit();
    let _ = writeln!(
        out,
        "<h2>Hosts</h2>\n<div class=\"wide\"><table>\n<thead><tr><th>host</th><th>verdict</th>\
         <th class=\"n\">sent, median / peak, {unit}</th><th class=\"n\">received, {unit}</th>\
         <th class=\"n\">drop-offs</th><th class=\"n\">longest stall</th><th class=\"n\">measured</th>\
         <th>what</th></tr></thead>\n<tbody>"
    );
    for (number, host) in hosts.into_iter().enumerate() {
        let goodput = &host.goodput;
        let name = escape::html(host.host.as_str());
        let name =
            if words::needs_detail(host) { format!("<a href=\"#d{number}\">{name}</a>") } else { name };
        let _ = writeln!(
            out,
            "<tr><td class=\"name\">{name}</td><td class=\"verdict {}\">{}</td><td class=\"n\">{} / {}</td>\
             <td class=\"n\">{} / {}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td>\
             <td>{}</td></tr>",
            verdict_class(host.verdict),
            words::verdict(host.verdict),
            scale.rate(goodput.tx_median_bps),
            scale.rate(goodput.tx_peak_bps),
            scale.rate(goodput.rx_median_bps),
            scale.rate(goodput.rx_peak_bps),
            host.drop_offs.len(),
            figures::seconds(goodput.longest_stall_s),
            figures::share(host.tested.planned_share),
            escape::html(&words::what(host)),
        );
    }
    out.push_str("</tbody></table></div>\n");
}

/// What lies behind each row that is not simply a pass, then behind the fleet.
fn findings(out: &mut String, summary: &Summary) {
    let hosts: Vec<(usize, &HostSummary)> = words::in_order(summary)
        .into_iter()
        .enumerate()
        .filter(|(_, host)| words::needs_detail(host))
        .collect();
    if !hosts.is_empty() {
        out.push_str("<h2>Findings</h2>\n");
    }
    for (number, host) in hosts {
        let _ = writeln!(
            out,
            "<article id=\"d{number}\"><h3>{} <span class=\"verdict {}\">{}</span> <span class=\"soft\">{}</span></h3>",
            escape::html(host.host.as_str()),
            verdict_class(host.verdict),
            words::verdict(host.verdict),
            escape::html(&details::card(host)),
        );
        points(out, details::reason(host));
        host.findings.iter().for_each(|it| finding(out, it));
        points(out, details::host_points(host));
        points(out, [("Tested", tested(host))]);
        out.push_str("</article>\n");
    }
    if !summary.fleet.findings.is_empty() {
        out.push_str("<h2>Fleet</h2>\n<article>\n");
        summary.fleet.findings.iter().for_each(|it| finding(out, it));
        out.push_str("</article>\n");
    }
}

fn finding(out: &mut String, finding: &Finding) {
    let _ = writeln!(out, "<h3>{}</h3>", escape::html(&details::finding_head(finding)));
    points(out, details::finding_points(finding));
}

fn points(out: &mut String, points: impl IntoIterator<Item = Point>) {
    let mut rows = String::new();
    for (label, text) in points {
        let _ = write!(rows, "<dt>{label}</dt><dd>{}</dd>", escape::html(&text));
    }
    if !rows.is_empty() {
        let _ = writeln!(out, "<dl>{rows}</dl>");
    }
}

/// Within what the verdict holds, in one line.
fn tested(host: &HostSummary) -> String {
    let tested = &host.tested;
    format!(
        "at most {} sent and {} received for a second; {} sent, {} received, {} of them compared{}; {} of the plan measured",
        figures::rate(tested.rate_tx_max_bps),
        figures::rate(tested.rate_rx_max_bps),
        figures::bytes(tested.bytes_tx),
        figures::bytes(tested.bytes_rx),
        figures::bytes(tested.verified_bytes),
        tested.verify_cpu_s.map_or_else(String::new, |cost| format!(" (at {cost:.2} s of a core)")),
        figures::share(tested.planned_share),
    )
}

fn drawings(out: &mut String, summary: &Summary, charts: &Charts) {
    if charts.hosts.is_empty() {
        return;
    }
    let axes = chart::Axes::of(charts);
    let _ = writeln!(
        out,
        "<h2>Goodput over time</h2>\n<p class=\"soft\">{} over seconds since the run's zero, slots of 100 ms; \
         a break in a line was not measured.\
         <span class=\"key k-tx\"></span>sent<span class=\"key k-rx\"></span>received\
         <span class=\"key k-own\"></span>drop-off<span class=\"key k-shared\"></span>drop-off explained by another host\
         </p>\n<p class=\"soft\">Stages: {}</p>\n<div class=\"charts\">",
        axes.unit(),
        chart::stage_key(charts),
    );
    let places: BTreeMap<&str, (usize, &HostSummary)> =
        words::in_order(summary).into_iter().enumerate().map(|it| (it.1.host.as_str(), it)).collect();
    let mut series: Vec<_> = charts.hosts.iter().collect();
    series.sort_by_key(|it| places.get(it.host.as_str()).map_or(usize::MAX, |(place, _)| *place));
    for series in series {
        let host = places.get(series.host.as_str()).map(|(_, host)| *host);
        let drop_offs: &[DropOff] = host.map_or(&[], |host| &host.drop_offs);
        let verdict = host.map_or_else(String::new, |host| {
            format!(
                " <span class=\"verdict {}\">{}</span>",
                verdict_class(host.verdict),
                words::verdict(host.verdict)
            )
        });
        let _ = writeln!(
            out,
            "<figure><figcaption>{}{verdict}</figcaption>{}</figure>",
            escape::html(series.host.as_str()),
            chart::svg(series, charts, drop_offs, axes),
        );
    }
    out.push_str("</div>\n");
}

fn losses(out: &mut String, summary: &Summary) {
    if summary.record_losses.is_empty() {
        return;
    }
    out.push_str("<h2>Lost of the record</h2>\n<p>The verdicts rest on what remained.</p>\n<ul>\n");
    for loss in &summary.record_losses {
        let _ = writeln!(out, "<li>{}</li>", escape::html(loss));
    }
    out.push_str("</ul>\n");
}

#[cfg(test)]
mod tests;
