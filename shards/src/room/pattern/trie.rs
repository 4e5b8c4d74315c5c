//! Values by pattern, found by name: which of many patterns stand for this room (protocol §4).

use ahash::AHashMap;
use slab::Slab;
use smallvec::SmallVec;

use super::{Kind, Pattern, Steps, kind, separator};

/// Wildcard children of a node, one for each separator. The root alone has steps without one; they use `dot`, since
/// it has no others.
#[derive(Debug, Default)]
struct Wildcard {
    dot: Option<usize>,
    colon: Option<usize>,
}

impl Wildcard {
    fn child(&self, step: &str) -> Option<usize> {
        if separator(step) == Some(b':') { self.colon } else { self.dot }
    }

    fn child_mut(&mut self, step: &str) -> &mut Option<usize> {
        if separator(step) == Some(b':') { &mut self.colon } else { &mut self.dot }
    }

    fn is_empty(&self) -> bool {
        self.dot.is_none() && self.colon.is_none()
    }
}

#[derive(Debug)]
struct Node<T> {
    /// Reached by `**`, so that any further step of a name may stay here.
    spans: bool,
    value: Option<T>,
    literals: AHashMap<Box<str>, usize>,
    one: Wildcard,
    many: Wildcard,
}

impl<T> Node<T> {
    fn new(spans: bool) -> Self {
        Self {
            spans,
            value: None,
            literals: AHashMap::new(),
            one: Wildcard::default(),
            many: Wildcard::default(),
        }
    }

    /// The child for exactly this step of a pattern.
    fn child(&self, step: &str) -> Option<usize> {
        match kind(step) {
            Kind::Literal => self.literals.get(step).copied(),
            Kind::One => self.one.child(step),
            Kind::Many => self.many.child(step),
        }
    }

    fn link(&mut self, step: &str, child: usize) {
        match kind(step) {
            Kind::Literal => drop(self.literals.insert(step.into(), child)),
            Kind::One => *self.one.child_mut(step) = Some(child),
            Kind::Many => *self.many.child_mut(step) = Some(child),
        }
    }

    fn unlink(&mut self, step: &str) {
        match kind(step) {
            Kind::Literal => drop(self.literals.remove(step)),
            Kind::One => *self.one.child_mut(step) = None,
            Kind::Many => *self.many.child_mut(step) = None,
        }
    }

    fn is_empty(&self) -> bool {
        self.value.is_none() && self.literals.is_empty() && self.one.is_empty() && self.many.is_empty()
    }
}

/// Nodes that the steps of a name read so far lead to.
type Active = SmallVec<[usize; 16]>;

/// Values by pattern, found by name.
///
/// A lookup walks the trie with the set of nodes that the name may have reached. It costs by the segments of the
/// name and the branches that agree with it, not by the patterns stored. As each node is in the set at most once, even
/// patterns made of `**` cost at most (segments of the name × nodes).
#[derive(Debug)]
pub struct PatternTrie<T> {
    nodes: Slab<Node<T>>,
    root: usize,
    len: usize,
}

impl<T> Default for PatternTrie<T> {
    fn default() -> Self {
        let mut nodes = Slab::new();
        let root = nodes.insert(Node::new(false));
        Self { nodes, root, len: 0 }
    }
}

impl<T> PatternTrie<T> {
    /// An empty trie.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many patterns have a value.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no pattern has a value.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The value of this pattern, a default one if it had none.
    pub fn entry(&mut self, pattern: &Pattern) -> &mut T
    where
        T: Default,
    {
        let mut at = self.root;
        for step in Steps::new(&pattern.0) {
            at = match self.nodes[at].child(step) {
                Some(child) => child,
                None => {
                    let child = self.nodes.insert(Node::new(kind(step) == Kind::Many));
                    self.nodes[at].link(step, child);
                    child
                }
            };
        }
        let value = &mut self.nodes[at].value;
        self.len += usize::from(value.is_none());
        value.get_or_insert_default()
    }

    /// The value of this pattern (of the same text, not of those that match it).
    pub fn get_mut(&mut self, pattern: &Pattern) -> Option<&mut T> {
        let at = Steps::new(&pattern.0).try_fold(self.root, |at, step| self.nodes[at].child(step))?;
        self.nodes[at].value.as_mut()
    }

    /// Takes out the value of this pattern, and every node that nothing else needs.
    pub fn remove(&mut self, pattern: &Pattern) -> Option<T> {
        let mut path: SmallVec<[(usize, &str); 16]> = SmallVec::new();
        let mut at = self.root;
        for step in Steps::new(&pattern.0) {
            path.push((at, step));
            at = self.nodes[at].child(step)?;
        }
        let value = self.nodes[at].value.take()?;
        self.len -= 1;
        while let Some((parent, step)) = path.pop() {
            if !self.nodes[at].is_empty() {
                break;
            }
            self.nodes.remove(at);
            self.nodes[parent].unlink(step);
            at = parent;
        }
        Some(value)
    }

    /// Visits the value of each pattern that matches `name`, once each.
    ///
    /// The order is arbitrary, but the same after the same calls, so that a simulation can be repeated.
    pub fn for_each_match(&self, name: &str, mut visit: impl FnMut(&T)) {
        if self.is_empty() {
            return;
        }
        let mut active: Active = SmallVec::from_slice(&[self.root]);
        for step in Steps::new(name) {
            active = self.advance(&active, step);
            if active.is_empty() {
                return;
            }
        }
        active.iter().filter_map(|&at| self.nodes[at].value.as_ref()).for_each(&mut visit);
    }

