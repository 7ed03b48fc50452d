#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = pinwise_fuzz::fuzz::vm(bytes);
});
