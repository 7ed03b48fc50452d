//! From a request to XML and back, on hosts of at most eight pCPUs: whatever the bytes choose, the
//! answer is legal, its XML is what it claims, and what is said of it can be shown.

use pinwise::changes::smallest_changes;
use pinwise::explain::{explain_advice, explain_refusal};
use pinwise::rebalance::rebalance;
use pinwise::verify::verify_warnings;
use pinwise::{
    Host, Infeasible, Placement, Question, Ranked, Recommendation, Usage, emit, explain, verify,
};
use pinwise_discover::libvirt::read_domain;
use roxmltree::Document;

use super::{Outcome, lot};
use crate::case::{Built, Case};
use crate::claims::{in_xml, without_shares};
use crate::rng::Rng;
use crate::tiny;

/// Names that a request may have and that XML, a shell or a terminal could misread.
const NAMES: [&str; 12] = [
    "a'b\"c",
    "]]>",
    "<domain>&amp;",
    "--><!--",
    "$(reboot)",
    "`id`; rm -rf ~ | tee && :",
    "%s%n\\0",
    " vm ",
    " ",
    "\u{202e}mv",
    "\u{fffe}",
    "機\u{301}𝟙",
];

/// Draws a host, tenants, a request and options, and asks.
pub fn answer(bytes: &[u8]) -> Outcome {
    let mut rng = Rng::of(bytes);
    let mut case = tiny::drawn(&mut rng);
    if rng.percent(20) {
        case.request.name = rng.pick(&NAMES).to_owned();
    }
    case.options.all = rng.percent(20);
    let built = case.build().unwrap();
    match built.recommend(&case.options) {
        Ok(answer) => placed(&case, &built, &answer, lot(bytes)),
        Err(refusal) => not_placed(&case, &built, &refusal, lot(bytes)),
    }
}

/// Lines of something that may be shown.
fn shown(text: &str) {
    let odd = |c: char| c.is_control() && c != '\n';
    assert!(!text.is_empty() && !text.contains(odd), "{text:?}");
}

fn placed(case: &Case, built: &Built, answer: &Recommendation, lot: usize) -> Outcome {
    let Built { host, usage, request } = built;
    shown(&explain(Question::new(host, usage, request).with(&case.options), answer));
    let json = pinwise::json::recommendation(Question::new(host, usage, request), answer);
    assert!(serde_json::from_str::<serde_json::Value>(&json).is_ok(), "{json}");
    for ranked in &answer.ranked {
        let Ranked { placement, .. } = ranked;
        let warnings = ranked.warnings(Question::new(host, usage, request));
        assert_eq!(
            verify(Question::new(host, usage, request), placement),
            Ok(()),
            "{}",
            case.text()
        );
        let told = verify_warnings(Question::new(host, usage, request), placement, &warnings);
        assert_eq!(told, Ok(()), "{}", case.text());
        let mut after = usage.clone();
        after.claim(host, &format!("{}'", placement.name), placement.claim()).unwrap();
        back(host, placement);
    }
    // The rest takes longer.
    if lot.is_multiple_of(16) {
        let best = &answer.best().placement;
        let mut after = usage.clone();
        let taken = usage.tenants().any(|(name, _)| name == best.name);
        let accepted = after.accept(host, &Question::new(host, usage, request).offer(best));
        assert!(accepted.is_ok() || taken, "{accepted:?}\n{}", case.text());
    }
    Outcome::Read
}

/// XML that is read as what it was written from.
fn back(host: &Host, placement: &Placement) {
    let xml = match emit::libvirt::domain(placement) {
        Ok(xml) => xml,
        // A request may be named what no domain can be.
        Err(emit::libvirt::EmitError::Name { .. }) => {
            assert!(placement.name.trim().is_empty() || placement.name.contains('\u{fffe}'));
            assert!(emit::libvirt::fragments(placement).is_err());
            return;
        }
        Err(error) => panic!("{error}: {placement:?}"),
    };
    let document = Document::parse(&xml).unwrap();
    let name = document.descendants().find(|node| node.has_tag_name("name")).unwrap();
    assert_eq!(name.text(), Some(placement.name.as_str()), "{xml}");
    let parts = emit::libvirt::fragments(placement).unwrap();
    Document::parse(&format!("<domain>{parts}</domain>")).unwrap();
    let domain = read_domain(host, &xml).unwrap();
    assert_eq!(domain.name, placement.name, "{xml}");
    let expected = in_xml(placement, host);
    if placement.cells.iter().any(|cell| cell.nodes.len() > 1) {
        assert_eq!(without_shares(domain.claim), without_shares(expected), "{xml}");
    } else {
        assert_eq!(domain.claim, expected, "{xml}");
    }
    let patched = pinwise_discover::libvirt::patch(placement, &xml).unwrap();
    assert_eq!(pinwise_discover::libvirt::patch(placement, &patched).unwrap(), patched);
    assert_eq!(read_domain(host, &patched).unwrap().claim, read_domain(host, &xml).unwrap().claim);
}

fn not_placed(case: &Case, built: &Built, refusal: &Infeasible, lot: usize) -> Outcome {
    let Built { host, usage, request } = built;
    assert!(refusal.rejected.iter().all(|rejection| !rejection.facts.is_empty()), "{refusal:?}");
    let changes = match lot % 8 {
        0 => Some(smallest_changes(Question::new(host, usage, request).with(&case.options))),
        _ => None,
    };
    let text = explain_refusal(host, request, refusal, changes.as_deref());
    shown(&text);
    let json = pinwise::json::refusal(refusal, changes.as_deref().unwrap_or(&[]));
    assert!(serde_json::from_str::<serde_json::Value>(&json).is_ok(), "{json}");
    if lot.is_multiple_of(64)
        && let Ok(advice) = rebalance(Question::new(host, usage, request).with(&case.options), &[])
    {
        shown(&explain_advice(host, &advice));
        let after: Usage = advice.after(host, usage).unwrap();
        assert_eq!(
            verify(Question::new(host, &after, request), &advice.placement),
            Ok(()),
            "{}",
            case.text()
        );
    }
    Outcome::Refused(text.lines().next().unwrap_or_default().to_owned())
}
