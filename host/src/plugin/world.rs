//! The empty world: what WASI imports get. One clock that stands at the submission's time, randomness that is the
//! same at every replay, no files, no sockets, no arguments; what is printed goes to the log. Functions are defined
//! by name from the component's own types, and one that nothing needs ends the guest that calls it.

use wasmtime::StoreContextMut;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, ComponentType, Lift, Linker, LinkerInstance, Lower, Resource, ResourceType};

use super::Cause;
use super::state::State;

/// Bytes that a guest may print at once.
const PRINT_MAX_BYTES: u64 = 64 * 1024;

struct IoError;
struct Pollable;
struct Input;
struct Output;
/// A resource that no guest can ever hold.
struct Unserved;

#[derive(ComponentType, Lift, Lower)]
#[component(record)]
struct Datetime {
    seconds: u64,
    nanoseconds: u32,
}

#[derive(ComponentType, Lift, Lower)]
#[component(variant)]
enum StreamError {
    #[component(name = "last-operation-failed")]
    LastOperationFailed(Resource<IoError>),
    #[component(name = "closed")]
    Closed,
}

type Streamed<T> = (Result<T, StreamError>,);
type At<'a, 'b> = &'a mut LinkerInstance<'b, State>;
type Context<'a> = StoreContextMut<'a, State>;

/// Serves every WASI import of the component.
pub fn link(linker: &mut Linker<State>, component: &Component) -> wasmtime::Result<()> {
    let engine = component.engine();
    for (import, item) in component.component_type().imports(engine) {
        let ComponentItem::ComponentInstance(instance) = item.ty else { continue };
        let Some((interface, _)) = import.split_once('@').filter(|_| import.starts_with("wasi:")) else { continue };
        let mut at = linker.instance(import)?;
        for (name, item) in instance.exports(engine) {
            match item.ty {
                ComponentItem::ComponentFunc(_) => function(&mut at, interface, name)?,
                ComponentItem::Resource(_) => resource(&mut at, name)?,
                _ => {}
            }
        }
    }
    Ok(())
}

// An interface that uses another's resource exports it again under the same name, so the name alone tells.
fn resource(at: At<'_, '_>, name: &str) -> wasmtime::Result<()> {
    let of = match name {
        "error" => ResourceType::host::<IoError>(),
        "pollable" => ResourceType::host::<Pollable>(),
        "input-stream" => ResourceType::host::<Input>(),
        "output-stream" => ResourceType::host::<Output>(),
        _ => ResourceType::host::<Unserved>(),
    };
    at.resource(name, of, |mut store, _| {
        store.data_mut().handle_dropped();
        Ok(())
    })
}

fn function(at: At<'_, '_>, interface: &str, name: &str) -> wasmtime::Result<()> {
    let is_served = match interface {
        "wasi:io/streams" => input(at, name)? || output(at, name)?,
        "wasi:io/error" | "wasi:io/poll" => waiting(at, name)?,
        "wasi:random/random" | "wasi:random/insecure" | "wasi:random/insecure-seed" => randomness(at, name)?,
        "wasi:clocks/wall-clock" => wall_clock(at, name)?,
        "wasi:clocks/monotonic-clock" => steady_clock(at, name)?,
        "wasi:filesystem/preopens" | "wasi:filesystem/types" => files(at, name)?,
        _ if interface.starts_with("wasi:cli/") => process(at, name)?,
        _ => false,
    };
    if !is_served {
        let import = format!("{interface}#{name}");
        at.func_new(name, move |_, _, _, _| Err(Cause::Refused { import: import.clone() }.into()))?;
    }
    Ok(())
}

