//! Inputs that are nearly right: entries of a corpus, cut, joined, doubled, and sprinkled with the tokens of their
//! language.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// Bytes of the longest input.
const INPUT_BYTES_MAX: usize = 8 << 10;
/// Bytes that are often the edge of something.
const EDGES: [u8; 12] = [0, 1, 0x1f, 0x20, 0x7d, 0x7e, 0x7f, 0x80, 0x81, 0x88, 0xfe, 0xff];
/// Numbers that are often the edge of something, as text.
const NUMBERS: [&[u8]; 8] = [
    b"0",
    b"-1",
    b"18446744073709551615",
    b"18446744073709551616",
    b"1e400",
    b"0.1",
    b"9007199254740993",
    b"00",
];

pub(super) struct Mutator<'a> {
    random: StdRng,
    corpus: &'a [Vec<u8>],
    tokens: &'a [&'a [u8]],
}

impl<'a> Mutator<'a> {
    pub(super) fn new(seed: u64, corpus: &'a [Vec<u8>], tokens: &'a [&'a [u8]]) -> Self {
        Self { random: StdRng::seed_from_u64(seed), corpus, tokens }
    }

    pub(super) fn next(&mut self) -> Vec<u8> {
        let mut input = self.entry().clone();
        for _ in 0..self.random.random_range(1..=6) {
            self.mutate(&mut input);
        }
        input.truncate(INPUT_BYTES_MAX);
        input
    }

    fn entry(&mut self) -> &'a Vec<u8> {
        &self.corpus[self.random.random_range(0..self.corpus.len())]
    }

    fn at(&mut self, input: &[u8]) -> usize {
        self.random.random_range(0..=input.len())
    }

    /// A piece of an input, mostly short.
    fn piece(&mut self, input: &[u8]) -> (usize, usize) {
        let start = self.at(input);
        let longest = if self.random.random_range(0..4) == 0 { input.len() } else { 16 };
        let len = self.random.random_range(0..=longest);
        (start, input.len().min(start + len))
    }

    fn mutate(&mut self, input: &mut Vec<u8>) {
        let at = self.at(input);
        match self.random.random_range(0..10) {
            0 => self.flip(input),
            1 => self.insert_token(input),
            2 => self.insert_token(input),
            3 => {
                let (start, end) = self.piece(input);
                drop(input.drain(start..end));
            }
            4 => {
                let (start, end) = self.piece(input);
                let piece = input[start..end].to_vec();
                drop(input.splice(at..at, piece));
            }
            5 => {
                let other = self.entry();
                let (start, end) = self.piece(other);
                drop(input.splice(at..at, other[start..end].iter().copied()));
            }
            6 => {
                let other = self.entry();
                let from = self.at(other);
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
            7 => self.replace_number(input),
            8 => self.repeat(input),
            _ => input.truncate(at),
        }
    }

    fn flip(&mut self, input: &mut [u8]) {
        if input.is_empty() {
            return;
        }
        let at = self.random.random_range(0..input.len());
        input[at] = match self.random.random_range(0..3) {
            0 => EDGES[self.random.random_range(0..EDGES.len())],
            1 => input[at] ^ (1 << self.random.random_range(0..8)),
            _ => input[at].wrapping_add(1),
        };
    }

    fn insert_token(&mut self, input: &mut Vec<u8>) {
        let token = self.tokens[self.random.random_range(0..self.tokens.len())];
        let (start, mut end) = self.piece(input);
        // Half of the time it stands beside what was there, else in its place.
        if self.random.random_range(0..2) == 0 {
            end = start;
        }
        drop(input.splice(start..end, token.iter().copied()));
    }

    fn replace_number(&mut self, input: &mut Vec<u8>) {
        let digits: Vec<usize> = (0..input.len()).filter(|at| input[*at].is_ascii_digit()).collect();
        if digits.is_empty() {
            return;
        }
        let start = digits[self.random.random_range(0..digits.len())];
        let len = input[start..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let number = NUMBERS[self.random.random_range(0..NUMBERS.len())];
        drop(input.splice(start..start + len, number.iter().copied()));
    }

    /// Many times the same: what grows with the input shows.
    fn repeat(&mut self, input: &mut Vec<u8>) {
        let (start, end) = self.piece(input);
        let piece = input[start..end].repeat(self.random.random_range(1..=64));
        drop(input.splice(start..start, piece));
    }
}
