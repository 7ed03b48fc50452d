//! Foreign texts, as they are shown.

/// Text that can be shown on a terminal.
#[cfg(any(feature = "sysfs", feature = "libvirt-xml", feature = "nvml"))]
pub(crate) fn plain(text: &str) -> String {
    let clean: String = text.trim().chars().filter(|c| !c.is_control()).take(128).collect();
    clean.trim_end().to_owned()
}

/// Whether a text is a name that a person would give a machine.
#[cfg(any(feature = "sysfs", feature = "libvirt-xml"))]
pub(crate) fn is_word(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
}

/// The beginning of a foreign text for a message, without what could drive a terminal.
pub(crate) fn shorten(text: &str, most: usize) -> String {
    let plain = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    let mut shown: String = text.chars().take(most).map(plain).collect();
    if text.chars().nth(most).is_some() {
        shown.push('…');
    }
    shown
}
