//! Numeric parameters of a control sequence: up to [`PARAMS_CAP`] numbers, each a parameter or a colon-separated
//! sub-parameter. What does not fit is dropped, as terminals do.

/// Numbers kept per sequence; 32 is what VT-series manuals promise at most, and SGR chains in the wild stay below.
pub(super) const PARAMS_CAP: usize = 32;

/// The parameters of one control sequence.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Params {
    values: [u16; PARAMS_CAP],
    /// Bit i: number i follows a colon, so it belongs to the parameter before it.
    sub: u32,
    len: usize,
}

impl Params {
    /// Reads `1;2:3`; any byte that is neither digit, colon nor semicolon ends the list.
    pub(super) fn parse(bytes: &[u8]) -> Params {
        let mut params = Params::default();
        if bytes.is_empty() {
            return params;
        }
        let mut value: u32 = 0;
        let mut is_sub = false;
        for &byte in bytes {
            match byte {
                b'0'..=b'9' => {
                    value = (value * 10 + u32::from(byte - b'0')).min(u32::from(u16::MAX));
                }
                b';' | b':' => {
                    params.push(value as u16, is_sub);
                    value = 0;
                    is_sub = byte == b':';
                }
                _ => break,
            }
        }
        params.push(value as u16, is_sub);
        params
    }

    fn push(&mut self, value: u16, is_sub: bool) {
        if self.len == PARAMS_CAP {
            return;
        }
        self.values[self.len] = value;
        self.sub |= u32::from(is_sub) << self.len;
        self.len += 1;
    }

    /// Number `index` counted without regard to colons; `default` if it is missing or zero.
    pub(super) fn get_or(&self, index: usize, default: u16) -> u16 {
        match self.values.get(index) {
            Some(&value) if index < self.len && value != 0 => value,
            _ => default,
        }
    }

    /// Number `index`, zero if missing.
    pub(super) fn get(&self, index: usize) -> u16 {
        self.get_or(index, 0)
    }

    /// How many numbers there are.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Every number in order.
    pub(super) fn values(&self) -> &[u16] {
        &self.values[..self.len]
    }

    /// The parameters with their sub-parameters: `[4, 3]` for `4:3`, `[1]` for `1`.
    pub(super) fn groups(&self) -> impl Iterator<Item = &[u16]> {
        let mut next = 0;
        std::iter::from_fn(move || {
            if next >= self.len {
                return None;
            }
            let start = next;
            next += 1;
            while next < self.len && self.sub & (1 << next) != 0 {
                next += 1;
            }
            Some(&self.values[start..next])
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colons_group_numbers_and_missing_ones_are_zero() {
        let params = Params::parse(b"38:2::1:2:3;;4");
        let groups: Vec<_> = params.groups().map(<[u16]>::to_vec).collect();
        assert_eq!(groups, vec![vec![38, 2, 0, 1, 2, 3], vec![0], vec![4]]);
    }

    #[test]
    fn too_many_and_too_large_numbers_are_bounded() {
        let params = Params::parse("99999999999;".repeat(100).as_bytes());
        assert_eq!(params.len(), PARAMS_CAP);
        assert_eq!(params.get(0), u16::MAX);
    }
}
