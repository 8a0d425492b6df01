#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| aloma_fuzz_harness::boundary(data));
