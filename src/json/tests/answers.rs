//! Answers of the engine on every host of the fixtures, and what is made of them.

use serde_json::{Value, json};

use super::{assert_fits, hosts, value};
use crate::changes::smallest_changes;
use crate::engine::recommend::{Recommendation, recommend};
use crate::host::Host;
use crate::json::{
    offer_schema, placement_schema, read_offer, read_placement, read_placements, read_tenant,
    read_usage, recommendation, recommendation_on, recommendation_schema, refusal, refusal_schema,
    tenant_schema, usage_schema, write_offer, write_placement, write_tenant, write_usage,
};
use crate::placement::Placement;
use crate::question::Question;
use crate::request::{GpuRequest, Policies, Policy, Request, RequestSpec, Wish};
use crate::units::{Bytes, PageSize};
use crate::usage::{Claim, PageClaim, Usage};
use crate::workload::Workload;

/// Requests of several kinds, as far as they are for the host's number of GPUs.
fn requests(host: &Host) -> Vec<Request> {
    let small = RequestSpec::new("small", 2, Bytes::from_gib(4));
    let gpus = u32::try_from(host.gpus().len()).unwrap();
    let gpus = GpuRequest::Count { count: gpus.min(4), model: None };
    let all = [
        RequestSpec { gpus, workload: Workload::GpuTraining, ..small.clone() },
        RequestSpec { cells: Wish::Prefer(2), smt: Wish::Prefer(true), vcpus: 8, ..small.clone() },
        RequestSpec { emulator_pcpus: 1, io_threads: 2, ..small.clone() },
        RequestSpec {
            policies: Policies { dedicated_cpus: Policy::Ignore, ..Policies::default() },
            page_size: Some(PageSize::KIB_4),
            ..small
        },
    ];
    all.into_iter().map(|request| request.build().unwrap()).collect()
}

fn placements(answer: &Recommendation) -> Vec<Placement> {
    let rows = answer.ranked.iter().chain(&answer.baseline);
    rows.map(|ranked| ranked.placement.clone()).collect()
}

#[test]
fn every_placement_comes_back_alone_and_out_of_its_answer() {
    let (mut several, mut refused) = (0, 0);
    for host in hosts() {
        let usage = Usage::empty(&host);
        for request in requests(&host) {
            let question = Question::new(&host, &usage, &request);
            let answer = match recommend(question) {
                Ok(answer) => answer,
                Err(error) => {
                    let text = refusal(&error, &smallest_changes(question));
                    assert_fits(&refusal_schema(), &text);
                    refused += 1;
                    continue;
                }
            };
            let placements = placements(&answer);
            let text = recommendation(question, &answer);
            assert_fits(&recommendation_schema(), &text);
            let notes = ["a note".to_owned()];
            let on_host = recommendation_on(question, &notes, &notes, &answer);
            assert_fits(&recommendation_schema(), &on_host);
            assert_eq!(read_placements(&on_host).unwrap(), placements);
            let answer = value(&text);
            for (row, placement) in answer["ranked"].as_array().unwrap().iter().zip(&placements) {
                let text = write_placement(placement);
                assert_fits(&placement_schema(), &text);
                assert_eq!(&read_placement(&text).unwrap(), placement);
                // Cut out as it stands.
                assert_eq!(&read_placement(&row["placement"].to_string()).unwrap(), placement);
                let mut tenant = row["claim"].clone();
                tenant["name"] = json!(placement.name);
                let claim = (placement.name.clone(), placement.claim());
                assert_eq!(read_tenant(&tenant.to_string()).unwrap(), claim);
                let offer = question.offer(placement);
                let text = write_offer(&offer);
                assert_fits(&offer_schema(), &text);
                assert_eq!((&read_offer(&text).unwrap(), &*offer.host), (&offer, host.name()));
                several += 1;
            }
        }
    }
    assert!(several > 100 && refused > 0, "{several} {refused}");
}

