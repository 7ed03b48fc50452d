//! A ranking of hosts as a table or as lines of JSON. `names[n]` is the name of host n.

use pinwise::fleet::{FleetAnswer, HostRank, HostRefusal};
use serde_json::{Value, json};

use crate::outcome::Failure;

/// The ranked hosts as a table, with the number that fit; `fit` of them have a placement.
pub(super) fn table(names: &[String], answer: &FleetAnswer, fit: usize) -> String {
    let header = ["", "host", "style", "nodes", "GPUs", "score", "takes", "left"];
    let mut rows = vec![header.map(str::to_owned)];
    rows.extend(answer.ranked.iter().zip(1..).map(|(found, place)| row(names, found, place)));
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: Vec<usize> = (0..header.len()).map(|n| width(n).unwrap_or(0)).collect();
    let mut text = String::new();
    for row in &rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        text += cells.collect::<Vec<_>>().join("  ").trim_end();
        text.push('\n');
    }
    let short = answer.refused.iter().filter(|(_, why)| matches!(why, HostRefusal::Short(_)));
    text + &format!(
        "{fit} hosts fit and come first, {} more may fit, {} do not fit ({} by count alone).\n",
        answer.not_chosen.len(),
        answer.refused.len(),
        short.count()
    )
}

fn row(names: &[String], found: &HostRank, place: usize) -> [String; 8] {
    let HostRank { host, best, remaining, .. } = found;
    let placement = &best.placement;
    let gpus: Vec<String> = placement.gpus().map(|gpu| gpu.address.to_string()).collect();
    let price = best.cost.price();
    [
        place.to_string(),
        names[*host].clone(),
        placement.style.to_string(),
        placement.nodes().to_string(),
        gpus.join(" "),
        format!("{:+}", best.score.total / 1000),
        format!("{}.{:03} GPUs", price / 1000, price % 1000),
        format!("{} GPUs, {} pCPUs", remaining.gpus, remaining.pcpus),
    ]
}

/// One line of JSON per host: the ranked hosts with their best placement and its claim, then the
/// refused ones with the reason.
pub(super) fn lines(names: &[String], answer: &FleetAnswer) -> Result<String, Failure> {
    let ranked = answer.ranked.iter().zip(1..).map(|(found, place)| ranked(names, found, place));
    let refused = answer.refused.iter().map(|(host, why)| {
        let why = match why {
            HostRefusal::Short(short) => json!(short),
            HostRefusal::Infeasible(refusal) => json!({ "rejected": refusal.rejected }),
            // A kind of refusal that is newer than this program.
            _ => json!({ "other": "a kind of refusal that this program does not know" }),
        };
        json!({ "host": names[*host], "refused": why })
    });
    let mut text = String::new();
    for line in ranked.chain(refused) {
        text += &serde_json::to_string(&line)?;
        text.push('\n');
    }
    Ok(text)
}

fn ranked(names: &[String], found: &HostRank, place: usize) -> Value {
    let HostRank { host, best, remaining, .. } = found;
    let placement = &best.placement;
    let gpus: Vec<String> = placement.gpus().map(|gpu| gpu.address.to_string()).collect();
    json!({
        "host": names[*host], "place": place, "style": placement.style,
        "nodes": placement.nodes(), "gpus": gpus, "score": best.score,
        "cost": best.cost, "left": remaining, "claim": placement.claim(),
    })
}
