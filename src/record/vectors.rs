//! Batches whose bytes are known one by one, worked out from the description of the format.

/// One record: offset 0, epoch 0, time 1000, key `k`, value `v`.
pub(super) const ONE: &str = "\
    00000000000000000000003a0000000002716a61890000000000000000000000\
    0003e800000000000003e8ffffffffffffffffffffffffffff00000001100000\
    00026b027600";

/// Three records of an idempotent producer (4000, epoch 1, from sequence 7) at 5, 6 and 7: `a`=`1`; null=`22` with the
/// headers h=`x` and n=null, 5 ms later; `a`=null, 3 ms before the first. Leader epoch 3.
pub(super) const THREE: &str = "\
    00000000000000050000005200000003020b07771f0000000000020000018bcf\
    e568000000018bcfe568050000000000000fa000010000000700000003100000\
    0002610231001e000a02010432320402680278026e010e00050402610100";

/// The commit marker of a transaction: offset 10, epoch 4, time 1234567890123, coordinator epoch 15.
pub(super) const COMMIT: &str = "\
    000000000000000a000000420000000402f58ecbca0030000000000000011f71\
    fb04cb0000011f71fb04cb0000000000000fa00001ffffffff00000001200000\
    0008000000010c00000000000f00";

/// What compaction left of a batch at 20 to 24: no record.
pub(super) const EMPTY: &str = "\
    000000000000001400000031000000040259076631000000000004ffffffffff\
    ffffff0000018bcfe568050000000000000fa000010000000700000000";

/// A tombstone of the key `a` at 30 with a delete horizon one day behind its time.
pub(super) const TOMBSTONE: &str = "\
    000000000000001e0000003c0000000402c752ca000040000000000000018bd5\
    0bc4000000018bcfe56800ffffffffffffffffffffffffffff000000011400ff\
    efb2520002610100";

/// All of them.
pub(super) const ALL: [&str; 5] = [ONE, THREE, COMMIT, EMPTY, TOMBSTONE];

/// The bytes of an example in `docs/format.md`: of the block that is fenced as `hex` and `name`. Each line is bytes, and
/// behind two blanks or more what they mean.
pub(crate) fn documented(name: &str) -> Vec<u8> {
    let fence = format!("```hex {name}\n");
    let (_, block) = include_str!("../../docs/format.md").split_once(&fence).unwrap();
    let (block, _) = block.split_once("```").unwrap();
    let digits: String = block.lines().map(|line| line.split("  ").next().unwrap()).collect();
    hex(&digits.replace(' ', ""))
}

/// The bytes that `digits` stand for.
pub(crate) fn hex(digits: &str) -> Vec<u8> {
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.as_bytes().chunks(2).map(byte).collect()
}
