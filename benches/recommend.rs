//! How long one recommendation takes: `cargo bench --bench recommend`.

use criterion::{Criterion, criterion_group, criterion_main};
use pinwise::json::read_host;
use pinwise::request::GpuRequest;
use pinwise::{Bytes, Host, Options, Question, RequestSpec, Usage, recommend};

const HOSTS: [(&str, &str); 3] = [
    ("hgx-h200-snc2", include_str!("../fixtures/hosts/hgx-h200-snc2.json")),
    ("rtx-4090-nps4", include_str!("../fixtures/hosts/rtx-4090-nps4.json")),
    ("i9-14900k", include_str!("../fixtures/hosts/i9-14900k.json")),
];

fn host(text: &str) -> Host {
    read_host(text).expect("the fixture is readable").build().expect("the fixture is a host")
}

fn one(c: &mut Criterion) {
    for (name, text) in HOSTS {
        let host = host(text);
        let usage = Usage::empty(&host);
        for (vcpus, gib, gpus) in [(8, 16, 1), (32, 256, 2), (64, 128, 4)] {
            let request = RequestSpec {
                gpus: GpuRequest::Count { count: gpus, model: None },
                ..RequestSpec::new("vm", vcpus, Bytes::from_gib(gib))
            };
            let request = request.build().expect("the request is in range");
            let options = Options::default();
            c.bench_function(&format!("recommend/{name}/{vcpus}-vcpus-{gpus}-gpus"), |b| {
                b.iter(|| recommend(Question::new(&host, &usage, &request).with(&options)));
            });
        }
    }
}

criterion_group!(benches, one);
criterion_main!(benches);
