//! Fuzzes the body `runs` of `crates/proto`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| (proto::fuzz::body("runs").expect("a body of this name").run)(data, std::time::Instant::now()));
