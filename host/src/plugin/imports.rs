//! The one table of what a component may import, and the reading of a component before anything of it is compiled.
//! What is not in the table is refused by name.

use wasmparser::{ComponentExternalKind, ComponentTypeRef, Encoding, Instance, Parser, Payload, TypeBounds};

use super::contract::{STAGES, VERSION};
use super::{Unfit, failure};
use crate::config::Limits;
use crate::report::Stage;

/// Interfaces of the contract, without package and version.
const CONTRACT: [&str; 4] = ["types", "submission", "registry", "log"];

/// WASI 0.2 interfaces, which guests from other toolchains carry; all are served by the empty world (`world.rs`).
const WASI: [&str; 27] = [
    "wasi:cli/environment",
    "wasi:cli/exit",
    "wasi:cli/stdin",
    "wasi:cli/stdout",
    "wasi:cli/stderr",
    "wasi:cli/terminal-input",
    "wasi:cli/terminal-output",
    "wasi:cli/terminal-stdin",
    "wasi:cli/terminal-stdout",
    "wasi:cli/terminal-stderr",
    "wasi:io/error",
    "wasi:io/poll",
    "wasi:io/streams",
    "wasi:clocks/wall-clock",
    "wasi:clocks/monotonic-clock",
    "wasi:random/random",
    "wasi:random/insecure",
    "wasi:random/insecure-seed",
    "wasi:filesystem/types",
    "wasi:filesystem/preopens",
    // The standard libraries of some toolchains import sockets whether they are used or not. Every call is refused.
    "wasi:sockets/network",
    "wasi:sockets/instance-network",
    "wasi:sockets/ip-name-lookup",
    "wasi:sockets/tcp",
    "wasi:sockets/tcp-create-socket",
    "wasi:sockets/udp",
    "wasi:sockets/udp-create-socket",
];

/// What to do about what people import most.
const HELP: [(&str, &str); 5] = [
    ("wasi:http/", "a plugin has no network; with componentize-js, disable the features 'http' and 'fetch-event'"),
    ("wasi:cli/run", "build a plugin as a library, not as a command"),
    (
        "wasi_snapshot_preview1",
        "make the component with the WASI preview 1 adapter, or build for wasm32-unknown-unknown",
    ),
    ("hallmark:plugin/", "this host serves hallmark:plugin@0.1; build against that contract"),
    ("wasi:", "the sandbox serves WASI 0.2 without network, key-value stores and the like"),
];

/// Components and modules within each other. The compiler's memory grows with the square of it: 5,000 levels, 58 KB of
/// them, took a gigabyte. Those that toolchains make have two.
const NESTING_MAX: usize = 8;

/// Bytes of one function. The compiler takes a function as a whole, a thousand times its size in memory. The largest
/// of a Python interpreter has 427 KB.
const FUNCTION_MAX_BYTES: usize = 1024 * 1024;

/// What a component's bytes say of it.
#[derive(Debug)]
pub struct Outline {
    /// The stages that it exports.
    pub stages: Vec<Stage>,
    /// Every import.
    pub imports: Vec<String>,
    /// Every export.
    pub exports: Vec<String>,
}

/// Reads a component, and refuses what it may not import, what it does not export, and a memory or table that is
/// larger from the start than it may ever be.
pub fn outline(component: &[u8], limits: &Limits) -> Result<Outline, Unfit> {
    if component.len() > limits.plugin_component_max_bytes {
        return Err(Unfit::TooLarge { size_bytes: component.len(), limit_bytes: limits.plugin_component_max_bytes });
    }
    let mut outline = Outline { stages: Vec::new(), imports: Vec::new(), exports: Vec::new() };
    read(component, limits, &mut outline)?;
    exports(&mut outline)?;
    let refused: Vec<String> = outline.imports.iter().filter_map(|import| refusal(import)).collect();
    if !refused.is_empty() {
        return Err(Unfit::Imports(refused));
    }
    Ok(outline)
}

