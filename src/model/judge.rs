//! Record → verdicts: series, drop-offs, what explains them, findings, the summary.

pub mod live;
pub mod summary;
pub mod verdict;
