//! Settings baked in: the memory of a configured instance becomes the image that every evaluation starts from.
//! `wasmtime-wizer` reads the instance through exports that it adds, and writes a component with that memory.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use wasmtime::Store;
use wasmtime::component::Instance;
use wasmtime_wizer::{ComponentContext, WasmtimeWizerComponent, Wizer};

use super::failure;
use super::state::State;

/// A component whose instances can be read.
pub struct Instrumented<'a> {
    wizer: Wizer,
    context: ComponentContext<'a>,
    bytes: Vec<u8>,
}

impl<'a> Instrumented<'a> {
    /// Adds what reading needs; the error says in words why it cannot be.
    pub fn of(component: &'a [u8]) -> Result<Self, String> {
        let mut wizer = Wizer::new();
        // `configure` stays exported, as the contract has it.
        wizer.keep_init_func(true);
        match wizer.instrument_component(component) {
            Ok((context, bytes)) => Ok(Self { wizer, context, bytes }),
            Err(error) => {
                Err(format!("its memory cannot be kept: {}", failure::plain(&error.root_cause().to_string())))
            }
        }
    }

    /// The component to compile, configure and hand to `snapshot`.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The component with the instance's memory; the error says in words why it cannot be.
    pub fn snapshot(self, mut store: Store<State>, instance: Instance) -> Result<Vec<u8>, String> {
        // A handle is an entry in a table of the instance, which no image keeps.
        let handles = store.data().handles_live();
        if handles > 0 {
            return Err(format!("its memory cannot be kept: it holds {handles} handles of the host after configure()"));
        }
        store.data_mut().allow_reading();
        store.set_hostcall_fuel(usize::MAX);
        let Self { wizer, context, .. } = self;
        // Where a memory is at the maximum that its module sets, there is no room to read it, and the crate panics.
        let read = catch_unwind(AssertUnwindSafe(|| {
            let mut component = WasmtimeWizerComponent { store: &mut store, instance };
            ready(wizer.snapshot_component(&context, &mut component))
        }));
        match read {
            Ok(Ok(image)) => Ok(image),
            Ok(Err(error)) => {
                Err(format!("its memory cannot be kept: {}", failure::plain(&error.root_cause().to_string())))
            }
            Err(_) => Err("its memory cannot be read: a module sets a maximum that leaves no room".to_owned()),
        }
    }
}

/// The future's value. It never waits: no host call of this room is asynchronous.
fn ready<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return value;
        }
    }
}
