//! One host's goodput over time as an inline SVG.
//!
//! All charts of a page share both axes: a host that is slower than the rest is seen by its
//! height, and what happened at one moment stands at one place.

use std::fmt::Write as _;

use crate::{
    model::judge::summary::DropOff,
    report::{
        details, escape,
        figures::Scale,
        series::{Charts, HostSeries, pieces},
        words,
    },
};

/// Drawing size, in the units of the SVG's own grid; the page scales it.
const WIDTH: f64 = 360.0;
const HEIGHT: f64 = 150.0;
/// Room for the labels of the rates, the stages and the seconds.
const LEFT: f64 = 38.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = 18.0;

/// Width of a letter of a stage's label, in the same units; by it is told whether a name fits.
const LETTER: f64 = 5.0;

/// Points a line: three for each unit of width, more cannot be told apart.
const POINTS_A_LINE: usize = 1_200;

/// Points a page: 64 hosts with two full lines each, about 2 MB. Larger fleets get coarser lines.
const POINTS_A_PAGE: usize = 64 * 2 * POINTS_A_LINE;

/// The coarsest line that still shows a drop-off of a tenth of the run.
const POINTS_MIN: usize = 60;

/// Both axes of a page, and how finely its lines are drawn.
#[derive(Clone, Copy, Debug)]
pub(super) struct Axes {
    end_s: f64,
    top_bps: f64,
    scale: Scale,
    points_max: usize,
}

impl Axes {
    /// Axes that fit every host of `charts`.
    pub(super) fn of(charts: &Charts) -> Self {
        let peak = charts.peak_bps().max(1);
        let lines = charts.hosts.len().max(1) * 2;
        Self {
            end_s: charts.end_s().max(1.0),
            top_bps: step_up(peak as f64),
            scale: Scale::for_peak(peak),
            points_max: (POINTS_A_PAGE / lines).clamp(POINTS_MIN, POINTS_A_LINE),
        }
    }

    /// The unit of the upright axis.
    pub(super) const fn unit(self) -> &'static str {
        self.scale.unit()
    }

    fn x(self, at_s: f64) -> f64 {
        let share = if at_s.is_finite() { (at_s / self.end_s).clamp(0.0, 1.0) } else { 1.0 };
        LEFT + share * (WIDTH - LEFT - RIGHT)
    }

    fn y(self, bps: f64) -> f64 {
        HEIGHT - BOTTOM - (bps / self.top_bps).clamp(0.0, 1.0) * (HEIGHT - TOP - BOTTOM)
    }
}

/// The next of 1, 2, 2.5, 5 times a power of ten at or above `value`, which is above zero.
fn step_up(value: f64) -> f64 {
    let power = 10f64.powf(value.log10().floor());
    [1.0, 2.0, 2.5, 5.0, 10.0]
        .map(|step| step * power)
        .into_iter()
        .find(|step| *step >= value)
        .unwrap_or(value)
}

/// The SVG of one host.
pub(super) fn svg(series: &HostSeries, charts: &Charts, drop_offs: &[DropOff], axes: Axes) -> String {
    let name = escape::html(series.host.as_str());
    let mut out = format!(
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"goodput of {name} over time, sent and received\">"
    );
    grid(&mut out, axes);
    for drop_off in drop_offs {
        shade(&mut out, drop_off, axes);
    }
    stages(&mut out, charts, axes);
    line(&mut out, "tx", &series.tx_bps, series.first_slot, axes);
    line(&mut out, "rx", &series.rx_bps, series.first_slot, axes);
    out.push_str("</svg>");
    out
}

fn grid(out: &mut String, axes: Axes) {
    for share in [0.0, 0.5, 1.0] {
        let bps = axes.top_bps * share;
        let y = axes.y(bps);
        let _ = write!(
            out,
            "<path class=\"grid\" d=\"M{LEFT} {y:.1}H{:.1}\"/><text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            WIDTH - RIGHT,
            LEFT - 4.0,
            y + 3.0,
            bps / axes.scale.factor(),
        );
    }
    let step = step_up(axes.end_s / 6.0);
    let mut at_s = 0.0;
    while at_s <= axes.end_s {
        let _ = write!(
            out,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            axes.x(at_s),
            HEIGHT - 6.0,
            (at_s * 10.0).round() / 10.0,
        );
        at_s += step;
    }
}

