//! TCP sequence numbers: arithmetic modulo 2^32 (RFC 9293 §3.4).

/// A sequence number as on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SeqNum(pub u32);

impl SeqNum {
    /// This number `bytes` further on.
    #[must_use]
    pub const fn plus(self, bytes: u32) -> Self {
        Self(self.0.wrapping_add(bytes))
    }

    /// How far this number lies behind `earlier`: negative when it lies before it. Right while
    /// the two are less than 2^31 apart.
    pub const fn distance_from(self, earlier: Self) -> i32 {
        self.0.wrapping_sub(earlier.0) as i32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_after_the_wrap_lies_behind_one_before_it() {
        assert_eq!(SeqNum(4).distance_from(SeqNum(u32::MAX - 5)), 10);
        assert_eq!(SeqNum(u32::MAX - 5).distance_from(SeqNum(4)), -10);
    }

    #[test]
    fn adding_wraps() {
        assert_eq!(SeqNum(u32::MAX).plus(2), SeqNum(1));
    }
}
