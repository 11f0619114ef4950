# The gate and the longer checks. Each line is a script that also runs without just.

# what CI runs, but for Kafka's judgement
check *parts:
    scripts/check {{parts}}

# all that CI runs, on a machine of your own
ci:
    .ci/run

# Kafka's own tools over what the tests leave behind
kafka-oracle:
    rm -rf target/kept
    RIVERBED_KEEP_DIRS="$PWD/target/kept" cargo test
    scripts/kafka-oracle target/kept

# a real Kafka node on partition directories that riverbed wrote
kafka-node:
    scripts/kafka-node

# two thousand partitions under writers, retention and compaction, for so many seconds
soak seconds="600":
    RIVERBED_SOAK_SECONDS={{seconds}} cargo test --test soak -- --nocapture

# Kafka's cleaner and ours over the same segments
kafka-compaction:
    scripts/kafka-compaction

# every target of fuzz/, so many seconds each
fuzz seconds="60" *targets:
    scripts/fuzz {{seconds}} {{targets}}

# planted bugs, by their names or with --all
planted *names:
    scripts/planted {{names}}

# figures, floors and ratios; appended to benches/history.jsonl
bench *names:
    cargo bench {{names}}
