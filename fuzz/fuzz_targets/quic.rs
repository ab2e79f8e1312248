#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| canarytap_fuzz::quic(bytes));
