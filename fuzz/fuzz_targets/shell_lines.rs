#![no_main]
#![allow(dead_code, reason = "the program needs the rest")]

#[path = "../../src/bin/riverbed/failure.rs"]
mod failure;
#[path = "../../src/bin/riverbed/shell/fuzzed.rs"]
mod fuzzed;
#[path = "../../src/bin/riverbed/shell/line.rs"]
mod line;
#[path = "../../src/bin/riverbed/shell/operands.rs"]
mod operands;
#[path = "../../src/bin/riverbed/shell/value.rs"]
mod value;
#[path = "../../src/bin/riverbed/shell/words.rs"]
mod words;

/// What `failure` asks of the program's own.
mod interrupt {
    pub const STATUS: u8 = 130;
}

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzzed::shell_lines(input).unwrap());
