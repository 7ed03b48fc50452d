//! What a patch changes in a domain, as text and as a diff.

use std::path::Path;

use pinwise_discover::libvirt::PatchedDomain;
use similar::TextDiff;

/// The changes, one a line.
pub(super) fn listed(patched: &PatchedDomain) -> String {
    if patched.changes.is_empty() {
        return "The domain says this already: nothing is changed.\n".to_owned();
    }
    let mut text = "Changes to the domain:\n".to_owned();
    for change in &patched.changes {
        text.push_str(&format!("  {change}\n"));
    }
    text
}

/// The patch as a unified diff with three lines of context; empty if nothing changes.
pub(super) fn diff(file: &Path, before: &str, patched: &PatchedDomain) -> String {
    let name = file.display().to_string();
    let diff = TextDiff::from_lines(before, &patched.xml);
    diff.unified_diff().context_radius(3).header(&name, &name).to_string()
}