fn read(component: &[u8], limits: &Limits, outline: &mut Outline) -> Result<(), Unfit> {
    if !component.starts_with(b"\0asm") {
        return Err(Unfit::NotAComponent("it does not begin as WebAssembly does".to_owned()));
    }
    let broken = |error: wasmparser::BinaryReaderError| Unfit::NotAComponent(error.message().to_owned());
    // Components and modules lie within each other; only what the outermost imports and exports is the host's.
    let mut depth = 0_usize;
    let mut core_instances = 0_u32;
    for payload in Parser::new(0).parse_all(component) {
        match payload.map_err(broken)? {
            Payload::Version { encoding: Encoding::Module, .. } if depth == 0 => {
                return Err(Unfit::NotAComponent(
                    "it is a core module; `hallmark plugin build` or `wasm-tools component new` makes a component of it"
                        .to_owned(),
                ));
            }
            Payload::Version { .. } if depth == NESTING_MAX => {
                return Err(Unfit::Contract(format!("it nests components and modules more than {NESTING_MAX} deep")));
            }
            Payload::Version { .. } => depth += 1,
            Payload::End(_) => depth -= 1,
            Payload::ComponentImportSection(imports) if depth == 1 => {
                for import in imports {
                    let import = import.map_err(broken)?;
                    // A name for a type that another import brought asks the host for nothing.
                    if !matches!(import.ty, ComponentTypeRef::Type(TypeBounds::Eq(_))) {
                        outline.imports.push(import.name.name.to_owned());
                    }
                }
            }
            Payload::ComponentExportSection(exports) if depth == 1 => {
                for export in exports {
                    let export = export.map_err(broken)?;
                    if matches!(export.kind, ComponentExternalKind::Func | ComponentExternalKind::Instance) {
                        outline.exports.push(export.name.name.to_owned());
                    }
                }
            }
            // The pools allow one more, for what reads a snapshot: a component that fills them is refused here.
            Payload::InstanceSection(instances) => {
                for instance in instances {
                    core_instances += u32::from(matches!(instance.map_err(broken)?, Instance::Instantiate { .. }));
                }
                let limit = limits.plugin_core_instances_max;
                if core_instances > limit {
                    return Err(failure::too_many("core instances", "plugin_core_instances_max", limit));
                }
            }
            Payload::CodeSectionEntry(body) if body.as_bytes().len() > FUNCTION_MAX_BYTES => {
                return Err(Unfit::Contract(format!(
                    "a function of it has {} bytes, more than {FUNCTION_MAX_BYTES}",
                    body.as_bytes().len()
                )));
            }
            Payload::MemorySection(memories) => {
                for memory in memories {
                    let memory = memory.map_err(broken)?;
                    fits_memory(memory.initial, memory.page_size_log2, limits)?;
                }
            }
            Payload::TableSection(tables) => {
                for table in tables {
                    fits_table(table.map_err(broken)?.ty.initial, limits)?;
                }
            }
            _ => {}
        }
    }
    Ok(())
}

fn fits_memory(pages: u64, page_size_log2: Option<u32>, limits: &Limits) -> Result<(), Unfit> {
    let limit_bytes = limits.plugin_memory_max_bytes;
    let bytes = pages.saturating_mul(1_u64 << page_size_log2.unwrap_or(16).min(16));
    if bytes > limit_bytes as u64 {
        return Err(Unfit::Contract(format!(
            "it starts with {bytes} bytes of memory, more than it may have (plugin_memory_max_bytes = {limit_bytes})"
        )));
    }
    Ok(())
}

fn fits_table(elements: u64, limits: &Limits) -> Result<(), Unfit> {
    let limit = limits.plugin_table_elements_max;
    if elements > limit as u64 {
        return Err(Unfit::Contract(format!(
            "it starts with a table of {elements} elements, more than it may have (plugin_table_elements_max = {limit})"
        )));
    }
    Ok(())
}

/// The import's name with help, where it is refused.
fn refusal(import: &str) -> Option<String> {
    let (interface, version) = import.split_once('@').unwrap_or((import, ""));
    let is_granted = match interface.strip_prefix("hallmark:plugin/") {
        Some(name) => CONTRACT.contains(&name) && version.starts_with("0.1."),
        None => WASI.contains(&interface) && version.starts_with("0.2."),
    };
    if is_granted {
        return None;
    }
    let help = HELP.iter().find(|(prefix, _)| import.starts_with(prefix));
    Some(match help {
        Some((_, help)) => format!("{import} ({help})"),
        None => import.to_owned(),
    })
}

