//! Splices: the user's text with some of its elements replaced, laid out as their neighbours are.

use std::ops::Range;

use roxmltree::Node;

use pinwise::emit::xml::{Element, Layout};

/// A document's text, and what is to change in it.
pub(super) struct EditedText<'a> {
    text: &'a str,
    layout: Layout,
    edits: Vec<(Range<usize>, String)>,
}

impl<'a> EditedText<'a> {
    /// Reads line ends and indentation off the children of `root`.
    pub(super) fn new(text: &'a str, root: Node<'_, '_>) -> Self {
        let mut source = Self { text, layout: Layout::default(), edits: Vec::new() };
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

    /// The source of a range.
    pub(super) fn text(&self, range: Range<usize>) -> &'a str {
        &self.text[range]
    }

    /// The text with all edits in it.
    pub(super) fn finish(mut self) -> String {
        // Stable, so that what is inserted at one place keeps its order; an insertion is empty and
        // so comes before a removal that starts where it is.
        self.edits.sort_by_key(|(range, _)| (range.start, range.end));
        let mut out = String::with_capacity(self.text.len() + 4096);
        let mut at = 0;
        for (range, text) in &self.edits {
            out.push_str(&self.text[at..range.start]);
            out.push_str(text);
            at = range.end;
        }
        out + &self.text[at..]
    }

    /// What stands before the element on its line, if that is nothing but blanks.
    fn indent(&self, node: Node<'_, '_>) -> &'a str {
        let before = &self.text[..node.range().start];
        let line = &before[before.rfind('\n').map_or(0, |at| at + 1)..];
        if line.trim_matches([' ', '\t']).is_empty() { line } else { "" }
    }

    fn render(&self, elements: &[Element], indent: &str) -> Vec<String> {
        elements.iter().map(|element| element.render(&self.layout, indent)).collect()
    }

    /// The elements, each on a line of its own after the one before.
    fn lines(&self, elements: &[Element], indent: &str) -> String {
        let line = self.layout.line(indent);
        self.render(elements, indent).iter().map(|text| format!("{line}{text}")).collect()
    }

    /// Puts `text` in the place of a range.
    pub(super) fn splice(&mut self, range: Range<usize>, text: String) {
        self.edits.push((range, text));
    }

    /// Puts elements in the place of one.
    pub(super) fn replace(&mut self, node: Node<'_, '_>, elements: &[Element]) {
        let indent = self.indent(node);
        let line = self.layout.line(indent);
        let text = self.render(elements, indent).join(&line);
        self.splice(node.range(), text);
    }

    /// Takes an element out, and the line that it leaves empty.
    pub(super) fn remove(&mut self, node: Node<'_, '_>) {
        let mut range = node.range();
        let before = self.text[..range.start].trim_end_matches([' ', '\t']);
        if let Some(before) = before.strip_suffix('\n') {
            range.start = before.strip_suffix('\r').unwrap_or(before).len();
        }
        self.splice(range, String::new());
    }

    /// Puts elements after one, and after the comments that end its line.
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

    /// Puts elements after the last one inside `parent`.
    pub(super) fn insert_last(&mut self, parent: Node<'_, '_>, elements: &[Element]) {
        if let Some(last) = parent.last_element_child() {
            self.insert_after(last, elements);
        } else {
            self.insert_first(parent, elements);
        }
    }

    /// Puts elements before all else inside `parent`.
    pub(super) fn insert_first(&mut self, parent: Node<'_, '_>, elements: &[Element]) {
        let outer = self.indent(parent);
        let text = self.lines(elements, &format!("{outer}{}", self.layout.step));
        let end = self.start_tag_end(parent);
        if parent.has_children() {
            self.splice(end..end, text);
            return;
        }
        // Nothing is in it, so its end tag needs a line of its own; or an end tag to begin with.
        let line = self.layout.line(outer);
        let (range, open, close) = if self.text[..end].ends_with("/>") {
            let tag = self.text[parent.range().start + 1..end - 2].split_whitespace().next();
            (end - 2..end, ">", format!("{line}</{}>", tag.unwrap_or_default()))
        } else {
            (end..end, "", line)
        };
        // Others may have been put into it before.
        match self.edits.iter_mut().find(|(at, before)| *at == range && before.ends_with(&close)) {
            Some((_, before)) => before.insert_str(before.len() - close.len(), &text),
            None => self.splice(range, format!("{open}{text}{close}")),
        }
    }

    /// Where the start tag ends. A `>` inside an attribute does not end it.
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

    /// Puts `elements` inside `parent` where the first of `owned` is, and takes the others of
    /// `owned` out; at the end of `parent` where there is none.
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
