//! Foreign texts, prepared for messages.

/// The text without characters that control a terminal.
pub fn plain(text: &str) -> String {
    let clean: String = text.trim().chars().filter(|c| !c.is_control()).take(128).collect();
    clean.trim_end().to_owned()
}

/// Whether the text looks like a name that a person would give a machine.
pub fn is_word(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
}

/// The beginning of a foreign text for a message: at most `most` bytes, without invisible
/// characters or any that could control a terminal (quoting would turn each into eight characters).
pub fn shorten(text: &str, most: usize) -> String {
    let hidden = |c: char| c.is_control() || c.escape_debug().len() > 2;
    let mut shown = String::new();
    for c in text.chars() {
        let c = if hidden(c) { '\u{fffd}' } else { c };
        if shown.len() + c.len_utf8() > most {
            shown.push('…');
            break;
        }
        shown.push(c);
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::shorten;

    #[test]
    fn what_is_shown_is_bounded_and_visible() {
        assert_eq!(shorten("abc", 3), "abc");
        assert_eq!(shorten("abcd", 3), "abc…");
        assert_eq!(shorten("a\u{1b}\u{202e}\n\u{feff}z", 60), "a\u{fffd}\u{fffd}\u{fffd}\u{fffd}z");
        // Found by breaking texts: counted in characters, a hundred of these filled a page.
        assert!(format!("{:?}", shorten(&"\u{feff}".repeat(1000), 60)).len() < 70);
        assert_eq!(shorten("ü𝟙", 2), "ü…");
    }
}