fn give<T>(store: &mut Context<'_>) -> Resource<T>
where
    T: 'static,
{
    store.data_mut().handle_given();
    Resource::new_own(0)
}

fn process(at: At<'_, '_>, name: &str) -> wasmtime::Result<bool> {
    match name {
        "get-environment" => at.func_wrap(name, |mut store: Context<'_>, ()| {
            store.data_mut().called(0)?;
            Ok((Vec::<(String, String)>::new(),))
        })?,
        "get-arguments" => at.func_wrap(name, |mut store: Context<'_>, ()| {
            store.data_mut().called(0)?;
            Ok((Vec::<String>::new(),))
        })?,
        "initial-cwd" => at.func_wrap(name, |mut store: Context<'_>, ()| {
            store.data_mut().called(0)?;
            Ok((None::<String>,))
        })?,
        "get-stdin" => at.func_wrap(name, |mut store: Context<'_>, ()| {
            store.data_mut().called(0)?;
            Ok((give::<Input>(&mut store),))
        })?,
        "get-stdout" | "get-stderr" => at.func_wrap(name, |mut store: Context<'_>, ()| {
            store.data_mut().called(0)?;
            Ok((give::<Output>(&mut store),))
        })?,
        "get-terminal-stdin" | "get-terminal-stdout" | "get-terminal-stderr" => {
            at.func_wrap(name, |mut store: Context<'_>, ()| {
                store.data_mut().called(0)?;
                Ok((None::<Resource<Unserved>>,))
            })?;
        }
        "exit" => at.func_wrap(name, |_: Context<'_>, (_,): (Result<(), ()>,)| {
            Err::<(), _>(Cause::Trap { what: "it called exit".to_owned() }.into())
        })?,
        "exit-with-code" => at.func_wrap(name, |_: Context<'_>, (_,): (u8,)| {
            Err::<(), _>(Cause::Trap { what: "it called exit".to_owned() }.into())
        })?,
        _ => return Ok(false),
    }
    Ok(true)
}

fn waiting(at: At<'_, '_>, name: &str) -> wasmtime::Result<bool> {
    match name {
        // Everything is ready at once: no guest sleeps on the host.
        "[method]pollable.ready" => at.func_wrap(name, |mut store: Context<'_>, (_,): (Resource<Pollable>,)| {
            store.data_mut().called(0)?;
            Ok((true,))
        })?,
        "[method]pollable.block" => at.func_wrap(name, |mut store: Context<'_>, (_,): (Resource<Pollable>,)| {
            store.data_mut().called(0)?;
            Ok(())
        })?,
        "poll" => at.func_wrap(name, |mut store: Context<'_>, (all,): (Vec<Resource<Pollable>>,)| {
            store.data_mut().called(all.len() * size_of::<u32>())?;
            Ok(((0..all.len()).map(|index| index as u32).collect::<Vec<u32>>(),))
        })?,
        "[method]error.to-debug-string" => {
            at.func_wrap(name, |mut store: Context<'_>, (_,): (Resource<IoError>,)| {
                store.data_mut().called(0)?;
                Ok((String::new(),))
            })?
        }
        _ => return Ok(false),
    }
    Ok(true)
}

fn input(at: At<'_, '_>, name: &str) -> wasmtime::Result<bool> {
    match name {
        "[method]input-stream.read" | "[method]input-stream.blocking-read" => {
            at.func_wrap(
                name,
                |mut store: Context<'_>, (_, _): (Resource<Input>, u64)| -> wasmtime::Result<Streamed<Vec<u8>>> {
                    store.data_mut().called(0)?;
                    Ok((Err(StreamError::Closed),))
                },
            )?;
        }
        "[method]input-stream.skip" | "[method]input-stream.blocking-skip" => {
            at.func_wrap(
                name,
                |mut store: Context<'_>, (_, _): (Resource<Input>, u64)| -> wasmtime::Result<Streamed<u64>> {
                    store.data_mut().called(0)?;
                    Ok((Err(StreamError::Closed),))
                },
            )?;
        }
        "[method]input-stream.subscribe" => {
            at.func_wrap(name, |mut store: Context<'_>, (_,): (Resource<Input>,)| {
                store.data_mut().called(0)?;
                Ok((give::<Pollable>(&mut store),))
            })?
        }
        _ => return Ok(false),
    }
    Ok(true)
}