    /// The nodes reached from `active` by one more step of the name, each once.
    fn advance(&self, active: &[usize], step: &str) -> Active {
        let mut next = Active::new();
        for &at in active {
            let node = &self.nodes[at];
            next.extend(node.spans.then_some(at));
            next.extend(node.literals.get(step).copied());
            next.extend(node.one.child(step));
            next.extend(node.many.child(step));
        }
        // A span reaches itself again, and its parent may reach it in the same step. Without this the set would
        // double with every `**` that follows.
        next.sort_unstable();
        next.dedup();
        next
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn pattern(text: &str) -> Pattern {
        Pattern::parse(text).expect(text)
    }

    fn matching(trie: &PatternTrie<String>, name: &str) -> Vec<String> {
        let mut found = Vec::new();
        trie.for_each_match(name, |value| found.push(value.clone()));
        found.sort();
        found
    }

    fn insert(trie: &mut PatternTrie<String>, text: &str) {
        *trie.entry(&pattern(text)) = text.to_owned();
    }

    #[test]
    fn removing_a_pattern_leaves_the_others_and_no_nodes() {
        let mut trie = PatternTrie::new();
        let texts = ["a", "a.*", "a.*:b", "a.**", "**", "*", ":*"];
        texts.iter().for_each(|text| insert(&mut trie, text));
        insert(&mut trie, "a");
        assert_eq!(trie.len(), texts.len());
        assert_eq!(trie.get_mut(&pattern("a.*")).map(|value| value.clone()).as_deref(), Some("a.*"));
        assert_eq!(trie.get_mut(&pattern("a.b")), None);
        assert_eq!(trie.remove(&pattern("a.*:c")), None);
        assert_eq!(trie.remove(&pattern("a.*")).as_deref(), Some("a.*"));
        assert_eq!(trie.remove(&pattern("a.*")), None);
        assert_eq!(matching(&trie, "a.x:b"), ["**", "a.**", "a.*:b"]);
        for text in texts {
            trie.remove(&pattern(text));
        }
        assert!(trie.is_empty());
        assert_eq!(trie.nodes.len(), 1, "only the root is left");
    }

    #[test]
    fn adversarial_patterns_cost_no_more_than_their_nodes() {
        let mut trie = PatternTrie::new();
        for spans in 1..=42 {
            insert(&mut trie, &vec!["**"; spans].join("."));
            insert(&mut trie, &format!("{}.a", vec!["**"; spans].join(".")));
            insert(&mut trie, &vec!["**"; spans].join(":"));
        }
        for wildcards in 1..=21 {
            insert(&mut trie, &vec!["**.a"; wildcards].join("."));
            insert(&mut trie, &format!("{}.b", vec!["**.*"; wildcards].join(".")));
        }
        let name = vec!["a"; 64].join(".");
        let mut active: Active = SmallVec::from_slice(&[trie.root]);
        for step in Steps::new(&name) {
            active = trie.advance(&active, step);
            assert!(active.len() <= trie.nodes.len());
        }
        // Those with dots and `a` match, of which `**.a` was stored by both loops.
        assert_eq!(matching(&trie, &name).len(), 42 + 42 + 20);
        assert!(!pattern(&format!("{}.b", vec!["**.a"; 21].join("."))).matches(&name));
    }

    type OwnedSteps = Vec<(Option<char>, String)>;

    /// Splits without the code under test.
    fn owned_steps(text: &str) -> OwnedSteps {
        let mut steps = vec![(None, String::new())];
        for c in text.chars() {
            match c {
                '.' | ':' => steps.push((Some(c), String::new())),
                _ => steps.last_mut().expect("never empty").1.push(c),
            }
        }
        steps
    }

    /// The definition of protocol §4, word by word and exponential.
    fn reference(pattern: &[(Option<char>, String)], name: &[(Option<char>, String)]) -> bool {
        let Some(((separator, segment), pattern)) = pattern.split_first() else {
            return name.is_empty();
        };
        let Some(((name_separator, name_segment), rest)) = name.split_first() else {
            return false;
        };
        separator == name_separator
            && match segment.as_str() {
                "*" => reference(pattern, rest),
                "**" => (0..=rest.len()).any(|taken| reference(pattern, &rest[taken..])),
                _ => segment == name_segment && reference(pattern, rest),
            }
    }

    proptest! {
        #[test]
        fn a_trie_agrees_with_the_definition(
            texts in prop::collection::vec("(a|b|\\*|\\*\\*)?([.:](a|b||\\*|\\*\\*)){0,5}", 1..24),
            removed in prop::collection::vec(any::<bool>(), 24),
            names in prop::collection::vec("[ab]?([.:][ab]?){0,6}", 1..8),
        ) {
            let mut trie = PatternTrie::new();
            let mut expected = BTreeMap::new();
            for text in texts.iter().filter(|text| !text.is_empty()) {
                insert(&mut trie, text);
                expected.insert(text.clone(), owned_steps(text));
            }
            for (text, _) in texts.iter().zip(removed).filter(|(text, removed)| *removed && !text.is_empty()) {
                prop_assert_eq!(trie.remove(&pattern(text)).is_some(), expected.remove(text).is_some());
            }
            prop_assert_eq!(trie.len(), expected.len());
            for name in names.iter().filter(|name| !name.is_empty()) {
                let name_steps = owned_steps(name);
                let matched: Vec<_> = expected
                    .iter()
                    .filter(|(_, steps)| reference(steps, &name_steps))
                    .map(|(text, _)| text.clone())
                    .collect();
                for text in expected.keys() {
                    prop_assert_eq!(pattern(text).matches(name), matched.contains(text), "{} {}", text, name);
                }
                prop_assert_eq!(matching(&trie, name), matched);
            }
        }
    }
}
