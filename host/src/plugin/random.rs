//! Randomness that is not: the same case gives the same bytes on every host and at every replay.

use sha2::{Digest as _, Sha256};

use super::state::Task;

/// A stream of bytes: SHA-256 over a seed and a counter.
pub struct Random {
    seed: [u8; 32],
    blocks: u64,
    left: Vec<u8>,
}

impl Random {
    /// Seeded with what the guest is given, and with nothing else.
    pub fn seeded(task: &Task) -> Self {
        let mut hasher = Sha256::new();
        // Each part is closed by its length, so that no two cases run together into one seed.
        let mut part = |bytes: &[u8]| {
            hasher.update(bytes);
            hasher.update((bytes.len() as u64).to_le_bytes());
        };
        match task {
            Task::Describe => part(b"describe"),
            Task::Configure(settings) => {
                part(b"configure");
                part(settings);
            }
            Task::Judge(case) => {
                let subject = &case.subject;
                part(b"judge");
                for text in [&subject.tenant, &subject.module, &subject.kind, &subject.id, &subject.version] {
                    part(text.as_bytes());
                }
                part(subject.publisher.as_bytes());
                part(&subject.submitted_at_ms.to_le_bytes());
                part(case.document.value.to_string().as_bytes());
            }
        }
        Self { seed: hasher.finalize().into(), blocks: 0, left: Vec::new() }
    }

    /// The next bytes.
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        while self.left.len() < count {
            let mut hasher = Sha256::new();
            hasher.update(self.seed);
            hasher.update(self.blocks.to_le_bytes());
            self.left.extend_from_slice(&hasher.finalize());
            self.blocks += 1;
        }
        let rest = self.left.split_off(count);
        std::mem::replace(&mut self.left, rest)
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        let mut eight = [0; 8];
        eight.copy_from_slice(&self.bytes(8));
        u64::from_le_bytes(eight)
    }
}
