//! Answers of `pinwise recommend` in the requested form.

use std::path::Path;

use pinwise::changes::Change;
use pinwise::explain::{explain_advice, explain_refusal};
use pinwise::rebalance::rebalance;
use pinwise::{Infeasible, PciAddr, Placement, Question, Recommendation, emit, explain, json};
use pinwise_discover::libvirt::{PatchOptions, PatchedDomain, patch_with};

use super::args::Format;
use super::changes;
use crate::outcome::{Failure, Outcome, sentence};
use crate::said::{aside, is_quiet};

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
    /// The domain to patch, by its path and XML; without it, fragments are printed.
    pub(super) domain: Option<(&'a Path, &'a str)>,
    /// What is asked for, if the domain is the request.
    pub(super) asked: Option<&'a str>,
    /// Host devices that the domain gives back.
    pub(super) removed: &'a [PciAddr],
    /// Whether the patch is printed as a diff.
    pub(super) diff: bool,
}

impl Printer<'_> {
    /// A recommendation.
    pub(super) fn recommended(&self, answer: &Recommendation) -> Result<Outcome, Failure> {
        let Self { question, conflicts, notes, .. } = *self;
        let patched = self.patched(&answer.best().placement)?;
        Ok(Outcome::done(match self.format {
            Format::Json => {
                let text = match &patched {
                    Some(PatchedDomain { changes, .. }) => {
                        json::recommendation_for_domain(question, conflicts, notes, answer, changes)
                    }
                    None => json::recommendation_on(question, conflicts, notes, answer),
                };
                text + "\n"
            }
            Format::Xml => {
                // XML has no place for warnings.
                for warning in answer.best().warnings(question) {
                    aside(format_args!("Warning: {warning}."));
                }
                self.xml(answer, patched.as_ref())?
            }
            Format::Text => {
                let embedded = if self.embedded { EMBEDDED } else { "" };
                let conflicts: String =
                    conflicts.iter().map(|one| format!("Conflict: {one}.\n")).collect();
                let text = explain(question, answer);
                let changes = patched.as_ref().map(|patched| changes::listed(patched) + "\n");
                let changes = changes.unwrap_or_default();
                let xml = self.xml(answer, patched.as_ref())?;
                [embedded, &conflicts, &self.notes(), &text, "\n", &changes, &xml].concat()
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

    /// What a domain asks for, and the notes.
    fn notes(&self) -> String {
        if is_quiet() {
            return String::new();
        }
        let asked = self.asked.iter().map(|asked| format!("Asked for: {asked}.\n"));
        asked.chain(self.notes.iter().map(|note| format!("Note: {note}.\n"))).collect()
    }

    /// The domain with the placement in it, if there is one to patch.
    fn patched(&self, placement: &Placement) -> Result<Option<PatchedDomain>, Failure> {
        let Some((_, domain)) = self.domain else { return Ok(None) };
        let options = PatchOptions::new(self.question, self.removed);
        let patched = patch_with(placement, domain, options);
        Ok(Some(patched.map_err(|e| format!("--domain: {}", sentence(&e)))?))
    }

    fn xml(
        &self,
        answer: &Recommendation,
        patched: Option<&PatchedDomain>,
    ) -> Result<String, Failure> {
        Ok(match (self.domain, patched) {
            (Some((file, before)), Some(patched)) if self.diff => {
                changes::diff(file, before, patched)
            }
            (_, Some(patched)) => patched.xml.clone(),
            (_, None) => emit::libvirt::fragments(&answer.best().placement)?,
        })
    }
}
