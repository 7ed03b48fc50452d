//! Edits of the user's text: elements are replaced, added and removed, with the layout of their
//! neighbours.

use std::ops::Range;

use roxmltree::Node;

use pinwise::emit::DomainChange;
use pinwise::emit::xml::{Element, Layout, escape};

/// The text of a document, and the edits to make in it.
pub(super) struct EditedText<'a> {
    text: &'a str,
    layout: Layout,
    edits: Vec<(Range<usize>, String)>,
    /// The changes so far, for the person who applies them.
    changes: Vec<DomainChange>,
}

impl<'a> EditedText<'a> {
    /// A text without edits. Line ends and indentation are taken from the children of `root`.
    pub(super) fn new(text: &'a str, root: Node<'_, '_>) -> Self {
        let (edits, changes) = (Vec::new(), Vec::new());
        let mut source = Self { text, layout: Layout::default(), edits, changes };
        if let Some(child) = root.first_element_child() {
            let before = &text[..child.range().start];
            let line = before.trim_end_matches([' ', '\t']);
            source.layout.newline = match line {
                _ if line.ends_with("\r\n") => "\r\n",
                _ if line.ends_with('\n') => "\n",
                _ => "",
            };
            let step = source.indent(child).strip_prefix(source.indent(root)).unwrap_or("");
            if !step.is_empty() {
                source.layout.step = step.to_owned();
            }
        }
        source
    }

