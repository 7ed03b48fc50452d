//! Texts as people paste them: with colours and carriage returns, below a shell prompt, in a
//! Markdown fence.
//!
//! Tables need no more than [`plain`]: their readers skip lines that are not theirs. XML and JSON
//! are cut out of the lines around them by [`clean`].

use std::borrow::Cow;

/// The largest number of lines, not counting blank ones, above or below a pasted document. More
/// lines are a text of their own, such as a log of several commands.
const MAX_AROUND: usize = 4;

/// The text without what pasting puts around it: a byte order mark, escape sequences and carriage
/// returns; of XML and JSON, only the document.
#[must_use]
pub fn clean(text: &str) -> Cow<'_, str> {
    match plain(text.trim_start_matches('\u{feff}')) {
        Cow::Borrowed(plain) => Cow::Borrowed(document(plain)),
        Cow::Owned(plain) => match document(&plain) {
            whole if whole.len() == plain.len() => Cow::Owned(plain),
            part => Cow::Owned(part.to_owned()),
        },
    }
}

/// The text without escape sequences and carriage returns.
pub(crate) fn plain(text: &str) -> Cow<'_, str> {
    if text.contains(['\u{1b}', '\r']) {
        Cow::Owned(without_escapes(text))
    } else {
        Cow::Borrowed(text)
    }
}

/// The document of a text: XML from its first `<` to the end of its root element, or JSON from its
/// first `{` to its last `}`. The whole text if no line near its beginning begins with a tag or a
/// brace, or if much follows the document.
fn document(text: &str) -> &str {
    let Some(start) = start(text) else { return text };
    let document = &text[start..];
    let end = match root_element(document) {
        Some(root) => {
            let closing = format!("</{root}>");
            document.rfind(&closing).map(|at| at + closing.len())
        }
        None => document.rfind('}').map(|at| at + 1),
    };
    let Some(end) = end else { return document };
    let (document, below) = document.split_at(end);
    let mut filled = below.lines().map(str::trim).filter(|line| !line.is_empty());
    let is_own = filled.clone().any(|line| line.starts_with(['<', '{']));
    if is_own || filled.nth(MAX_AROUND).is_some() { &text[start..] } else { document }
}

/// The offset of the first line that begins with a tag or a brace.
fn start(text: &str) -> Option<usize> {
    let (mut at, mut above) = (0, 0);
    for line in text.split_inclusive('\n') {
        let rest = line.trim_start();
        if is_tag(rest) || rest.starts_with('{') {
            return Some(at + line.len() - rest.len());
        }
        above += usize::from(!rest.is_empty());
        if above > MAX_AROUND {
            return None;
        }
        at += line.len();
    }
    None
}

/// Whether a line begins with a tag, a declaration or a comment.
fn is_tag(line: &str) -> bool {
    let begins = |c: char| c.is_ascii_alphabetic() || matches!(c, '!' | '?');
    line.strip_prefix('<').is_some_and(|rest| rest.starts_with(begins))
}

/// The name of the root element, after the declaration, the DTD and comments; `None` if the text is
/// not XML.
pub(crate) fn root_element(text: &str) -> Option<&str> {
    let mut rest = text.trim_start();
    while let Some(inside) = rest.strip_prefix('<') {
        let end = match inside {
            _ if inside.starts_with("!--") => "-->",
            _ if inside.starts_with(['?', '!']) => ">",
            _ => return inside.split(|c: char| c.is_whitespace() || "/>".contains(c)).next(),
        };
        rest = inside.split_once(end)?.1.trim_start();
    }
    None
}

/// The text without escape sequences such as those for colours (`ESC [ … m`), and without carriage
/// returns.
fn without_escapes(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\r' => {}
            '\u{1b}' if chars.next_if_eq(&'[').is_some() => {
                // Parameters, then one final letter; the end of a line means that the sequence was
                // incomplete.
                while chars.next_if(|c| matches!(c, '\u{20}'..='\u{3f}')).is_some() {}
                chars.next_if(|c| matches!(c, '\u{40}'..='\u{7e}'));
            }
            // The title of a window, up to a bell.
            '\u{1b}' if chars.next_if_eq(&']').is_some() => {
                while chars.next_if(|c| !matches!(c, '\u{7}' | '\u{1b}' | '\n')).is_some() {}
                chars.next_if_eq(&'\u{7}');
            }
            '\u{1b}' => {}
            c => plain.push(c),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_cut_out_of_the_lines_around_them() {
        let xml = "<?xml version='1.0'?>\n<a b='c'>\n  <d/>\n</a>";
        let json = "{\n  \"a\": {\"b\": 1}\n}";
        for (above, below) in [
            ("", "\n"),
            ("\u{feff}", ""),
            ("root@host:~# virsh capabilities\r\n", "\r\nroot@host:~# \r\n"),
            ("Title\n\n```xml\n", "\n```\n"),
            (
                "\u{1b}]0;title\u{7}\u{1b}[32muser@host\u{1b}[0m:~> lstopo --of xml\n  ",
                "\nuser@host:~> ",
            ),
        ] {
            for document in [xml, json] {
                let text = format!("{above}{document}{below}");
                assert_eq!(clean(&text), document, "{above:?} {below:?}");
            }
        }
    }

    #[test]
    fn what_is_no_pasted_document_stays() {
        for text in [
            "{\n<a>\n</a>\n}",
            "{}\n{}",
            "1\n2\n3\n4\n5\n{}",
            "a < b\n<\n<5\n",
            "1\n2\n3\n4\n5\n<a></a>",
            "<a></a>\n<b></b>",
            "<a></a>\n1\n2\n3\n4\n5\n",
            "<a",
            "",
        ] {
            assert_eq!(clean(text), text);
        }
    }
}
