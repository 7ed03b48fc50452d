//! One case: a host, its tenants, a request and options, and how it is written down.

use pinwise::json::write_host;
use pinwise::{
    Claim, Host, HostSpec, Infeasible, Options, Question, Recommendation, Request, RequestSpec,
    Usage, recommend,
};

#[derive(Clone)]
pub struct Case {
    pub host: HostSpec,
    pub tenants: Vec<(String, Claim)>,
    pub request: RequestSpec,
    pub options: Options,
}

/// A case that holds together.
pub struct Built {
    pub host: Host,
    pub usage: Usage,
    pub request: Request,
}

impl Case {
    /// `None` where a part is refused at the door.
    pub fn build(&self) -> Option<Built> {
        let host = self.host.clone().build().ok()?;
        let mut usage = Usage::empty(&host);
        for (name, claim) in &self.tenants {
            usage.claim(&host, name, claim.clone()).ok()?;
        }
        let request = self.request.clone().build().ok()?;
        Some(Built { host, usage, request })
    }

    /// What the caller's formats say of it, for a report.
    pub fn text(&self) -> String {
        let mut text = format!("host: {}\n", write_host(&self.host));
        for (name, claim) in &self.tenants {
            text += &format!(
                "tenant {name}: {}\n",
                serde_json::to_string(claim).expect("it has a JSON form")
            );
        }
        text += &format!(
            "request: {}\n",
            serde_json::to_string(&self.request).expect("it has a JSON form")
        );
        let Options {
            caution,
            packing_weight,
            gpu_share: _,
            gpu_mix: _,
            slot_weights: _,
            preference_cost,
            all,
            evidence: _,
        } = &self.options;
        text += &format!(
            "options: caution {caution}, packing {packing_weight}, preference {preference_cost}, \
             all {all}\n"
        );
        text
    }
}

impl Built {
    pub fn recommend(&self, options: &Options) -> Result<Recommendation, Infeasible> {
        recommend(Question::new(&self.host, &self.usage, &self.request).with(options))
    }
}
