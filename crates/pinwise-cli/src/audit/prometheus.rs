//! Findings and free resources as metrics in Prometheus' text format.

use pinwise::audit::AuditId;
use pinwise::json::Audited;
use pinwise::{Host, Usage};

/// A gauge for each domain and kind of finding, 0 or 1, so that no series vanishes when a finding
/// does; and free pCPUs and pages of each node.
pub(super) fn metrics(host: &Host, usage: &Usage, domains: &[Audited]) -> String {
    let mut all = head("pinwise_audit_finding", "Whether pinwise audit finds this in the domain.");
    for domain in domains {
        for id in AuditId::ALL {
            let found = domain.findings.iter().filter(|found| found.id == id).count();
            let (vm, kind, severity) = (label(&domain.name), id.name(), id.severity().name());
            all += &format!(
                "pinwise_audit_finding{{vm=\"{vm}\",kind=\"{kind}\",severity=\"{severity}\"}} {found}\n"
            );
        }
    }
    let help = "pCPUs of the node that are allowed, not kept for the host, and not dedicated.";
    all += &head("pinwise_node_free_pcpus", help);
    let free = host.allowed().difference(usage.dedicated()).difference(&host.kept().cpus);
    for node in host.nodes() {
        let pcpus = node.cpus.intersection(&free).len();
        all += &format!("pinwise_node_free_pcpus{{node=\"{}\"}} {pcpus}\n", node.id);
    }
    all += &head("pinwise_node_free_pages", "Pages of the node that no domain or tenant holds.");
    for node in host.nodes() {
        for pool in &node.pools {
            let (size, free) = (pool.size.kib(), usage.free_pages(host, node.id, pool.size));
            all += &format!(
                "pinwise_node_free_pages{{node=\"{}\",page_kib=\"{size}\"}} {free}\n",
                node.id
            );
        }
    }
    all
}

fn head(name: &str, help: &str) -> String {
    format!("# HELP {name} {help}\n# TYPE {name} gauge\n")
}

/// A value for a label.
fn label(text: &str) -> String {
    text.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n")
}
