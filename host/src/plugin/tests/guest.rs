//! Guests written in WebAssembly's text, as small as the behaviour they show. A guest is one core module with the
//! contract's names; `wit-component` makes the component of it.

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

const CONTRACT: &str = include_str!("../../../../wit/hallmark-plugin/plugin.wit");

/// The parts of WASI that the tests import, in the shape that WASI 0.2 gives them.
const WASI_RANDOM: &str = "package wasi:random@0.2.0; interface random { get-random-u64: func() -> u64; }";
const WASI_CLOCKS: &str = "package wasi:clocks@0.2.0;
    interface wall-clock { record datetime { seconds: u64, nanoseconds: u32 } now: func() -> datetime; }
    interface monotonic-clock { now: func() -> u64; }";
const WASI_IO: &str = "package wasi:io@0.2.0; interface streams { resource output-stream { } }";
const WASI_CLI: &str = "package wasi:cli@0.2.0;
    interface stdout { use wasi:io/streams@0.2.0.{output-stream}; get-stdout: func() -> output-stream; }
    interface environment { get-arguments: func() -> list<string>; }";
const WASI_HTTP: &str = "package wasi:http@0.2.0; interface outgoing-handler { handle: func(); }";
const WASI_SOCKETS: &str = "package wasi:sockets@0.2.0; interface tcp-create-socket { create: func(); }";

/// A guest of the validate stage. Addresses below 65536 are the template's; `$alloc` gives others.
#[derive(Clone)]
pub struct Guest {
    name: String,
    schema: String,
    imports: String,
    items: String,
    configure: String,
    validate: String,
    describe: String,
}

/// Nothing to say, in `validate`.
pub const NOTHING: &str = "(i32.const 2000)";
/// Settings accepted, in `configure`.
pub const ACCEPTED: &str = "(i32.const 2032)";

impl Default for Guest {
    fn default() -> Self {
        Self {
            name: "guest".to_owned(),
            schema: "{}".to_owned(),
            imports: String::new(),
            items: String::new(),
            configure: ACCEPTED.to_owned(),
            validate: NOTHING.to_owned(),
            describe: String::new(),
        }
    }
}

impl Guest {
    /// One whose `validate` runs this and leaves the address of a list of findings.
    pub fn validating(body: &str) -> Self {
        Self { validate: body.to_owned(), ..Self::default() }
    }

    pub fn named(mut self, name: &str) -> Self {
        self.name = name.to_owned();
        self
    }

    /// The JSON Schema of its settings.
    pub fn schema(mut self, schema: &str) -> Self {
        self.schema = schema.to_owned();
        self
    }

    /// Runs in `configure`, where `$ptr` and `$len` are the settings; leaves the address of the outcome.
    pub fn configure(mut self, body: &str) -> Self {
        self.configure = body.to_owned();
        self
    }

    /// Runs at the start of `describe`.
    pub fn describe(mut self, body: &str) -> Self {
        self.describe = body.to_owned();
        self
    }

    /// Imports of the world, as WIT.
    pub fn importing(mut self, imports: &str) -> Self {
        self.imports = imports.to_owned();
        self
    }

    /// Further items of the module. Imports come first.
    pub fn with(mut self, items: &str) -> Self {
        self.items = items.to_owned();
        self
    }

    /// The component's bytes.
    pub fn build(&self) -> Vec<u8> {
        self.build_for(CONTRACT)
    }