fn output(at: At<'_, '_>, name: &str) -> wasmtime::Result<bool> {
    match name {
        "[method]output-stream.check-write" => {
            at.func_wrap(
                name,
                |mut store: Context<'_>, (_,): (Resource<Output>,)| -> wasmtime::Result<Streamed<u64>> {
                    store.data_mut().called(0)?;
                    Ok((Ok(PRINT_MAX_BYTES),))
                },
            )?;
        }
        "[method]output-stream.write" | "[method]output-stream.blocking-write-and-flush" => {
            at.func_wrap(
                name,
                |mut store: Context<'_>, (_, bytes): (Resource<Output>, Vec<u8>)| -> wasmtime::Result<Streamed<()>> {
                    store.data_mut().called(bytes.len())?;
                    store.data_mut().log(&String::from_utf8_lossy(&bytes))?;
                    Ok((Ok(()),))
                },
            )?;
        }
        "[method]output-stream.flush" | "[method]output-stream.blocking-flush" => {
            at.func_wrap(
                name,
                |mut store: Context<'_>, (_,): (Resource<Output>,)| -> wasmtime::Result<Streamed<()>> {
                    store.data_mut().called(0)?;
                    Ok((Ok(()),))
                },
            )?;
        }
        "[method]output-stream.subscribe" => {
            at.func_wrap(name, |mut store: Context<'_>, (_,): (Resource<Output>,)| {
                store.data_mut().called(0)?;
                Ok((give::<Pollable>(&mut store),))
            })?
        }
        _ => return Ok(false),
    }
    Ok(true)
}

fn wall_clock(at: At<'_, '_>, name: &str) -> wasmtime::Result<bool> {
    match name {
        "now" => at.func_wrap(name, |mut store: Context<'_>, ()| {
            store.data_mut().called(0)?;
            let now_ms = store.data().now_ms();
            Ok((Datetime { seconds: now_ms / 1_000, nanoseconds: (now_ms % 1_000) as u32 * 1_000_000 },))
        })?,
        "resolution" => at.func_wrap(name, |mut store: Context<'_>, ()| {
            store.data_mut().called(0)?;
            Ok((Datetime { seconds: 0, nanoseconds: 1_000_000 },))
        })?,
        _ => return Ok(false),
    }
    Ok(true)
}

fn steady_clock(at: At<'_, '_>, name: &str) -> wasmtime::Result<bool> {
    match name {
        "now" => at.func_wrap(name, |mut store: Context<'_>, ()| {
            store.data_mut().called(0)?;
            Ok((store.data_mut().steady_ns(),))
        })?,
        "resolution" => at.func_wrap(name, |mut store: Context<'_>, ()| {
            store.data_mut().called(0)?;
            Ok((1_000_u64,))
        })?,
        "subscribe-instant" | "subscribe-duration" => {
            at.func_wrap(name, |mut store: Context<'_>, (_,): (u64,)| {
                store.data_mut().called(0)?;
                Ok((give::<Pollable>(&mut store),))
            })?;
        }
        _ => return Ok(false),
    }
    Ok(true)
}

fn randomness(at: At<'_, '_>, name: &str) -> wasmtime::Result<bool> {
    match name {
        "get-random-bytes" | "get-insecure-random-bytes" => {
            at.func_wrap(name, |mut store: Context<'_>, (count,): (u64,)| {
                let count = usize::try_from(count).unwrap_or(usize::MAX);
                store.data_mut().called(0)?;
                store.data_mut().reads(count)?;
                Ok((store.data_mut().random().bytes(count),))
            })?;
        }
        "get-random-u64" | "get-insecure-random-u64" => at.func_wrap(name, |mut store: Context<'_>, ()| {
            store.data_mut().called(0)?;
            Ok((store.data_mut().random().number(),))
        })?,
        "insecure-seed" => at.func_wrap(name, |mut store: Context<'_>, ()| {
            store.data_mut().called(0)?;
            let random = store.data_mut().random();
            Ok(((random.number(), random.number()),))
        })?,
        _ => return Ok(false),
    }
    Ok(true)
}

fn files(at: At<'_, '_>, name: &str) -> wasmtime::Result<bool> {
    match name {
        "get-directories" => at.func_wrap(name, |mut store: Context<'_>, ()| {
            store.data_mut().called(0)?;
            Ok((Vec::<(Resource<Unserved>, String)>::new(),))
        })?,
        _ => return Ok(false),
    }
    Ok(true)
}
