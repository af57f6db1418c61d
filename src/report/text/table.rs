//! The table of hosts: who carried how much, fell off how often, and what is the matter.

use super::{Style, WIDTH};
use crate::{
    model::judge::summary::{HostSummary, Summary},
    report::{figures::Scale, words},
};

/// The widest host column: beyond, names are cut in the middle and said in full below.
const HOST_MAX: usize = 24;

/// The widest rate column: two rates of any card there is, with a slash between.
const RATE_MAX: usize = 17;

/// Between two columns.
const GAP: &str = "  ";

const TITLES: [&str; 6] = ["host", "verdict", "sent", "received", "drop-offs", "what"];

/// Header, one line a host, lines ended by `\n`; rates share one unit, named in the header.
pub(super) fn table(summary: &Summary, style: Style) -> String {
    let hosts = words::in_order(summary);
    let scale = Scale::for_hosts(&hosts);
    let rows: Vec<[String; 6]> = hosts.iter().map(|host| row(host, scale)).collect();
    let widths = widths(&rows);

    let mut out = format!("sent and received: median / peak in {}\n", scale.unit());
    out.push_str(&line(&TITLES.map(str::to_owned), &widths, str::to_owned));
    for (host, cells) in hosts.iter().zip(&rows) {
        out.push_str(&line(cells, &widths, |cell| style.verdict(host.verdict, cell)));
    }
    out
}

fn row(host: &HostSummary, scale: Scale) -> [String; 6] {
    let goodput = &host.goodput;
    let pair =
        |median, peak| words::middle_cut(&format!("{} / {}", scale.rate(median), scale.rate(peak)), RATE_MAX);
    [
        words::middle_cut(host.host.as_str(), HOST_MAX),
        words::verdict(host.verdict).to_owned(),
        pair(goodput.tx_median_bps, goodput.tx_peak_bps),
        pair(goodput.rx_median_bps, goodput.rx_peak_bps),
        host.drop_offs.len().to_string(),
        words::what(host),
    ]
}

/// The widest cell of each column; the last gets what is left of the line.
fn widths(rows: &[[String; 6]]) -> [usize; 6] {
    let mut widths = TITLES.map(|title| title.chars().count());
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row).take(5) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let taken: usize = widths[..5].iter().sum::<usize>() + 5 * GAP.len();
    widths[5] = WIDTH.saturating_sub(taken);
    widths
}

/// One line; `paint` colours the padded verdict, so that colour takes no part in widths.
fn line(cells: &[String; 6], widths: &[usize; 6], paint: impl Fn(&str) -> String) -> String {
    let mut out = String::new();
    for (column, (cell, width)) in cells.iter().zip(widths).enumerate() {
        let padded = pad(cell, *width, (2..5).contains(&column));
        if column > 0 {
            out.push_str(GAP);
        }
        out.push_str(&if column == 1 { paint(&padded) } else { padded });
    }
    format!("{}\n", out.trim_end())
}

/// `cell` in exactly `width` characters: cut at its end, or filled up.
fn pad(cell: &str, width: usize, right: bool) -> String {
    let length = cell.chars().count();
    if length > width {
        return cell.chars().take(width.saturating_sub(1)).chain(['…']).collect();
    }
    let fill = " ".repeat(width - length);
    if right { fill + cell } else { cell.to_owned() + &fill }
}
