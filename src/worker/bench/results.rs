//! What a bench came to: shapes, verdicts of gates, and their text. Pure.

use serde::{Deserialize, Serialize};

use super::{
    machine::Machine,
    metric::{Bound, Metric, Run},
    paired::Spread,
};

/// The whole of it, as `bench-<date>.json` holds it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Results {
    /// `nicburn.bench/1`.
    pub schema: String,
    /// What was typed.
    pub command: String,
    /// When, RFC 3339.
    pub date: String,
    /// This program's version.
    pub version: String,
    /// Whether it was built with optimisation: figures of a debug build mean nothing.
    pub optimised: bool,
    /// On what.
    pub machine: Machine,
    /// Of every end.
    pub congestion_control: String,
    /// Peers by name, with what they say of their version, or why they are absent.
    pub peers: Vec<(String, String)>,
    /// By case.
    pub cases: Vec<CaseResult>,
}

/// One case.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CaseResult {
    /// Its name.
    pub name: String,
    /// Where, on which cores, against what.
    pub setting: String,
    /// Raw figures of every repetition: ours, and the other side's.
    pub reps: Vec<(Run, Option<Run>)>,
    /// Figures and their bounds.
    pub figures: Vec<Figure>,
    /// Why it was not measured, or not to the end.
    pub failed: Option<Failed>,
}

/// Why there is no result.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Failed {
    /// The other side is not there: nothing was measured, and no gate missed.
    Absent(String),
    /// This build cannot do it: its gates are missed.
    Unavailable(String),
    /// A run failed.
    Error(String),
}

/// One figure over all repetitions.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Figure {
    /// Which.
    pub metric: Metric,
    /// What it must keep.
    pub bound: Bound,
    /// `None` where a repetition lacks it.
    pub spread: Option<Spread>,
}

impl Figure {
    /// Of these repetitions.
    pub fn of(metric: Metric, bound: Bound, reps: &[(Run, Option<Run>)]) -> Self {
        let figures: Option<Vec<f64>> =
            reps.iter().map(|(ours, other)| metric.of(ours, other.as_ref())).collect();
        Self { metric, bound, spread: figures.and_then(|figures| Spread::of(&figures)) }
    }

    /// Whether its median keeps its bound. What was not measured keeps none.
    pub fn met(&self) -> bool {
        match self.spread {
            Some(spread) => self.bound.keeps(spread.median),
            None => self.bound == Bound::Shown,
        }
    }
}

impl CaseResult {
    /// Whether all that it asks for was seen.
    pub fn met(&self) -> bool {
        match &self.failed {
            Some(Failed::Absent(_)) => true,
            Some(_) => false,
            None => self.figures.iter().all(Figure::met),
        }
    }

    fn errs(&self) -> bool {
        matches!(self.failed, Some(Failed::Error(_)))
    }
}

/// How a bench ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// All gates met.
    Met,
    /// A gate was missed.
    Missed,
    /// A run failed.
    Failed,
}

impl Results {
    /// How it ended; a failure outranks a missed gate.
    pub fn outcome(&self) -> Outcome {
        if self.cases.iter().any(CaseResult::errs) {
            Outcome::Failed
        } else if self.cases.iter().all(CaseResult::met) {
            Outcome::Met
        } else {
            Outcome::Missed
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rep(bytes: u64) -> (Run, Option<Run>) {
        (Run { bytes, for_s: 1.0, ..Run::default() }, Some(Run { bytes: 100, for_s: 1.0, ..Run::default() }))
    }

    #[test]
    fn the_median_ratio_decides_and_a_gap_meets_nothing() {
        let reps = [rep(90), rep(130), rep(125)];
        let figure = |bound| Figure::of(Metric::RateRatio, bound, &reps);
        assert_eq!(figure(Bound::Shown).spread, Some(Spread { median: 1.25, min: 0.9, max: 1.3 }));
        assert!(figure(Bound::AtLeast(1.2)).met());
        assert!(!figure(Bound::AtLeast(1.3)).met());
        let alone = [(rep(1).0, None)];
        assert!(!Figure::of(Metric::RateRatio, Bound::AtLeast(0.0), &alone).met());
    }

    #[test]
    fn an_absent_peer_misses_no_gate_and_a_lacking_engine_does() {
        let with = |failed| CaseResult {
            name: "x".into(),
            setting: String::new(),
            reps: vec![],
            figures: vec![],
            failed: Some(failed),
        };
        assert!(with(Failed::Absent("no".into())).met());
        assert!(!with(Failed::Unavailable("no".into())).met());
        assert!(!with(Failed::Error("no".into())).met());
    }
}
