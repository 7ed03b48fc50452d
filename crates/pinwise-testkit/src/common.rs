//! The fixtures' hosts, short requests, and asking for an answer that
//! the independent checker has seen.

use std::path::{Path, PathBuf};

use pinwise::engine::Profile;
use pinwise::json::read_host;
use pinwise::request::GpuRequest;
use pinwise::rules::{Evidence, Prediction, Range, RuleId};
use pinwise::{
    Bytes, Host, HostSpec, Infeasible, Metric, Options, Question, Ranked, Recommendation, Request,
    RequestSpec, Style, Usage, Workload, recommend, verify,
};

/// The folder of the repository, which is some way above a crate in it.
pub fn root() -> &'static Path {
    let mut above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    let root = above.find(|root| root.join("fixtures/hosts").is_dir());
    root.expect("the fixtures are there")
}

/// A folder of the fixtures.
pub fn fixtures(folder: &str) -> PathBuf {
    root().join("fixtures").join(folder)
}

/// A fixture's description, to be changed.
pub fn description(name: &str) -> HostSpec {
    let file = fixtures("hosts").join(format!("{name}.json"));
    read_host(&std::fs::read_to_string(file).unwrap()).unwrap()
}

pub fn host(name: &str) -> Host {
    description(name).build().unwrap()
}

/// Every fixture's host.
pub fn hosts() -> Vec<Host> {
    let entries = std::fs::read_dir(fixtures("hosts")).unwrap();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| host(path.file_stem().unwrap().to_str().unwrap())).collect()
}

/// A VM without devices.
pub fn vm(vcpus: u32, gib: u64) -> RequestSpec {
    RequestSpec::new("vm1", vcpus, Bytes::from_gib(gib))
}

/// A VM with this number of GPUs, any.
pub fn gpu_vm(vcpus: u32, gib: u64, count: u32, workload: Workload) -> RequestSpec {
    let gpus = GpuRequest::Count { count, model: None };
    RequestSpec { gpus, workload, ..vm(vcpus, gib) }
}

/// Just these GPUs, as `01:00.0`.
pub fn these(addresses: &[&str]) -> GpuRequest {
    GpuRequest::Addresses(addresses.iter().map(|address| address.parse().unwrap()).collect())
}

/// The recommendation, with every placement accepted by the independent checker.
pub fn ask_with(
    host: &Host,
    usage: &Usage,
    request: &RequestSpec,
    options: &Options,
) -> Result<Recommendation, Infeasible> {
    let request = checked(request);
    let answer = recommend(Question::new(host, usage, &request).with(options))?;
    for ranked in &answer.ranked {
        verify(Question::new(host, usage, &request), &ranked.placement).unwrap();
    }
    Ok(answer)
}

pub fn ask(host: &Host, request: &RequestSpec) -> Result<Recommendation, Infeasible> {
    ask_with(host, &Usage::empty(host), request, &Options::default())
}

/// Every variant of every style, the hugepages' "on top" left out.
pub fn ask_all(host: &Host, request: &RequestSpec) -> Recommendation {
    let evidence = Evidence::default().with(RuleId::Hugepages, Range::ONE);
    let options = Options { all: true, evidence, ..Options::default() };
    ask_with(host, &Usage::empty(host), request, &options).unwrap()
}

pub fn checked(request: &RequestSpec) -> Request {
    request.clone().build().unwrap()
}

/// The best placement of a style.
pub fn of_style(answer: &Recommendation, style: Style) -> &Ranked {
    let mut ranked = answer.ranked.iter();
    ranked.find(|ranked| ranked.placement.style == style).expect("the style was placed")
}

/// The best placement whose profile fits a description.
pub fn of_profile(answer: &Recommendation, fits: impl Fn(&Profile) -> bool) -> &Ranked {
    answer.ranked.iter().find(|ranked| fits(&ranked.profile)).expect("such a placement is offered")
}

pub fn prediction(ranked: &Ranked, metric: Metric) -> Prediction {
    let mut predictions = ranked.predictions().into_iter();
    predictions.find(|prediction| prediction.metric == metric).expect("the metric applies")
}

/// Notes, warnings or errors, as the sentences that people see.
pub fn sentences<T: std::fmt::Display>(said: &[T]) -> Vec<String> {
    said.iter().map(ToString::to_string).collect()
}
