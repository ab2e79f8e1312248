//! What memory alone costs: for each packet a place in an index and an entry that it names, both
//! taken by chance in tables as large as those of so many flows. Nothing is done with them. As in a
//! replay, thirty-two are asked for together; a wire would wait for each by itself.

use std::hint::black_box;

/// As many lines of memory as a flow.
type Entry = [u64; 14];

/// Reads so many packets' worth.
pub struct Floor {
    index: Vec<[u32; 4]>,
    entries: Vec<Entry>,
    random: u64,
}

impl Floor {
    pub fn new(flows: u32) -> Self {
        let mut floor = Self {
            index: vec![[0; 4]; (2 * flows as usize).next_power_of_two()],
            entries: vec![[1; 14]; flows as usize],
            random: 1,
        };
        for place in 0..floor.index.len() {
            let entry = floor.draw() % u64::from(flows);
            floor.index[place] = [entry as u32; 4];
        }
        floor
    }

    pub fn read(&mut self, packets: u32) {
        const TOGETHER: usize = 32;
        for _ in 0..packets / TOGETHER as u32 {
            let places = [(); TOGETHER].map(|()| self.draw() as usize % self.index.len());
            let entries = places.map(|place| self.index[place][0] as usize);
            let read = entries.map(|entry| self.entries[entry][0] ^ self.entries[entry][13]);
            black_box(read);
        }
    }

    /// Knuth's generator; the upper bits are the good ones.
    fn draw(&mut self) -> u64 {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005);
        self.random = self.random.wrapping_add(1_442_695_040_888_963_407);
        self.random >> 33
    }
}
