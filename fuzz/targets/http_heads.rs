//! Fuzzes the body `http_heads` of `crates/proto`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| (proto::fuzz::body("http_heads").expect("a body of this name").run)(data, std::time::Instant::now()));
