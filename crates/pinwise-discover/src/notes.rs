//! What a reader left out or replaced.

/// A source with more to say than this is broken in one way many times.
const MAX_NOTES: usize = 64;

/// What was left out or replaced: a sentence each, the first of them in full.
#[derive(Default)]
pub(super) struct Notes {
    sentences: Vec<String>,
    more: usize,
}

impl Notes {
    pub(super) fn add(&mut self, sentence: String) {
        if self.sentences.len() < MAX_NOTES {
            self.sentences.push(sentence);
        } else {
            self.more += 1;
        }
    }

    pub(super) fn into_sentences(mut self) -> Vec<String> {
        if self.more > 0 {
            self.sentences.push(format!("and {} more notes", self.more));
        }
        self.sentences
    }
}
