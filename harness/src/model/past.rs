//! Keys and values of a sequence that grows.

use super::KeysValues;
use tch::Tensor;

/// Keys and values of the tokens so far, of one layer, with room for more: adding a token copies that
/// token only.
#[derive(Debug)]
pub struct Past {
    /// `[B, kv heads, capacity, head_dim]` each.
    room: KeysValues,
    tokens: i64,
}

impl Past {
    /// Holds those of `first`, with room for `more` tokens.
    pub fn new(first: &KeysValues, more: usize) -> Self {
        let with_room = |states: &Tensor| {
            let mut size = states.size();
            size[2] += more as i64;
            states.new_empty(size, (states.kind(), states.device()))
        };
        let room = KeysValues { key: with_room(&first.key), value: with_room(&first.value) };
        let mut past = Self { room, tokens: 0 };
        past.push(first);
        past
    }

    /// Number of tokens.
    pub fn tokens(&self) -> usize {
        self.tokens as usize
    }

    /// Adds those of the next tokens; all there are now, as views.
    ///
    /// # Panics
    /// If there is no room left.
    pub(super) fn push(&mut self, next: &KeysValues) -> KeysValues {
        let more = next.key.size()[2];
        let all = self.tokens + more;
        let added = |room: &Tensor, next: &Tensor| {
            room.narrow(2, self.tokens, more).copy_(next);
            room.narrow(2, 0, all)
        };
        let views = KeysValues {
            key: added(&self.room.key, &next.key),
            value: added(&self.room.value, &next.value),
        };
        self.tokens = all;
        views
    }
}
