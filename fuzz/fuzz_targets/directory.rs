#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| riverbed::fuzzing::directory(input).unwrap());