#[test]
fn names_that_scripts_read_are_there() {
    let hosts = hosts();
    let host = hosts.iter().find(|host| host.name().contains("h200")).unwrap();
    let usage = Usage::empty(host);
    let request = requests(host).remove(0);
    let question = Question::new(host, &usage, &request);
    let text = recommendation(question, &recommend(question).unwrap());
    let answer = value(&text);
    assert!(answer["rejected"].is_array());
    for row in answer["ranked"].as_array().unwrap() {
        let placement = &row["placement"];
        assert!(row["style"].is_string() && row["baseline"].is_boolean());
        assert!(row["score"]["total"].is_i64() && placement["topology"]["sockets"].is_u64());
        assert!(placement["topology"]["threads"].is_u64());
        for key in ["emulator", "idle"] {
            assert!(placement[key].is_string(), "{key}");
        }
        for key in ["vcpus", "iothreads", "cells", "gpus", "devices"] {
            assert!(placement[key].is_array(), "{key}");
        }
        for key in ["dedicated", "floating"] {
            assert!(row["claim"][key].is_string(), "{key}");
        }
        for key in ["pages", "devices"] {
            assert!(row["claim"][key].is_array(), "{key}");
        }
        let vcpu = &placement["vcpus"][0];
        assert!(vcpu["vcpu"] == json!(0) && vcpu["pcpus"].is_string());
        let cell = &placement["cells"][0];
        assert!(cell["nodes"].is_string() && cell["vcpus"].is_string());
        assert!(cell["memory_kib"].is_u64() && cell["page_kib"].is_u64());
        assert!(placement["gpus"][0]["address"].is_string());
    }
    let metric = |p: &Value| p["metric"] == json!("cpu-all-threads") && p["likely"].is_f64();
    assert!(answer["ranked"][0]["predictions"].as_array().unwrap().iter().any(metric));
}

#[test]
fn answers_of_another_version_are_refused_with_both_versions() {
    let hosts = hosts();
    let host = hosts.iter().find(|host| host.cores().len() > 8).unwrap();
    let usage = Usage::empty(host);
    let request = RequestSpec::new("a", 2, Bytes::from_gib(1)).build().unwrap();
    let question = Question::new(host, &usage, &request);
    let text = recommendation(question, &recommend(question).unwrap());
    let old = text.replacen("recommendation/2", "recommendation/1", 1);
    assert_eq!(
        read_placements(&old).unwrap_err().to_string(),
        "the text has format \"pinwise-recommendation/1\", but this version reads \"pinwise-recommendation/2\""
    );
    assert!(read_placement(&text).unwrap_err().to_string().contains("pinwise-recommendation/2"));
    let odd = text.replacen("\"vcpu\":1", "\"vcpu\":7", 1);
    assert_eq!(
        read_placements(&odd).unwrap_err().to_string(),
        "at ranked[0].placement.vcpus[1].vcpu: vCPU 7, where vCPU 1 is next"
    );
}

/// Numbers that look drawn.
struct Draw(u64);

impl Draw {
    fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) % most
    }
}

fn comes_back(usage: &Usage, host: &Host) {
    let text = write_usage(usage, host);
    assert_fits(&usage_schema(), &text);
    let back = read_usage(&text, host).unwrap();
    assert_eq!(&back, usage);
    // Equality does not look at the history.
    assert_eq!(back.saved(), usage.saved());
    assert_eq!(back.generation(), usage.generation());
    for (name, claim) in usage.tenants() {
        let text = write_tenant(name, claim);
        assert_fits(&tenant_schema(), &text);
        assert_eq!(read_tenant(&text).unwrap(), (name.to_owned(), claim.clone()));
    }
}