    /// The text in a range.
    pub(super) fn text(&self, range: Range<usize>) -> &'a str {
        &self.text[range]
    }

    /// Records a change; the edits that make it are separate.
    pub(super) fn changed(
        &mut self,
        part: impl Into<String>,
        before: Option<String>,
        after: Option<String>,
        why: impl Into<String>,
    ) {
        self.changes.push(DomainChange::new(part, before, after, why));
    }

    /// The text with all edits made, and the changes.
    pub(super) fn finish(mut self) -> (String, Vec<DomainChange>) {
        // A stable sort: insertions at one place keep their order. The range of an insertion is
        // empty, so it comes before a removal that starts at the same place.
        self.edits.sort_by_key(|(range, _)| (range.start, range.end));
        let mut out = String::with_capacity(self.text.len() + 4096);
        let mut at = 0;
        for (range, text) in &self.edits {
            out.push_str(&self.text[at..range.start]);
            out.push_str(text);
            at = range.end;
        }
        out += &self.text[at..];
        (out, self.changes)
    }

    /// The blanks before the element on its line; empty if something else stands before it.
    fn indent(&self, node: Node<'_, '_>) -> &'a str {
        let before = &self.text[..node.range().start];
        let line = &before[before.rfind('\n').map_or(0, |at| at + 1)..];
        if line.trim_matches([' ', '\t']).is_empty() { line } else { "" }
    }

    fn render(&self, elements: &[Element], indent: &str) -> Vec<String> {
        elements.iter().map(|element| element.render(&self.layout, indent)).collect()
    }

    /// The elements as text, each preceded by a line end and its indentation.
    fn lines(&self, elements: &[Element], indent: &str) -> String {
        let line = self.layout.line(indent);
        self.render(elements, indent).iter().map(|text| format!("{line}{text}")).collect()
    }

    /// Replaces a range by `text`.
    pub(super) fn splice(&mut self, range: Range<usize>, text: String) {
        self.edits.push((range, text));
    }

    /// Sets an attribute: only its value changes if the element has it already.
    pub(super) fn set_attribute(&mut self, node: Node<'_, '_>, name: &str, value: &str) {
        let value = escape(value);
        match node.attribute_node(name) {
            Some(attribute) => self.splice(attribute.range_value(), value.into_owned()),
            None => {
                let tag = &self.text[node.range().start + 1..];
                let end = |c: char| c.is_whitespace() || c == '/' || c == '>';
                let at = node.range().start + 1 + tag.find(end).unwrap_or(tag.len());
                self.splice(at..at, format!(" {name}='{value}'"));
            }
        }
    }

    /// Removes an attribute and the blanks before it.
    pub(super) fn remove_attribute(&mut self, node: Node<'_, '_>, name: &str) {
        if let Some(attribute) = node.attribute_node(name) {
            let range = attribute.range();
            let start = self.text[..range.start].trim_end().len();
            self.splice(start..range.end, String::new());
        }
    }

    /// Replaces the text of an element that has nothing else inside.
    pub(super) fn set_text(&mut self, node: Node<'_, '_>, text: &str) {
        let text = escape(text).into_owned();
        let mut inside = node.children();
        match (inside.next(), inside.next()) {
            (Some(only), None) if only.is_text() => self.splice(only.range(), text),
            _ => {
                let start = self.start_tag_end(node);
                let end = self.text[..node.range().end].rfind("</").unwrap_or(start);
                match start <= end {
                    true => self.splice(start..end, text),
                    false => {
                        let element = Element::new(node.tag_name().name()).text(text);
                        self.replace(node, &[element]);
                    }
                }
            }
        }
    }

    /// Replaces an element by others.
    pub(super) fn replace(&mut self, node: Node<'_, '_>, elements: &[Element]) {
        let indent = self.indent(node);
        let line = self.layout.line(indent);
        let text = self.render(elements, indent).join(&line);
        self.splice(node.range(), text);
    }

    /// Removes an element, and its line if that becomes empty.
    pub(super) fn remove(&mut self, node: Node<'_, '_>) {
        let mut range = node.range();
        let before = self.text[..range.start].trim_end_matches([' ', '\t']);
        if let Some(before) = before.strip_suffix('\n') {
            range.start = before.strip_suffix('\r').unwrap_or(before).len();
        }
        self.splice(range, String::new());
    }

    /// Inserts elements after an element and the comments that end its line.
    pub(super) fn insert_after(&mut self, node: Node<'_, '_>, elements: &[Element]) {
        let mut end = node.range().end;
        for sibling in node.next_siblings().skip(1) {
            let text = &self.text[sibling.range()];
            if sibling.is_comment() && !text.contains('\n') {
                end = sibling.range().end;
            } else if !sibling.is_text() || text.contains('\n') {
                break;
            }
        }
        let text = self.lines(elements, self.indent(node));
        self.splice(end..end, text);
    }

    /// Inserts elements after the last element inside `parent`.
    pub(super) fn insert_last(&mut self, parent: Node<'_, '_>, elements: &[Element]) {
        if let Some(last) = parent.last_element_child() {
            self.insert_after(last, elements);
        } else {
            self.insert_first(parent, elements);
        }
    }

    /// Inserts elements before everything else inside `parent`.
    pub(super) fn insert_first(&mut self, parent: Node<'_, '_>, elements: &[Element]) {
        let outer = self.indent(parent);
        let text = self.lines(elements, &format!("{outer}{}", self.layout.step));
        let end = self.start_tag_end(parent);
        if parent.has_children() {
            self.splice(end..end, text);
            return;
        }
        // An empty element needs an end tag on a line of its own, and has none yet if it is `<a/>`.
        let line = self.layout.line(outer);
        let (range, open, close) = if self.text[..end].ends_with("/>") {
            let tag = self.text[parent.range().start + 1..end - 2].split_whitespace().next();
            (end - 2..end, ">", format!("{line}</{}>", tag.unwrap_or_default()))
        } else {
            (end..end, "", line)
        };
        // If an earlier insertion has opened it, the elements go before its end tag.
        match self.edits.iter_mut().find(|(at, before)| *at == range && before.ends_with(&close)) {
            Some((_, before)) => before.insert_str(before.len() - close.len(), &text),
            None => self.splice(range, format!("{open}{text}{close}")),
        }
    }

    /// The end of the start tag. A `>` inside an attribute does not end it.
    fn start_tag_end(&self, node: Node<'_, '_>) -> usize {
        let range = node.range();
        let mut quote = None;
        for (at, c) in self.text[range.clone()].char_indices() {
            match quote {
                Some(open) if c == open => quote = None,
                Some(_) => {}
                None if c == '"' || c == '\'' => quote = Some(c),
                None if c == '>' => return range.start + at + 1,
                None => {}
            }
        }
        range.end
    }

    /// Replaces the first of `owned` by `elements` and removes the others. If `owned` is empty,
    /// `elements` are inserted at the end of `parent`.
    pub(super) fn exchange(
        &mut self,
        parent: Node<'_, '_>,
        owned: &[Node<'_, '_>],
        elements: &[Element],
    ) {
        let (first, rest) = match owned.split_first() {
            Some((first, rest)) if !elements.is_empty() => (Some(first), rest),
            _ => (None, owned),
        };
        match first {
            Some(first) => self.replace(*first, elements),
            None if !elements.is_empty() => self.insert_last(parent, elements),
            None => {}
        }
        rest.iter().for_each(|node| self.remove(*node));
    }
}