/// A line where each stage begins, its name where there is room for it, else its number.
fn stages(out: &mut String, charts: &Charts, axes: Axes) {
    for (number, (name, start_s, end_s)) in (1..).zip(&charts.stages) {
        let (from, to) = (axes.x(*start_s), axes.x(*end_s));
        let name = escape::plain(name);
        let fits = |text: &str| text.chars().count() as f64 * LETTER <= to - from;
        let number = i32::to_string(&number);
        let label = if fits(&name) {
            name.as_str()
        } else if fits(&number) {
            &number
        } else {
            ""
        };
        let _ = write!(
            out,
            "<path class=\"stage\" d=\"M{from:.1} {:.1}V{:.1}\"/><text x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            TOP - 10.0,
            HEIGHT - BOTTOM,
            from + 2.0,
            TOP - 4.0,
            escape::html(label),
        );
    }
}

/// A drop-off from its onset to its end, or to the run's where no end was seen.
fn shade(out: &mut String, drop_off: &DropOff, axes: Axes) {
    let from = axes.x(drop_off.at_s);
    let to = axes.x(drop_off.for_s.map_or(axes.end_s, |for_s| drop_off.at_s + for_s));
    let class = if drop_off.explained_by.is_some() { "shared" } else { "own" };
    let _ = write!(
        out,
        "<rect class=\"{class}\" x=\"{from:.1}\" y=\"{TOP}\" width=\"{:.1}\" height=\"{:.1}\"><title>{}</title></rect>",
        // A drop-off of half a second in an hour must still be seen.
        (to - from).max(1.0),
        HEIGHT - TOP - BOTTOM,
        escape::html(&details::drop_off(drop_off)),
    );
}

fn line(out: &mut String, class: &str, values: &[Option<u64>], first_slot: u64, axes: Axes) {
    let mut path = String::new();
    for piece in pieces(values, first_slot, axes.points_max) {
        for (number, (at_s, bps)) in piece.iter().enumerate() {
            let mark = if number == 0 { 'M' } else { 'L' };
            let _ = write!(path, "{mark}{:.1} {:.1}", axes.x(*at_s), axes.y(*bps as f64));
        }
        if piece.len() == 1 {
            // A round cap makes a dot of a line without length.
            path.push_str("h0");
        }
    }
    if !path.is_empty() {
        let _ = write!(out, "<path class=\"{class}\" d=\"{path}\"/>");
    }
}

/// The stages with their numbers and times, as the key to the lines in the charts.
pub(super) fn stage_key(charts: &Charts) -> String {
    let stages: Vec<String> = (1..)
        .zip(&charts.stages)
        .map(|(number, (name, start_s, end_s))| {
            let number: i32 = number;
            format!("{number} {} ({start_s:.1} to {end_s:.1} s)", escape::html(&words::middle_cut(name, 40)))
        })
        .collect();
    stages.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_end_at_round_numbers() {
        for (value, top) in
            [(9.0e7, 1e8), (1.01e8, 2e8), (2.2e8, 2.5e8), (2.6e8, 5e8), (1e9, 1e9), (0.7, 1.0)]
        {
            assert!((step_up(value) / top - 1.0).abs() < 1e-9, "{value} gave {}", step_up(value));
        }
    }

    #[test]
    fn a_large_fleet_gets_coarser_lines_rather_than_a_larger_page() {
        let series = |hosts: usize| Charts {
            stages: vec![],
            hosts: vec![
                HostSeries {
                    host: crate::report::fixture::name("h1"),
                    first_slot: 0,
                    tx_bps: vec![],
                    rx_bps: vec![],
                };
                hosts
            ],
        };
        assert_eq!(Axes::of(&series(64)).points_max, POINTS_A_LINE);
        assert_eq!(Axes::of(&series(640)).points_max, POINTS_A_LINE / 10);
        assert_eq!(Axes::of(&series(4096)).points_max, POINTS_MIN);
        assert_eq!(Axes::of(&series(0)).points_max, POINTS_A_LINE, "an empty page has axes too");
    }
}