#[test]
fn a_usage_comes_back_after_claims_and_releases() {
    let mut draw = Draw(7);
    for host in hosts() {
        let mut usage = Usage::empty(&host);
        comes_back(&usage, &host);
        let requests = requests(&host);
        for step in 0..12 {
            let held: Vec<String> = usage.tenants().map(|(name, _)| name.to_owned()).collect();
            if !held.is_empty() && draw.below(3) == 0 {
                let at = usize::try_from(draw.below(held.len() as u64)).unwrap();
                usage.release(&held[at]).unwrap();
            } else {
                let request = &requests[usize::try_from(draw.below(4)).unwrap()];
                let question = Question::new(&host, &usage, request);
                let Ok(answer) = recommend(question) else { continue };
                let claim = answer.best().placement.claim();
                usage.claim(&host, &format!("vm {step}"), claim).unwrap();
            }
            comes_back(&usage, &host);
        }
    }
}

/// A usage of tenants that were there when the host was described, which explain a part of the
/// pages in use, and one of which may have its pages anywhere.
#[test]
fn a_usage_of_running_tenants_comes_back() {
    for mut spec in hosts().iter().map(|host| host.description().clone()) {
        for pool in spec.nodes.iter_mut().flat_map(|node| &mut node.pools) {
            pool.free = pool.total / 2;
        }
        let host = spec.build().unwrap();
        let Some((node, pool)) =
            host.nodes().iter().find_map(|node| Some((node.id, *node.pools.first()?)))
        else {
            continue;
        };
        let all: u64 =
            host.nodes().iter().filter_map(|node| node.pool(pool.size)).map(|p| p.total).sum();
        let page = |node, count| PageClaim { node, page_size: pool.size, count };
        let claim = |pages| Claim { pages, ..Claim::default() };
        let tenants = [
            ("bound".to_owned(), claim(vec![page(Some(node), pool.total / 4)])),
            ("anywhere".to_owned(), claim(vec![page(None, all - all / 3), page(None, 0)])),
        ];
        let mut usage = Usage::with_running(&host, tenants).unwrap();
        comes_back(&usage, &host);
        usage.release("bound").unwrap();
        comes_back(&usage, &host);
    }
}

#[test]
fn a_usage_that_cannot_be_is_refused_with_the_tenant() {
    let host = &hosts()[0];
    let cpu = host.cores()[0].pcpus[0];
    let text = |tenants: &str, more: &str| {
        format!(
            "{{\"format\": \"pinwise-usage/1\", \"host\": \"{}\", \"generation\": 2, \
             \"tenants\": [{tenants}], \"unexplained\": [{more}]}}",
            host.name()
        )
    };
    let tenant = |name: &str, since: u64| {
        format!("{{\"name\": \"{name}\", \"since\": {since}, \"dedicated\": \"{cpu}\"}}")
    };
    let one = tenant("a", 2);
    assert!(read_usage(&text(&one, ""), host).is_ok());
    let node = host.nodes()[0].id;
    for (tenants, more, said) in [
        (format!("{one}, {}", tenant("b", 1)), String::new(), "tenant \"b\" claims pCPUs"),
        (format!("{one}, {}", tenant("b", 2)), String::new(), "tenant \"b\""),
        (tenant("c", 3), String::new(), "tenant \"c\""),
        (tenant("c", 0), String::new(), "tenant \"c\""),
        (
            String::new(),
            format!("{{\"node\": {node}, \"page_size\": \"512 GiB\", \"count\": 1}}"),
            "1 pages of 512 GiB",
        ),
        ("{\"name\": \"a\", \"sinse\": 1}".to_owned(), String::new(), "in pinwise-usage/1"),
    ] {
        let message = read_usage(&text(&tenants, &more), host).unwrap_err().to_string();
        assert!(message.contains(said), "{message}");
    }
    let other =
        text(&one, "").replace(&format!("\"host\": \"{}\"", host.name()), "\"host\": \"x\"");
    let message = read_usage(&other, host).unwrap_err().to_string();
    assert!(message.starts_with("at host: the usage is of \"x\""), "{message}");
}