fn exports(outline: &mut Outline) -> Result<(), Unfit> {
    let version_of =
        |interface: &str| outline.exports.iter().find_map(|export| export.strip_prefix(interface)?.strip_prefix('@'));
    match version_of("hallmark:plugin/metadata") {
        None => {
            return Err(Unfit::Contract(format!("it does not export hallmark:plugin/metadata of {VERSION}")));
        }
        Some(version) if !version.starts_with("0.1.") => {
            return Err(Unfit::Contract(format!("it follows hallmark:plugin@{version}; this host serves {VERSION}")));
        }
        Some(_) => {}
    }
    if !outline.exports.iter().any(|export| export == "configure") {
        return Err(Unfit::Contract(format!("it does not export the function configure of {VERSION}")));
    }
    let stages: Vec<Stage> =
        STAGES.iter().filter(|(name, _)| version_of(name).is_some()).map(|(_, stage)| *stage).collect();
    if stages.is_empty() {
        let names: Vec<&str> = STAGES.iter().map(|(name, _)| *name).collect();
        return Err(Unfit::Contract(format!("it exports no stage; one of {} is needed", names.join(", "))));
    }
    outline.stages = stages;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grants_the_contract_and_the_empty_world() {
        for granted in [
            "hallmark:plugin/types@0.1.0",
            "hallmark:plugin/submission@0.1.3",
            "wasi:io/streams@0.2.6",
            "wasi:random/random@0.2.0",
        ] {
            assert_eq!(refusal(granted), None);
        }
    }

    #[test]
    fn refuses_everything_else_with_help() {
        let refused = |import: &str| refusal(import).expect("refused");
        assert_eq!(
            refused("wasi:http/outgoing-handler@0.2.0"),
            "wasi:http/outgoing-handler@0.2.0 (a plugin has no network; with componentize-js, disable the features \
             'http' and 'fetch-event')"
        );
        assert_eq!(
            refused("hallmark:plugin/submission@0.2.0"),
            "hallmark:plugin/submission@0.2.0 (this host serves hallmark:plugin@0.1; build against that contract)"
        );
        assert_eq!(refused("acme:secrets/store@1.0.0"), "acme:secrets/store@1.0.0");
        assert_eq!(refused("run"), "run");
        for import in
            ["hallmark:plugin/secrets@0.1.0", "wasi:io/streams@0.3.0", "wasi:keyvalue/store@0.2.0", "wasi:io/streams"]
        {
            assert!(refusal(import).is_some(), "{import}");
        }
    }

    #[test]
    fn says_what_is_not_a_component() {
        let said = |bytes: &[u8]| outline(bytes, &Limits::default()).expect_err("unfit").to_string();
        assert_eq!(said(b"nonsense"), "not a WebAssembly component: it does not begin as WebAssembly does");
        assert_eq!(
            said(&wat::parse_str("(module)").expect("text")),
            "not a WebAssembly component: it is a core module; `hallmark plugin build` or `wasm-tools component new` \
             makes a component of it"
        );
        assert_eq!(
            said(&wat::parse_str("(component)").expect("text")),
            "does not follow the contract: it does not export hallmark:plugin/metadata of hallmark:plugin@0.1.0"
        );
    }

    #[test]
    fn refuses_what_would_cost_the_compiler_too_much() {
        let said = |text: &str| {
            let component = wat::parse_str(text).expect("text");
            outline(&component, &Limits::default()).expect_err("unfit").to_string()
        };
        assert_eq!(
            said(&format!("{}{}", "(component ".repeat(9), ")".repeat(9))),
            "does not follow the contract: it nests components and modules more than 8 deep"
        );
        let function = format!("(component (core module (func {})))", "nop ".repeat(FUNCTION_MAX_BYTES));
        assert_eq!(
            said(&function),
            "does not follow the contract: a function of it has 1048578 bytes, more than 1048576"
        );
        assert!(said(&format!("{}{}", "(component ".repeat(8), ")".repeat(8))).contains("does not export"));
    }

    #[test]
    fn refuses_a_component_that_starts_too_large() {
        let said = |text: &str| {
            let component = wat::parse_str(text).expect("text");
            outline(&component, &Limits::default()).expect_err("unfit").to_string()
        };
        assert_eq!(
            said("(component (core module (memory 1025)))"),
            "does not follow the contract: it starts with 67174400 bytes of memory, more than it may have \
             (plugin_memory_max_bytes = 67108864)"
        );
        assert_eq!(
            said("(component (core module (table 20001 funcref)))"),
            "does not follow the contract: it starts with a table of 20001 elements, more than it may have \
             (plugin_table_elements_max = 20000)"
        );
    }
}
