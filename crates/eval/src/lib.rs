//! Is it good, and are we sure: ranks every candidate for every user, turns ranks into numbers per user first and
//! means after, puts intervals and tests around them, and writes reports. Knows models only as `Recommender`.

mod buckets;
mod error;
mod examples;
mod interop;
mod metric;
mod metrics;
mod protocol;
mod rank;
mod report;
mod run;
mod significance;

pub use buckets::Bucket;
pub use error::Error;
pub use examples::Examples;
pub use interop::{Names, per_user_table, write_per_user, write_trec_qrels, write_trec_run};
pub use metric::{Kind, Metric, Name, Ranked};
pub use metrics::{Ratings, auc, log_loss, platt, ratings};
pub use protocol::{Candidates, Cases, Context, Settings};
pub use report::{
    Chart, ColdRow, ColdTable, Course, Mix, MixRange, ModelRow, Report, Series, StageRow,
    courses_svg, is_courses_svg, to_html, to_json, to_svg, to_table, write_html,
};
pub use run::{Run, ndcg_of, quick_ndcg, run};
pub use significance::{Comparison, Stat, bootstrap, compare, holm};
