//! Chance that comes out the same every time: a small generator, and what is done to bytes with it.

/// A generator; the seed says everything.
pub struct Random(u64);

impl Random {
    /// The generator of a seed.
    pub fn new(seed: u64) -> Random {
        Random(seed.wrapping_add(0x9E37_79B9_7F4A_7C15))
    }

    /// Any number.
    pub fn next(&mut self) -> u64 {
        // splitmix64
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below another one, which is not 0.
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// True once in so many times.
    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    /// One of some.
    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    /// Changes a few bytes: flips, drops, doubles, overwrites, moves.
    pub fn mutate(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..1 + self.below(8) {
            if bytes.is_empty() {
                return;
            }
            let at = self.below(bytes.len());
            let end = (at + 1 + self.below(24)).min(bytes.len());
            match self.below(6) {
                0 => bytes[at] ^= 1 << self.below(8),
                1 => drop(bytes.drain(at..end)),
                2 => {
                    let piece = bytes[at..end].to_vec();
                    let copies = 1 + self.below(20);
                    let tail = bytes.split_off(end);
                    (0..copies).for_each(|_| bytes.extend_from_slice(&piece));
                    bytes.extend_from_slice(&tail);
                }
                3 => bytes[at] = self.next() as u8,
                4 => {
                    let piece: Vec<u8> = bytes.drain(at..end).collect();
                    let to = self.below(bytes.len() + 1);
                    let tail = bytes.split_off(to);
                    bytes.extend_from_slice(&piece);
                    bytes.extend_from_slice(&tail);
                }
                _ => bytes.truncate(end),
            }
        }
    }

    /// The beginning of one and the end of another.
    pub fn splice(&mut self, a: &[u8], b: &[u8]) -> Vec<u8> {
        let (head, tail) = (self.below(a.len() + 1), self.below(b.len() + 1));
        [&a[..head], &b[tail..]].concat()
    }
}
