//! Which bucket a record belongs to, and where its keys are at the engine.
//!
//! Everything about one bucket is in one slot, so one script changes it as a whole. All nodes must agree about this, so it never
//! changes: the number of buckets stands beside the data.

use proto::directory::Key;

/// Buckets of a catalogue.
pub(super) const BUCKETS: usize = 256;
/// Slots of a Redis or Valkey Cluster.
pub(super) const SLOTS: u16 = 16384;

/// A bucket's number.
pub(super) type Bucket = u8;

/// The bucket of what names a record.
pub(super) fn bucket_of(key: &Key) -> Bucket {
    let hash = hash_of(key);
    // The highest bits have been stirred most.
    (hash >> 56) as Bucket
}

/// A number for what names a record: the same at every node (FNV-1a, stirred once more).
pub(super) fn hash_of(key: &Key) -> u64 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    let mut take = |byte: u8| hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let (kind, name): (u8, &[u8]) = match key {
        Key::Rfc(number) => (b'r', &number.get().to_be_bytes()),
        Key::Name(name) | Key::Leaf { name, .. } => (b'n', name.as_bytes()),
        Key::Hash(hash) => (b'h', &hash.0),
    };
    take(kind);
    name.iter().for_each(|byte| take(*byte));
    (hash ^ (hash >> 32)).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

/// The number of changes of a bucket so far.
pub(super) fn sequence(bucket: Bucket) -> String {
    format!("pci:{{{bucket}}}:q")
}

/// The incarnations of nodes that have records in a bucket, each with the number of its latest batch.
pub(super) fn owners(bucket: Bucket) -> String {
    format!("pci:{{{bucket}}}:n")
}

/// The records of one incarnation in a bucket.
pub(super) fn records(bucket: Bucket, node: &str) -> String {
    format!("pci:{{{bucket}}}:r:{node}")
}

const CHANNEL_END: &str = "}:ev";

/// Where changes of a bucket are told.
pub(super) fn channel(bucket: Bucket) -> String {
    format!("pci:{{{bucket}{CHANNEL_END}")
}

/// The bucket of a channel.
pub(super) fn bucket_of_channel(channel: &[u8]) -> Option<Bucket> {
    let number = str::from_utf8(channel).ok()?.strip_prefix("pci:{")?.strip_suffix(CHANNEL_END)?;
    number.parse().ok()
}

/// What says whose data this is.
pub(super) const META: &str = "pci:{meta}";
/// The nodes that are there, each with how often it has said so.
pub(super) const NODES: &str = "pci:{nodes}:h";

/// The slot of a key: CRC-16 of its tag, or of all of it.
pub(super) fn slot_of(key: &str) -> u16 {
    let tag = key.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map(|(tag, _)| tag);
    let hashed = tag.filter(|tag| !tag.is_empty()).unwrap_or(key);
    crc16(hashed.as_bytes()) % SLOTS
}

/// CRC-16 with the polynomial of XMODEM, as the specification of Redis Cluster says.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc, _| {
            if crc & 0x8000 != 0 { (crc << 1) ^ 0x1021 } else { crc << 1 }
        })
    })
}

#[cfg(test)]
mod tests {
    use proto::value::number::RfcNumber;

    use super::*;

    #[test]
    fn slots_are_those_of_the_engine() {
        // The example of the specification, and a tag.
        assert_eq!(crc16(b"123456789"), 0x31C3);
        assert_eq!(slot_of("foo"), 12182);
        assert_eq!(slot_of("a{foo}b"), 12182);
        assert_eq!(slot_of("a{}foo"), slot_of("a{}foo"));
    }

    #[test]
    fn everything_about_a_bucket_is_in_one_slot_and_buckets_are_spread() {
        let mut thirds = [0; 3];
        for bucket in 0..=u8::MAX {
            let slot = slot_of(&sequence(bucket));
            for key in [owners(bucket), records(bucket, "n"), channel(bucket)] {
                assert_eq!(slot_of(&key), slot);
            }
            assert_eq!(bucket_of_channel(channel(bucket).as_bytes()), Some(bucket));
            thirds[usize::from(slot / 5462)] += 1;
        }
        assert!(thirds.iter().all(|count| (60..=120).contains(count)), "{thirds:?}");
        for channel in ["pci:{256}:ev", "pci:{}:ev", "other"] {
            assert_eq!(bucket_of_channel(channel.as_bytes()), None);
        }
    }

    #[test]
    fn neighbours_are_in_many_buckets() {
        let mut seen = [0_u32; BUCKETS];
        for number in 1..=25_600 {
            seen[usize::from(bucket_of(&Key::Rfc(RfcNumber::new(number).unwrap())))] += 1;
            seen[usize::from(bucket_of(&Key::Name(format!("folder/file{number}").into())))] += 1;
        }
        assert!(seen.iter().all(|count| (100..=320).contains(count)), "{seen:?}");
    }
}
