//! XML output: elements as data, escaped and laid out in one place.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Whether XML 1.0 can carry the character, escaped or not.
pub const fn is_legal(c: char) -> bool {
    !matches!(c, '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}')
}

/// The text as written between tags, or in an attribute with either kind of quotes.
///
/// Tab, line feed and carriage return become references too: a parser would turn them into spaces
/// in an attribute, and a carriage return into a line feed everywhere. The caller has checked
/// [`is_legal`].
pub fn escape(text: &str) -> Cow<'_, str> {
    let special = |c| matches!(c, '&' | '<' | '>' | '"' | '\'' | '\t' | '\n' | '\r');
    if !text.contains(special) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            '\t' => out.push_str("&#9;"),
            '\n' => out.push_str("&#10;"),
            '\r' => out.push_str("&#13;"),
            _ => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// The layout of elements, to match the text around them.
#[derive(Debug, Clone)]
pub struct Layout {
    /// The end of a line; empty if everything is on one line.
    pub newline: &'static str,
    /// The indentation that one level adds.
    pub step: String,
}

impl Default for Layout {
    fn default() -> Self {
        Self { newline: "\n", step: "  ".to_owned() }
    }
}

impl Layout {
    /// The end of a line and the beginning of the next.
    pub fn line(&self, indent: &str) -> String {
        if self.newline.is_empty() { String::new() } else { format!("{}{indent}", self.newline) }
    }
}

/// An element with children or a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Element {
    name: String,
    /// The attributes, each escaped and preceded by a space.
    attributes: String,
    text: String,
    children: Vec<Self>,
}

impl Element {
    /// An element without attributes and children.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let name = name.to_owned();
        Self { name, attributes: String::new(), text: String::new(), children: Vec::new() }
    }

    /// Adds an attribute; its value is escaped.
    #[must_use]
    pub fn attr(mut self, name: &str, value: impl ToString) -> Self {
        let value = value.to_string();
        // Writing to a String cannot fail.
        let _ = write!(self.attributes, " {name}='{}'", escape(&value));
        self
    }

    /// Adds an attribute copied from another document, quotes included.
    #[must_use]
    pub fn raw_attr(mut self, source: &str) -> Self {
        self.attributes.push(' ');
        self.attributes.push_str(source);
        self
    }

    /// Sets the text, escaped.
    #[must_use]
    pub fn text(mut self, text: impl ToString) -> Self {
        self.text = escape(&text.to_string()).into_owned();
        self
    }

    /// Adds a child.
    #[must_use]
    pub fn child(mut self, child: Self) -> Self {
        self.children.push(child);
        self
    }

    /// Adds children.
    #[must_use]
    pub fn children(mut self, children: impl IntoIterator<Item = Self>) -> Self {
        self.children.extend(children);
        self
    }

    /// The name of the element.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The children without the element.
    #[must_use]
    pub fn into_children(self) -> Vec<Self> {
        self.children
    }

    /// The element as text; its first line continues the caller's, its further lines start at
    /// `indent`.
    pub fn render(&self, layout: &Layout, indent: &str) -> String {
        let mut out = String::new();
        self.write(layout, indent, &mut out);
        out
    }

    fn write(&self, layout: &Layout, indent: &str, out: &mut String) {
        let Self { name, attributes, text, children } = self;
        let _ = write!(out, "<{name}{attributes}");
        if text.is_empty() && children.is_empty() {
            out.push_str("/>");
            return;
        }
        out.push('>');
        out.push_str(text);
        let inner = format!("{indent}{}", layout.step);
        for child in children {
            out.push_str(&layout.line(&inner));
            child.write(layout, &inner, out);
        }
        if !children.is_empty() {
            out.push_str(&layout.line(indent));
        }
        let _ = write!(out, "</{name}>");
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_escaped_reads_as_it_was(text in any::<String>(), tail in "[\\]>&<'\"\t\r\n]{0,8}") {
            let text: String = text.chars().filter(|c| is_legal(*c)).chain(tail.chars()).collect();
            let element = Element::new("a").attr("b", &text).child(Element::new("c").text(&text));
            let xml = element.render(&Layout::default(), "");
            let parsed = roxmltree::Document::parse(&xml).unwrap();
            let root = parsed.root_element();
            prop_assert_eq!(root.attribute("b"), Some(text.as_str()));
            prop_assert_eq!(root.first_element_child().unwrap().text().unwrap_or(""), text.as_str());
        }
    }
}
