use crate::token::AccessToken;

/// The numbers of the last few tokens. An issuer may return one again after another, and then it is the
/// same that a request was rejected with.
#[derive(Default)]
pub(super) struct Generations {
    last: u64,
    /// By a hash that is keyed at random, so that no token is kept for this.
    by_hash: Vec<(u64, u64)>,
}

impl Generations {
    const KEPT: usize = 8;

    pub(super) fn of(&mut self, token: &AccessToken) -> u64 {
        let hash = token.keyed_hash();
        let known = self.by_hash.iter().position(|(other, _)| *other == hash);
        let generation = match known {
            Some(at) => self.by_hash.remove(at).1,
            None => {
                self.last += 1;
                self.last
            }
        };
        self.by_hash.truncate(Self::KEPT - 1);
        // One is all that most slots ever need, and there may be a million.
        self.by_hash.reserve_exact(1);
        self.by_hash.insert(0, (hash, generation));
        generation
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_comes_back_after_others_is_the_generation_that_it_was() {
        let mut generations = Generations::default();
        let mut numbers = |texts: &[&str]| -> Vec<_> {
            let tokens = texts.iter().map(|text| AccessToken::new(text).unwrap());
            tokens.map(|token| generations.of(&token)).collect()
        };
        assert_eq!(numbers(&["a", "b", "a", "c", "b"]), [1, 2, 1, 3, 2]);
        // Nothing is remembered without bound, and no number is given twice.
        let others: Vec<_> = (0..100).map(|i| format!("t{i}")).collect();
        let others: Vec<_> = others.iter().map(String::as_str).collect();
        assert_eq!(numbers(&others), (4..104).collect::<Vec<_>>());
        assert_eq!(numbers(&["t93", "t92", "a"]), [97, 96, 104]);
        assert_eq!(generations.by_hash.len(), Generations::KEPT);
    }
}