    /// The component's bytes for another text of the contract.
    pub fn build_for(&self, contract: &str) -> Vec<u8> {
        let version = if contract.contains("@0.2.0") { "0.2.0" } else { "0.1.0" };
        let mut module = wat::parse_str(self.module(version)).expect("the guest's text");
        let mut resolve = Resolve::default();
        for (place, text) in
            [contract, WASI_IO, WASI_RANDOM, WASI_CLOCKS, WASI_CLI, WASI_HTTP, WASI_SOCKETS].iter().enumerate()
        {
            resolve.push_str(format!("{place}.wit"), text).expect("the texts");
        }
        let world = format!(
            "package test:guest; world guest {{ include hallmark:plugin/validator@{version}; {} }}",
            self.imports
        );
        let package = resolve.push_str("guest.wit", &world).expect("the world's text");
        let world = resolve.select_world(&[package], Some("guest")).expect("the world");
        embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).expect("a module of the world");
        ComponentEncoder::default()
            .validate(true)
            .module(&module)
            .and_then(|mut encoder| encoder.encode())
            .expect("a component")
    }

    fn module(&self, version: &str) -> String {
        let Self { name, schema, items, configure, validate, describe, .. } = self;
        let (name_len, schema_len) = (name.len(), schema.len());
        let schema = schema.replace('"', "\\22");
        // Imports must come before everything else of a module.
        let (imports, items): (Vec<&str>, Vec<&str>) =
            items.lines().partition(|line| line.trim_start().starts_with("(import"));
        let (imports, items) = (imports.join("\n"), items.join("\n"));
        format!(
            r#"(module
                {imports}
                (memory (export "memory") 2)
                (global $next (mut i32) (i32.const 65536))
                (data (i32.const 1000) "{name}")
                (data (i32.const 1100) "1.0.0")
                (data (i32.const 1200) "test.finding")
                (data (i32.const 3000) "{schema}")
                ;; What describe answers: name, version, summary, schema, codes.
                (data (i32.const 1300) "\e8\03\00\00")
                (func $describe (export "hallmark:plugin/metadata@{version}#describe") (result i32)
                    {describe}
                    (i32.store (i32.const 1304) (i32.const {name_len}))
                    (i32.store (i32.const 1308) (i32.const 1100))
                    (i32.store (i32.const 1312) (i32.const 5))
                    (i32.store (i32.const 1316) (i32.const 1000))
                    (i32.store (i32.const 1320) (i32.const {name_len}))
                    (i32.store (i32.const 1324) (i32.const 3000))
                    (i32.store (i32.const 1328) (i32.const {schema_len}))
                    (i32.const 1300))
                (func $alloc (export "$alloc") (param $size i32) (result i32)
                    (local $at i32)
                    (local.set $at (i32.and (i32.add (global.get $next) (i32.const 7)) (i32.const -8)))
                    (global.set $next (i32.add (local.get $at) (local.get $size)))
                    (block $fits (loop $grow
                        (br_if $fits (i32.le_u (global.get $next) (i32.mul (memory.size) (i32.const 65536))))
                        (br_if $grow (i32.ne (memory.grow (i32.const 1)) (i32.const -1)))
                        unreachable))
                    (local.get $at))
                (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
                    (call $alloc (local.get 3)))
                ;; The address of a list of one finding with this message.
                (func $say (param $ptr i32) (param $len i32) (result i32)
                    (i32.store (i32.const 2104) (i32.const 1200))
                    (i32.store (i32.const 2108) (i32.const 12))
                    (i32.store (i32.const 2120) (local.get $ptr))
                    (i32.store (i32.const 2124) (local.get $len))
                    (i32.store (i32.const 2016) (i32.const 2100))
                    (i32.store (i32.const 2020) (i32.const 1))
                    (i32.const 2016))
                ;; The same with a number as its message, in hexadecimal.
                (func $say_number (param $number i64) (result i32)
                    (local $at i32) (local $place i32) (local $digit i32)
                    (local.set $at (call $alloc (i32.const 16)))
                    (local.set $place (i32.const 15))
                    (loop $next
                        (local.set $digit (i32.wrap_i64 (i64.and (local.get $number) (i64.const 15))))
                        (i32.store8 (i32.add (local.get $at) (local.get $place))
                            (i32.add (local.get $digit)
                                (select (i32.const 48) (i32.const 87) (i32.lt_u (local.get $digit) (i32.const 10)))))
                        (local.set $number (i64.shr_u (local.get $number) (i64.const 4)))
                        (local.set $place (i32.sub (local.get $place) (i32.const 1)))
                        (br_if $next (i32.ge_s (local.get $place) (i32.const 0))))
                    (call $say (local.get $at) (i32.const 16)))
                {items}
                (func (export "configure") (param $ptr i32) (param $len i32) (result i32)
                    {configure})
                (func (export "hallmark:plugin/validator-stage@{version}#validate")
                    (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i64 i32 i32) (result i32)
                    (local $i i32)
                    {validate}))"#
        )
    }
}
