//! Answers of `pinwise recommend` in the requested form.

use pinwise::changes::Change;
use pinwise::explain::{explain_advice, explain_refusal};
use pinwise::rebalance::rebalance;
use pinwise::{Infeasible, Placement, Question, Recommendation, emit, explain, json};

use super::args::Format;
use crate::outcome::{Failure, Outcome, sentence};

/// The first line of a text about the embedded host.
const EMBEDDED: &str = "Host: the embedded fixture hgx-h200-snc2 (synthetic). For this machine: \
                        --host live; for another: --host FILE|DIR.\n\n";

/// The input for printing an answer.
pub(super) struct Printer<'a> {
    pub(super) format: Format,
    pub(super) question: Question<'a>,
    /// Whether the host is the embedded one.
    pub(super) embedded: bool,
    /// Conflicts between the host's sources, one sentence each.
    pub(super) conflicts: &'a [String],
    /// Notes of the readers, one sentence each.
    pub(super) notes: &'a [String],
    /// The XML of the domain to patch; without it, fragments are printed.
    pub(super) domain: Option<&'a str>,
}

impl Printer<'_> {
    /// A recommendation.
    pub(super) fn recommended(&self, answer: &Recommendation) -> Result<Outcome, Failure> {
        let placement = &answer.best().placement;
        Ok(Outcome::done(match self.format {
            Format::Json => {
                let Self { question, conflicts, notes, .. } = *self;
                json::recommendation_on(question, conflicts, notes, answer) + "\n"
            }
            Format::Xml => {
                let xml = self.xml(placement)?;
                // XML has no place for warnings.
                let warnings = answer.best().warnings(self.question);
                warnings.iter().for_each(|warning| eprintln!("Warning: {warning}."));
                xml
            }
            Format::Text => {
                let embedded = if self.embedded { EMBEDDED } else { "" };
                let conflicts: String =
                    self.conflicts.iter().map(|one| format!("Conflict: {one}.\n")).collect();
                let text = explain(self.question, answer);
                let xml = self.xml(placement)?;
                [embedded, &conflicts, &self.notes(), &text, "\n", &xml].concat()
            }
        }))
    }

    /// A refusal of every style, with the smallest changes after which the VM would fit and, as
    /// text, the tenants whose moves would make room.
    pub(super) fn refused(&self, refusal: &Infeasible, changes: &[Change]) -> Outcome {
        let Question { host, request, .. } = self.question;
        self.nothing_fits(match self.format {
            Format::Json => json::refusal(refusal, changes) + "\n",
            Format::Text | Format::Xml => {
                let text = explain_refusal(host, request, refusal, Some(changes));
                // The requests of the tenants are unknown here, so none of them can be placed
                // again.
                let advice = rebalance(self.question, &[]);
                let advice = advice.map_or_else(|_| String::new(), |a| explain_advice(host, &a));
                self.notes() + &text + &advice
            }
        })
    }

    /// A refusal of the one requested style. Others fit, so changes are not searched for.
    pub(super) fn style_refused(&self, refusal: &Infeasible) -> Outcome {
        let Question { host, request, .. } = self.question;
        self.nothing_fits(match self.format {
            Format::Json => json::refusal(refusal, &[]) + "\n",
            Format::Text | Format::Xml => {
                self.notes() + &explain_refusal(host, request, refusal, None)
            }
        })
    }

    /// XML is for other programs: a refusal is not XML, so it goes to standard error.
    fn nothing_fits(&self, text: String) -> Outcome {
        if self.format == Format::Xml {
            eprint!("{text}");
            return Outcome::nothing_fits(String::new());
        }
        Outcome::nothing_fits(text)
    }

    fn notes(&self) -> String {
        self.notes.iter().map(|note| format!("Note: {note}.\n")).collect()
    }

    fn xml(&self, placement: &Placement) -> Result<String, Failure> {
        match self.domain {
            Some(domain) => {
                let patched = pinwise_discover::libvirt::patch(placement, domain);
                Ok(patched.map_err(|e| format!("--domain: {}", sentence(&e)))?)
            }
            None => Ok(emit::libvirt::fragments(placement)?),
        }
    }
}
