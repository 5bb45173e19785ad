//! A component as large as those of interpreters, which nobody has compiled before: a small guest with a core module of
//! many functions beside its own. Components may carry modules that they do not use; they are compiled all the same.

use std::fs;
use std::time::{Duration, Instant};

use crate::support::host::{Host, component};

/// Bytes of the module that is added.
const MODULE_BYTES: usize = 20 * 1024 * 1024;
/// Additions in one function, each of one of two numbers.
const STEPS: usize = 60;

/// The component's bytes.
pub fn large() -> Vec<u8> {
    let mut bytes = fs::read(component("hostile")).expect("the guest is built");
    let module = module();
    bytes.push(1);
    length(&mut bytes, module.len());
    bytes.extend(module);
    bytes
}

/// Pushes it and gives the time that it took.
pub fn push(host: &Host, bytes: &[u8]) -> Duration {
    let started = Instant::now();
    // It waits as long as it takes; the harness's own client does not.
    let status = ureq::post(format!("{}/api/plugins", host.url))
        .header("Authorization", format!("Bearer {}", host.token))
        .header("Content-Type", "application/wasm")
        .send(bytes)
        .expect("an answer")
        .status();
    assert_eq!(status, 201);
    started.elapsed()
}

/// A core module of functions that differ in one constant.
fn module() -> Vec<u8> {
    let body = function(0).len() + 4;
    let count = MODULE_BYTES / body;
    let mut bytes = b"\0asm\x01\0\0\0".to_vec();
    // One type: two numbers in, one out.
    section(&mut bytes, 1, &[1, 0x60, 2, 0x7f, 0x7f, 1, 0x7f]);
    let mut types = Vec::new();
    length(&mut types, count);
    types.resize(types.len() + count, 0);
    section(&mut bytes, 3, &types);
    let mut code = Vec::new();
    length(&mut code, count);
    for number in 0..count {
        let function = function(number);
        length(&mut code, function.len());
        code.extend(function);
    }
    section(&mut bytes, 10, &code);
    bytes
}

fn function(number: usize) -> Vec<u8> {
    // No locals; the first parameter.
    let mut body = vec![0, 0x20, 0];
    for step in 0..STEPS {
        // i32.const, i32.add; where the second parameter is not zero add the first, else the second.
        body.push(0x41);
        length(&mut body, 1_000_000 + (number * STEPS + step) % 1_000_000);
        body.extend([0x6a, 0x20, 1, 0x04, 0x7f, 0x20, 0, 0x05, 0x20, 1, 0x0b, 0x6a]);
    }
    body.push(0x0b);
    body
}

fn section(bytes: &mut Vec<u8>, id: u8, content: &[u8]) {
    bytes.push(id);
    length(bytes, content.len());
    bytes.extend(content);
}

/// LEB128, as WebAssembly writes numbers. What is written here is positive and below 2^27, so that the signed form is
/// the same with a byte more.
fn length(bytes: &mut Vec<u8>, mut number: usize) {
    loop {
        let low = u8::try_from(number & 0x7f).expect("seven bits");
        number >>= 7;
        if number == 0 && low & 0x40 == 0 {
            bytes.push(low);
            return;
        }
        bytes.push(low | 0x80);
    }
}
